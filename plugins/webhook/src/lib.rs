//! Sends every notification to a URL of the site's choice: whole, as JSON, or in a form that a template
//! of the site's own gives it ([`template`]).
//!
//! The body has a `version`, so that a receiver can tell when its form changes; within a version,
//! keys are only added, and a template can name the same ones. The request carries the notification's idempotency key as a header, so that
//! a receiver that recognises repeats by a key needs not look into the body.
//!
//! The token and whatever else is secret is written `{{secret "NAME"}}` in the settings. It stays
//! so in here; the engine puts it in place.

mod template;

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{Alert, HttpRequest, Method, Next, Notification, Notifier};
use watchkeeper_sdk::time::rfc3339;

watchkeeper_sdk::choice! {
    /// How the receiver wants to be called.
    pub enum Verb {
        /// As nearly all do.
        Post = "post",
        /// As a few do.
        Put = "put",
        /// As a few do.
        Patch = "patch",
    }
}

watchkeeper_sdk::settings! {
    /// The settings of webhook.
    pub struct Settings {
        /// Where notifications are sent to; it may hold a secret. Its host has to be granted.
        url: String = "";
        /// The HTTP method.
        method: Verb = Verb::Post;
        /// Further headers, each written "Name: value"; a value may hold a secret.
        headers: Vec<String> = &[];
        /// A Jinja template of the body; all of the notification as JSON if empty.
        body: String = "";
        /// What the body is; where it is a kind of JSON, a template's values are written as JSON.
        content_type: String = "application/json";
        /// A token for the header Authorization, best as a secret; none if empty.
        bearer: String = "";
    }
}

/// The form of the body.
const VERSION: i64 = 2;

/// The notifier.
#[derive(Debug)]
pub struct Webhook;

impl Notifier for Webhook {
    type Settings = Settings;

    const NAME: &'static str = "webhook";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Sends every notification to a URL: as JSON, or as a template of the site's own says.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        let method = match settings.method {
            Verb::Post => Method::Post,
            Verb::Put => Method::Put,
            Verb::Patch => Method::Patch,
        };
        let request = HttpRequest::new(method, settings.url.clone());
        let request = if settings.body.is_empty() {
            request.json(body(notification))
        } else {
            let json = settings.content_type.to_ascii_lowercase().contains("json");
            match template::fill(&settings.body, json, notification) {
                Ok(body) => request.content(&settings.content_type, body),
                // It would be no better another time.
                Err(error) => return Ok(Next::Refused(format!("the setting \"body\", {error}"))),
            }
        };
        let mut request = request.header("idempotency-key", &notification.idempotency_key);
        if !settings.bearer.is_empty() {
            request = request.header("authorization", &format!("Bearer {}", settings.bearer));
        }
        for header in &settings.headers {
            // The value is not told: it may be no secret reference but the secret itself.
            let (name, value) = header
                .split_once(':')
                .ok_or("an entry of the setting \"headers\" is not written \"Name: value\"")?;
            request = request.header(&name.trim().to_ascii_lowercase(), value.trim());
        }
        Ok(Next::http(request))
    }
}

fn body(notification: &Notification) -> Object {
    let mut body = Object::new();
    body.number("version", VERSION)
        .text("idempotency_key", &notification.idempotency_key)
        .text("group_key", &notification.group_key)
        .object("group_labels", |labels| {
            for (name, value) in &notification.group_labels {
                labels.text(name, value);
            }
        })
        .text("cause", notification.cause.name())
        .text("status", notification.status.name())
        .text("headline", &notification.headline())
        .objects("alerts", &notification.alerts, one)
        .number("more", notification.more.into())
        .text("queued_at", &rfc3339(notification.queued_at))
        .text("monitor", &notification.monitor);
    body
}

fn one(body: &mut Object, alert: &Alert) {
    body.text("fingerprint", &alert.fingerprint)
        .text("status", alert.status.name())
        .flag("news", alert.news)
        .text("name", &alert.name)
        .text("severity", alert.severity.name())
        .text_if_any("cluster", &alert.cluster)
        .text_if_any("server", &alert.server)
        .text_if_any("service", &alert.service)
        .text_if_any("code", &alert.code)
        .text("summary", &alert.summary)
        .text_if_any("details", &alert.details)
        .text("source", &alert.source)
        .object("labels", |labels| {
            for (name, value) in &alert.labels {
                labels.text(name, value);
            }
        })
        .text("starts_at", &rfc3339(alert.starts_at));
    if let Some(ends_at) = alert.ends_at {
        body.text("ends_at", &rfc3339(ends_at));
    }
    body.text_if_any("acknowledged_by", &alert.acknowledged_by);
}

watchkeeper_sdk::export_notifier!(Webhook);
