//! From what a notifier wants told to an e-mail as it goes over the line (RFC 5322).
//!
//! Invariants:
//! - The same notification gives the same Message-ID each time, so that a doubled e-mail is recognised.
//! - Nobody is written to who is not granted.

use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, Message, MultiPart, SinglePart};
use watchkeeper_wasm::notifier::MailRequest;

use crate::config::mail::MailGrant;

/// Why an e-mail is not sent.
#[derive(Debug, thiserror::Error)]
pub(in crate::deliver) enum MessageError {
    #[error("{0:?} is no address")]
    Address(String),
    #[error("{0:?} is not among the `recipients` of this receiver")]
    NotGranted(String),
    #[error("the plugin's thread {0:?} has more than letters, digits and `-`")]
    Thread(String),
    #[error("the plugin's attachment {0:?} has a type that is none")]
    Type(String),
    #[error("the plugin's e-mail cannot be written")]
    Other(#[from] lettre::error::Error),
}

/// An e-mail and who gets it.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) from: Address,
    pub(super) to: Vec<Address>,
    pub(super) bytes: Vec<u8>,
}

/// Writes the e-mail that is the `count`th of the notification with the idempotency key `key`.
pub(super) fn write(
    grant: &MailGrant,
    request: MailRequest,
    key: &str,
    count: usize,
) -> Result<Ready, MessageError> {
    let from = &grant.server.from;
    let to = recipients(grant, &request.to)?;
    let domain = from.email.domain();
    let number = if count > 1 { format!(".{count}") } else { String::new() };
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(request.subject)
        .message_id(Some(format!("<{}{number}@{domain}>", plain(key))));
    if !request.thread.is_empty() {
        if plain(&request.thread) != request.thread {
            return Err(MessageError::Thread(request.thread));
        }
        // Nobody ever sent this one: all e-mails of the thread are answers to it.
        let root = format!("<thread-{}@{domain}>", request.thread);
        builder = builder.in_reply_to(root.clone()).references(root);
    }
    for mailbox in &to {
        builder = builder.to(mailbox.clone());
    }
    let body = body(request.text, request.html);
    let message = if request.attachments.is_empty() {
        match body {
            Body::Single(part) => builder.singlepart(part),
            Body::Multi(part) => builder.multipart(part),
        }
    } else {
        let mixed = MultiPart::mixed();
        let mut mixed = match body {
            Body::Single(part) => mixed.singlepart(part),
            Body::Multi(part) => mixed.multipart(part),
        };
        for attachment in request.attachments {
            let kind = ContentType::parse(&attachment.content_type)
                .map_err(|_| MessageError::Type(attachment.name.clone()))?;
            mixed =
                mixed.singlepart(Attachment::new(attachment.name).body(attachment.content, kind));
        }
        builder.multipart(mixed)
    };
    let mut message = message?;
    // No holiday notes in answer, please (RFC 3834).
    let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
    message.headers_mut().insert_raw(HeaderValue::new(automatic, "auto-generated".to_owned()));
    Ok(Ready {
        from: from.email.clone(),
        to: to.into_iter().map(|mailbox| mailbox.email).collect(),
        bytes: message.formatted(),
    })
}

fn recipients(grant: &MailGrant, to: &[String]) -> Result<Vec<Mailbox>, MessageError> {
    to.iter()
        .map(|text| {
            let mailbox: Mailbox = text.parse().map_err(|_| MessageError::Address(text.clone()))?;
            if grant.covers(&mailbox.email) {
                Ok(mailbox)
            } else {
                Err(MessageError::NotGranted(mailbox.email.to_string()))
            }
        })
        .collect()
}

enum Body {
    Single(SinglePart),
    Multi(MultiPart),
}

fn body(text: String, html: Option<String>) -> Body {
    match html {
        Some(html) => Body::Multi(MultiPart::alternative_plain_html(text, html)),
        None => Body::Single(SinglePart::plain(text)),
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}
