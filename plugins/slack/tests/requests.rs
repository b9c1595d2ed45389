//! What is sent for an alert, compared with files that people can read. `UPDATE_GOLDEN=1`
//! rewrites them: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use slack::{Settings, Slack};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, after, alert, alone, answer, bare, converse, endless, several, told,
};
use watchkeeper_sdk::notifier::{Alert, Next, Notifier as _, Request, Severity};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));

fn settings() -> Settings {
    Settings { url: "{{secret \"slack-url\"}}".to_owned(), ..Settings::default() }
}

#[test]
fn a_firing_alert() {
    GOLDEN.compare("firing.txt", &told::<Slack>(&alone(alert()), &settings()));
}

#[test]
fn a_group_of_alerts() {
    GOLDEN.compare("group.txt", &told::<Slack>(&several(), &settings()));
}

#[test]
fn a_resolved_alert_of_the_monitor_itself() {
    GOLDEN.compare("resolved.txt", &told::<Slack>(&alone(bare()), &settings()));
}

#[test]
fn a_warning_calls_nobody_and_a_critical_alert_does() {
    let settings = Settings { mention: "<!here>".to_owned(), ..settings() };
    let warning = Alert { severity: Severity::Warning, ..alert() };
    GOLDEN.compare("warning.txt", &told::<Slack>(&alone(warning), &settings));
    GOLDEN.compare("mention.txt", &told::<Slack>(&alone(alert()), &settings));
}

#[test]
fn texts_cannot_call_anybody_or_make_links() {
    let alert = Alert { summary: "<!channel> & <https://example.com|x>".to_owned(), ..alert() };
    let told = told::<Slack>(&alone(alert), &settings());
    assert!(told.contains("&lt;!channel&gt; &amp; &lt;https://example.com|x&gt;"), "{told}");
    assert!(!told.contains("<!channel>"), "{told}");
}

#[test]
fn all_texts_together_are_short_enough() {
    let (requests, _) = converse::<Slack>(&endless(), &settings(), &[answer(200, &[], "ok")]);
    let Request::Http(request) = &requests[0] else { panic!("not over HTTP") };
    let mut lengths = Vec::new();
    for (alert, block) in (0..10).flat_map(|alert| (0..3).map(move |block| (alert, block))) {
        let (alert, block) = (alert.to_string(), block.to_string());
        let path = ["attachments", &alert, "blocks", &block, "text", "text"];
        lengths.push(text_at(&request.body, &path).unwrap().chars().count());
    }
    assert_eq!(lengths, [394; 30]);
    assert_eq!(text_at(&request.body, &["attachments", "10", "color"]), None);
}

#[test]
fn without_a_url_nothing_is_sent() {
    assert!(Slack::start(&alone(alert()), &Settings::default()).is_err());
}

#[test]
fn responses() {
    assert_eq!(after::<Slack>(&answer(200, &[], "ok"), &settings()), Next::delivered());
    let Next::Retry(retry) =
        after::<Slack>(&answer(429, &[("retry-after", "30")], ""), &settings())
    else {
        panic!("too many requests are worth another try")
    };
    assert_eq!(retry.after, Some(30_000));
    assert_eq!(
        after::<Slack>(&answer(404, &[], "no_service"), &settings()),
        Next::Refused("HTTP 404: no_service".to_owned())
    );
    assert!(matches!(
        after::<Slack>(&answer(500, &[], "rollup_error"), &settings()),
        Next::Retry(_)
    ));
}
