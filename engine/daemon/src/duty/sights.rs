//! What each monitor sees of the servers, told to the others: a monitor is a vantage too.
//!
//! A cluster's task puts in what it sees and takes out what the others see; how it gets from one to the other
//! is a matter of the way in which the duty is shared. Nothing here decides anything, and what
//! another monitor says is never a proof that a server is gone. It is told with its age and not with its
//! time, since clocks differ.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use watchkeeper_core::model::{ClusterName, MonitorName, ServerName};

/// How old what a monitor sees may be, for it to be worth telling or hearing: a server is looked at far more
/// often.
const WORTH: Duration = Duration::from_mins(1);

/// What a monitor found when it last looked at a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// It answers.
    Alive,
    /// Nothing comes back.
    Silent,
}

/// The same, as it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sight {
    found: Found,
    /// How long ago that was, in milliseconds.
    ago_ms: u64,
}

/// All that a monitor tells.
pub(crate) type Told = BTreeMap<ClusterName, BTreeMap<ServerName, Sight>>;

/// What one monitor sees, and when it saw it.
type Seen = BTreeMap<ClusterName, BTreeMap<ServerName, (Found, Instant)>>;

/// What this monitor sees, and what the others do. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sights {
    own: Arc<Mutex<Seen>>,
    others: Arc<Mutex<BTreeMap<MonitorName, Seen>>>,
}

impl Sights {
    /// Takes in what this monitor sees of a cluster's servers.
    pub fn saw(&self, cluster: &ClusterName, servers: BTreeMap<ServerName, (Found, Instant)>) {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(cluster.clone(), servers);
    }

    /// What the other monitors find of a server, and when they did.
    pub fn of(
        &self,
        cluster: &ClusterName,
        server: &ServerName,
        now: Instant,
    ) -> Vec<(MonitorName, Found, Instant)> {
        let others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let found = others.iter().filter_map(|(monitor, seen)| {
            let (found, at) = seen.get(cluster)?.get(server)?;
            (now - *at <= WORTH).then(|| (monitor.clone(), *found, *at))
        });
        found.collect()
    }

    /// What to tell the others about these clusters.
    pub(super) fn told(&self, now: Instant, clusters: impl Fn(&ClusterName) -> bool) -> Told {
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let told = own.iter().filter(|(name, _)| clusters(name)).map(|(name, servers)| {
            let servers = servers.iter().filter_map(|(server, (found, at))| {
                let ago = now - *at;
                let ago_ms = u64::try_from(ago.as_millis()).ok()?;
                (ago <= WORTH).then(|| (server.clone(), Sight { found: *found, ago_ms }))
            });
            (name.clone(), servers.collect())
        });
        told.collect()
    }

    /// Takes in what another monitor told at `at`.
    pub(super) fn heard(&self, from: &MonitorName, told: &Told, at: Instant) {
        let seen = told.iter().map(|(cluster, servers)| {
            let servers = servers.iter().filter_map(|(server, sight)| {
                let at = at.checked_sub(Duration::from_millis(sight.ago_ms))?;
                Some((server.clone(), (sight.found, at)))
            });
            (cluster.clone(), servers.collect())
        });
        let seen: Seen = seen.collect();
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        others.insert(from.clone(), seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_monitor_sees_another_hears_with_its_age() {
        let (prod, test) = (ClusterName::new("prod").unwrap(), ClusterName::new("test").unwrap());
        let (dm1, vp2) = (ServerName::new("dm1").unwrap(), MonitorName::new("vp2").unwrap());
        let (there, here) = (Sights::default(), Sights::default());
        let saw = Instant::now();
        for cluster in [&prod, &test] {
            there.saw(cluster, [(dm1.clone(), (Found::Alive, saw))].into());
        }
        let now = saw + Duration::from_millis(700);
        let told = there.told(now, |cluster| *cluster == prod);
        let json = serde_json::to_string(&told).unwrap();
        assert_eq!(json, r#"{"prod":{"dm1":{"found":"alive","ago_ms":700}}}"#);
        let told: Told = serde_json::from_str(&json).unwrap();
        here.heard(&vp2, &told, now);
        assert_eq!(here.of(&prod, &dm1, now), [(vp2.clone(), Found::Alive, saw)]);
        assert_eq!(here.of(&test, &dm1, now), []);
        // Nobody goes on for ever with what was said last, on either side.
        let later = now + WORTH;
        assert_eq!(here.of(&prod, &dm1, later), []);
        assert_eq!(there.told(later, |_| true)[&prod], BTreeMap::new());
        // However long ago it says that it was.
        let ages: Told = serde_json::from_str(&json.replace("700", &u64::MAX.to_string())).unwrap();
        here.heard(&vp2, &ages, now);
        assert_eq!(here.of(&prod, &dm1, now), []);
    }
}
