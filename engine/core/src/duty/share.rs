//! Which of several monitors should hold the duty for which cluster.
//!
//! A pure function of the monitors that are alive, of the clusters that each of them watches, and of
//! what operators wanted, so every monitor comes to the same answer without asking the others. It is
//! advice only: who holds a lease is for etcd to say.
//!
//! Rendezvous hashing with a bound: each cluster goes to the monitor that ranks highest for it and
//! has room left. So no monitor has more than its share, and one that comes or goes moves few
//! clusters but its own.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use crate::alerting::Fnv;
use crate::model::{ClusterName, MonitorName};

/// The monitors that are alive, each with the clusters that it watches.
pub type Watched = BTreeMap<MonitorName, BTreeSet<ClusterName>>;

/// How many clusters a monitor should have the duty for at the most.
pub fn share(watched: &Watched) -> usize {
    let clusters: BTreeSet<&ClusterName> = watched.values().flatten().collect();
    clusters.len().div_ceil(watched.len().max(1))
}

/// Who should hold the duty for each cluster that anyone watches.
///
/// `wanted` is what operators said: it goes before everything else, as long as that monitor is alive
/// and watches the cluster. A monitor that got more than its share in this way gets nothing further.
pub fn assign(
    watched: &Watched,
    wanted: &BTreeMap<ClusterName, MonitorName>,
) -> BTreeMap<ClusterName, MonitorName> {
    let clusters: BTreeSet<&ClusterName> = watched.values().flatten().collect();
    let share = share(watched);
    let mut load: BTreeMap<&MonitorName, usize> = BTreeMap::new();
    let mut assigned = BTreeMap::new();
    for (cluster, monitor) in wanted {
        let alive = watched.get_key_value(monitor).filter(|(_, own)| own.contains(cluster));
        if let Some((monitor, _)) = alive {
            *load.entry(monitor).or_default() += 1;
            assigned.insert(cluster.clone(), monitor.clone());
        }
    }
    for cluster in clusters {
        if assigned.contains_key(cluster) {
            continue;
        }
        let best = watched
            .iter()
            .filter(|(_, own)| own.contains(cluster))
            .map(|(monitor, _)| monitor)
            .max_by_key(|monitor| {
                let load = load.get(monitor).copied().unwrap_or(0);
                // Who has room; among those who have none, because the others do not watch it, the
                // one with the least to do.
                let excess = (load + 1).saturating_sub(share);
                (Reverse(excess), rank(cluster, monitor), *monitor)
            });
        if let Some(monitor) = best {
            *load.entry(monitor).or_default() += 1;
            assigned.insert(cluster.clone(), monitor.clone());
        }
    }
    assigned
}

fn rank(cluster: &ClusterName, monitor: &MonitorName) -> u64 {
    let mut hash = Fnv::new();
    hash.field(monitor.as_str());
    hash.field(cluster.as_str());
    // The last bytes of FNV's input reach the upper bits badly, and it is those that decide.
    hash.finish().rotate_left(32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(number: usize) -> ClusterName {
        ClusterName::new(&format!("cluster{number}")).unwrap()
    }

    fn monitor(number: usize) -> MonitorName {
        MonitorName::new(&format!("vp{number}")).unwrap()
    }

    /// So many monitors, and each watches all of so many clusters.
    fn all(monitors: usize, clusters: usize) -> Watched {
        let clusters: BTreeSet<_> = (0..clusters).map(cluster).collect();
        (0..monitors).map(|number| (monitor(number), clusters.clone())).collect()
    }

    fn load(assigned: &BTreeMap<ClusterName, MonitorName>, monitor: &MonitorName) -> usize {
        assigned.values().filter(|it| *it == monitor).count()
    }

    #[test]
    fn each_cluster_has_one_and_no_monitor_has_more_than_its_share() {
        for (clusters, monitors) in [(1, 2), (2, 1), (7, 3), (100, 4), (5, 9), (0, 3)] {
            let assigned = assign(&all(monitors, clusters), &BTreeMap::new());
            assert_eq!(assigned.len(), clusters);
            for number in 0..monitors {
                let own = load(&assigned, &monitor(number));
                assert!(own <= clusters.div_ceil(monitors), "vp{number} has {own}");
            }
        }
        assert!(assign(&Watched::new(), &BTreeMap::new()).is_empty());
    }

    #[test]
    fn a_monitor_that_goes_moves_few_clusters_but_its_own() {
        let before = assign(&all(4, 200), &BTreeMap::new());
        let after = assign(&all(3, 200), &BTreeMap::new());
        let moved = before.iter().filter(|(cluster, it)| after[*cluster] != **it).count();
        let own = load(&before, &monitor(3));
        assert!(moved >= own && moved < own + 50, "{moved} moved, {own} had to");
    }

    #[test]
    fn a_cluster_goes_only_to_a_monitor_that_watches_it() {
        let mut watched = all(3, 9);
        for number in 1..3 {
            watched.insert(monitor(number), BTreeSet::from([cluster(0)]));
        }
        let assigned = assign(&watched, &BTreeMap::new());
        assert_eq!(assigned.len(), 9);
        assert!((1..9).all(|number| assigned[&cluster(number)] == monitor(0)));
    }

    #[test]
    fn what_operators_want_goes_first_while_that_monitor_is_alive() {
        let wanted: BTreeMap<_, _> = (0..5).map(|number| (cluster(number), monitor(2))).collect();
        let assigned = assign(&all(3, 9), &wanted);
        assert!((0..5).all(|number| assigned[&cluster(number)] == monitor(2)));
        assert_eq!(load(&assigned, &monitor(2)), 5, "more than its share, and nothing further");
        assert_eq!(assign(&all(2, 9), &wanted), assign(&all(2, 9), &BTreeMap::new()));
    }
}
