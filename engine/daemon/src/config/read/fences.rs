//! Fence agents, and which of them switch a server off.

use std::collections::BTreeMap;
use std::path::PathBuf;

use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::model::Role;

use super::super::probe::{ProbeConfig, ProbeKindConfig};
use super::super::reader::{At, Reader, millis};
use super::super::source::Note;
use super::Common;
use super::clusters::Made;
use crate::fence::{Agent, Level};

/// Where distributions put the agents.
const FOLDER: &str = "/usr/sbin";

/// Every fence agent by its name; none for one that has mistakes.
pub(in crate::config) fn agents(
    reader: &Reader<'_>,
    common: &Common<'_>,
) -> BTreeMap<String, Option<Agent>> {
    let tables = reader.named("fences");
    let mut agents: BTreeMap<_, _> =
        reader.names("fences").into_iter().map(|name| (name, None)).collect();
    agents.extend(tables.into_iter().map(|(name, inner)| {
        let agent = agent(&name, &inner, common);
        (name.value, agent)
    }));
    agents
}

fn agent(name: &At<String>, reader: &Reader<'_>, common: &Common<'_>) -> Option<Agent> {
    let named = name.value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
    if !named {
        let message = format!("{:?} is not a name: letters, digits, `-` and `_`", name.value);
        reader.sources.error(name.place, message);
    }
    let program = reader.text("agent").and_then(|text| program(reader, &text));
    let options = options(reader);
    let secrets = secrets(reader, common);
    let timeout = reader.duration("timeout").unwrap_or_default();
    let check_interval = reader.duration("check-interval").unwrap_or_default();
    reader.finish();
    Some(Agent {
        name: name.value.clone(),
        program: program?,
        options,
        secrets,
        timeout,
        check_interval,
    })
}

/// The agent's program, which has to be there.
fn program(reader: &Reader<'_>, text: &At<String>) -> Option<PathBuf> {
    let path = match text.value.strip_prefix('/') {
        Some(_) => PathBuf::from(&text.value),
        None if text.value.contains('/') => {
            let message = "a fence agent is named by its name or its whole path";
            reader.sources.error(text.place, message);
            return None;
        }
        None => PathBuf::from(FOLDER).join(&text.value),
    };
    if !path.is_file() {
        let note = Note::error(format!("there is no fence agent {}", path.display()))
            .help("Debian has them in the package fence-agents, Red Hat in fence-agents-all");
        reader.sources.note(text.place, note);
    }
    Some(path)
}

fn options(reader: &Reader<'_>) -> Vec<(String, String)> {
    let mut options = Vec::new();
    for (key, value) in reader.entries("options") {
        let secret = ["passw", "passphrase", "secret", "token"];
        let wrong = if secret.iter().any(|word| key.value.contains(word)) {
            format!("what `{}` holds belongs into [secrets]", key.value)
        } else if matches!(key.value.as_str(), "action" | "o") {
            "what an agent does is for Watchkeeper to say".to_owned()
        } else if !is_key(&key.value) {
            format!("{:?} is no option of a fence agent", key.value)
        } else if value.value.contains(['\n', '\r', '\0']) {
            format!("`{}` has to be on one line", key.value)
        } else {
            options.push((key.value, value.value));
            continue;
        };
        let help = if wrong.contains("[secrets]") {
            format!("name the secret in `{}.secrets`: {{ {} = \"NAME\" }}", reader.path, key.value)
        } else {
            "`AGENT -o metadata` lists the options".to_owned()
        };
        let note = Note { hide_from: Some(value.place.start), ..Note::error(wrong).help(&help) };
        reader.sources.note(key.place, note);
    }
    options
}

fn secrets(reader: &Reader<'_>, common: &Common<'_>) -> Vec<(String, crate::secret::Secret)> {
    let mut secrets = Vec::new();
    for (key, name) in reader.entries("secrets") {
        if !is_key(&key.value) {
            let message = format!("{:?} is no option of a fence agent", key.value);
            let note = Note { hide_from: Some(name.place.start), ..Note::error(message) };
            reader.sources.note(key.place, note);
            continue;
        }
        let Some(secret) = common.secrets.get(&name.value) else {
            // What stands there may be the password itself.
            let message =
                format!("`{}.secrets.{}` names no secret of [secrets]", reader.path, key.value);
            let known = common.secrets.keys().map(String::as_str);
            reader.unknown(name.place, message, &name.value, known, Some(name.place.start));
            continue;
        };
        let text = secret.expose();
        if text.contains(['\n', '\r', '\0']) || text.trim() != text {
            let message = format!(
                "the secret {} has line breaks, or spaces around it: fence agents cannot be given that",
                name.value
            );
            reader.sources.error(name.place, message);
        }
        secrets.push((key.value, secret.clone()));
    }
    secrets
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// The levels of a server, in order: `"ipmi-dm1"`, or `"pdu-a + pdu-b"` for outlets that count together.
pub(super) fn levels(
    reader: &Reader<'_>,
    role: Role,
    agents: &BTreeMap<String, Option<Agent>>,
) -> Vec<Level> {
    let given = reader.texts("fence").unwrap_or_default();
    if let Some(first) = given.first()
        && role == Role::Additional
    {
        let message = "only the primary and the secondary are fenced";
        reader.sources.error(first.place, message);
    }
    let mut levels = Vec::new();
    for level in given {
        let mut together = Vec::new();
        for name in level.value.split('+').map(str::trim) {
            match agents.get(name) {
                Some(agent) => together.extend(agent.clone()),
                None => {
                    let message = format!("there is no fence agent {name:?} in [fences]");
                    let known = agents.keys().map(String::as_str);
                    reader.unknown(level.place, message, name, known, None);
                }
            }
        }
        // One of mistakes alone, too: that there is none would be a second mistake.
        levels.push(Level(together));
    }
    levels
}

/// A probe for each agent of a server: one that does not answer is to be known before it is needed.
pub(super) fn probes(made: &Made) -> Vec<ProbeConfig> {
    let agents = made.config.fences.iter().flat_map(|level| &level.0);
    let probe = |agent: &Agent| ProbeConfig {
        id: ProbeId::fence(&made.server.name, &agent.name),
        kind: ProbeKindConfig::Fence(agent.clone()),
        interval: agent.check_interval,
        // It has no say in anything that is confirmed.
        confirm_interval: agent.check_interval,
        timeout: agent.timeout,
    };
    agents.map(probe).collect()
}

/// What the fence agents of a cluster's sides come to.
pub(super) enum Fencing {
    /// No side has any.
    None,
    /// This side has none, and the other one has.
    Missing(String),
    /// Both have; all levels of a side take this long at the most, in milliseconds.
    Both(u64),
}

pub(super) fn fencing(servers: &[Made]) -> Fencing {
    let sides = servers.iter().filter(|made| made.server.role != Role::Additional);
    let (with, without): (Vec<_>, Vec<_>) = sides.partition(|made| !made.config.fences.is_empty());
    match (with.as_slice(), without.first()) {
        ([], _) => Fencing::None,
        (_, Some(made)) => Fencing::Missing(made.server.name.to_string()),
        (with, None) => {
            let time = |made: &&Made| made.config.fences.iter().map(longest).sum();
            Fencing::Both(with.iter().map(time).max().unwrap_or(0))
        }
    }
}

/// A level's agents are called at the same time, each call within its timeout: whether it is off already, to
/// switch it off, and whether it is off then.
fn longest(level: &Level) -> u64 {
    let longest = level.0.iter().map(|agent| millis(agent.timeout)).max();
    longest.unwrap_or(0).saturating_mul(3)
}
