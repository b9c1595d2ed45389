//! A cluster's phases, and the table of how it passes from one to the next.
//!
//! Invariant: a cluster changes its phase by a row of [`TRANSITIONS`] and in no other way; a pair
//! that has no row is refused, and [`step`] says so.
//!
//! Maintenance mode is not a phase: it is switched on and off in any of them without losing which
//! one it was (see docs/decisions).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::Side;

/// Where a cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "phase", content = "side")]
pub enum Phase {
    /// The side is active, and no plan is in flight.
    Active(Side),
    /// A stopped service on the active side is being started again.
    Rescuing(Side),
    /// A service that runs on the side across from the active one is being stopped.
    Clearing(Side),
    /// An unplanned change away from the side is being carried out.
    FailingOver(Side),
    /// The planned change from the primary to the secondary is being carried out.
    SwitchingOver,
    /// The planned return from the secondary to the primary is being carried out.
    SwitchingBack,
    /// A change of side did not end well. The side is the one that was active before it; nothing
    /// is done until an operator has it go on or given up, or says which side is active now.
    NeedsOperator(Side),
}

/// What moves a cluster from one phase to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "trigger", content = "side")]
pub enum Trigger {
    /// A plan to start a stopped service begins.
    RescueBegun,
    /// That plan ended, well or not: what follows is for the policies to say.
    RescueEnded,
    /// A plan to stop a stray service begins.
    ClearingBegun,
    /// That plan ended, well or not.
    ClearingEnded,
    /// A failover begins.
    FailoverBegun,
    /// The planned change to the secondary begins.
    SwitchoverBegun,
    /// The planned return to the primary begins.
    SwitchbackBegun,
    /// The change of side ended with the other side active.
    ChangeCompleted,
    /// The change of side ended before anything had been changed.
    ChangeRefused,
    /// The change of side stopped on the way.
    ChangeFailed,
    /// An operator says that this side is active.
    OperatorDeclares(Side),
    /// A failover that stopped on the way is taken up again.
    FailoverResumed,
    /// A planned change to the secondary that stopped on the way is taken up again.
    SwitchoverResumed,
    /// A planned return to the primary that stopped on the way is taken up again.
    SwitchbackResumed,
    /// A change of side that stopped on the way is given up, and this side is known to be the one that
    /// counts.
    ChangeAbandoned(Side),
}

/// One row: in `from`, on `trigger`, go to `to`.
#[derive(Debug, Clone, Copy)]
pub struct Transition {
    /// The phase before.
    pub from: Phase,
    /// What happened.
    pub trigger: Trigger,
    /// The phase after.
    pub to: Phase,
    /// Why this row is there.
    pub why: &'static str,
}

const fn row(from: Phase, trigger: Trigger, to: Phase, why: &'static str) -> Transition {
    Transition { from, trigger, to, why }
}

use Phase::{Active, Clearing, FailingOver, NeedsOperator, Rescuing, SwitchingBack, SwitchingOver};
use Side::{Primary, Secondary};
use Trigger::{
    ChangeAbandoned, ChangeCompleted, ChangeFailed, ChangeRefused, ClearingBegun, ClearingEnded,
    FailoverBegun, FailoverResumed, OperatorDeclares, RescueBegun, RescueEnded, SwitchbackBegun,
    SwitchbackResumed, SwitchoverBegun, SwitchoverResumed,
};

