//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use pagerduty::{Level, PagerDuty, Settings};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, converse, endless, play, several, told,
};
use watchkeeper_sdk::notifier::{
    Alert, Cause, Next, Notification, Notifier as _, Request, Severity,
};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));
const TAKEN: &str =
    r#"{"status":"success","message":"Event processed","dedup_key":"aa1d0c9a2b3e4f60"}"#;

fn settings() -> Settings {
    Settings { routing_key: "{{secret \"pagerduty\"}}".to_owned(), ..Settings::default() }
}

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &told::<PagerDuty>(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told::<PagerDuty>(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    let said = play::<PagerDuty>(&alone(bare()), &settings(), &[answer(202, &[], TAKEN)]);
    GOLDEN.compare("resolved.txt", &said);
}

#[test]
fn what_somebody_takes_care_of_is_acknowledged_once_it_is_there() {
    let known = Alert { acknowledged_by: "ada".to_owned(), ..alert() };
    let notification = Notification { cause: Cause::Escalated, ..alone(known) };
    let taken = answer(202, &[], TAKEN);
    let said = play::<PagerDuty>(&notification, &settings(), &[taken.clone(), taken]);
    GOLDEN.compare("acknowledged.txt", &said);
    let (requests, end) =
        converse::<PagerDuty>(&notification, &settings(), &[answer(500, &[], "")]);
    assert_eq!((requests.len(), end), (1, Ok(Next::retry(None, "HTTP 500"))));
}

#[test]
fn a_group_of_which_one_is_not_acknowledged_is_not() {
    let (requests, _) = converse::<PagerDuty>(&several(), &settings(), &[answer(202, &[], TAKEN)]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn severities_and_the_link_are_what_the_settings_say() {
    let settings = Settings {
        warning: Level::Error,
        link: "https://wiki.example.com/dm?key={{secret \"wiki\"}}".to_owned(),
        ..settings()
    };
    let warning = Alert { severity: Severity::Warning, ..alert() };
    GOLDEN.compare("settings.txt", &told::<PagerDuty>(&alone(warning), &settings));
}

#[test]
fn no_text_is_longer_than_it_may_be() {
    let settings = Settings { routing_key: "k".to_owned(), ..settings() };
    let (requests, _) = converse::<PagerDuty>(&endless(), &settings, &[answer(202, &[], TAKEN)]);
    let Request::Http(request) = &requests[0] else { panic!("not over HTTP") };
    let summary = text_at(&request.body, &["payload", "summary"]).unwrap();
    assert_eq!(summary.chars().count(), 1_024);
    assert!(summary.ends_with("😀 ..."), "{summary}");
    assert!(request.body.len() < 512 * 1000, "{}", request.body.len());
}

#[test]
fn without_a_key_nothing_is_sent() {
    assert!(PagerDuty::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)], body: &str| {
        after::<PagerDuty>(&answer(status, headers, body), &settings())
    };
    assert_eq!(next(202, &[], TAKEN), Next::delivered());
    let Next::Retry(retry) = next(429, &[("retry-after", "30")], "") else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    let wrong = r#"{"status":"invalid event"}"#;
    assert_eq!(next(400, &[], wrong), Next::Refused(format!("HTTP 400: {wrong}")));
    assert!(matches!(next(500, &[], ""), Next::Retry(_)));
}
