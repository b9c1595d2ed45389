//! The e-mail in HTML: headings and tables that every mail program shows, no pictures, nothing loaded from anywhere.

use std::fmt::Write as _;

use watchkeeper_sdk::notifier::{Alert, AlertStatus, Notification, Severity};

use crate::text::{facts, title};
use crate::{SHOWN, unshown, why};

pub(crate) fn body(notification: &Notification) -> String {
    let mut html = String::from(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"></head>\n\
         <body style=\"font-family: sans-serif; font-size: 14px\">\n",
    );
    if let Some(why) = why(notification.cause) {
        let _ = writeln!(html, "<p>{}</p>", escape(why));
    }
    for alert in notification.alerts.iter().take(SHOWN) {
        one(&mut html, alert);
    }
    if let Some(line) = unshown(notification) {
        let _ = writeln!(html, "<p>{}</p>", escape(&line));
    }
    let _ = writeln!(
        html,
        "<p style=\"color: #666666\">Watchkeeper on {}</p>\n</body></html>",
        escape(&notification.monitor)
    );
    html
}

fn one(html: &mut String, alert: &Alert) {
    let _ = writeln!(
        html,
        "<div style=\"border-left: 4px solid {}; padding-left: 12px; margin-bottom: 24px\">\n\
         <h3>{}</h3>\n<table cellpadding=\"2\">",
        colour(alert),
        escape(&title(alert))
    );
    for (name, value) in facts(alert) {
        let _ = writeln!(
            html,
            "<tr><td style=\"color: #666666\">{}</td><td>{}</td></tr>",
            escape(&name),
            escape(&value)
        );
    }
    html.push_str("</table>\n");
    if !alert.details.is_empty() {
        let lines: Vec<String> = alert.details.lines().map(escape).collect();
        let _ = writeln!(html, "<p>{}</p>", lines.join("<br>\n"));
    }
    html.push_str("</div>\n");
}

/// Green when it is over; else by how bad it is.
const fn colour(alert: &Alert) -> &'static str {
    match (alert.status, alert.severity) {
        (AlertStatus::Resolved, _) => "#2e7d32",
        (AlertStatus::Firing, Severity::Critical) => "#c62828",
        (AlertStatus::Firing, Severity::Warning) => "#f9a825",
        (AlertStatus::Firing, Severity::Info) => "#1565c0",
    }
}

/// What HTML would read as something else than text; control characters are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
