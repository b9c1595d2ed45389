//! Opens, updates, acknowledges and resolves incidents in PagerDuty.
//!
//! This follows the Events API v2, as its reference (an `OpenAPI` document, version 2.0) and its guide "Send an Alert Event" have it; both carry no date. A `POST` of JSON to
//! `/v2/enqueue`; the routing key is in the body; `event_action` is `trigger`, `acknowledge` or
//! `resolve`; events with the same `dedup_key`, of at most 255 characters, are of one alert. The
//! summary has at most 1,024 characters, an event at most 512 KB. 202 takes it; 400 is wrong and stays
//! so; 429 and 5xx are worth another try.
//!
//! The group's key is the `dedup_key`, so a group of alerts is one incident, and repeated events are
//! harmless: PagerDuty recognises them. An incident that is resolved there is opened again by the
//! next event that triggers. When somebody takes care, by `watchkeeper alerts ack`, of all that fires,
//! the incident is acknowledged with the next notification.

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, HttpRequest, Method, Next, Notification, Notifier, Response, Severity, cut,
    flat, judge,
};
use watchkeeper_sdk::time::rfc3339;

watchkeeper_sdk::choice! {
    /// How bad PagerDuty takes something to be.
    pub enum Level {
        /// The worst.
        Critical = "critical",
        /// Less.
        Error = "error",
        /// Still less.
        Warning = "warning",
        /// Nothing bad.
        Info = "info",
    }
}

watchkeeper_sdk::settings! {
    /// The settings of pagerduty.
    pub struct Settings {
        /// The integration key of the service (Events API v2), as a secret.
        routing_key: String = "";
        /// The API; `https://events.eu.pagerduty.com/v2/enqueue` in the EU. Its host has to be granted.
        url: String = "https://events.pagerduty.com/v2/enqueue";
        /// What a critical alert is there.
        critical: Level = Level::Critical;
        /// What a warning is there.
        warning: Level = Level::Warning;
        /// What an alert for information is there.
        info: Level = Level::Info;
        /// A page that the incident links to, such as a runbook; none if empty.
        link: String = "";
    }
}

/// Most characters of a summary.
const SUMMARY: usize = 1_024;
/// Most alerts of a group that are told.
const SHOWN: usize = 20;
/// Most characters of a value in the details: with these, an event stays below 512 KB.
const VALUE: usize = 1_024;
/// Most labels of an alert, and of a group, that are told.
const LABELS: usize = 16;

/// The notifier.
#[derive(Debug)]
pub struct PagerDuty;

impl Notifier for PagerDuty {
    type Settings = Settings;

    const NAME: &'static str = "pagerduty";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Opens and resolves incidents in PagerDuty.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.routing_key.is_empty() {
            return Err("the setting \"routing-key\" is empty".to_owned());
        }
        let key = &notification.group_key;
        if notification.status == AlertStatus::Resolved {
            return Ok(Next::http(request(settings, event(settings, "resolve", key))));
        }
        // What is to be acknowledged, once it is known that it is there.
        let state = if notification.acknowledged() { key.clone() } else { String::new() };
        let trigger = trigger(notification, settings);
        Ok(Next::http_with(request(settings, trigger), state.into_bytes()))
    }

    fn resume(state: &[u8], response: &Response, settings: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        let next = judge(response);
        if state.is_empty() || next != Next::delivered() {
            return Ok(next);
        }
        let key = String::from_utf8_lossy(state);
        Ok(Next::http(request(settings, event(settings, "acknowledge", &key))))
    }
}

fn request(settings: &Settings, event: Object) -> HttpRequest {
    HttpRequest::new(Method::Post, settings.url.clone()).json(event)
}

fn event(settings: &Settings, action: &str, key: &str) -> Object {
    let mut event = Object::new();
    event
        .setting("routing_key", &settings.routing_key)
        .text("event_action", action)
        .text("dedup_key", key);
    event
}

fn trigger(notification: &Notification, settings: &Settings) -> Object {
    let foremost = notification.foremost();
    let level = match foremost.severity {
        Severity::Critical => settings.critical,
        Severity::Warning => settings.warning,
        Severity::Info => settings.info,
    };
    let level = match level {
        Level::Critical => "critical",
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    // There has to be a source: the machine if there is one, or else what is the nearest to it.
    let source = [&foremost.server, &foremost.cluster, &notification.monitor]
        .into_iter()
        .find(|name| !name.is_empty());
    let mut event = event(settings, "trigger", &notification.group_key);
    event.text("client", &cut(&format!("Watchkeeper on {}", notification.monitor), VALUE)).object(
        "payload",
        |payload| {
            payload
                .text("summary", &cut(&flat(&notification.headline()), SUMMARY))
                .text("source", &cut(source.map_or("watchkeeper", String::as_str), VALUE))
                .text("severity", level)
                .text("timestamp", &rfc3339(foremost.starts_at))
                .text_if_any("component", &cut(&foremost.service, VALUE))
                .text_if_any("group", &cut(&foremost.cluster, VALUE))
                .text("class", &cut(&foremost.name, VALUE))
                .object("custom_details", |details| told(details, notification));
        },
    );
    if !settings.link.is_empty() {
        event.objects("links", [&settings.link], |link, href| {
            link.setting("href", href).text("text", "More about alerts of Watchkeeper");
        });
    }
    event
}

fn told(details: &mut Object, notification: &Notification) {
    let shown = notification.alerts.iter().take(SHOWN);
    let untold = notification.alerts.len().saturating_sub(SHOWN);
    let more = i64::from(notification.more).saturating_add(i64::try_from(untold).unwrap_or(0));
    details
        .text("told because", notification.occasion())
        .object("group", |group| {
            for (name, value) in notification.group_labels.iter().take(LABELS) {
                group.text(&cut(name, VALUE), &cut(value, VALUE));
            }
        })
        .objects("alerts", shown, one)
        .number("further alerts", more);
}

fn one(details: &mut Object, alert: &Alert) {
    details.text("summary", &cut(&alert.summary, VALUE));
    // Eight facts of its own, and then the labels.
    for (name, value) in alert.facts().iter().take(8 + LABELS) {
        details.text(&cut(name, VALUE), &cut(value, VALUE));
    }
    details.text_if_any("details", &cut(&alert.details, VALUE));
}

watchkeeper_sdk::export_notifier!(PagerDuty);
