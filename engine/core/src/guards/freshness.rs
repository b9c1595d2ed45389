//! The facts it is decided on are fresh: those of the service in question, or of the two servers
//! that can be active.
//!
//! A server without a probe of its own is judged by its services. DSA and the synchronisation are
//! no reason for a change of side and need no probe; what was never probed otherwise is not known,
//! and acting on it would be acting on nothing. A service in maintenance is no reason either, and may
//! be gone with its probes: it holds no change of side.
//!
//! After the clock was set back, what was found before it seems to be yet to come, for as long as it was set
//! back: nobody knows how old that is, and it counts once it has been found again.

use super::Situation;
use crate::model::{Service, Timestamp};
use crate::plan::PlanKind;
use crate::snapshot::{Place, ServiceFacts, State};

/// By how much a clock may be set back without anybody's minding: time servers do it by less.
const SET_BACK_MS: u64 = 1_000;

/// Whether what was seen at `seen` was seen before the clock was set back.
pub(super) const fn is_to_come(seen: Timestamp, now: Timestamp) -> bool {
    seen.0 > now.plus(SET_BACK_MS).0
}

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let facts = situation.snapshot.facts();
    let age = |state: &State| facts.at.since(state.seen);
    let concerned = |one: &ServiceFacts| match kind {
        PlanKind::Rescue(id) | PlanKind::Clear(id) => one.id == *id,
        PlanKind::Failover | PlanKind::Switchover | PlanKind::Switchback => {
            one.place != Place::Additional
                && !one.maintenance
                && (one.id.service.essential() || one.id.service == Service::Agent)
        }
    };
    let servers = facts
        .servers
        .iter()
        .filter(|one| kind.changes_side() && one.place != Place::Additional)
        .filter(|one| one.state.confirmations > 0)
        .map(|one| (one.name.to_string(), &one.state));
    let services = facts
        .services
        .iter()
        .filter(|one| concerned(one))
        .map(|one| (one.id.to_string(), &one.state));
    let old: Vec<String> = servers
        .chain(services)
        .filter_map(|(what, state)| {
            if state.confirmations == 0 {
                Some(format!("{what} was never probed"))
            } else if is_to_come(state.seen, facts.at) {
                Some(format!("{what} was seen at {}, before the clock was set back", state.seen))
            } else if age(state) > situation.limits.fresh_ms {
                Some(format!("{what} was last seen {} s ago", age(state) / 1000))
            } else {
                None
            }
        })
        .collect();
    (!old.is_empty()).then(|| format!("the facts are not fresh: {}", old.join(", ")))
}
