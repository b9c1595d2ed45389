//! What is wrong with the services of the active side. Agents have a rule of their own, and a
//! server that does not answer at all is told as one thing, not as seven.

use watchkeeper_sdk::policy::{Alert, Evaluation, Service, ServiceFacts, Status};

use crate::rules::{reachability, rescue};
use crate::view::{View, finding, name};

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    if view.broken.is_empty() || reachability::silent(view) {
        return;
    }
    for service in view.broken.iter().filter(|facts| facts.service != Service::Agent) {
        if view.waits_for_maintenance(service.service) {
            evaluation.note(format!(
                "{} is {}; it waits for what is in maintenance",
                name(service),
                finding(&service.state)
            ));
            continue;
        }
        if service.state.confirmations < view.settings.down_confirmations {
            evaluation.note(format!(
                "{} is {}; found so {} of {} times",
                name(service),
                finding(&service.state),
                service.state.confirmations,
                view.settings.down_confirmations
            ));
            evaluation.look_again(rescue::CONFIRMING);
        } else if service.state.status == Status::Down {
            evaluation.alert(down(view, service));
        } else {
            evaluation.alert(
                Alert::warning("service-unknown")
                    .on(service)
                    .code(&view.settings.code_service_unknown)
                    .summary(format!("{} is {}", name(service), finding(&service.state))),
            );
        }
        rescue::tell_if_spent(view, service, evaluation);
    }
}

fn down(view: &View<'_>, service: &ServiceFacts) -> Alert {
    let mut summary = format!("{} is {}", name(service), finding(&service.state));
    let alert = match view.waits_for(service.service) {
        Some(needed) => {
            summary.push_str("; it waits for ");
            summary.push_str(needed.name());
            Alert::warning("service-down")
        }
        None if view.decisive(service.service) => Alert::critical("service-down"),
        None => Alert::warning("service-down"),
    };
    alert.on(service).code(&view.settings.code_service_down).summary(summary)
}
