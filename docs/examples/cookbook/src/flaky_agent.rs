//! Tells of every agent that is down, but for those that are known to come and go.

use watchkeeper_sdk::policy::{Alert, Evaluation, Filter, Grants, Policy, Service, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// The servers whose agents come and go.
        flaky: Vec<String> = &[];
        /// How many times in a row an agent has to be found down.
        confirmations: u32 = 3, 1..=100;
    }
}

/// The policy.
pub struct FlakyAgent;

impl Policy for FlakyAgent {
    type Settings = Settings;
    const NAME: &'static str = "flaky-agent";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Tells of agents that are down, but for those that come and go.";
    const NEEDS: Grants = Grants::ALERT;

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        for agent in snapshot.services(Filter::all().service(Service::Agent).down()) {
            let expected = agent.expected && !agent.maintenance;
            if settings.flaky.contains(&agent.server) {
                evaluation.note(format!("the agent on {} is down, as it often is", agent.server));
            } else if expected && agent.state.down_for(settings.confirmations) {
                let summary = format!("the agent on {} is down", agent.server);
                evaluation.alert(Alert::warning("agent-is-down").on(&agent).summary(summary));
            }
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(FlakyAgent);
