//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;
use std::path::Path;

use email::{Email, Settings};
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, MailRequest, MailResponse, Next, Notification, Notifier, Request,
    Response, Severity,
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
    Settings { to: vec!["Ops <ops@example.com>".to_owned()], ..Settings::default() }
}

fn sent(notification: &Notification, settings: &Settings) -> MailRequest {
    let Ok(Next::Send(send)) = Email::start(notification, settings) else {
        panic!("nothing is sent")
    };
    let Request::Mail(request) = send.request else { panic!("not by e-mail") };
    request
}

fn told(notification: &Notification, settings: &Settings) -> String {
    let mail = sent(notification, settings);
    let mut text = String::new();
    let _ = writeln!(text, "To: {}", mail.to.join(", "));
    let _ = writeln!(text, "Subject: {}\nThread: {}\n\n{}", mail.subject, mail.thread, mail.text);
    if let Some(html) = mail.html {
        let _ = writeln!(text, "==== HTML\n{html}");
    }
    text
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
fn a_resolved_alert_of_the_monitor_itself_with_a_prefix_and_as_text_only() {
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
    let settings =
        Settings { subject_prefix: "Watchkeeper".to_owned(), only_text: true, ..settings() };
    golden("resolved.txt", &told(&alone(alert), &settings));
}

#[test]
fn what_is_told_again_or_for_another_receiver_says_so() {
    let repeat = told(&telling(Cause::Repeat, vec![alert()]), &settings());
    assert_eq!(repeat.matches("This was told before and still is so.").count(), 2, "{repeat}");
    let escalated = told(&telling(Cause::Escalated, vec![alert()]), &settings());
    assert_eq!(escalated.matches("Another receiver could not be told").count(), 2, "{escalated}");
}

#[test]
fn texts_cannot_become_html() {
    let alert = Alert {
        summary: "<script>x</script> & \"quoted\"".to_owned(),
        details: "<img src='http://evil'>".to_owned(),
        labels: vec![("a<b".to_owned(), "</td>".to_owned())],
        ..alert()
    };
    let html = sent(&alone(alert), &settings()).html.unwrap();
    assert!(html.contains("&lt;script&gt;x&lt;/script&gt; &amp; &quot;quoted&quot;"), "{html}");
    for tag in ["<script", "<img", "a<b", "</td></td>"] {
        assert!(!html.contains(tag), "{html}");
    }
}

#[test]
fn a_subject_is_one_line_of_bounded_length() {
    let alert = Alert { summary: format!("two\r\nBcc: lines{}", "é".repeat(500)), ..alert() };
    let subject = sent(&alone(alert), &settings()).subject;
    assert!(subject.starts_with("[CRITICAL] prod: two  Bcc: lines"), "{subject}");
    assert!(subject.ends_with("é ...") && subject.chars().count() == 204, "{subject}");
}

#[test]
fn a_large_group_says_how_much_is_left_out() {
    let mail = sent(&telling(Cause::First, vec![alert(); 52]), &settings());
    let expected = "2 further alerts of this group are not in this e-mail.";
    assert!(mail.text.contains(expected) && mail.html.unwrap().contains(expected));
    assert_eq!(mail.text.matches("CRITICAL: daemon on dm1 is down").count(), 50);
}

#[test]
fn without_anybody_nothing_is_sent() {
    assert!(Email::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn the_servers_reply_decides() {
    let next = |code: u16, text: &str| {
        let response = Response::Mail(MailResponse { code, text: text.to_owned() });
        Email::resume(&[], &response, &settings()).unwrap()
    };
    assert_eq!(next(250, "queued"), Next::delivered());
    assert_eq!(next(451, "try later"), Next::retry(None, "451 try later"));
    assert_eq!(next(550, "no such user"), Next::Refused("550 no such user".to_owned()));
}
