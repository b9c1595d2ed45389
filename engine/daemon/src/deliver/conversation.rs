//! What a notifier and the engine say to each other: the shapes of `sdk/wit/notifier`, whose
//! comments explain each field.

use watchkeeper_core::alerting::Notification;
use watchkeeper_core::model::{ClusterName, MonitorName, ServerName, Service};
use watchkeeper_core::proposal::Severity;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The same for every notification about the same trouble.
    pub fingerprint: String,
    /// The same for every attempt at this notification, and for no other notification.
    pub idempotency_key: String,
    /// Whether the trouble is over.
    pub resolved: bool,
    /// What kind of trouble.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The cluster; empty for the monitor itself.
    pub cluster: String,
    /// The server; empty if none.
    pub server: String,
    /// The service; empty if none.
    pub service: String,
    /// The site's code for it; empty if none.
    pub code: String,
    /// One line for people.
    pub summary: String,
    /// How to learn more.
    pub details: String,
    /// Who raised it.
    pub source: String,
    /// Further labels.
    pub labels: Vec<(String, String)>,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub starts_at: u64,
    /// Milliseconds since 1970-01-01T00:00:00Z, if it is over.
    pub ends_at: Option<u64>,
    /// The monitor that tells it.
    pub monitor: String,
}

impl Told {
    /// What is told of `notification`. The key is made of the journal's identity and the
    /// notification's number, so that it stays the same over a restart.
    pub fn of(notification: &Notification, monitor: &MonitorName, journal: &str) -> Self {
        let alert = &notification.alert;
        let claim = &alert.claim;
        let cluster = notification.cluster.as_ref().map_or("", ClusterName::as_str).to_owned();
        let details = match cluster.as_str() {
            "" => "`watchkeeper status` says more.".to_owned(),
            name => format!("`watchkeeper explain --cluster {name}` says more."),
        };
        Self {
            fingerprint: alert.fingerprint.to_string(),
            idempotency_key: format!("{journal}-{}", notification.id),
            resolved: alert.ends_at.is_some(),
            name: claim.name.clone(),
            severity: claim.severity,
            cluster,
            server: claim.server.as_ref().map_or("", ServerName::as_str).to_owned(),
            service: claim.service.map_or("", Service::as_str).to_owned(),
            code: claim.code.clone(),
            summary: claim.summary.clone(),
            details,
            source: alert.source.clone(),
            labels: claim.labels.clone().into_iter().collect(),
            starts_at: alert.starts_at.0,
            ends_at: alert.ends_at.map(|at| at.0),
            monitor: monitor.as_str().to_owned(),
        }
    }
}

/// The HTTP methods a notifier may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of HTTP")]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

/// An HTTP request, with placeholders where secrets go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A command of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRequest {
    /// Its name there.
    pub name: String,
    /// Appended to the configured arguments.
    pub arguments: Vec<String>,
    /// Its standard input.
    pub input: Vec<u8>,
}

/// What the engine is to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Over the network.
    Http(HttpRequest),
    /// On the monitor.
    Command(CommandRequest),
}

/// What came back. No secret of the receiver is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// Of an HTTP request.
    Http {
        /// The status code.
        status: u16,
        /// Names in lower case, and values.
        headers: Vec<(String, String)>,
        /// At most [`super::MAX_BODY`] bytes.
        body: Vec<u8>,
    },
    /// Of a command.
    Command {
        /// Its exit code; none if a signal ended it.
        exit: Option<i32>,
        /// At most [`super::MAX_BODY`] bytes of its standard output, then of its errors.
        output: Vec<u8>,
    },
}

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Carry this out and come back.
    Send {
        /// What.
        request: Request,
        /// What `resume` gets back.
        state: Vec<u8>,
    },
    /// The receiver has it.
    Delivered,
    /// Not now.
    Retry {
        /// At the least so many milliseconds; none leaves it to the engine.
        after: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Never.
    Refused(String),
}

/// A notifier with its settings. Calls block; the engine makes them on a thread for that.
pub trait Notify: Send + Sync {
    /// The same for the same plugin with the same settings.
    fn identity(&self) -> String;
    /// Begins. An error is a failure of the plugin, and the delivery is tried again.
    fn start(&self, alert: &Told) -> Result<Next, String>;
    /// Goes on after a response.
    fn resume(&self, state: &[u8], response: &Response) -> Result<Next, String>;
}
