//! Evaluates a site's own rules in Rego.
//!
//! The rules are a setting, so that a site changes its rules and never this component. They get the
//! snapshot as `input`, in the form that the journal keeps, and their `decision` is what is proposed.
//! How each looks is in the README.
//!
//! Only what the rules mention is asked of the snapshot ([`asked`]): a policy is asked again when an
//! answer it got has changed, and the time, for one, is another in every snapshot.

mod asked;
mod input;
mod mistake;
mod output;
mod rules;

use watchkeeper_sdk::policy::{Evaluation, Grants, Policy, Snapshot, log};

use self::rules::Rules;

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// The rules, in Rego: `rules = { file = "rules.rego" }`.
        rules: String = "";
        /// JSON that the rules find as `data.settings`: a text, or `{ file = "settings.json" }`.
        data: String = "{}";
        /// The rule whose value is the decision.
        decision: String = "data.watchkeeper.decision";
        /// The names of the measured values that the rules find in `input.measures`.
        measures: Vec<String> = &[];
        /// What the rules may ask for, in the words of `grants`: more is a mistake in them.
        may: Vec<String> = &["rescue", "stop-service", "failover", "hold", "alert"];
    }
}

/// The policy.
pub struct Rego;

impl Policy for Rego {
    type Settings = Settings;
    const NAME: &'static str = "rego";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Evaluates a site's own rules in Rego.";
    /// Rules may ask for anything; what these may is the setting `may`.
    const NEEDS: Grants = Grants::all();

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut rules = Rules::read(settings)?;
        let input = input::document(snapshot, rules.asked(), &settings.measures)?;
        let decided = rules.decide(input, state)?;
        for line in rules.printed() {
            log::write(log::Level::Info, &line);
        }
        let evaluation = output::evaluation(&settings.decision, &decided)?;
        output::within(&settings.may, &evaluation)?;
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(Rego);
