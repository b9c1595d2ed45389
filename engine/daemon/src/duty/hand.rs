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

/// The greatest term that a server is believed to have seen. An operator who takes the duty goes beyond what the
/// servers say, and a server that lies must not use all terms up.
const GREATEST: u64 = 1 << 53;

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
        let term = what.split(' ').nth(1).and_then(|term| term.parse().ok());
        let term = term.filter(|term| *term <= GREATEST).unwrap_or_default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_lies_uses_no_terms_up() {
        let name = ClusterName::new("prod").unwrap();
        let server = ServerName::new("dm1").unwrap();
        for (said, term) in [
            ("term 7 of vp2-1 is in force", 7),
            ("term 18446744073709551615 of vp2-1 is in force", 0),
            ("term 9223372036854775807 of vp2-1 is in force", 0),
            ("term -1 of vp2-1 is in force", 0),
            ("term", 0),
        ] {
            let hand = Hand::new(name.clone(), Term(3), Way::Alone, "vp1-0".to_owned(), false);
            let refusal = hand.note(&server, said);
            assert_eq!(refusal.term, Term(term), "{said}");
            assert!(refusal.why.contains(said), "it is told all the same");
        }
    }
}
