//! What differs between two configurations, in the words of the file.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};
use watchkeeper_core::settings::Given;

use super::checked::Config;
use super::keys::{self, Kind};
use super::source::{Table, Value};

/// Every given key by its path, with its value where that may be shown.
pub(super) type Flat = BTreeMap<String, Shown>;

/// A value as differences show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// As it was written.
    Value(String),
    /// It may hold what nobody should see: only its SHA-256 is kept.
    Hidden(String),
}

/// What differs, a line each, in the order of the keys. Shows no secret, and no value that may
/// hold one (settings, command lines, connection options).
pub fn differences(old: &Config, new: &Config) -> Vec<String> {
    let mut lines = flat_differences(&old.flat, &new.flat);
    for (name, secret) in &new.secrets {
        if old.secrets.get(name).is_some_and(|before| before != secret) {
            lines.push(format!("secrets.{name} has another value"));
        }
    }
    let before = texts(old);
    for (key, text) in texts(new) {
        if before.get(&key).is_some_and(|before| *before != text) {
            lines.push(format!("{key} has another text"));
        }
    }
    lines
}

/// The texts from files that are given to guests, by their keys.
fn texts(config: &Config) -> BTreeMap<String, &Given> {
    let policies = config.clusters.iter().flat_map(|cluster| {
        let prefix = format!("clusters.{}.policies", cluster.topology.cluster());
        cluster.policies.iter().map(move |it| (format!("{prefix}.{}", it.name), &it.settings))
    });
    let receivers = config.receivers.iter();
    let receivers = receivers.map(|it| (format!("receivers.{}", it.name), &it.settings));
    let mut texts = BTreeMap::new();
    for (owner, settings) in policies.chain(receivers) {
        for (key, path) in &settings.files {
            if let Some(text) = settings.values.get(key) {
                texts.insert(format!("{owner}.settings.{key} ({})", path.display()), text);
            }
        }
    }
    texts
}

/// Every given key of the merged files by its path. A table in a list goes by its name.
pub(super) fn flatten(root: &Table) -> Flat {
    let mut flat = Flat::new();
    walk(&mut flat, "", "", root);
    flat
}

fn walk(flat: &mut Flat, path: &str, section: &str, table: &Table) {
    let found = keys::section(section);
    for entry in &table.entries {
        let dot = if path.is_empty() { "" } else { "." };
        let at = format!("{path}{dot}{}", entry.key);
        let key = found.and_then(|found| found.key(&entry.key));
        let deeper = match key {
            Some(key) => format!("{section}{dot}{}", key.name),
            None => format!("{section}{dot}*"),
        };
        match (&entry.node.value, key.map(|key| key.kind)) {
            (Value::Table(inner), None | Some(Kind::Table)) => walk(flat, &at, &deeper, inner),
            (Value::List(list), Some(Kind::Tables)) => {
                for (index, one) in list.iter().enumerate() {
                    let Value::Table(inner) = &one.value else { continue };
                    let name = match inner.get("name").map(|entry| &entry.node.value) {
                        Some(Value::Text(name)) => name.clone(),
                        _ => index.to_string(),
                    };
                    let at = format!("{at}.{name}");
                    flat.insert(
                        format!("{at} (place in the order)"),
                        Shown::Value(format!("{}", index + 1)),
                    );
                    walk(flat, &at, &format!("{deeper}[]"), inner);
                }
            }
            (value, kind) => {
                let text = written(value);
                let shown = match kind {
                    None
                    | Some(Kind::Hidden | Kind::Argv | Kind::Settings | Kind::Secret | Kind::Map) => {
                        Shown::Hidden(super::load::hex(&Sha256::digest(text.as_bytes())))
                    }
                    Some(_) => Shown::Value(text),
                };
                flat.insert(at, shown);
            }
        }
    }
}

fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(number) => number.map_or_else(String::new, |number| number.to_string()),
        Value::Float(text) | Value::Datetime(text) => text.clone(),
        Value::Flag(flag) => flag.to_string(),
        Value::List(list) => {
            let list: Vec<String> = list.iter().map(|one| written(&one.value)).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Table(table) => {
            let pairs: Vec<String> = table
                .entries
                .iter()
                .map(|entry| format!("{} = {}", entry.key, written(&entry.node.value)))
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
    }
}

fn flat_differences(old: &Flat, new: &Flat) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    keys.into_iter()
        .filter_map(|key| match (old.get(key), new.get(key)) {
            (before, after) if before == after => None,
            (Some(Shown::Value(before)), Some(Shown::Value(after))) => {
                Some(format!("{key}: {before} -> {after}"))
            }
            (Some(_), Some(_)) => Some(format!("{key} has another value")),
            (None, Some(Shown::Value(after))) => Some(format!("{key} added: {after}")),
            (None, _) => Some(format!("{key} added")),
            (Some(_), None) => Some(format!("{key} removed")),
        })
        .collect()
}
