//! The leave to act, which is asked for again and again: before a step, and within it before each
//! change that no server checks.
//!
//! What is run on a server is refused there if the term is over ([`super::mark`]). A statement to a
//! repository is not, nor is a command on this machine. Between the beginning of a step and such a
//! change the monitor may have been paused, and another may have the duty by now (invariant 2).

use std::sync::OnceLock;

use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, Term};

use crate::duty::{Duties, Hand};

/// The leave to act for a cluster in a term.
pub(super) struct Leave<'a> {
    duties: &'a Duties,
    cluster: &'a ClusterName,
    term: Term,
    hand: Option<Hand>,
    withdrawn: OnceLock<String>,
}

impl<'a> Leave<'a> {
    /// In `term`; with a `hand` if servers keep marks.
    pub(super) const fn new(
        duties: &'a Duties,
        cluster: &'a ClusterName,
        term: Term,
        hand: Option<Hand>,
    ) -> Self {
        Self { duties, cluster, term, hand, withdrawn: OnceLock::new() }
    }

    /// The term.
    pub(super) const fn term(&self) -> Term {
        self.term
    }

    /// Who commands, for servers that keep a mark.
    pub(super) const fn hand(&self) -> Option<&Hand> {
        self.hand.as_ref()
    }

    /// Whether this monitor may still act. The error is for people; after it nothing more may be
    /// done with this leave.
    pub(super) async fn ask(&self) -> Result<(), String> {
        let lost = match self.duties.of(self.cluster).duty {
            Duty::Held(term) if term == self.term => {
                self.duties.admit(self.cluster, self.term).await
            }
            Duty::Held(term) => Err(format!("term {} has begun", term.0)),
            Duty::NotHeld(why) | Duty::Uncertain(why) => Err(why),
        };
        lost.inspect_err(|why| {
            tracing::warn!(cluster = %self.cluster, why, "the plan waits for the duty");
            let _ = self.withdrawn.set(why.clone());
        })
    }

    /// Gives the other monitor a moment to hear what the journal holds by now.
    pub(super) async fn tell(&self) {
        self.duties.tell(self.cluster, self.term).await;
    }

    /// Whether it was withdrawn, by a server or by the duty: how a step ended during which that
    /// happened is for the successor to see.
    pub(super) fn is_withdrawn(&self) -> bool {
        if let Some(refusal) = self.hand.as_ref().and_then(Hand::refused) {
            self.duties.refuse(self.cluster, self.term, refusal);
            return true;
        }
        self.withdrawn.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use tokio::sync::watch;
    use watchkeeper_core::duty::Change;
    use watchkeeper_core::event::Event;
    use watchkeeper_core::model::{MonitorName, Timestamp};

    use super::*;
    use crate::config::duty::{DutyConfig, Mode};
    use crate::duty::Keeper;
    use crate::journal::Journal;
    use crate::ledger::Ledger;

    #[tokio::test]
    async fn it_is_withdrawn_in_the_middle_and_stays_so() {
        let dir = tempfile::tempdir().unwrap();
        let (monitor, prod) = (MonitorName::new("vp1").unwrap(), ClusterName::new("prod").unwrap());
        let (journal, state) =
            Journal::open(&dir.path().join("journal.db"), &monitor, Timestamp(1)).unwrap();
        let ledger = Arc::new(Ledger::new(journal, state).await.unwrap());
        let clusters = watch::Sender::new(BTreeSet::from([prod.clone()]));
        let config = DutyConfig { mode: Mode::Alone, observe: Duration::ZERO };
        let keeper =
            Keeper::start(&config, monitor, Arc::clone(&ledger), clusters.subscribe()).await;
        let keeper = keeper.unwrap();
        let mut duties = keeper.duties();
        let term = loop {
            if let Duty::Held(term) = duties.of(&prod).duty {
                break term;
            }
            duties.changed().await;
        };
        let still = duties.clone();
        let leave = Leave::new(&still, &prod, term, None);
        leave.ask().await.unwrap();
        assert!(!leave.is_withdrawn());

        let left = Change::Left { term: Term(9), holder: None, why: "a test".to_owned() };
        ledger.record(vec![(Some(prod.clone()), Event::Duty(left))]).await.unwrap();
        while matches!(duties.of(&prod).duty, Duty::Held(_)) {
            duties.changed().await;
        }
        let refused = leave.ask().await.unwrap_err();
        assert!(refused.contains("left after term 9"), "{refused}");
        assert!(leave.is_withdrawn());
        keeper.end().await;
    }
}
