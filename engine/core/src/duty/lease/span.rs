//! How long a lease is certain.
//!
//! Invariant: what [`certain_for`] says is over before etcd lets the lease go. It is counted from before
//! the last renewal was sent, less a margin for clocks that run at different speeds. A renewal counts only
//! if a read that no stale leader can answer was answered after it in the same term of etcd's leader
//! ([`renewed`]): a leader that was cut off from the others goes on renewing for a moment what the next
//! one knows nothing of.

use std::time::Duration;

use super::keys::{Alive, Identity, Keys};
use super::{Entry, Index, Op, Transaction, Unchanged};

/// How often etcd is read at the least, so that nothing depends on its telling news.
const FLOOR: Duration = Duration::from_secs(5);

/// How long before its end a lease is not relied on any more.
pub fn margin(lease: Duration) -> Duration {
    (lease / 10).max(Duration::from_millis(200))
}

/// How long a lease is relied on, from the moment at which the renewal was asked for that gave it `ttl`.
/// `lease` is what is configured.
pub fn certain_for(ttl: Duration, lease: Duration) -> Duration {
    ttl.min(lease).saturating_sub(margin(lease))
}

/// How often a lease is renewed.
pub fn renewed_every(lease: Duration) -> Duration {
    (lease / 3).min(FLOOR)
}

/// What came of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// It counts.
    Confirmed,
    /// Etcd changed its leader meanwhile: to be done again.
    Unclear,
    /// Somebody took the name away: the lease is not this monitor's to act on.
    Displaced,
}

/// What a renewal is worth that a leader of the term `raft_term` has answered, given the keys that were
/// read after it.
pub fn renewed(raft_term: u64, index: &Index, keys: &Keys, me: &Identity, lease: u64) -> Renewed {
    let key = keys.monitor(&me.monitor);
    if index.raft_term != raft_term {
        Renewed::Unclear
    } else if index.entries.iter().any(|entry| entry.key == key && entry.lease == lease) {
        Renewed::Confirmed
    } else {
        Renewed::Displaced
    }
}

/// How this monitor's key is written, if it was last changed in the revision `since`.
pub fn announce(keys: &Keys, me: &Identity, alive: &Alive, lease: u64, since: u64) -> Transaction {
    let key = keys.monitor(&me.monitor);
    // Names and digits always have a JSON form.
    let value = serde_json::to_string(alive).unwrap_or_default();
    Transaction {
        conditions: vec![Unchanged { key: key.clone(), since }],
        then: vec![Op::Put { key: key.clone(), value, lease: Some(lease) }],
        otherwise: vec![Op::Get { key }],
    }
}

/// The revision to depend on next, if the key was found like this; or the journal of another daemon
/// that has this monitor's name.
pub fn announce_after(me: &Identity, found: Option<&Entry>) -> Result<u64, String> {
    let Some(entry) = found else { return Ok(0) };
    match serde_json::from_slice::<Alive>(&entry.value) {
        Ok(other) if other.journal != me.journal => Err(other.journal),
        _ => Ok(entry.revision),
    }
}
