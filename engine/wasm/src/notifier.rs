//! The world `notifier`: an alert goes in, what to send comes out.
//!
//! A notifier never opens a socket. What it returns is data, which the daemon carries out within
//! what the configuration grants; then it is called again with the response.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::component::{ComponentType, InstancePre, Lift, Lower};
use watchkeeper_core::alerting;
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::{self, Failure, Revision};
use watchkeeper_core::settings::{Setting, SettingValue};

use crate::call::{Call, clean};
use crate::guest::{Called, Export, Function, Guest, Shared, called};
use crate::limits::Limits;
use crate::load::{LoadError, Said, World, check_description};
use crate::policy::{check_state, invalid, refused, too_large};
use crate::wire;

/// What this world asks of a component.
pub(crate) const WORLD: World = World {
    name: "notifier",
    package: "watchkeeper:notifier",
    version: "0.2.0",
    interfaces: &["types", "log"],
    resources: &[],
    exports: &["describe", "start", "resume"],
};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Severity {
    /// Worth knowing.
    #[component(name = "info")]
    Info,
    /// Somebody should look at it today.
    #[component(name = "warning")]
    Warning,
    /// Somebody should look at it now.
    #[component(name = "critical")]
    Critical,
}

impl From<proposal::Severity> for Severity {
    fn from(severity: proposal::Severity) -> Self {
        match severity {
            proposal::Severity::Info => Self::Info,
            proposal::Severity::Warning => Self::Warning,
            proposal::Severity::Critical => Self::Critical,
        }
    }
}

/// Whether the trouble is there or over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum AlertStatus {
    /// It is there.
    #[component(name = "firing")]
    Firing,
    /// It is over.
    #[component(name = "resolved")]
    Resolved,
}

/// Something that is or was wrong.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Alert {
    /// The same each time for the same trouble: lower-case hexadecimal.
    pub fingerprint: String,
    /// Whether the trouble is there or over.
    pub status: AlertStatus,
    /// Whether the receiver was not told before that it is so.
    pub news: bool,
    /// What kind of trouble, in kebab case.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The cluster it is about; empty for the monitor itself.
    pub cluster: String,
    /// The server it is about; empty if none.
    pub server: String,
    /// The service it is about; empty if none.
    pub service: String,
    /// The site's code for it; empty if there is none.
    pub code: String,
    /// One line for people.
    pub summary: String,
    /// What Watchkeeper did or will do about it; may have several lines.
    pub details: String,
    /// Who raised it: a policy's name, or `engine`.
    pub source: String,
    /// Further labels, name and value.
    pub labels: Vec<(String, String)>,
    /// Since when: milliseconds since 1970-01-01T00:00:00Z.
    #[component(name = "starts-at")]
    pub starts_at: u64,
    /// Until when, if it is over: milliseconds since 1970-01-01T00:00:00Z.
    #[component(name = "ends-at")]
    pub ends_at: Option<u64>,
    /// Who takes care of it; empty if nobody has said so.
    #[component(name = "acknowledged-by")]
    pub acknowledged_by: String,
}

/// Why a group of alerts is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Cause {
    /// Nothing in it was known to fire.
    #[component(name = "first")]
    First,
    /// Something in it is new, worse or over.
    #[component(name = "news")]
    News,
    /// It has been so for a while.
    #[component(name = "repeat")]
    Repeat,
    /// Nothing in it fires any more.
    #[component(name = "over")]
    Over,
    /// Another receiver could not be told.
    #[component(name = "escalated")]
    Escalated,
}

impl From<alerting::Cause> for Cause {
    fn from(cause: alerting::Cause) -> Self {
        match cause {
            alerting::Cause::First => Self::First,
            alerting::Cause::News => Self::News,
            alerting::Cause::Repeat => Self::Repeat,
            alerting::Cause::Over => Self::Over,
            alerting::Cause::Escalated => Self::Escalated,
        }
    }
}

/// What is to be told: a group of alerts, or one alert by itself.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Notification {
    /// The same for every attempt to deliver this notification, and for no other.
    #[component(name = "idempotency-key")]
    pub idempotency_key: String,
    /// The same for every notification of this group to this receiver.
    #[component(name = "group-key")]
    pub group_key: String,
    /// The labels that its alerts have in common, name and value.
    #[component(name = "group-labels")]
    pub group_labels: Vec<(String, String)>,
    /// Why it is told.
    pub cause: Cause,
    /// Whether anything in it fires.
    pub status: AlertStatus,
    /// What about; what is news comes first.
    pub alerts: Vec<Alert>,
    /// How many further alerts fire in the group.
    pub more: u32,
    /// What was given with the notification before of this group.
    pub memory: Vec<u8>,
    /// When it was queued: milliseconds since 1970-01-01T00:00:00Z.
    #[component(name = "queued-at")]
    pub queued_at: u64,
    /// The monitor that tells it.
    pub monitor: String,
}

