//! The examples as the components that they become: loaded, checked and asked by the engine's own host.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::Grant;
use watchkeeper_core::settings::{Given, SettingValue, check};
use watchkeeper_core::snapshot::{Read, Snapshot};
use watchkeeper_guests::guest_bytes;
use watchkeeper_wasm::notifier::{
    Alert, AlertStatus, Cause, HttpResponse, Next, Notification, Request, Response,
};
use watchkeeper_wasm::{Host, HostConfig};

use watchkeeper_sdk::policy::{Policy as _, Service};
use watchkeeper_sdk::testkit;

use crate::read;
use crate::state::Worst;

fn host() -> Host {
    Host::new(HostConfig::default()).unwrap()
}

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, Given> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), Given::Text((*text).to_owned()))).collect()
}

/// The snapshot that docs/policies.md shows.
fn snapshot() -> Snapshot {
    serde_json::from_str(&read("docs/examples/snapshot.json")).unwrap()
}

#[test]
fn quiet_hours_holds_while_it_is_quiet() {
    let policy = host().load_policy(&guest_bytes("quiet-hours")).unwrap();
    let description = policy.description();
    assert_eq!(description.name, "quiet-hours");
    assert_eq!(description.needs, [Grant::Hold, Grant::Alert].into());

    let snapshot = Arc::new(snapshot());
    let holds = |begin: &str| {
        let settings = check(&description.settings, &texts(&[("begin", begin)])).unwrap();
        let evaluated = policy.evaluate(&snapshot, &settings, &[]);
        assert!(evaluated.reads.contains(&Read::Time));
        evaluated.outcome.unwrap().holds
    };
    // The snapshot is from 02:10 UTC.
    assert_eq!(holds("2h"), ["quiet hours"]);
    assert_eq!(holds("3h"), [""; 0]);
    assert!(check(&description.settings, &texts(&[("begin", "25h")])).is_err());
}

#[test]
fn what_a_policy_remembers_is_handed_on_and_migrated() {
    let kit = testkit::cluster().down("dm1", Service::Rest).down("dm1", Service::Daemon).snapshot();
    let worst = |state: &[u8]| Worst::evaluate(&kit, &(), state).unwrap().state;
    assert_eq!(worst(&[]), 2_u32.to_le_bytes());
    assert_eq!(worst(&5_u32.to_le_bytes()), 5_u32.to_le_bytes());
    assert!(Worst::evaluate(&kit, &(), b"?").is_err());
    assert_eq!(Worst::migrate("1.0.0", vec![7]).unwrap(), 7_u32.to_le_bytes());
    assert!(Worst::migrate("1.0.0", vec![]).is_err());
}

#[test]
fn pager_sends_what_the_configuration_lets_it() {
    let pager = host().load_notifier(&guest_bytes("pager")).unwrap();
    let given = texts(&[("number", "+49 30 1"), ("url", "https://sms.example.com/send")]);
    let settings = check(&pager.description().settings, &given).unwrap();
    let now = Timestamp(1_772_330_400_000);

    let sent = pager.start(&notification(), &settings, now).outcome.unwrap();
    let Next::Send(sent) = sent else { panic!("{sent:?}") };
    let Request::Http(request) = sent.request else { panic!("not over HTTP") };
    assert_eq!(request.url, "https://sms.example.com/send");
    assert!(request.headers.iter().any(|(_, value)| value == "{{secret \"pager-key\"}}"));

    let answer = |status| {
        let response = HttpResponse { status, headers: Vec::new(), body: Vec::new() };
        pager.resume(&sent.state, &Response::Http(response), &settings, now).outcome.unwrap()
    };
    assert_eq!(answer(202), Next::Delivered(Vec::new()));
    assert!(matches!(answer(503), Next::Retry(_)));
    assert!(matches!(answer(401), Next::Refused(_)));

    let mut by_command = settings.clone();
    by_command[1] = SettingValue::Text("command".to_owned());
    let sent = pager.start(&notification(), &by_command, now).outcome.unwrap();
    let Next::Send(sent) = sent else { panic!("{sent:?}") };
    let Request::Command(command) = sent.request else { panic!("not by command") };
    assert_eq!((command.name.as_str(), command.arguments), ("page", vec!["+49 30 1".to_owned()]));
}

fn notification() -> Notification {
    let alert = Alert {
        fingerprint: "5f1d".to_owned(),
        status: AlertStatus::Firing,
        news: true,
        name: "service-down".to_owned(),
        severity: watchkeeper_wasm::notifier::Severity::Critical,
        cluster: "prod".to_owned(),
        server: "dm1".to_owned(),
        service: "rest".to_owned(),
        code: String::new(),
        summary: "rest on dm1 is down".to_owned(),
        details: String::new(),
        source: "data-mover-ha".to_owned(),
        labels: Vec::new(),
        starts_at: 1_772_330_400_000,
        ends_at: None,
        acknowledged_by: String::new(),
    };
    Notification {
        idempotency_key: "5f1d-1".to_owned(),
        group_key: "aa1d".to_owned(),
        group_labels: Vec::new(),
        cause: Cause::First,
        status: AlertStatus::Firing,
        alerts: vec![alert],
        more: 0,
        memory: Vec::new(),
        queued_at: 1_772_330_400_000,
        monitor: "vp1".to_owned(),
    }
}
