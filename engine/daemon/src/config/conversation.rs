//! A recorded conversation with a plugin, `conversation.toml`: what is told, and what the other side answers. Read as the
//! configuration is, so that a mistake is shown with its line, and with the key that was probably meant.

use std::collections::BTreeMap;
use std::path::Path;

use watchkeeper_core::alerting::{Acknowledgement, Alert, Cause, Fingerprint, Labels, Subject};
use watchkeeper_core::model::{ClusterName, NameError, ServerName, Service, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};

use super::checked::Settings;
use super::host::HostGrant;
use super::mail::RecipientGrant;
use super::problem::{Level, Problems};
use super::read::{general, mail};
use super::reader::Reader;
use super::source::{Note, Place, Sources, Table};

/// When the first notification's alerts begin: 2026-03-01T02:00:00Z.
const BEGIN: Timestamp = Timestamp(1_772_330_400_000);

/// An alert of which nothing is said.
static NOTHING: Table = Table { entries: Vec::new() };

/// The section of an alert's keys.
const ALERT: &str = "conversation.notification[].alert[]";

/// A conversation, checked.
#[derive(Debug)]
pub struct Conversation {
    /// What it shows.
    pub why: String,
    /// The hosts that are granted.
    pub hosts: Vec<HostGrant>,
    /// The methods that are granted.
    pub methods: Vec<reqwest::Method>,
    /// The commands that are granted.
    pub commands: Vec<String>,
    /// Whom the plugin may write e-mail to.
    pub recipients: Vec<RecipientGrant>,
    /// The secrets that are granted, with what stands in for each.
    pub secrets: BTreeMap<String, String>,
    /// The plugin's settings.
    pub settings: Settings,
    /// The labels that the alerts have in common.
    pub group: Labels,
    /// What is told.
    pub told: Vec<Told>,
}

/// A notification, and how it is answered.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whether it is the one before, tried again.
    pub again: bool,
    /// Why it is told.
    pub cause: Cause,
    /// What about.
    pub subjects: Vec<Subject>,
    /// How many further alerts fire.
    pub more: u32,
    /// What the plugin remembers, in the place of what was delivered before.
    pub memory: Option<String>,
    /// When its news is: what is new in it begins, what is over ends.
    pub at: Timestamp,
    /// What is answered to its requests, one after the other.
    pub answers: Vec<Answer>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of an HTTP server.
    Http {
        /// The status.
        status: u16,
        /// Headers, name in lower case and value.
        headers: Vec<(String, String)>,
        /// The body.
        body: String,
    },
    /// Of a command.
    Command {
        /// Its exit code; none if a signal ended it.
        exit: Option<i32>,
        /// What it printed.
        output: String,
    },
    /// Of a mail server.
    Mail {
        /// The reply's code.
        code: u16,
        /// Its text.
        text: String,
    },
    /// There is none.
    Lost(String),
}

/// Reads the file and checks everything; reports everything that is wrong.
pub fn read(path: &Path) -> Result<Conversation, Problems> {
    let mut sources = Sources { open: true, ..Sources::default() };
    let read = sources.read(path, None).map(|table| {
        let start = Place { file: 0, start: 0, end: 0 };
        conversation(&Reader::new(&sources, &table, "conversation", String::new(), start))
    });
    let mut list = sources.problems.into_inner();
    list.sort_by_key(|(place, _)| *place);
    let list: Vec<_> = list.into_iter().map(|(_, problem)| problem).collect();
    match read {
        Some(read) if list.iter().all(|it| it.level != Level::Error) => Ok(read),
        _ => Err(Problems::new(list, vec![path.to_owned()])),
    }
}

fn conversation(reader: &Reader<'_>) -> Conversation {
    let why = reader.text("why").map(|at| at.value).unwrap_or_default();
    let hosts = general::hosts(reader);
    let methods = general::methods(reader);
    let commands = reader.texts("commands").unwrap_or_default();
    let recipients = mail::recipients(reader);
    let secrets = reader.map("secrets").into_iter().collect();
    let settings = reader.settings("settings");
    let group = reader.has("group-labels").then(|| reader.map("group-labels"));
    if group.is_none() {
        reader.ignore("group-labels");
    }
    let mut told: Vec<Told> = Vec::new();
    for one in reader.tables("notification") {
        let next = notification(&one, told.last());
        told.extend(next);
        one.finish();
    }
    let named = reader.has("notification") || reader.misspelt("notification");
    if told.is_empty() && !named {
        let note = Note::error("nothing is told in this conversation").help(
            "each `[[notification]]` tells something: without keys, that rest on dm1 is down",
        );
        reader.sources.note(reader.place, note);
    }
    reader.finish();
    let group = group.map_or_else(|| cluster_of(&told), |labels| labels.into_iter().collect());
    let commands = commands.into_iter().map(|at| at.value).collect();
    Conversation { why, hosts, methods, commands, recipients, secrets, settings, group, told }
}

