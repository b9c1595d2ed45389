//! Carrying plans out.
//!
//! A plan leaves no choice: this module asks the progress what is next, records the intent, does
//! it, and records the outcome ([`carrier`]). Whoever starts again after a crash folds the journal
//! and goes on with the same question.
//!
//! The [`leave`] to act is asked for before each step, and within it before each change that no server
//! checks. Every act checks first, then acts, then verifies ([`service`], [`confirm`], [`fence`], [`repository`],
//! [`sequences`], [`site`]), so that beginning again is harmless. What is known already of a server
//! that does not answer is in [`suspicion`]: it shortens a step and changes no outcome.

mod carrier;
mod confirm;
mod equipment;
mod fence;
mod leave;
mod mark;
pub mod rehearse;
mod repository;
mod sequences;
mod service;
mod site;
mod suspicion;
mod testimony;

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Next, Outcome, PlanEnding};
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::ClusterName;
use watchkeeper_core::plan::{Act, Plan, Step};

use carrier::{Attempt, Carrier};
pub use equipment::{Control, Equipment, Reachable, Repository};
use leave::Leave;
pub(crate) use mark::answered;
pub use mark::{Claim, claim};
pub use suspicion::Suspicions;
pub use testimony::{Testimony, testify};

use crate::duty::Duties;
use crate::ledger::{Ledger, LedgerError};
use crate::share;

/// The shortest pause between two looks at a condition that is waited for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// The longest. A pause is as long as the look before it took, within these bounds, so that a
/// service that is coming up is not slowed down much by being looked at.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// A look that has less than this before the deadline is likely to be cut off by it, and then says nothing of what
/// it looked at.
const TIME_TO_LOOK: Duration = Duration::from_secs(1);

/// Carries out the plan in flight of `cluster` to its end, from wherever it stands. Does nothing
/// if there is none.
///
/// An error means that the journal could not be written: nothing further is done, and the plan
/// stays in flight until a journal can be written again. So it does when the duty is lost: no
/// step is begun without it (invariant 2).
pub async fn carry_out(
    ledger: &Ledger,
    cluster: &ClusterName,
    equipment: &Equipment,
    suspicions: &Suspicions,
    duties: &Duties,
) -> Result<Option<PlanEnding>, LedgerError> {
    loop {
        let term = match duties.of(cluster).duty {
            Duty::Held(term) => term,
            Duty::NotHeld(why) | Duty::Uncertain(why) => {
                tracing::warn!(%cluster, why, "the plan waits for the duty");
                return Ok(None);
            }
        };
        let state = ledger.cluster(cluster).await;
        let Some(progress) = &state.progress else { return Ok(None) };
        let plan = progress.plan();
        match progress.next() {
            Next::Settle { index, attempt, why, .. } => {
                let outcome = Outcome::Uncertain { detail: why.to_owned() };
                let event = Event::StepEnded { plan: plan.number, step: index, attempt, outcome };
                ledger.record(vec![(Some(cluster.clone()), event)]).await?;
            }
            Next::Attempt { index, attempt: number, delay_ms, resumed, .. } => {
                if delay_ms > 0 {
                    sleep(Duration::from_millis(delay_ms)).await;
                }
                let ordered = state.tenure.ordered();
                let hand = equipment.marks.then(|| duties.hand(cluster, term, ordered));
                let leave = Leave::new(duties, cluster, term, hand);
                let carrier = Carrier { ledger, equipment, suspicions, leave, plan };
                let first = Attempt { index, number, resumed, begun: Instant::now() };
                if carrier.carry_on(first).await?.is_break() {
                    return Ok(None);
                }
            }
            Next::End => {
                let ending = progress.ending();
                let event = Event::PlanEnded { plan: plan.number, ending: ending.clone() };
                ledger.record(vec![(Some(cluster.clone()), event)]).await?;
                tracing::info!(%cluster, plan = plan.number, ?ending, "plan ended");
                return Ok(Some(ending));
            }
        }
    }
}

