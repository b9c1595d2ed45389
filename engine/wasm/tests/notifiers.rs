//! A notifier's way from an alert to its delivery.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod common;

use common::host;
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::FailureKind;
use watchkeeper_core::settings::SettingValue;
use watchkeeper_guests::guest_bytes;
use watchkeeper_wasm::notifier::{
    Alert, AlertStatus, Cause, CommandResponse, HttpRequest, HttpResponse, Method, Next,
    Notification, Request, Response, Retry, Send, Severity,
};

fn notification() -> Notification {
    let text = str::to_owned;
    let alert = Alert {
        fingerprint: text("f00d"),
        status: AlertStatus::Firing,
        news: true,
        name: text("service-down"),
        severity: Severity::Critical,
        cluster: text("prod"),
        server: text("dm1"),
        service: text("daemon"),
        code: String::new(),
        summary: text("the daemon is down"),
        details: String::new(),
        source: text("engine"),
        labels: vec![(text("team"), text("dm"))],
        starts_at: 1,
        ends_at: None,
        acknowledged_by: String::new(),
    };
    Notification {
        idempotency_key: text("k1"),
        group_key: text("f00d"),
        group_labels: Vec::new(),
        cause: Cause::First,
        status: AlertStatus::Firing,
        alerts: vec![alert],
        more: 0,
        memory: Vec::new(),
        queued_at: 1,
        monitor: text("vp1"),
    }
}

fn http(status: u16) -> Response {
    Response::Http(HttpResponse { status, headers: Vec::new(), body: b"later".to_vec() })
}

#[test]
fn an_alert_becomes_a_request_and_the_response_decides() {
    let notifier = host().load_notifier(&guest_bytes("guest-notifier")).unwrap();
    assert_eq!(notifier.description().name, "small");
    let url = "https://example.com/{{secret \"TOKEN\"}}";
    let settings = [SettingValue::Text(url.to_owned())];
    let now = Timestamp(1_700_000_000_000);

    let started = notifier.start(&notification(), &settings, now);
    assert_eq!(started.log[0].text, "service-down");
    assert_eq!(
        started.outcome.unwrap(),
        Next::Send(Send {
            request: Request::Http(HttpRequest {
                method: Method::Post,
                url: url.to_owned(),
                headers: vec![("idempotency-key".to_owned(), "k1".to_owned())],
                body: b"the daemon is down".to_vec(),
            }),
            state: b"f00d".to_vec(),
        })
    );
    let resume = |response| notifier.resume(b"f00d", &response, &settings, now).outcome;
    assert_eq!(resume(http(200)).unwrap(), Next::Delivered(b"f00d".to_vec()));
    assert_eq!(
        resume(http(503)).unwrap(),
        Next::Retry(Retry { after: Some(1_500), reason: "later".to_owned() })
    );
    assert_eq!(resume(http(400)).unwrap(), Next::Refused("f00d".to_owned()));
    let command = Response::Command(CommandResponse { exit: Some(0), output: Vec::new() });
    let failure = resume(command).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Trap);
    assert!(failure.detail.contains("only HTTP was asked for"), "{failure}");

    let broken = [SettingValue::Text("https://example.com/\r\nhost: other".to_owned())];
    let failure = notifier.start(&notification(), &broken, now).outcome.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
}
