//! This monitor has the duty to act.

use super::{Duty, Situation};
use crate::plan::PlanKind;

pub(super) fn check(situation: &Situation<'_>, _: &PlanKind) -> Option<String> {
    match situation.duty {
        Duty::Held(_) => None,
        Duty::NotHeld(why) => Some(format!("this monitor does not have the duty to act: {why}")),
        Duty::Uncertain(why) => {
            Some(format!("this monitor cannot be sure to have the duty to act: {why}"))
        }
    }
}
