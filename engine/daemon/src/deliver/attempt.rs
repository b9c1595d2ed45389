//! One attempt at one delivery: the conversation with the notifier, and what it asks for.
//!
//! Invariants:
//! - Nothing is sent to a host or by a mail server and nothing is run that is not granted, whatever the notifier says.
//! - Neither the notifier nor a [`Verdict`] ever gets a secret of the receiver to see.
//! - An attempt ends within the receiver's timeout.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;
use watchkeeper_wasm::notifier::{
    CommandRequest, CommandResponse, HttpRequest, HttpResponse, MailRequest, MailResponse, Next,
    Notification, Request, Response,
};

use super::conversation::Notify;
use super::grants;
use super::receiver::Receiver;
use crate::errors::chain;
use crate::process;

/// Most requests in one attempt.
pub const MAX_REQUESTS: usize = 8;

/// Most bytes of a response's body, and of a command's output, that a notifier gets to see.
pub const MAX_BODY: usize = 64 * 1024;

/// Most characters of a reason that are kept.
const MAX_REASON: usize = 500;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered {
        /// What the plugin wants to be given back with the next notification of the group.
        memory: Vec<u8>,
    },
    /// Not this time.
    Failed {
        /// At the least so many milliseconds until the next attempt, if the receiver said so.
        after: Option<u64>,
        /// Why.
        reason: String,
    },
    /// Never.
    Dead {
        /// Why.
        reason: String,
    },
}

impl Verdict {
    pub(super) fn failed(reason: impl Into<String>) -> Self {
        Self::Failed { after: None, reason: reason.into() }
    }

    pub(super) fn dead(reason: impl Into<String>) -> Self {
        Self::Dead { reason: reason.into() }
    }
}

/// Carries out what a notifier asks for.
pub trait Carry {
    /// Carries out the `count`th request of the notification with the idempotency key `key`. What ends the attempt is an
    /// error: the request is not granted, or there is no response.
    fn carry(
        &self,
        request: Request,
        key: &str,
        count: usize,
    ) -> impl Future<Output = Result<Response, Verdict>> + Send;
}

/// A receiver, until the attempt has to be over.
struct Live<'a> {
    receiver: &'a Receiver,
    until: Instant,
}

impl Carry for Live<'_> {
    async fn carry(&self, request: Request, key: &str, count: usize) -> Result<Response, Verdict> {
        let receiver = self.receiver;
        Ok(match request {
            Request::Http(request) => Response::Http(http(receiver, request).await?),
            Request::Command(request) => Response::Command(command(receiver, request).await?),
            Request::Mail(request) => {
                Response::Mail(mail(receiver, request, key, count, self.until).await?)
            }
        })
    }
}

/// Tries once to deliver `notification` to `receiver`.
pub(super) async fn attempt(receiver: &Arc<Receiver>, notification: Notification) -> Verdict {
    let limit = receiver.config.timeout;
    let live = Live { receiver, until: Instant::now() + limit };
    let conversation = converse(&receiver.config.notifier, &live, notification);
    let verdict = tokio::time::timeout(limit, conversation)
        .await
        .unwrap_or_else(|_| Verdict::failed(format!("not done within {limit:?}")));
    let clean = |reason: String| {
        let reason = receiver.config.secrets.scrub_text(&reason);
        reason.chars().take(MAX_REASON).collect()
    };
    match verdict {
        delivered @ Verdict::Delivered { .. } => delivered,
        Verdict::Failed { after, reason } => Verdict::Failed { after, reason: clean(reason) },
        Verdict::Dead { reason } => Verdict::Dead { reason: clean(reason) },
    }
}

/// The conversation with a notifier about one notification, to its end.
pub async fn converse(
    notifier: &Arc<dyn Notify>,
    carrier: &impl Carry,
    notification: Notification,
) -> Verdict {
    exchange(notifier, carrier, notification).await.unwrap_or_else(|ended| ended)
}

async fn exchange(
    notifier: &Arc<dyn Notify>,
    carrier: &impl Carry,
    notification: Notification,
) -> Result<Verdict, Verdict> {
    let guest = Arc::clone(notifier);
    let key = notification.idempotency_key.clone();
    let mut next = call(move || guest.start(&notification)).await?;
    for count in 1..=MAX_REQUESTS {
        let (request, state) = match next {
            Next::Send(send) => (send.request, send.state),
            ended => return Ok(verdict(ended)),
        };
        let response = carrier.carry(request, &key, count).await?;
        let guest = Arc::clone(notifier);
        next = call(move || guest.resume(&state, &response)).await?;
    }
    Ok(verdict(next))
}

