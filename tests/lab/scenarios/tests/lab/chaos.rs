//! Some schedules of random faults with all that checks them, so that they cannot rot. `make chaos` runs as many as are wanted.

use watchkeeper_lab::chaos::{Schedule, run};

fn passes(seed: u64) {
    let Some(report) = run(seed) else { return };
    let again = format!("`lab-chaos --seed {seed}` runs it again");
    assert!(report.violations.is_empty(), "{:#?}\n{}\n{again}", report.violations, report.story);
    assert!(report.counts.jobs > 0 && report.counts.notifications > 0, "{:?}", report.counts);
    eprintln!("{}: {:?}", Schedule::of(seed), report.counts);
}

#[test]
fn random_faults_on_one_monitor_with_fencing_leave_all_well() {
    passes(SEEDS[0]);
}

#[test]
fn random_faults_on_two_monitors_that_hand_over_leave_all_well() {
    passes(SEEDS[1]);
}

#[test]
fn random_faults_on_two_monitors_over_etcd_leave_all_well() {
    passes(SEEDS[2]);
}

/// Each with another way of sharing the duty, and something that makes for a change of side.
const SEEDS: [u64; 3] = [8, 33, 36];
