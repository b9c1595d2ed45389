//! Fails over when two services of the active side have been down for a minute, and not for one.

use std::time::Duration;

use watchkeeper_sdk::policy::{Evaluation, Filter, Grants, Phase, Policy, Service, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// How many services have to be down.
        services: u8 = 2, 1..=7;
        /// For how long.
        time: Duration = Duration::from_mins(1), Duration::ZERO..=Duration::from_hours(1);
    }
}

/// The policy.
pub struct TwoDown;

impl Policy for TwoDown {
    type Settings = Settings;
    const NAME: &'static str = "two-down";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Fails over when two services have been down for a minute.";
    const NEEDS: Grants = Grants::FAILOVER;

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        let mut down = snapshot.services(Filter::active().expected(true).down());
        down.retain(|it| it.service != Service::Agent && !it.maintenance);
        // When enough of them were down: that the last of so many joined them.
        down.sort_by_key(|it| it.state.since);
        let last = usize::from(settings.services) - 1;
        let Some(enough) = down.get(last) else { return Ok(evaluation) };
        if snapshot.cluster().phase != Phase::Active {
            return Ok(evaluation);
        }
        let for_now = Duration::from_millis(snapshot.time().saturating_sub(enough.state.since));
        match settings.time.checked_sub(for_now) {
            Some(left) if !left.is_zero() => evaluation.look_again(left),
            _ => {
                let names: Vec<&str> = down.iter().map(|it| it.service.name()).collect();
                evaluation.failover(format!("{} are down", names.join(" and ")))
            }
        };
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(TwoDown);
