//! The side that is to become active is able to: it can be logged in to, its services are
//! installed, its repository serves, and replication was not too far behind.
//!
//! A server without a probe of its own has to have shown by a service that it answers. A lag that
//! was never measured does not hold a failover from the primary: a monitor that starts when the
//! primary is lost already has nothing but the standby's repository to go by. It does hold one
//! from the secondary, where nothing is synchronised unless the site arranged it.

use super::Situation;
use crate::facts::{ReasonCode, Value};
use crate::model::{Service, Side, Status};
use crate::plan::PlanKind;
use crate::snapshot::{Filter, Place, ServerFacts, Snapshot};

/// The lags that together are what the standby does not have yet, as the replication's probe
/// names them.
const LAGS: [&str; 4] =
    ["sending-lag-bytes", "receiving-lag-bytes", "write-lag-bytes", "replay-lag-bytes"];

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    if !kind.changes_side() {
        return None;
    }
    let snapshot = situation.snapshot;
    let Some(standby) = snapshot.at(Place::Standby) else {
        return Some("there is no standby".to_owned());
    };
    let mut problems = Vec::new();
    let state = &standby.state;
    if state.reason.code == ReasonCode::NotProbed {
        if !answers(snapshot) {
            problems.push(format!("nothing shows that {} answers", standby.name));
        }
    } else if state.status != Status::Up {
        problems.push(format!("{} is {}: {}", standby.name, state.status, state.reason.detail));
    }
    let wanted = Filter { place: Some(Place::Active), expected: Some(true), ..Filter::default() };
    for one in snapshot.services(wanted) {
        let service = one.id.service;
        if service.essential() && snapshot.service(standby.name.as_str(), service).is_none() {
            problems.push(format!("{}/{service} is not configured", standby.name));
        }
    }
    // A switchback brings the repository up to date itself, and says so if it cannot.
    if !matches!(kind, PlanKind::Switchback) {
        problems.extend(repository(situation, standby));
    }
    (!problems.is_empty()).then(|| format!("the standby cannot take over: {}", problems.join("; ")))
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

fn repository(situation: &Situation<'_>, standby: &ServerFacts) -> Vec<String> {
    let snapshot = situation.snapshot;
    let mut problems = Vec::new();
    let Some(repository) = snapshot.service(standby.name.as_str(), Service::Repository) else {
        return problems;
    };
    let state = &repository.state;
    if state.status != Status::Up {
        problems.push(format!("{} is {}: {}", repository.id, state.status, state.reason.detail));
    }
    let enabled =
        snapshot.measure(standby.name.as_str(), Some(Service::Repository), "subscription-enabled");
    if enabled.is_some_and(|measure| measure.value == Value::Flag(false)) {
        problems.push(format!("the subscription of {} is disabled", repository.id));
    }
    match lag(snapshot) {
        Lag::Bytes(bytes) if bytes > situation.limits.max_lag_bytes => problems.push(format!(
            "the repository was {bytes} bytes behind, the limit is {}",
            situation.limits.max_lag_bytes
        )),
        Lag::Unclear(name) => problems.push(format!("the measured {name} is not a number")),
        Lag::Unknown if snapshot.facts().cluster.phase.side() == Side::Secondary => {
            problems.push(format!("nothing shows that {} is synchronised", repository.id));
        }
        Lag::Bytes(_) | Lag::Unknown => {}
    }
    problems
}

enum Lag {
    Bytes(u64),
    /// This measure is of no use.
    Unclear(&'static str),
    Unknown,
}

/// The lag that was last seen from the active side; when that side is lost, it is the best
/// knowledge there is of how much the standby had.
fn lag(snapshot: &Snapshot) -> Lag {
    let Some(active) = snapshot.at(Place::Active) else { return Lag::Unknown };
    let mut total = None;
    for name in LAGS {
        let measured = snapshot.measure(active.name.as_str(), Some(Service::Repository), name);
        match measured.map(|measure| &measure.value) {
            None => {}
            Some(Value::Integer(bytes)) => {
                let bytes = u64::try_from(*bytes).unwrap_or(0);
                total = Some(total.unwrap_or(0_u64).saturating_add(bytes));
            }
            Some(_) => return Lag::Unclear(name),
        }
    }
    total.map_or(Lag::Unknown, Lag::Bytes)
}
