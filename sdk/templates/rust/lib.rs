//! Starts REST again on the active side, and tells so.

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, Grants, Policy, Service, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set. The comments are what an administrator reads.
    pub struct Settings {
        /// How many times in a row REST has to be found down before it is started again.
        confirmations: u32 = 3, 1..=100;
        /// The code of the alert rest-down.
        code: String = "";
    }
}

/// The policy.
pub struct Rule;

impl Policy for Rule {
    type Settings = Settings;
    const NAME: &'static str = "{{name}}";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Starts REST again on the active side, and tells so.";
    const NEEDS: Grants = Grants::RESCUE.union(Grants::ALERT);

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _state: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        let down = Filter::active().service(Service::Rest).down().expected(true);
        for rest in snapshot.services(down) {
            // What an operator has in maintenance is not judged.
            if rest.maintenance || !rest.state.down_for(settings.confirmations) {
                continue;
            }
            let summary = format!("REST on {} does not serve: {}", rest.server, rest.state.detail);
            evaluation
                .rescue(&rest, "REST does not serve")
                .alert(Alert::critical("rest-down").on(&rest).code(&settings.code).summary(summary));
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(Rule);
