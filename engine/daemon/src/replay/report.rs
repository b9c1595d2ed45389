//! What came of a replay: the form that `--json` prints, and what the story is told from.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use watchkeeper_core::model::{ClusterName, PolicyName, Timestamp};
use watchkeeper_core::proposal::{Failure, Revision};
use watchkeeper_core::replay::{AlertDifference, Difference, Gap, Source};
use watchkeeper_core::settings::Given;

/// What came of a replay.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The cluster.
    pub cluster: ClusterName,
    /// From when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// What was tried.
    pub candidate: Tried,
    /// The other policies that were asked, in their order.
    pub others: Vec<Other>,
    /// How many recorded moments were compared: exactly what was decided on then.
    pub recorded: u64,
    /// How many moments in between were reconstructed and compared.
    pub reconstructed: u64,
    /// At how many recorded moments every policy and setting was what it was then.
    pub as_it_was: u64,
    /// At which of these records it came out differently all the same. There should be none.
    pub inexact: Vec<u64>,
    /// How the decisions differ, by time.
    pub differences: Vec<Difference>,
    /// How the alerts differ, by time.
    pub alerts: Vec<AlertDifference>,
    /// How many differences were too short to be told from what is not exact.
    pub too_short: u64,
    /// Policies that gave no answer.
    pub failures: Vec<Failed>,
    /// Times without moments.
    pub gaps: Vec<Gap>,
    /// What an administrator should know.
    pub notes: Vec<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// What was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Tried {
    /// The policy whose place it took.
    pub policy: PolicyName,
    /// Its file.
    pub file: PathBuf,
    /// What it is.
    pub revision: Revision,
    /// The settings that were given for it, beside the configuration's.
    pub set: std::collections::BTreeMap<String, Given>,
    /// What was in that place, as recorded.
    pub in_place_of: Vec<Revision>,
}

/// A policy that was asked beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Other {
    /// Which one.
    pub policy: PolicyName,
    /// What it is.
    pub revision: Revision,
}

/// A policy that gave no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Failed {
    /// Which one.
    pub policy: PolicyName,
    /// At how many moments.
    pub times: u64,
    /// When first.
    pub at: Timestamp,
    /// Where that moment comes from.
    pub source: Source,
    /// How it failed then.
    pub failure: Failure,
}