/// As `group-by = ["cluster"]` makes it.
fn cluster_of(told: &[Told]) -> Labels {
    let first = told.iter().flat_map(|it| &it.subjects).next();
    let cluster = first.and_then(|subject| subject.cluster.as_ref());
    cluster.map(|name| ("cluster".to_owned(), name.to_string())).into_iter().collect()
}

fn notification(reader: &Reader<'_>, before: Option<&Told>) -> Option<Told> {
    let answers = reader.tables("answer").iter().filter_map(answer).collect();
    if reader.flag("again") == Some(true) {
        return again(reader, before, answers);
    }
    let cause = reader.choice("cause").and_then(|word| cause(&word.value));
    let after = reader.ms("after");
    let at = before.map_or(BEGIN, |before| Timestamp(before.at.0.saturating_add(after)));
    let all_over = reader.flag("over") == Some(true);
    let news = cause != Some(Cause::Repeat);
    let mut subjects: Vec<Subject> = match (reader.has("alert"), before) {
        (true, _) => reader.tables("alert").into_iter().map(|it| alert(&it, at, news)).collect(),
        (false, Some(before)) => {
            inherited(before, at).into_iter().map(|subject| Subject { news, ..subject }).collect()
        }
        (false, None) => {
            let nothing =
                Reader::new(reader.sources, &NOTHING, ALERT, "alert".to_owned(), reader.place);
            vec![alert(&nothing, at, news)]
        }
    };
    for subject in &mut subjects {
        if all_over {
            subject.alert.ends_at.get_or_insert(at);
        }
        let known = |it: &&Subject| {
            it.alert.fingerprint == subject.alert.fingerprint && it.alert.ends_at.is_none()
        };
        if let Some(known) = before.and_then(|before| before.subjects.iter().find(known)) {
            subject.alert.starts_at = known.alert.starts_at;
        }
    }
    if subjects.is_empty() && reader.has("alert") {
        reader.sources.error(reader.place_of("alert"), "a notification is about one alert or more");
    }
    let firing = subjects.iter().any(|subject| subject.alert.ends_at.is_none());
    let cause = cause.unwrap_or(match before {
        _ if !firing => Cause::Over,
        Some(before) if before.cause != Cause::Over => Cause::News,
        _ => Cause::First,
    });
    Some(Told {
        again: false,
        cause,
        subjects,
        more: reader.integer("more").and_then(|more| u32::try_from(more).ok()).unwrap_or(0),
        memory: reader.long_text("memory"),
        at,
        answers,
    })
}

/// What still fires of the notification before; if nothing does, what was in it begins again.
fn inherited(before: &Told, at: Timestamp) -> Vec<Subject> {
    let still = before.subjects.iter().filter(|subject| subject.alert.ends_at.is_none());
    let still: Vec<Subject> = still.cloned().collect();
    if !still.is_empty() {
        return still;
    }
    let again = |subject: &Subject| {
        let alert = Alert { starts_at: at, ends_at: None, ..subject.alert.clone() };
        Subject { alert, ..subject.clone() }
    };
    before.subjects.iter().map(again).collect()
}

/// The same notification in another attempt.
fn again(reader: &Reader<'_>, before: Option<&Told>, answers: Vec<Answer>) -> Option<Told> {
    for key in ["over", "alert", "cause", "more", "memory", "after"] {
        if reader.has(key) {
            let message =
                format!("`{key}` cannot stand beside `again`: it is the same notification");
            reader.sources.error(reader.place_of(key), message);
        }
        reader.ignore(key);
    }
    if before.is_none() {
        let message = "there is no notification before this one that could be tried again";
        reader.sources.error(reader.place_of("again"), message);
    }
    Some(Told { again: true, answers, ..before?.clone() })
}

fn cause(word: &str) -> Option<Cause> {
    let all = [Cause::First, Cause::News, Cause::Repeat, Cause::Over, Cause::Escalated];
    let words = ["first", "news", "repeat", "over", "escalated"];
    words.iter().zip(all).find(|(known, _)| **known == word).map(|(_, cause)| cause)
}

