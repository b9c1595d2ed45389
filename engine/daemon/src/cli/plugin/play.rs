//! Plays one conversation: the plugin is told what happens, and what it asks for is answered as it was recorded. The
//! conversation is the engine's own, and so is what is granted; only the other side is written down.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::message::Mailbox;
use watchkeeper_core::alerting::{self, GroupKey};
use watchkeeper_core::model::{MonitorName, ReceiverName, Timestamp};
use watchkeeper_core::settings::{self, SettingValue};
use watchkeeper_wasm::notifier::{
    CommandResponse, HttpResponse, MailResponse, Next, Notification, Request, Response,
};
use watchkeeper_wasm::{Called, LogLine, Notifier};

use super::transcript;
use crate::config::conversation::{self, Answer, Conversation, Told};
use crate::config::mail::{MailGrant, MailServer, MailTls};
use crate::deliver::{Carry, Grants, MAX_BODY, Notify, Secrets, Verdict, converse, told};
use crate::secret::Secret;

/// The file of a conversation.
pub(super) const FILE: &str = "conversation.toml";

/// In the place of a journal's identity, of which idempotency keys are made.
const JOURNAL: &str = "5f1d0c9a2b3e4f60";

/// From a notification's news until it is queued, in milliseconds.
const QUEUED: u64 = 1_000;

/// What the conversations showed of the plugin.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The settings that were given.
    pub(super) settings: BTreeSet<String>,
    /// How long each call took.
    pub(super) took: Vec<Duration>,
    /// What the plugin logged in the conversation that is being played.
    pub(super) log: Vec<LogLine>,
    /// Whether it was told that something is over.
    pub(super) over: bool,
    /// Whether something was not delivered.
    pub(super) undelivered: bool,
}

/// The whole conversation, for people; or why it cannot be played.
pub(super) async fn play(
    folder: &Path,
    notifier: &Arc<Notifier>,
    seen: &mut Seen,
) -> Result<String, String> {
    let conversation = conversation::read(&folder.join(FILE)).map_err(|error| error.to_string())?;
    seen.settings.extend(conversation.settings.values.keys().cloned());
    let tried = Arc::new(Tried {
        notifier: Arc::clone(notifier),
        settings: settle(notifier, &conversation)?,
        heard: Mutex::default(),
    });
    let grants = grants(&conversation)?;
    let mut out = format!("# {}\n", conversation.why);
    let (mut memory, mut number) = (Vec::new(), 0);
    for (i, step) in conversation.told.iter().enumerate() {
        if !step.again {
            number += 1;
            if let Some(given) = &step.memory {
                memory = given.clone().into_bytes();
            }
        }
        let notification = notification(notifier, &conversation, step, number, &memory)?;
        tried.heard().now = Timestamp(notification.queued_at);
        out.push('\n');
        transcript::heading(step, &mut out);
        let script = Script::new(&grants, &step.answers);
        let as_notify: Arc<dyn Notify> = Arc::clone(&tried) as Arc<dyn Notify>;
        let over = step.cause == alerting::Cause::Over;
        let verdict = converse(&as_notify, &script, notification).await;
        let heard = std::mem::take(&mut *tried.heard());
        seen.took.extend(heard.took);
        seen.log.extend(heard.log);
        seen.over |= over;
        let Said { text, left, problem, sent } =
            script.said.into_inner().unwrap_or_else(PoisonError::into_inner);
        out.push_str(&text);
        if let Some(problem) = problem {
            return Err(format!("in notification {}, {problem}\n{out}", i + 1));
        }
        transcript::end(&verdict, sent, !over, &mut out);
        // Where the plugin failed or asked for too much, that is what is to be seen.
        if !left.is_empty() && sent && !heard.failed {
            let left = left.len();
            return Err(format!(
                "in notification {}, the last {left} of the answers are to no request\n{out}",
                i + 1
            ));
        }
        match verdict {
            Verdict::Delivered { memory: kept } if !over => memory = kept,
            Verdict::Delivered { .. } => memory.clear(),
            Verdict::Failed { .. } | Verdict::Dead { .. } => seen.undelivered = true,
        }
    }
    Ok(out)
}

fn settle(notifier: &Notifier, given: &Conversation) -> Result<Vec<SettingValue>, String> {
    settings::check(&notifier.description().settings, &given.settings.values).map_err(|problems| {
        let at = |name: &str| {
            given.settings.places.get(name).map_or_else(String::new, |at| format!("{at}: "))
        };
        let all: Vec<String> =
            problems.iter().map(|problem| format!("{}{problem}", at(problem.name()))).collect();
        all.join("\n")
    })
}

fn grants(conversation: &Conversation) -> Result<Grants, String> {
    let secrets = conversation.secrets.iter();
    let secrets = secrets.map(|(name, text)| (name.clone(), Secret::new(text.as_str()))).collect();
    let address = "watchkeeper@example.com".parse().map_err(|error| format!("{error}"))?;
    // Nobody is ever asked: it stands for the one that the configuration names.
    let server = MailServer {
        host: "mail.example.com".to_owned(),
        port: MailTls::StartTls.port(),
        tls: MailTls::StartTls,
        ca: None,
        login: None,
        from: Mailbox::new(None, address),
        hello: None,
    };
    let recipients = conversation.recipients.clone();
    Ok(Grants {
        hosts: conversation.hosts.clone(),
        methods: conversation.methods.clone(),
        commands: conversation.commands.clone(),
        secrets: Secrets(secrets),
        mail: (!recipients.is_empty()).then_some(MailGrant { server, recipients }),
    })
}

