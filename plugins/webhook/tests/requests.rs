//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::path::Path;

use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, HttpResponse, Next, Notification, Notifier, Request, Response,
    Severity,
};
use webhook::{Settings, Verb, Webhook};

fn alert() -> Alert {
    Alert {
        fingerprint: "5f1d0c9a2b3e4f60".to_owned(),
        status: AlertStatus::Firing,
        news: true,
        name: "service-down".to_owned(),
        severity: Severity::Critical,
        cluster: "prod".to_owned(),
        server: "dm1".to_owned(),
        service: "daemon".to_owned(),
        code: "4604100".to_owned(),
        summary: "daemon on dm1 is down: \"exit 1\"".to_owned(),
        details: "Rescue is under way.\nSee: watchkeeper explain {{secret \"x\"}}".to_owned(),
        source: "data-mover-ha".to_owned(),
        labels: vec![("site".to_owned(), "Köln".to_owned())],
        starts_at: 1_772_330_400_000,
        ends_at: None,
        acknowledged_by: String::new(),
    }
}

/// By itself, or with others.
fn telling(cause: Cause, alerts: Vec<Alert>) -> Notification {
    let firing = alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
    Notification {
        idempotency_key: "5f1d0c9a2b3e4f60-1".to_owned(),
        group_key: "aa1d0c9a2b3e4f60".to_owned(),
        group_labels: vec![("cluster".to_owned(), "prod".to_owned())],
        cause,
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        alerts,
        more: 0,
        memory: Vec::new(),
        queued_at: 1_772_330_401_000,
        monitor: "vp1".to_owned(),
    }
}

fn alone(alert: Alert) -> Notification {
    let cause = if alert.ends_at.is_some() { Cause::Over } else { Cause::First };
    telling(cause, vec![alert])
}

/// Two that fire, of which one is known already, and one that is over.
fn several() -> Notification {
    let lag = Alert {
        name: "replication-lag".to_owned(),
        severity: Severity::Warning,
        server: "dm2".to_owned(),
        service: "sync".to_owned(),
        summary: "the standby is 90 s behind".to_owned(),
        news: false,
        acknowledged_by: "ada".to_owned(),
        ..alert()
    };
    let over = Alert {
        name: "standby-not-ready".to_owned(),
        status: AlertStatus::Resolved,
        ends_at: Some(1_772_330_460_000),
        ..lag.clone()
    };
    Notification { more: 3, ..telling(Cause::News, vec![alert(), over, lag]) }
}

fn settings() -> Settings {
    Settings { url: "https://alerts.example.com/hook".to_owned(), ..Settings::default() }
}

fn told(notification: &Notification, settings: &Settings) -> String {
    let Ok(Next::Send(send)) = Webhook::start(notification, settings) else {
        panic!("nothing is sent")
    };
    let Request::Http(request) = send.request else { panic!("not over HTTP") };
    let mut text = format!("{:?} {}\n", request.method, request.url);
    for (name, value) in &request.headers {
        let _ = writeln!(text, "{name}: {value}");
    }
    format!("{text}\n{}\n", String::from_utf8(request.body).unwrap())
}

fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(&path, actual).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), actual, "{name}");
}

#[test]
fn a_firing_alert() {
    golden("firing.txt", &told(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    golden("group.txt", &told(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    let alert = Alert {
        status: AlertStatus::Resolved,
        cluster: String::new(),
        server: String::new(),
        service: String::new(),
        code: String::new(),
        labels: Vec::new(),
        ends_at: Some(1_772_330_460_000),
        ..alert()
    };
    golden("resolved.txt", &told(&alone(alert), &settings()));
}

#[test]
fn secrets_stay_references_in_the_guest() {
    let settings = Settings {
        url: "https://alerts.example.com/{{secret \"path\"}}".to_owned(),
        method: Verb::Put,
        headers: vec!["X-Api-Key: {{secret \"key\"}}".to_owned()],
        bearer: "{{secret \"token\"}}".to_owned(),
    };
    golden("secrets.txt", &told(&alone(alert()), &settings));
}

#[test]
fn what_cannot_be_sent_is_said_without_the_value() {
    assert!(Webhook::start(&alone(alert()), &Settings::default()).is_err());
    let settings = Settings { headers: vec!["hunter2".to_owned()], ..settings() };
    let error = Webhook::start(&alone(alert()), &settings).unwrap_err();
    assert!(error.contains("headers") && !error.contains("hunter2"), "{error}");
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)]| {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let response = Response::Http(HttpResponse { status, headers, body: Vec::new() });
        Webhook::resume(&[], &response, &settings()).unwrap()
    };
    for status in [200, 201, 202, 204] {
        assert_eq!(next(status, &[]), Next::delivered());
    }
    for status in [408, 429, 500, 502, 503] {
        let Next::Retry(retry) = next(status, &[("retry-after", "7")]) else {
            panic!("{status} is worth another try")
        };
        assert_eq!(retry.after, Some(7_000));
    }
    for status in [400, 401, 403, 404, 410] {
        assert!(matches!(next(status, &[]), Next::Refused(_)), "{status}");
    }
}
