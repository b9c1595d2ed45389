//! The engine's own holds, which no policy can lift. A file each.
//!
//! A guard looks at what is about to be done and at the facts, and says why not, or nothing.
//! Acting fails closed: a guard that cannot tell holds.

mod cooldown;
mod duty;
mod freshness;
mod lifecycle;
mod maintenance;
mod placement;
mod standby;
mod storm;

use serde::{Deserialize, Serialize};

use crate::lifecycle::Phase;
use crate::model::{Term, Timestamp};
use crate::plan::PlanKind;
use crate::snapshot::Snapshot;

/// Which guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Guard {
    /// This monitor has the duty to act.
    Duty,
    /// The lifecycle allows it now; in particular no other plan is in flight.
    Lifecycle,
    /// The service is started or stopped only where it belongs or does not belong.
    Placement,
    /// Maintenance mode is off.
    Maintenance,
    /// The facts it is decided on are fresh.
    Freshness,
    /// The last change of side is long enough ago.
    Cooldown,
    /// The standby is able to take over.
    Standby,
    /// Not too many clusters change sides at once.
    Storm,
}

impl Guard {
    /// Every guard, in the order in which they are asked.
    pub const ALL: [Self; 8] = [
        Self::Duty,
        Self::Lifecycle,
        Self::Placement,
        Self::Maintenance,
        Self::Freshness,
        Self::Cooldown,
        Self::Standby,
        Self::Storm,
    ];

    /// The name in output and in `--override`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Duty => "duty",
            Self::Lifecycle => "lifecycle",
            Self::Placement => "placement",
            Self::Maintenance => "maintenance",
            Self::Freshness => "freshness",
            Self::Cooldown => "cooldown",
            Self::Standby => "standby",
            Self::Storm => "storm",
        }
    }

    /// Whether an operator may override it for one plan of theirs, with a reason. What protects
    /// from two active sides may not be overridden: duty, lifecycle and placement.
    pub const fn can_be_overridden(self) -> bool {
        !matches!(self, Self::Duty | Self::Lifecycle | Self::Placement)
    }
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether this monitor may act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duty {
    /// It may, in this term.
    Held(Term),
    /// It may not, for this reason. Whoever may decides and tells people.
    NotHeld(String),
    /// It had it, and cannot make sure that it still does, for this reason. It does not act, and
    /// since nobody else may be there, it goes on telling people what it sees.
    Uncertain(String),
}

/// The configured limits of the guards.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Facts older than this are not acted on, in milliseconds.
    pub fresh_ms: u64,
    /// No change of side by itself for this long after the last one, in milliseconds.
    pub cooldown_ms: u64,
    /// The replication lag up to which the standby may take over, in bytes.
    pub max_lag_bytes: u64,
    /// How many clusters may change sides within `storm_window_ms`; 0 switches the brake off.
    pub storm_limit: u32,
    /// The window of the storm brake, in milliseconds.
    pub storm_window_ms: u64,
}

/// What the guards look at.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// The facts.
    pub snapshot: &'a Snapshot,
    /// Where the cluster stands.
    pub phase: Phase,
    /// Whether this monitor may act.
    pub duty: &'a Duty,
    /// The limits.
    pub limits: &'a Limits,
    /// The last change of side of this cluster that was not acknowledged by an operator.
    pub last_change: Option<Timestamp>,
    /// When other clusters' changes of side began, most recent last.
    pub fleet_changes: &'a [Timestamp],
}

/// A guard's hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardHold {
    /// Which guard.
    pub guard: Guard,
    /// Why, for people.
    pub reason: String,
}

/// All reasons why `kind` must not be begun now; none: it may.
pub fn check(situation: &Situation<'_>, kind: &PlanKind) -> Vec<GuardHold> {
    Guard::ALL
        .into_iter()
        .filter_map(|guard| {
            let reason = match guard {
                Guard::Duty => duty::check(situation, kind),
                Guard::Lifecycle => lifecycle::check(situation, kind),
                Guard::Placement => placement::check(situation, kind),
                Guard::Maintenance => maintenance::check(situation, kind),
                Guard::Freshness => freshness::check(situation, kind),
                Guard::Cooldown => cooldown::check(situation, kind),
                Guard::Standby => standby::check(situation, kind),
                Guard::Storm => storm::check(situation, kind),
            };
            reason.map(|reason| GuardHold { guard, reason })
        })
        .collect()
}