/// What the plugin gets to see: made as the daemon makes it.
fn notification(
    notifier: &Notifier,
    conversation: &Conversation,
    step: &Told,
    number: u64,
    memory: &[u8],
) -> Result<Notification, String> {
    let plain = |error: &dyn std::fmt::Display| error.to_string();
    let receiver =
        ReceiverName::new(&notifier.description().name).map_err(|error| plain(&error))?;
    let monitor = MonitorName::new("vp1").map_err(|error| plain(&error))?;
    let queued = step.at.plus(QUEUED);
    let notification = alerting::Notification {
        id: number,
        receiver,
        group: GroupKey { route: String::new(), labels: conversation.group.clone() },
        cause: step.cause,
        alerts: step.subjects.clone(),
        more: step.more,
        queued,
        tries: 0,
        due: queued,
        problem: None,
        dead: false,
        escalated: false,
    };
    Ok(told(&notification, memory, &monitor, JOURNAL))
}

/// The plugin with its settings, and what was heard of it.
struct Tried {
    notifier: Arc<Notifier>,
    settings: Vec<SettingValue>,
    heard: Mutex<Heard>,
}

struct Heard {
    now: Timestamp,
    took: Vec<Duration>,
    log: Vec<LogLine>,
    /// Whether a call failed.
    failed: bool,
}

impl Default for Heard {
    fn default() -> Self {
        Self { now: Timestamp(0), took: Vec::new(), log: Vec::new(), failed: false }
    }
}

impl Tried {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, called: Called<Next>) -> Result<Next, String> {
        let mut heard = self.heard();
        heard.took.push(called.took);
        heard.log.extend(called.log);
        heard.failed |= called.outcome.is_err();
        called.outcome.map_err(|failure| failure.to_string())
    }
}

impl Notify for Tried {
    fn identity(&self) -> String {
        self.notifier.revision().digest.clone()
    }

    fn start(&self, notification: &Notification) -> Result<Next, String> {
        let now = self.heard().now;
        self.hear(self.notifier.start(notification, &self.settings, now))
    }

    fn resume(&self, state: &[u8], response: &Response) -> Result<Next, String> {
        let now = self.heard().now;
        self.hear(self.notifier.resume(state, response, &self.settings, now))
    }
}

/// The other side.
struct Script<'a> {
    grants: &'a Grants,
    said: Mutex<Said>,
}

/// What was said so far.
struct Said {
    text: String,
    /// The answers that are left.
    left: VecDeque<Answer>,
    /// Why it cannot go on.
    problem: Option<String>,
    /// Whether everything was granted.
    sent: bool,
}

impl<'a> Script<'a> {
    fn new(grants: &'a Grants, answers: &[Answer]) -> Self {
        let left = answers.iter().cloned().collect();
        let said = Said { text: String::new(), left, problem: None, sent: true };
        Self { grants, said: Mutex::new(said) }
    }

    fn answer(&self, request: Request, key: &str, count: usize) -> Result<Response, Verdict> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        transcript::request(&request, &mut said.text);
        let asked = match &request {
            Request::Http(_) => "`status`",
            Request::Command(_) => "`exit`",
            Request::Mail(_) => "`code`",
        };
        self.grants.check(request, key, count).inspect_err(|_| said.sent = false)?;
        let Some(answer) = said.left.pop_front() else {
            return Err(said.stop(format!(
                "there is no answer to request {count}: give one in [[notification.answer]], with {asked} or `lost`"
            )));
        };
        transcript::answer(&answer, &mut said.text);
        match (response(&answer, &self.grants.secrets), asked) {
            (Ok(response @ Response::Http(_)), "`status`")
            | (Ok(response @ Response::Command(_)), "`exit`")
            | (Ok(response @ Response::Mail(_)), "`code`") => Ok(response),
            (Ok(_), _) => Err(said.stop(format!(
                "answer {count} is of another kind than the request: what answers this one has {asked}"
            ))),
            (Err(lost), _) => Err(lost),
        }
    }
}

impl Said {
    fn stop(&mut self, problem: String) -> Verdict {
        self.problem = Some(problem);
        Verdict::Failed { after: None, reason: String::new() }
    }
}

impl Carry for Script<'_> {
    async fn carry(&self, request: Request, key: &str, count: usize) -> Result<Response, Verdict> {
        self.answer(request, key, count)
    }
}

/// As the engine hands it on: without secrets, and cut.
fn response(answer: &Answer, secrets: &Secrets) -> Result<Response, Verdict> {
    let seen = |text: &str| {
        let mut bytes = secrets.scrub(text.as_bytes());
        bytes.truncate(MAX_BODY);
        bytes
    };
    Ok(match answer {
        Answer::Http { status, headers, body } => Response::Http(HttpResponse {
            status: *status,
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), secrets.scrub_text(value)))
                .collect(),
            body: seen(body),
        }),
        Answer::Command { exit, output } => {
            Response::Command(CommandResponse { exit: *exit, output: seen(output) })
        }
        Answer::Mail { code, text } => {
            Response::Mail(MailResponse { code: *code, text: secrets.scrub_text(text) })
        }
        Answer::Lost(reason) => {
            return Err(Verdict::Failed { after: None, reason: reason.clone() });
        }
    })
}
