//! This monitor has the duty to act.

use super::{Duty, Situation};

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    match situation.duty {
        Duty::Held(_) => None,
        Duty::NotHeld(why) => Some(format!("this monitor does not have the duty to act: {why}")),
        Duty::Uncertain(why) => {
            Some(format!("this monitor cannot be sure to have the duty to act: {why}"))
        }
    }
}
