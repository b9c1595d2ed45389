//! Every key that the configuration knows. Defaults, bounds, suggestions and the tables of the
//! documentation all come from here, so they cannot disagree.
//!
//! The keys stand in `general` and `cluster`; this file has what a key is, and the sections. `conversation` has
//! those of another file, a recorded conversation with a plugin.
//! In a section's path `*` stands for a name and `[]` for each table of a list.

mod cluster;
mod conversation;
mod general;

use std::time::Duration;

use super::units::{duration_text, size_text};

/// What a key's value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A text.
    Text,
    /// A text that may hold what nobody should see, such as a command line.
    Hidden,
    /// The name of something else, or a text that is checked as a name.
    Name,
    /// The name of a secret.
    Secret,
    /// A file or folder, relative to the file it stands in.
    Path,
    /// true or false.
    Flag,
    /// A whole number within bounds.
    Integer(u64, u64),
    /// A duration; bounds in milliseconds.
    Duration(u64, u64),
    /// A size; bounds in bytes.
    Size(u64, u64),
    /// One of several words.
    Choice(&'static [&'static str]),
    /// A list of texts.
    Texts,
    /// A list of names of secrets.
    Secrets,
    /// A list of whole numbers within bounds.
    Integers(u64, u64),
    /// A program and its arguments.
    Argv,
    /// A table with a section of its own.
    Table,
    /// A list of tables with a section of its own.
    Tables,
    /// A guest's settings.
    Settings,
    /// A table of texts, whose keys are names.
    Map,
}

/// What happens without a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It has to be there.
    Required,
    /// This value, written as in the file without quotes.
    Default(&'static str),
    /// What the words say.
    Optional(&'static str),
}

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// As it is written.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// What happens without it.
    pub presence: Presence,
    /// What it does.
    pub doc: &'static str,
}

/// A table of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Section {
    /// Its path; empty for the file itself.
    pub path: &'static str,
    /// Its keys. Empty: the keys are names.
    pub keys: &'static [Key],
}

impl Section {
    /// The key of that name.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name)
    }
}

/// The section of that path.
pub fn section(path: &str) -> Option<&'static Section> {
    SECTIONS.iter().chain(conversation::SECTIONS).find(|section| section.path == path)
}

const fn req(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Required, doc }
}
const fn def(name: &'static str, kind: Kind, value: &'static str, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Default(value), doc }
}
const fn opt(name: &'static str, kind: Kind, without: &'static str, doc: &'static str) -> Key {
    Key { name, kind, presence: Presence::Optional(without), doc }
}

const DAY: u64 = 86_400_000;
const MIB: u64 = 1 << 20;
const PORT: Kind = Kind::Integer(1, 65_535);
const TIMEOUT: Kind = Kind::Duration(10, DAY);
const PAUSE: Kind = Kind::Duration(20, DAY);
const TLS: Kind = Kind::Choice(&["off", "require"]);
const OUTER: &str = "as in the section around it";

/// The kinds of probe.
pub const PROBE_KINDS: &[&str] =
    &["ssh", "tcp", "http", "rest", "postgres", "replication", "openwire", "jolokia", "command"];

/// Which kinds of probe have a key of their own; none: all of them.
pub fn kinds_of(key: &str) -> Option<&'static [&'static str]> {
    Some(match key {
        "port" => &["tcp", "http", "rest", "postgres", "replication", "openwire", "jolokia"],
        "path" => &["http", "rest", "jolokia"],
        "tls" | "ca" | "user" | "password" => {
            &["http", "rest", "postgres", "replication", "jolokia"]
        }
        "expect-status" | "expect-text" => &["http"],
        "database" => &["postgres", "replication"],
        "query" | "writable" => &["postgres"],
        "command" => &["ssh", "command"],
        "argv" | "on" => &["command"],
        _ => return None,
    })
}

pub use conversation::SECTIONS as CONVERSATION;

