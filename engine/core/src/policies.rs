//! What is decided about a cluster's policies themselves: whether they are obeyed, and in which
//! revision.
//!
//! The configuration says which policies there are, and in which mode. What operators say on top of
//! that while the daemon runs is in the journal: to obey a policy that was only watched, or to go
//! back to the revision before. It holds over restarts and for whichever monitor has the duty, and
//! ends when the configuration or the file says something else.
//!
//! Invariants: a revision that was taken back does not come back by itself; what is gone back to was
//! in force before.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;
use crate::proposal::Revision;

/// How many revisions of a policy are kept, the one in force among them.
pub const KEPT: usize = 4;

/// Whether a policy is obeyed.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// What it says counts.
    #[default]
    Enforce,
    /// It is asked, and what it says is recorded, with what would have been decided; nothing comes
    /// of it.
    Shadow,
}

impl Mode {
    /// Whether it is the mode of a policy of which nothing else is said.
    pub const fn is_default(&self) -> bool {
        matches!(self, Self::Enforce)
    }

    /// As the configuration writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an operator said about a policy's mode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeOrder {
    /// The mode.
    pub mode: Mode,
    /// What the configuration said then. If it says something else, that counts.
    pub configured: Mode,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A revision that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// It. A file that holds it is not used.
    pub from: Revision,
    /// What is in force in its place.
    pub to: Revision,
    /// Who took it back; `watchkeeper` if that was after repeated failures.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What is known of one policy.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PolicyState {
    /// The revisions that came into force one after the other, the latest last.
    #[serde(default)]
    pub revisions: Vec<Revision>,
    /// What an operator said about its mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ModeOrder>,
    /// The revision that was taken back, as long as it would be in force otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
}

impl PolicyState {
    /// The mode that counts, by what the configuration says now.
    pub fn mode(&self, configured: Mode) -> Mode {
        match &self.mode {
            Some(order) if order.configured == configured => order.mode,
            _ => configured,
        }
    }

    /// What a rollback from `current` leads to: the last revision before it.
    pub fn before(&self, current: &Revision) -> Option<&Revision> {
        let at = self.revisions.iter().rposition(|it| it == current);
        self.revisions.get(..at.unwrap_or(self.revisions.len()))?.last()
    }

    /// Takes in that a revision came into force.
    pub fn loaded(&mut self, revision: &Revision) {
        if self.rolled_back.as_ref().is_some_and(|back| back.to != *revision) {
            self.rolled_back = None;
        }
        self.revisions.retain(|it| it != revision);
        self.revisions.push(revision.clone());
        let excess = self.revisions.len().saturating_sub(KEPT);
        self.revisions.drain(..excess);
    }

    /// Takes in that a revision was taken back.
    pub fn roll_back(&mut self, back: RolledBack) {
        self.revisions.retain(|it| *it != back.from);
        self.rolled_back = Some(back);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(digest: &str) -> Revision {
        Revision { digest: digest.to_owned(), version: "1".to_owned() }
    }

    fn back(from: &str, to: &str) -> RolledBack {
        let (from, to) = (revision(from), revision(to));
        let (by, reason) = ("ada".to_owned(), "it fails".to_owned());
        RolledBack { from, to, by, reason, at: Timestamp(1) }
    }

    #[test]
    fn a_second_rollback_goes_further_back_and_another_file_ends_it() {
        let mut policy = PolicyState::default();
        for digest in ["a", "b", "c"] {
            policy.loaded(&revision(digest));
        }
        assert_eq!(policy.before(&revision("c")), Some(&revision("b")));
        policy.roll_back(back("c", "b"));
        // A restart loads the same again, and it stays.
        for _ in 0..2 {
            policy.loaded(&revision("b"));
            assert_eq!(policy.rolled_back, Some(back("c", "b")));
        }
        assert_eq!(policy.before(&revision("b")), Some(&revision("a")));
        policy.roll_back(back("b", "a"));
        policy.loaded(&revision("a"));
        assert_eq!(policy.before(&revision("a")), None);
        policy.loaded(&revision("d"));
        assert_eq!(policy.rolled_back, None);
        assert_eq!(policy.before(&revision("d")), Some(&revision("a")));
    }

    #[test]
    fn only_the_last_revisions_are_kept_and_each_once() {
        let mut policy = PolicyState::default();
        for digest in ["a", "b", "a", "b", "c", "d", "e"] {
            policy.loaded(&revision(digest));
        }
        let kept: Vec<&str> = policy.revisions.iter().map(|it| it.digest.as_str()).collect();
        assert_eq!(kept, ["b", "c", "d", "e"]);
        assert_eq!(policy.before(&revision("unknown")), Some(&revision("e")));
    }

    #[test]
    fn an_order_holds_until_the_configuration_says_something_else() {
        let order = ModeOrder {
            mode: Mode::Enforce,
            configured: Mode::Shadow,
            by: "ada".to_owned(),
            reason: "a good week".to_owned(),
            at: Timestamp(1),
        };
        let promoted = PolicyState { mode: Some(order), ..PolicyState::default() };
        assert_eq!(promoted.mode(Mode::Shadow), Mode::Enforce);
        assert_eq!(promoted.mode(Mode::Enforce), Mode::Enforce);
        assert_eq!(PolicyState::default().mode(Mode::Shadow), Mode::Shadow);
        let demoted =
            ModeOrder { mode: Mode::Shadow, configured: Mode::Enforce, ..promoted.mode.unwrap() };
        let demoted = PolicyState { mode: Some(demoted), ..PolicyState::default() };
        assert_eq!(demoted.mode(Mode::Enforce), Mode::Shadow);
        assert_eq!(demoted.mode(Mode::Shadow), Mode::Shadow);
    }
}
