//! The stand-ins notice what a vendor's documentation does not have: without that, they would prove nothing.

use serde_json::{Value, json};

use super::standin::{Request, Vendor};
use super::{Jira, Opsgenie, PagerDuty, ServiceNow, Slack, Teams};
use super::{jira, opsgenie, pagerduty, servicenow, slack, teams};

fn request(method: &str, path: &str, authorization: &str, body: &Value) -> Request {
    let headers = [
        ("content-type", "application/json"),
        ("accept", "application/json"),
        ("authorization", authorization),
    ];
    Request {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        body: body.to_string().into_bytes(),
        ..Request::default()
    }
}

/// With `value` at a path of fields; null takes the field away.
fn with(body: &Value, path: &str, value: Value) -> Value {
    let mut changed = body.clone();
    let (parent, field) = path.rsplit_once('/').unwrap();
    let fields = changed.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        fields.remove(field).unwrap();
    } else {
        fields.insert(field.to_owned(), value);
    }
    changed
}

/// `good` is taken; each of `bad`, which is `good` with something else at a path, is not, with these words.
fn assert_noticed<V: Vendor + Default>(
    sent: impl Fn(&Value) -> Request,
    good: &Value,
    bad: &[(&str, Value, &str)],
) {
    let answer = |body: &Value| V::default().answer(&sent(body));
    assert!(answer(good).is_ok_and(|it| it.status < 300), "{:?}", answer(good));
    for (path, value, words) in bad {
        let said = answer(&with(good, path, value.clone())).expect_err(path).join("; ");
        assert!(said.contains(words), "{path}: {said}");
    }
}

fn long(characters: usize) -> Value {
    "ü".repeat(characters).into()
}

#[test]
fn what_pagerduty_does_not_document_is_noticed() {
    let payload = json!({"summary": "s", "source": "dm1", "severity": "error", "timestamp": "2026-03-01T02:00:00Z"});
    let good = json!({"routing_key": pagerduty::ROUTING_KEY, "event_action": "trigger", "dedup_key": "k", "payload": payload});
    assert_noticed::<PagerDuty>(
        |body| request("POST", "/v2/enqueue", "", body),
        &good,
        &[
            ("/colour", "red".into(), "there is no field colour"),
            ("/routing_key", Value::Null, "routing_key is missing"),
            ("/routing_key", "short".into(), "an integration key expected"),
            ("/event_action", "close".into(), "one of"),
            ("/dedup_key", long(256), "1 to 255 characters"),
            ("/payload", Value::Null, "lacks its payload"),
            ("/payload/summary", long(1_025), "1 to 1024 characters"),
            ("/payload/severity", "fatal".into(), "one of"),
            ("/payload/timestamp", "yesterday".into(), "a moment expected"),
            ("/payload/custom_details", "text".into(), "an object expected"),
        ],
    );
}

#[test]
fn what_opsgenie_does_not_document_is_noticed() {
    let key = format!("GenieKey {}", opsgenie::KEY);
    let good = json!({"message": "m", "details": {"a": "b"}, "responders": [{"type": "team", "name": "n"}]});
    assert_noticed::<Opsgenie>(
        |body| request("POST", "/v2/alerts", &key, body),
        &good,
        &[
            ("/message", long(131), "1 to 130 characters"),
            ("/message", Value::Null, "message is missing"),
            ("/priority", "P6".into(), "one of"),
            ("/tags", vec!["t"; 21].into(), "a list of 0 to 20"),
            ("/details", json!({"a": 1}), "an object of texts"),
            ("/details", json!({"a": long(8_000)}), "8000 characters in all"),
            ("/responders", json!([{"type": "crew"}]), "of a type out of"),
        ],
    );
    let mut close = request("POST", "/v2/alerts/k/close", &key, &json!({"note": "n"}));
    assert!(Opsgenie::default().answer(&close).is_err(), "k is no id");
    close.query = vec![("identifierType".to_owned(), "alias".to_owned())];
    assert!(Opsgenie::default().answer(&close).is_ok());
}

