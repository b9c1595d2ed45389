//! The one thread that writes.
//!
//! Invariants:
//! - An append is answered when its records are on the disk, or when none of them is.
//! - Appends that wait while the disk works are written in one transaction, which fails or
//!   succeeds as a whole; one whose event does not fit fails alone.
//! - Nothing is written that could not be read back and folded when the journal is next opened.
//! - After a failed write nothing more is written until a retry has succeeded, so that no later
//!   event can be recorded where an earlier one is missing.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{ClusterName, Timestamp};
use watchkeeper_core::state::State;

use super::chain::{self, Link, Row};
use super::error::JournalError;
use super::fold::{self, Folded};
use super::head;
use super::kind::kind;

/// Most events in one transaction made of several appends: bounds how long the first waits.
const BATCH: usize = 1_000;

/// How many bytes a retry must be able to write.
const PROBE_BYTES: i64 = 256 * 1024;

/// Whether the journal takes events in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It does.
    Writing,
    /// It does not, since a write failed. No action may be taken meanwhile.
    Failed {
        /// What went wrong, for people.
        problem: String,
    },
}

/// The events of one append, with the clusters they are about.
pub type Events = Vec<(Option<ClusterName>, Event)>;

pub(super) type Answer = Result<Vec<Record>, JournalError>;

pub(super) struct Append {
    pub(super) at: Timestamp,
    pub(super) events: Events,
    pub(super) answer: oneshot::Sender<Answer>,
}

pub(super) enum Request {
    Append(Append),
    Retry(oneshot::Sender<Result<(), JournalError>>),
    Ping(oneshot::Sender<()>),
    Close(oneshot::Sender<()>),
}

pub(super) struct Writer {
    pub(super) path: PathBuf,
    pub(super) connection: Connection,
    pub(super) state: State,
    pub(super) link: Link,
    pub(super) head: head::Writer,
    pub(super) health: watch::Sender<Health>,
    pub(super) written: broadcast::Sender<Arc<[Record]>>,
    /// Held for as long as the thread runs.
    pub(super) lock: File,
}

/// What one transaction came to.
enum Failure {
    Write(rusqlite::Error),
    Unfit(JournalError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Write(error)
    }
}

