//! Switching a server off that was not confirmed stopped.
//!
//! The levels are tried in their order; the first at whose end its agents say that the power is off
//! counts. What is off already is not touched. Before each level is asked to switch off, the leave to
//! act is asked for: no server checks what an agent does.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::ServerName;

use super::leave::Leave;
use super::{Equipment, done, failed};
use crate::fence::{Level, Power};

/// The time between two looks at whether the power has gone: the agents wait for that themselves.
const PAUSE: Duration = Duration::from_millis(500);

/// Has `name` switched off. `why` says what made it necessary, for people.
pub(super) async fn fence(
    equipment: &Equipment,
    leave: &Leave<'_>,
    name: &ServerName,
    why: &str,
    deadline: Instant,
) -> Outcome {
    let levels = equipment.fences.get(name).map(Vec::as_slice).unwrap_or_default();
    let mut failures = Vec::new();
    for level in levels {
        tracing::warn!(server = %name, level = level.name(), why, "the server is fenced");
        match one(level, leave, deadline).await {
            Ok(changed) => {
                let how = if changed { "was switched off by" } else { "is off already, says" };
                let also = match failures.as_slice() {
                    [] => String::new(),
                    some => format!(" (before it: {})", some.join("; ")),
                };
                return done(format!("{why}; {name} {how} {}{also}", level.name()), changed);
            }
            Err(failure) => failures.push(failure),
        }
        if leave.is_withdrawn() {
            break;
        }
    }
    match failures.as_slice() {
        [] => failed(format!("{why}; {name} has no fence agent any more")),
        some => failed(format!("{why}; {name} could not be fenced: {}", some.join("; "))),
    }
}

/// Whether something was changed by it; the error is for people.
async fn one(level: &Level, leave: &Leave<'_>, deadline: Instant) -> Result<bool, String> {
    if level.power(deadline).await? == Power::Off {
        return Ok(false);
    }
    leave.ask().await?;
    let longest = level.0.iter().map(|agent| agent.timeout).max().unwrap_or_default();
    let until = deadline.min(Instant::now() + longest);
    level.switch_off(deadline).await?;
    loop {
        if level.power(deadline).await? == Power::Off {
            return Ok(true);
        }
        if Instant::now() + PAUSE >= until {
            return Err(format!("{}: it was asked to switch off, and is on", level.name()));
        }
        sleep(PAUSE).await;
    }
}
