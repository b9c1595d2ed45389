//! What is sent for an alert, compared with files that people can read, and what is made of the
//! answers. `UPDATE_GOLDEN=1` rewrites the files: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use servicenow::{ServiceNow, Settings};
use watchkeeper_sdk::json::text_at;
use watchkeeper_sdk::notifier::testkit::{
    Golden, alert, alone, answer, bare, converse, endless, over, play, several,
};
use watchkeeper_sdk::notifier::{Next, Notification, Notifier as _, Request, Response};

const GOLDEN: Golden = Golden(env!("CARGO_MANIFEST_DIR"));
const ID: &str = "46e18c0fa9fe19810066a0083f76bd56";

fn settings() -> Settings {
    Settings {
        url: "https://example.service-now.com".to_owned(),
        basic: "{{secret \"servicenow\"}}".to_owned(),
        fields: vec!["assignment_group=Data Mover".to_owned()],
        ..Settings::default()
    }
}

fn by_token() -> Settings {
    Settings {
        basic: String::new(),
        client_id: "a329c4515612210071a5e0c298ee2be8".to_owned(),
        client_secret: "{{secret \"servicenow-client\"}}".to_owned(),
        ..settings()
    }
}

fn nothing() -> Response {
    answer(200, &[], r#"{"result":[]}"#)
}

fn found() -> Response {
    answer(200, &[], &format!(r#"{{"result":[{{"sys_id":"{ID}"}}]}}"#))
}

fn one(status: u16) -> Response {
    answer(status, &[], &format!(r#"{{"result":{{"sys_id":"{ID}"}}}}"#))
}

fn known(notification: Notification) -> Notification {
    Notification { memory: ID.as_bytes().to_vec(), ..notification }
}

fn end(notification: &Notification, responses: &[Response]) -> Next {
    converse::<ServiceNow>(notification, &settings(), responses).1.unwrap()
}

#[test]
fn a_firing_alert_opens_an_incident() {
    let said = play::<ServiceNow>(&alone(alert()), &settings(), &[nothing(), one(201)]);
    GOLDEN.compare("firing.txt", &said);
}

#[test]
fn news_of_a_group_are_a_work_note_of_the_incident_that_is_remembered() {
    let said = play::<ServiceNow>(&known(several()), &settings(), &[one(200)]);
    GOLDEN.compare("group.txt", &said);
}

#[test]
fn what_is_over_is_resolved() {
    let said = play::<ServiceNow>(&known(alone(bare())), &settings(), &[one(200)]);
    GOLDEN.compare("resolved.txt", &said);
}

#[test]
fn a_token_is_asked_for_with_client_credentials() {
    let token = answer(200, &[], r#"{"access_token":"2wRlsRCT2SYj","token_type":"Bearer"}"#);
    let said = play::<ServiceNow>(&alone(alert()), &by_token(), &[token, nothing(), one(201)]);
    GOLDEN.compare("token.txt", &said);
}

#[test]
fn an_incident_whose_creation_was_not_heard_of_is_found_again() {
    let said = play::<ServiceNow>(&alone(alert()), &settings(), &[found(), one(200)]);
    GOLDEN.compare("found.txt", &said);
}

#[test]
fn an_incident_that_was_deleted_is_opened_again() {
    let gone = answer(404, &[], r#"{"error":{"message":"No Record found"}}"#);
    let said =
        play::<ServiceNow>(&known(several()), &settings(), &[gone.clone(), nothing(), one(201)]);
    GOLDEN.compare("deleted.txt", &said);
    assert_eq!(end(&known(alone(over(alert()))), &[gone, nothing()]), Next::delivered());
}

#[test]
fn what_was_over_before_it_was_told_opens_nothing() {
    assert_eq!(end(&alone(over(alert())), &[nothing()]), Next::delivered());
}

#[test]
fn no_text_is_longer_than_its_field() {
    let (requests, _) = converse::<ServiceNow>(&endless(), &settings(), &[nothing(), one(201)]);
    let Request::Http(request) = &requests[1] else { panic!("not over HTTP") };
    for (field, most) in [("short_description", 160), ("description", 4_000)] {
        let text = text_at(&request.body, &[field]).unwrap();
        assert_eq!(text.chars().count(), most, "{field}");
        assert!(text.ends_with("😀 ..."), "{field}");
    }
}

#[test]
fn what_is_missing_in_the_settings_is_said() {
    let error = |settings: &Settings| ServiceNow::start(&alone(alert()), settings).unwrap_err();
    assert!(error(&Settings::default()).contains("\"url\""));
    assert!(error(&Settings { basic: String::new(), ..settings() }).contains("client-id"));
    let fields = vec!["assignment_group".to_owned()];
    assert!(error(&Settings { fields, ..settings() }).contains("NAME=VALUE"));
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
        assert_eq!(with(answer(403, &[], "acl")), Next::Refused("HTTP 403: acl".to_owned()));
        assert_eq!(with(answer(500, &[], "")), Next::retry(None, "HTTP 500"));
    }
    let asleep = answer(200, &[], "<html>Hibernating Instance</html>");
    assert!(matches!(end(&alone(alert()), std::slice::from_ref(&asleep)), Next::Retry(_)));
    assert!(matches!(end(&alone(alert()), &[nothing(), asleep.clone()]), Next::Retry(_)));
    let (_, end) = converse::<ServiceNow>(&alone(alert()), &by_token(), &[asleep]);
    assert!(matches!(end, Ok(Next::Retry(_))));
}

#[test]
fn a_foreign_state_is_an_error() {
    assert!(ServiceNow::resume(b"{}", &nothing(), &settings()).is_err());
}
