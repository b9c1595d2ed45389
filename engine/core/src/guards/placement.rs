//! A service is started only where it is meant to run, and not while it runs across; it is stopped
//! only where it is not meant to run. Without this a rescue on the standby would be a second
//! active side (invariant 1), and a stray's removal could take the active side down.
//!
//! An agent is meant to run on every server, and may be stopped on the old primary all the same: the
//! vendor does so, and the policy says whether the site wants it.

use super::Situation;
use crate::model::{Service, Side, Status};
use crate::plan::PlanKind;
use crate::snapshot::{Filter, Place, Statuses};

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let (PlanKind::Rescue(id) | PlanKind::Clear(id)) = kind else { return None };
    let snapshot = situation.snapshot;
    let Some(facts) = snapshot.service(id.server.as_str(), id.service) else {
        return Some(format!("{id} is not configured"));
    };
    if matches!(kind, PlanKind::Clear(_)) {
        let on_old_primary = facts.place == Place::Standby
            && snapshot.facts().cluster.phase.side() == Side::Secondary;
        let may_go = !facts.expected || (id.service == Service::Agent && on_old_primary);
        return (!may_go).then(|| format!("{id} is meant to run there"));
    }
    if !facts.expected {
        return Some(format!("{id} is not meant to run there"));
    }
    if !id.service.exclusive() {
        return None;
    }
    let across = Filter {
        place: Some(Place::Standby),
        service: Some(id.service),
        statuses: Statuses { up: true, down: false, unknown: false },
        expected: None,
    };
    let stray = snapshot.services(across).into_iter().find(|one| one.state.status == Status::Up)?;
    Some(format!("{} runs: it has to be stopped first", stray.id))
}
