//! What is wrong at this moment, and what is still to be told about it.
//!
//! Policies and the engine claim what is wrong again and again; the [`AlertBook`] turns that into
//! alerts that fire once and are resolved once. The [`Outbox`] holds what is still to be
//! delivered. Both are folds of events, so a crash between raising and delivering loses nothing
//! (invariant 6).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{ClusterName, ReceiverName, Timestamp};
use crate::proposal::AlertClaim;

/// Identifies an alert: the same trouble has the same fingerprint each time it fires. It is
/// the 64-bit FNV-1a hash of what makes the alert's identity, in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of what `claim` says of `cluster`.
    pub fn of(cluster: Option<&ClusterName>, source: &str, claim: &AlertClaim) -> Self {
        let mut hash = Fnv::new();
        hash.field(cluster.map_or("", ClusterName::as_str));
        hash.field(source);
        hash.field(&claim.name);
        hash.field(claim.server.as_ref().map_or("", |server| server.as_str()));
        hash.field(claim.service.map_or("", crate::model::Service::as_str));
        for (name, value) in &claim.labels {
            hash.field(name);
            hash.field(value);
        }
        Self(format!("{:016x}", hash.0))
    }

    /// Its 16 hexadecimal digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// FNV-1a with its published 64-bit constants.
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) const fn finish(&self) -> u64 {
        self.0
    }

    pub(crate) fn field(&mut self, text: &str) {
        // A byte that no text holds ends each field, so that two fields never run together.
        for byte in text.bytes().chain([0xff]) {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// Something that is or was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Identifies it.
    pub fingerprint: Fingerprint,
    /// Who raised it: a policy's name, or `engine`.
    pub source: String,
    /// What is wrong.
    #[serde(flatten)]
    pub claim: AlertClaim,
    /// What Watchkeeper does about it, as far as was known when it was told; empty if nothing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
    /// Since when.
    pub starts_at: Timestamp,
    /// Until when, if it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
}

/// A claim with its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// A policy's name, or `engine`.
    pub source: String,
    /// What is claimed.
    #[serde(flatten)]
    pub claim: AlertClaim,
}

/// The alerts that are firing for one cluster, or for the monitor itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AlertBook {
    firing: BTreeMap<Fingerprint, Alert>,
}

/// What a set of claims changes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Alerts that begin, or that are worse than when they were last told: those keep their
    /// beginning.
    pub fired: Vec<Alert>,
    /// Alerts that are over, with the moment of their end.
    pub resolved: Vec<Alert>,
}

impl AlertBook {
    /// The alerts that are firing, by fingerprint.
    pub fn firing(&self) -> impl Iterator<Item = &Alert> {
        self.firing.values()
    }

    /// Compares what is claimed now with what is firing. A source in `silent` said nothing, which
    /// is not the same as saying that all is well: its alerts stay.
    pub fn compare(
        &self,
        cluster: Option<&ClusterName>,
        claims: &[Claimed],
        silent: &BTreeSet<String>,
        now: Timestamp,
    ) -> Changes {
        let mut claimed = BTreeSet::new();
        let mut changes = Changes::default();
        for Claimed { source, claim } in claims {
            let fingerprint = Fingerprint::of(cluster, source, claim);
            if !claimed.insert(fingerprint.clone()) {
                continue;
            }
            // Another summary is no news: a figure in it may change with every fact. More
            // severity is; less of it is told by the resolution.
            let known = self.firing.get(&fingerprint);
            if known.is_none_or(|known| claim.severity > known.claim.severity) {
                changes.fired.push(Alert {
                    fingerprint,
                    source: source.clone(),
                    claim: claim.clone(),
                    details: String::new(),
                    starts_at: known.map_or(now, |known| known.starts_at),
                    ends_at: None,
                });
            }
        }
        changes.resolved = self
            .firing
            .values()
            .filter(|alert| !claimed.contains(&alert.fingerprint))
            .filter(|alert| !silent.contains(&alert.source))
            .map(|alert| Alert { ends_at: Some(now), ..alert.clone() })
            .collect();
        changes
    }

