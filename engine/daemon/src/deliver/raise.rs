//! What is recorded when alerts begin, grow worse and end.

use watchkeeper_core::alerting::{Alert, Changes};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::ClusterName;

use crate::journal::Events;

/// The events that record `changes`. They belong into one append with the decision that made the
/// changes; who is told of them is [the dispatcher's](super::Dispatcher) to say, from the journal.
/// `details` says what is done about them; empty: nothing that is known.
pub fn alert_events(cluster: Option<&ClusterName>, changes: &Changes, details: &str) -> Events {
    let fired = changes
        .fired
        .iter()
        .map(|alert| Event::AlertFired(Alert { details: details.to_owned(), ..alert.clone() }));
    let resolved = changes.resolved.iter().map(|alert| Event::AlertResolved {
        fingerprint: alert.fingerprint.clone(),
        details: details.to_owned(),
    });
    fired.chain(resolved).map(|event| (cluster.cloned(), event)).collect()
}
