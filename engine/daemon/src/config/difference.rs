//! What differs between two configurations, in the words of the file.

use std::collections::BTreeMap;

use super::checked::Config;

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
    lines
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
