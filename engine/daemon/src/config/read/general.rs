//! The monitor, guests, secrets, commands and receivers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchkeeper_core::alerting::Escalation;
use watchkeeper_core::model::{ClusterName, MonitorName, ReceiverName};
use watchkeeper_core::proposal::Severity;

use super::super::checked::{CommandConfig, GuestLimits, Guests, Monitor, Receiver, Settings};
use super::super::reader::{At, Reader, Secrets};
use super::super::source::{Note, read_bounded};
use super::{Common, guest_file, trust};
use crate::config::Mode;
use crate::config::host::{self, HostGrant};
use crate::config::mail::MailServer;
use crate::secret::Secret;
use crate::trust::Key;
use watchkeeper_core::settings::Given;

/// The largest secret, in bytes.
const MAX_SECRET: u64 = 64 << 10;

pub(in crate::config) fn monitor(reader: &Reader<'_>) -> Option<Monitor> {
    let name = reader.name("name", MonitorName::new);
    let state_dir = reader.path("state-dir").map(|at| at.value).unwrap_or_default();
    let socket = reader.path("socket").map(|at| at.value);
    let socket_group = reader.text("socket-group").map(|at| at.value);
    reader.finish();
    let socket = socket.unwrap_or_else(|| state_dir.join("watchkeeper.sock"));
    Some(Monitor { name: name?.value, state_dir, socket, socket_group })
}

pub(in crate::config) fn guests(reader: &Reader<'_>, state_dir: &Path) -> Guests {
    let path = |key| reader.path(key).map(|at| at.value);
    let limits = reader.table("limits");
    let guests = Guests {
        policies: path("policies").unwrap_or_default(),
        plugins: path("plugins").unwrap_or_default(),
        cache: path("cache").unwrap_or_else(|| state_dir.join("cache")),
        keys: keys(reader),
        require_signature: reader.flag("require-signature").unwrap_or(false),
        rollback_after: reader.small("rollback-after"),
        limits: GuestLimits {
            time: limits.duration("time").unwrap_or_default(),
            describe_time: limits.duration("describe-time").unwrap_or_default(),
            component_bytes: limits.size("component"),
            memory_bytes: limits.size("memory"),
            table_elements: limits.integer("table-elements").unwrap_or(1),
            stack_bytes: limits.size("stack"),
            result_bytes: limits.size("result"),
            state_bytes: limits.size("state"),
            host_calls: limits.small("host-calls"),
            log_lines: limits.small("log-lines"),
        },
    };
    limits.finish();
    reader.finish();
    guests
}

/// The keys whose signatures are accepted.
fn keys(reader: &Reader<'_>) -> std::sync::Arc<[Key]> {
    let mut keys = Vec::new();
    for text in reader.texts("keys").unwrap_or_default() {
        match Key::parse(&text.value) {
            Some(key) => keys.push(key),
            None => {
                let note = Note::error("it is no public key of minisign").help(
                    "it is the second line of the file that `minisign -G` makes: 56 characters that \
                     begin with RW",
                );
                reader.sources.note(text.place, note);
            }
        }
    }
    keys.into()
}

/// Loads every secret. What was read is added to `files`.
pub(in crate::config) fn secrets(
    list: Vec<(At<String>, Reader<'_>)>,
    mode: Mode,
    files: &mut Vec<PathBuf>,
) -> Secrets {
    let mut secrets = Secrets::new();
    for (name, reader) in list {
        let given: Vec<&str> =
            ["file", "env", "credential"].into_iter().filter(|key| reader.has(key)).collect();
        let file = reader.path("file");
        let env = reader.text("env");
        let credential =
            reader.name("credential", |text| ClusterName::new(text).map(|_| text.to_owned()));
        reader.finish();
        let loaded = match given.as_slice() {
            ["file"] => file.and_then(|file| {
                files.push(file.value.clone());
                from_file(&reader, &file)
            }),
            ["env"] => env.and_then(|env| {
                std::env::var(&env.value).ok().or_else(|| {
                    let message = format!("the environment variable {:?} is not set", env.value);
                    elsewhere(&reader, &env, mode, message)
                })
            }),
            ["credential"] => credential.and_then(|name| {
                let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
                    let message = "systemd hands over no credentials here".to_owned();
                    return elsewhere(&reader, &name, mode, message);
                };
                let file = At { value: Path::new(&folder).join(&name.value), place: name.place };
                files.push(file.value.clone());
                from_file(&reader, &file)
            }),
            [] if ["file", "env", "credential"].iter().any(|key| reader.misspelt(key)) => None,
            _ => {
                let message =
                    format!("`{}` needs exactly one of `file`, `env`, `credential`", reader.path);
                reader.sources.error(name.place, message);
                None
            }
        };
        secrets.insert(name.value, Secret::new(loaded.unwrap_or_default()));
    }
    secrets
}

