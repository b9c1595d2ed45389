//! Servers that cannot be reached. On a server that cannot be logged in to nothing can be started
//! again; if nothing on it is up either, it is lost, and the other side has to take over.

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, ReasonCode, Server, Service, Status};

use crate::rules::{agents, rescue};
use crate::view::{View, finding};

/// Whether the active server does not answer: it cannot be logged in to, and nothing is up on it.
pub(crate) fn silent(view: &View<'_>) -> bool {
    view.active.as_ref().is_some_and(|server| !server.state.is_up() && !turns_away(server))
        && view.snapshot.count(Filter::active().up()).up == 0
}

/// Whether it answers and lets nobody in. Its host key or who may log in has changed: whatever that
/// is, the host lives, and what runs there is only not known.
fn turns_away(server: &Server) -> bool {
    matches!(server.state.code, ReasonCode::HostKey | ReasonCode::Denied)
}

/// Whether that was found often enough, for the server and each of its services that is not in
/// maintenance. If all are, nothing that counts is lost with it.
pub(crate) fn lost(view: &View<'_>) -> bool {
    let enough = view.settings.unreachable_confirmations;
    let unavailable = |server: &Server| server.state.confirmations >= enough;
    silent(view)
        && view.active.as_ref().is_some_and(unavailable)
        && !view.broken.is_empty()
        && view.broken.iter().all(|service| service.state.confirmations >= enough)
}

/// Why the standby could not take over.
struct Unavailable {
    why: String,
    /// It is its repository alone, and that is in maintenance: whoever stopped it knows.
    left_alone: bool,
}

/// Whether the standby could not take over: it cannot be logged in to, or its repository is not up.
fn standby_unavailable(view: &View<'_>) -> Option<Unavailable> {
    let enough = view.settings.down_confirmations;
    let server = view.standby.as_ref()?;
    if !server.state.is_up() && server.state.confirmations >= enough {
        let why = format!("{} is {}", server.name, finding(&server.state));
        return Some(Unavailable { why, left_alone: false });
    }
    // On the old primary the repository is no longer kept up to date, so its state is no news.
    if view.on_secondary() {
        return None;
    }
    let repository = view.snapshot.service(&server.name, Service::Repository)?;
    let state = &repository.state;
    (state.down_for(enough) || state.unknown_for(enough)).then(|| Unavailable {
        why: format!("the repository on {} is {}", server.name, finding(state)),
        left_alone: repository.maintenance,
    })
}

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    let active_lost = lost(view);
    if let Some(server) = &view.active {
        let enough = view.settings.down_confirmations;
        let unreachable = server.state.status != Status::Up && server.state.confirmations >= enough;
        if active_lost {
            evaluation.alert(
                Alert::critical("server-unreachable")
                    .on_server(&server.name)
                    .code(&view.settings.code_server_unreachable)
                    .summary(format!(
                        "the active server {} is lost: nothing on it is up, and it is {}",
                        server.name,
                        finding(&server.state)
                    )),
            );
        } else if unreachable && !silent(view) {
            evaluation.alert(
                Alert::warning("server-unreachable")
                    .on_server(&server.name)
                    .code(&view.settings.code_server_unreachable)
                    .summary(format!(
                        "the active server {} {}, but it is {}: nothing on it can be repaired",
                        server.name,
                        if turns_away(server) { "answers" } else { "serves" },
                        finding(&server.state)
                    )),
            );
        } else if unreachable && view.nothing_counts() {
            evaluation.alert(
                Alert::warning("server-unreachable")
                    .on_server(&server.name)
                    .code(&view.settings.code_server_unreachable)
                    .summary(format!(
                        "the active server {} is {}; it is not given up, since everything on it is \
                         in maintenance",
                        server.name,
                        finding(&server.state)
                    )),
            );
        } else if silent(view) {
            evaluation.note(format!(
                "nothing on {} is up, and it is {}; found so {} of {} times",
                server.name,
                finding(&server.state),
                server.state.confirmations,
                view.settings.unreachable_confirmations
            ));
            evaluation.look_again(rescue::CONFIRMING);
        }
    }
    let Some(Unavailable { why, left_alone }) = standby_unavailable(view) else { return };
    let standby = view.standby.as_ref().map_or("", |server| server.name.as_str());
    if active_lost || rescue::spent(view).or_else(|| agents::spent(view)).is_some() {
        evaluation.alert(
            Alert::critical("both-sides-unavailable")
                .code(&view.settings.code_both_sides_unavailable)
                .summary(format!("the active side has failed, and the standby cannot help: {why}")),
        );
    } else if !left_alone {
        let what = if view.on_secondary() {
            "there is no way back now"
        } else {
            "the standby could not take over"
        };
        evaluation.alert(
            Alert::warning("standby-unavailable")
                .on_server(standby)
                .code(&view.settings.code_standby_unavailable)
                .summary(format!("{what}: {why}")),
        );
    }
}
