//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, several, told,
};
use watchkeeper_sdk::notifier::{Next, Notifier as _};
use webhook::{Settings, Verb, Webhook};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { url: "https://alerts.example.com/hook".to_owned(), ..Settings::default() }
}

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &told::<Webhook>(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told::<Webhook>(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    GOLDEN.compare("resolved.txt", &told::<Webhook>(&alone(bare()), &settings()));
}

#[test]
fn secrets_stay_references_in_the_guest() {
    let settings = Settings {
        url: "https://alerts.example.com/{{secret \"path\"}}".to_owned(),
        method: Verb::Put,
        headers: vec!["X-Api-Key: {{secret \"key\"}}".to_owned()],
        bearer: "{{secret \"token\"}}".to_owned(),
    };
    GOLDEN.compare("secrets.txt", &told::<Webhook>(&alone(alert()), &settings));
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
    for status in [200, 201, 202, 204] {
        assert_eq!(after::<Webhook>(&answer(status, &[], ""), &settings()), Next::delivered());
    }
    for status in [408, 429, 500, 502, 503] {
        let Next::Retry(retry) =
            after::<Webhook>(&answer(status, &[("retry-after", "7")], ""), &settings())
        else {
            panic!("{status} is worth another try")
        };
        assert_eq!(retry.after, Some(7_000));
    }
    for status in [400, 401, 403, 404, 410] {
        assert!(
            matches!(after::<Webhook>(&answer(status, &[], ""), &settings()), Next::Refused(_)),
            "{status}"
        );
    }
}
