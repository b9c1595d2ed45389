//! Tells when the standby's lag has grown several times in a row: it does not catch up.

use std::cmp::Ordering;

use watchkeeper_sdk::policy::{Alert, Evaluation, Grants, Policy, Snapshot, Value};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// How many times in a row it has to have grown.
        times: u8 = 5, 1..=250;
    }
}

/// The policy.
pub struct LagGrows;

impl Policy for LagGrows {
    type Settings = Settings;
    const NAME: &'static str = "lag-grows";
    const VERSION: &'static str = "1.0.0";
    const SUMMARY: &'static str = "Tells when the standby's lag has grown several times in a row.";
    const NEEDS: Grants = Grants::ALERT;

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        evaluation.remember(state.to_vec());
        let measured = snapshot.measures("replay-lag-bytes").into_iter().next();
        let Some(Value::Integer(lag)) = measured.map(|it| it.value) else {
            return Ok(evaluation);
        };
        // What it was last, in eight bytes, and how many times it had grown, in one.
        let (before, grown) = match state.split_first_chunk() {
            Some((before, [grown])) => (i64::from_le_bytes(*before), *grown),
            _ => (lag, 0),
        };
        let grown = match lag.cmp(&before) {
            Ordering::Less => 0,
            Ordering::Equal => grown,
            Ordering::Greater => grown.saturating_add(1),
        };
        evaluation.remember([&lag.to_le_bytes()[..], &[grown]].concat());
        if grown >= settings.times {
            let summary = format!("the standby is {lag} bytes behind, and it grows");
            evaluation.alert(Alert::warning("lag-grows").summary(summary));
        }
        Ok(evaluation)
    }
}

watchkeeper_sdk::export_policy!(LagGrows);
