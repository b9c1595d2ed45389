//! The same cases, evaluated by the component that ships, in the host that the daemon uses: what
//! holds for the Rust code holds for the .wasm file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use watchkeeper_sdk::testkit;
use watchkeeper_wasm::{Host, HostConfig, Limits};

#[test]
fn every_case_comes_out_of_the_component_as_expected() {
    // A busy machine must not run into the time limit: that one is tested elsewhere.
    let limits = Limits { call: std::time::Duration::from_secs(5), ..Limits::default() };
    let host = Host::new(HostConfig { limits, ..HostConfig::default() }).unwrap();
    let policy = host.load_policy(&watchkeeper_guests::guest_bytes("data-mover-ha")).unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let played = testkit::cases::run(&folder, |snapshot, given, state| {
        let settings =
            testkit::core::settings::check(&policy.description().settings, given).unwrap();
        policy.evaluate(snapshot, &settings, state).outcome.map_err(|failure| failure.to_string())
    });
    match played {
        Ok(count) => assert!(count >= 40, "only {count} cases"),
        Err(error) => panic!("{error}"),
    }
}
