//! A conversation as people read it: what is told, each request and its answer, and how it ends.

use std::fmt::Write as _;

use watchkeeper_wasm::notifier::{CommandRequest, HttpRequest, MailRequest, Request};

use super::json::laid_out;
use crate::config::conversation::{Answer, Told};
use crate::config::duration_text;
use crate::deliver::Verdict;

/// How far what belongs to a request or an answer stands below it.
const BELOW: &str = "     ";

/// What is told: a line for each alert.
pub(super) fn heading(told: &Told, out: &mut String) {
    let again = if told.again { ", again" } else { "" };
    let _ = write!(out, "{}{again}:", told.cause);
    for subject in &told.subjects {
        let (alert, claim) = (&subject.alert, &subject.alert.claim);
        let state = if alert.ends_at.is_some() { "over" } else { claim.severity.as_str() };
        let _ = write!(out, " {state} {}", claim.name);
        let cluster = subject.cluster.as_ref().map(ToString::to_string);
        let server = claim.server.as_ref().map(ToString::to_string);
        let service = claim.service.as_ref().map(ToString::to_string);
        let place: Vec<String> = [cluster, server, service].into_iter().flatten().collect();
        if !place.is_empty() {
            let _ = write!(out, " {}", place.join("/"));
        }
        out.push(',');
    }
    if told.more > 0 {
        let _ = write!(out, " and {} more,", told.more);
    }
    if out.ends_with(',') {
        out.pop();
    }
    out.push('\n');
}

/// What the plugin asks for. Secrets stand as the plugin writes them.
pub(super) fn request(request: &Request, out: &mut String) {
    match request {
        Request::Http(request) => http(request, out),
        Request::Command(request) => command(request, out),
        Request::Mail(request) => mail(request, out),
    }
}

fn http(request: &HttpRequest, out: &mut String) {
    let _ = writeln!(out, "  -> {} {}", request.method.as_str(), request.url);
    for (name, value) in &request.headers {
        let _ = writeln!(out, "{BELOW}{name}: {value}");
    }
    apart(&request.body, out);
}

fn command(request: &CommandRequest, out: &mut String) {
    let _ = writeln!(out, "  -> command {}", request.name);
    for argument in &request.arguments {
        let _ = writeln!(out, "{BELOW}argument: {argument}");
    }
    apart(&request.input, out);
}

fn mail(request: &MailRequest, out: &mut String) {
    let _ = writeln!(out, "  -> e-mail to {}", request.to.join(", "));
    let _ = writeln!(out, "{BELOW}subject: {}", request.subject);
    if !request.thread.is_empty() {
        let _ = writeln!(out, "{BELOW}thread: {}", request.thread);
    }
    apart(request.text.as_bytes(), out);
    if let Some(html) = &request.html {
        let _ = writeln!(out, "\n{BELOW}in HTML:");
        apart(html.as_bytes(), out);
    }
    for attachment in &request.attachments {
        let _ = writeln!(out, "\n{BELOW}{} ({}):", attachment.name, attachment.content_type);
        apart(&attachment.content, out);
    }
}

/// What is answered.
pub(super) fn answer(answer: &Answer, out: &mut String) {
    let text = match answer {
        Answer::Http { status, headers, body } => {
            let _ = writeln!(out, "  <- {status}");
            for (name, value) in headers {
                let _ = writeln!(out, "{BELOW}{name}: {value}");
            }
            body
        }
        Answer::Command { exit, output } => {
            let _ = match exit {
                Some(code) => writeln!(out, "  <- exit code {code}"),
                None => writeln!(out, "  <- ended by a signal"),
            };
            output
        }
        Answer::Mail { code, text } => {
            let _ = writeln!(out, "  <- {code} {text}");
            return;
        }
        Answer::Lost(reason) => {
            let _ = writeln!(out, "  <- no answer: {reason}");
            return;
        }
    };
    below(text.as_bytes(), out);
}

/// How it ends. `sent`: whether everything that was asked for was granted; `kept`: whether anybody remembers anything of it.
pub(super) fn end(verdict: &Verdict, sent: bool, kept: bool, out: &mut String) {
    let _ = match verdict {
        Verdict::Delivered { memory } if memory.is_empty() || !kept => writeln!(out, "  delivered"),
        Verdict::Delivered { memory } => {
            out.push_str("  delivered, and remembers:\n");
            below(memory, out);
            Ok(())
        }
        Verdict::Failed { after: None, reason } => writeln!(out, "  to be tried again: {reason}"),
        Verdict::Failed { after: Some(ms), reason } => {
            let after = duration_text(std::time::Duration::from_millis(*ms));
            writeln!(out, "  to be tried again, not before {after}: {reason}")
        }
        Verdict::Dead { reason } if sent => writeln!(out, "  refused for good: {reason}"),
        Verdict::Dead { reason } => writeln!(out, "  not sent, a dead letter: {reason}"),
    };
}

/// After an empty line, if there is anything.
fn apart(bytes: &[u8], out: &mut String) {
    if !bytes.is_empty() {
        out.push('\n');
        below(bytes, out);
    }
}

fn below(bytes: &[u8], out: &mut String) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let (count, digest) = (bytes.len(), watchkeeper_wasm::digest(bytes));
        let _ = writeln!(out, "{BELOW}({count} bytes that are no text, SHA-256 {digest})");
        return;
    };
    let text = laid_out(text).unwrap_or_else(|| text.to_owned());
    for line in text.lines() {
        // Nothing is to depend on what nobody sees: an editor may take it away.
        let _ = writeln!(out, "{}", format_args!("{BELOW}{line}").to_string().trim_end());
    }
}