/// Every section.
pub const SECTIONS: &[Section] = &[
    Section { path: "", keys: general::ROOT },
    Section { path: "monitor", keys: general::MONITOR },
    Section { path: "duty", keys: general::DUTY },
    Section { path: "duty.peer", keys: general::PEER },
    Section { path: "duty.etcd", keys: general::ETCD },
    Section { path: "guests", keys: general::GUESTS },
    Section { path: "guests.limits", keys: general::LIMITS },
    Section { path: "secrets.*", keys: general::SECRET },
    Section { path: "commands.*", keys: general::COMMAND },
    Section { path: "fences.*", keys: general::FENCE },
    Section { path: "mail.*", keys: general::MAIL },
    Section { path: "receivers.*", keys: general::RECEIVER },
    Section { path: "route", keys: general::ROUTE },
    Section { path: "route.routes[]", keys: general::INNER_ROUTE },
    Section { path: "route.routes[].routes[]", keys: general::INNER_ROUTE },
    Section { path: "route.routes[].routes[].routes[]", keys: general::INNERMOST_ROUTE },
    Section { path: "heartbeat", keys: general::HEARTBEAT },
    Section { path: "inhibitions[]", keys: general::INHIBITION },
    Section { path: "ssh", keys: general::SSH },
    Section { path: "probes", keys: general::PROBES },
    Section { path: "clusters.*", keys: cluster::CLUSTER },
    Section { path: "clusters.*.ssh", keys: cluster::SSH_INNER },
    Section { path: "clusters.*.policies[]", keys: cluster::POLICY },
    Section { path: "clusters.*.guards", keys: cluster::GUARDS },
    Section { path: "clusters.*.plan", keys: cluster::PLAN },
    Section { path: "clusters.*.repository", keys: cluster::REPOSITORY },
    Section { path: "clusters.*.resources", keys: cluster::RESOURCES },
    Section { path: "clusters.*.readiness", keys: cluster::READINESS },
    Section { path: "clusters.*.site-steps[]", keys: cluster::SITE_STEP },
    Section { path: "clusters.*.services.*", keys: cluster::SERVICE },
    Section { path: "clusters.*.services.*.probes[]", keys: cluster::PROBE },
    Section { path: "clusters.*.servers.*", keys: cluster::SERVER },
    Section { path: "clusters.*.servers.*.ssh", keys: cluster::SSH_INNER },
    Section { path: "clusters.*.servers.*.service-commands.*", keys: cluster::COMMANDS },
];

/// What is expected, in words.
pub fn expected(kind: Kind) -> String {
    match kind {
        Kind::Text | Kind::Hidden | Kind::Name => "a text in quotes".to_owned(),
        Kind::Secret => "the name of a secret in quotes".to_owned(),
        Kind::Path => "a path in quotes".to_owned(),
        Kind::Flag => "true or false".to_owned(),
        Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
        Kind::Duration(min, max) => format!(
            "a duration from \"{}\" to \"{}\" (units ms, s, m, h, d)",
            duration_text(Duration::from_millis(min)),
            duration_text(Duration::from_millis(max))
        ),
        Kind::Size(min, max) => format!(
            "a size from \"{}\" to \"{}\" (units B, KiB, MiB, GiB, TiB)",
            size_text(min),
            size_text(max)
        ),
        Kind::Choice(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
            format!("one of {}", words.join(", "))
        }
        Kind::Texts => "a list of texts in quotes".to_owned(),
        Kind::Secrets => "a list of names of secrets in quotes".to_owned(),
        Kind::Integers(min, max) => format!("a list of whole numbers from {min} to {max}"),
        Kind::Argv => "a list: the program and its arguments, in quotes".to_owned(),
        Kind::Table | Kind::Settings | Kind::Map => "a table".to_owned(),
        Kind::Tables => "a list of tables, each begun with [[...]]".to_owned(),
    }
}