/// The HTTP methods a notifier may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
pub enum Method {
    /// GET
    #[component(name = "get")]
    Get,
    /// POST
    #[component(name = "post")]
    Post,
    /// PUT
    #[component(name = "put")]
    Put,
    /// PATCH
    #[component(name = "patch")]
    Patch,
    /// DELETE
    #[component(name = "delete")]
    Delete,
}

impl Method {
    /// The method as HTTP writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// An HTTP request. `{{secret "NAME"}}` in it still stands there.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole URL.
    pub url: String,
    /// Headers, name and value.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A command that the configuration defines, by its name there.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct CommandRequest {
    /// Its name in the configuration.
    pub name: String,
    /// Further arguments, appended to the configured ones.
    pub arguments: Vec<String>,
    /// What it gets on standard input.
    pub input: Vec<u8>,
}

/// Something to go with an e-mail.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Attachment {
    /// The file's name.
    pub name: String,
    /// Its MIME type.
    #[component(name = "content-type")]
    pub content_type: String,
    /// What it holds.
    pub content: Vec<u8>,
}

/// An e-mail, sent through the mail server that is granted.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct MailRequest {
    /// Who gets it.
    pub to: Vec<String>,
    /// The subject.
    pub subject: String,
    /// What it says, as plain text.
    pub text: String,
    /// The same in HTML.
    pub html: Option<String>,
    /// What goes with it.
    pub attachments: Vec<Attachment>,
    /// The same for all e-mails that belong together; empty for none.
    pub thread: String,
}

/// What the engine is to carry out.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Request {
    /// Over the network.
    #[component(name = "http")]
    Http(HttpRequest),
    /// On the monitor.
    #[component(name = "command")]
    Command(CommandRequest),
    /// By e-mail.
    #[component(name = "mail")]
    Mail(MailRequest),
}

/// An HTTP response.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct HttpResponse {
    /// The status code.
    pub status: u16,
    /// Headers, name in lower case and value.
    pub headers: Vec<(String, String)>,
    /// The body, cut at the configured limit.
    pub body: Vec<u8>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct CommandResponse {
    /// Its exit code; none if a signal ended it.
    pub exit: Option<i32>,
    /// What it printed, cut at the configured limit.
    pub output: Vec<u8>,
}

/// What the mail server said in the end.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct MailResponse {
    /// The reply's code (RFC 5321, 4.2).
    pub code: u16,
    /// Its text.
    pub text: String,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Response {
    /// Of an HTTP request.
    #[component(name = "http")]
    Http(HttpResponse),
    /// Of a command.
    #[component(name = "command")]
    Command(CommandResponse),
    /// Of an e-mail.
    #[component(name = "mail")]
    Mail(MailResponse),
}

/// A request, and what to remember until its response comes.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Send {
    /// What is to be carried out.
    pub request: Request,
    /// What `resume` gets back. Opaque to the engine; it may be kept over a restart.
    pub state: Vec<u8>,
}

/// Try again later.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(record)]
pub struct Retry {
    /// After how many milliseconds at the least; none leaves it to the engine.
    pub after: Option<u64>,
    /// Why, for people.
    pub reason: String,
}

/// What is next.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift, Lower)]
#[component(variant)]
pub enum Next {
    /// Carry this out and come back with the response.
    #[component(name = "send")]
    Send(Send),
    /// The receiver has it. What is given here comes back with the next notification of the group.
    #[component(name = "delivered")]
    Delivered(Vec<u8>),
    /// Not now. The engine backs off and begins again with `start`.
    #[component(name = "retry")]
    Retry(Retry),
    /// Never: it would be refused again. Says why, for people.
    #[component(name = "refused")]
    Refused(String),
}

/// What a notifier says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name, in kebab case.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What it does: one line.
    pub summary: String,
    /// The settings it understands.
    pub settings: Vec<Setting>,
}

#[derive(Debug)]
struct Describe;

impl Function for Describe {
    const NAME: &'static str = "describe";
    type Params<'a> = ();
    type Return = (wire::NotifierDescription,);
}

#[derive(Debug)]
struct Start;

impl Function for Start {
    const NAME: &'static str = "start";
    type Params<'a> = (&'a Notification, &'a [wire::SettingRef<'a>]);
    type Return = (Result<Next, String>,);
}

#[derive(Debug)]
struct Resume;

impl Function for Resume {
    const NAME: &'static str = "resume";
    type Params<'a> = (&'a [u8], &'a Response, &'a [wire::SettingRef<'a>]);
    type Return = (Result<Next, String>,);
}

/// A loaded notifier.
#[derive(Debug)]
pub struct Notifier {
    guest: Guest,
    start: Export<Start>,
    resume: Export<Resume>,
    revision: Revision,
    description: Description,
}

impl Notifier {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        pre: InstancePre<Call>,
        digest: String,
    ) -> Result<Self, LoadError> {
        let guest = Guest::new(Arc::clone(shared), pre);
        let limits = Arc::clone(guest.limits());
        let ((start, resume), (said,)) =
            guest.introduce::<Describe, _>(&WORLD, |pre, store, instance| {
                let start = Export::find(pre, store, instance)?;
                Ok((start, Export::find(pre, store, instance)?))
            })?;
        let said = check_description(
            Said {
                name: said.name,
                version: said.version,
                summary: said.summary,
                settings: said.settings.into_iter().map(Into::into).collect(),
            },
            &limits,
        )?;
        let revision = Revision { digest, version: said.version.clone() };
        let Said { name, version, summary, settings } = said;
        let description = Description { name, version, summary, settings };
        Ok(Self { guest, start, resume, revision, description })
    }

