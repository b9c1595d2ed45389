//! Hands alerts on to a Prometheus Alertmanager, for sites that route and silence there.
//!
//! This follows the API v2 as Alertmanager's own `OpenAPI` document (`api/v2/openapi.yaml`) and
//! "Alerts API" in its documentation have it, for the releases from 0.16 on: `POST /api/v2/alerts` with
//! an array of alerts, each with `labels`, by which it is known again, `annotations`, `startsAt`,
//! `endsAt` and `generatorURL`. 200 takes them all; 400 says that one is wrong.
//!
//! Alertmanager wants a client to send what fires again and again, and takes an alert without `endsAt`
//! for over after its own `resolve_timeout`, five minutes. Watchkeeper tells an alert when it begins,
//! with news, and after the route's `repeat-interval`. So what fires is sent with an `endsAt` that lies
//! the setting `hold` after the notification was queued: 24 hours if it is not set. It has to be longer
//! than the route's `repeat-interval`, whose notifications push it on; where alerts are not repeated,
//! make it as long as an alert may last. What is over is sent with the moment when it ended, so nothing
//! waits for `hold` but alerts of a Watchkeeper that is gone.
//!
//! Alertmanager groups by itself, and a notification holds a limited number of alerts: give its route
//! `group-by = ["..."]`, so that each alert is told, and told again, by itself.
//!
//! The severity is a label, so an alert that grows worse is another one to Alertmanager. The severity
//! that was told last is remembered, and the alert with that one is ended in the same request.

use core::fmt::Write as _;
use core::time::Duration;

use watchkeeper_sdk::json::{Object, array};
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, HttpRequest, Method, Next, Notification, Notifier, Response, Severity,
    judge,
};
use watchkeeper_sdk::time::rfc3339;

watchkeeper_sdk::settings! {
    /// The settings of alertmanager.
    pub struct Settings {
        /// Where Alertmanager is, such as `https://alertmanager.example.com:9093`. Its host has to be granted.
        url: String = "";
        /// The header Authorization, such as 'Bearer {{secret "NAME"}}'; none if empty.
        authorization: String = "";
        /// A page about alerts, to which Alertmanager links; none if empty.
        generator_url: String = "";
        /// How long an alert is taken to fire if nothing more is heard of it: longer than the route's repeat-interval.
        hold: Duration = Duration::from_hours(24), Duration::from_mins(5)..=Duration::from_hours(366 * 24);
    }
}

/// The notifier.
#[derive(Debug)]
pub struct Alertmanager;

impl Notifier for Alertmanager {
    type Settings = Settings;

    const NAME: &'static str = "alertmanager";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Hands alerts on to a Prometheus Alertmanager.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        let url = format!("{}/api/v2/alerts", settings.url.trim_end_matches('/'));
        let mut request = HttpRequest::new(Method::Post, url)
            .content("application/json", array(all(notification, settings), one));
        if !settings.authorization.is_empty() {
            request = request.header("authorization", &settings.authorization);
        }
        Ok(Next::http_with(request, remember(notification).into_bytes()))
    }

    fn resume(state: &[u8], response: &Response, _: &Settings) -> Result<Next, String> {
        let Response::Http(response) = response else {
            return Err("a response that is not HTTP's".to_owned());
        };
        Ok(match judge(response) {
            Next::Delivered(_) => Next::Delivered(state.to_vec()),
            next => next,
        })
    }
}

/// What is sent of an alert.
#[derive(Clone, Copy)]
struct Sent<'a> {
    alert: &'a Alert,
    severity: Severity,
    ends_at: u64,
    monitor: &'a str,
    generator: &'a str,
}

fn all<'a>(notification: &'a Notification, settings: &'a Settings) -> Vec<Sent<'a>> {
    let hold = u64::try_from(settings.hold.as_millis()).unwrap_or(u64::MAX);
    let until = notification.queued_at.saturating_add(hold);
    let sent = |alert: &'a Alert, severity, ends_at| Sent {
        alert,
        severity,
        ends_at,
        monitor: &notification.monitor,
        generator: &settings.generator_url,
    };
    let told = String::from_utf8_lossy(&notification.memory);
    let mut all = Vec::new();
    for alert in &notification.alerts {
        let ends_at = match alert.status {
            AlertStatus::Firing => until,
            AlertStatus::Resolved => alert.ends_at.unwrap_or(notification.queued_at),
        };
        all.push(sent(alert, alert.severity, ends_at));
        if let Some(before) = told_as(&told, &alert.fingerprint)
            && before != alert.severity
        {
            let ended = alert.ends_at.unwrap_or(notification.queued_at);
            all.push(sent(alert, before, ended));
        }
    }
    all
}

/// A line for each alert that fires: its fingerprint and its severity. Those that were told before and
/// do not stand in this notification are kept.
fn remember(notification: &Notification) -> String {
    let mut lines = String::new();
    for alert in notification.firing() {
        let _ = writeln!(lines, "{} {}", alert.fingerprint, alert.severity.name());
    }
    for line in String::from_utf8_lossy(&notification.memory).lines() {
        let fingerprint = line.split(' ').next().unwrap_or_default();
        if !notification.alerts.iter().any(|alert| alert.fingerprint == fingerprint) {
            let _ = writeln!(lines, "{line}");
        }
    }
    lines
}

fn told_as(told: &str, fingerprint: &str) -> Option<Severity> {
    let line = told.lines().find_map(|line| line.strip_prefix(fingerprint)?.strip_prefix(' '))?;
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|severity| severity.name() == line)
}

fn one(body: &mut Object, sent: Sent<'_>) {
    let Sent { alert, severity, ends_at, monitor, generator } = sent;
    body.object("labels", |labels| {
        for (name, value) in labels_of(alert, severity) {
            labels.text(&name, &value);
        }
    })
    .object("annotations", |annotations| {
        annotations
            .text("summary", &alert.summary)
            .text_if_any("description", &alert.details)
            .text_if_any("acknowledged_by", &alert.acknowledged_by)
            .text_if_any("monitor", monitor);
    })
    .text("startsAt", &rfc3339(alert.starts_at))
    .text("endsAt", &rfc3339(ends_at));
    if !generator.is_empty() {
        body.setting("generatorURL", generator);
    }
}

/// The labels, each name once and in the form that every release takes; a label without a value is none.
fn labels_of(alert: &Alert, severity: Severity) -> Vec<(String, String)> {
    let own = [
        ("alertname", alert.name.as_str()),
        ("severity", severity.name()),
        ("cluster", &alert.cluster),
        ("server", &alert.server),
        ("service", &alert.service),
        ("code", &alert.code),
        ("source", &alert.source),
    ];
    let further = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let mut labels: Vec<(String, String)> = Vec::new();
    for (name, value) in own.into_iter().chain(further) {
        let name = label_name(name);
        if !value.is_empty() && !labels.iter().any(|(taken, _)| *taken == name) {
            labels.push((name, value.to_owned()));
        }
    }
    labels
}

/// A name of letters, digits and underscores that does not begin with a digit.
fn label_name(name: &str) -> String {
    let mut fit = String::with_capacity(name.len());
    for c in name.chars() {
        if fit.is_empty() && c.is_ascii_digit() {
            fit.push('_');
        }
        fit.push(if c.is_ascii_alphanumeric() { c } else { '_' });
    }
    if fit.is_empty() { "_".to_owned() } else { fit }
}

watchkeeper_sdk::export_notifier!(Alertmanager);
