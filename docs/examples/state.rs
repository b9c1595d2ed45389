use watchkeeper_sdk::policy::{Evaluation, Filter, Grants, Policy, Snapshot};

/// Remembers the most services that were ever down at once.
pub struct Worst;

impl Policy for Worst {
    type Settings = ();
    const NAME: &'static str = "worst";
    const VERSION: &'static str = "2.0.0";
    const SUMMARY: &'static str = "Remembers the most services that were ever down at once.";
    const NEEDS: Grants = Grants::empty();

    fn evaluate(snapshot: &Snapshot, (): &(), state: &[u8]) -> Result<Evaluation, String> {
        let before = match state {
            [] => 0,
            state => u32::from_le_bytes(state.try_into().map_err(|_| "the state is not mine")?),
        };
        let now = snapshot.count(Filter::active().expected(true).down()).down;
        let mut evaluation = Evaluation::new();
        evaluation.remember(before.max(now).to_le_bytes().to_vec());
        Ok(evaluation)
    }

    fn migrate(from_version: &str, state: Vec<u8>) -> Result<Vec<u8>, String> {
        match (from_version, state.as_slice()) {
            // Version 1 kept one byte.
            ("1.0.0", [worst]) => Ok(u32::from(*worst).to_le_bytes().to_vec()),
            ("1.0.0", _) => Err("the state of 1.0.0 has one byte".to_owned()),
            _ => Ok(state),
        }
    }
}

watchkeeper_sdk::export_policy!(Worst);
