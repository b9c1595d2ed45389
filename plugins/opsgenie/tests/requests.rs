//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use opsgenie::{Opsgenie, Priority, Settings};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, converse, endless, play, several, told,
};
use watchkeeper_sdk::notifier::{
    Alert, Cause, Next, Notification, Notifier as _, Request, Response, Severity,
};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { key: "{{secret \"opsgenie\"}}".to_owned(), ..Settings::default() }
}

fn taken() -> Response {
    answer(202, &[], r#"{"result":"Request will be processed","took":0.3,"requestId":"43a29c5c"}"#)
}

fn known(notification: Notification) -> Notification {
    Notification { memory: b"aa1d0c9a2b3e4f60".to_vec(), ..notification }
}

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &play::<Opsgenie>(&alone(alert()), &settings(), &[taken()]));
}

#[test]
fn news_of_a_group_that_is_known_are_a_note() {
    let said = play::<Opsgenie>(&known(several()), &settings(), &[taken(), taken()]);
    GOLDEN.compare("group.txt", &said);
    let (requests, _) = converse::<Opsgenie>(&several(), &settings(), &[taken()]);
    assert_eq!(requests.len(), 1, "a group that is not known has all in its description");
}

#[test]
fn what_is_over_is_closed() {
    let said = play::<Opsgenie>(&known(alone(bare())), &settings(), &[taken()]);
    GOLDEN.compare("resolved.txt", &said);
}

#[test]
fn what_somebody_takes_care_of_is_acknowledged() {
    let alert = Alert { acknowledged_by: "ada".to_owned(), ..alert() };
    let notification = Notification { cause: Cause::Escalated, ..alone(alert) };
    let said = play::<Opsgenie>(&notification, &settings(), &[taken(), taken()]);
    GOLDEN.compare("acknowledged.txt", &said);
}

#[test]
fn settings_are_followed() {
    let settings = Settings {
        url: "https://api.eu.opsgenie.com/".to_owned(),
        teams: vec!["dba".to_owned()],
        tags: (0..40).map(|n| format!("tag-{n}-{}", "x".repeat(60))).collect(),
        warning: Priority::P2,
        ..settings()
    };
    let warning = Alert { severity: Severity::Warning, ..alert() };
    GOLDEN.compare("settings.txt", &told::<Opsgenie>(&alone(warning), &settings));
}

#[test]
fn no_text_is_longer_than_it_may_be() {
    let (requests, _) = converse::<Opsgenie>(&endless(), &settings(), &[taken()]);
    let Request::Http(request) = &requests[0] else { panic!("not over HTTP") };
    for (field, most) in [("message", 130), ("description", 15_000)] {
        let text = text_at(&request.body, &[field]).unwrap();
        assert_eq!(text.chars().count(), most, "{field}");
        assert!(text.ends_with("😀 ..."), "{field}");
    }
}

#[test]
fn without_a_key_nothing_is_sent() {
    assert!(Opsgenie::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)], body: &str| {
        after::<Opsgenie>(&answer(status, headers, body), &settings())
    };
    assert_eq!(next(202, &[], ""), Next::delivered());
    let Next::Retry(retry) = next(429, &[("retry-after", "30")], "") else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    let wrong = r#"{"message":"Request body is not processable"}"#;
    assert_eq!(next(422, &[], wrong), Next::Refused(format!("HTTP 422: {wrong}")));
    assert!(matches!(next(503, &[], ""), Next::Retry(_)));
    let responses = [taken(), answer(500, &[], "")];
    let (_, end) = converse::<Opsgenie>(&known(several()), &settings(), &responses);
    assert_eq!(end, Ok(Next::retry(None, "HTTP 500")));
}
