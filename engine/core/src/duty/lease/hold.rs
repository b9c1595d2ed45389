//! A duty that is held, as far as etcd knows.
//!
//! Invariants:
//! - A confirmation is a transaction that depends on the revision of the duty's key, which is the
//!   term: whoever was replaced is refused by etcd itself.
//! - When it is given, the state in etcd is what the journal held when it was asked for.
//! - A write that arrives late does not undo a later one: each depends on the revision that the one
//!   before it made.

use super::keys::{Identity, Keys, Shared};
use super::{Entry, Op, Transacted, Transaction, Unchanged};
use crate::model::{ClusterName, Term};
use crate::past::Past;

/// What the journal has on a cluster.
#[derive(Debug, Clone)]
pub struct Known {
    /// The number of the last record that changed it.
    pub version: u64,
    /// What a successor needs.
    pub past: Past,
}

/// A duty that is held.
#[derive(Debug, Clone)]
pub struct Hold {
    term: Term,
    lease: u64,
    /// The revision of the state's key; 0: it is not there.
    since: u64,
    /// The version that it has, if it is known.
    version: Option<u64>,
}

/// What etcd says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirmation {
    /// It is held, and what was asked for is done.
    Confirmed,
    /// An earlier write arrived after all: to be asked again.
    Again,
    /// It is another's, or nobody's.
    Over,
}

impl Hold {
    /// The duty was taken; `state` is what stood in etcd then.
    pub fn begin(term: Term, lease: u64, state: Option<&Entry>) -> Self {
        let since = state.map_or(0, |entry| entry.revision);
        Self { term, lease, since, version: None }
    }

    /// The term.
    pub const fn term(&self) -> Term {
        self.term
    }

    /// The lease that it hangs on.
    pub const fn lease(&self) -> u64 {
        self.lease
    }

    /// The version of the state that etcd certainly has, if there is one.
    pub const fn version(&self) -> Option<u64> {
        self.version
    }

    /// Has the state written the next time in any case.
    pub const fn write_again(&mut self) {
        self.version = None;
    }

    /// Writes the state if it has changed, and does `also`, if the duty is held.
    pub fn confirm(
        &self,
        keys: &Keys,
        cluster: &ClusterName,
        me: &Identity,
        known: &Known,
        also: &[Op],
    ) -> Result<Transaction, serde_json::Error> {
        let (duty, state) = (keys.duty(cluster), keys.state(cluster));
        let mut conditions = vec![Unchanged { key: duty.clone(), since: self.term.0 }];
        let mut then = also.to_vec();
        if self.version != Some(known.version) {
            conditions.push(Unchanged { key: state.clone(), since: self.since });
            let value = serde_json::to_string(&Shared {
                term: self.term,
                version: known.version,
                by: me.clone(),
                past: Box::new(known.past.clone()),
            })?;
            then.push(Op::Put { key: state.clone(), value, lease: None });
        }
        let otherwise = vec![Op::Get { key: duty }, Op::Get { key: state }];
        Ok(Transaction { conditions, then, otherwise })
    }

    /// Takes in what came of it; `version` is that of what was known when it was asked.
    pub fn conclude(&mut self, version: u64, answer: &Transacted) -> Confirmation {
        if answer.met {
            if self.version != Some(version) {
                self.since = answer.revision;
                self.version = Some(version);
            }
            return Confirmation::Confirmed;
        }
        let mut found = answer.found.iter().map(Option::as_ref);
        if found.next().flatten().is_none_or(|duty| duty.revision != self.term.0) {
            return Confirmation::Over;
        }
        self.since = found.next().flatten().map_or(0, |state| state.revision);
        self.version = None;
        Confirmation::Again
    }
}
