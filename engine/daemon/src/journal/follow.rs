//! Hearing of every record, in order, from a given one on.
//!
//! Invariant: a follower that starts after record n gets n + 1, n + 2 and so on, each exactly
//! once. What it missed, because it came late or was slow, it reads from the journal.

use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use watchkeeper_core::event::Record;

use super::error::JournalError;
use super::query::{Query, Reader};

/// How many records are read at once.
const PAGE: usize = 1_000;

/// Hands out records as they are written.
pub struct Follower {
    /// The last record handed out.
    last: u64,
    /// How far the journal was known to go when the follower began.
    behind: u64,
    reader: Reader,
    written: Receiver<Arc<[Record]>>,
    /// A batch that came before what precedes it was read.
    early: Option<Arc<[Record]>>,
}

impl Follower {
    pub(super) const fn new(
        after: u64,
        newest: u64,
        reader: Reader,
        written: Receiver<Arc<[Record]>>,
    ) -> Self {
        Self { last: after, behind: newest, reader, written, early: None }
    }

    /// The next records, at least one. May be dropped while it waits, without a loss. Fails if the
    /// journal was closed or cannot be read.
    pub async fn next(&mut self) -> Result<Vec<Record>, JournalError> {
        loop {
            if self.last < self.behind {
                return self.catch_up().await;
            }
            if let Some(records) = self.early.take().map(|batch| self.unseen(&batch)) {
                if !records.is_empty() {
                    return Ok(records);
                }
                continue;
            }
            match self.written.recv().await {
                Ok(batch) => self.take_in(batch),
                // What was missed shows as a gap before the next batch.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(JournalError::Closed),
            }
        }
    }

    /// All records that have been written by now, without waiting for more; perhaps none. After an
    /// append has been answered, its records are among them.
    pub async fn ready(&mut self) -> Result<Vec<Record>, JournalError> {
        let mut records = Vec::new();
        loop {
            if self.last < self.behind {
                records.extend(self.catch_up().await?);
                continue;
            }
            if let Some(batch) = self.early.take() {
                records.extend(self.unseen(&batch));
                continue;
            }
            match self.written.try_recv() {
                Ok(batch) => self.take_in(batch),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(records),
            }
        }
    }

    fn take_in(&mut self, batch: Arc<[Record]>) {
        if let Some(first) = batch.first() {
            self.behind = self.behind.max(first.seq - 1);
            self.early = Some(batch);
        }
    }

    fn unseen(&mut self, batch: &[Record]) -> Vec<Record> {
        let records: Vec<_> =
            batch.iter().filter(|record| record.seq > self.last).cloned().collect();
        self.last = records.last().map_or(self.last, |record| record.seq);
        records
    }

    async fn catch_up(&mut self) -> Result<Vec<Record>, JournalError> {
        let query =
            Query { after: self.last, up_to: Some(self.behind), limit: PAGE, ..Query::default() };
        let records = self.reader.read(query).await?;
        // An empty answer must not turn into an endless question.
        self.last = records.last().map_or(self.behind, |record| record.seq);
        Ok(records)
    }
}
