//! For native tests of notifiers: alerts to tell, what is sent compared with files that people can
//! read, and whole conversations with a receiver. `UPDATE_GOLDEN=1` rewrites the files: read the
//! difference.
//!
//! ```no_run
//! # use watchkeeper_sdk::notifier::{Next, Notification, Notifier};
//! # struct Pager;
//! # impl Notifier for Pager {
//! #     type Settings = ();
//! #     const NAME: &'static str = "pager";
//! #     const VERSION: &'static str = "1.0.0";
//! #     const SUMMARY: &'static str = "";
//! #     fn start(_: &Notification, (): &()) -> Result<Next, String> { Ok(Next::delivered()) }
//! # }
//! use watchkeeper_sdk::notifier::testkit::{Golden, alert, alone, answer, play};
//!
//! let golden = Golden(env!("CARGO_MANIFEST_DIR"));
//! let said = play::<Pager>(&alone(alert()), &(), &[answer(202, &[], "queued")]);
//! golden.compare("firing.txt", &said);
//! ```

use core::fmt::Write as _;
use std::path::Path;

use super::{
    Alert, AlertStatus, Cause, CommandResponse, HttpResponse, Next, Notification, Notifier,
    Request, Response, Severity,
};

/// A critical alert that fires, with something in every field, a placeholder of a secret among it.
pub fn alert() -> Alert {
    Alert {
        fingerprint: "5f1d0c9a2b3e4f60".to_owned(),
        status: AlertStatus::Firing,
        news: true,
        name: "service-down".to_owned(),
        severity: Severity::Critical,
        cluster: "prod".to_owned(),
        server: "dm1".to_owned(),
        service: "daemon".to_owned(),
        code: "4604100".to_owned(),
        summary: "daemon on dm1 is down: \"exit 1\"".to_owned(),
        details: "Rescue is under way.\nSee: watchkeeper explain {{secret \"x\"}}".to_owned(),
        source: "data-mover-ha".to_owned(),
        labels: vec![("site".to_owned(), "Köln".to_owned())],
        starts_at: 1_772_330_400_000,
        ends_at: None,
        acknowledged_by: String::new(),
    }
}

/// The same, over after a minute.
#[must_use]
pub fn over(alert: Alert) -> Alert {
    Alert { status: AlertStatus::Resolved, ends_at: Some(1_772_330_460_000), ..alert }
}

/// One of the monitor itself that is over: every field that may be empty is.
pub fn bare() -> Alert {
    Alert {
        cluster: String::new(),
        server: String::new(),
        service: String::new(),
        code: String::new(),
        labels: Vec::new(),
        ..over(alert())
    }
}

/// Alerts as a notification. It fires if one of them does.
pub fn telling(cause: Cause, alerts: Vec<Alert>) -> Notification {
    let firing = alerts.iter().any(|alert| alert.status == AlertStatus::Firing);
    Notification {
        idempotency_key: "5f1d0c9a2b3e4f60-1".to_owned(),
        group_key: "aa1d0c9a2b3e4f60".to_owned(),
        group_labels: vec![("cluster".to_owned(), "prod".to_owned())],
        cause,
        status: if firing { AlertStatus::Firing } else { AlertStatus::Resolved },
        alerts,
        more: 0,
        memory: Vec::new(),
        queued_at: 1_772_330_401_000,
        monitor: "vp1".to_owned(),
    }
}

/// An alert by itself, which has begun or is over.
pub fn alone(alert: Alert) -> Notification {
    let cause = if alert.ends_at.is_some() { Cause::Over } else { Cause::First };
    telling(cause, vec![alert])
}

/// Two that fire, of which one is known already, and one that is over; three more fire.
pub fn several() -> Notification {
    let lag = Alert {
        fingerprint: "0b7e11aa4c9d8f21".to_owned(),
        name: "replication-lag".to_owned(),
        severity: Severity::Warning,
        server: "dm2".to_owned(),
        service: "sync".to_owned(),
        summary: "the standby is 90 s behind".to_owned(),
        news: false,
        acknowledged_by: "ada".to_owned(),
        ..alert()
    };
    let ready = Alert {
        fingerprint: "c37f0d52e8b1946a".to_owned(),
        name: "standby-not-ready".to_owned(),
        ..over(lag.clone())
    };
    Notification { more: 3, ..telling(Cause::News, vec![alert(), ready, lag]) }
}

/// Alerts whose every text is far longer than any receiver takes, of characters of four bytes.
pub fn endless() -> Notification {
    let long = "😀".repeat(40_000);
    let one = Alert {
        summary: long.clone(),
        details: long.clone(),
        labels: vec![("site".to_owned(), long)],
        ..alert()
    };
    telling(Cause::First, vec![one; 40])
}