fn verdict(ended: Next) -> Verdict {
    match ended {
        Next::Delivered(memory) => Verdict::Delivered { memory },
        Next::Retry(retry) => Verdict::Failed { after: retry.after, reason: retry.reason },
        Next::Refused(reason) => Verdict::Dead { reason },
        Next::Send(_) => {
            Verdict::failed(format!("the plugin asked for more than {MAX_REQUESTS} requests"))
        }
    }
}

async fn call(
    guest: impl FnOnce() -> Result<Next, String> + Send + 'static,
) -> Result<Next, Verdict> {
    match tokio::task::spawn_blocking(guest).await {
        Ok(Ok(next)) => Ok(next),
        Ok(Err(reason)) => Err(Verdict::failed(format!("the plugin failed: {reason}"))),
        Err(_) => Err(Verdict::failed("the plugin's call was broken off")),
    }
}

async fn http(receiver: &Receiver, request: HttpRequest) -> Result<HttpResponse, Verdict> {
    let config = &receiver.config;
    let granted = grants::http(&config.hosts, &config.methods, &config.secrets, request)?;
    let builder = receiver.http.request(granted.method, granted.url);
    let prepared = builder
        .headers(granted.headers)
        .body(granted.body)
        .build()
        .map_err(|_| Verdict::dead("the plugin's request is not valid"))?;
    let failed = |error: reqwest::Error| Verdict::failed(chain(&error.without_url()));
    let mut response = receiver.http.execute(prepared).await.map_err(failed)?;
    let secrets = &config.secrets;
    let headers = response
        .headers()
        .iter()
        .map(|(name, value)| {
            let value = secrets.scrub(value.as_bytes());
            (name.as_str().to_owned(), String::from_utf8_lossy(&value).into_owned())
        })
        .collect();
    let status = response.status().as_u16();
    // A secret that lies across the limit has to be seen whole to be taken out.
    let enough = MAX_BODY + secrets.longest();
    let mut body = Vec::new();
    while body.len() < enough {
        match response.chunk().await.map_err(failed)? {
            Some(chunk) => body.extend_from_slice(&chunk),
            None => break,
        }
    }
    body.truncate(enough);
    let mut body = secrets.scrub(&body);
    body.truncate(MAX_BODY);
    Ok(HttpResponse { status, headers, body })
}

async fn command(receiver: &Receiver, request: CommandRequest) -> Result<CommandResponse, Verdict> {
    let Some(grant) = receiver.config.commands.get(&request.name) else {
        return Err(grants::no_command(&request.name));
    };
    let secrets = &receiver.config.secrets;
    let enough = MAX_BODY + secrets.longest();
    let arguments = [&*grant.arguments, &*request.arguments].concat();
    // The attempt's deadline drops this future, and the process group with it.
    let ended = process::run(grant.program.as_os_str(), &arguments, &request.input, enough)
        .await
        .map_err(|error| Verdict::failed(chain(&error)))?;
    let mut output = secrets.scrub(&[ended.stdout, ended.stderr].concat());
    output.truncate(MAX_BODY);
    Ok(CommandResponse { exit: ended.status.code(), output })
}

async fn mail(
    receiver: &Receiver,
    request: MailRequest,
    key: &str,
    count: usize,
    until: Instant,
) -> Result<MailResponse, Verdict> {
    let Some(mailer) = &receiver.mail else {
        return Err(grants::no_mail());
    };
    let reply = mailer.send(request, key, count, until).await.map_err(|error| {
        let reason = mailer.scrub(&chain(&error));
        if error.is_final() { Verdict::dead(reason) } else { Verdict::failed(reason) }
    })?;
    let text = receiver.config.secrets.scrub_text(&reply.text);
    Ok(MailResponse { text: text.chars().take(MAX_BODY).collect(), ..reply })
}

/// The attempts that are under way, by receiver.
pub(super) type UnderWay = BTreeMap<u64, watchkeeper_core::model::ReceiverName>;
