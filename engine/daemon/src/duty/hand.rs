//! Who commands, in which term: what each command to a server carries.

use std::sync::{Mutex, PoisonError};

use watchkeeper_core::model::{ClusterName, ServerName, Term};

use super::Way;

/// Who commands, in which term.
#[derive(Debug)]
pub struct Hand {
    /// The cluster.
    pub cluster: ClusterName,
    /// The term.
    pub term: Term,
    /// How the duty is shared.
    pub way: Way,
    /// The monitor's name and the first digits of its journal's identity.
    pub owner: String,
    /// Whether an operator said that this monitor is to have the duty.
    pub ordered: bool,
    /// What the first server that refused a command said.
    refused: Mutex<Option<Refusal>>,
}

/// A server refused a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The term that is in force there, if it said so.
    pub term: Term,
    /// Why, for people.
    pub why: String,
}

impl Hand {
    /// The hand of a monitor.
    pub const fn new(
        cluster: ClusterName,
        term: Term,
        way: Way,
        owner: String,
        ordered: bool,
    ) -> Self {
        Self { cluster, term, way, owner, ordered, refused: Mutex::new(None) }
    }

    /// What the first server that refused a command said: this monitor must not act any more.
    pub fn refused(&self) -> Option<Refusal> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes in that a server refused a command, by what it said.
    pub(crate) fn note(&self, server: &ServerName, said: &str) -> Refusal {
        let what = said;
        let term = what.split(' ').nth(1).and_then(|term| term.parse().ok()).unwrap_or_default();
        let why = format!(
            "{server} refuses commands of {} in term {}: {what} there",
            self.owner, self.term.0
        );
        let refusal = Refusal { term: Term(term), why };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.get_or_insert_with(|| refusal.clone());
        refusal
    }
}
