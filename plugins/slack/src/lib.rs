//! Posts alerts to a Slack channel through an incoming webhook.
//!
//! Slack versions neither incoming webhooks nor their documentation, and the pages carry no date.
//! This follows "Sending messages using incoming webhooks", "Formatting text for app surfaces" and
//! "Rate limits" as they are since Block Kit: a JSON body with `text` for notifications and
//! `attachments`, the only place that has a colour; `&`, `<` and `>` are escaped in every text, and
//! nothing else is; one message a second and webhook, beyond that 429 with `Retry-After`.
//! Errors such as `no_service` or `channel_is_archived` come as 4xx: trying again would not help. So does
//! `msg_blocks_too_long`, whose limit is not documented: blocks with some more than 13,000 characters in all are
//! reported to be refused, so here they have no more than 12,000.
//!
//! The webhook's URL is itself a secret: set it as `{{secret "NAME"}}`.

use std::fmt::Write as _;

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, Cause, HttpRequest, Method, Next, Notification, Notifier, Severity,
};
use watchkeeper_sdk::time::{human, rfc3339};

watchkeeper_sdk::settings! {
    /// The settings of slack.
    pub struct Settings {
        /// The URL of the incoming webhook, as a secret. The host hooks.slack.com has to be granted.
        url: String = "";
        /// Who is called by a critical alert, as Slack writes it, such as "<!here>" or "<@U012AB3CD>"; nobody if empty.
        mention: String = "";
    }
}

/// Most characters of each text: the first with which all of them have no more than [`ALL`] is taken. A section takes
/// 3,000, less room for the mark of a cut; with three texts of each alert that is shown, the last always fits.
const SECTIONS: [usize; 3] = [2_900, 1_000, 390];

/// Most characters of all texts together.
const ALL: usize = 12_000;

/// The notifier.
#[derive(Debug)]
pub struct Slack;

impl Notifier for Slack {
    type Settings = Settings;

    const NAME: &'static str = "slack";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Posts alerts to a Slack channel through an incoming webhook.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        let request = HttpRequest::new(Method::Post, settings.url.clone());
        Ok(Next::http(request.json(message(notification, &settings.mention))))
    }
}

/// Most alerts that one message shows; the headline counts the rest.
const SHOWN: usize = 10;

fn message(notification: &Notification, mention: &str) -> Object {
    let mut text = String::new();
    let calls = notification.firing().any(|it| it.news && it.severity == Severity::Critical);
    if calls && !mention.is_empty() {
        text.push_str(mention);
        text.push(' ');
    }
    text.push_str(&heading(notification));
    let mut shown = Vec::new();
    for most in SECTIONS {
        let alerts = notification.alerts.iter().take(SHOWN);
        shown = alerts.map(|alert| (alert, blocks(alert, &notification.monitor, most))).collect();
        let texts = shown.iter().flat_map(|(_, blocks)| blocks);
        if texts.map(|text| text.chars().count()).sum::<usize>() <= ALL {
            break;
        }
    }
    let mut body = Object::new();
    body.text("text", &text).objects("attachments", shown, |attachment, (alert, blocks)| {
        attachment.text("color", colour(alert)).objects("blocks", blocks, |block, lines| {
            block.text("type", "section").object("text", |text| {
                text.text("type", "mrkdwn").text("text", &lines);
            });
        });
    });
    body
}

/// The line that a telephone shows: how bad, where, what.
fn heading(notification: &Notification) -> String {
    let mut line = match notification.status {
        AlertStatus::Firing => notification.severity().name().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    };
    match notification.cause {
        Cause::Repeat => line.push_str(" (still)"),
        Cause::Escalated => line.push_str(" (another receiver could not be told)"),
        Cause::First | Cause::News | Cause::Over => {}
    }
    line.push(' ');
    line.push_str(&notification.headline());
    let hidden = notification.alerts.len().saturating_sub(SHOWN);
    if hidden > 0 {
        let _ = write!(line, " - {SHOWN} are shown");
    }
    escape(&line)
}

fn blocks(alert: &Alert, monitor: &str, most: usize) -> Vec<String> {
    let mut facts = format!("*{}*", escape(&alert.name));
    if alert.status == AlertStatus::Resolved {
        facts.push_str(" is over");
    }
    if !alert.code.is_empty() {
        let _ = write!(facts, " ({})", escape(&alert.code));
    }
    let place: Vec<&str> = [&alert.cluster, &alert.server, &alert.service]
        .into_iter()
        .map(String::as_str)
        .filter(|part| !part.is_empty())
        .collect();
    if !place.is_empty() {
        let _ = write!(facts, " on {}", escape(&place.join(" / ")));
    }
    let _ = write!(facts, "\nSince {}", rfc3339(alert.starts_at));
    if let Some(ends_at) = alert.ends_at {
        let lasted = ends_at.saturating_sub(alert.starts_at);
        let _ = write!(facts, ", over since {} (after {})", rfc3339(ends_at), human(lasted));
    }
    for (name, value) in &alert.labels {
        let _ = write!(facts, "\n{}: {}", escape(name), escape(value));
    }
    if !alert.acknowledged_by.is_empty() {
        let _ = write!(facts, "\nTaken care of by {}", escape(&alert.acknowledged_by));
    }
    let _ = write!(facts, "\nTold by {} on {}", escape(&alert.source), escape(monitor));
    let mut blocks = vec![cut(&escape(&alert.summary), most), cut(&facts, most)];
    if !alert.details.is_empty() {
        blocks.push(cut(&escape(&alert.details), most));
    }
    blocks
}

/// Green when it is over; else Slack's own colours for how bad it is.
const fn colour(alert: &Alert) -> &'static str {
    match (alert.status, alert.severity) {
        (AlertStatus::Resolved, _) => "#2eb67d",
        (AlertStatus::Firing, Severity::Critical) => "#e01e5a",
        (AlertStatus::Firing, Severity::Warning) => "#ecb22e",
        (AlertStatus::Firing, Severity::Info) => "#36c5f0",
    }
}

/// The three characters that Slack reads as control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// Cuts a text that has more characters, not in the middle of an escaped character.
fn cut(text: &str, most: usize) -> String {
    let Some((end, _)) = text.char_indices().nth(most) else { return text.to_owned() };
    let kept = text.get(..end).unwrap_or_default();
    let tail = kept.rfind('&').filter(|at| !kept.get(*at..).unwrap_or_default().contains(';'));
    let kept = tail.and_then(|at| kept.get(..at)).unwrap_or(kept);
    format!("{kept} ...")
}

watchkeeper_sdk::export_notifier!(Slack);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_leaves_half_an_escaped_character() {
        assert_eq!(cut("short & sweet", 20), "short & sweet");
        let long = format!("{}&amp; and more", "x".repeat(18));
        assert_eq!(cut(&long, 20), format!("{} ...", "x".repeat(18)));
        let whole = format!("&lt;{}", "é".repeat(20));
        assert_eq!(cut(&whole, 20).chars().count(), 24);
    }
}
