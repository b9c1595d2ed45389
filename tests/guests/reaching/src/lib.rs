//! A policy that wants files and the network, which no guest gets.

wit_bindgen::generate!({ world: "policy", path: "../../../sdk/wit/policy" });

use watchkeeper::policy::types::Grants;

struct Reaching;

export!(Reaching);

impl Guest for Reaching {
    fn describe() -> Description {
        Description {
            name: "reaching".to_owned(),
            version: "0.1.0".to_owned(),
            summary: std::fs::read_to_string("/etc/passwd").unwrap_or_default(),
            needs: Grants::empty(),
            settings: Vec::new(),
        }
    }

    fn evaluate(
        _snapshot: &Snapshot,
        _settings: Vec<SettingValue>,
        _state: Vec<u8>,
    ) -> Result<Evaluation, String> {
        std::net::TcpStream::connect("127.0.0.1:1").map_err(|error| error.to_string())?;
        Err("it should not have come to this".to_owned())
    }

    fn migrate(_from_version: String, state: Vec<u8>) -> Result<Vec<u8>, String> {
        Ok(state)
    }
}
