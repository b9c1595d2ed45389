//! The demo is a test: it ends with exit status 0 only if everything that it tells happened.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

use watchkeeper_guests::guest;

fn demo(guests: &Path) -> Output {
    let demo = Path::new(env!("CARGO_BIN_EXE_watchkeeper-demo"));
    let watchkeeper = demo.with_file_name("watchkeeper");
    assert!(
        watchkeeper.is_file(),
        "{} is not there: `cargo test --workspace` builds it, `cargo build -p watchkeeper` too",
        watchkeeper.display()
    );
    Command::new(demo).arg("--guests").arg(guests).output().expect("the demo can be started")
}

#[test]
fn everything_that_it_tells_happens() {
    let guests = tempfile::tempdir().unwrap();
    for (kind, name) in [("policies", "data-mover-ha"), ("plugins", "webhook")] {
        let folder = guests.path().join(kind);
        std::fs::create_dir(&folder).unwrap();
        std::fs::copy(guest(name), folder.join(format!("{name}.wasm"))).unwrap();
    }
    let output = demo(guests.path());
    let told = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{told}\n{complained}", output.status);
    assert!(!told.contains('\x1b'), "colours are for terminals: {told}");
    // It is left for people; a test leaves nothing.
    let folder = told.lines().last().and_then(|line| line.split(": ").last()).unwrap();
    assert!(folder.contains("watchkeeper-demo-"), "{folder}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn what_is_missing_is_named() {
    let empty = tempfile::tempdir().unwrap();
    let output = demo(empty.path());
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complained}");
    assert!(complained.contains("data-mover-ha.wasm"), "{complained}");
}
