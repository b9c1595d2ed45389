//! Opens, notes and closes alerts in Opsgenie.
//!
//! This follows the Alert API (version 2) as "Alert API" in Opsgenie's documentation has it, which
//! carries no date: `POST /v2/alerts` creates, `/v2/alerts/ALIAS/notes`, `/acknowledge` and `/close`
//! with `identifierType=alias` change; each is answered with 202 and carried out later. While an alert is
//! open, a further one with its alias is counted and not opened. A message has at most 130 characters, a
//! description 15,000, a note 25,000, an entity 512, a source 100; there are at most 20 tags of 50
//! characters; the details have 8,000 in all. Too many requests are answered with 429.
//!
//! Atlassian has announced that Opsgenie and this API end on 5 April 2027, and that its alerts go on in
//! Jira Service Management; this plugin does not speak to that.
//!
//! The group's key is the alias. Each notification of what fires creates first, so that an alert that
//! somebody has closed too early is opened again; news are a note then.

use watchkeeper_sdk::json::{Object, text_at};
use watchkeeper_sdk::notifier::{
    AlertStatus, Cause, HttpRequest, Method, Next, Notification, Notifier, Response, Severity, cut,
    flat, judge,
};

watchkeeper_sdk::choice! {
    /// How urgent Opsgenie takes something to be.
    pub enum Priority {
        /// Critical.
        P1 = "P1",
        /// High.
        P2 = "P2",
        /// Moderate.
        P3 = "P3",
        /// Low.
        P4 = "P4",
        /// For information.
        P5 = "P5",
    }
}

impl Priority {
    const fn name(self) -> &'static str {
        match self {
            Self::P1 => "P1",
            Self::P2 => "P2",
            Self::P3 => "P3",
            Self::P4 => "P4",
            Self::P5 => "P5",
        }
    }
}

watchkeeper_sdk::settings! {
    /// The settings of opsgenie.
    pub struct Settings {
        /// The key of an API integration, as a secret.
        key: String = "";
        /// The API; `https://api.eu.opsgenie.com` in the EU. Its host has to be granted.
        url: String = "https://api.opsgenie.com";
        /// The teams that are responsible, by name; those of the integration if empty.
        teams: Vec<String> = &[];
        /// Further tags.
        tags: Vec<String> = &[];
        /// The priority of a critical alert.
        critical: Priority = Priority::P1;
        /// The priority of a warning.
        warning: Priority = Priority::P3;
        /// The priority of an alert for information.
        info: Priority = Priority::P5;
    }
}

/// Most characters of a message.
const MESSAGE: usize = 130;
/// Most characters of a description; a note may be longer, but need not.
const DESCRIPTION: usize = 15_000;
/// Most characters of an entity.
const ENTITY: usize = 512;
/// Most characters of a source.
const SOURCE: usize = 100;
/// Most characters of a tag, and most tags.
const TAG: (usize, usize) = (50, 20);
/// Most labels in the details, and most characters of a name and a value: 7,600 in all.
const DETAILS: (usize, usize, usize) = (20, 80, 300);

/// The notifier.
#[derive(Debug)]
pub struct Opsgenie;

impl Notifier for Opsgenie {
    type Settings = Settings;

    const NAME: &'static str = "opsgenie";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Opens, notes and closes alerts in Opsgenie.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.key.is_empty() {
            return Err("the setting \"key\" is empty".to_owned());
        }
        let key = &notification.group_key;
        if notification.status == AlertStatus::Resolved {
            return Ok(change(key, "close", &note(notification), "", settings));
        }
        let then = match (notification.acknowledged(), notification.cause) {
            (true, _) => "acknowledge",
            (false, Cause::News) if !notification.memory.is_empty() => "notes",
            (false, _) => "",
        };
        let mut state = Object::new();
        state.text("key", key).text("then", then).text("note", &note(notification));
        let request = request("/v2/alerts", create(notification, settings), settings);
        Ok(Next::http_with(request, state.finish().into_bytes()))
    }

    fn resume(state: &[u8], response: &Response, settings: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        let next = judge(response);
        let text = |key| text_at(state, &[key]).unwrap_or_default();
        let key = text("key");
        if key.is_empty() || next != Next::delivered() {
            return Ok(next);
        }
        Ok(match text("then").as_str() {
            // What is remembered is that it is known there.
            "" => Next::Delivered(key.into_bytes()),
            then => {
                let mut state = Object::new();
                state.text("key", &key);
                change(&key, then, &text("note"), &state.finish(), settings)
            }
        })
    }
}

fn request(path: &str, body: Object, settings: &Settings) -> HttpRequest {
    let url = format!("{}{path}", settings.url.trim_end_matches('/'));
    HttpRequest::new(Method::Post, url).json(body).authorization("GenieKey", &settings.key)
}

fn change(key: &str, action: &str, note: &str, state: &str, settings: &Settings) -> Next {
    let mut body = Object::new();
    body.text("source", "Watchkeeper").text("note", note);
    let path = format!("/v2/alerts/{key}/{action}?identifierType=alias");
    Next::http_with(request(&path, body, settings), state.as_bytes().to_vec())
}

fn note(notification: &Notification) -> String {
    cut(&notification.text(), DESCRIPTION)
}

fn create(notification: &Notification, settings: &Settings) -> Object {
    let foremost = notification.foremost();
    let priority = match foremost.severity {
        Severity::Critical => settings.critical,
        Severity::Warning => settings.warning,
        Severity::Info => settings.info,
    };
    let mut body = Object::new();
    body.text("message", &cut(&flat(&notification.headline()), MESSAGE))
        .text("alias", &notification.group_key)
        .text("description", &note(notification))
        .text("priority", priority.name())
        .text("source", &cut(&format!("Watchkeeper on {}", notification.monitor), SOURCE))
        .text_if_any("entity", &cut(&foremost.place(), ENTITY));
    let own = ["watchkeeper", &foremost.name];
    let (longest, most) = TAG;
    let tags: Vec<String> = own
        .into_iter()
        .chain(settings.tags.iter().map(String::as_str))
        .take(most)
        .map(|tag| cut(tag, longest))
        .collect();
    body.texts("tags", tags.iter().map(String::as_str));
    if !settings.teams.is_empty() {
        body.objects("responders", &settings.teams, |responder, team| {
            responder.text("type", "team").text("name", team);
        });
    }
    body.object("details", |details| {
        let (most, name_most, value_most) = DETAILS;
        for (name, value) in notification.group_labels.iter().take(most) {
            details.text(&cut(name, name_most), &cut(value, value_most));
        }
    });
    body
}

watchkeeper_sdk::export_notifier!(Opsgenie);
