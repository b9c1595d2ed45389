//! Notifiers: what turns alerts into something to send.
//!
//! A notifier opens no socket. It says what to send, the engine sends it, within the hosts that
//! the configuration grants, and hands back what came of it. Secrets are written
//! `{{secret "NAME"}}` in settings and stay so in the guest: the engine puts them in place.

use core::time::Duration;

use crate::bindings::notifier as bindings;
use crate::settings::Settings;

#[cfg(feature = "notifier-testkit")]
pub mod testkit;
mod words;

pub use words::{cut, flat};

pub use bindings::watchkeeper::notifier::types::{
    Alert, AlertStatus, Attachment, Cause, CommandRequest, CommandResponse, HttpRequest,
    HttpResponse, MailRequest, MailResponse, Method, Next, Notification, Request, Response, Retry,
    Send, Severity,
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

    /// Begins a delivery. An error says, for people, why it cannot.
    fn start(notification: &Notification, settings: &Self::Settings) -> Result<Next, String>;

    /// Goes on after a response. `state` is what was given with the request. By default an HTTP
    /// response is judged by its status ([`judge`]), a command by its exit code, and an e-mail by the
    /// server's reply.
    fn resume(
        state: &[u8],
        response: &Response,
        settings: &Self::Settings,
    ) -> Result<Next, String> {
        let _ = (state, settings);
        Ok(match response {
            Response::Http(response) => judge(response),
            Response::Command(response) => match response.exit {
                Some(0) => Next::delivered(),
                Some(code) => Next::retry(None, format!("the command ended with {code}")),
                None => Next::retry(None, "the command was ended by a signal"),
            },
            Response::Mail(response) => match response.code {
                200..=299 => Next::delivered(),
                500..=599 => Next::Refused(format!("{} {}", response.code, response.text)),
                code => Next::retry(None, format!("{code} {}", response.text)),
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

impl Cause {
    /// Its name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::News => "news",
            Self::Repeat => "repeat",
            Self::Over => "over",
            Self::Escalated => "escalated",
        }
    }
}

impl Notification {
    /// The alerts that fire, in their order: what is news first, and of that the worst.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.status == AlertStatus::Firing)
    }

    /// The alerts that are over.
    pub fn over(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.iter().filter(|alert| alert.status == AlertStatus::Resolved)
    }

    /// How many fire, those that are not in here counted too.
    pub fn count(&self) -> usize {
        self.firing().count().saturating_add(usize::try_from(self.more).unwrap_or(usize::MAX))
    }

    /// The alert that matters most: the worst that fires, and else the worst that is over.
    ///
    /// # Panics
    /// Never for what the engine makes: a notification has at least one alert.
    #[expect(clippy::expect_used, reason = "the contract says that there is one")]
    pub fn foremost(&self) -> &Alert {
        let worst = self.firing().reduce(worse).or_else(|| self.over().reduce(worse));
        worst.expect("a notification has an alert")
    }

    /// The worst severity of what fires; of what is over, if nothing does.
    pub fn severity(&self) -> Severity {
        self.foremost().severity
    }

    /// One line for people: what it is if it is one alert, else how many and which is the worst.
    pub fn headline(&self) -> String {
        let foremost = self.foremost();
        let place = match foremost.cluster.as_str() {
            "" => String::new(),
            cluster => format!("{cluster}: "),
        };
        let others = match self.status {
            AlertStatus::Firing => self.count().saturating_sub(1),
            AlertStatus::Resolved => self.alerts.len().saturating_sub(1),
        };
        match others {
            0 => format!("{place}{}", foremost.summary),
            1 => format!("{place}{} (and 1 other alert)", foremost.summary),
            others => format!("{place}{} (and {others} other alerts)", foremost.summary),
        }
    }
}

/// Of equals the first, which is news or has lasted longer.
fn worse<'a>(one: &'a Alert, other: &'a Alert) -> &'a Alert {
    if other.severity > one.severity { other } else { one }
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
    pub fn json(self, body: crate::json::Object) -> Self {
        self.content("application/json", body.finish())
    }

    /// Sets a body of a type.
    #[must_use]
    pub fn content(mut self, content_type: &str, body: String) -> Self {
        self.body = body.into_bytes();
        self.header("content-type", content_type)
    }

    /// Adds the header Authorization; an empty value adds none.
    #[must_use]
    pub fn authorization(self, scheme: &str, value: &str) -> Self {
        if value.is_empty() {
            return self;
        }
        self.header("authorization", &format!("{scheme} {value}"))
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
    /// The receiver has it, and there is nothing to remember.
    pub const fn delivered() -> Self {
        Self::Delivered(Vec::new())
    }

    /// Carry out an HTTP request, with nothing to remember until its response comes.
    pub const fn http(request: HttpRequest) -> Self {
        Self::Send(Send { request: Request::Http(request), state: Vec::new() })
    }

    /// Carry out an HTTP request, and remember `state` until its response comes.
    pub const fn http_with(request: HttpRequest, state: Vec<u8>) -> Self {
        Self::Send(Send { request: Request::Http(request), state })
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
        200..=299 => Next::delivered(),
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

    fn start(
        notification: Notification,
        settings: Vec<bindings::SettingValue>,
    ) -> Result<Next, String> {
        N::start(&notification, &Self::settings(settings)?)
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
        assert_eq!(judge(&response(204, &[], "")), Next::delivered());
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
