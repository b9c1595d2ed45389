//! What stands in etcd, as far as it was heard of.
//!
//! Fed by a watch and, in case that is silent, by comparing with what is there now and then. Each key
//! remembers the last revision that was heard of, its removal included, so news that comes late or
//! twice changes nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::duty::share::{self, Watched};
use crate::model::{ClusterName, MonitorName};

use super::keys::{Alive, Identity, Keys, Place, Wanted};
use super::{Entry, Index, News};

/// A key's last news.
#[derive(Debug)]
struct Slot {
    heard: u64,
    entry: Option<Entry>,
}

/// A monitor that is alive.
#[derive(Debug, Clone)]
pub struct Neighbour {
    /// What its key says.
    pub alive: Alive,
    /// The lease that it hangs on.
    pub lease: u64,
    /// When it was heard of first, on this lease.
    pub since: Duration,
}

/// Who has the duty for a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// None: what stands there cannot be read.
    pub identity: Option<Identity>,
    /// The term.
    pub revision: u64,
    /// The lease that it hangs on.
    pub lease: u64,
}

/// What stands in etcd.
#[derive(Debug)]
pub struct Board {
    keys: Keys,
    slots: BTreeMap<String, Slot>,
    neighbours: BTreeMap<MonitorName, Neighbour>,
    wanted: BTreeMap<ClusterName, MonitorName>,
    assigned: BTreeMap<ClusterName, MonitorName>,
    /// Since when a cluster's duty has been free, where it is.
    free: BTreeMap<ClusterName, Duration>,
}

impl Board {
    /// Nothing was heard yet.
    pub fn new(keys: Keys) -> Self {
        Self {
            keys,
            slots: BTreeMap::new(),
            neighbours: BTreeMap::new(),
            wanted: BTreeMap::new(),
            assigned: BTreeMap::new(),
            free: BTreeMap::new(),
        }
    }

    /// The keys of which `index` knows more than was heard. Those that are gone are taken out.
    pub fn compare(&mut self, index: &Index, now: Duration) -> Vec<String> {
        let there: BTreeMap<&str, u64> =
            index.entries.iter().map(|entry| (entry.key.as_str(), entry.revision)).collect();
        let at = index.revision;
        let gone: Vec<String> = self
            .slots
            .iter()
            .filter(|(key, slot)| {
                slot.entry.is_some() && slot.heard <= at && !there.contains_key(key.as_str())
            })
            .map(|(key, _)| key.clone())
            .collect();
        for key in gone {
            self.take_in(News::Deleted { key, revision: at }, now);
        }
        let known = |key: &str| self.slots.get(key).map_or(0, |slot| slot.heard);
        there
            .into_iter()
            .filter(|(key, revision)| *revision > known(key) && self.keys.place(key).is_some())
            .map(|(key, _)| key.to_owned())
            .collect()
    }

    /// Takes in what became of a key.
    pub fn take_in(&mut self, news: News, now: Duration) {
        let (key, heard, entry) = match news {
            News::Put(entry) => (entry.key.clone(), entry.revision, Some(entry)),
            News::Deleted { key, revision } => (key, revision, None),
        };
        let Some(place) = self.keys.place(&key) else { return };
        let slot = self.slots.entry(key).or_insert(Slot { heard: 0, entry: None });
        // A removal that was inferred bears the revision at which the key was found missing.
        if heard < slot.heard || (heard == slot.heard && entry.is_some() == slot.entry.is_some()) {
            return;
        }
        *slot = Slot { heard, entry };
        match place {
            Place::Monitor(name) => self.neighbour(name, now),
            Place::Wanted(name) => self.want(name),
            Place::Duty(name) => return self.duty_moved(name, now),
            Place::State(_) => return,
        }
        self.assigned = share::assign(&self.watched(), &self.wanted);
    }

    fn neighbour(&mut self, name: MonitorName, now: Duration) {
        let key = self.keys.monitor(&name);
        let before = self.neighbours.remove(&name);
        let Some(entry) = self.entry(&key) else { return };
        let lease = entry.lease;
        let Ok(alive) = serde_json::from_slice::<Alive>(&entry.value) else { return };
        let since = before.filter(|it| it.lease == lease).map(|it| it.since);
        let since = since.unwrap_or(now);
        self.neighbours.insert(name, Neighbour { alive, lease, since });
    }

    fn want(&mut self, name: ClusterName) {
        let entry = self.entry(&self.keys.wanted(&name));
        let wanted = entry.and_then(|entry| serde_json::from_slice::<Wanted>(&entry.value).ok());
        match wanted {
            Some(Wanted { monitor }) => self.wanted.insert(name, monitor),
            None => self.wanted.remove(&name),
        };
    }

    fn duty_moved(&mut self, name: ClusterName, now: Duration) {
        if self.entry(&self.keys.duty(&name)).is_some() {
            self.free.remove(&name);
        } else {
            self.free.entry(name).or_insert(now);
        }
    }

    fn watched(&self) -> Watched {
        self.neighbours
            .iter()
            .map(|(name, neighbour)| (name.clone(), neighbour.alive.clusters.clone()))
            .collect()
    }

    fn entry(&self, key: &str) -> Option<&Entry> {
        self.slots.get(key)?.entry.as_ref()
    }

