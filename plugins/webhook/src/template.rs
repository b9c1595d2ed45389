//! Bodies of a site's own form: a template of the Jinja language in the setting `body`.
//!
//! Invariants:
//! - In a body that is JSON, every value is written as JSON, quotes included: no text of an alert can
//!   break out of its place.
//! - Only the template's own text can ask for a secret, never a value in it, be it put together.

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};
use watchkeeper_sdk::notifier::{Alert, Notification};
use watchkeeper_sdk::time::rfc3339;

/// Stands around a secret's number while the template is filled in: a character for private use,
/// which is taken out of everything else.
const MARK: char = '\u{f8ff}';

/// How the engine's placeholders begin and end.
const OPEN: &str = "{{secret \"";
const CLOSE: &str = "\"}}";

/// The body that `template` makes of a notification. An error says in which line what is wrong.
pub(crate) fn fill(
    template: &str,
    json: bool,
    notification: &Notification,
) -> Result<String, String> {
    let template = template.replace(MARK, "");
    let (template, secrets) = set_aside(&template);
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(
        move |_| {
            if json { AutoEscape::Json } else { AutoEscape::None }
        },
    );
    // A name that does not exist is a mistake, and no empty text.
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let filled =
        environment.render_str(&template, whole(notification)).map_err(|error| say(&error))?;
    // In JSON, two braces in a row are part of a text.
    let filled =
        if json { filled.replace("{{", "{\\u007b") } else { filled.replace(OPEN, "{ {secret \"") };
    Ok(put_back(&filled, &secrets))
}

/// Takes the placeholders out of a template, and gives them in their order.
fn set_aside(template: &str) -> (String, Vec<&str>) {
    let (mut kept, mut secrets, mut rest) = (String::new(), Vec::new(), template);
    while let Some((before, after)) = rest.split_once(OPEN) {
        let Some(end) = after.find(CLOSE) else { break };
        kept.push_str(before);
        kept.extend([MARK.to_string(), secrets.len().to_string(), MARK.to_string()]);
        let (name, after) = after.split_at(end);
        secrets.push(name);
        rest = after.get(CLOSE.len()..).unwrap_or_default();
    }
    kept.push_str(rest);
    (kept, secrets)
}

/// Puts the placeholders where they stood.
fn put_back(filled: &str, secrets: &[&str]) -> String {
    let name = |part: &str| part.parse().ok().and_then(|at: usize| secrets.get(at));
    filled
        .split(MARK)
        .enumerate()
        .map(|(at, part)| match (at % 2, name(part)) {
            (1, Some(name)) => format!("{OPEN}{name}{CLOSE}"),
            _ => part.to_owned(),
        })
        .collect()
}

fn say(error: &Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("line {line}: {what}"),
        None => what,
    }
}

/// What a template can name: what the plugin's own body has, under the same names.
fn whole(notification: &Notification) -> Value {
    let labels = |labels: &[(String, String)]| {
        Value::from_pairs(labels.iter().map(|(name, value)| (text(name), text(value))))
    };
    let one = |alert: &Alert| {
        Value::from_pairs([
            ("fingerprint", text(&alert.fingerprint)),
            ("status", alert.status.name().into()),
            ("news", alert.news.into()),
            ("name", text(&alert.name)),
            ("severity", alert.severity.name().into()),
            ("cluster", text(&alert.cluster)),
            ("server", text(&alert.server)),
            ("service", text(&alert.service)),
            ("code", text(&alert.code)),
            ("summary", text(&alert.summary)),
            ("details", text(&alert.details)),
            ("source", text(&alert.source)),
            ("labels", labels(&alert.labels)),
            ("starts_at", rfc3339(alert.starts_at).into()),
            ("ends_at", alert.ends_at.map(rfc3339).into()),
            ("acknowledged_by", text(&alert.acknowledged_by)),
        ])
    };
    Value::from_pairs([
        ("idempotency_key", text(&notification.idempotency_key)),
        ("group_key", text(&notification.group_key)),
        ("group_labels", labels(&notification.group_labels)),
        ("cause", notification.cause.name().into()),
        ("status", notification.status.name().into()),
        ("severity", notification.severity().name().into()),
        ("headline", text(&notification.headline())),
        ("alerts", notification.alerts.iter().map(one).collect()),
        ("more", notification.more.into()),
        ("queued_at", rfc3339(notification.queued_at).into()),
        ("monitor", text(&notification.monitor)),
    ])
}

fn text(text: &str) -> Value {
    text.replace(MARK, "").into()
}
