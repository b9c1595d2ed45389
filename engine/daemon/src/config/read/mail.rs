//! Mail servers, and which of them a receiver may use for whom.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use lettre::message::Mailbox;

use super::super::reader::{At, Reader};
use super::super::source::Note;
use super::Common;
use crate::config::mail::{MailGrant, MailServer, MailTls, RecipientGrant};

/// Every mail server by its name; none for one that has mistakes.
pub(in crate::config) fn servers(
    reader: &Reader<'_>,
    common: &Common<'_>,
) -> BTreeMap<String, Option<MailServer>> {
    let tables = reader.named("mail");
    let mut servers: BTreeMap<_, _> =
        reader.names("mail").into_iter().map(|name| (name, None)).collect();
    servers.extend(tables.into_iter().map(|(name, inner)| (name.value, server(&inner, common))));
    servers
}

fn server(reader: &Reader<'_>, common: &Common<'_>) -> Option<MailServer> {
    let host = host(reader);
    let tls = match reader.choice("tls").as_ref().map(|at| at.value.as_str()) {
        Some("none") => MailTls::Off,
        Some("tls") => MailTls::Whole,
        _ => MailTls::StartTls,
    };
    let port = reader.port("port").unwrap_or(tls.port());
    let ca = reader.file("ca");
    let user = reader.text("user").map(|at| at.value);
    let password = common.secret(reader, "password");
    if reader.has("user") != reader.has("password") {
        let message = format!("`user` and `password` of [{}] belong together", reader.path);
        reader.sources.error(reader.place, message);
    }
    if tls == MailTls::Off && reader.has("ca") {
        reader.sources.error(reader.place_of("ca"), "`ca` needs TLS");
    }
    if tls == MailTls::Off && reader.has("user") {
        let note = Note::error("the password would go over the network for everybody to read")
            .help("with `user`, `tls` has to be \"starttls\" or \"tls\"");
        reader.sources.note(reader.place_of("tls"), note);
    }
    let from = from(reader);
    let hello = reader.text("hello").and_then(|text| {
        if text.value.contains(|c: char| c.is_whitespace() || c.is_control()) {
            let message = format!("`{}.hello` is a host's name", reader.path);
            reader.sources.error(text.place, message);
            return None;
        }
        Some(text.value)
    });
    reader.finish();
    Some(MailServer { host: host?, port, tls, ca, login: user.zip(password), from: from?, hello })
}

fn host(reader: &Reader<'_>) -> Option<String> {
    let text = reader.text("host")?;
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, ':' | '/' | '@');
    if text.value.contains(odd) && text.value.parse::<Ipv6Addr>().is_err() {
        // Not the text itself: it may hold a login.
        let message = format!(
            "`{}.host` is a host's name or address; the port and the login have keys of their own",
            reader.path
        );
        let note = Note { hide_from: Some(text.place.start), ..Note::error(message) };
        reader.sources.note(text.place, note);
        return None;
    }
    Some(text.value)
}

fn from(reader: &Reader<'_>) -> Option<Mailbox> {
    let text = reader.text("from")?;
    let parsed = text.value.parse().ok();
    if parsed.is_none() {
        let message = format!("`{}.from` is no address: {:?}", reader.path, text.value);
        let note = Note::error(message)
            .help("write \"watchkeeper@example.com\" or \"Watchkeeper <watchkeeper@example.com>\"");
        reader.sources.note(text.place, note);
    }
    parsed
}

/// What a receiver may do with which of `servers`.
pub(super) fn grant(
    reader: &Reader<'_>,
    servers: &BTreeMap<String, Option<MailServer>>,
) -> Option<MailGrant> {
    let named = reader.text("mail");
    let recipients = recipients(reader);
    match (reader.has("mail"), reader.has("recipients")) {
        (true, false) => {
            let note = Note::error(format!("`{}.mail` needs `recipients`", reader.path)).help(
                "whom it may write to: `recipients = [\"*@example.com\"]`, or single addresses",
            );
            reader.sources.note(reader.place_of("mail"), note);
        }
        (false, true) if !reader.misspelt("mail") => {
            let message = "`recipients` needs `mail`, the mail server's name";
            reader.sources.error(reader.place_of("recipients"), message);
        }
        _ => {}
    }
    let At { value: name, place } = named?;
    let Some(server) = servers.get(&name) else {
        let message = format!("there is no mail server {name:?}");
        reader.unknown(place, message, &name, servers.keys().map(String::as_str), None);
        return None;
    };
    Some(MailGrant { server: server.clone()?, recipients })
}

pub(in crate::config) fn recipients(reader: &Reader<'_>) -> Vec<RecipientGrant> {
    let mut granted = Vec::new();
    for text in reader.texts("recipients").unwrap_or_default() {
        match text.value.parse() {
            Ok(grant) => granted.push(grant),
            Err(error) => {
                let error: crate::config::mail::BadRecipient = error;
                reader.sources.error(text.place, error.to_string());
            }
        }
    }
    granted
}