    /// Who has the duty for a cluster, if anyone has.
    pub fn holder(&self, cluster: &ClusterName) -> Option<Holder> {
        let entry = self.entry(&self.keys.duty(cluster))?;
        Some(Holder {
            identity: serde_json::from_slice(&entry.value).ok(),
            revision: entry.revision,
            lease: entry.lease,
        })
    }

    /// Since when the duty for a cluster has been free. Asked for the first time: since now.
    pub fn free_since(&mut self, cluster: &ClusterName, now: Duration) -> Duration {
        *self.free.entry(cluster.clone()).or_insert(now)
    }

    /// Where a cluster stands, as it was written.
    pub fn state(&self, cluster: &ClusterName) -> Option<&Entry> {
        self.entry(&self.keys.state(cluster))
    }

    /// Who should have the duty for a cluster.
    pub fn assigned(&self, cluster: &ClusterName) -> Option<&MonitorName> {
        self.assigned.get(cluster)
    }

    /// How many clusters a monitor should have the duty for at the most.
    pub fn share(&self) -> usize {
        share::share(&self.watched())
    }

    /// Who should have it if `not` were not there.
    pub fn assigned_without(
        &self,
        cluster: &ClusterName,
        not: &MonitorName,
    ) -> Option<MonitorName> {
        let mut watched = self.watched();
        watched.remove(not);
        let mut wanted = self.wanted.clone();
        wanted.remove(cluster);
        share::assign(&watched, &wanted).remove(cluster)
    }

    /// Whether an operator wants the monitor that should have a cluster's duty to have it.
    pub fn is_wanted(&self, cluster: &ClusterName, monitor: &MonitorName) -> bool {
        self.wanted.get(cluster) == Some(monitor)
    }

    /// A monitor that is alive.
    pub fn monitor(&self, name: &MonitorName) -> Option<&Neighbour> {
        self.neighbours.get(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::ZERO;

    fn put(key: &str, value: &str, revision: u64) -> News {
        let (key, value) = (key.to_owned(), value.as_bytes().to_vec());
        News::Put(Entry { key, value, revision, lease: 1 })
    }

    fn index(revision: u64, entries: &[(&str, u64)]) -> Index {
        let entries = entries.iter().map(|(key, revision)| Entry {
            key: (*key).to_owned(),
            value: Vec::new(),
            revision: *revision,
            lease: 1,
        });
        Index { revision, raft_term: 1, entries: entries.collect() }
    }

    #[test]
    fn news_that_comes_late_or_twice_changes_nothing() {
        let mut board = Board::new(Keys::new("/wk"));
        let (prod, duty) = (ClusterName::new("prod").unwrap(), "/wk/clusters/prod/duty");
        board.take_in(put(duty, r#"{"monitor":"vp1","journal":"a"}"#, 5), NOW);
        assert_eq!(board.holder(&prod).unwrap().revision, 5);
        board.take_in(News::Deleted { key: duty.to_owned(), revision: 9 }, NOW);
        board.take_in(put(duty, "{}", 7), NOW);
        assert_eq!(board.holder(&prod), None);
        board.take_in(put(duty, "not what it should be", 10), NOW);
        assert_eq!(board.holder(&prod).unwrap().identity, None);
    }

    #[test]
    fn what_the_watch_missed_is_found_by_comparing() {
        let mut board = Board::new(Keys::new("/wk"));
        let prod = ClusterName::new("prod").unwrap();
        let (duty, state) = ("/wk/clusters/prod/duty", "/wk/clusters/prod/state");
        board.take_in(put(duty, "{}", 5), NOW);
        board.take_in(put(state, "{}", 6), NOW);
        let missed = board.compare(&index(12, &[(state, 11), ("/wk/other", 4)]), NOW);
        assert_eq!(missed, [state]);
        assert_eq!(board.holder(&prod), None, "it is gone");
        // What is older than what was heard says nothing.
        board.take_in(put(duty, "{}", 20), NOW);
        assert!(board.compare(&index(15, &[(state, 6)]), NOW).is_empty());
        assert!(board.holder(&prod).is_some());
    }

    #[test]
    fn who_is_alive_and_what_is_wanted_says_who_should_have_it() {
        let mut board = Board::new(Keys::new("/wk"));
        let prod = ClusterName::new("prod").unwrap();
        let alive = r#"{"journal":"a","clusters":["prod"]}"#;
        board.take_in(put("/wk/monitors/vp1", alive, 1), NOW);
        board.take_in(put("/wk/monitors/vp2", alive, 2), NOW);
        for name in ["vp1", "vp2"] {
            board.take_in(
                put(
                    "/wk/clusters/prod/wanted",
                    &format!(r#"{{"monitor":"{name}"}}"#),
                    3 + u64::from(name == "vp2"),
                ),
                NOW,
            );
            assert_eq!(board.assigned(&prod).unwrap().as_str(), name);
        }
        let vp2 = MonitorName::new("vp2").unwrap();
        assert_eq!(board.assigned_without(&prod, &vp2).unwrap().as_str(), "vp1");
        board.take_in(News::Deleted { key: "/wk/monitors/vp2".to_owned(), revision: 9 }, NOW);
        assert_eq!(board.assigned(&prod).unwrap().as_str(), "vp1");
    }
}