/// The answer of an HTTP server; headers' names in lower case.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
    let headers = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Response::Http(HttpResponse { status, headers, body: body.into() })
}

/// A command's end; none if a signal ended it.
pub const fn ended(exit: Option<i32>) -> Response {
    Response::Command(CommandResponse { exit, output: Vec::new() })
}

/// A request as people read it.
pub fn shown(request: &Request) -> String {
    let mut text = String::new();
    let body = match request {
        Request::Http(request) => {
            let _ = writeln!(text, "{:?} {}", request.method, request.url);
            for (name, value) in &request.headers {
                let _ = writeln!(text, "{name}: {value}");
            }
            &request.body
        }
        Request::Command(request) => {
            let _ = writeln!(text, "command {}", request.name);
            for argument in &request.arguments {
                let _ = writeln!(text, "argument: {argument}");
            }
            &request.input
        }
        Request::Mail(request) => {
            let _ = writeln!(text, "to: {}\nsubject: {}", request.to.join(", "), request.subject);
            request.text.as_bytes()
        }
    };
    let _ = writeln!(text, "\n{}", String::from_utf8_lossy(body));
    text
}

/// The first request, as people read it.
///
/// # Panics
/// If nothing is sent.
#[expect(clippy::panic, reason = "a test ends here")]
pub fn told<N: Notifier>(notification: &Notification, settings: &N::Settings) -> String {
    match N::start(notification, settings) {
        Ok(Next::Send(send)) => shown(&send.request),
        other => panic!("nothing is sent: {other:?}"),
    }
}

/// What comes after a response to a request that went with no state.
///
/// # Panics
/// If the notifier fails.
#[expect(clippy::expect_used, reason = "a test ends here")]
pub fn after<N: Notifier>(response: &Response, settings: &N::Settings) -> Next {
    N::resume(&[], response, settings).expect("the notifier goes on")
}

/// How a delivery ends that gets these responses, one after the other, and what was sent.
///
/// # Panics
/// If a response is left over, or one too few was given: the conversation is not the expected one.
#[expect(clippy::panic, reason = "a test ends here")]
pub fn converse<N: Notifier>(
    notification: &Notification,
    settings: &N::Settings,
    responses: &[Response],
) -> (Vec<Request>, Result<Next, String>) {
    let mut requests = Vec::new();
    let mut responses = responses.iter();
    let mut next = N::start(notification, settings);
    while let Ok(Next::Send(send)) = next {
        requests.push(send.request);
        let Some(response) = responses.next() else {
            let sent: Vec<String> = requests.iter().map(shown).collect();
            panic!("there is no response for the last of:\n{}", sent.join("\n"))
        };
        next = N::resume(&send.state, response, settings);
    }
    assert_eq!(responses.len(), 0, "responses are left over, and it ended with {next:?}");
    (requests, next)
}

/// The same as people read it: each request, each response, and the end.
pub fn play<N: Notifier>(
    notification: &Notification,
    settings: &N::Settings,
    responses: &[Response],
) -> String {
    let (requests, end) = converse::<N>(notification, settings, responses);
    let mut text = String::new();
    for (request, response) in requests.iter().zip(responses) {
        text.push_str(&shown(request));
        let _ = match response {
            Response::Http(response) => {
                let body = String::from_utf8_lossy(&response.body);
                writeln!(text, "\n<- {} {body}\n", response.status)
            }
            Response::Command(response) => writeln!(text, "\n<- {:?}\n", response.exit),
            Response::Mail(response) => {
                writeln!(text, "\n<- {} {}\n", response.code, response.text)
            }
        };
    }
    let _ = match end {
        Ok(Next::Delivered(memory)) => {
            writeln!(text, "delivered, memory: {:?}", String::from_utf8_lossy(&memory))
        }
        other => writeln!(text, "{other:?}"),
    };
    text
}

/// The crate whose folder `tests/golden` holds the files: `env!("CARGO_MANIFEST_DIR")`.
#[derive(Debug, Clone, Copy)]
pub struct Golden(pub &'static str);

impl Golden {
    /// Compares a text with its file, or rewrites the file.
    ///
    /// # Panics
    /// If they differ, or the file cannot be written.
    #[expect(clippy::expect_used, reason = "a test ends here")]
    pub fn compare(self, name: &str, actual: &str) {
        let path = Path::new(self.0).join("tests/golden").join(name);
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::create_dir_all(path.with_file_name("")).expect("the folder is made");
            std::fs::write(&path, actual).expect("the file is written");
        }
        let wanted = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(wanted, actual, "{name}; UPDATE_GOLDEN=1 rewrites it");
    }
}
