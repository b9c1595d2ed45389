//! Reading the files, and holding the parts against each other.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::checked::Config;
use super::cluster::ClusterConfig;
use super::difference::flatten;
use super::problem::{Level, Problems};
use super::read::{Common, clusters, duty, fences, general, mail, probes, routing};
use super::reader::Reader;
use super::source::{Note, Place, Sources, Table, Value};
use crate::secret::Secret;

/// Include files at most; a folder with more is not one of ours.
const MAX_INCLUDES: usize = 1_000;

/// The main file as a whole.
const START: Place = Place { file: 0, start: 0, end: 0 };

/// What the configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To run the daemon: everything has to be there.
    Run,
    /// To look for mistakes: what only the daemon's environment has may be missing.
    Check,
}

/// Reads the file and its includes to run the daemon.
pub fn load(path: &Path) -> Result<Config, Problems> {
    load_as(path, Mode::Run)
}

/// Reads the file and its includes, checks everything, and reports everything that is wrong.
pub fn load_as(path: &Path, mode: Mode) -> Result<Config, Problems> {
    let mut sources = Sources::default();
    let mut files = vec![path.to_owned()];
    let (root, include) = read(&mut sources, path, &mut files);
    // A file that is not TOML has lost keys: what is missing then would be noise.
    let config = root.and_then(|root| {
        let mut config = check(&sources, &root, mode, &mut files)?;
        config.flat = flatten(&root);
        Some(config)
    });
    let digest = digest(&sources);
    files.extend(sources.beside.take().into_iter().map(|(path, _)| path));
    let mut list = sources.problems.into_inner();
    // A table that several servers share is checked for each of them.
    list.sort_by(|(a, one), (b, other)| (a, &one.message).cmp(&(b, &other.message)));
    list.dedup();
    let list: Vec<_> = list.into_iter().map(|(_, problem)| problem).collect();
    let wrong = list.iter().any(|problem| problem.level == Level::Error);
    match config {
        Some(config) if !wrong => Ok(Config { files, include, digest, warnings: list, ..config }),
        _ => Err(Problems::new(list, files)),
    }
}

/// The merged tree, and the folder of includes. No tree: some file is not TOML.
fn read(
    sources: &mut Sources,
    path: &Path,
    files: &mut Vec<PathBuf>,
) -> (Option<Table>, Option<PathBuf>) {
    let Some(mut root) = sources.read(path, None) else { return (None, None) };
    if root.entries.is_empty() {
        let note = Note::error("there is nothing in this file");
        sources.note(START, note.help("`watchkeeper init` writes one to start from"));
        return (None, None);
    }
    let named = root.get("include").map(|entry| (entry.node.value.clone(), entry.node.place));
    let Some((Value::Text(folder), place)) = named else { return (Some(root), None) };
    let folder = path.parent().unwrap_or(Path::new("")).join(folder);
    files.push(folder.clone());
    let mut whole = true;
    for file in includes(sources, &folder, place) {
        files.push(file.clone());
        let Some(table) = sources.read(&file, Some(place)) else {
            whole = false;
            continue;
        };
        if let Some(entry) = table.get("include") {
            sources.error(entry.key_place, "an included file cannot include others");
        }
        let kept = table.entries.into_iter().filter(|entry| entry.key != "include").collect();
        sources.merge(&mut root, Table { entries: kept });
    }
    (whole.then_some(root), Some(folder))
}

fn includes(sources: &Sources, folder: &Path, place: Place) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            sources.error(place, format!("cannot read {}: {error}", folder.display()));
            return Vec::new();
        }
    };
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| match entry {
            Ok(entry) => Some(entry.path()),
            Err(error) => {
                sources.error(place, format!("cannot read {}: {error}", folder.display()));
                None
            }
        })
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .take(MAX_INCLUDES + 1)
        .collect();
    if found.len() > MAX_INCLUDES {
        sources.error(place, format!("more than {MAX_INCLUDES} files in {}", folder.display()));
    }
    found.sort();
    found
}

