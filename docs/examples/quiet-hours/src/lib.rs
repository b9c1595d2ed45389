//! Holds all actions at the same time of every day, such as while a backup stops services on
//! purpose. A lost active server ends the quiet.

use std::time::Duration;

use watchkeeper_sdk::policy::{Alert, Evaluation, Grants, Place, Policy, Snapshot, Status};

const DAY: u64 = 24 * 60 * 60 * 1000;

watchkeeper_sdk::settings! {
    /// What the configuration can set. The comments are what `policy inspect` shows.
    pub struct Settings {
        /// When the quiet begins, counted from midnight in UTC.
        begin: Duration = Duration::from_hours(2), Duration::ZERO..=Duration::from_hours(24);
        /// How long it lasts.
        length: Duration = Duration::from_mins(30), Duration::from_mins(1)..=Duration::from_hours(23);
        /// How many times in a row the active server has to be found down or unknown to end it.
        lost_confirmations: u32 = 5, 1..=100;
    }
}

/// The policy.
pub struct QuietHours;

impl Policy for QuietHours {
    type Settings = Settings;
    const NAME: &'static str = "quiet-hours";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Holds all actions at the same time of every day.";
    const NEEDS: Grants = Grants::HOLD.union(Grants::ALERT);

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        _state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        let begin = millis(settings.begin) % DAY;
        let length = millis(settings.length);
        // How long ago the quiet began last: right over midnight, too.
        let passed = (snapshot.time() % DAY + DAY - begin) % DAY;
        if passed >= length {
            evaluation.look_again(Duration::from_millis(DAY - passed));
            return Ok(evaluation);
        }
        let left = Duration::from_millis(length - passed);
        evaluation.look_again(left);
        if let Some(active) = snapshot.server_at(Place::Active)
            && active.state.status != Status::Up
            && active.state.confirmations >= settings.lost_confirmations
        {
            evaluation.note(format!("{} is lost, so there is no quiet", active.name));
            return Ok(evaluation);
        }
        evaluation.hold("quiet hours").alert(
            Alert::info("quiet-hours").summary("quiet hours: nothing is rescued or failed over"),
        );
        Ok(evaluation)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

watchkeeper_sdk::export_policy!(QuietHours);
