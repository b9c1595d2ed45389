//! Agents. One of several that is down is told and started again; only when no agent of the
//! cluster is available, the active side has failed. Agents need the broker of the active side: as
//! long as that is down, nothing is read from theirs.

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, Service, ServiceFacts, Status};

use crate::rules::reachability;
use crate::rules::rescue::{self, Chance};
use crate::view::{View, finding, name};

/// Whether anything can be read from the agents now.
fn readable(view: &View<'_>) -> bool {
    !view.agents.is_empty() && view.waits_for(Service::Agent).is_none()
}

/// Whether no agent at all is available, be it confirmed or not.
fn none_is_up(view: &View<'_>) -> bool {
    let up = view.snapshot.count(Filter::all().service(Service::Agent).up()).up;
    // The old primary's agent is no help: it is about to be stopped.
    let leaves = |stray: &&ServiceFacts| stray.service == Service::Agent && !stray.maintenance;
    let old = view.strays.iter().filter(leaves).count();
    usize::try_from(up).is_ok_and(|up| up <= old)
}

fn confirmed(view: &View<'_>, agent: &ServiceFacts) -> bool {
    view.confirmed_down(&agent.state)
        || agent.state.unknown_for(view.settings.unreachable_confirmations)
}

/// Whether no agent at all is available, each of them confirmed, and one at least proven down: a
/// monitor that sees nothing has no proof of anything.
fn all_unavailable(view: &View<'_>) -> bool {
    readable(view)
        && none_is_up(view)
        && view.agents.iter().all(|agent| confirmed(view, agent))
        && view.agents.iter().any(|agent| agent.state.status == Status::Down)
}

/// Why rescue is no longer the answer: none of the agents could be started again.
pub(crate) fn spent(view: &View<'_>) -> Option<String> {
    let spent = view.decisive(Service::Agent)
        && all_unavailable(view)
        && view
            .agents
            .iter()
            .filter(|agent| agent.state.status == Status::Down)
            .all(|agent| matches!(rescue::chance(view, agent), Chance::Spent(_)));
    spent.then(|| format!("no agent could be started again (of {})", view.agents.len()))
}

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    if !readable(view) || reachability::silent(view) {
        return;
    }
    if all_unavailable(view) {
        evaluation.alert(
            Alert::critical("agents-unavailable")
                .code(&view.settings.code_agents_unavailable)
                .summary(format!("no agent is available (of {})", view.agents.len())),
        );
        return;
    }
    for agent in &view.agents {
        if agent.state.confirmations < view.settings.down_confirmations {
            evaluation.look_again(rescue::CONFIRMING);
            continue;
        }
        let alert = match agent.state.status {
            Status::Down => Alert::warning("agent-down").code(&view.settings.code_agent_down),
            _ => Alert::warning("service-unknown").code(&view.settings.code_service_unknown),
        };
        let mut summary = format!("{} is {}", name(agent), finding(&agent.state));
        if agent.state.status == Status::Down
            && view.settings.rescue_agents
            && let Chance::Spent(Some(ms)) = rescue::chance(view, agent)
        {
            summary.push_str("; it could not be started again");
            evaluation.look_again(core::time::Duration::from_millis(ms));
        }
        evaluation.alert(alert.on(agent).summary(summary));
    }
}

/// Proposes to start the agents again when none is available, the active server's first.
pub(crate) fn propose_all(view: &View<'_>, evaluation: &mut Evaluation) {
    if all_unavailable(view) {
        for agent in &view.agents {
            rescue::propose_one(view, agent, evaluation);
        }
    }
}

/// Proposes to start single agents again while others still run.
pub(crate) fn propose_single(view: &View<'_>, evaluation: &mut Evaluation) {
    if !view.settings.rescue_agents || !readable(view) || none_is_up(view) {
        return;
    }
    for agent in view.agents.iter().filter(|agent| view.confirmed_down(&agent.state)) {
        rescue::propose_one(view, agent, evaluation);
    }
}
