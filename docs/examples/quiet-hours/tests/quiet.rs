//! The policy natively, and its cases.

use std::path::Path;
use std::time::Duration;

use quiet_hours::{QuietHours, Settings};
use watchkeeper_sdk::policy::{Policy as _, Service};
use watchkeeper_sdk::testkit;

/// The kit's clock begins at 02:00 UTC.
#[test]
fn quiet_is_a_hold_with_an_alert() {
    let kit = testkit::cluster().down("dm1", Service::Rest).confirmed(3).snapshot();
    let quiet = QuietHours::evaluate(&kit, &Settings::default(), &[]).unwrap();
    assert_eq!(quiet.holds, ["quiet hours"]);
    assert_eq!(quiet.alerts[0].name, "quiet-hours");
}

#[test]
fn quiet_goes_over_midnight() {
    let settings = |begin, length| Settings {
        begin: Duration::from_hours(begin),
        length: Duration::from_hours(length),
        ..Settings::default()
    };
    for (begin, length, quiet) in [(23, 4, true), (23, 3, false), (0, 1, false), (24, 3, true)] {
        let kit = testkit::cluster().confirmed(1).snapshot();
        let evaluation = QuietHours::evaluate(&kit, &settings(begin, length), &[]).unwrap();
        assert_eq!(!evaluation.holds.is_empty(), quiet, "{begin} h for {length} h");
    }
}

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<QuietHours>) {
        panic!("{error}");
    }
}
