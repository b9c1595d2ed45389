//! Maintenance mode is off, for the cluster and for the service in question.
//!
//! A service in maintenance is no reason to hold a change of side, whose plan stops and starts it
//! with everything else on its server.

use super::Situation;
use crate::model::ServiceId;
use crate::plan::PlanKind;
use crate::snapshot::Snapshot;

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let snapshot = situation.snapshot;
    if snapshot.facts().cluster.maintenance {
        let why = "maintenance mode is on: end it with `watchkeeper maintenance off`";
        return Some(why.to_owned());
    }
    match kind {
        PlanKind::Rescue(id) | PlanKind::Clear(id) => of_service(snapshot, id),
        PlanKind::Failover | PlanKind::Switchover | PlanKind::Switchback => None,
    }
}

/// Why `id` is to be left alone, if it is in maintenance.
pub(crate) fn of_service(snapshot: &Snapshot, id: &ServiceId) -> Option<String> {
    let facts = snapshot.service(id.server.as_str(), id.service)?;
    facts.maintenance.then(|| {
        format!("{id} is in maintenance: end it with `watchkeeper maintenance off --service {id}`")
    })
}
