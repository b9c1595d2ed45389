//! What the tests of guests have in common: a host, a snapshot, and the guests' bytes.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use watchkeeper_core::settings::SettingValue;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_guests::guest_bytes;
use watchkeeper_wasm::{Evaluated, Host, HostConfig, Limits, Policy};

/// One host for all tests of a file, so that whatever one guest does could harm the others. Its
/// calls may last a second: on a busy machine the other limits are to be reached before the time.
pub(crate) fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| {
        let limits = Limits { call: Duration::from_secs(1), ..Limits::default() };
        Host::new(HostConfig { limits, ..HostConfig::default() }).unwrap()
    })
}

pub(crate) fn hostile() -> &'static [u8] {
    static BYTES: OnceLock<Vec<u8>> = OnceLock::new();
    BYTES.get_or_init(|| guest_bytes("guest-hostile"))
}

pub(crate) fn policy() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| host().load_policy(hostile()).unwrap())
}

/// dm1 active with its daemon down, dm2 standby, dm3 with an agent.
pub(crate) fn snapshot(number: u64) -> Arc<Snapshot> {
    let state = |status: &str, code: &str| {
        serde_json::json!({
            "status": status, "reason": {"code": code, "detail": "seen by ssh"},
            "since": 1_000, "confirmations": 3, "seen": 2_000,
        })
    };
    let with = |mut value: serde_json::Value, more: serde_json::Value| {
        let more = more.as_object().unwrap().clone();
        value.as_object_mut().unwrap().extend(more);
        value
    };
    let server = |name: &str, role: &str, place: &str| {
        with(
            state("up", "serving"),
            serde_json::json!({"name": name, "role": role, "place": place}),
        )
    };
    let service = |server: &str, service: &str, place: &str, expected: bool, status: &str| {
        let code = if status == "up" { "running" } else { "not-running" };
        with(
            state(status, code),
            serde_json::json!({
                "server": server, "service": service, "place": place, "expected": expected,
            }),
        )
    };
    let facts = serde_json::json!({
        "number": number,
        "at": 1_700_000_000_123_u64,
        "cluster": {
            "name": "prod", "phase": "active", "side": "primary", "active_since": 5,
            "maintenance": false,
        },
        "servers": [
            server("dm1", "primary", "active"),
            server("dm2", "secondary", "standby"),
            server("dm3", "additional", "additional"),
        ],
        "services": [
            service("dm1", "repository", "active", true, "up"),
            service("dm1", "daemon", "active", true, "down"),
            service("dm2", "daemon", "standby", false, "down"),
            service("dm3", "agent", "additional", true, "up"),
        ],
    });
    Arc::new(serde_json::from_value(facts).unwrap())
}

pub(crate) fn misbehave(misdeed: &str) -> Evaluated {
    evaluate(policy(), misdeed, 7)
}

pub(crate) fn evaluate(policy: &Policy, misdeed: &str, number: u64) -> Evaluated {
    policy.evaluate(&snapshot(number), &[SettingValue::Text(misdeed.to_owned())], b"state")
}
