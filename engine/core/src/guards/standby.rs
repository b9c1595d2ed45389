//! The side that is to become active is able to: it can be logged in to, its services are
//! installed, its repository serves, and replication was not too far behind. A planned change needs
//! more ([`planned`]).
//!
//! A server without a probe of its own has to have shown by a service that it answers.

mod planned;
mod repository;

use super::Situation;
use crate::facts::{ReasonCode, Value};
use crate::model::{Service, Status};
use crate::plan::PlanKind;
use crate::snapshot::{Filter, Place, ServerFacts, Snapshot};

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    let snapshot = situation.snapshot;
    let Some(standby) = snapshot.at(Place::Standby) else {
        return Some("there is no standby".to_owned());
    };
    let mut problems = server(snapshot, standby);
    let wanted = Filter { place: Some(Place::Active), expected: Some(true), ..Filter::default() };
    for one in snapshot.services(wanted) {
        let service = one.id.service;
        if service.essential() && snapshot.service(standby.name.as_str(), service).is_none() {
            problems.push(format!("{}/{service} is not configured", standby.name));
        }
    }
    // A switchback brings the repository up to date itself.
    if !matches!(kind, PlanKind::Switchback) {
        problems.extend(repository::problems(situation, standby));
    }
    if !matches!(kind, PlanKind::Failover) {
        problems.extend(planned::problems(situation, kind, standby));
    }
    let what = match kind {
        PlanKind::Failover => "the standby cannot take over",
        _ => "this cannot be done in good order",
    };
    (!problems.is_empty()).then(|| format!("{what}: {}", problems.join("; ")))
}

fn server(snapshot: &Snapshot, standby: &ServerFacts) -> Vec<String> {
    let state = &standby.state;
    if state.reason.code == ReasonCode::NotProbed {
        if !answers(snapshot) {
            return vec![format!("nothing shows that {} answers", standby.name)];
        }
    } else if state.status != Status::Up {
        return vec![format!("{} is {}: {}", standby.name, state.status, state.reason.detail)];
    }
    Vec::new()
}

/// Whether a service of the standby was found up, or down by the server's own word.
fn answers(snapshot: &Snapshot) -> bool {
    let on_standby = Filter { place: Some(Place::Standby), ..Filter::default() };
    snapshot.services(on_standby).into_iter().any(|one| {
        one.state.status == Status::Up
            || matches!(
                one.state.reason.code,
                ReasonCode::NotRunning | ReasonCode::Refused | ReasonCode::Unhealthy
            )
    })
}

/// What a probe of the repository's replication measured last; none: nothing, or no yes or no.
fn flag(snapshot: &Snapshot, server: &ServerFacts, name: &str) -> Option<bool> {
    match snapshot.measure(server.name.as_str(), Some(Service::Repository), name)?.value {
        Value::Flag(flag) => Some(flag),
        _ => None,
    }
}
