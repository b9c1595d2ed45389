//! What decisions about a cluster rest on beside the facts: where it stands, and what happened
//! before.
//!
//! The fold of a monitor's own journal has it; a monitor that takes over gets it from the one that
//! had the duty before, as a [`Past`], so that it decides from the same past. Its JSON form is what
//! travels between monitors and what stands in the journal of the one that received it; a new field
//! needs a default.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::alerting::{Alert, Fingerprint, GroupKey, Silence, ToldGroup};
use crate::execution::Progress;
use crate::lifecycle::Phase;
use crate::model::{PolicyName, ReceiverName, ServiceId, Timestamp};
use crate::policies::PolicyState;
use crate::snapshot::{Change, Rescue};
use crate::stopped::Stopped;

/// Maintenance mode of a cluster or of one of its services, while it is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// Who switched it on.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// A service in maintenance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftAlone {
    /// Which service, where.
    #[serde(flatten)]
    pub id: ServiceId,
    /// By whom and for how long.
    #[serde(flatten)]
    pub maintenance: Maintenance,
}

/// What a policy wanted remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// The version that wrote it.
    pub version: String,
    /// What it wrote; in JSON as lower-case hexadecimal.
    #[serde(with = "hexadecimal")]
    pub state: Vec<u8>,
}

/// Everything that a successor needs to decide as its predecessor would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    /// Where the cluster stands.
    #[serde(flatten)]
    pub phase: Phase,
    /// Since when its side has been active.
    pub active_since: Timestamp,
    /// Maintenance mode, while it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<Maintenance>,
    /// The services that are in maintenance, each by itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services_in_maintenance: Vec<LeftAlone>,
    /// Recent rescues, oldest first.
    #[serde(default)]
    pub rescues: Vec<Rescue>,
    /// Recent changes of side, oldest first.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// The plan in flight, and how far it has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Box<Progress>>,
    /// The change of side that stopped on the way, until an operator has said what becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<Box<Stopped>>,
    /// The number for the next plan.
    pub next_plan: u64,
    /// The number for the next snapshot.
    pub next_snapshot: u64,
    /// What policies wanted remembered.
    #[serde(default)]
    pub memories: BTreeMap<PolicyName, Memory>,
    /// Whether policies are obeyed, and in which revisions they were in force.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<PolicyName, PolicyState>,
    /// The end of the last change of side that counts for the cooldown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooling_since: Option<Timestamp>,
    /// The active side's `active_since` when an operator put the duty where it is; see
    /// [`ClusterState::is_kept`](crate::state::ClusterState::is_kept).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Timestamp>,
    /// What is firing: the successor goes on with these alerts, and says when they are over.
    #[serde(default)]
    pub alerts: Vec<Alert>,
    /// Who was told of each.
    #[serde(default)]
    pub told: BTreeMap<Fingerprint, BTreeSet<ReceiverName>>,
    /// In which groups they were told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<ToldGroup>,
    /// What nobody wants to hear, here or anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silences: Vec<Silence>,
}

impl Past {
    /// Who was told of the alerts, and in which groups. A monitor of an earlier version says only who:
    /// it told each alert by itself.
    pub(crate) fn who_was_told(&self) -> Vec<ToldGroup> {
        let mut all = self.groups.clone();
        for alert in &self.alerts {
            for receiver in self.told.get(&alert.fingerprint).into_iter().flatten() {
                let known = all.iter().any(|it| {
                    it.receiver == *receiver && it.alerts.contains_key(&alert.fingerprint)
                });
                if !known {
                    all.push(ToldGroup {
                        receiver: receiver.clone(),
                        group: GroupKey::alone(&alert.fingerprint),
                        at: alert.starts_at,
                        alerts: [(alert.fingerprint.clone(), alert.claim.severity)].into(),
                        memory: Vec::new(),
                    });
                }
            }
        }
        all
    }
}

/// Bytes as text: an array of numbers takes three times as much.
mod hexadecimal {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        use std::fmt::Write as _;
        let mut text = String::with_capacity(bytes.len() * 2);
        for byte in bytes {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
        }
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.as_bytes().chunks_exact(2);
        if !digits.remainder().is_empty() {
            return Err(Error::custom("an odd number of hexadecimal digits"));
        }
        digits
            .map(|pair| {
                let digits = std::str::from_utf8(pair).map_err(Error::custom)?;
                u8::from_str_radix(digits, 16).map_err(Error::custom)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_policy_remembers_travels_as_it_is() {
        let memory = Memory { version: "1".to_owned(), state: vec![0, 255, 16] };
        let text = serde_json::to_string(&memory).unwrap();
        assert_eq!(text, r#"{"version":"1","state":"00ff10"}"#);
        assert_eq!(serde_json::from_str::<Memory>(&text).unwrap(), memory);
        for bad in ["0", "0g", "é0"] {
            let text = serde_json::json!({"version": "1", "state": bad}).to_string();
            assert!(serde_json::from_str::<Memory>(&text).is_err(), "{bad}");
        }
    }
}
