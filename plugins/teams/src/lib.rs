//! Posts alerts to a channel or chat of Microsoft Teams, through a workflow's webhook.
//!
//! This follows Microsoft's "Create incoming webhooks with Workflows for Microsoft Teams" and the
//! connector reference "Microsoft Teams - Webhook" of Power Automate (neither has a version; connectors
//! of Office 365, which came before, are being retired), and the schema of Adaptive Cards 1.4: a
//! message whose attachment is the card. The workflow "Send webhook alerts to a channel" answers 202.
//! A message may have 28 KB; Microsoft says so of messages from webhooks, and it is not clear whether
//! workflows take more, so no card here is larger than that.
//!
//! Texts are `TextRun`s, in which nothing is Markdown: what an alert says can make no links and mention
//! nobody. The webhook's URL is itself a secret: set it as `{{secret "NAME"}}`.

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{
    Alert, AlertStatus, HttpRequest, Method, Next, Notification, Notifier, Severity, cut, flat,
};

watchkeeper_sdk::settings! {
    /// The settings of teams.
    pub struct Settings {
        /// The URL of the workflow's webhook, as a secret. Its host has to be granted.
        url: String = "";
        /// A page that the card links to, such as a runbook; none if empty.
        link: String = "";
    }
}

/// Most bytes of a message: 28 KB, less some room.
const LARGEST: usize = 28_000;

/// How many alerts are shown, and most characters of each of their texts: the first that is not too
/// large is sent. A character takes at most six bytes, so the last always fits.
const SIZES: [(usize, usize); 5] = [(20, 2_000), (10, 1_000), (10, 300), (5, 300), (1, 300)];

/// The notifier.
#[derive(Debug)]
pub struct Teams;

impl Notifier for Teams {
    type Settings = Settings;

    const NAME: &'static str = "teams";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Posts alerts to Microsoft Teams through a workflow's webhook.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if settings.url.is_empty() {
            return Err("the setting \"url\" is empty".to_owned());
        }
        let mut body = String::new();
        for (shown, most) in SIZES {
            body = message(notification, settings, shown, most);
            if body.len() <= LARGEST {
                break;
            }
        }
        let request = HttpRequest::new(Method::Post, settings.url.clone());
        Ok(Next::http(request.content("application/json", body)))
    }
}

fn message(notification: &Notification, settings: &Settings, shown: usize, most: usize) -> String {
    let mut body = Object::new();
    body.text("type", "message").objects("attachments", [()], |attachment, ()| {
        attachment
            .text("contentType", "application/vnd.microsoft.card.adaptive")
            .null("contentUrl")
            .object("content", |card| {
                card.text("$schema", "http://adaptivecards.io/schemas/adaptive-card.json")
                    .text("type", "AdaptiveCard")
                    .text("version", "1.4")
                    .object("msteams", |teams| {
                        teams.text("width", "Full");
                    })
                    .objects("body", blocks(notification, shown, most), |block, runs| {
                        block
                            .text("type", "RichTextBlock")
                            .text("spacing", if runs.apart { "Large" } else { "Small" })
                            .objects("inlines", [&runs], |run, runs| {
                                run.text("type", "TextRun").text("text", &runs.text);
                                if let Some(colour) = runs.colour {
                                    run.text("weight", "Bolder").text("color", colour);
                                }
                            });
                    });
                if !settings.link.is_empty() {
                    card.objects("actions", [&settings.link], |action, link| {
                        action
                            .text("type", "Action.OpenUrl")
                            .text("title", "More about these alerts")
                            .setting("url", link);
                    });
                }
            });
    });
    body.finish()
}

/// A paragraph of the card.
struct Block {
    text: String,
    /// Bold and in this colour, as the schema names them.
    colour: Option<&'static str>,
    /// With room above it.
    apart: bool,
}

fn blocks(notification: &Notification, shown: usize, most: usize) -> Vec<Block> {
    let heading = match notification.status {
        AlertStatus::Firing => notification.severity().name().to_uppercase(),
        AlertStatus::Resolved => "RESOLVED".to_owned(),
    };
    let heading = format!("{heading} {}", flat(&notification.headline()));
    let plain = |text: String, apart| Block { text: cut(&text, most), colour: None, apart };
    let mut blocks = vec![
        Block {
            text: cut(&heading, most),
            colour: Some(colour(notification.status, notification.severity())),
            apart: false,
        },
        plain(
            format!("Told by {} because {}.", notification.monitor, notification.occasion()),
            false,
        ),
    ];
    for alert in notification.alerts.iter().take(shown) {
        blocks.push(Block {
            text: cut(&flat(&alert.summary), most),
            colour: Some(colour(alert.status, alert.severity)),
            apart: true,
        });
        blocks.push(plain(facts(alert), false));
        if !alert.details.is_empty() {
            blocks.push(plain(alert.details.clone(), false));
        }
    }
    let hidden = notification.alerts.len().saturating_sub(shown);
    let more = hidden.saturating_add(usize::try_from(notification.more).unwrap_or(usize::MAX));
    if more > 0 {
        blocks.push(plain(format!("Not shown: {more} further alerts of this group."), true));
    }
    blocks
}

fn facts(alert: &Alert) -> String {
    let facts = alert.facts();
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    lines.join("\n")
}

/// A colour of the schema.
const fn colour(status: AlertStatus, severity: Severity) -> &'static str {
    match (status, severity) {
        (AlertStatus::Resolved, _) => "Good",
        (AlertStatus::Firing, Severity::Critical) => "Attention",
        (AlertStatus::Firing, Severity::Warning) => "Warning",
        (AlertStatus::Firing, Severity::Info) => "Accent",
    }
}

watchkeeper_sdk::export_notifier!(Teams);
