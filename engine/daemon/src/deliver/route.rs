//! Who is told what.

use watchkeeper_core::alerting::{Alert, Changes, Outbox};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ClusterName, ReceiverName};

use super::receiver::{ReceiverConfig, Receivers};
use crate::journal::Events;

/// The receivers that want to hear of `alert`: those whose severity and clusters match.
pub fn route<'a>(
    cluster: Option<&ClusterName>,
    alert: &Alert,
    receivers: &'a Receivers,
) -> impl Iterator<Item = &'a ReceiverName> {
    let (cluster, severity) = (cluster.cloned(), alert.claim.severity);
    let wants = move |config: &&ReceiverConfig| {
        let here = cluster
            .as_ref()
            .is_none_or(|name| config.clusters.is_empty() || config.clusters.contains(name));
        here && severity >= config.min_severity
    };
    receivers.iter().filter(wants).map(|config| &config.name)
}

/// The events that record `changes` and queue what is to be told about them. They belong into one
/// append with the decision that made the changes.
///
/// That an alert is over is told to those who were told of it, whatever the routes are by now.
/// `details` says what is done about them; empty: nothing that is known.
/// The numbers of the notifications follow `outbox`, so nothing else may be queued in between.
pub fn queue_events(
    cluster: Option<&ClusterName>,
    changes: &Changes,
    details: &str,
    receivers: &Receivers,
    outbox: &Outbox,
) -> Events {
    let mut id = outbox.next_id();
    let mut events = Events::new();
    let mut queue = |events: &mut Events, receiver: &ReceiverName, alert: &Alert| {
        let (receiver, alert) = (receiver.clone(), alert.clone());
        events.push((cluster.cloned(), Event::NotificationQueued { id, receiver, alert }));
        id += 1;
    };
    let with_details = |alert: &Alert| Alert { details: details.to_owned(), ..alert.clone() };
    for alert in &changes.fired {
        let alert = &with_details(alert);
        events.push((cluster.cloned(), Event::AlertFired(alert.clone())));
        for receiver in route(cluster, alert, receivers) {
            queue(&mut events, receiver, alert);
        }
    }
    for alert in &changes.resolved {
        let fingerprint = alert.fingerprint.clone();
        events.push((cluster.cloned(), Event::AlertResolved { fingerprint }));
        let alert = &with_details(alert);
        for receiver in outbox.told(&alert.fingerprint) {
            queue(&mut events, receiver, alert);
        }
    }
    events
}
