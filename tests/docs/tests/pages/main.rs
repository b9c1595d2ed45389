//! What is generated in `docs/` is compared with its source, what is shown there is built, loaded and
//! asked, and what is named there exists. `UPDATE_DOCS=1` rewrites what is generated: read the difference.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod api;
mod commands;
mod contract;
mod examples;
mod names;
mod plugins;
mod shown;
#[expect(unreachable_pub, reason = "as an author of policies writes it")]
#[path = "../../../../docs/examples/state.rs"]
mod state;
mod versions;

use std::path::{Path, PathBuf};

/// A path in the repository.
fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

/// A file of the repository.
fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Compares a page with what it should be, or rewrites it.
fn compare(name: &str, wanted: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some_and(|value| value == "1") {
        // In one move: other tests read the pages at the same time.
        let made = path(&format!("{name}.new"));
        std::fs::write(&made, wanted).unwrap();
        std::fs::rename(&made, path(name)).unwrap();
        return;
    }
    let there = std::fs::read_to_string(path(name)).unwrap_or_default();
    if there != wanted {
        let line = there.lines().zip(wanted.lines()).take_while(|(one, two)| one == two).count();
        panic!(
            "{name} differs from line {}: {:?} stands there, {:?} should.\nUPDATE_DOCS=1 \
             rewrites it: read the difference.",
            line + 1,
            there.lines().nth(line).unwrap_or_default(),
            wanted.lines().nth(line).unwrap_or_default()
        );
    }
}

/// Every page in `docs`, by its path in the repository.
fn pages() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec!["docs".to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(path(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
            if entry.path().is_dir() {
                folders.push(name);
            } else if entry.path().extension().is_some_and(|extension| extension == "md") {
                found.push(name);
            }
        }
    }
    found.sort();
    assert!(found.len() > 10, "{found:?}");
    found
}
