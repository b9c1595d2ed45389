//! The repository's replication, active to standby. Judged by what the probe named `replication`
//! measures on both repositories; while the cluster runs on the secondary nothing is synchronised,
//! and nothing is judged; nor is it while either repository is in maintenance.

use watchkeeper_sdk::policy::{Alert, Evaluation, Server, Service, Value};

use crate::view::View;

/// The lags that the vendor's log names, by where the data waits, and the measure of each.
const LAGS: [(&str, &str); 4] = [
    ("sending", "sending-lag-bytes"),
    ("receiving", "receiving-lag-bytes"),
    ("write", "write-lag-bytes"),
    ("replay", "replay-lag-bytes"),
];

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    if view.on_secondary() {
        return;
    }
    let before = evaluation.alerts.len();
    look(view, evaluation);
    // Asked only now: a calm cluster is asked for little.
    if evaluation.alerts.len() > before && in_maintenance(view) {
        evaluation.alerts.truncate(before);
        evaluation.note("replication is not judged: a repository is in maintenance");
    }
}

fn in_maintenance(view: &View<'_>) -> bool {
    [&view.active, &view.standby].into_iter().flatten().any(|server| {
        let repository = view.snapshot.service(&server.name, Service::Repository);
        repository.is_some_and(|repository| repository.maintenance)
    })
}

fn look(view: &View<'_>, evaluation: &mut Evaluation) {
    if let Some(server) = &view.active {
        if flag(view, server, "configured") == Some(false) {
            evaluation.alert(
                Alert::critical("replication-broken")
                    .on_server(&server.name)
                    .code(&view.settings.code_replication_broken)
                    .summary(format!("replication is not configured on {}", server.name)),
            );
            // Without a configuration, there is nothing further to be said of it.
            return;
        }
        lag(view, server, evaluation);
    }
    standby(view, evaluation);
}

fn lag(view: &View<'_>, server: &Server, evaluation: &mut Evaluation) {
    let mut over = Vec::new();
    for (name, measure) in LAGS {
        if let Some(bytes) = integer(view, server, measure)
            && bytes > view.settings.lag_threshold_bytes
        {
            over.push(format!("{name} {bytes} bytes"));
        }
    }
    if let Some(ms) = integer(view, server, "replay-lag-ms")
        && u64::try_from(ms).is_ok_and(|ms| {
            core::time::Duration::from_millis(ms) > view.settings.lag_threshold_time
        })
    {
        over.push(format!("replay {ms} ms"));
    }
    if !over.is_empty() {
        evaluation.alert(
            Alert::warning("replication-lag")
                .on_server(&server.name)
                .code(&view.settings.code_replication_lag)
                .summary(format!("the standby cannot keep up: {}", over.join(", "))),
        );
    }
}

fn standby(view: &View<'_>, evaluation: &mut Evaluation) {
    let mut wrong = Vec::new();
    if let Some(server) = &view.active {
        if flag(view, server, "connected") == Some(false) {
            wrong.push(format!("it is not connected to {}", server.name));
        }
        if flag(view, server, "slot-active") == Some(false) {
            wrong.push(format!("its replication slot on {} is not in use", server.name));
        }
    }
    let Some(server) = &view.standby else { return };
    if flag(view, server, "subscription-enabled") == Some(false) {
        wrong.push("its subscription is disabled".to_owned());
    } else if flag(view, server, "worker-running") == Some(false) {
        // The count never falls, so alone it says only that there was an error once.
        match integer(view, server, "apply-errors") {
            Some(errors) if errors > 0 => {
                wrong.push(format!("its worker does not run after {errors} errors in applying"));
            }
            _ => wrong.push("its worker does not run".to_owned()),
        }
    }
    if !wrong.is_empty() {
        evaluation.alert(
            Alert::critical("replication-standby")
                .on_server(&server.name)
                .code(&view.settings.code_replication_standby)
                .summary(format!("{} does not replicate: {}", server.name, wrong.join("; "))),
        );
    }
}

fn value(view: &View<'_>, server: &Server, name: &str) -> Option<Value> {
    view.snapshot.measure(&server.name, Some(Service::Repository), name).map(|found| found.value)
}

fn flag(view: &View<'_>, server: &Server, name: &str) -> Option<bool> {
    match value(view, server, name) {
        Some(Value::Flag(flag)) => Some(flag),
        _ => None,
    }
}

fn integer(view: &View<'_>, server: &Server, name: &str) -> Option<i64> {
    match value(view, server, name) {
        Some(Value::Integer(integer)) => Some(integer),
        _ => None,
    }
}