#[test]
fn what_servicenow_does_not_document_is_noticed() {
    let basic = format!("Basic {}", servicenow::BASIC);
    let path = "/api/now/table/incident";
    let good = json!({"short_description": "s", "urgency": "1"});
    assert_noticed::<ServiceNow>(
        |body| request("POST", path, &basic, body),
        &good,
        &[
            ("/short_description", long(161), "1 to 160 characters"),
            ("/urgency", 1.into(), "one of"),
            ("/summary", "s".into(), "there is no field summary"),
        ],
    );
    let mut vendor = ServiceNow::default();
    vendor.answer(&request("POST", path, &basic, &good)).unwrap();
    let id = "46e18c0fa9fe19810066a0083f760000";
    let resolve = |body: Value| request("PATCH", &format!("{path}/{id}"), &basic, &body);
    let said = vendor.answer(&resolve(json!({"state": "6", "close_notes": "n"})));
    assert_eq!(said.unwrap_err(), ["resolution code and notes are mandatory"]);
    let mut search = request("GET", path, &basic, &Value::Null);
    search.query = vec![("sysparm_query".to_owned(), "correlation_id=k^stateIS6".to_owned())];
    assert!(vendor.answer(&search).unwrap_err()[0].contains("no encoded query"));
}

#[test]
fn what_jira_does_not_document_is_noticed() {
    let basic = format!("Basic {}", jira::BASIC);
    let document = |content: Value| json!({"type": "doc", "version": 1, "content": content});
    let lines = json!([{"type": "paragraph", "content": [{"type": "text", "text": "t"}]}]);
    let good = json!({"fields": {
        "project": {"key": jira::PROJECT}, "issuetype": {"name": "Task"}, "summary": "s", "description": document(lines),
    }});
    let empty = json!([{"type": "paragraph", "content": [{"type": "text", "text": ""}]}]);
    let huge = json!([{"type": "paragraph", "content": [{"type": "text", "text": long(32_767)}]}]);
    assert_noticed::<Jira>(
        |body| request("POST", "/rest/api/3/issue", &basic, body),
        &good,
        &[
            ("/fields/summary", "two\nlines".into(), "one line"),
            ("/fields/labels", json!(["with space"]), "a label expected"),
            ("/fields/description", "text".into(), "an object of a type"),
            ("/fields/description", document(empty), "a text of 1 or more"),
            ("/fields/description", document(huge), "a document of"),
            ("/fields/colour", "red".into(), "there is no field colour"),
        ],
    );
    let search = json!({"jql": "order by created", "startAt": 0});
    let said = Jira::default().answer(&request("POST", "/rest/api/3/search/jql", &basic, &search));
    assert_eq!(said.unwrap_err(), ["body: there is no field startAt"]);
}

#[test]
fn what_slack_and_teams_do_not_document_is_noticed() {
    let block = json!({"type": "section", "text": {"type": "mrkdwn", "text": "t"}});
    let good = json!({"text": "t", "blocks": [block], "attachments": [{"color": "#2eb67d"}]});
    assert_noticed::<Slack>(
        |body| request("POST", &format!("/{}", slack::PATH), "", body),
        &good,
        &[
            ("/text", Value::Null, "text is missing"),
            ("/text", "<!channel>".into(), "a control sequence"),
            ("/text", "Köln & Bonn".into(), "a control sequence"),
            ("/blocks/0/text/text", long(3_001), "1 to 3000 characters"),
            ("/blocks/0/text/type", "html".into(), "of a type out of"),
            ("/attachments/0/color", "red".into(), "a colour expected"),
        ],
    );
    let run = json!({"type": "TextRun", "text": "t"});
    let card = json!({"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "RichTextBlock", "inlines": [run]}]});
    let attachment =
        json!({"contentType": "application/vnd.microsoft.card.adaptive", "content": card});
    let good = json!({"type": "message", "attachments": [attachment]});
    let sent = |body: &Value| Request {
        query: super::standin::pairs(teams::SIGNATURE),
        ..request("POST", &format!("/{}", teams::PATH), "", body)
    };
    assert_noticed::<Teams>(
        sent,
        &good,
        &[
            ("/attachments/0/content/version", "9.9".into(), "one of"),
            ("/attachments/0/content/body/0/inlines/0/color", "Green".into(), "one of"),
            ("/attachments/0/content/body/0/inlines/0/text", long(20_000), "a message of"),
            ("/attachments/0/contentType", "text/html".into(), "one of"),
        ],
    );
}