/// What only the daemon's own environment has is no error of the file when it is only checked.
fn elsewhere(reader: &Reader<'_>, at: &At<String>, mode: Mode, message: String) -> Option<String> {
    match mode {
        Mode::Run => reader.sources.error(at.place, message),
        Mode::Check => {
            reader.sources.warning(at.place, message, "the daemon will not start without it");
        }
    }
    None
}

fn from_file(reader: &Reader<'_>, file: &At<PathBuf>) -> Option<String> {
    let path = file.value.display();
    let bytes = match read_bounded(&file.value, MAX_SECRET) {
        Ok(bytes) => bytes,
        Err(error) => {
            reader.sources.error(file.place, format!("cannot read {path}: {error}"));
            return None;
        }
    };
    warn_if_open(reader, file, 0o007);
    let Ok(text) = String::from_utf8(bytes) else {
        reader.sources.error(file.place, format!("{path} is not UTF-8"));
        return None;
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        reader.sources.error(file.place, format!("{path} is empty"));
        return None;
    }
    Some(text.to_owned())
}

/// Warns when others than the owner may read what they should not.
pub(super) fn warn_if_open(reader: &Reader<'_>, file: &At<PathBuf>, bits: u32) {
    use std::os::unix::fs::PermissionsExt;
    let Ok(meta) = std::fs::metadata(&file.value) else { return };
    if meta.is_file() && meta.permissions().mode() & bits != 0 {
        let path = file.value.display();
        let message = format!("{path} can be read or written by others");
        reader.sources.warning(file.place, message, &format!("chmod 600 {path}"));
    }
}

pub(in crate::config) fn commands(
    list: Vec<(At<String>, Reader<'_>)>,
) -> BTreeMap<String, CommandConfig> {
    let mut commands = BTreeMap::new();
    for (name, reader) in list {
        let argv = reader.texts("argv").unwrap_or_default();
        if let Some(program) = argv.first()
            && !program.value.starts_with('/')
        {
            let message = "a program is named by its whole path, with a leading `/`";
            reader.sources.error(program.place, message);
        }
        let argv = argv.into_iter().map(|at| at.value).collect();
        let timeout = reader.duration("timeout").unwrap_or_default();
        reader.finish();
        commands.insert(name.value, CommandConfig { argv, timeout });
    }
    commands
}

/// What a receiver can name.
pub(in crate::config) struct Granted<'a> {
    pub(in crate::config) commands: &'a BTreeMap<String, CommandConfig>,
    pub(in crate::config) mail: &'a BTreeMap<String, Option<MailServer>>,
    pub(in crate::config) clusters: &'a [String],
}

pub(in crate::config) fn receiver(
    name: &At<String>,
    reader: &Reader<'_>,
    common: &Common<'_>,
    granted: &Granted<'_>,
    instead: &mut Vec<(ReceiverName, At<Escalation>)>,
) -> Option<Receiver> {
    let plugin = reader.name("plugin", |text| ReceiverName::new(text).map(|_| text.to_owned()));
    let at = reader.sources.location(plugin.as_ref().map_or(reader.place, |at| at.place));
    let file = plugin.as_ref().map(|at| guest_file(reader, "plugin", &common.plugins, &at.value));
    let trust = trust(reader, common);
    let settings = reader.settings("settings");
    let hosts = hosts(reader);
    let methods = methods(reader);
    let secrets = references(reader, "secrets", "secret", &common.secrets.keys());
    let commands = references(reader, "commands", "command", &granted.commands.keys());
    let mail = super::mail::grant(reader, granted.mail);
    templates(reader, &settings, secrets.as_ref());
    let reaches = reader.has("mail")
        || reader.misspelt("mail")
        || ["hosts", "commands"].iter().any(|key| reader.misspelt(key) || reader.texts_given(key));
    if !reaches {
        let note = Note::error(format!("receiver {} can reach nothing", name.value))
            .help("give it `hosts`, `mail` or `commands`");
        reader.sources.note(name.place, note);
    }
    let only = references(reader, "clusters", "cluster", &granted.clusters.iter());
    let severity = reader.choice("min-severity");
    let first = reader.duration("retry-first").unwrap_or_default();
    let max = reader.duration("retry-max").unwrap_or(Duration::MAX);
    if first > max {
        reader
            .sources
            .error(reader.place_of("retry-first"), "`retry-first` is longer than `retry-max`");
    }
    let ca = reader.file("ca");
    let timeout = reader.duration("timeout").unwrap_or_default();
    let give_up_after = reader.duration("give-up-after").unwrap_or_default();
    let escalate_after = reader.ms("escalate-after");
    let escalation = reader.name("escalate-to", ReceiverName::new).map(|to| At {
        value: Escalation { to: to.value, after: escalate_after },
        place: to.place,
    });
    let rate_limit = reader.integer("rate-limit").and_then(|limit| u32::try_from(limit).ok());
    reader.finish();
    let made = ReceiverName::new(&name.value).map_err(|error| {
        reader.sources.error(name.place, format!("{:?} is not a name: {error}", name.value));
    });
    let name = made.ok()?;
    instead.extend(escalation.map(|escalation| (name.clone(), escalation)));
    Some(Receiver {
        name,
        plugin: plugin?.value,
        file: file?,
        at,
        trust,
        settings,
        hosts,
        methods,
        secrets: secrets.unwrap_or_default(),
        commands: commands.unwrap_or_default(),
        mail,
        ca,
        min_severity: match severity.as_ref().map(|at| at.value.as_str()) {
            Some("critical") => Severity::Critical,
            Some("warning") => Severity::Warning,
            _ => Severity::Info,
        },
        clusters: only
            .map(|names| names.iter().filter_map(|name| ClusterName::new(name).ok()).collect()),
        timeout,
        retry_first: first,
        retry_max: max,
        give_up_after,
        rate_limit,
    })
}

