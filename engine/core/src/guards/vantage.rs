//! No failover away from a server that only this monitor cannot see, or that it looked at while it saw
//! nobody.
//!
//! While the active side's server is silent, other vantages look at it. Who sees it alive is right about
//! the server, and this monitor about the way to it: the way is cut. What was found before this silence, or
//! long ago, says nothing. That nobody finds it alive is no proof that it is gone; the confirmation
//! in the plan asks for that.
//!
//! A monitor that is cut off from everybody finds everybody silent, for as long as you like. The moment
//! its way is back, the first thing that it hears is that the standby is well, and what it knows of the
//! active side is from before: so a silence counts only if it was found after some other server had
//! answered for a while.

use super::Situation;
use super::freshness::is_to_come;
use crate::facts::{SEEN_FROM, Value};
use crate::model::{ServerName, Status};
use crate::snapshot::{Facts, Place, ServerFacts};

/// For how long another server has to have answered before the silent one was looked at: a look that
/// began before the way was back ends in silence up to its timeout later.
const IN_VIEW_FOR_MS: u64 = 5_000;

/// A vantage looks again every 10 s at the least, for up to 2 s.
const COUNTS_FOR_MS: u64 = 15_000;

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    let facts = situation.snapshot.facts();
    let active = situation.snapshot.at(Place::Active)?;
    if !is_silent(active) {
        return None;
    }
    let seen = seen_alive(facts, active);
    if !seen.is_empty() {
        let (s, who) = (if seen.len() == 1 { "s" } else { "" }, seen.join(", "));
        return Some(format!(
            "{} does not answer this monitor, and {who} see{s} it alive: the way to it is cut",
            active.name
        ));
    }
    sees_nobody(facts, active).then(|| {
        format!(
            "{} was looked at while no other server had answered this monitor for {} s: it may be the \
             monitor that was cut off",
            active.name,
            IN_VIEW_FOR_MS / 1000
        )
    })
}

fn is_silent(server: &ServerFacts) -> bool {
    server.state.status != Status::Up && server.state.reason.code.is_silence()
}

/// Whether the last look at the silent server says nothing, since nobody else was in view. Servers
/// without a probe of their own cannot be in view or out of it.
fn sees_nobody(facts: &Facts, active: &ServerFacts) -> bool {
    let mut others = facts
        .servers
        .iter()
        .filter(|it| it.name != active.name && it.state.confirmations > 0)
        .peekable();
    // One that was not looked at since the silence began may be out of view as well by now.
    let in_view = |it: &ServerFacts| {
        it.state.status == Status::Up
            && it.state.since.plus(IN_VIEW_FOR_MS) <= active.state.seen
            && it.state.seen >= active.state.since
            && !is_to_come(it.state.seen, facts.at)
    };
    others.peek().is_some() && !others.any(in_view)
}

/// From where the server is seen alive while it is silent here.
fn seen_alive(facts: &Facts, active: &ServerFacts) -> Vec<String> {
    let state = &active.state;
    let of = |server: &ServerName| *server == active.name;
    let lately = |at| at >= state.since && facts.at.since(at) <= COUNTS_FOR_MS;
    let own = facts.measures.iter().filter(|it| of(&it.server) && it.service.is_none());
    own.filter(|it| lately(it.at) && it.value == Value::Text("alive".into()))
        .filter_map(|it| it.name.strip_prefix(SEEN_FROM).map(str::to_owned))
        .collect()
}
