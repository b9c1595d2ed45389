//! The cases of replication-guard, and where it must not stand in the way of a rescue.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

use replication_guard::{ReplicationGuard, Settings};
use watchkeeper_sdk::policy::{Ending, Evaluation, Policy as _, Service, Value};
use watchkeeper_sdk::testkit;
use watchkeeper_sdk::testkit::core::snapshot::Read;

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<ReplicationGuard>) {
        panic!("{error}");
    }
}

fn behind() -> testkit::Cluster {
    testkit::cluster().measures("dm1", "replay-lag-bytes", Value::Integer(1 << 30))
}

fn ask(cluster: testkit::Cluster) -> Evaluation {
    ReplicationGuard::evaluate(&cluster.snapshot(), &Settings::default(), &[]).unwrap()
}

/// The daemon gets its attempts; only when they are used, a failover is what comes next.
#[test]
fn it_holds_when_the_last_attempt_was_used_and_not_before() {
    let once = behind().rescued("dm1", Service::Daemon, Ending::Failed);
    let once = once.down("dm1", Service::Daemon).confirmed(3);
    assert!(ask(once.clone()).holds.is_empty());
    let twice = once.rescued("dm1", Service::Daemon, Ending::Failed);
    let held = ask(twice.clone().confirmed(3));
    assert_eq!(
        held.holds,
        [
            "daemon on dm1 could not be started again; a failover now would lose about 1 GiB (replay lag)"
        ]
    );
    assert_eq!(held.alerts.len(), 1);
    assert!(held.look_again.is_some());
    // What the daemon needs is down as well and has not been tried: that is to be rescued.
    assert!(ask(twice.down("dm1", Service::Repository).confirmed(3)).holds.is_empty());
}

/// Without the broker no agent can work: the broker is to be rescued first.
#[test]
fn agents_hold_only_while_the_broker_serves() {
    let mut cluster = behind();
    for server in ["dm1", "dm2", "dm3"] {
        for _ in 0..2 {
            cluster = cluster.rescued(server, Service::Agent, Ending::Failed);
        }
        cluster = cluster.down(server, Service::Agent);
    }
    let held = ask(cluster.clone().confirmed(3));
    assert_eq!(held.holds.len(), 1, "{:?}", held.holds);
    assert!(ask(cluster.down("dm1", Service::Activemq).confirmed(3)).holds.is_empty());
}

#[test]
fn a_calm_cluster_is_not_asked_for_what_always_changes() {
    let kit = behind().confirmed(3).snapshot();
    ReplicationGuard::evaluate(&kit, &Settings::default(), &[]).unwrap();
    let reads = kit.into_reads();
    for read in [Read::Time, Read::Rescues, Read::Changes] {
        assert!(!reads.contains(&read), "{read:?}");
    }
}

#[test]
fn a_name_that_means_nothing_is_told() {
    let kit = testkit::cluster().confirmed(1).snapshot();
    let settings = Settings { lags: vec!["flush".to_owned()], ..Settings::default() };
    let told = ReplicationGuard::evaluate(&kit, &settings, &[]).unwrap_err();
    assert!(told.contains("no lag \"flush\""), "{told}");
    let settings = Settings { failover_services: vec!["db".to_owned()], ..Settings::default() };
    let told = ReplicationGuard::evaluate(&kit, &settings, &[]).unwrap_err();
    assert!(told.contains("no service \"db\""), "{told}");
}
