//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::path::Path;

use slack::{Settings, Slack};
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, HttpResponse, Next, Notification, Notifier, Request, Response,
    Severity,
};

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
    Settings { url: "{{secret \"slack-url\"}}".to_owned(), ..Settings::default() }
}

fn told(notification: &Notification, settings: &Settings) -> String {
    let Ok(Next::Send(send)) = Slack::start(notification, settings) else {
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
fn a_warning_calls_nobody_and_a_critical_alert_does() {
    let settings = Settings { mention: "<!here>".to_owned(), ..settings() };
    let warning = Alert { severity: Severity::Warning, ..alert() };
    golden("warning.txt", &told(&alone(warning), &settings));
    golden("mention.txt", &told(&alone(alert()), &settings));
}

#[test]
fn texts_cannot_call_anybody_or_make_links() {
    let alert = Alert { summary: "<!channel> & <https://example.com|x>".to_owned(), ..alert() };
    let told = told(&alone(alert), &settings());
    assert!(told.contains("&lt;!channel&gt; &amp; &lt;https://example.com|x&gt;"), "{told}");
    assert!(!told.contains("<!channel>"), "{told}");
}

#[test]
fn without_a_url_nothing_is_sent() {
    assert!(Slack::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)], body: &str| {
        let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let response = Response::Http(HttpResponse { status, headers, body: body.into() });
        Slack::resume(&[], &response, &settings()).unwrap()
    };
    assert_eq!(next(200, &[], "ok"), Next::delivered());
    let Next::Retry(retry) = next(429, &[("retry-after", "30")], "") else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    assert_eq!(next(404, &[], "no_service"), Next::Refused("HTTP 404: no_service".to_owned()));
    assert!(matches!(next(500, &[], "rollup_error"), Next::Retry(_)));
}