impl Writer {
    /// Serves requests until the last of those who send them is gone.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut next = requests.blocking_recv();
        while let Some(request) = next.take() {
            match request {
                Request::Append(first) => {
                    let (batch, other) = gather(first, &mut requests);
                    self.append(batch);
                    next = other;
                }
                // Whoever asked may have gone away; nothing depends on the answer.
                Request::Retry(answer) => drop(answer.send(self.retry())),
                Request::Ping(answer) => {
                    let _ = answer.send(());
                }
                Request::Close(answer) => {
                    requests.close();
                    // Those that still wait are told so by their answers' being dropped.
                    while requests.try_recv().is_ok() {}
                    self.end();
                    let _ = answer.send(());
                    return;
                }
            }
            if next.is_none() {
                next = requests.blocking_recv();
            }
        }
        self.end();
    }

    /// Leaves everything in the one file, so that a copy of it alone is a backup. SQLite does that
    /// by itself only if nobody reads any more; if it fails, the next start does it.
    fn end(self) {
        let Self { connection, lock, .. } = self;
        let _ = connection.pragma_update_and_check(None, "wal_checkpoint", "truncate", |_| Ok(()));
        drop(connection);
        drop(lock);
    }

    fn append(&mut self, mut batch: Vec<Append>) {
        if let Health::Failed { problem } = self.health.borrow().clone() {
            for append in batch {
                let held = JournalError::Held { path: self.path.clone(), problem: problem.clone() };
                let _ = append.answer.send(Err(held));
            }
            return;
        }
        match self.commit(&batch) {
            Ok(records) => self.publish(batch, records),
            Err(Failure::Unfit(error)) => {
                // The state has taken in events that were not written.
                self.reread();
                if batch.len() == 1 {
                    let _ = batch.remove(0).answer.send(Err(error));
                } else {
                    for one in batch {
                        self.append(vec![one]);
                    }
                }
            }
            Err(Failure::Write(source)) => {
                let error =
                    JournalError::Write { path: self.path.clone(), source: Arc::new(source) };
                self.fail(&error);
                for append in batch {
                    let _ = append.answer.send(Err(error.clone()));
                }
            }
        }
    }

    /// Writes the batch in one transaction. On a failure the state is not to be used any further.
    fn commit(&mut self, batch: &[Append]) -> Result<Vec<Record>, Failure> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut records = Vec::new();
        let mut link = self.link;
        for append in batch {
            for (cluster, event) in &append.events {
                let (cluster, event) = (cluster.clone(), event.clone());
                let record = Record { seq: self.state.seq + 1, at: append.at, cluster, event };
                link = insert(&transaction, &link, &record)?;
                self.state
                    .apply(&record)
                    .map_err(|source| Failure::Unfit(JournalError::Misfit(Arc::new(source))))?;
                records.push(record);
            }
        }
        transaction.commit()?;
        self.link = link;
        Ok(records)
    }

    fn publish(&mut self, batch: Vec<Append>, records: Vec<Record>) {
        if let Err(error) = self.head.write(self.state.seq, &self.link) {
            // The records are safe. That they are could not be shown later, so nothing is added.
            let path = head::path_of(&self.path);
            let source = Arc::new(error);
            self.fail(&JournalError::File { what: "write", path, source });
        }
        let mut rest = records.clone().into_iter();
        // No subscriber is no error.
        let _ = self.written.send(Arc::from(records));
        for append in batch {
            let own = rest.by_ref().take(append.events.len()).collect();
            let _ = append.answer.send(Ok(own));
        }
    }

    fn fail(&self, error: &JournalError) {
        let problem = chain_of(error);
        tracing::error!(journal = %self.path.display(), problem, "the journal cannot be written");
        self.health.send_replace(Health::Failed { problem });
    }

    /// Brings the state back to what is recorded.
    fn reread(&mut self) -> bool {
        let found = match head::find(&self.path) {
            Ok(found) => found,
            Err(error) => {
                let (path, source) = (head::path_of(&self.path), Arc::new(error));
                self.fail(&JournalError::File { what: "read", path, source });
                return false;
            }
        };
        match fold::fold(&self.connection, &self.path, &found) {
            Ok(Folded { state, link }) => {
                self.state = state;
                self.link = link;
                true
            }
            Err(error) => {
                self.fail(&error);
                false
            }
        }
    }

    fn retry(&mut self) -> Result<(), JournalError> {
        if *self.health.borrow() == Health::Writing {
            return Ok(());
        }
        probe(&self.connection).map_err(|source| JournalError::Write {
            path: self.path.clone(),
            source: Arc::new(source),
        })?;
        if !self.reread() {
            let problem = match self.health.borrow().clone() {
                Health::Failed { problem } => problem,
                Health::Writing => String::new(),
            };
            return Err(JournalError::Held { path: self.path.clone(), problem });
        }
        self.head.write(self.state.seq, &self.link).map_err(|error| JournalError::File {
            what: "write",
            path: head::path_of(&self.path),
            source: Arc::new(error),
        })?;
        tracing::info!(journal = %self.path.display(), "the journal can be written again");
        self.health.send_replace(Health::Writing);
        Ok(())
    }
}

/// Takes what else is waiting to be appended, up to a bound; and what came that is no append.
fn gather(first: Append, requests: &mut mpsc::Receiver<Request>) -> (Vec<Append>, Option<Request>) {
    let mut events = first.events.len();
    let mut batch = vec![first];
    while events < BATCH {
        match requests.try_recv() {
            Ok(Request::Append(append)) => {
                events += append.events.len();
                batch.push(append);
            }
            Ok(other) => return (batch, Some(other)),
            Err(_) => break,
        }
    }
    (batch, None)
}

fn insert(
    transaction: &Transaction<'_>,
    previous: &Link,
    record: &Record,
) -> Result<Link, Failure> {
    let form = |error| Failure::Unfit(JournalError::Form(Arc::new(error)));
    let body = serde_json::to_string(&record.event).map_err(form)?;
    // What cannot be read back, such as a number that JSON does not have, must not get in: the
    // journal would not open any more.
    serde_json::from_str::<Event>(&body).map_err(form)?;
    let at = record.at.to_string();
    let cluster = record.cluster.as_ref().map(ClusterName::as_str);
    let row = Row {
        seq: record.seq,
        at: &at,
        at_ms: record.at.0,
        cluster: cluster.unwrap_or(""),
        kind: kind(&record.event),
        body: &body,
    };
    let link = chain::link(previous, row);
    let mut statement = transaction.prepare_cached(
        "INSERT INTO events (seq, at, at_ms, cluster, kind, body, chain) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    let (seq, at_ms) = (signed(row.seq)?, signed(row.at_ms)?);
    statement.execute((seq, row.at, at_ms, cluster, row.kind, row.body, link.as_slice()))?;
    Ok(link)
}

fn signed(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// Shows that there is room for a few large events, and gives it back.
fn probe(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT OR REPLACE INTO meta (key, value) VALUES ('probe', hex(zeroblob(?1)))",
        [PROBE_BYTES / 2],
    )?;
    connection.execute("DELETE FROM meta WHERE key = 'probe'", [])?;
    Ok(())
}

fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
