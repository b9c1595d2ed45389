//! The same rules in Rego, evaluated by regorus: JSON in and out.
//!
//! To regorus' advantage, making the JSON of a snapshot is not counted, its engine is prepared once
//! and kept, and what it says need not be checked.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use watchkeeper_core::proposal::Evaluation;
use watchkeeper_core::settings::SettingValue;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_wasm::policy::Description;

use crate::Failed;

const RULES: &str = include_str!("data-mover-ha.rego");

/// The rules with their settings.
pub(crate) struct Rego {
    engine: regorus::Engine,
}

impl Rego {
    /// With the settings of the policy, by their names.
    pub(crate) fn new(
        description: &Description,
        settings: &[SettingValue],
    ) -> Result<Self, Failed> {
        let settings: BTreeMap<&str, Value> = description
            .settings
            .iter()
            .zip(settings)
            .map(|(setting, value)| (setting.name.as_str(), plain(value)))
            .collect();
        let mut engine = regorus::Engine::new();
        engine.add_policy("data-mover-ha.rego".to_owned(), RULES.to_owned())?;
        engine.add_data_json(&json!({ "settings": settings }).to_string())?;
        Ok(Self { engine })
    }

    /// What it decides, as JSON, from a snapshot in JSON.
    pub(crate) fn decide(&mut self, snapshot: &str) -> Result<String, Failed> {
        self.engine.set_input_json(snapshot)?;
        let decision = self.engine.eval_rule("data.watchkeeper.decision".to_owned())?;
        Ok(decision.to_json_str()?)
    }

    /// Fails unless it decides the same about `snapshot` as the policy did.
    pub(crate) fn agrees(
        &mut self,
        case: &str,
        snapshot: &Snapshot,
        evaluation: &Evaluation,
    ) -> Result<(), Failed> {
        let mut theirs: Value =
            serde_json::from_str(&self.decide(&serde_json::to_string(snapshot)?)?)?;
        let mut ours = json!({ "proposals": evaluation.proposals, "alerts": evaluation.alerts });
        for decision in [&mut theirs, &mut ours] {
            if let Some(alerts) = decision.get_mut("alerts").and_then(Value::as_array_mut) {
                alerts.sort_by_key(ToString::to_string);
            }
        }
        if theirs == ours {
            return Ok(());
        }
        Err(format!("case {case}: the policy says {ours:#}, Rego says {theirs:#}").into())
    }
}

fn plain(value: &SettingValue) -> Value {
    match value {
        SettingValue::Flag(flag) => json!(flag),
        SettingValue::Integer(number) => json!(number),
        SettingValue::Text(text) => json!(text),
        SettingValue::Texts(texts) => json!(texts),
    }
}
