//! What a lab needs of this machine: rights, programs that are built, and room for two.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

/// Labs that are up at once: each keeps a core busy while it starts.
static AT_ONCE: AtomicUsize = AtomicUsize::new(2);

/// From now on so many labs may be up at once: for whoever waits for little else.
pub fn labs_at_once(labs: usize) {
    AT_ONCE.store(labs.max(1), Ordering::Relaxed);
}

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
        root.canonicalize().unwrap_or(root)
    })
}

/// A program of the lab: `up`, `down`, `lab`.
pub(crate) fn tool(name: &str) -> PathBuf {
    root().join("tests/lab").join(name)
}

/// Where cargo puts what it builds. It has to be within the repository: the hosts see nothing else.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Whether the programs in the lab are the optimised ones.
static OPTIMISED: AtomicBool = AtomicBool::new(false);

/// From now on the programs in the lab are built as they are for use, and not as for tests: for
/// measurements.
pub fn optimise() {
    OPTIMISED.store(true, Ordering::Relaxed);
}

/// A program of this repository, such as `watchkeeper`, as [`build`] makes it.
pub(crate) fn program(name: &str) -> PathBuf {
    let profile = if OPTIMISED.load(Ordering::Relaxed) { "release" } else { "debug" };
    target().join(profile).join(name)
}

/// Why no lab can be brought up here, if none can.
pub fn unfit() -> Option<String> {
    static ANSWER: OnceLock<Option<String>> = OnceLock::new();
    ANSWER
        .get_or_init(|| {
            let root = std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0);
            if !root {
                return Some("a lab makes namespaces and mounts, which needs root".to_owned());
            }
            let output = Command::new(tool("up")).arg("--check").output();
            match output {
                Ok(output) if output.status.success() => None,
                Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
                Err(error) => Some(format!("tests/lab/up cannot be run: {error}")),
            }
        })
        .clone()
}

fn cargo(arguments: &[&str]) {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cargo cannot be run: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}:\n{said}", arguments.join(" "));
}

/// Builds the programs and guests that run in the lab, once. Cargo decides what there is to do.
pub(crate) fn build() {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if OPTIMISED.load(Ordering::Relaxed) {
            let programs = ["-p", "watchkeeper", "-p", "watchkeeper-standin"];
            cargo(&[&["build", "--quiet", "--release"], &programs[..]].concat());
        } else {
            // As tests of theirs are built, which is how `make test` has built them already: any
            // other selection has other features, and would build the large dependencies once more.
            cargo(&[
                "test",
                "--quiet",
                "--workspace",
                "--exclude",
                "watchkeeper-bench",
                "--no-run",
                "--test",
                "config_golden",
                "--test",
                "rest",
            ]);
        }
        for package in ["data-mover-ha", "webhook"] {
            // Alone and as a component only: features of several would be united.
            cargo(&[
                "rustc",
                "--quiet",
                "--profile",
                "guest",
                "--target",
                "wasm32-wasip2",
                "-p",
                package,
                "--crate-type",
                "cdylib",
            ]);
        }
    });
}

static TAKEN: Mutex<usize> = Mutex::new(0);
static FREED: Condvar = Condvar::new();

/// The right to have a lab up.
pub(crate) struct Place(());

impl Place {
    /// Waits until one is free.
    pub(crate) fn take() -> Self {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken >= AT_ONCE.load(Ordering::Relaxed) {
            taken = FREED.wait(taken).unwrap_or_else(PoisonError::into_inner);
        }
        *taken += 1;
        Self(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *TAKEN.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        FREED.notify_one();
    }
}
