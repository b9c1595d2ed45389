//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use teams::{Settings, Teams};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, converse, endless, several, told,
};
use watchkeeper_sdk::notifier::{Alert, Next, Notification, Notifier as _, Request};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { url: "{{secret \"teams-url\"}}".to_owned(), ..Settings::default() }
}

fn body(notification: &Notification) -> Vec<u8> {
    let (requests, end) = converse::<Teams>(notification, &settings(), &[answer(202, &[], "")]);
    assert_eq!(end, Ok(Next::delivered()));
    let Some(Request::Http(request)) = requests.into_iter().next() else { panic!("not over HTTP") };
    request.body
}

#[test]
fn a_firing_alert() {
    let settings = Settings { link: "https://wiki.example.com/dm".to_owned(), ..settings() };
    GOLDEN.compare("firing.txt", &told::<Teams>(&alone(alert()), &settings));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told::<Teams>(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    GOLDEN.compare("resolved.txt", &told::<Teams>(&alone(bare()), &settings()));
}

#[test]
fn a_message_is_never_larger_than_teams_takes_it() {
    let many = |alert: Alert| Notification { alerts: vec![alert; 60], ..alone(bare()) };
    let mut control = endless();
    for alert in &mut control.alerts {
        alert.summary = "\u{7}".repeat(5_000);
        alert.details.clone_from(&alert.summary);
    }
    for notification in [endless(), control, many(alert()), many(bare())] {
        let body = body(&notification);
        assert!(body.len() <= 28 * 1024, "{}", body.len());
        let path = ["attachments", "0", "content", "body", "0", "inlines", "0", "text"];
        assert!(text_at(&body, &path).is_some(), "it is not whole");
    }
}

#[test]
fn what_is_not_shown_is_counted() {
    let body = String::from_utf8(body(&Notification { more: 2, ..endless() })).unwrap();
    assert!(body.contains("Not shown: 37 further alerts of this group."), "{body}");
}

#[test]
fn without_a_url_nothing_is_sent() {
    assert!(Teams::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)], body: &str| {
        after::<Teams>(&answer(status, headers, body), &settings())
    };
    assert_eq!(next(202, &[], ""), Next::delivered());
    let Next::Retry(retry) = next(429, &[("retry-after", "30")], "") else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    assert_eq!(next(401, &[], "no sig"), Next::Refused("HTTP 401: no sig".to_owned()));
    assert!(matches!(next(502, &[], ""), Next::Retry(_)));
}