fn check(sources: &Sources, root: &Table, mode: Mode, files: &mut Vec<PathBuf>) -> Option<Config> {
    let reader = Reader::new(sources, root, "", String::new(), START);
    let _ = reader.text("include");
    let monitor = if reader.has("monitor") {
        general::monitor(&reader.table("monitor"))
    } else {
        let _ = reader.table("monitor");
        None
    };
    let state_dir = monitor.as_ref().map(|monitor| monitor.state_dir.clone()).unwrap_or_default();
    let guests = general::guests(&reader.table("guests"), &state_dir);
    let mut secrets = general::secrets(reader.named("secrets"), mode, files);
    let mut commands = general::commands(reader.named("commands"));
    // What is there and wrong is not missing as well.
    for name in reader.names("secrets") {
        secrets.entry(name).or_insert_with(|| Secret::new(""));
    }
    for name in reader.names("commands") {
        commands.entry(name).or_default();
    }
    let duty = duty::duty(&reader.table("duty"), monitor.as_ref(), &secrets);
    let ssh = clusters::ssh(&reader.table("ssh"), &clusters::Ssh::default());
    let probe_reader = reader.table("probes");
    let times = probes::times(&probe_reader, None);
    let unknown_after = probe_reader.duration("unknown-after").unwrap_or_default();
    probe_reader.finish();
    let common = Common {
        secrets: &secrets,
        fences: fences::agents(&reader, &Common::of(&secrets)),
        policies: guests.policies.clone(),
        plugins: guests.plugins.clone(),
        keys: std::sync::Arc::clone(&guests.keys),
        require_signature: guests.require_signature,
    };
    let tables = reader.named("clusters");
    if reader.nothing_in("clusters") {
        sources.error(reader.place_of("clusters"), "there is no cluster");
    }
    let names = reader.names("clusters");
    let mut list = Vec::new();
    for (name, inner) in &tables {
        let cluster = clusters::cluster(name, inner, &common, &ssh, &times);
        list.extend(cluster.map(|cluster| (cluster, name.place)));
    }
    shared_servers(sources, &list);
    let granted = general::Granted {
        commands: &commands,
        mail: &mail::servers(&reader, &common),
        clusters: &names,
    };
    let mut receivers = Vec::new();
    let mut instead = Vec::new();
    for (name, inner) in reader.named("receivers") {
        let one = general::receiver(&name, &inner, &common, &granted, &mut instead);
        receivers.extend(one);
    }
    let routing = routing::routing(&reader, &reader.names("receivers"), instead);
    if !reader.has("receivers") && !reader.misspelt("receivers") {
        sources.warning(START, "there are no receivers", "alerts will go nowhere");
    }
    reader.finish();
    let clusters = list.into_iter().map(|(cluster, _)| cluster).collect();
    Some(Config {
        monitor: monitor?,
        duty: duty?,
        guests,
        secrets,
        commands,
        receivers,
        routing,
        unknown_after,
        clusters,
        files: Vec::new(),
        include: None,
        digest: String::new(),
        warnings: Vec::new(),
        flat: super::difference::Flat::new(),
    })
}

/// Two clusters on one server can undo each other's work.
fn shared_servers(sources: &Sources, list: &[(ClusterConfig, Place)]) {
    for (i, (cluster, place)) in list.iter().enumerate() {
        for (earlier, _) in list.iter().take(i) {
            for (name, server) in &cluster.servers {
                let same = earlier.servers.values().find(|other| {
                    other.address == server.address && other.ssh.port == server.ssh.port
                });
                if same.is_some() {
                    let mut note = Note::error(format!(
                        "server {name} ({}) is in cluster {} too",
                        server.address,
                        earlier.topology.cluster()
                    ));
                    note.level = Level::Warning;
                    sources.note(*place, note.help("each would act on the other's services"));
                }
            }
        }
    }
}

fn digest(sources: &Sources) -> String {
    let mut sha = Sha256::new();
    let beside = sources.beside.borrow();
    let beside = beside.iter().map(|(path, text)| (path, text));
    for (path, text) in sources.files.iter().map(|it| (&it.path, &it.text)).chain(beside) {
        // Lengths first, so that no text can pass for the beginning of the next.
        for part in [path.as_os_str().as_encoded_bytes(), text.as_bytes()] {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
    }
    hex(&sha.finalize())
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