/// Every transition there is.
#[rustfmt::skip]
pub const TRANSITIONS: &[Transition] = &[
    // Repair on the active side. It never changes which side is active.
    row(Active(Primary), RescueBegun, Rescuing(Primary), "a stopped service is started again before anything larger is tried"),
    row(Active(Secondary), RescueBegun, Rescuing(Secondary), "the secondary has no standby, so rescue is all there is"),
    row(Rescuing(Primary), RescueEnded, Active(Primary), "the policies judge the result by the facts, not by the plan's word"),
    row(Rescuing(Secondary), RescueEnded, Active(Secondary), "the policies judge the result by the facts, not by the plan's word"),
    // A stray service on the other side.
    row(Active(Primary), ClearingBegun, Clearing(Primary), "a service on the standby that belongs to the active side is stopped"),
    row(Active(Secondary), ClearingBegun, Clearing(Secondary), "a returning primary is stopped, so that two sides are never active"),
    row(Clearing(Primary), ClearingEnded, Active(Primary), "a stray that would not stop is seen again in the next facts"),
    row(Clearing(Secondary), ClearingEnded, Active(Secondary), "a stray that would not stop is seen again in the next facts"),
    // Failover: by the policies' decision or an operator's.
    row(Active(Primary), FailoverBegun, FailingOver(Primary), "the active side is lost and the standby can take over"),
    row(Active(Secondary), FailoverBegun, FailingOver(Secondary), "only where the configuration allows the way back unasked (as release 16.20 did)"),
    row(FailingOver(Primary), ChangeCompleted, Active(Secondary), "the secondary serves, verified"),
    row(FailingOver(Secondary), ChangeCompleted, Active(Primary), "the primary serves, verified"),
    row(FailingOver(Primary), ChangeRefused, Active(Primary), "nothing had been touched, so nothing has changed"),
    row(FailingOver(Secondary), ChangeRefused, Active(Secondary), "nothing had been touched, so nothing has changed"),
    row(FailingOver(Primary), ChangeFailed, NeedsOperator(Primary), "half a failover is for a person to judge"),
    row(FailingOver(Secondary), ChangeFailed, NeedsOperator(Secondary), "half a failover is for a person to judge"),
    // Planned changes, by an operator only.
    row(Active(Primary), SwitchoverBegun, SwitchingOver, "an operator wants the secondary active"),
    row(SwitchingOver, ChangeCompleted, Active(Secondary), "the secondary serves, verified"),
    row(SwitchingOver, ChangeRefused, Active(Primary), "nothing had been touched, so nothing has changed"),
    row(SwitchingOver, ChangeFailed, NeedsOperator(Primary), "half a switchover is for a person to judge"),
    row(Active(Secondary), SwitchbackBegun, SwitchingBack, "an operator wants the primary active again"),
    row(SwitchingBack, ChangeCompleted, Active(Primary), "the primary serves, verified"),
    row(SwitchingBack, ChangeRefused, Active(Secondary), "nothing had been touched, so nothing has changed"),
    row(SwitchingBack, ChangeFailed, NeedsOperator(Secondary), "half a switchback is for a person to judge"),
    // A change of side that stopped on the way goes on, by an operator's word.
    row(NeedsOperator(Primary), FailoverResumed, FailingOver(Primary), "what stood in its way is gone, says an operator"),
    row(NeedsOperator(Secondary), FailoverResumed, FailingOver(Secondary), "what stood in its way is gone, says an operator"),
    row(NeedsOperator(Primary), SwitchoverResumed, SwitchingOver, "what stood in its way is gone, says an operator"),
    row(NeedsOperator(Secondary), SwitchbackResumed, SwitchingBack, "what stood in its way is gone, says an operator"),
    // Or it is given up, and one side is known to be the one that counts.
    row(NeedsOperator(Primary), ChangeAbandoned(Primary), Active(Primary), "nothing runs on the secondary, and no repository was taken over"),
    row(NeedsOperator(Primary), ChangeAbandoned(Secondary), Active(Secondary), "the secondary serves, and nothing runs on the primary"),
    row(NeedsOperator(Secondary), ChangeAbandoned(Primary), Active(Primary), "the primary serves, and nothing runs on the secondary"),
    row(NeedsOperator(Secondary), ChangeAbandoned(Secondary), Active(Secondary), "nothing runs on the primary, and no repository was taken over"),
    // An operator has looked. Only where no plan is in flight.
    row(NeedsOperator(Primary), OperatorDeclares(Primary), Active(Primary), "the operator found or made the primary active"),
    row(NeedsOperator(Primary), OperatorDeclares(Secondary), Active(Secondary), "the operator found or made the secondary active"),
    row(NeedsOperator(Secondary), OperatorDeclares(Primary), Active(Primary), "the operator found or made the primary active"),
    row(NeedsOperator(Secondary), OperatorDeclares(Secondary), Active(Secondary), "the operator found or made the secondary active"),
    row(Active(Primary), OperatorDeclares(Primary), Active(Primary), "saying what is so already changes nothing"),
    row(Active(Primary), OperatorDeclares(Secondary), Active(Secondary), "the site was changed by hand, outside of Watchkeeper"),
    row(Active(Secondary), OperatorDeclares(Primary), Active(Primary), "the site was changed by hand, outside of Watchkeeper"),
    row(Active(Secondary), OperatorDeclares(Secondary), Active(Secondary), "saying what is so already changes nothing"),
];

/// There is no such transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{trigger} is not possible while the cluster is {from}")]
pub struct NoTransition {
    /// The phase it is in.
    pub from: Phase,
    /// What was tried.
    pub trigger: Trigger,
}

