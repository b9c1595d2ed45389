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
//! answered for a while. And only once each of those has said what it finds, be it that it cannot tell:
//! who has just been given the duty has not asked anybody yet, and a policy may ask for a failover
//! at the first silence. One that was not looked at since the silence began is waited for as well, until
//! it has said what it finds, is found silent, or was seen last too long ago.

use super::Situation;
use super::freshness::is_to_come;
use crate::facts::{SEEN_FROM, Value};
use crate::model::{ServerName, Status, Timestamp};
use crate::snapshot::{Facts, Place, ServerFacts};

/// For how long another server has to have answered before the silent one was looked at: a look that
/// began before the way was back ends in silence up to its timeout later.
const IN_VIEW_FOR_MS: u64 = 5_000;

/// A vantage looks again every 10 s at the least, for up to 2 s. Each server is looked at more often.
const COUNTS_FOR_MS: u64 = 15_000;

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    let facts = situation.snapshot.facts();
    let active = situation.snapshot.at(Place::Active)?;
    if !is_silent(active) {
        return None;
    }
    let said = said(facts, active);
    let alive = Value::Text("alive".into());
    let seen: Vec<&str> =
        said.iter().filter(|(_, word)| **word == alive).map(|(who, _)| *who).collect();
    if !seen.is_empty() {
        let (s, who) = (if seen.len() == 1 { "s" } else { "" }, seen.join(", "));
        return Some(format!(
            "{} does not answer this monitor, and {who} see{s} it alive: the way to it is cut",
            active.name
        ));
    }
    // Without a probe of its own, a server cannot be in view or out of it.
    let looked_at = |it: &&ServerFacts| it.name != active.name && it.state.confirmations > 0;
    let others: Vec<&ServerFacts> = facts.servers.iter().filter(looked_at).collect();
    if !others.is_empty() && !others.iter().any(|it| was_in_view(it, active, facts.at)) {
        return Some(format!(
            "{} was looked at while no other server had answered this monitor for {} s: it may be the \
             monitor that was cut off",
            active.name,
            IN_VIEW_FOR_MS / 1000
        ));
    }
    let unheard = others.into_iter().find(|it| {
        answered_before(it, active)
            && facts.at.since(it.state.seen) <= COUNTS_FOR_MS
            && said.iter().all(|(who, _)| *who != it.name.as_str())
    })?;
    Some(format!("{} has not said yet whether it sees {} alive", unheard.name, active.name))
}

fn is_silent(server: &ServerFacts) -> bool {
    server.state.status != Status::Up && server.state.reason.code.is_silence()
}

/// Whether a server had answered for a while when the silent one was looked at.
fn answered_before(server: &ServerFacts, active: &ServerFacts) -> bool {
    server.state.status == Status::Up
        && server.state.since.plus(IN_VIEW_FOR_MS) <= active.state.seen
}

/// Whether it certainly answered then. One that was not looked at since the silence began may be out of view as
/// well by now.
fn was_in_view(server: &ServerFacts, active: &ServerFacts, now: Timestamp) -> bool {
    answered_before(server, active)
        && server.state.seen >= active.state.since
        && !is_to_come(server.state.seen, now)
}

/// What others say of the server while it is silent here, by who says it.
fn said<'a>(facts: &'a Facts, active: &ServerFacts) -> Vec<(&'a str, &'a Value)> {
    let state = &active.state;
    let of = |server: &ServerName| *server == active.name;
    let lately = |at| at >= state.since && facts.at.since(at) <= COUNTS_FOR_MS;
    let own = facts.measures.iter().filter(|it| of(&it.server) && it.service.is_none());
    own.filter(|it| lately(it.at))
        .filter_map(|it| Some((it.name.strip_prefix(SEEN_FROM)?, &it.value)))
        .collect()
}
