//! The rules and what they find as `data`.

use regorus::{Engine, Source, Value};

use crate::Settings;
use crate::asked::Asked;
use crate::mistake;

/// What regorus calls the text, so that its errors begin with the setting's name.
const NAME: &str = "rules";

/// Rules, ready to decide.
pub(crate) struct Rules<'a> {
    engine: Engine,
    asked: Asked,
    decision: &'a str,
}

impl<'a> Rules<'a> {
    /// Reads the rules and their data. An error begins with the setting's name, line and column.
    pub(crate) fn read(settings: &'a Settings) -> Result<Self, String> {
        if settings.rules.trim().is_empty() {
            return Err(
                "rules:1:1: there are no rules: give them as the setting `rules`, such as \
                        `rules = { file = \"rules.rego\" }`"
                    .to_owned(),
            );
        }
        let wrong = |said: String| mistake::in_rules(&said);
        let source = Source::from_contents(NAME.to_owned(), settings.rules.clone())
            .map_err(|error| format!("{NAME}:1:1: {error}"))?;
        let mut engine = Engine::new();
        engine.set_gather_prints(true);
        engine
            .add_policy(NAME.to_owned(), settings.rules.clone())
            .map_err(|error| wrong(error.to_string()))?;
        let given = Value::from_json_str(&settings.data)
            .map_err(|error| mistake::in_json("data", &error.to_string()))?;
        engine.add_data(object([("settings", given)])).map_err(|error| error.to_string())?;
        Ok(Self { engine, asked: Asked::by(&source), decision: &settings.decision })
    }

    /// What of the snapshot they ask for.
    pub(crate) const fn asked(&self) -> &Asked {
        &self.asked
    }

    /// The decision about `input`; `state` is what the last one remembered.
    pub(crate) fn decide(&mut self, input: Value, state: &[u8]) -> Result<Value, String> {
        if !state.is_empty() {
            let remembered = core::str::from_utf8(state)
                .map_err(|error| error.to_string())
                .and_then(|text| Value::from_json_str(text).map_err(|error| error.to_string()))
                .and_then(|state| {
                    let state = object([("state", state)]);
                    self.engine.add_data(state).map_err(|error| error.to_string())
                });
            remembered
                .map_err(|error| format!("what the rules remembered cannot be read: {error}"))?;
        }
        self.engine.set_input(input);
        match self.engine.eval_rule(self.decision.to_owned()) {
            Ok(Value::Undefined) => {
                Err(format!("{} is undefined: give it a value in every case", self.decision))
            }
            Ok(decided) => Ok(decided),
            Err(error) => Err(mistake::in_rules(&error.to_string())),
        }
    }

    /// What the rules printed.
    pub(crate) fn printed(&mut self) -> Vec<String> {
        self.engine.take_prints().unwrap_or_default()
    }
}

/// An object with these keys.
pub(crate) fn object<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    let pairs = pairs.into_iter().map(|(key, value)| (Value::from(key), value));
    pairs.collect::<regorus::value::Object>().into_value()
}
