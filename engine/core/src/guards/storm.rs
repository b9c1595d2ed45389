//! Not too many clusters change sides at once. When many do, the trouble is more likely to be
//! the monitor's or the network's than every cluster's own.

use super::Situation;

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    let limits = situation.limits;
    if limits.storm_limit == 0 {
        return None;
    }
    let now = situation.snapshot.facts().at;
    let recent = situation
        .fleet_changes
        .iter()
        .filter(|at| now.since(**at) < limits.storm_window_ms)
        .count();
    (recent >= limits.storm_limit as usize).then(|| {
        format!(
            "{recent} other clusters changed sides within {} s, the limit is {}",
            limits.storm_window_ms / 1000,
            limits.storm_limit
        )
    })
}
