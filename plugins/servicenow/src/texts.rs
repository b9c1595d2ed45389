//! What an incident says.

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{AlertStatus, Notification, Severity, cut, flat};

use crate::Settings;

/// Most characters of a short description.
const SHORT: usize = 160;
/// Most characters of a description, a work note and close notes.
const LONG: usize = 4_000;

/// The body of a new incident.
pub(crate) fn create(notification: &Notification, settings: &Settings) -> Result<String, String> {
    let mut body = Object::new();
    body.text("correlation_id", &notification.group_key)
        .text("correlation_display", "Watchkeeper")
        .text("short_description", &cut(&plain(&flat(&notification.headline())), SHORT))
        .text("description", &cut(&plain(&notification.text()), LONG));
    urgency(&mut body, notification);
    for field in &settings.fields {
        let (name, value) = field
            .split_once('=')
            .ok_or("an entry of the setting \"fields\" is not written \"NAME=VALUE\"")?;
        body.setting(name.trim(), value.trim());
    }
    Ok(body.finish())
}

/// The body of a change to an incident: a note, or that it is resolved.
pub(crate) fn update(notification: &Notification, settings: &Settings) -> String {
    let text = cut(&plain(&notification.text()), LONG);
    let mut body = Object::new();
    match notification.status {
        AlertStatus::Firing => {
            urgency(&mut body, notification);
            body.text("work_notes", &text);
        }
        AlertStatus::Resolved => {
            body.setting("state", &settings.resolved_state)
                .setting("close_code", &settings.close_code)
                .text("close_notes", &text);
        }
    }
    body.finish()
}

/// Impact and urgency, from which the instance makes the priority: 1 is high, 3 low.
fn urgency(body: &mut Object, notification: &Notification) {
    let level = match notification.severity() {
        Severity::Critical => "1",
        Severity::Warning => "2",
        Severity::Info => "3",
    };
    body.text("impact", level).text("urgency", level);
}

/// Without the mark `[code]`, behind which an instance may take a text for HTML.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('[') {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let word = from.get(1..5).or_else(|| from.get(1..)).unwrap_or_default();
        let mark = word.eq_ignore_ascii_case("code") || word.eq_ignore_ascii_case("/cod");
        out.push_str(if mark { "[ " } else { "[" });
        rest = from.get(1..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_is_taken_for_html() {
        assert_eq!(plain("a [code]<b>[/CODE] [x] [é] ["), "a [ code]<b>[ /CODE] [x] [é] [");
    }
}
