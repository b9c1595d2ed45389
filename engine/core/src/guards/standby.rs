//! The side that is to become active is able to: nothing is known that would make the change of side
//! impossible or dangerous ([`readiness`]). A planned change needs more ([`planned`]).

mod planned;

use super::Situation;
use crate::plan::PlanKind;
use crate::readiness;
use crate::snapshot::Place;

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let snapshot = situation.snapshot;
    let Some(standby) = snapshot.at(Place::Standby) else {
        return Some("there is no standby".to_owned());
    };
    // A switchback brings the repository up to date itself.
    let max_lag = (!matches!(kind, PlanKind::Switchback)).then_some(situation.limits.max_lag_bytes);
    let mut problems = readiness::holds(snapshot, standby, max_lag);
    if !matches!(kind, PlanKind::Failover) {
        problems.extend(planned::problems(situation, kind, standby));
    }
    let what = match kind {
        PlanKind::Failover => "the standby cannot take over",
        _ => "this cannot be done in good order",
    };
    (!problems.is_empty()).then(|| format!("{what}: {}", problems.join("; ")))
}
