//! No failover away from a server that only this monitor cannot see.
//!
//! While the active side's server is silent, other vantages look at it. Who sees it alive is right about
//! the server, and this monitor about the way to it: the way is cut. What was found before this silence, or
//! long ago, says nothing. That nobody finds it alive is no proof that it is gone; the confirmation
//! in the plan asks for that.

use super::Situation;
use crate::facts::Value;
use crate::model::{ServerName, Status};
use crate::snapshot::{Facts, Place, ServerFacts};

/// A vantage looks again every 10 s at the least, for up to 2 s.
const COUNTS_FOR_MS: u64 = 15_000;

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    let facts = situation.snapshot.facts();
    let active = situation.snapshot.at(Place::Active)?;
    let seen = seen_alive(facts, active);
    (!seen.is_empty()).then(|| {
        let (s, who) = (if seen.len() == 1 { "s" } else { "" }, seen.join(", "));
        format!(
            "{} does not answer this monitor, and {who} see{s} it alive: the way to it is cut",
            active.name
        )
    })
}

/// From where the server is seen alive while it is silent here.
fn seen_alive(facts: &Facts, active: &ServerFacts) -> Vec<String> {
    let state = &active.state;
    if state.status == Status::Up || !state.reason.code.is_silence() {
        return Vec::new();
    }
    let of = |server: &ServerName| *server == active.name;
    let lately = |at| at >= state.since && facts.at.since(at) <= COUNTS_FOR_MS;
    let own = facts.measures.iter().filter(|it| of(&it.server) && it.service.is_none());
    own.filter(|it| lately(it.at) && it.value == Value::Text("alive".into()))
        .filter_map(|it| it.name.strip_prefix("seen-from-").map(str::to_owned))
        .collect()
}
