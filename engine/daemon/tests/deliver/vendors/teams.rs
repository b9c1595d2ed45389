//! Microsoft Teams: a workflow's webhook, whose documentation has no version, and Adaptive Cards, version 1.4:
//! <https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>,
//! <https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook>,
//! <https://adaptivecards.io/explorer/AdaptiveCard.html>, <https://adaptivecards.io/explorer/RichTextBlock.html>.

use super::schema::Kind::{Flag, Free, List, Null, OneOf, Record, Text, Typed};
use super::schema::{ANY, Kind, LINK, may, need};
use super::standin::{Answer, Request, Vendor};

const COLOURS: Kind =
    OneOf(&["Default", "Dark", "Light", "Accent", "Good", "Warning", "Attention"]);
const SPACINGS: Kind =
    OneOf(&["Default", "None", "Small", "Medium", "Large", "ExtraLarge", "Padding"]);

const RUN: Kind = Typed(&[(
    "TextRun",
    &[
        need("text", Text(0, ANY)),
        may("color", COLOURS),
        may("fontType", OneOf(&["Default", "Monospace"])),
        may("highlight", Flag),
        may("isSubtle", Flag),
        may("italic", Flag),
        may("size", OneOf(&["Default", "Small", "Medium", "Large", "ExtraLarge"])),
        may("strikethrough", Flag),
        may("underline", Flag),
        may("weight", OneOf(&["Default", "Lighter", "Bolder"])),
    ],
)]);

const ELEMENT: Kind = Typed(&[(
    "RichTextBlock",
    &[
        need("inlines", List(&RUN, 0, ANY)),
        may("horizontalAlignment", OneOf(&["Left", "Center", "Right"])),
        may("height", OneOf(&["Auto", "Stretch"])),
        may("separator", Flag),
        may("spacing", SPACINGS),
        may("id", Text(1, ANY)),
        may("isVisible", Flag),
        may("requires", Free),
    ],
)]);

const ACTION: Kind = Typed(&[(
    "Action.OpenUrl",
    &[
        need("url", LINK),
        may("title", Text(0, ANY)),
        may("iconUrl", LINK),
        may("id", Text(1, ANY)),
        may("style", OneOf(&["default", "positive", "destructive"])),
        may("requires", Free),
    ],
)]);

const CARD: Kind = Typed(&[(
    "AdaptiveCard",
    &[
        may("$schema", OneOf(&["http://adaptivecards.io/schemas/adaptive-card.json"])),
        need("version", OneOf(&["1.0", "1.1", "1.2", "1.3", "1.4"])),
        may("body", List(&ELEMENT, 0, ANY)),
        may("actions", List(&ACTION, 0, 6)),
        may("fallbackText", Text(0, ANY)),
        may("speak", Text(0, ANY)),
        may("lang", Text(0, ANY)),
        may(
            "msteams",
            Record(&[may("width", OneOf(&["Full"])), may("entities", List(&Free, 0, ANY))]),
        ),
    ],
)]);

const MESSAGE: Kind = Typed(&[(
    "message",
    &[need(
        "attachments",
        List(
            &Record(&[
                need("contentType", OneOf(&["application/vnd.microsoft.card.adaptive"])),
                may("contentUrl", Null),
                need("content", CARD),
            ]),
            1,
            10,
        ),
    )],
)]);

/// "The message size limit is 28 KB."
const LARGEST: usize = 28 * 1024;

/// Path and query of the webhook, which are a secret.
pub(super) const PATH: &str = "workflows/9f1c/triggers/manual/paths/invoke";
pub(super) const SIGNATURE: &str =
    "api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=abc-_d";

#[derive(Debug, Default)]
pub(super) struct Teams {
    /// The first line of each card.
    pub(super) messages: Vec<String>,
}

impl Vendor for Teams {
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>> {
        let signed = request.query == super::standin::pairs(SIGNATURE);
        if request.target() != ("POST", PATH.split('/').collect()) || !signed {
            return Err(vec!["the signature is not valid".to_owned()]);
        }
        let message = request.json(MESSAGE)?;
        if request.body.len() > LARGEST {
            return Err(vec![format!("a message of {} bytes", request.body.len())]);
        }
        let first = &message["attachments"][0]["content"]["body"][0]["inlines"][0]["text"];
        self.messages.push(first.as_str().unwrap_or_default().to_owned());
        Ok(Answer { status: 202, headers: Vec::new(), body: String::new() })
    }
}
