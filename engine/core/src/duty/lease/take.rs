//! How the duty is taken.
//!
//! Invariant: it is taken only if its key is as the decision to take it saw it, so of two that decide the
//! same one is refused; and with it comes what the one before has shared, or it is not taken.

use super::keys::{Identity, Keys, Shared};
use super::{Entry, Op, Transaction, Unchanged};
use crate::duty::{Change, Grantor};
use crate::model::{ClusterName, Term};

/// Writes the duty's key if it was last changed in the revision `since`, and reads where the cluster
/// stands.
pub fn take(
    keys: &Keys,
    cluster: &ClusterName,
    me: &Identity,
    lease: u64,
    since: u64,
) -> Transaction {
    let (duty, state) = (keys.duty(cluster), keys.state(cluster));
    Transaction {
        conditions: vec![Unchanged { key: duty.clone(), since }],
        then: vec![
            Op::Put { key: duty.clone(), value: written(me), lease: Some(lease) },
            Op::Get { key: state },
        ],
        otherwise: vec![Op::Get { key: duty }],
    }
}

/// The value of the duty's key.
pub fn written(me: &Identity) -> String {
    // Names and digits always have a JSON form.
    serde_json::to_string(me).unwrap_or_default()
}

/// Removes the duty's key if it is still the one of this term.
pub fn undo(keys: &Keys, cluster: &ClusterName, term: Term) -> Transaction {
    let duty = keys.duty(cluster);
    Transaction {
        conditions: vec![Unchanged { key: duty.clone(), since: term.0 }],
        then: vec![Op::Delete { key: duty }],
        otherwise: Vec::new(),
    }
}

/// What stood in etcd about the cluster when the duty was taken.
pub fn shared(state: Option<&Entry>) -> Result<Option<Shared>, serde_json::Error> {
    state.map(|entry| serde_json::from_slice(&entry.value)).transpose()
}

/// What is recorded of a duty that was taken, with what was `shared`. `version` is that of this journal.
pub fn taken(
    me: &Identity,
    version: u64,
    term: Term,
    grantor: Grantor,
    shared: Option<Shared>,
) -> Change {
    let news = shared.filter(|shared| !shared.is_own(me, version));
    Change::Taken { term, grantor, past: news.map(|shared| shared.past) }
}
