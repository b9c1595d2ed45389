//! The cases of maintenance-window.

use std::path::Path;

use maintenance_window::{MaintenanceWindow, Settings};
use watchkeeper_sdk::policy::Policy as _;
use watchkeeper_sdk::testkit;

#[test]
fn every_case_comes_out_as_expected() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<MaintenanceWindow>) {
        panic!("{error}");
    }
}

/// A window that cannot be read could be open now: acting fails closed.
#[test]
fn a_window_that_is_none_is_a_failure() {
    let kit = testkit::cluster().confirmed(1).snapshot();
    let settings = Settings { windows: vec!["Sat 22:00".to_owned()], ..Settings::default() };
    let told = MaintenanceWindow::evaluate(&kit, &settings, &[]).unwrap_err();
    assert!(told.contains("the window \"Sat 22:00\""), "{told}");
}
