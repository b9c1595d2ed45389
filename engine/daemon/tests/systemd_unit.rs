//! The unit that ships: systemd accepts it, it exposes little, and what it starts exists.
//!
//! Whether the daemon can live with what it forbids is tried in the lab. Without systemd's own
//! tool a test passes after printing `SKIPPED`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use clap::CommandFactory as _;
use tempfile::TempDir;
use watchkeeper::cli::Cli;

/// What systemd calls "OK", and with room for other versions, which count a little differently;
/// systemd 252 says 16.
const EXPOSURE: u32 = 20;

const INSTALLED: &str = "/usr/local/bin/watchkeeper";

fn packaging() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/systemd")
}

fn unit() -> String {
    fs::read_to_string(packaging().join("watchkeeper.service")).unwrap()
}

/// The unit and its example of a drop-in in a folder, with a program that is there; none if this
/// machine has no `systemd-analyze`.
fn checked(test: &str) -> Option<TempDir> {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("SKIPPED {test}: systemd-analyze is not there (Debian's package systemd)");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let text = unit().replace(INSTALLED, env!("CARGO_BIN_EXE_watchkeeper"));
    fs::write(folder.path().join("watchkeeper.service"), text).unwrap();
    let drop_ins = folder.path().join("watchkeeper.service.d");
    fs::create_dir(&drop_ins).unwrap();
    let example = packaging().join("watchkeeper.service.d/credentials.conf");
    fs::copy(example, drop_ins.join("credentials.conf")).unwrap();
    Some(folder)
}

fn analyze(folder: &TempDir, arguments: &[&str]) -> Output {
    let file = folder.path().join("watchkeeper.service");
    Command::new("systemd-analyze").args(arguments).arg(file).output().unwrap()
}

fn said(output: &Output) -> String {
    let text = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
    text.concat()
}

#[test]
fn systemd_accepts_the_unit_and_the_drop_in() {
    let Some(folder) = checked("systemd_accepts_the_unit_and_the_drop_in") else { return };
    let output = analyze(&folder, &["verify", "--man=no"]);
    // Keys that it does not know are only warnings.
    assert!(output.status.success() && said(&output).is_empty(), "{}", said(&output));
}

#[test]
fn the_unit_exposes_little() {
    let Some(folder) = checked("the_unit_exposes_little") else { return };
    let threshold = format!("--threshold={EXPOSURE}");
    let output = analyze(&folder, &["security", "--offline=true", "--no-pager", &threshold]);
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn what_the_unit_starts_are_commands_of_the_program() {
    let unit = unit();
    let commands: Vec<&str> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("Exec")?.split_once('='))
        .map(|(_, it)| it)
        .collect();
    assert_eq!(commands.len(), 2, "{commands:?}");
    for command in commands {
        let arguments = command.strip_prefix(INSTALLED).expect("the installed program");
        let words = std::iter::once("watchkeeper").chain(arguments.split_whitespace());
        if let Err(error) = Cli::command().try_get_matches_from(words) {
            panic!("{command}\n{error}");
        }
    }
}