    /// Its digest and version.
    pub const fn revision(&self) -> &Revision {
        &self.revision
    }

    /// What it says of itself.
    pub const fn description(&self) -> &Description {
        &self.description
    }

    /// Begins a delivery. `now` is all the notifier sees of time. Blocks the thread
    /// as [`Policy::evaluate`](crate::Policy::evaluate) does.
    pub fn start(
        &self,
        notification: &Notification,
        settings: &[SettingValue],
        now: Timestamp,
    ) -> Called<Next> {
        let began = Instant::now();
        let limits = self.guest.limits();
        let settings = wire::borrow(settings);
        let call = Call::new(limits, now, now.0);
        let params = (notification, &*settings);
        let (outcome, call) = self.guest.call(&self.start, params, call, limits.call);
        called(began, (outcome.and_then(|(answer,)| check(answer, limits)), call))
    }

    /// Goes on after a response.
    pub fn resume(
        &self,
        state: &[u8],
        response: &Response,
        settings: &[SettingValue],
        now: Timestamp,
    ) -> Called<Next> {
        let began = Instant::now();
        let limits = self.guest.limits();
        let settings = wire::borrow(settings);
        let call = Call::new(limits, now, now.0);
        let params = (state, response, &*settings);
        let (outcome, call) = self.guest.call(&self.resume, params, call, limits.call);
        called(began, (outcome.and_then(|(answer,)| check(answer, limits)), call))
    }
}

/// Most bytes that a notifier may want to be given back with the next notification: an incident's number
/// fits, and each of many groups keeps its own.
const MAX_MEMORY: usize = 4 * 1024;

fn check_memory(memory: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if memory.len() > MAX_MEMORY {
        return Err(too_large(format!("it wants more than {MAX_MEMORY} bytes remembered")));
    }
    Ok(memory)
}

/// Checks the shape of what comes back. Whether a URL or a command is granted is for the daemon to
/// judge, which knows the configuration.
fn check(answer: Result<Next, String>, limits: &Limits) -> Result<Next, Failure> {
    match answer {
        Err(reason) => Err(refused(reason, limits)),
        Ok(Next::Send(Send { request, state })) => {
            check_request(&request, limits)?;
            Ok(Next::Send(Send { request, state: check_state(state, limits)? }))
        }
        Ok(Next::Delivered(memory)) => Ok(Next::Delivered(check_memory(memory)?)),
        Ok(Next::Retry(retry)) => {
            let reason = refused(retry.reason, limits).detail;
            Ok(Next::Retry(Retry { reason, ..retry }))
        }
        Ok(Next::Refused(reason)) => Ok(Next::Refused(refused(reason, limits).detail)),
    }
}

fn check_request(request: &Request, limits: &Limits) -> Result<(), Failure> {
    match request {
        Request::Http(request) => {
            if request.headers.len() > limits.items {
                return Err(too_large(format!("a request has more than {} headers", limits.items)));
            }
            if request.url.len() > limits.text_bytes {
                return Err(too_large(format!("a URL has more than {} bytes", limits.text_bytes)));
            }
            let texts = request.headers.iter().flat_map(|(name, value)| [name, value]);
            let broken = |text: &String| text.contains(['\r', '\n', '\0']);
            if texts.chain([&request.url]).any(broken) {
                return Err(invalid("a URL or header has a line break in it".to_owned()));
            }
        }
        Request::Mail(mail) => {
            if mail.to.is_empty() {
                return Err(invalid("an e-mail is for nobody".to_owned()));
            }
            if mail.to.len() > limits.items || mail.attachments.len() > limits.items {
                let limit = limits.items;
                let text = format!("an e-mail has more than {limit} recipients or attachments");
                return Err(too_large(text));
            }
            let names = mail.attachments.iter().flat_map(|it| [&it.name, &it.content_type]);
            let broken = |text: &String| text.contains(['\r', '\n', '\0']);
            if names.chain(&mail.to).chain([&mail.subject, &mail.thread]).any(broken) {
                return Err(invalid("an e-mail's header has a line break in it".to_owned()));
            }
        }
        Request::Command(command) => {
            if command.arguments.len() > limits.items {
                let limit = limits.items;
                return Err(too_large(format!("a command has more than {limit} arguments")));
            }
            if command.arguments.iter().any(|argument| argument.contains('\0')) {
                return Err(invalid("a command's argument has a zero byte in it".to_owned()));
            }
            if command.name != clean(command.name.clone()) {
                return Err(invalid("a command's name has control characters in it".to_owned()));
            }
        }
    }
    Ok(())
}
