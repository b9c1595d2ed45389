//! Pages whoever is on duty: through an HTTP gateway, or by a command of the site's own.

use watchkeeper_sdk::json::Object;
use watchkeeper_sdk::notifier::{
    AlertStatus, CommandRequest, HttpRequest, Method, Next, Notification, Notifier, Request, Send,
};

watchkeeper_sdk::choice! {
    /// The way to the pager.
    pub enum Way {
        /// An HTTP gateway.
        Http = "http",
        /// The command `page`, which the configuration defines.
        Command = "command",
    }
}

watchkeeper_sdk::settings! {
    /// What the configuration can set. The comments tell administrators what each does.
    pub struct Settings {
        /// Who is paged.
        number: String = "";
        /// Over HTTP, or by the command named page.
        way: Way = Way::Http;
        /// The gateway's URL. Its host has to be granted.
        url: String = "";
        /// The gateway's key, as a secret.
        key: String = "{{secret \"pager-key\"}}";
    }
}

/// The notifier.
pub struct Pager;

impl Notifier for Pager {
    type Settings = Settings;
    const NAME: &'static str = "pager";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Pages a number when something begins.";

    fn start(notification: &Notification, settings: &Settings) -> Result<Next, String> {
        if notification.status == AlertStatus::Resolved {
            // Nobody is woken for good news.
            return Ok(Next::delivered());
        }
        let text = notification.headline();
        Ok(match settings.way {
            Way::Http => {
                let mut body = Object::new();
                body.text("to", &settings.number)
                    .text("text", &text)
                    .text("id", &notification.idempotency_key);
                Next::http(
                    HttpRequest::new(Method::Post, settings.url.clone())
                        .json(body)
                        .header("x-api-key", &settings.key),
                )
            }
            Way::Command => Next::Send(Send {
                request: Request::Command(CommandRequest {
                    name: "page".to_owned(),
                    arguments: vec![settings.number.clone()],
                    input: text.into_bytes(),
                }),
                state: Vec::new(),
            }),
        })
    }
}

watchkeeper_sdk::export_notifier!(Pager);
