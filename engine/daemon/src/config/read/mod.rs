//! From the files' tree to the checked configuration: one file here for each part of it.

pub(super) mod general;

pub(super) mod mail;

pub(super) mod routing;

pub(super) mod duty;

pub(super) mod probes;

mod services;

mod readiness;
mod resources;

pub(super) mod fences;

pub(super) mod clusters;

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::{Reader, Secrets};
use super::source::Note;
use crate::fence::Agent;
use crate::secret::Secret;
use crate::trust::{Key, Trust};

/// What the parts have in common.
pub(super) struct Common<'a> {
    pub(super) secrets: &'a Secrets,
    /// Fence agents; none for one that has mistakes.
    pub(super) fences: BTreeMap<String, Option<Agent>>,
    pub(super) policies: PathBuf,
    pub(super) plugins: PathBuf,
    /// Whose signatures are accepted, and whether everything has to be signed.
    pub(super) keys: std::sync::Arc<[Key]>,
    pub(super) require_signature: bool,
}

impl<'a> Common<'a> {
    /// With nothing but secrets.
    pub(super) fn of(secrets: &'a Secrets) -> Self {
        Self {
            secrets,
            fences: BTreeMap::new(),
            policies: PathBuf::new(),
            plugins: PathBuf::new(),
            keys: std::sync::Arc::default(),
            require_signature: false,
        }
    }

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

/// What a guest's file has to fulfil.
pub(super) fn trust(reader: &Reader<'_>, common: &Common<'_>) -> Trust {
    let required = reader.flag("require-signature").unwrap_or(common.require_signature);
    let sha256 = reader.text("sha256").and_then(|text| {
        let digits = text.value.to_ascii_lowercase();
        if digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Some(digits);
        }
        let note = Note::error("a SHA-256 has 64 hexadecimal digits")
            .help("`watchkeeper policy inspect FILE` and `sha256sum FILE` print it");
        reader.sources.note(text.place, note);
        None
    });
    Trust { signers: required.then(|| std::sync::Arc::clone(&common.keys)), sha256 }
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
