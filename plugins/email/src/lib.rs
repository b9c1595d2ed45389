//! Tells alerts by e-mail, through the mail server that the configuration grants.
//!
//! One e-mail a notification, as text and in a simple HTML form that says the same; all e-mails of a group are one
//! conversation. The subject holds what a telephone shows: how bad, where, what.

mod html;
mod text;

use watchkeeper_sdk::notifier::{
    AlertStatus, Cause, MailRequest, Next, Notification, Notifier, Request, Send,
};

watchkeeper_sdk::settings! {
    /// The settings of email.
    pub struct Settings {
        /// Who gets the e-mails, each "address" or "Name <address>"; the receiver's `recipients` have to allow them.
        to: Vec<String> = &[];
        /// What every subject begins with, such as "Watchkeeper"; nothing if empty.
        subject_prefix: String = "";
        /// Whether the e-mails are plain text only, without the HTML form.
        only_text: bool = false;
    }
}

/// Most alerts that one e-mail tells whole; the headline counts the rest.
const SHOWN: usize = 50;

/// The longest subject, in characters: some mail programs and gateways cut longer ones anywhere.
const SUBJECT: usize = 200;

/// The notifier.
#[derive(Debug)]
pub struct Email;

impl Notifier for Email {
    type Settings = Settings;

    const NAME: &'static str = "email";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Tells alerts by e-mail.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.to.is_empty() {
            return Err("the setting \"to\" is empty".to_owned());
        }
        let request = MailRequest {
            to: settings.to.clone(),
            subject: subject(notification, &settings.subject_prefix),
            text: text::body(notification),
            html: (!settings.only_text).then(|| html::body(notification)),
            attachments: Vec::new(),
            thread: notification.group_key.clone(),
        };
        Ok(Next::Send(Send { request: Request::Mail(request), state: Vec::new() }))
    }
}

/// Such as `[CRITICAL] prod: daemon on dm1 is down`.
fn subject(notification: &Notification, prefix: &str) -> String {
    let how_bad = match notification.status {
        AlertStatus::Firing => notification.severity().name().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    };
    let line = format!("{prefix} [{how_bad}] {}", notification.headline());
    let line: String = line.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match line.char_indices().nth(SUBJECT) {
        Some((end, _)) => format!("{} ...", line.get(..end).unwrap_or_default().trim_end()),
        None => line,
    }
}

/// Why it is told, where the subject does not say it.
const fn why(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Repeat => Some("This was told before and still is so."),
        Cause::Escalated => Some("Another receiver could not be told of this."),
        Cause::First | Cause::News | Cause::Over => None,
    }
}

/// How many alerts are not told whole.
fn unshown(notification: &Notification) -> Option<String> {
    let hidden = notification.alerts.len().saturating_sub(SHOWN);
    let hidden = hidden.saturating_add(usize::try_from(notification.more).unwrap_or(usize::MAX));
    match hidden {
        0 => None,
        1 => Some("1 further alert of this group is not in this e-mail.".to_owned()),
        n => Some(format!("{n} further alerts of this group are not in this e-mail.")),
    }
}

watchkeeper_sdk::export_notifier!(Email);
