//! The scenario cases, evaluated natively. After a change that is meant, `UPDATE_CASES=1` rewrites
//! what is expected: read the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::Path;

use data_mover_ha::DataMoverHa;
use watchkeeper_sdk::testkit;

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    match testkit::cases::run(&folder, testkit::evaluate::<DataMoverHa>) {
        Ok(count) => assert!(count >= 40, "only {count} cases"),
        Err(error) => panic!("{error}"),
    }
}

/// What was asked is recorded and explained: time changes always, so a calm cluster must
/// not be asked for it, nor for its history, nor for a list of all servers.
#[test]
fn a_calm_cluster_is_not_asked_for_what_always_changes() {
    use watchkeeper_sdk::policy::Policy as _;
    use watchkeeper_sdk::testkit::core::snapshot::Read;

    let kit = testkit::cluster().snapshot();
    let settings = data_mover_ha::Settings::default();
    let evaluation = DataMoverHa::evaluate(&kit, &settings, &[]).unwrap();
    assert_eq!(evaluation.look_again, None);
    let reads = kit.into_reads();
    for read in [Read::Time, Read::Rescues, Read::Changes, Read::Servers] {
        assert!(!reads.contains(&read), "{read:?}");
    }
}

/// A server that stood still says of nothing on it, once it answers again, that it is down: only what
/// is found afterwards counts.
#[test]
fn what_was_found_before_the_server_answered_again_is_no_reason_for_a_rescue() {
    use watchkeeper_sdk::policy::{Policy as _, Service};

    let rescues = |cluster: testkit::Cluster| {
        let settings = data_mover_ha::Settings::default();
        let evaluation = DataMoverHa::evaluate(&cluster.snapshot(), &settings, &[]).unwrap();
        evaluation.proposals.len()
    };
    let silent = testkit::cluster().unreachable("dm1").down("dm1", Service::Repository);
    let stale = silent
        .confirmed(4)
        .without_news("dm1", Service::Repository)
        .reachable("dm1")
        .down("dm1", Service::Repository);
    assert_eq!(rescues(stale.clone().confirmed(2)), 0);
    assert_eq!(rescues(stale.with_news("dm1", Service::Repository).confirmed(1)), 1);
}
