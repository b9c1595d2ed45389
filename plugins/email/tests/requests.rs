//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fmt::Write as _;

use email::{Email, Settings};
use watchkeeper_sdk::notifier::testkit::{Golden, alert, alone, bare, several, telling};
use watchkeeper_sdk::notifier::{
    Alert, Cause, MailRequest, MailResponse, Next, Notification, Notifier, Request, Response,
};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

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

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &told(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself_with_a_prefix_and_as_text_only() {
    let settings =
        Settings { subject_prefix: "Watchkeeper".to_owned(), only_text: true, ..settings() };
    GOLDEN.compare("resolved.txt", &told(&alone(bare()), &settings));
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
