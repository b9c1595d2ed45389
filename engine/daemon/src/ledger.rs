//! The journal and its fold, kept in step.
//!
//! Everything that changes what is known goes through [`Ledger::record`]: durable first, applied
//! second, visible third. While the journal cannot be written nothing changes at all, so nothing
//! is acted on either (invariants 4 and 8).

use tokio::sync::{Mutex, watch};
use watchkeeper_core::event::Record;
use watchkeeper_core::model::{ClusterName, Term};
use watchkeeper_core::state::{ApplyError, ClusterState, State};

use crate::clock;
use crate::errors::chain;
use crate::journal::{Events, Follower, Health, Journal, JournalError};

/// Why something could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The journal could not be written.
    #[error("the journal could not be written")]
    Journal(#[from] JournalError),
    /// What was written does not fit what is known: an error of this program's own. Nothing is
    /// recorded any more, and so nothing is acted on.
    #[error("the journal holds a record that does not fit the ones before it")]
    Apply(#[from] ApplyError),
    /// That happened before.
    #[error("the state is unusable since a record did not fit; restart the daemon")]
    Poisoned,
}

/// The journal and its fold.
pub struct Ledger {
    journal: Journal,
    folded: Mutex<Folded>,
    /// The last record's number, for those who wait for news.
    seq: watch::Sender<u64>,
    /// Why nothing could be recorded the last time something was to be.
    trouble: watch::Sender<Option<String>>,
}

struct Folded {
    state: State,
    /// Every record in its order, whoever wrote it: the deliverer writes as well.
    follower: Follower,
    poisoned: bool,
}

impl Ledger {
    /// A journal that was just opened, and the fold of what it holds.
    pub async fn new(journal: Journal, state: State) -> Result<Self, JournalError> {
        let follower = journal.follow(state.seq).await?;
        let seq = watch::Sender::new(state.seq);
        let folded = Mutex::new(Folded { state, follower, poisoned: false });
        Ok(Self { journal, folded, seq, trouble: watch::Sender::default() })
    }

    /// Records events, all or none, and takes them in.
    pub async fn record(&self, events: Events) -> Result<Vec<Record>, LedgerError> {
        self.record_with(|_| events).await
    }

    /// Records what `write` makes of the state as it is at that moment: nobody else can record
    /// anything in between.
    pub async fn record_with(
        &self,
        write: impl FnOnce(&State) -> Events,
    ) -> Result<Vec<Record>, LedgerError> {
        let result = self.try_record(write).await;
        let trouble = match &result {
            Ok(_) => None,
            // These events cannot be recorded; that says nothing about others.
            Err(LedgerError::Journal(JournalError::Misfit(_) | JournalError::Form(_))) => {
                return result;
            }
            Err(error) => Some(chain(error)),
        };
        self.trouble.send_if_modified(|known| {
            let news = *known != trouble;
            *known = trouble;
            news
        });
        result
    }

    async fn try_record(
        &self,
        write: impl FnOnce(&State) -> Events,
    ) -> Result<Vec<Record>, LedgerError> {
        let mut folded = self.folded.lock().await;
        folded.catch_up().await?;
        let events = write(&folded.state);
        if events.is_empty() && self.trouble.borrow().is_none() {
            return Ok(Vec::new());
        }
        if events.is_empty() || !matches!(*self.journal.health().borrow(), Health::Writing) {
            // It takes nothing until it has been tried again, and this is the moment.
            self.journal.retry().await?;
        }
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let records = self.journal.append(clock::now(), events).await?;
        folded.catch_up().await?;
        self.seq.send_replace(folded.state.seq);
        Ok(records)
    }

    /// What is known of one cluster.
    pub async fn cluster(&self, name: &ClusterName) -> ClusterState {
        self.with(|state| state.cluster(name)).await
    }

    /// Looks at everything that is known.
    pub async fn with<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        let mut folded = self.folded.lock().await;
        if let Err(error) = folded.catch_up().await {
            // What is known stays known; whoever wants to record something is told.
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the latest records cannot be taken in"
            );
        }
        look(&folded.state)
    }

    /// The current term.
    pub async fn term(&self) -> Term {
        self.folded.lock().await.state.term
    }

    /// Changes with each record.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    /// Why nothing can be recorded; none while it can be.
    pub fn trouble(&self) -> watch::Receiver<Option<String>> {
        self.trouble.subscribe()
    }

    /// The journal, for reading.
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }
}

impl Folded {
    /// Takes in what has been written since the last time.
    async fn catch_up(&mut self) -> Result<(), LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned);
        }
        for record in self.follower.ready().await? {
            if let Err(error) = self.state.apply(&record) {
                self.poisoned = true;
                return Err(error.into());
            }
        }
        Ok(())
    }
}
