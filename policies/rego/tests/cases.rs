//! The cases, natively and by the component that ships.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::Path;
use std::time::Duration;

use rego::Rego;
use watchkeeper_sdk::testkit;
use watchkeeper_wasm::{Host, HostConfig, Limits};

fn cases() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")
}

#[test]
fn every_case_comes_out_as_expected() {
    if let Err(error) = testkit::cases::run(&cases(), testkit::evaluate::<Rego>) {
        panic!("{error}");
    }
}

#[test]
fn every_case_comes_out_of_the_component_as_expected() {
    // A busy machine must not run into the time limit; memory is limited as by default.
    let limits = Limits { call: Duration::from_secs(10), ..Limits::default() };
    let host = Host::new(HostConfig { limits, ..HostConfig::default() }).unwrap();
    let policy = host.load_policy(&watchkeeper_guests::guest_bytes("rego")).unwrap();
    let played = testkit::cases::run(&cases(), |snapshot, given, state| {
        let settings =
            testkit::core::settings::check(&policy.description().settings, given).unwrap();
        policy.evaluate(snapshot, &settings, state).outcome.map_err(|failure| failure.to_string())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
}