fn alert(reader: &Reader<'_>, at: Timestamp, news: bool) -> Subject {
    let text = |key: &str| reader.long_text(key).unwrap_or_default();
    let cluster = named(reader, "cluster", ClusterName::new);
    let server = named(reader, "server", ServerName::new);
    let service = service(reader);
    let severity = match reader.choice("severity").as_ref().map(|at| at.value.as_str()) {
        Some("info") => Severity::Info,
        Some("warning") => Severity::Warning,
        _ => Severity::Critical,
    };
    let labels: Labels = reader.map("labels").into_iter().collect();
    let summary = reader
        .text("summary")
        .map_or_else(|| summary(&text("name"), server.as_ref(), service), |summary| summary.value);
    let claim = AlertClaim {
        name: text("name"),
        severity,
        server,
        service,
        code: text("code"),
        summary,
        labels,
    };
    let source = text("source");
    let over = reader.flag("over") == Some(true);
    let news = reader.flag("news").unwrap_or(news);
    let by = reader.text("acknowledged-by");
    let acknowledged = by.map(|by| Acknowledgement { by: by.value, comment: String::new(), at });
    let alert = Alert {
        fingerprint: Fingerprint::of(cluster.as_ref(), &source, &claim),
        source,
        claim,
        details: text("details"),
        starts_at: at,
        ends_at: over.then_some(at),
        acknowledged,
    };
    reader.finish();
    Subject { cluster, alert, news }
}

fn summary(name: &str, server: Option<&ServerName>, service: Option<Service>) -> String {
    let words = name.replace('-', " ");
    match (server, service) {
        (Some(server), Some(service)) if name == "service-down" => {
            format!("{service} on {server} is down")
        }
        (Some(server), Some(service)) => format!("{words}: {service} on {server}"),
        (Some(server), None) => format!("{words}: {server}"),
        _ => words,
    }
}

fn named<T>(
    reader: &Reader<'_>,
    key: &str,
    make: impl Fn(&str) -> Result<T, NameError>,
) -> Option<T> {
    let text = reader.long_text(key).filter(|text| !text.is_empty())?;
    match make(&text) {
        Ok(name) => Some(name),
        Err(error) => {
            let message = format!("`{}.{key}` is not a name: {error}", reader.path);
            reader.sources.error(reader.place_of(key), message);
            None
        }
    }
}

fn service(reader: &Reader<'_>) -> Option<Service> {
    let text = reader.long_text("service").filter(|text| !text.is_empty())?;
    let found = Service::from_name(&text);
    if found.is_none() {
        let message = format!("there is no service {text:?}");
        let known = Service::ALL.iter().map(|service| service.as_str());
        reader.unknown(reader.place_of("service"), message, &text, known, None);
    }
    found
}

fn answer(reader: &Reader<'_>) -> Option<Answer> {
    /// The key that says who answers, and what goes with it.
    const KINDS: [(&str, &[&str]); 5] = [
        ("status", &["headers", "body"]),
        ("exit", &["output"]),
        ("signal", &["output"]),
        ("code", &["text"]),
        ("lost", &[]),
    ];
    let mut given = KINDS.iter().filter(|(key, _)| reader.has(key));
    let Some((kind, others)) = given.next() else {
        if !KINDS.iter().any(|(key, _)| reader.misspelt(key)) {
            let note = Note::error("this is no answer").help(
                "an HTTP server's has `status`, a command's `exit`, a mail server's `code`; `lost` says that \
                 there is none",
            );
            reader.sources.note(reader.place, note);
        }
        reader.finish();
        return None;
    };
    for key in KINDS.iter().flat_map(|(key, others)| std::iter::once(key).chain(*others)) {
        if reader.has(key) && key != kind && !others.contains(key) {
            let message = format!("`{key}` cannot stand beside `{kind}`");
            reader.sources.error(reader.place_of(key), message);
            reader.ignore(key);
        }
    }
    let number = |key: &str| reader.integer(key).and_then(|number| u16::try_from(number).ok());
    let text = |key: &str| reader.long_text(key).unwrap_or_default();
    let answer = match *kind {
        "status" => number("status").map(|status| Answer::Http {
            status,
            headers: reader
                .map("headers")
                .into_iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value))
                .collect(),
            body: text("body").trim().to_owned(),
        }),
        "code" => number("code").map(|code| Answer::Mail { code, text: text("text") }),
        "lost" => reader.text("lost").map(|reason| Answer::Lost(reason.value)),
        "signal" => {
            if reader.flag("signal") == Some(false) {
                let message = "`signal` is true, or there is `exit`";
                reader.sources.error(reader.place_of("signal"), message);
            }
            Some(Answer::Command { exit: None, output: text("output") })
        }
        _ => number("exit")
            .map(|exit| Answer::Command { exit: Some(exit.into()), output: text("output") }),
    };
    reader.finish();
    answer
}

#[cfg(test)]
mod tests;
