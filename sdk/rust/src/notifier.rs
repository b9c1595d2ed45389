//! Notifiers: what turns an alert into something to send.
//!
//! A notifier opens no socket. It says what to send, the engine sends it, within the hosts that
//! the configuration grants, and hands back what came of it. Secrets are written
//! `{{secret "NAME"}}` in settings and stay so in the guest: the engine puts them in place.

use core::time::Duration;

use crate::bindings::notifier as bindings;
use crate::settings::Settings;

pub use bindings::watchkeeper::notifier::types::{
    Alert, AlertStatus, CommandRequest, CommandResponse, HttpRequest, HttpResponse, Method, Next,
    Request, Response, Retry, Send, Severity,
};

/// A notifier.
pub trait Notifier {
    /// What the configuration can set; `()` for nothing.
    type Settings: Settings;

    /// Its name, in kebab case.
    const NAME: &'static str;
    /// Its version. The crate's is a good one: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// What it does: one line.
    const SUMMARY: &'static str;

    /// Begins the delivery of one alert. An error says, for people, why it cannot.
    fn start(alert: &Alert, settings: &Self::Settings) -> Result<Next, String>;

    /// Goes on after a response. `state` is what was given with the request. By default an HTTP
    /// response is judged by its status ([`judge`]), and a command by its exit code.
    fn resume(
        state: &[u8],
        response: &Response,
        settings: &Self::Settings,
    ) -> Result<Next, String> {
        let _ = (state, settings);
        Ok(match response {
            Response::Http(response) => judge(response),
            Response::Command(response) => match response.exit {
                Some(0) => Next::Delivered,
                Some(code) => Next::retry(None, format!("the command ended with {code}")),
                None => Next::retry(None, "the command was ended by a signal"),
            },
        })
    }
}

impl Severity {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl AlertStatus {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }
}

impl HttpRequest {
    /// A request without headers and body.
    pub const fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Vec::new() }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a JSON body, and the header that says so.
    #[must_use]
    pub fn json(mut self, body: crate::json::Object) -> Self {
        self.body = body.finish().into_bytes();
        self.header("content-type", "application/json")
    }
}

impl HttpResponse {
    /// The value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// After how long the receiver wants to be asked again: `Retry-After` in its form of seconds,
    /// and in its form of a date where the response says what time it was there (RFC 9110, 10.2.3).
    pub fn retry_after(&self) -> Option<Duration> {
        let value = self.header("retry-after")?.trim();
        if let Ok(seconds) = value.parse::<u32>() {
            return Some(Duration::from_secs(seconds.into()));
        }
        let then = crate::time::http_date(value)?;
        let now = crate::time::http_date(self.header("date")?.trim())?;
        Some(Duration::from_secs(then.saturating_sub(now)))
    }
}

impl Next {
    /// Carry out an HTTP request, with nothing to remember until its response comes.
    pub const fn http(request: HttpRequest) -> Self {
        Self::Send(Send { request: Request::Http(request), state: Vec::new() })
    }

    /// Not now. None leaves it to the engine when.
    pub fn retry(after: Option<Duration>, reason: impl Into<String>) -> Self {
        let after = after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        Self::Retry(Retry { after, reason: reason.into() })
    }
}

/// How much of a receiver's answer is told to people, in characters.
const EXCERPT: usize = 200;

/// What an HTTP response means by its status: 2xx is delivered; 408, 425, 429 and 5xx are worth
/// another try, when the receiver says so if it does; anything else would be refused again.
pub fn judge(response: &HttpResponse) -> Next {
    let said = || {
        let body = String::from_utf8_lossy(&response.body);
        let line: String =
            body.chars().map(|c| if c.is_control() { ' ' } else { c }).take(EXCERPT).collect();
        match line.trim() {
            "" => format!("HTTP {}", response.status),
            line => format!("HTTP {}: {line}", response.status),
        }
    };
    match response.status {
        200..=299 => Next::Delivered,
        408 | 425 | 429 | 500..=599 => Next::retry(response.retry_after(), said()),
        _ => Next::Refused(said()),
    }
}

/// Lines for the author of the notifier, in the daemon's log. In native tests they go nowhere.
pub mod log {
    use crate::bindings::notifier::watchkeeper::notifier::log as host;
    pub use host::Level;

    /// Writes a line. The number and length of lines is limited per call.
    pub fn write(level: Level, line: &str) {
        if cfg!(target_family = "wasm") {
            host::write(level, line);
        }
    }
}

/// A notifier as the world wants it. Used by [`export_notifier!`](crate::export_notifier).
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<N>(core::marker::PhantomData<N>);

impl<N: Notifier> Adapter<N> {
    fn settings(values: Vec<bindings::SettingValue>) -> Result<N::Settings, String> {
        N::Settings::read(&mut values.into_iter().map(Into::into))
            .ok_or_else(crate::settings::mismatch)
    }
}

impl<N: Notifier> bindings::Guest for Adapter<N> {
    fn describe() -> bindings::Description {
        bindings::Description {
            name: N::NAME.to_owned(),
            version: N::VERSION.to_owned(),
            summary: N::SUMMARY.to_owned(),
            settings: N::Settings::specs().into_iter().map(Into::into).collect(),
        }
    }

    fn start(alert: Alert, settings: Vec<bindings::SettingValue>) -> Result<Next, String> {
        N::start(&alert, &Self::settings(settings)?)
    }

    fn resume(
        state: Vec<u8>,
        response: Response,
        settings: Vec<bindings::SettingValue>,
    ) -> Result<Next, String> {
        N::resume(&state, &response, &Self::settings(settings)?)
    }
}

/// Makes the component's exports of a [`Notifier`]. Natively it makes nothing, so that the same
/// crate can be tested.
#[macro_export]
macro_rules! export_notifier {
    ($notifier:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::notifier::Adapter<$notifier>;
    $crate::__export_notifier_impl!(Exported with_types_in $crate::bindings::notifier);

            #[global_allocator]
            static ALLOCATOR: $crate::arena::Guest = $crate::arena::Guest;
        };
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, headers: &[(&str, &str)], body: &str) -> HttpResponse {
        HttpResponse {
            status,
            headers: headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            body: body.into(),
        }
    }

    #[test]
    fn a_response_is_judged_by_its_status() {
        assert_eq!(judge(&response(204, &[], "")), Next::Delivered);
        assert_eq!(judge(&response(503, &[], "")), Next::retry(None, "HTTP 503"));
        assert_eq!(
            judge(&response(404, &[], "no\nsuch hook\n")),
            Next::Refused("HTTP 404: no such hook".to_owned())
        );
        assert_eq!(judge(&response(301, &[], "")), Next::Refused("HTTP 301".to_owned()));
    }

    #[test]
    fn the_receiver_says_when_to_come_back() {
        let seconds = response(429, &[("retry-after", " 30 ")], "");
        assert_eq!(seconds.retry_after(), Some(Duration::from_secs(30)));
        let date = response(
            503,
            &[
                ("date", "Sun, 01 Mar 2026 23:59:50 GMT"),
                ("retry-after", "Mon, 02 Mar 2026 00:00:10 GMT"),
            ],
            "",
        );
        assert_eq!(date.retry_after(), Some(Duration::from_secs(20)));
        let no_clock = response(503, &[("retry-after", "Mon, 02 Mar 2026 00:00:10 GMT")], "");
        assert_eq!(no_clock.retry_after(), None);
        assert_eq!(response(503, &[("retry-after", "soon")], "").retry_after(), None);
    }
}
