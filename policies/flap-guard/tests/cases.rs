//! The cases of flap-guard, and that it costs nothing while nothing happens.

use std::path::Path;

use flap_guard::{FlapGuard, Settings};
use watchkeeper_sdk::policy::Policy as _;
use watchkeeper_sdk::testkit;
use watchkeeper_sdk::testkit::core::snapshot::Read;

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<FlapGuard>) {
        panic!("{error}");
    }
}

#[test]
fn where_nothing_was_done_it_does_not_ask_for_the_time() {
    let kit = testkit::cluster().confirmed(3).snapshot();
    let evaluation = FlapGuard::evaluate(&kit, &Settings::default(), &[]).unwrap();
    assert!(evaluation.holds.is_empty() && evaluation.look_again.is_none());
    assert!(!kit.into_reads().contains(&Read::Time));
}

/// Rescues are told of and go on: without them the service would be down.
#[test]
fn a_service_that_keeps_stopping_is_told() {
    use watchkeeper_sdk::policy::{Ending, Service};

    let mut cluster = testkit::cluster().confirmed(1);
    for _ in 0..4 {
        cluster = cluster.rescued("dm1", Service::Daemon, Ending::Succeeded).confirmed(60);
    }
    let calm = cluster.clone().snapshot();
    let calm = FlapGuard::evaluate(&calm, &Settings::default(), &[]).unwrap();
    assert!(calm.alerts.is_empty());
    let kit = cluster
        .rescued("dm1", Service::Daemon, Ending::Succeeded)
        .rescued("dm1", Service::Rest, Ending::Succeeded)
        .snapshot();
    let told = FlapGuard::evaluate(&kit, &Settings::default(), &[]).unwrap();
    assert!(told.holds.is_empty());
    let [alert] = &told.alerts[..] else { panic!("{:?}", told.alerts) };
    assert_eq!(alert.summary, "daemon on dm1 was started again 5 times within 1 h");
    assert_eq!(told.look_again, Some(3_600_000 - 240_000));
}
