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
mod vantage;

pub(crate) use maintenance::of_service as service_in_maintenance;

use serde::{Deserialize, Serialize};

use crate::lifecycle::Phase;
use crate::model::{Term, Timestamp};
use crate::plan::{Arrangements, PlanKind};
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
    /// Maintenance mode is off, and the service in question is not in maintenance.
    Maintenance,
    /// The facts it is decided on are fresh.
    Freshness,
    /// The last change of side is long enough ago.
    Cooldown,
    /// No other server sees the silent active one alive.
    Vantage,
    /// The standby is able to take over.
    Standby,
    /// Not too many clusters change sides at once.
    Storm,
}

impl Guard {
    /// Every guard, in the order in which they are asked.
    pub const ALL: [Self; 9] = [
        Self::Duty,
        Self::Lifecycle,
        Self::Placement,
        Self::Maintenance,
        Self::Freshness,
        Self::Cooldown,
        Self::Vantage,
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
            Self::Vantage => "vantage",
            Self::Standby => "standby",
            Self::Storm => "storm",
        }
    }

    /// What is so when it does not hold a plan of this kind, for people.
    pub const fn assures(self, kind: &PlanKind) -> &'static str {
        match self {
            Self::Duty => "this monitor has the duty to act",
            Self::Lifecycle => "it fits where the cluster stands, and no other plan is in flight",
            Self::Placement => "the service belongs there, and does not run across",
            Self::Maintenance => "maintenance mode is off",
            Self::Freshness => "the facts are fresh",
            Self::Cooldown => "the last change of side is long enough ago",
            Self::Vantage => "no other server sees the active one alive while it is silent here",
            Self::Standby => match kind {
                PlanKind::Switchover => {
                    "both sides answer; the standby's repository serves, follows and is near enough"
                }
                PlanKind::Switchback => {
                    "both sides answer; there is a repository to copy from, and one to copy to"
                }
                _ => "the standby answers and is whole; its repository serves and is near enough",
            },
            Self::Storm => "not too many clusters change sides at once",
        }
    }

    /// Whether it has a say in a plan of this kind.
    pub const fn concerns(self, kind: &PlanKind) -> bool {
        match self {
            Self::Duty | Self::Lifecycle | Self::Maintenance | Self::Freshness => true,
            Self::Placement => !kind.changes_side(),
            // What an operator orders in good order is no flapping, and no storm.
            Self::Cooldown | Self::Storm | Self::Vantage => matches!(kind, PlanKind::Failover),
            Self::Standby => kind.changes_side(),
        }
    }

    /// Whether an operator may override it for one plan of theirs, with a reason. What protects
    /// from two active sides may not be overridden: duty, lifecycle and placement. The vantage keeps a plan
    /// from being begun that the proof within it would stop.
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
    /// What the site arranged for plans.
    pub arrangements: &'a Arrangements,
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

/// What a guard says of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// What it makes sure of is so.
    Ok,
    /// It has no say in a plan of this kind.
    NotAsked,
    /// It holds the plan.
    Holds {
        /// Why, for people.
        reason: String,
    },
}

/// One guard's verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Which guard.
    pub guard: Guard,
    /// What it says.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Check {
    /// The hold, if it is one.
    pub fn hold(&self) -> Option<GuardHold> {
        match &self.verdict {
            Verdict::Holds { reason } => {
                Some(GuardHold { guard: self.guard, reason: reason.clone() })
            }
            Verdict::Ok | Verdict::NotAsked => None,
        }
    }
}

/// What every guard says of `kind`, in their order.
pub fn checks(situation: &Situation<'_>, kind: &PlanKind) -> Vec<Check> {
    let verdict = |guard: Guard| {
        if !guard.concerns(kind) {
            return Verdict::NotAsked;
        }
        let reason = match guard {
            Guard::Duty => duty::check(situation),
            Guard::Lifecycle => lifecycle::check(situation, kind),
            Guard::Placement => placement::check(situation, kind),
            Guard::Maintenance => maintenance::check(situation, kind),
            Guard::Freshness => freshness::check(situation, kind),
            Guard::Cooldown => cooldown::check(situation),
            Guard::Vantage => vantage::check(situation),
            Guard::Standby => standby::check(situation, kind),
            Guard::Storm => storm::check(situation),
        };
        reason.map_or(Verdict::Ok, |reason| Verdict::Holds { reason })
    };
    Guard::ALL.into_iter().map(|guard| Check { guard, verdict: verdict(guard) }).collect()
}

/// All reasons why `kind` must not be begun now; none: it may.
pub fn check(situation: &Situation<'_>, kind: &PlanKind) -> Vec<GuardHold> {
    checks(situation, kind).iter().filter_map(Check::hold).collect()
}
