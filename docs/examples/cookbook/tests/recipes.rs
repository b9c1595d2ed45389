//! Every recipe in Rust does its work in its cases.

use std::path::Path;

use cookbook::{
    agents_missing::AgentsMissing, escalate::Escalate, flaky_agent::FlakyAgent,
    lag_grows::LagGrows, office_hours::OfficeHours, twice_an_hour::TwiceAnHour, two_down::TwoDown,
};
use watchkeeper_sdk::policy::Policy;
use watchkeeper_sdk::testkit;

fn play<P: Policy>() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(P::NAME);
    if let Err(error) = testkit::cases::run(&folder, testkit::evaluate::<P>) {
        panic!("{error}");
    }
}

#[test]
fn office_hours_hold() {
    play::<OfficeHours>();
}

#[test]
fn two_down_fail_over() {
    play::<TwoDown>();
}

#[test]
fn rescues_are_counted() {
    play::<TwiceAnHour>();
}

#[test]
fn a_flaky_agent_is_left_out() {
    play::<FlakyAgent>();
}

#[test]
fn what_stays_down_escalates() {
    play::<Escalate>();
}

#[test]
fn a_lag_that_grows_is_told() {
    play::<LagGrows>();
}

#[test]
fn missing_agents_are_told() {
    play::<AgentsMissing>();
}
