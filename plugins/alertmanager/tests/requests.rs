//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use alertmanager::{Alertmanager, Settings};
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, over, play, several, telling, told,
};
use watchkeeper_sdk::notifier::{Alert, Cause, Next, Notification, Notifier as _, Severity};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { url: "https://alerts.example.com:9093/".to_owned(), ..Settings::default() }
}

#[test]
fn a_firing_alert_holds_for_a_day() {
    let said = play::<Alertmanager>(&alone(alert()), &settings(), &[answer(200, &[], "")]);
    GOLDEN.compare("firing.txt", &said);
}

#[test]
fn a_group_of_alerts() {
    let said = play::<Alertmanager>(&several(), &settings(), &[answer(200, &[], "")]);
    GOLDEN.compare("group.txt", &said);
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    let said = play::<Alertmanager>(&alone(bare()), &settings(), &[answer(200, &[], "")]);
    GOLDEN.compare("resolved.txt", &said);
}

#[test]
fn settings_are_followed_and_secrets_stay_references() {
    let settings = Settings {
        authorization: "Bearer {{secret \"token\"}}".to_owned(),
        generator_url: "https://wiki.example.com/dm".to_owned(),
        hold: Duration::from_hours(5),
        ..settings()
    };
    GOLDEN.compare("settings.txt", &told::<Alertmanager>(&alone(alert()), &settings));
}

#[test]
fn an_alert_that_grew_worse_is_ended_as_what_it_was() {
    let memory = b"5f1d0c9a2b3e4f60 warning\n0123 info\n".to_vec();
    let worse = Notification { memory, ..telling(Cause::News, vec![alert()]) };
    let said = play::<Alertmanager>(&worse, &settings(), &[answer(200, &[], "")]);
    GOLDEN.compare("worse.txt", &said);
}

#[test]
fn what_is_over_is_not_remembered_and_a_severity_that_stayed_ends_nothing() {
    let memory = b"5f1d0c9a2b3e4f60 critical\n".to_vec();
    let ended = Notification { memory, ..alone(over(alert())) };
    let said = play::<Alertmanager>(&ended, &settings(), &[answer(200, &[], "")]);
    assert!(said.ends_with("delivered, memory: \"\"\n"), "{said}");
    assert_eq!(said.matches("alertname").count(), 1, "{said}");
}

#[test]
fn labels_have_names_that_alertmanager_takes_and_each_once() {
    let pair = |name: &str| (name.to_owned(), "x".to_owned());
    let labels =
        vec![pair("9-lives"), pair("a.b"), pair("a-b"), pair("severity"), pair("ö"), pair("")];
    let said = told::<Alertmanager>(&alone(Alert { labels, ..alert() }), &settings());
    assert!(
        said.contains(
            r#""source":"data-mover-ha","_9_lives":"x","a_b":"x","_":"x"},"annotations""#
        ),
        "{said}"
    );
    let warning = Alert { severity: Severity::Warning, ..alert() };
    let said = told::<Alertmanager>(&alone(warning), &settings());
    assert!(said.contains(r#""severity":"warning""#), "{said}");
}

#[test]
fn without_a_url_nothing_is_sent() {
    assert!(Alertmanager::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    let next = |status, headers: &[(&str, &str)], body: &str| {
        after::<Alertmanager>(&answer(status, headers, body), &settings())
    };
    assert_eq!(next(200, &[], ""), Next::delivered());
    let Next::Retry(retry) = next(429, &[("retry-after", "30")], "") else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    let wrong = r#""invalid label set""#;
    assert_eq!(next(400, &[], wrong), Next::Refused(format!("HTTP 400: {wrong}")));
    assert!(matches!(next(503, &[], ""), Next::Retry(_)));
}
