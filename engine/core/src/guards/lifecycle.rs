//! The lifecycle allows it now. A plan in flight blocks every other by state, however long it
//! takes: a time limit here is how others came to two recoveries at once.

use super::Situation;
use crate::lifecycle::{Trigger, step};
use crate::plan::PlanKind;

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    step(situation.phase, trigger(kind)).err().map(|refused| refused.to_string())
}

/// What begins a plan of this kind.
pub(crate) const fn trigger(kind: &PlanKind) -> Trigger {
    match kind {
        PlanKind::Rescue(_) => Trigger::RescueBegun,
        PlanKind::Clear(_) => Trigger::ClearingBegun,
        PlanKind::Failover => Trigger::FailoverBegun,
        PlanKind::Switchover => Trigger::SwitchoverBegun,
        PlanKind::Switchback => Trigger::SwitchbackBegun,
    }
}
