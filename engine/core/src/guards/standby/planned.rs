//! What a planned change needs beyond a failover: that the active side can be left in good order, that
//! what is to be started can be, and that the repository's content can come across.
//!
//! Nobody is without service yet, so there is time to put things right first; and a planned change that
//! stops on the way needs an operator. So all that is known before anything is touched is asked here.
//! What was never measured is left to the plan, which looks before it stops anything.

use crate::facts::ReasonCode;
use crate::guards::Situation;
use crate::model::{Service, Status};
use crate::plan::PlanKind;
use crate::readiness::{flag, unstoppable};
use crate::snapshot::{Place, ServerFacts, ServiceFacts, Snapshot, State};

pub(super) fn problems(
    situation: &Situation<'_>,
    kind: &PlanKind,
    standby: &ServerFacts,
) -> Vec<String> {
    let snapshot = situation.snapshot;
    let Some(active) = snapshot.at(Place::Active) else {
        return vec!["there is no active side".to_owned()];
    };
    let mut problems = Vec::new();
    if is_not_up(&active.state) {
        let what = said(&active.name, &active.state);
        problems.push(format!("{what}, so its services cannot be stopped in order"));
    }
    problems.extend(unstoppable(snapshot, active));
    problems.extend(startable(snapshot, standby));
    let repository =
        |server: &ServerFacts| snapshot.service(server.name.as_str(), Service::Repository);
    if situation.arrangements.replicated_repository
        && repository(standby).is_some()
        && let Some(from) = repository(active)
    {
        problems.extend(sender(kind, from));
        if matches!(kind, PlanKind::Switchover) {
            problems.extend(stream(snapshot, active, standby));
        }
    }
    problems
}

/// What was probed, and not found up.
fn is_not_up(state: &State) -> bool {
    state.status != Status::Up && state.reason.code != ReasonCode::NotProbed
}

fn said(what: &impl std::fmt::Display, state: &State) -> String {
    format!("{what} is {}: {}", state.status, state.reason.detail)
}

/// A service whose state cannot be told now cannot be told to have started either: its status command
/// cannot be run, its credentials are refused.
fn startable(snapshot: &Snapshot, standby: &ServerFacts) -> Vec<String> {
    let unknown = |facts: &ServiceFacts| {
        facts.state.status == Status::Unknown && facts.state.reason.code != ReasonCode::NotProbed
    };
    // On a server that does not answer nothing is known, and that is one problem and not seven.
    if is_not_up(&standby.state) {
        return Vec::new();
    }
    Service::ALL
        .into_iter()
        .filter(|service| service.essential())
        .filter_map(|service| snapshot.service(standby.name.as_str(), service))
        .filter(|facts| unknown(facts))
        .map(|facts| said(&facts.id, &facts.state))
        .collect()
}

/// The repository that has the content.
fn sender(kind: &PlanKind, from: &ServiceFacts) -> Option<String> {
    let lost = match kind {
        PlanKind::Switchback => "so there is nothing to copy from",
        _ => "so nothing can be awaited from it",
    };
    is_not_up(&from.state).then(|| format!("{}, {lost}", said(&from.id, &from.state)))
}

/// What the probe of the replication measured last of the stream to the standby. A subscription that is
/// disabled, or a configuration that is not there, explains all the rest.
fn stream(snapshot: &Snapshot, active: &ServerFacts, standby: &ServerFacts) -> Vec<String> {
    let no = |server: &ServerFacts, name: &str| flag(snapshot, server, name) == Some(false);
    let (from, to) = (&active.name, &standby.name);
    if no(active, "configured") {
        return vec![format!("replication is not configured on {from}")];
    }
    if no(standby, "subscription-enabled") {
        return Vec::new();
    }
    let mut problems = Vec::new();
    if no(active, "connected") || no(active, "slot-active") {
        problems.push(format!("{to}/repository is not connected to {from}/repository"));
    }
    if no(standby, "worker-running") {
        problems.push(format!("the worker of the subscription of {to}/repository does not run"));
    }
    problems
}
