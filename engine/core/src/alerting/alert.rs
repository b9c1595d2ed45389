//! What is wrong at this moment: claims, compared with what is firing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{ClusterName, Timestamp};
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
    /// Who takes care of it: then it is not told again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
}

/// Somebody takes care of an alert.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub comment: String,
    /// When.
    pub at: Timestamp,
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
                    // Whoever takes care of a smaller trouble has not seen this one.
                    acknowledged: None,
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

    /// Takes in that an alert is over; gives it as it was.
    pub fn resolve(&mut self, fingerprint: &Fingerprint) -> Option<Alert> {
        self.firing.remove(fingerprint)
    }

    /// The alert of that fingerprint, while it fires.
    pub fn get(&self, fingerprint: &Fingerprint) -> Option<&Alert> {
        self.firing.get(fingerprint)
    }

    /// Takes in that somebody takes care of an alert.
    pub fn acknowledge(&mut self, fingerprint: &Fingerprint, by: Acknowledgement) {
        if let Some(alert) = self.firing.get_mut(fingerprint) {
            alert.acknowledged = Some(by);
        }
    }

    /// Takes out the alerts that `goes` picks: another monitor goes on with them.
    pub fn hand_over(&mut self, goes: impl Fn(&Alert) -> bool) -> Vec<Alert> {
        let (gone, kept) =
            std::mem::take(&mut self.firing).into_iter().partition(|(_, alert)| goes(alert));
        self.firing = kept;
        BTreeMap::into_values(gone).collect()
    }
}