async fn attempt_step(
    equipment: &Equipment,
    suspicions: &Suspicions,
    leave: &Leave<'_>,
    plan: &Plan,
    step: &Step,
    resumed: bool,
) -> Outcome {
    let limit = Duration::from_millis(step.timeout_ms);
    let deadline = Instant::now() + limit;
    let hand = leave.hand();
    let act = async {
        // What goes to a repository does not go through the server's shell.
        let at = match &step.act {
            Act::DetachRepository { server } => Some(server),
            Act::CopyRepository { to, .. } | Act::CarrySequences { to, .. } => Some(to),
            _ => None,
        };
        if let (Some(server), Some(hand)) = (at, hand)
            && let Claim::Refused(refusal) = claim(equipment, server, hand, deadline).await
        {
            return failed(refusal.why);
        }
        match &step.act {
            Act::StartService(id) => service::start(equipment, hand, id, deadline).await,
            Act::StopService(id) => service::stop(equipment, hand, id, deadline).await,
            Act::ConfirmInactive { server, services, proof } => {
                let question = confirm::Question {
                    server,
                    services,
                    proof: *proof,
                    asked_to_stop: plan.asks_to_stop(server),
                    deadline,
                };
                confirm::inactive(equipment, suspicions, leave, question).await
            }
            Act::AwaitReplication { from, to } => {
                repository::await_replication(equipment, from, to, deadline).await
            }
            Act::DetachRepository { server } => {
                repository::detach(equipment, leave, server, deadline).await
            }
            Act::CopyRepository { from, to } => {
                repository::copy(equipment, leave, from, to, deadline).await
            }
            Act::CarrySequences { from, to } => {
                sequences::carry(equipment, suspicions, leave, from, to, deadline).await
            }
            Act::Site(site_step) => {
                site::run(equipment, leave, plan, site_step, resumed, deadline).await
            }
            Act::Verify { services } => service::verify(equipment, services, deadline).await,
        }
    };
    // Each act keeps the deadline itself and says how far it came; this is for the one that
    // does not.
    let grace = Duration::from_secs(2);
    timeout(limit + grace, act)
        .await
        .unwrap_or_else(|_| failed(format!("not done within {} ms", step.timeout_ms)))
}

fn failed(detail: impl Into<String>) -> Outcome {
    Outcome::Failed { detail: detail.into() }
}

fn done(detail: impl Into<String>, changed: bool) -> Outcome {
    Outcome::Done { detail: detail.into(), changed }
}

/// Looks again and again until `look` finds what is wanted; else gives the last thing that was found in its place.
/// What the last look found does not count if it had no more than a moment and was cut off.
async fn wait_for<T, E, F, Fut>(deadline: Instant, mut look: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut paused = Duration::ZERO;
    let mut found_before = None;
    loop {
        let looking = Instant::now();
        match look().await {
            Ok(found) => {
                share::looked(looking.elapsed());
                return Ok(found);
            }
            Err(instead) => {
                // It was not so yet, so the pause was none of the engine's.
                share::waited(paused);
                let pausing = Instant::now();
                let pause = (pausing - looking).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                if pausing + pause >= deadline {
                    let cut_off = pausing >= deadline && deadline - looking < TIME_TO_LOOK;
                    return Err(found_before.filter(|_| cut_off).unwrap_or(instead));
                }
                found_before = Some(instead);
                sleep(pause).await;
                paused = pausing.elapsed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep_until;

    use super::*;

    /// The second look begins `before` the deadline, and is cut off by it.
    async fn told(before: Duration) -> &'static str {
        let deadline = Instant::now() + before;
        let mut looks = 0;
        let look = || {
            looks += 1;
            let first = looks == 1;
            async move {
                if first {
                    return Err("4096 bytes behind");
                }
                sleep_until(deadline).await;
                Err("no answer in time")
            }
        };
        wait_for::<(), _, _, _>(deadline, look).await.unwrap_err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_that_was_cut_off_does_not_hide_what_was_found_before() {
        assert_eq!(told(Duration::from_millis(500)).await, "4096 bytes behind");
        assert_eq!(told(Duration::from_secs(5)).await, "no answer in time");
    }
}
