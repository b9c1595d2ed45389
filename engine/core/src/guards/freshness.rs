//! The facts it is decided on are fresh: those of the two servers that can be active. What was
//! never probed is not a fact at all.

use super::Situation;
use crate::model::{Service, Timestamp};
use crate::plan::PlanKind;
use crate::snapshot::Place;

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let facts = situation.snapshot.facts();
    let stale = |seen: Timestamp| facts.at.since(seen) > situation.limits.fresh_ms;
    let concerned = |server: &str, service: Service, place: Place| match kind {
        PlanKind::Rescue(id) | PlanKind::Clear(id) => {
            id.service == service && id.server.as_str() == server
        }
        PlanKind::Failover | PlanKind::Switchover | PlanKind::Switchback => {
            place != Place::Additional
        }
    };
    let old: Vec<String> = facts
        .services
        .iter()
        .filter(|one| concerned(one.id.server.as_str(), one.id.service, one.place))
        .filter(|one| one.state.confirmations == 0 || stale(one.state.seen))
        .map(|one| {
            if one.state.confirmations == 0 {
                format!("{} was never probed", one.id)
            } else {
                format!("{} was last seen {} s ago", one.id, facts.at.since(one.state.seen) / 1000)
            }
        })
        .collect();
    (!old.is_empty()).then(|| format!("the facts are not fresh: {}", old.join(", ")))
}
