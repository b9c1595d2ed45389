//! The lifecycle allows it now. A plan in flight blocks every other by state, however long it
//! takes: a time limit here is how others came to two recoveries at once.

use super::Situation;
use crate::lifecycle::step;
use crate::plan::PlanKind;

pub(super) fn check(situation: &Situation<'_>, kind: &PlanKind) -> Option<String> {
    if let Err(refused) = step(situation.phase, kind.trigger()) {
        return Some(refused.to_string());
    }
    // A plan takes its sides from the snapshot: one from before a change would undo it.
    let then = situation.snapshot.facts().cluster.phase;
    (then != situation.phase).then(|| {
        format!("the facts are from when the cluster was {then}, it is {} now", situation.phase)
    })
}
