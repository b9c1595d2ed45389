//! Opsgenie: "Alert API", version 2, whose documentation carries no date: <https://docs.opsgenie.com/docs/alert-api>.

use serde_json::json;

use super::incidents::Incidents;
use super::schema::Kind::{List, OneOf, Text, Texts, Typed};
use super::schema::{Kind, may, need};
use super::standin::{Answer, Request, Vendor};

const NAMED: &[super::schema::Field] =
    &[may("id", Text(1, 100)), may("name", Text(1, 100)), may("username", Text(1, 100))];

const RESPONDER: Kind =
    Typed(&[("team", NAMED), ("user", NAMED), ("escalation", NAMED), ("schedule", NAMED)]);

const CREATE: Kind = Kind::Record(&[
    need("message", Text(1, 130)),
    may("alias", Text(1, 512)),
    may("description", Text(0, 15_000)),
    may("responders", List(&RESPONDER, 0, 50)),
    may("visibleTo", List(&RESPONDER, 0, 50)),
    may("actions", List(&Text(1, 50), 0, 10)),
    may("tags", List(&Text(1, 50), 0, 20)),
    may("details", Texts(8_000)),
    may("entity", Text(0, 512)),
    may("source", Text(0, 100)),
    may("priority", OneOf(&["P1", "P2", "P3", "P4", "P5"])),
    may("user", Text(0, 100)),
    may("note", Text(0, 25_000)),
]);

/// To acknowledge and to close.
const CHANGE: Kind = Kind::Record(&[
    may("user", Text(0, 100)),
    may("source", Text(0, 100)),
    may("note", Text(0, 25_000)),
]);

const NOTE: Kind = Kind::Record(&[
    may("user", Text(0, 100)),
    may("source", Text(0, 100)),
    need("note", Text(1, 25_000)),
]);

/// The key of the only integration.
pub(super) const KEY: &str = "eb243592-faa2-4ba2-a551q-1afdf565c889";

#[derive(Debug, Default)]
pub(super) struct Opsgenie {
    pub(super) incidents: Incidents,
}

impl Vendor for Opsgenie {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        if request.header("authorization") != format!("GenieKey {KEY}") {
            return Err(vec!["not authorized".to_owned()]);
        }
        request.only(&["identifierType"])?;
        match request.target() {
            ("POST", path) if path == ["v2", "alerts"] => {
                let body = request.json(CREATE)?;
                let alias = body["alias"].as_str().unwrap_or_default();
                self.incidents.open_or_add(alias).say("create");
            }
            ("POST", path) if path.len() == 4 && path[..2] == ["v2", "alerts"] => {
                if request.parameter("identifierType") != "alias" {
                    return Err(vec!["an alert of this id is not there".to_owned()]);
                }
                let kind = match path[3] {
                    "notes" => NOTE,
                    "acknowledge" | "close" => CHANGE,
                    other => return Err(vec![format!("nothing can be done by {other}")]),
                };
                request.json(kind)?;
                // Taken, and carried out later: whether the alert is there shows only then.
                if let Some(alert) = self.incidents.open(path[2]) {
                    alert.say(path[3]);
                    alert.over = path[3] == "close";
                }
            }
            _ => return Err(vec!["no such resource".to_owned()]),
        }
        let id = "43a29c5c-3dbf-4fa4-9c26-f4f71023e120";
        let body = json!({"result": "Request will be processed", "took": 0.302, "requestId": id});
        Ok(Answer::json(202, &body))
    }

    fn busy(&self) -> Answer {
        let body = json!({"message": "You are making too many requests!", "took": 0.001});
        Answer::json(429, &body)
            .with("x-ratelimit-state", "THROTTLED")
            .with("x-ratelimit-reason", "ACCOUNT")
            .with("x-ratelimit-period-in-sec", "60")
    }
}
