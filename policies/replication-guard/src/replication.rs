//! What a failover would lose, by what was measured last on both repositories.

use watchkeeper_sdk::policy::{Measure, Service, Snapshot, Value};

use crate::Settings;

/// The lags in bytes, by where the data waits, and the measure of each.
const LAGS: [(&str, &str); 4] = [
    ("sending", "sending-lag-bytes"),
    ("receiving", "receiving-lag-bytes"),
    ("write", "write-lag-bytes"),
    ("replay", "replay-lag-bytes"),
];
const REPLAY_TIME: &str = "replay-time";

/// What would be lost, and the code of the alert that says so.
pub(crate) struct Loss<'a> {
    pub(crate) what: String,
    pub(crate) code: &'a str,
}

pub(crate) fn is_lag(name: &str) -> bool {
    name == REPLAY_TIME || LAGS.iter().any(|(lag, _)| *lag == name)
}

pub(crate) fn loss<'a>(
    snapshot: &Snapshot,
    settings: &'a Settings,
    active: &str,
    standby: Option<&str>,
) -> Option<Loss<'a>> {
    let off = |server: &str, name: &str| {
        matches!(measured(snapshot, server, name), Some(Measure { value: Value::Flag(false), .. }))
    };
    if off(active, "configured") {
        let what = format!("an unknown amount: replication is not configured on {active}");
        return Some(Loss { what, code: &settings.code_broken });
    }
    let stopped = if off(active, "connected") || off(active, "slot-active") {
        Some("the standby was not connected")
    } else if standby.is_some_and(|standby| off(standby, "subscription-enabled")) {
        Some("the standby's subscription is disabled")
    } else if standby.is_some_and(|standby| worker_stopped_before(snapshot, active, standby)) {
        Some("the standby's worker did not run")
    } else {
        None
    };
    if let Some(why) = stopped {
        let what = format!("an unknown amount: {why}");
        return Some(Loss { what, code: &settings.code_standby });
    }
    let behind = behind(snapshot, settings, active);
    (!behind.is_empty()).then(|| Loss { what: behind.join(", "), code: &settings.code_behind })
}

/// A worker stops when the other repository does: that says nothing of how it was before.
fn worker_stopped_before(snapshot: &Snapshot, active: &str, standby: &str) -> bool {
    let Some(worker) = measured(snapshot, standby, "worker-running") else { return false };
    let before = snapshot
        .service(active, Service::Repository)
        .is_none_or(|it| it.state.is_up() || worker.at < it.state.since);
    before && matches!(worker.value, Value::Flag(false))
}

fn behind(snapshot: &Snapshot, settings: &Settings, active: &str) -> Vec<String> {
    let wanted = |name: &str| settings.lags.iter().any(|lag| lag == name);
    let integer = |name| match measured(snapshot, active, name)?.value {
        Value::Integer(integer) => Some(integer),
        _ => None,
    };
    let mut over = Vec::new();
    for (name, measure) in LAGS {
        if wanted(name)
            && let Some(bytes) = integer(measure)
            && bytes > settings.limit_bytes
        {
            over.push(format!("about {} ({name} lag)", in_words(bytes)));
        }
    }
    if wanted(REPLAY_TIME)
        && let Some(ms) = integer("replay-lag-ms").and_then(|ms| u64::try_from(ms).ok())
        && u128::from(ms) > settings.limit_time.as_millis()
    {
        over.push(format!("the last {} s (replay lag)", ms.div_ceil(1_000)));
    }
    over
}

fn measured(snapshot: &Snapshot, server: &str, name: &str) -> Option<Measure> {
    snapshot.measure(server, Some(Service::Repository), name)
}

/// Whole units, so that the words are seldom others.
fn in_words(bytes: i64) -> String {
    match bytes {
        ..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{} KiB", bytes / 1_024),
        1_048_576..1_073_741_824 => format!("{} MiB", bytes / 1_048_576),
        _ => format!("{} GiB", bytes / 1_073_741_824),
    }
}
