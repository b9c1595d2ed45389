//! Which of several monitors should hold the duty for which cluster.
//!
//! A pure function of the monitors that are alive and the clusters that there are, so every
//! monitor comes to the same answer without asking the others. It is advice only: who holds a
//! lease is for etcd to say.
//!
//! Rendezvous hashing with a bound: each cluster goes to the monitor that ranks highest for it and
//! has room left. So no monitor has more than its share, and one that comes or goes moves few
//! clusters but its own.

use std::collections::BTreeMap;

use crate::alerting::Fnv;
use crate::model::{ClusterName, MonitorName};

/// Who should hold the duty for each cluster. Without monitors, nobody.
pub fn assign<'a>(
    clusters: impl IntoIterator<Item = &'a ClusterName>,
    monitors: impl IntoIterator<Item = &'a MonitorName>,
) -> BTreeMap<ClusterName, MonitorName> {
    let mut monitors: Vec<&MonitorName> = monitors.into_iter().collect();
    monitors.sort_unstable();
    monitors.dedup();
    let mut clusters: Vec<&ClusterName> = clusters.into_iter().collect();
    clusters.sort_unstable();
    clusters.dedup();
    let Some(room) = clusters.len().checked_add(monitors.len()).map(|it| it - 1) else {
        return BTreeMap::new();
    };
    let Some(share) = room.checked_div(monitors.len()) else { return BTreeMap::new() };
    let mut load: BTreeMap<&MonitorName, usize> = BTreeMap::new();
    let mut assigned = BTreeMap::new();
    for cluster in clusters {
        let best = monitors
            .iter()
            .filter(|monitor| load.get(*monitor).copied().unwrap_or(0) < share)
            .max_by_key(|monitor| (rank(cluster, monitor), **monitor));
        if let Some(monitor) = best {
            *load.entry(monitor).or_default() += 1;
            assigned.insert(cluster.clone(), (*monitor).clone());
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

    fn clusters(count: usize) -> Vec<ClusterName> {
        (0..count).map(|i| ClusterName::new(&format!("cluster{i}")).unwrap()).collect()
    }

    fn monitors(count: usize) -> Vec<MonitorName> {
        (0..count).map(|i| MonitorName::new(&format!("vp{i}")).unwrap()).collect()
    }

    #[test]
    fn each_cluster_has_one_and_no_monitor_has_more_than_its_share() {
        for (clusters_count, monitors_count) in [(1, 2), (2, 1), (7, 3), (100, 4), (5, 9), (0, 3)] {
            let assigned = assign(&clusters(clusters_count), &monitors(monitors_count));
            assert_eq!(assigned.len(), clusters_count);
            for monitor in monitors(monitors_count) {
                let own = assigned.values().filter(|it| **it == monitor).count();
                assert!(own <= clusters_count.div_ceil(monitors_count), "{monitor} has {own}");
            }
        }
        assert!(assign(&clusters(3), &[]).is_empty());
    }

    #[test]
    fn the_order_in_which_they_are_given_makes_no_difference() {
        let (mut clusters, mut monitors) = (clusters(20), monitors(4));
        let assigned = assign(&clusters, &monitors);
        clusters.reverse();
        monitors.rotate_left(2);
        assert_eq!(assign(&clusters, &monitors), assigned);
    }

    #[test]
    fn a_monitor_that_goes_moves_few_clusters_but_its_own() {
        let (clusters, all) = (clusters(200), monitors(4));
        let before = assign(&clusters, &all);
        let after = assign(&clusters, &all[..3]);
        let moved = clusters.iter().filter(|it| before[*it] != after[*it]).count();
        let own = before.values().filter(|it| **it == all[3]).count();
        assert!(moved >= own && moved < own + 50, "{moved} moved, {own} had to");
    }
}
