//! A small notifier: one request, then judged by its response.

#![allow(clippy::too_many_arguments, reason = "generated")]

wit_bindgen::generate!({ world: "notifier", path: "../../../sdk/wit/notifier" });

use watchkeeper::notifier::log;
use watchkeeper::notifier::types::{
    HttpRequest, Method, Request, Retry, Send, Setting, SettingKind,
};

struct Small;

export!(Small);

impl Guest for Small {
    fn describe() -> Description {
        Description {
            name: "small".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "Posts the summary".to_owned(),
            settings: vec![Setting {
                name: "url".to_owned(),
                doc: "Where to".to_owned(),
                kind: SettingKind::Text(String::new()),
            }],
        }
    }

    fn start(notification: Notification, settings: Vec<SettingValue>) -> Result<Next, String> {
        let Some(SettingValue::Text(url)) = settings.into_iter().next() else {
            return Err("there is no url".to_owned());
        };
        let alert = notification.alerts.into_iter().next().ok_or("there is no alert")?;
        log::write(log::Level::Info, &alert.name);
        Ok(Next::Send(Send {
            request: Request::Http(HttpRequest {
                method: Method::Post,
                url,
                headers: vec![("idempotency-key".to_owned(), notification.idempotency_key)],
                body: alert.summary.into_bytes(),
            }),
            state: alert.fingerprint.into_bytes(),
        }))
    }

    fn resume(
        state: Vec<u8>,
        response: Response,
        _settings: Vec<SettingValue>,
    ) -> Result<Next, String> {
        Ok(match response {
            Response::Http(response) if response.status == 200 => Next::Delivered(state),
            Response::Http(response) if response.status == 503 => Next::Retry(Retry {
                after: Some(1_500),
                reason: String::from_utf8_lossy(&response.body).into_owned(),
            }),
            Response::Http(_) => Next::Refused(String::from_utf8_lossy(&state).into_owned()),
            Response::Command(_) | Response::Mail(_) => panic!("only HTTP was asked for"),
        })
    }
}
