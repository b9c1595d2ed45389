//! The last change of side is long enough ago, or an operator has acknowledged it. This is a
//! brake on flapping on top of the lifecycle's block by state, never in its place.
//!
//! A failover that was refused counts too: begun again at once, it would be refused again.

use super::Situation;

pub(super) fn check(situation: &Situation<'_>) -> Option<String> {
    let passed = situation.snapshot.facts().at.since(situation.last_change?);
    let cooldown = situation.limits.cooldown_ms;
    (passed < cooldown).then(|| {
        format!(
            "the last change of side, or attempt at one, ended {} s ago; the cooldown is {} s",
            passed / 1000,
            cooldown / 1000
        )
    })
}
