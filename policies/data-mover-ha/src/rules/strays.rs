//! Services that run on the side that is not active. Two sides must never serve at once: what
//! belongs to the active side alone is stopped on the other, and on the old primary its agent, too,
//! if so set.
//!
//! One arrangement looks the same and is not: everything runs over there and nothing here. Then
//! somebody changed the side by hand, and stopping it would end the service for good.

use watchkeeper_sdk::policy::{Alert, Evaluation, Service, ServiceFacts};

use crate::rules::rescue;
use crate::view::{View, name};

/// What may not stay there: exclusive services, and the old primary's agent.
fn unwanted<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a ServiceFacts> {
    view.strays.iter().filter(|stray| stray.service.exclusive() || stray.service == Service::Agent)
}

/// The stray of this kind, be it confirmed or not, in maintenance or not.
pub(crate) fn of<'a>(view: &'a View<'_>, service: Service) -> Option<&'a ServiceFacts> {
    unwanted(view).find(|stray| stray.service == service)
}

fn confirmed(view: &View<'_>, stray: &ServiceFacts) -> bool {
    stray.state.up_for(view.settings.stray_confirmations)
}

/// Whether all exclusive services run across from the active side, and none of them on it.
pub(crate) fn sides_swapped(view: &View<'_>) -> bool {
    let mut exclusive = Service::ALL.into_iter().filter(|service| service.exclusive());
    exclusive.all(|service| {
        of(view, service).is_some() && view.broken(service).or(view.left_alone(service)).is_some()
    })
}

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    if sides_swapped(view) {
        // That it looks so is enough to keep still; to call somebody it has to stay so.
        if !unwanted(view).all(|stray| confirmed(view, stray)) {
            evaluation.look_again(rescue::CONFIRMING);
            return;
        }
        let side = view.cluster.active.name();
        evaluation.alert(
            Alert::critical("sides-swapped").code(&view.settings.code_sides_swapped).summary(
                format!(
                    "everything runs across from the {side} and nothing on it: if the side was \
                     changed by hand, declare which one is active"
                ),
            ),
        );
        return;
    }
    for stray in unwanted(view).filter(|stray| !stray.maintenance) {
        if confirmed(view, stray) {
            let alert = if stray.service.exclusive() {
                Alert::critical("stray-service")
            } else {
                Alert::warning("stray-service")
            };
            evaluation.alert(
                alert
                    .on(stray)
                    .code(&view.settings.code_stray_service)
                    .summary(format!("{} runs, and its side is not the active one", name(stray))),
            );
        } else {
            evaluation.look_again(rescue::CONFIRMING);
        }
    }
}

/// Proposes to stop all that is confirmed and not asked for yet.
pub(crate) fn propose(view: &View<'_>, evaluation: &mut Evaluation) {
    // What must not run on two sides comes first: if an agent may not be stopped there, that must
    // not keep a second broker or daemon running.
    for service in Service::ALL.into_iter().rev().filter(|service| service.exclusive()) {
        propose_one(view, service, evaluation);
    }
    propose_one(view, Service::Agent, evaluation);
}

/// Proposes to stop the stray of this kind, once, if it is confirmed and not in maintenance.
pub(crate) fn propose_one(view: &View<'_>, service: Service, evaluation: &mut Evaluation) {
    use watchkeeper_sdk::policy::Action;
    let due = |stray: &&ServiceFacts| confirmed(view, stray) && !stray.maintenance;
    let Some(stray) = of(view, service).filter(due) else { return };
    let asked = evaluation.proposals.iter().any(
        |proposal| matches!(&proposal.action, Action::StopService(id) if id.service == service),
    );
    if !asked {
        let reason = format!("{} runs, and its side is not the active one", name(stray));
        evaluation.stop(stray, reason);
    }
}
