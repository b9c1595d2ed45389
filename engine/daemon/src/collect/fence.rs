//! Asking a fence agent whether it answers, long before it is needed.

use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::fence::Agent;

/// Up: it answers, whatever it says of the power. Unknown: it does not, and cannot be relied on.
pub(super) async fn look(agent: &Agent, deadline: Instant) -> Finding {
    match agent.power(deadline).await {
        Ok(power) => {
            let detail = format!("{} says that the power is {}", agent.name, power.as_str());
            Finding::up(ReasonCode::Serving, &detail)
                .with("power", Value::Text(power.as_str().into()))
        }
        Err(why) => Finding::unknown(ReasonCode::Monitor, &why),
    }
}
