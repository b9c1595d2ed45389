//! Start it again. A service that is down on the active side gets a few attempts within a time
//! before anything larger is done; what it depends on comes first, and as long as that is down,
//! the service's own failure does not count.

use core::time::Duration;

use watchkeeper_sdk::policy::{Alert, Ending, Evaluation, Service, ServiceFacts, Status};

use crate::rules::strays;
use crate::view::{View, finding, name};

/// How soon to look again while something is being confirmed.
pub(crate) const CONFIRMING: Duration = Duration::from_secs(1);

/// What is left to be tried.
pub(crate) enum Chance {
    /// An attempt is under way, or its result has not been seen yet.
    Pending,
    /// The attempt of this number, from 1 on.
    Attempt(u32),
    /// Every attempt has been used. One is free again after this many milliseconds.
    Spent(Option<u64>),
}

/// What is left to be tried for `service`. Attempts count since the side became active.
pub(crate) fn chance(view: &View<'_>, service: &ServiceFacts) -> Chance {
    let window = u64::try_from(view.settings.rescue_window.as_millis()).unwrap_or(u64::MAX);
    let rescues = view.rescues().iter().filter(|rescue| {
        rescue.service == service.service
            && rescue.server == service.server
            && rescue.begun >= view.cluster.active_since
    });
    if let Some(last) = rescues.clone().next_back() {
        if last.ending == Ending::UnderWay || service.state.seen <= last.begun {
            return Chance::Pending;
        }
    } else if view.settings.rescue_attempts > 0 {
        return Chance::Attempt(1);
    }
    let now = view.snapshot.time();
    let mut counted = 0;
    let mut free_again = None;
    for rescue in rescues {
        let age = now.saturating_sub(rescue.begun);
        if age < window {
            counted += 1;
            free_again.get_or_insert(window - age);
        }
    }
    if counted < view.settings.rescue_attempts {
        Chance::Attempt(counted + 1)
    } else {
        Chance::Spent(free_again)
    }
}

/// The services of the active side that are to be started again; agents have a rule of their own.
fn candidates<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a ServiceFacts> {
    view.broken.iter().filter(|facts| {
        facts.service != Service::Agent
            && view.cared_for(facts.service)
            && view.confirmed_down(&facts.state)
            && !view.seen_before_its_server(facts)
            && view.waits_for(facts.service).is_none()
    })
}

/// Why rescue is no longer the answer: a service that matters could not be started again.
pub(crate) fn spent(view: &View<'_>) -> Option<String> {
    candidates(view)
        .filter(|service| view.decisive(service.service))
        .find(|service| matches!(chance(view, service), Chance::Spent(_)))
        .map(|service| spent_reason(view, service))
}

fn spent_reason(view: &View<'_>, service: &ServiceFacts) -> String {
    let attempts = match view.settings.rescue_attempts {
        0 => "no attempts to start it again are set".to_owned(),
        1 => "the attempt to start it again did not help".to_owned(),
        n => format!("{n} attempts to start it again did not help"),
    };
    format!("{} is {}, and {attempts}", name(service), finding(&service.state))
}

/// Tells that a service could not be started again, and asks for another look when it may be tried
/// once more.
pub(crate) fn tell_if_spent(view: &View<'_>, service: &ServiceFacts, evaluation: &mut Evaluation) {
    if !candidates(view).any(|candidate| candidate.service == service.service) {
        return;
    }
    let Chance::Spent(free_again) = chance(view, service) else { return };
    if let Some(ms) = free_again {
        evaluation.look_again(Duration::from_millis(ms));
    }
    if view.settings.rescue_attempts == 0 {
        return;
    }
    let alert = if view.decisive(service.service) {
        Alert::critical("rescue-exhausted")
    } else {
        Alert::warning("rescue-exhausted")
    };
    evaluation.alert(
        alert
            .on(service)
            .code(&view.settings.code_rescue_exhausted)
            .summary(spent_reason(view, service)),
    );
}

/// Proposes to start again what is down.
pub(crate) fn propose(view: &View<'_>, evaluation: &mut Evaluation) {
    for service in candidates(view) {
        propose_one(view, service, evaluation);
    }
}

/// Proposes to start `service` again if it may be tried. If it runs across from here and may run
/// on one side only, that comes first.
pub(crate) fn propose_one(
    view: &View<'_>,
    service: &ServiceFacts,
    evaluation: &mut Evaluation,
) -> bool {
    if service.state.status != Status::Down {
        return false;
    }
    let Chance::Attempt(number) = chance(view, service) else { return false };
    if service.service.exclusive() && strays::of(view, service.service).is_some() {
        evaluation.note(format!(
            "{} is not started again before it is stopped on the other side",
            name(service)
        ));
        strays::propose_one(view, service.service, evaluation);
        return true;
    }
    evaluation.rescue(
        service,
        format!(
            "{} is {}; attempt {number} of {}",
            name(service),
            finding(&service.state),
            view.settings.rescue_attempts
        ),
    );
    true
}
