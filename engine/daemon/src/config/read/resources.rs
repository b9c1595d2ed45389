//! The probes of the servers' file systems and memory.

use watchkeeper_core::facts::{ProbeId, RESOURCES};

use super::super::probe::{Disk, ProbeConfig, ProbeKindConfig};
use super::super::reader::{At, Reader};
use super::super::source::Note;
use super::clusters::Made;

/// One probe for each server that is to be looked at.
pub(super) fn probes(reader: &Reader<'_>, servers: &[Made]) -> Vec<ProbeConfig> {
    let disks = match reader.texts("paths") {
        Some(paths) => disks(reader, paths),
        None => vec![Disk { name: disk_name("/"), path: "/".to_owned() }],
    };
    let chosen: Vec<&Made> = match reader.texts("servers") {
        None => servers.iter().collect(),
        Some(names) => names.iter().filter_map(|name| known(reader, name, servers)).collect(),
    };
    let interval = reader.duration("interval").unwrap_or_default();
    let timeout = reader.duration("timeout").unwrap_or_default();
    reader.finish();
    let probe = |made: &Made| ProbeConfig {
        id: ProbeId { server: made.server.name.clone(), service: None, name: RESOURCES.into() },
        kind: ProbeKindConfig::Resources { disks: disks.clone() },
        interval,
        // It has no say in anything that is confirmed.
        confirm_interval: interval,
        timeout,
    };
    chosen.into_iter().map(probe).collect()
}

fn known<'a>(reader: &Reader<'_>, name: &At<String>, servers: &'a [Made]) -> Option<&'a Made> {
    let found = servers.iter().find(|made| made.server.name.as_str() == name.value);
    if found.is_none() {
        let message = format!("there is no server {:?} in this cluster", name.value);
        let names = servers.iter().map(|made| made.server.name.as_str());
        reader.unknown(name.place, message, &name.value, names, None);
    }
    found
}

fn disks(reader: &Reader<'_>, paths: Vec<At<String>>) -> Vec<Disk> {
    let mut disks: Vec<Disk> = Vec::new();
    for At { value: path, place } in paths {
        if !path.starts_with('/') || path.contains(char::is_control) {
            let note = Note::error(format!("{path:?} is not a path on a server"))
                .help("it begins with `/` and has no control characters");
            reader.sources.note(place, note);
            continue;
        }
        let name = disk_name(&path);
        if let Some(same) = disks.iter().find(|disk| disk.name == name) {
            let message =
                format!("{path} and {} would both be measured as `disk-{name}`", same.path);
            reader.sources.error(place, message);
            continue;
        }
        disks.push(Disk { name, path });
    }
    disks
}

/// What a path is called in the names of values: `root` for `/`, `var-lib-pgsql` for `/var/lib/pgsql`.
fn disk_name(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    match words.collect::<Vec<_>>().join("-").to_ascii_lowercase() {
        name if name.is_empty() => "root".to_owned(),
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_names_that_can_stand_in_names() {
        for (path, name) in
            [("/", "root"), ("/var/lib/pgsql", "var-lib-pgsql"), ("/Data//dm_1/", "data-dm-1")]
        {
            assert_eq!(disk_name(path), name);
        }
    }
}
