//! What stands where in etcd. Other programs may read it; docs/operations.md lists it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

use crate::model::{ClusterName, MonitorName, Term};
use crate::past::Past;

/// The names of the keys.
#[derive(Debug, Clone)]
pub struct Keys {
    prefix: String,
}

/// What a key is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A monitor that is alive.
    Monitor(MonitorName),
    /// Who has the duty for a cluster.
    Duty(ClusterName),
    /// Where the cluster stands.
    State(ClusterName),
    /// Who is to have the duty.
    Wanted(ClusterName),
}

impl Keys {
    /// Those that begin with `prefix`.
    pub fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// What all keys begin with.
    pub fn all(&self) -> String {
        format!("{}/", self.prefix)
    }

    /// A monitor that is alive.
    pub fn monitor(&self, name: &MonitorName) -> String {
        format!("{}/monitors/{name}", self.prefix)
    }

    /// Who has the duty for a cluster.
    pub fn duty(&self, cluster: &ClusterName) -> String {
        format!("{}/clusters/{cluster}/duty", self.prefix)
    }

    /// Where the cluster stands.
    pub fn state(&self, cluster: &ClusterName) -> String {
        format!("{}/clusters/{cluster}/state", self.prefix)
    }

    /// Who is to have the duty.
    pub fn wanted(&self, cluster: &ClusterName) -> String {
        format!("{}/clusters/{cluster}/wanted", self.prefix)
    }

    /// What all keys begin with that say what a monitor sees.
    pub fn all_sights(&self) -> String {
        format!("{}/sights/", self.prefix)
    }

    /// What this monitor sees of the servers.
    pub fn sights(&self, name: &MonitorName) -> String {
        format!("{}{name}", self.all_sights())
    }

    /// Whose sights a key has.
    pub fn sees(&self, key: &str) -> Option<MonitorName> {
        MonitorName::new(key.strip_prefix(&self.all_sights())?).ok()
    }

    /// What a key is for; none: it is not one of these.
    pub fn place(&self, key: &str) -> Option<Place> {
        let rest = key.strip_prefix(&self.prefix)?.strip_prefix('/')?;
        if let Some(name) = rest.strip_prefix("monitors/") {
            return MonitorName::new(name).ok().map(Place::Monitor);
        }
        let (name, what) = rest.strip_prefix("clusters/")?.split_once('/')?;
        let name = ClusterName::new(name).ok()?;
        match what {
            "duty" => Some(Place::Duty(name)),
            "state" => Some(Place::State(name)),
            "wanted" => Some(Place::Wanted(name)),
            _ => None,
        }
    }
}

/// A daemon: two that are given the same name have different journals.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its name.
    pub monitor: MonitorName,
    /// Its journal's.
    pub journal: String,
}

/// The value of a monitor's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alive {
    /// Its journal's name.
    pub journal: String,
    /// The clusters that it watches.
    pub clusters: BTreeSet<ClusterName>,
}

/// The value of `wanted`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// Who is to have it.
    pub monitor: MonitorName,
}

/// The value of `state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Of the one who wrote it.
    pub term: Term,
    /// Rises with each change within the term: the number of a record of its journal.
    pub version: u64,
    /// Who wrote it.
    #[serde(flatten)]
    pub by: Identity,
    /// Where the cluster stands.
    pub past: Box<Past>,
}

impl Shared {
    /// Whether the journal `journal`, whose last record about the cluster is `version`, has all of
    /// this by itself.
    pub fn is_own(&self, me: &Identity, version: u64) -> bool {
        self.by == *me && self.version <= version
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_say_what_they_are_for() {
        let keys = Keys::new("/wk");
        let (cluster, monitor) =
            (ClusterName::new("prod").unwrap(), MonitorName::new("vp1").unwrap());
        let cases = [
            (keys.monitor(&monitor), Place::Monitor(monitor)),
            (keys.duty(&cluster), Place::Duty(cluster.clone())),
            (keys.state(&cluster), Place::State(cluster.clone())),
            (keys.wanted(&cluster), Place::Wanted(cluster)),
        ];
        for (key, place) in cases {
            assert!(key.starts_with(&keys.all()));
            assert_eq!(keys.place(&key), Some(place), "{key}");
        }
        for other in ["/wkx/monitors/vp1", "/wk/clusters/prod", "/wk/clusters/prod/note", "/wk/"] {
            assert_eq!(keys.place(other), None, "{other}");
        }
        let vp1 = MonitorName::new("vp1").unwrap();
        assert_eq!(keys.sees(&keys.sights(&vp1)), Some(vp1));
        assert_eq!(keys.sees("/wk/monitors/vp1"), None);
        assert_eq!(keys.place("/wk/sights/vp1"), None);
    }
}