    /// Takes in that an alert fires.
    pub fn fire(&mut self, alert: Alert) {
        self.firing.insert(alert.fingerprint.clone(), alert);
    }

    /// Takes in that an alert is over.
    pub fn resolve(&mut self, fingerprint: &Fingerprint) {
        self.firing.remove(fingerprint);
    }

    /// Takes out the alerts that `goes` picks: another monitor goes on with them.
    pub fn hand_over(&mut self, goes: impl Fn(&Alert) -> bool) -> Vec<Alert> {
        let (gone, kept) =
            std::mem::take(&mut self.firing).into_iter().partition(|(_, alert)| goes(alert));
        self.firing = kept;
        BTreeMap::into_values(gone).collect()
    }
}

/// A notification that is still to be delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Identifies it.
    pub id: u64,
    /// Where to.
    pub receiver: ReceiverName,
    /// The cluster it is about; none: the monitor itself.
    pub cluster: Option<ClusterName>,
    /// What about.
    pub alert: Alert,
    /// When it was queued.
    pub queued: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// Not before this moment.
    pub due: Timestamp,
    /// What went wrong the last time.
    pub problem: Option<String>,
    /// Whether it is no longer tried by itself.
    pub dead: bool,
}

/// What is still to be delivered, and what could not be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbox {
    entries: BTreeMap<u64, Notification>,
    next_id: u64,
    /// Who has been, or is to be, told that an alert fires and not yet that it is over.
    told: BTreeMap<Fingerprint, BTreeSet<ReceiverName>>,
}

impl Outbox {
    /// The id for the next notification.
    pub const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Everything that is not delivered, oldest first.
    pub fn entries(&self) -> impl Iterator<Item = &Notification> {
        self.entries.values()
    }

    /// Who has to be told when this alert is over: those who were told that it fires.
    pub fn told(&self, fingerprint: &Fingerprint) -> impl Iterator<Item = &ReceiverName> {
        self.told.get(fingerprint).into_iter().flatten()
    }

    /// Takes in who was told of an alert that another monitor raised, and is to be told of its end.
    pub fn adopt(&mut self, fingerprint: &Fingerprint, receivers: &BTreeSet<ReceiverName>) {
        if !receivers.is_empty() {
            self.told.entry(fingerprint.clone()).or_default().extend(receivers.iter().cloned());
        }
    }

    /// Another monitor says when this alert is over.
    pub fn disown(&mut self, fingerprint: &Fingerprint) {
        self.told.remove(fingerprint);
    }

    /// What may be tried now: per receiver and alert only the oldest that is not dead, so that a
    /// resolution never overtakes its alert, and a dead notification holds up nothing.
    pub fn due(&self, now: Timestamp) -> Vec<&Notification> {
        self.heads().filter(|entry| entry.due <= now).collect()
    }

    /// The next moment at which something becomes due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.heads().map(|entry| entry.due).min()
    }

    fn heads(&self) -> impl Iterator<Item = &Notification> {
        let mut seen = BTreeSet::new();
        self.entries
            .values()
            .filter(|entry| !entry.dead)
            .filter(move |entry| seen.insert((&entry.receiver, &entry.alert.fingerprint)))
    }

    /// Takes in a new notification.
    pub fn queue(&mut self, notification: Notification) {
        self.next_id = self.next_id.max(notification.id.saturating_add(1));
        let told = self.told.entry(notification.alert.fingerprint.clone()).or_default();
        if notification.alert.ends_at.is_none() {
            told.insert(notification.receiver.clone());
        } else {
            told.remove(&notification.receiver);
        }
        if told.is_empty() {
            self.told.remove(&notification.alert.fingerprint);
        }
        self.entries.insert(notification.id, notification);
    }

    /// Takes in a failed attempt.
    pub fn tried(&mut self, id: u64, problem: String, again: Timestamp) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.tries = entry.tries.saturating_add(1);
            entry.due = again;
            entry.problem = Some(problem);
        }
    }

    /// Takes in a delivery.
    pub fn delivered(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// Takes in that it is given up.
    pub fn died(&mut self, id: u64, problem: String) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.tries = entry.tries.saturating_add(1);
            entry.dead = true;
            entry.problem = Some(problem);
        }
    }
}
