//! What an alert says of itself, and the e-mail as plain text.

use watchkeeper_sdk::notifier::{Alert, AlertStatus, Notification};
use watchkeeper_sdk::time::{human, rfc3339};

use crate::{SHOWN, unshown, why};

/// The line above an alert.
pub(crate) fn title(alert: &Alert) -> String {
    match alert.status {
        AlertStatus::Firing => {
            format!("{}: {}", alert.severity.name().to_uppercase(), alert.summary)
        }
        AlertStatus::Resolved => format!("RESOLVED: {}", alert.summary),
    }
}

/// The facts of an alert, name and value, in the order in which somebody wants them.
pub(crate) fn facts(alert: &Alert) -> Vec<(String, String)> {
    let mut facts = Vec::new();
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            facts.push((name.to_owned(), value.to_owned()));
        }
    };
    fact("Cluster", &alert.cluster);
    fact("Server", &alert.server);
    fact("Service", &alert.service);
    fact("Since", &rfc3339(alert.starts_at));
    if let Some(ends_at) = alert.ends_at {
        let lasted = human(ends_at.saturating_sub(alert.starts_at));
        fact("Over since", &format!("{} (after {lasted})", rfc3339(ends_at)));
    }
    fact("Alert", &alert.name);
    fact("Code", &alert.code);
    for (name, value) in &alert.labels {
        fact(name, value);
    }
    fact("Taken care of by", &alert.acknowledged_by);
    fact("Told by", &alert.source);
    facts
}

pub(crate) fn body(notification: &Notification) -> String {
    let mut lines: Vec<String> = Vec::new();
    if let Some(why) = why(notification.cause) {
        lines.extend([why.to_owned(), String::new()]);
    }
    for alert in notification.alerts.iter().take(SHOWN) {
        lines.extend([title(alert), String::new()]);
        for (name, value) in facts(alert) {
            lines.push(format!("  {name}: {value}"));
        }
        if !alert.details.is_empty() {
            lines.push(String::new());
            lines.extend(alert.details.lines().map(|line| format!("  {line}")));
        }
        lines.extend([String::new(), String::new()]);
    }
    lines.extend(unshown(notification).map(|line| format!("{line}\n")));
    // What mail programs take for a signature.
    lines.extend(["-- ".to_owned(), format!("Watchkeeper on {}", notification.monitor)]);
    lines.join("\n") + "\n"
}
