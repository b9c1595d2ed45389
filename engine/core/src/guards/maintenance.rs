//! Maintenance mode is off.

use super::Situation;
use crate::plan::PlanKind;

pub(super) fn check(situation: &Situation<'_>, _: &PlanKind) -> Option<String> {
    situation
        .snapshot
        .facts()
        .cluster
        .maintenance
        .then(|| "maintenance mode is on: end it with `watchkeeper maintenance off`".to_owned())
}
