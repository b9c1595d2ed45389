//! Tells when fewer agents serve than jobs need.

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, Grants, Policy, Service, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// How many agents have to serve.
        agents: u32 = 2, 1..=1_000;
    }
}

/// The policy.
pub struct AgentsMissing;

impl Policy for AgentsMissing {
    type Settings = Settings;
    const NAME: &'static str = "agents-missing";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Tells when fewer agents serve than jobs need.";
    const NEEDS: Grants = Grants::ALERT;

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        // A count changes less often than what is counted: the policy is asked less often, too.
        let serving = snapshot.count(Filter::all().service(Service::Agent).expected(true)).up;
        if serving < settings.agents {
            let summary = format!("agents that serve: {serving}; needed: {}", settings.agents);
            evaluation.alert(Alert::warning("agents-missing").summary(summary));
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(AgentsMissing);
