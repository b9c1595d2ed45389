//! What is down is a warning at first, and critical when it still is after a while.

use std::time::Duration;

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, Grants, Policy, Severity, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// After how long it is critical.
        after: Duration = Duration::from_mins(10), Duration::from_secs(1)..=Duration::from_hours(24);
    }
}

/// The policy.
pub struct Escalate;

impl Policy for Escalate {
    type Settings = Settings;
    const NAME: &'static str = "escalate";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "What is down is a warning at first, and critical after a while.";
    const NEEDS: Grants = Grants::ALERT;

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        for service in snapshot.services(Filter::all().down().expected(true)) {
            if service.maintenance {
                continue;
            }
            let down = Duration::from_millis(snapshot.time().saturating_sub(service.state.since));
            let left = settings.after.saturating_sub(down);
            let severity = if left.is_zero() { Severity::Critical } else { Severity::Warning };
            let summary = format!("{} on {} is down", service.service.name(), service.server);
            evaluation.alert(Alert::new(severity, "is-down").on(&service).summary(summary));
            if !left.is_zero() {
                evaluation.look_again(left);
            }
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(Escalate);
