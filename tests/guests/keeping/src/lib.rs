//! A policy of the world `policy-keeping`: it never gives the snapshot back.

wit_bindgen::generate!({ world: "policy-keeping", path: "../../../sdk/wit/policy" });

use watchkeeper::policy::types::Grants;

struct Keeping;

export!(Keeping);

impl Guest for Keeping {
    fn describe() -> Description {
        Description {
            name: "keeping".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "Keeps the snapshot.".to_owned(),
            needs: Grants::empty(),
            settings: Vec::new(),
        }
    }

    fn evaluate(
        snapshot: Snapshot,
        _settings: Vec<SettingValue>,
        _state: Vec<u8>,
    ) -> Result<Evaluation, String> {
        let notes = vec![snapshot.time().to_string()];
        std::mem::forget(snapshot);
        Ok(Evaluation {
            proposals: Vec::new(),
            holds: Vec::new(),
            alerts: Vec::new(),
            state: Vec::new(),
            look_again: None,
            notes,
        })
    }

    fn migrate(_from_version: String, state: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok(state)
    }
}
