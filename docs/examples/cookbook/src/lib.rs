//! The rules of docs/cookbook.md in Rust, each as the lib.rs that it would be.

pub mod agents_missing;
pub mod escalate;
pub mod flaky_agent;
pub mod lag_grows;
pub mod office_hours;
pub mod twice_an_hour;
pub mod two_down;
