//! `watchkeeper alerts preview`: what a receiver's plugin would send, without sending it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use watchkeeper_core::alerting::Subject;
use watchkeeper_wasm::Host;
use watchkeeper_wasm::notifier::{Attachment, Next, Request};

use super::{Preview, sample};
use crate::cli::{self, exit::Exit};
use crate::deliver::{self, Receivers};
use crate::errors::chain;
use crate::wiring::Shelf;
use crate::{clock, config};

/// `alerts preview`
pub(in crate::cli) fn preview(arguments: &Preview, path: &Path, json: bool) -> Exit {
    let config = match config::load_as(path, config::Mode::Check) {
        Ok(config) => config,
        Err(problems) => {
            cli::complain(&problems);
            return Exit::Failed;
        }
    };
    let sent = sample(&arguments.labels).and_then(|(cluster, mut alert)| {
        alert.starts_at = clock::now();
        alert.ends_at = arguments.over.then(|| alert.starts_at.plus(60_000));
        "this stands for what is wrong".clone_into(&mut alert.claim.summary);
        render(&config, &arguments.receiver, Subject { cluster, alert, news: true })
    });
    match sent {
        Ok(next) if json => {
            cli::print_json(&as_json(&next));
            Exit::Ok
        }
        Ok(next) => {
            cli::print(&in_words(&next));
            Exit::Ok
        }
        Err(problem) => {
            cli::print_error(&format!("watchkeeper: {problem}\n"));
            Exit::Failed
        }
    }
}

/// What the receiver's plugin wants to send first.
fn render(config: &config::Config, receiver: &str, subject: Subject) -> Result<Next, String> {
    let host = crate::wiring::host_config(&config.guests, None);
    let host = Host::new(host).map_err(|error| chain(&error))?;
    let mut shelf = Shelf::new(Arc::new(host), None);
    let mut rejected = BTreeMap::new();
    let (ready, _) =
        crate::wiring::receivers(&mut shelf, config, &Receivers::default(), &mut rejected);
    let known = ready.iter().find(|it| it.name.as_str() == receiver).ok_or_else(|| {
        let known: Vec<&str> = ready.iter().map(|it| it.name.as_str()).collect();
        let problems: Vec<String> = rejected.into_values().collect();
        let there = if known.is_empty() { "none" } else { &known.join(", ") };
        match problems.as_slice() {
            [] => format!("there is no receiver {receiver:?}; there is {there}"),
            problems => problems.join("; "),
        }
    })?;
    known.notifier.start(&deliver::sample(&known.name, subject, &config.monitor.name))
}

/// What would be sent, for people.
fn in_words(next: &Next) -> String {
    let request = match next {
        Next::Send(send) => &send.request,
        Next::Delivered(_) => {
            return "nothing is sent: the plugin has nothing to say of it\n".to_owned();
        }
        Next::Retry(retry) => return format!("nothing is sent now: {}\n", retry.reason),
        Next::Refused(reason) => return format!("nothing is ever sent: {reason}\n"),
    };
    let mut out = String::new();
    match request {
        Request::Http(request) => {
            let _ = writeln!(out, "{} {}", request.method.as_str(), request.url);
            for (name, value) in &request.headers {
                let _ = writeln!(out, "{name}: {value}");
            }
            let _ = writeln!(out, "\n{}", readable(&request.body));
        }
        Request::Command(command) => {
            let _ = writeln!(out, "command {} {:?}", command.name, command.arguments);
            let _ = writeln!(out, "\n{}", String::from_utf8_lossy(&command.input));
        }
        Request::Mail(mail) => {
            let _ = writeln!(out, "to: {}\nsubject: {}", mail.to.join(", "), mail.subject);
            let _ = writeln!(out, "\n{}", mail.text);
        }
    }
    out
}

/// The same for machines: what is next, with all of a request. A body that is JSON is given as such.
fn as_json(next: &Next) -> Value {
    let request = match next {
        Next::Send(send) => &send.request,
        Next::Delivered(_) => return json!({ "next": "delivered" }),
        Next::Retry(retry) => {
            return json!({ "next": "retry", "after_ms": retry.after, "reason": retry.reason });
        }
        Next::Refused(reason) => return json!({ "next": "refused", "reason": reason }),
    };
    let request = match request {
        Request::Http(request) => json!({ "http": {
            "method": request.method.as_str(),
            "url": request.url,
            "headers": request.headers,
            "body": parsed(&request.body),
        }}),
        Request::Command(command) => json!({ "command": {
            "name": command.name,
            "arguments": command.arguments,
            "input": String::from_utf8_lossy(&command.input),
        }}),
        Request::Mail(mail) => {
            let attached = |it: &Attachment| json!({ "name": it.name, "bytes": it.content.len() });
            json!({ "mail": {
                "to": mail.to,
                "subject": mail.subject,
                "text": mail.text,
                "html": mail.html,
                "attachments": mail.attachments.iter().map(attached).collect::<Vec<_>>(),
                "thread": mail.thread,
            }})
        }
    };
    json!({ "next": "send", "request": request })
}

fn parsed(body: &[u8]) -> Value {
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}

/// JSON is laid out; everything else stays as it is.
fn readable(body: &[u8]) -> String {
    match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => serde_json::to_string_pretty(&value).unwrap_or_default(),
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    }
}
