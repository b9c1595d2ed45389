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
