//! From Monday to Friday, 8 to 18, nothing is done without an operator.

use std::time::Duration;

use watchkeeper_sdk::policy::{Evaluation, Grants, Policy, Snapshot};

const HOUR: u64 = 3_600_000;

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// The hour at which the office opens, in UTC.
        from: u8 = 8, 0..=23;
        /// The hour at which it closes.
        until: u8 = 18, 1..=24;
    }
}

/// The policy.
pub struct OfficeHours;

impl Policy for OfficeHours {
    type Settings = Settings;
    const NAME: &'static str = "office-hours";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "In office hours nothing is done without an operator.";
    const NEEDS: Grants = Grants::HOLD;

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let now = snapshot.time();
        let (day, hour) = (now / (24 * HOUR), now / HOUR % 24);
        // 1970-01-01 was a Thursday: 0 is Monday.
        let weekend = (day + 3) % 7 >= 5;
        let open = u64::from(settings.from)..u64::from(settings.until);
        let mut evaluation = Evaluation::new();
        if !weekend && open.contains(&hour) {
            evaluation.hold("office hours: an operator decides");
        }
        // The next hour may be another.
        evaluation.look_again(Duration::from_millis(HOUR - now % HOUR));
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(OfficeHours);