/// The phase after `trigger`.
pub fn step(from: Phase, trigger: Trigger) -> Result<Phase, NoTransition> {
    TRANSITIONS
        .iter()
        .find(|row| row.from == from && row.trigger == trigger)
        .map(|row| row.to)
        .ok_or(NoTransition { from, trigger })
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 12] = [
        Active(Primary),
        Active(Secondary),
        Rescuing(Primary),
        Rescuing(Secondary),
        Clearing(Primary),
        Clearing(Secondary),
        FailingOver(Primary),
        FailingOver(Secondary),
        SwitchingOver,
        SwitchingBack,
        NeedsOperator(Primary),
        NeedsOperator(Secondary),
    ];

    /// The side that is active, or was until the change that is under way.
    pub const fn side(self) -> Side {
        match self {
            Active(side) | Rescuing(side) | Clearing(side) | FailingOver(side)
            | NeedsOperator(side) => side,
            SwitchingOver => Primary,
            SwitchingBack => Secondary,
        }
    }

    /// Whether a plan is in flight in this phase.
    pub const fn in_flight(self) -> bool {
        !matches!(self, Active(_) | NeedsOperator(_))
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Active(side) => write!(f, "active on {side}"),
            Rescuing(side) => write!(f, "rescuing on {side}"),
            Clearing(side) => write!(f, "stopping strays beside {side}"),
            FailingOver(side) => write!(f, "failing over from {side}"),
            SwitchingOver => f.write_str("switching over to secondary"),
            SwitchingBack => f.write_str("switching back to primary"),
            NeedsOperator(side) => write!(f, "in need of an operator, {side} before"),
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RescueBegun => f.write_str("a rescue"),
            RescueEnded => f.write_str("the end of a rescue"),
            ClearingBegun => f.write_str("stopping a stray service"),
            ClearingEnded => f.write_str("the end of stopping a stray service"),
            FailoverBegun => f.write_str("a failover"),
            SwitchoverBegun => f.write_str("a switchover"),
            SwitchbackBegun => f.write_str("a switchback"),
            ChangeCompleted => f.write_str("the completion of a change of side"),
            ChangeRefused => f.write_str("the refusal of a change of side"),
            ChangeFailed => f.write_str("the failure of a change of side"),
            OperatorDeclares(side) => write!(f, "declaring the {side} active"),
            FailoverResumed => f.write_str("taking the failover up again"),
            SwitchoverResumed => f.write_str("taking the switchover up again"),
            SwitchbackResumed => f.write_str("taking the switchback up again"),
            ChangeAbandoned(side) => write!(f, "giving the change up for the {side}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIGGERS: [Trigger; 17] = [
        RescueBegun,
        RescueEnded,
        ClearingBegun,
        ClearingEnded,
        FailoverBegun,
        SwitchoverBegun,
        SwitchbackBegun,
        ChangeCompleted,
        ChangeRefused,
        ChangeFailed,
        OperatorDeclares(Primary),
        OperatorDeclares(Secondary),
        FailoverResumed,
        SwitchoverResumed,
        SwitchbackResumed,
        ChangeAbandoned(Primary),
        ChangeAbandoned(Secondary),
    ];

    /// The rule that the table must follow, said a second time and differently.
    fn expected(from: Phase, trigger: Trigger) -> bool {
        match trigger {
            RescueBegun | ClearingBegun | FailoverBegun => matches!(from, Active(_)),
            SwitchoverBegun => from == Active(Primary),
            SwitchbackBegun => from == Active(Secondary),
            RescueEnded => matches!(from, Rescuing(_)),
            ClearingEnded => matches!(from, Clearing(_)),
            ChangeCompleted | ChangeRefused | ChangeFailed => {
                matches!(from, FailingOver(_) | SwitchingOver | SwitchingBack)
            }
            OperatorDeclares(_) => !from.in_flight(),
            FailoverResumed | ChangeAbandoned(_) => matches!(from, NeedsOperator(_)),
            SwitchoverResumed => from == NeedsOperator(Primary),
            SwitchbackResumed => from == NeedsOperator(Secondary),
        }
    }

    #[test]
    fn no_row_is_missing_doubled_or_too_many() {
        for from in Phase::ALL {
            for trigger in TRIGGERS {
                let rows = TRANSITIONS
                    .iter()
                    .filter(|row| row.from == from && row.trigger == trigger)
                    .count();
                assert_eq!(rows, usize::from(expected(from, trigger)), "{from}, {trigger}");
            }
        }
    }

    #[test]
    fn every_phase_can_be_reached_and_left_and_every_row_says_why() {
        for phase in Phase::ALL {
            assert!(TRANSITIONS.iter().any(|row| row.to == phase), "{phase} is never reached");
            assert!(
                TRANSITIONS.iter().any(|row| row.from == phase && row.to != phase),
                "{phase} is never left"
            );
        }
        assert!(TRANSITIONS.iter().all(|row| row.why.len() > 10));
    }

    #[test]
    fn only_a_change_of_side_or_an_operator_changes_the_side() {
        for row in TRANSITIONS {
            if row.from.side() != row.to.side() {
                assert!(
                    matches!(
                        row.trigger,
                        ChangeCompleted | OperatorDeclares(_) | ChangeAbandoned(_)
                    ),
                    "{} to {} by {}",
                    row.from,
                    row.to,
                    row.trigger
                );
            }
        }
    }
}
