//! Slack: incoming webhooks, whose documentation has neither version nor date:
//! <https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>,
//! <https://docs.slack.dev/reference/block-kit/blocks/section-block>,
//! <https://docs.slack.dev/legacy/legacy-messaging/legacy-secondary-message-attachments>,
//! <https://docs.slack.dev/apis/web-api/rate-limits>.

use super::schema::Kind::{Flag, Form, List, Record, Text, Typed};
use super::schema::{ANY, Field, Kind, may, need};
use super::standin::{Answer, Request, Vendor};

const MRKDWN: &[Field] = &[need("text", Text(1, 3_000)), may("verbatim", Flag)];
const PLAIN: &[Field] = &[need("text", Text(1, 3_000)), may("emoji", Flag)];
const TEXT: Kind = Typed(&[("mrkdwn", MRKDWN), ("plain_text", PLAIN)]);

const BLOCK: Kind = Typed(&[
    (
        "section",
        &[
            need("text", TEXT),
            may("block_id", Text(1, 255)),
            may("fields", List(&TEXT, 1, 10)),
            may("expand", Flag),
        ],
    ),
    ("divider", &[may("block_id", Text(1, 255))]),
]);

const COLOUR: Kind = Form("a colour", |text| {
    ["good", "warning", "danger"].contains(&text)
        || text.len() == 7
            && text.strip_prefix('#').is_some_and(|it| u32::from_str_radix(it, 16).is_ok())
});

const MESSAGE: Kind = Record(&[
    need("text", Text(1, 40_000)),
    may("blocks", List(&BLOCK, 0, 50)),
    may(
        "attachments",
        List(
            &Record(&[
                may("color", COLOUR),
                may("fallback", Text(0, ANY)),
                may("blocks", List(&BLOCK, 0, 50)),
            ]),
            0,
            100,
        ),
    ),
    may("thread_ts", Text(1, ANY)),
    may("mrkdwn", Flag),
    may("unfurl_links", Flag),
    may("unfurl_media", Flag),
]);

/// The webhook's path, which is a secret.
pub(super) const PATH: &str = "services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX";

#[derive(Debug, Default)]
pub(super) struct Slack {
    /// The line of each message that a telephone shows.
    pub(super) messages: Vec<String>,
}

impl Vendor for Slack {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        if request.target() != ("POST", PATH.split('/').collect()) {
            return Err(vec!["no_service".to_owned()]);
        }
        let message = request.json(MESSAGE)?;
        let every = texts(&message);
        if let Some(text) = every.iter().find(|text| !escaped(text)) {
            return Err(vec![format!("a control sequence that nobody set: {text}")]);
        }
        self.messages.push(message["text"].as_str().unwrap().to_owned());
        Ok(Answer::text(200, "ok"))
    }

    fn busy(&self) -> Answer {
        Answer::text(429, "rate_limited").with("retry-after", "1")
    }
}

/// Every text of the message.
fn texts(message: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    match message {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().flat_map(texts).collect(),
        Value::Object(all) => all.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// "&, <, and >" are written as entities, and nothing else is.
fn escaped(text: &str) -> bool {
    let entities = ["&amp;", "&lt;", "&gt;"];
    let mut rest = text.split('&');
    let begins =
        |part: &str| entities.iter().any(|it| part.starts_with(it.trim_start_matches('&')));
    !text.contains(['<', '>']) && {
        rest.next();
        rest.all(begins)
    }
}
