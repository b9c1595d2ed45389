//! From the files' tree to the checked configuration: one file here for each part of it.

pub(super) mod general;

pub(super) mod duty;

pub(super) mod probes;

mod services;

pub(super) mod clusters;

use std::path::PathBuf;

use super::reader::{Reader, Secrets};
use crate::secret::Secret;

/// What the parts have in common.
pub(super) struct Common<'a> {
    pub(super) secrets: &'a Secrets,
    pub(super) policies: PathBuf,
    pub(super) plugins: PathBuf,
}

impl Common<'_> {
    /// The secret that a key names.
    pub(super) fn secret(&self, reader: &Reader<'_>, key: &str) -> Option<Secret> {
        let name = reader.text(key)?;
        let found = self.secrets.get(&name.value).cloned();
        if found.is_none() {
            // What stands there may be the password itself.
            let message = format!("`{}.{key}` names no secret of [secrets]", reader.path);
            let known = self.secrets.keys().map(String::as_str);
            reader.unknown(name.place, message, &name.value, known, Some(name.place.start));
        }
        found
    }
}

/// The file of a guest, which has to be there.
pub(super) fn guest_file(
    reader: &Reader<'_>,
    key: &str,
    folder: &std::path::Path,
    stem: &str,
) -> PathBuf {
    let file = folder.join(format!("{stem}.wasm"));
    if !file.is_file() {
        let stems: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .take(1_000)
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                name.strip_suffix(".wasm").map(str::to_owned)
            })
            .collect();
        let message = format!("there is no file {}", file.display());
        let mut known: Vec<&str> = stems.iter().map(String::as_str).collect();
        known.sort_unstable();
        reader.unknown(reader.place_of(key), message, stem, known.iter().copied(), None);
    }
    file
}
