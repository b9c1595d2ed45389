//! Silences: alerts that nobody wants to hear of for a time.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::label::{Labels, Matcher, matches_all};
use crate::model::{MonitorName, Timestamp};

/// Identifies a silence at every monitor: the name of the one it was given to, and the number of its
/// record there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SilenceId(String);

impl SilenceId {
    /// The silence that is the record of that number at that monitor.
    pub fn new(monitor: &MonitorName, number: u64) -> Self {
        Self(format!("{monitor}-{number}"))
    }

    /// The silence that somebody means.
    pub fn of(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Alerts that match are not told from one moment until another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Identifies it.
    pub id: SilenceId,
    /// All of them have to match.
    pub matchers: Vec<Matcher>,
    /// From when.
    pub starts_at: Timestamp,
    /// Until when.
    pub ends_at: Timestamp,
    /// Who wants it.
    pub by: String,
    /// Why.
    pub comment: String,
}

impl Silence {
    /// Whether it holds at that moment.
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }
}

/// How long a silence that is over is remembered: somebody may ask why nobody was told. As long as
/// Alertmanager does by default.
const KEPT: u64 = 5 * 86_400_000;

/// All silences: those that hold, those to come, and those of the last days.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Silences(BTreeMap<SilenceId, Silence>);

impl Silences {
    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &Silence> {
        self.0.values()
    }

    /// The silence of that id.
    pub fn get(&self, id: &SilenceId) -> Option<&Silence> {
        self.0.get(id)
    }

    /// Takes a silence in. What has long been over at `now` is forgotten.
    ///
    /// One that is known may come again from another monitor, which has perhaps not heard yet that it was
    /// ended: a silence is only ever made shorter.
    pub fn set(&mut self, silence: Silence, now: Timestamp) {
        self.0.retain(|_, known| known.ends_at.plus(KEPT) > now);
        let ends_at = silence.ends_at;
        let known = self.0.entry(silence.id.clone()).or_insert(silence);
        known.ends_at = known.ends_at.min(ends_at);
    }

    /// Takes in that a silence ends earlier.
    pub fn end(&mut self, id: &SilenceId, at: Timestamp) {
        if let Some(silence) = self.0.get_mut(id) {
            silence.ends_at = silence.ends_at.min(at);
        }
    }

    /// The silence that covers an alert with these labels at that moment.
    pub fn covers(&self, labels: &Labels, now: Timestamp) -> Option<&Silence> {
        self.0
            .values()
            .find(|silence| silence.is_active(now) && matches_all(&silence.matchers, labels))
    }

    /// The next moment at which one begins or ends.
    pub fn next_change(&self, now: Timestamp) -> Option<Timestamp> {
        let moments = self.0.values().flat_map(|silence| [silence.starts_at, silence.ends_at]);
        moments.filter(|at| *at > now).min()
    }
}
