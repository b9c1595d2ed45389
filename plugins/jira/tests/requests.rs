//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use jira::{Jira, Settings};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, alert, alone, answer, bare, converse, endless, over, play, several,
};
use watchkeeper_sdk::notifier::{Next, Notification, Notifier as _, Request, Response};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));
const OFFERED: &str = r#"{"transitions":[{"id":"11","name":"Start","to":{"name":"In Progress"}},{"id":"31","name":"Finish","to":{"name":"Done"}}]}"#;

fn settings() -> Settings {
    Settings {
        url: "https://example.atlassian.net/".to_owned(),
        basic: "{{secret \"jira\"}}".to_owned(),
        project: "DM".to_owned(),
        ..Settings::default()
    }
}

fn nothing() -> Response {
    answer(200, &[], r#"{"issues":[],"isLast":true}"#)
}

fn found() -> Response {
    answer(200, &[], r#"{"issues":[{"id":"10002","key":"DM-24"}],"isLast":true}"#)
}

fn created() -> Response {
    answer(201, &[], r#"{"id":"10002","key":"DM-24"}"#)
}

fn commented() -> Response {
    answer(201, &[], r#"{"id":"10500"}"#)
}

fn known(notification: Notification) -> Notification {
    Notification { memory: b"10002".to_vec(), ..notification }
}

fn end(notification: &Notification, responses: &[Response]) -> Next {
    converse::<Jira>(notification, &settings(), responses).1.unwrap()
}

#[test]
fn a_firing_alert_opens_an_issue() {
    let said = play::<Jira>(&alone(alert()), &settings(), &[nothing(), created()]);
    GOLDEN.compare("firing.txt", &said);
}

#[test]
fn news_of_a_group_are_a_comment_of_the_issue_that_is_remembered() {
    GOLDEN.compare("group.txt", &play::<Jira>(&known(several()), &settings(), &[commented()]));
}

#[test]
fn what_is_over_goes_through_the_transition_and_gets_a_comment() {
    let responses = [answer(200, &[], OFFERED), answer(204, &[], ""), commented()];
    let said = play::<Jira>(&known(alone(bare())), &settings(), &responses);
    GOLDEN.compare("resolved.txt", &said);
}

#[test]
fn a_transition_that_is_not_offered_is_left_out() {
    let responses = [answer(200, &[], r#"{"transitions":[]}"#), commented()];
    let said = play::<Jira>(&known(alone(over(alert()))), &settings(), &responses);
    GOLDEN.compare("closed-already.txt", &said);
    let none = Settings { transition: String::new(), ..settings() };
    let (requests, _) = converse::<Jira>(&known(alone(bare())), &none, &[commented()]);
    assert_eq!(requests.len(), 1);
}

#[test]
fn an_issue_whose_creation_was_not_heard_of_is_found_again() {
    let settings = Settings {
        labels: vec!["data-mover".to_owned()],
        priority: "High".to_owned(),
        ..settings()
    };
    let said = play::<Jira>(&alone(alert()), &settings, &[found(), commented()]);
    GOLDEN.compare("found.txt", &said);
}

#[test]
fn an_issue_that_was_deleted_is_opened_again() {
    let settings = Settings {
        labels: vec!["data-mover".to_owned()],
        priority: "High".to_owned(),
        ..settings()
    };
    let gone = answer(404, &[], r#"{"errorMessages":["Issue does not exist"]}"#);
    let responses = [gone.clone(), nothing(), created()];
    GOLDEN.compare("deleted.txt", &play::<Jira>(&known(alone(alert())), &settings, &responses));
    assert_eq!(end(&known(alone(over(alert()))), &[gone, nothing()]), Next::delivered());
}

#[test]
fn what_was_over_before_it_was_told_opens_nothing() {
    assert_eq!(end(&alone(over(alert())), &[nothing()]), Next::delivered());
}

#[test]
fn no_text_is_longer_than_it_may_be() {
    let (requests, _) = converse::<Jira>(&endless(), &settings(), &[nothing(), created()]);
    let Request::Http(request) = &requests[1] else { panic!("not over HTTP") };
    let summary = text_at(&request.body, &["fields", "summary"]).unwrap();
    assert_eq!(summary.chars().count(), 255);
    assert!(summary.ends_with("😀 ..."), "{summary}");
    let description = String::from_utf8_lossy(&request.body).chars().count();
    assert!(description < 32_767, "{description}");
}

#[test]
fn what_is_missing_in_the_settings_is_said() {
    let error = |settings: &Settings| Jira::start(&alone(alert()), settings).unwrap_err();
    assert!(error(&Settings::default()).contains("\"url\""));
    assert!(error(&Settings { basic: String::new(), ..settings() }).contains("\"basic\""));
    assert!(error(&Settings { project: String::new(), ..settings() }).contains("\"project\""));
}

#[test]
fn responses() {
    let busy = answer(429, &[("retry-after", "30")], "");
    for before in [vec![], vec![nothing()]] {
        let with = |last: Response| end(&alone(alert()), &[before.clone(), vec![last]].concat());
        let Next::Retry(retry) = with(busy.clone()) else {
            panic!("too many requests are worth another try")
        };
        assert_eq!(retry.after, Some(30_000));
        assert_eq!(with(answer(401, &[], "")), Next::Refused("HTTP 401".to_owned()));
        assert_eq!(with(answer(400, &[], "no")), Next::Refused("HTTP 400: no".to_owned()));
        assert_eq!(with(answer(500, &[], "")), Next::retry(None, "HTTP 500"));
    }
    let page = answer(200, &[], "<html>Log in</html>");
    assert!(matches!(end(&alone(alert()), std::slice::from_ref(&page)), Next::Retry(_)));
    assert!(matches!(end(&alone(alert()), &[nothing(), page]), Next::Retry(_)));
}

#[test]
fn a_foreign_state_is_an_error() {
    assert!(Jira::resume(b"{}", &nothing(), &settings()).is_err());
}
