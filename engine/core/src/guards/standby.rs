//! The side that is to become active is able to: it can be logged in to, its services are
//! installed, its repository serves, and replication was not too far behind.

use super::Situation;
use crate::facts::{ReasonCode, Value};
use crate::model::{Service, Status};
use crate::plan::PlanKind;
use crate::snapshot::{Filter, Place, ServerFacts};

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    if !kind.changes_side() {
        return None;
    }
    let Some(standby) = situation.snapshot.at(Place::Standby) else {
        return Some("there is no standby".to_owned());
    };
    let mut problems = Vec::new();
    let state = &standby.state;
    if state.status != Status::Up && state.reason.code != ReasonCode::NotProbed {
        problems.push(format!("{} is {}: {}", standby.name, state.status, state.reason.detail));
    }
    let wanted = Filter { place: Some(Place::Active), expected: Some(true), ..Filter::default() };
    for one in situation.snapshot.services(wanted) {
        let service = one.id.service;
        let needed = service.exclusive() || service == Service::Repository;
        if needed && situation.snapshot.service(standby.name.as_str(), service).is_none() {
            problems.push(format!("{}/{service} is not configured", standby.name));
        }
    }
    // A switchback brings the repository up to date itself, and says so if it cannot.
    if !matches!(kind, PlanKind::Switchback) {
        problems.extend(repository(situation, standby));
    }
    (!problems.is_empty()).then(|| format!("the standby cannot take over: {}", problems.join("; ")))
}

fn repository(situation: &Situation<'_>, standby: &ServerFacts) -> Vec<String> {
    let snapshot = situation.snapshot;
    let mut problems = Vec::new();
    let server = standby.name.as_str();
    if let Some(repository) = snapshot.service(server, Service::Repository)
        && repository.state.status != Status::Up
    {
        let state = &repository.state;
        problems.push(format!("{} is {}: {}", repository.id, state.status, state.reason.detail));
    }
    // The lag that was last seen from the active side; when that side is lost, it is the best
    // knowledge there is of how much the standby had.
    let lag = snapshot
        .at(Place::Active)
        .and_then(|active| {
            snapshot.measure(active.name.as_str(), Some(Service::Repository), "total-lag-bytes")
        })
        .map(|measure| &measure.value);
    if let Some(Value::Integer(bytes)) = lag
        && u64::try_from(*bytes).is_ok_and(|bytes| bytes > situation.limits.max_lag_bytes)
    {
        problems.push(format!(
            "the repository was {bytes} bytes behind, the limit is {}",
            situation.limits.max_lag_bytes
        ));
    }
    problems
}
