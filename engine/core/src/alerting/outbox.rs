//! What is still to be delivered, and what could not be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::Alert;
use super::told::GroupKey;
use crate::model::{ClusterName, ReceiverName, Timestamp};

/// An alert, and what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// The cluster; none: the monitor itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterName>,
    /// The alert.
    #[serde(flatten)]
    pub alert: Alert,
    /// Whether the receiver was not told before that it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub news: bool,
}

/// Why a group is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Nothing in it was known to fire.
    First,
    /// Something in it is new, worse or over.
    News,
    /// It has been so for a while.
    Repeat,
    /// Nothing in it fires any more.
    Over,
    /// Another receiver could not be told.
    Escalated,
}

impl Cause {
    /// Its name in events, output and guests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::News => "news",
            Self::Repeat => "repeat",
            Self::Over => "over",
            Self::Escalated => "escalated",
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A notification that is still to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Identifies it.
    pub id: u64,
    /// Where to.
    pub receiver: ReceiverName,
    /// The group it is about.
    pub group: GroupKey,
    /// Why it is told.
    pub cause: Cause,
    /// What about; what is news comes first.
    pub alerts: Vec<Subject>,
    /// How many further alerts fire in the group and are not in here.
    pub more: u32,
    /// When it was queued.
    pub queued: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// Not before this moment.
    pub due: Timestamp,
    /// What went wrong the last time.
    pub problem: Option<String>,
    /// Whether it is no longer tried by itself.
    pub dead: bool,
    /// Whether another receiver was told because this one could not be.
    pub escalated: bool,
}

/// What is still to be delivered, and what could not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Notification>,
    next_id: u64,
}

impl Outbox {
    /// The id for the next notification.
    pub const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Everything that is not delivered, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Notification> {
        self.entries.values()
    }

    /// The notification of that id, while it is not delivered.
    pub fn get(&self, id: u64) -> Option<&Notification> {
        self.entries.get(&id)
    }

    /// What may be tried now, with what is next: per receiver and group only the oldest that is not
    /// dead, so that a resolution never overtakes its alert, and a dead notification holds up nothing.
    pub fn heads(&self) -> impl Iterator<Item = &Notification> {
        let mut seen = BTreeSet::new();
        self.entries
            .values()
            .filter(|entry| !entry.dead)
            .filter(move |entry| seen.insert((&entry.receiver, &entry.group)))
    }

    /// Takes in a new notification.
    pub fn queue(&mut self, notification: Notification) {
        self.next_id = self.next_id.max(notification.id.saturating_add(1));
        self.entries.insert(notification.id, notification);
    }

    /// Takes in a failed attempt.
    pub fn tried(&mut self, id: u64, problem: String, again: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.tries = entry.tries.saturating_add(1);
            entry.due = again;
            entry.problem = Some(problem);
        }
    }

    /// Takes in a delivery, or that an operator has thrown it away.
    pub fn remove(&mut self, id: u64) -> Option<Notification> {
        self.entries.remove(&id)
    }

    /// Takes in that it is given up.
    pub fn died(&mut self, id: u64, problem: String) -> Option<&Notification> {
        let entry = self.entries.get_mut(&id)?;
        entry.tries = entry.tries.saturating_add(1);
        entry.dead = true;
        entry.problem = Some(problem);
        Some(entry)
    }

    /// Takes in that a dead one is tried again, as if it had been queued at `now`.
    pub fn retry(&mut self, id: u64, now: Timestamp) -> Option<&Notification> {
        let entry = self.entries.get_mut(&id).filter(|entry| entry.dead)?;
        (entry.dead, entry.tries) = (false, 0);
        (entry.queued, entry.due) = (now, now);
        Some(entry)
    }

    /// Takes in that another receiver was told instead.
    pub fn escalated(&mut self, id: u64) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.escalated = true;
        }
    }
}
