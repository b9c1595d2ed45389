//! Guests for tests: builds a package of this workspace for wasm32-wasip2, once a process, and says
//! where the component is.
//!
//! A test calls [`guest`]; nothing has to be built before. Cargo itself decides whether there is
//! anything to do, and its lock on the target folder lets several tests ask at once.

#![allow(clippy::panic, reason = "for tests: a guest that cannot be built ends the test")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

/// How long a build may take. The first of a fresh checkout builds the binding generator.
const LIMIT: Duration = Duration::from_mins(8);

const TARGET: &str = "wasm32-wasip2";

static BUILT: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());

/// Builds `package` and gives the path of its component.
///
/// # Panics
/// If it cannot be built, with what cargo said and what to do.
pub fn guest(package: &str) -> PathBuf {
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(path) = built.get(package) {
        return path.clone();
    }
    let path = build(package).unwrap_or_else(|error| panic!("guest {package}: {error}"));
    built.insert(package.to_owned(), path.clone());
    path
}

/// Builds `package` and gives the bytes of its component.
///
/// # Panics
/// If it cannot be built or read.
pub fn guest_bytes(package: &str) -> Vec<u8> {
    let path = guest(package);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The component with each `from` replaced by a `to` of the same length.
///
/// # Panics
/// If `from` is not in it, or the lengths differ.
pub fn patched(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a text can only be replaced by one of the same length");
    let mut bytes = bytes.to_vec();
    let mut found = 0;
    let mut at = 0;
    while let Some(window) = bytes.get_mut(at..at + from.len()) {
        if window == from.as_bytes() {
            window.copy_from_slice(to.as_bytes());
            found += 1;
        }
        at += 1;
    }
    assert!(found > 0, "{from:?} is not in the component");
    bytes
}

fn build(package: &str) -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |dir| root.join(dir));
    eprintln!("building the guest {package} for {TARGET}");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        // As the Makefile does: what is tested is what ships, and is built once for both.
        .args(["rustc", "--quiet", "--profile", "guest", "--target", TARGET, "--package", package])
        .args(["--crate-type", "cdylib"])
        .current_dir(&root)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    let mut stderr = child.stderr.take().ok_or("cargo has no standard error")?;
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = String::new();
        let read = stderr.read_to_string(&mut said).map(|_| said);
        // Nobody listens any more when the time was over.
        let _ = sender.send(read);
    });
    let Ok(said) = ended.recv_timeout(LIMIT) else {
        child.kill().map_err(|error| format!("cargo cannot be ended: {error}"))?;
        child.wait().map_err(|error| error.to_string())?;
        return Err(format!("not built within {} s", LIMIT.as_secs()));
    };
    let said = said.map_err(|error| error.to_string())?;
    if !child.wait().map_err(|error| error.to_string())?.success() {
        let hint = if said.contains("E0463") {
            format!("\nis the target there? `rustup target add {TARGET}`")
        } else {
            String::new()
        };
        return Err(format!("cargo failed:\n{said}{hint}"));
    }
    let file = format!("{}.wasm", package.replace('-', "_"));
    Ok(target.join(TARGET).join("guest").join(file))
}