pub(in crate::config) fn hosts(reader: &Reader<'_>) -> Vec<HostGrant> {
    let mut hosts = Vec::new();
    for host in reader.texts("hosts").unwrap_or_default() {
        if let Ok(grant) = host.value.parse::<HostGrant>() {
            hosts.push(grant);
        } else {
            // Not the error's own words: they repeat the text, which may hold a login.
            let message = "a host is `host`, `host:port`, `https://host:port` or `http://host:port`, \
                           without a login and a path";
            let note = Note::error(message);
            reader.sources.note(host.place, Note { hide_from: Some(host.place.start), ..note });
        }
    }
    hosts
}

/// The HTTP methods that are granted; all if none are named.
pub(in crate::config) fn methods(reader: &Reader<'_>) -> Vec<reqwest::Method> {
    let Some(given) = reader.texts("methods") else { return host::methods().to_vec() };
    let known = host::methods();
    let mut methods = Vec::new();
    for name in given {
        if let Some(method) = known.iter().find(|it| it.as_str() == name.value) {
            methods.push(method.clone());
        } else {
            let message = format!("{:?} is no method that a plugin can ask for", name.value);
            let known = known.iter().map(reqwest::Method::as_str);
            reader.unknown(name.place, message, &name.value, known, None);
        }
    }
    methods
}

/// A list of names, each of which has to be among `known`.
pub(super) fn references<'w>(
    reader: &Reader<'_>,
    key: &str,
    what: &str,
    known: &(impl Iterator<Item = &'w String> + Clone),
) -> Option<BTreeSet<String>> {
    let names = reader.texts(key)?;
    let mut found = BTreeSet::new();
    for name in names {
        if known.clone().any(|one| *one == name.value) {
            found.insert(name.value);
        } else {
            let hide = (what == "secret").then_some(name.place.start);
            let message = if hide.is_some() {
                format!("`{}.{key}` names no secret of [secrets]", reader.path)
            } else {
                format!("there is no {what} {:?}", name.value)
            };
            reader.unknown(
                name.place,
                message,
                &name.value,
                known.clone().map(String::as_str),
                hide,
            );
        }
    }
    Some(found)
}

/// A secret that settings mention has to be granted.
fn templates(reader: &Reader<'_>, settings: &Settings, granted: Option<&BTreeSet<String>>) {
    for (key, value) in &settings.values {
        let texts: Vec<&String> = match value {
            Given::Text(text) => vec![text],
            Given::Texts(texts) => texts.iter().collect(),
            Given::Flag(_) | Given::Integer(_) => continue,
        };
        for part in texts.iter().flat_map(|text| text.split("{{secret \"").skip(1)) {
            let name = part.split('"').next().unwrap_or("");
            if !granted.is_some_and(|granted| granted.contains(name)) {
                let note = Note::error(format!(
                    "setting `{key}` uses a secret that `secrets` does not grant"
                ));
                let place = reader.place_of("settings");
                reader.sources.note(place, Note { hide_from: Some(place.start), ..note });
            }
        }
    }
}
