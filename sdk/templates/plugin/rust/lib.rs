//! Opens an incident for what is wrong, adds a note when there is news, and closes it when all is over.

use watchkeeper_sdk::json::{Object, text_at};
use watchkeeper_sdk::notifier::{AlertStatus, HttpRequest, Method, Next, Notification, Notifier, Response, judge};

watchkeeper_sdk::settings! {
    /// What the configuration can set. The comments are what an administrator reads.
    pub struct Settings {
        /// The API, such as `https://incidents.example.com/v1`. Its host has to be granted.
        url: String = "";
        /// The token of the API, as a secret.
        token: String = "";
        /// The team that takes care of it.
        team: String = "operations";
    }
}

/// The notifier.
pub struct Incidents;

impl Notifier for Incidents {
    type Settings = Settings;
    const NAME: &'static str = "{{name}}";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Opens, notes and closes incidents.";

    /// What is asked for first. Nothing is sent here: the engine does it, if the host is granted.
    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        // What `resume` gave as delivered comes back with the next notification: the incident's number.
        let incident = text_at(&notification.memory, &["incident"]).unwrap_or_default();
        let over = notification.status == AlertStatus::Resolved;
        let mut body = Object::new();
        let path = match (incident.as_str(), over) {
            // It was over before anybody was told.
            ("", true) => return Ok(Next::delivered()),
            ("", false) => {
                body.text("title", &notification.headline())
                    .text("team", &settings.team)
                    .text("severity", notification.severity().name());
                String::new()
            }
            (incident, false) => format!("/{incident}/notes"),
            (incident, true) => format!("/{incident}/close"),
        };
        body.text("text", &notification.text());
        let request = HttpRequest::new(Method::Post, format!("{}/incidents{path}", settings.url))
            .authorization("Bearer", &settings.token)
            // The same in each attempt: what arrives twice is one incident all the same.
            .header("idempotency-key", &notification.idempotency_key)
            .json(body);
        Ok(Next::http_with(request, remembered(&incident)))
    }

    /// What is made of the answer. `state` is what went with the request: the incident's number, if it was known.
    fn resume(state: &[u8], response: &Response, _settings: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        let next = judge(response);
        if next != Next::delivered() {
            // Busy, or refused.
            return Ok(next);
        }
        let known = text_at(state, &["incident"]).filter(|incident| !incident.is_empty());
        Ok(match known.or_else(|| text_at(&response.body, &["id"])) {
            Some(incident) => Next::Delivered(remembered(&incident)),
            None => Next::retry(None, "the answer does not say which incident was opened"),
        })
    }
}

fn remembered(incident: &str) -> Vec<u8> {
    let mut memory = Object::new();
    memory.text("incident", incident);
    memory.finish().into_bytes()
}

watchkeeper_sdk::export_notifier!(Incidents);
