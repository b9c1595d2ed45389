//! `PagerDuty`: "Send an event to PagerDuty", Events API v2, whose reference carries no date, and its guide:
//! <https://developer.pagerduty.com/api-reference/368ae3d938c9e-send-an-event-to-pager-duty>,
//! <https://developer.pagerduty.com/docs/send-alert-event>.

use serde_json::json;

use super::incidents::Incidents;
use super::schema::Kind::{Form, Free, List, OneOf, Record, Text};
use super::schema::{ANY, Kind, LINK, MOMENT, may, need};
use super::standin::{Answer, Request, Vendor};

/// 32 letters and digits: the integration key.
const KEY: Kind = Form("an integration key", |key| {
    key.len() == 32 && key.bytes().all(|it| it.is_ascii_alphanumeric())
});

const EVENT: Kind = Record(&[
    need("routing_key", KEY),
    need("event_action", OneOf(&["trigger", "acknowledge", "resolve"])),
    may("dedup_key", Text(1, 255)),
    may(
        "payload",
        Record(&[
            need("summary", Text(1, 1_024)),
            need("source", Text(1, ANY)),
            need("severity", OneOf(&["critical", "error", "warning", "info"])),
            may("timestamp", MOMENT),
            may("component", Text(1, ANY)),
            may("group", Text(1, ANY)),
            may("class", Text(1, ANY)),
            may("custom_details", Free),
        ]),
    ),
    may(
        "images",
        List(&Record(&[need("src", LINK), may("href", LINK), may("alt", Text(0, ANY))]), 0, ANY),
    ),
    may("links", List(&Record(&[need("href", LINK), may("text", Text(0, ANY))]), 0, ANY)),
    may("client", Text(0, ANY)),
    may("client_url", LINK),
]);

/// "The maximum permitted size of an event is 512 KB."
const LARGEST: usize = 512 * 1024;

/// The integration key of the only service.
pub(super) const ROUTING_KEY: &str = "e93facc04764012d7bfb002500d5d1a6";

#[derive(Debug, Default)]
pub(super) struct PagerDuty {
    pub(super) incidents: Incidents,
}

impl Vendor for PagerDuty {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        if request.target() != ("POST", vec!["v2", "enqueue"]) || request.body.len() > LARGEST {
            return Err(vec!["no such resource, or too large".to_owned()]);
        }
        let event = request.json(EVENT)?;
        let key = event["dedup_key"].as_str().unwrap_or_default().to_owned();
        let action = event["event_action"].as_str().unwrap();
        if action == "trigger" && event["payload"].is_null()
            || action != "trigger" && key.is_empty()
        {
            return Err(vec![format!("{action} lacks its payload or its dedup_key")]);
        }
        if event["routing_key"] != ROUTING_KEY {
            return Err(vec!["it is for another service".to_owned()]);
        }
        match action {
            "trigger" => self.incidents.open_or_add(&key).say("trigger"),
            // An event about an alert that is not there is taken, and comes to nothing.
            action => {
                if let Some(incident) = self.incidents.open(&key) {
                    incident.say(action);
                    incident.over = action == "resolve";
                }
            }
        }
        let body = json!({"status": "success", "message": "Event processed", "dedup_key": key});
        Ok(Answer::json(202, &body))
    }

    /// Without a hint when to come back.
    fn busy(&self) -> Answer {
        Answer::json(429, &json!({}))
    }
}
