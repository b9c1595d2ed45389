//! Starts REST again at most twice an hour; what stops more often is for people.

use std::time::Duration;

use watchkeeper_sdk::policy::{
    Alert, Evaluation, Filter, Grants, Phase, Policy, Service, Snapshot,
};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// How many times within `window`.
        most: u8 = 2, 1..=100;
        /// How long an attempt counts.
        window: Duration = Duration::from_hours(1), Duration::from_mins(1)..=Duration::from_hours(24);
    }
}

/// The policy.
pub struct TwiceAnHour;

impl Policy for TwiceAnHour {
    type Settings = Settings;
    const NAME: &'static str = "twice-an-hour";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Starts REST again at most twice an hour.";
    const NEEDS: Grants = Grants::RESCUE.union(Grants::ALERT);

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        let rest = Filter::active().service(Service::Rest).down();
        for rest in snapshot.services(rest) {
            if rest.maintenance || !rest.state.down_for(3) {
                continue;
            }
            let window = u64::try_from(settings.window.as_millis()).unwrap_or(u64::MAX);
            let begin = snapshot.time().saturating_sub(window);
            let tried = snapshot
                .rescues()
                .iter()
                .filter(|it| {
                    it.begun > begin && it.server == rest.server && it.service == rest.service
                })
                .count();
            if tried >= usize::from(settings.most) {
                let summary =
                    format!("REST on {} stops again and again: it stays down", rest.server);
                evaluation.alert(Alert::critical("rest-stays-down").on(&rest).summary(summary));
                evaluation.look_again(Duration::from_mins(1));
            } else if snapshot.cluster().phase == Phase::Active {
                evaluation.rescue(&rest, format!("REST is down: attempt {}", tried + 1));
            }
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(TwiceAnHour);
