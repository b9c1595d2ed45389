//! The repositories' replication, sequences and rows, as far as SQL can see them.
//!
//! State only: no WAL is written or sent. The figures answer as PostgreSQL 15's views would.

use std::collections::{BTreeMap, BTreeSet};

/// The four lags that Data Mover's sync log reports, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lags {
    /// Generated, not sent.
    pub sending: u64,
    /// Sent, not written.
    pub receiving: u64,
    /// Written, not flushed.
    pub write: u64,
    /// Flushed, not applied.
    pub replay: u64,
}

impl Lags {
    /// Generated, not applied.
    pub(crate) const fn total(&self) -> u64 {
        self.sending
            .saturating_add(self.receiving)
            .saturating_add(self.write)
            .saturating_add(self.replay)
    }
}

/// The publisher's position in the WAL, as PostgreSQL prints it; a fixed figure, since nothing is
/// written.
pub(crate) const CURRENT_LSN: &str = "5/0";

/// Each table with the sequence that numbers its rows, and the greatest number at the start.
pub(crate) const TABLES: [(&str, &str, i64); 2] =
    [("job", "job_id_seq", 1042), ("task", "task_id_seq", 9001)];

/// What one repository receives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) name: String,
    pub(crate) enabled: bool,
    /// The server that sends.
    pub(crate) from: usize,
    /// Its slot there; none: taken from it.
    pub(crate) slot: Option<String>,
    /// Whether the first copy of the tables is complete.
    pub(crate) copied: bool,
}

/// One server's database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) subscription: Option<Subscription>,
    pub(crate) publications: BTreeSet<String>,
    pub(crate) slots: BTreeSet<String>,
    /// The last value of each sequence; not replicated. None: never used.
    pub(crate) sequences: BTreeMap<String, Option<i64>>,
    /// The greatest number in each table; replicated. None: the table is empty.
    pub(crate) rows: BTreeMap<String, Option<i64>>,
}

/// The databases of all servers that have one, and what goes wrong between them.
#[derive(Debug, Clone)]
pub(crate) struct Replication {
    pub(crate) databases: BTreeMap<usize, Database>,
    pub(crate) lags: Lags,
    /// The apply worker fails and is started again, over and over.
    pub(crate) broken: bool,
    /// How often it failed.
    pub(crate) apply_errors: u64,
}

impl Replication {
    pub(crate) fn new(subscription: &str, publisher: usize, subscriber: usize) -> Self {
        let rows: BTreeMap<_, _> =
            TABLES.into_iter().map(|(table, _, last)| (table.to_owned(), Some(last))).collect();
        let sequences = |used: bool| {
            TABLES
                .into_iter()
                .map(|(_, sequence, last)| (sequence.to_owned(), used.then_some(last)))
                .collect()
        };
        let sender = Database {
            publications: BTreeSet::from([subscription.to_owned()]),
            slots: BTreeSet::from([subscription.to_owned()]),
            sequences: sequences(true),
            rows: rows.clone(),
            ..Database::default()
        };
        let receiver = Database {
            subscription: Some(Subscription {
                name: subscription.to_owned(),
                enabled: true,
                from: publisher,
                slot: Some(subscription.to_owned()),
                copied: true,
            }),
            sequences: sequences(false),
            rows,
            ..Database::default()
        };
        Self {
            databases: BTreeMap::from([(subscriber, receiver), (publisher, sender)]),
            lags: Lags::default(),
            broken: false,
            apply_errors: 0,
        }
    }

    /// Who could receive from whom by what the databases hold, as (receiver, sender).
    pub(crate) fn routes(&self) -> Vec<(usize, usize)> {
        let wants = |database: &Database| database.subscription.clone().filter(|it| it.enabled);
        self.databases
            .iter()
            .filter_map(|(to, database)| Some((*to, wants(database)?)))
            .filter(|(_, it)| {
                let slots = self.databases.get(&it.from).map(|sender| &sender.slots);
                slots.zip(it.slot.as_ref()).is_some_and(|(slots, slot)| slots.contains(slot))
            })
            .map(|(to, it)| (to, it.from))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_needs_a_slot_and_an_enabled_subscription() {
        let mut it = Replication::new("s", 0, 1);
        assert_eq!(it.routes(), [(1, 0)]);
        let taken = it.databases.get_mut(&0).unwrap().slots.take("s").unwrap();
        assert_eq!(it.routes(), []);
        it.databases.get_mut(&0).unwrap().slots.insert(taken);
        it.databases.get_mut(&1).unwrap().subscription.as_mut().unwrap().enabled = false;
        assert_eq!(it.routes(), []);
    }
}
