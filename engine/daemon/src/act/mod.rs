//! Carrying plans out.
//!
//! A plan leaves no choice: this module asks the progress what is next, records the intent, does
//! it, and records the outcome, together with the intent of what follows at once. Whoever starts again after a crash folds the journal and goes on
//! with the same question.
//!
//! Every act checks first, then acts, then verifies ([`service`], [`confirm`], [`repository`],
//! [`sequences`], [`site`]), so that beginning again is harmless. What is known already of a server
//! that does not answer is in [`suspicion`]: it shortens a step and changes no outcome.

mod confirm;
mod equipment;
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
use watchkeeper_core::model::ClusterName;
use watchkeeper_core::plan::{Act, Plan, Step};

pub use equipment::{Control, Equipment, Reachable, Repository};
pub use suspicion::Suspicions;
pub use testimony::{Testimony, testify};

use crate::ledger::{Ledger, LedgerError};
use crate::share;

/// The shortest pause between two looks at a condition that is waited for.
const SHORTEST_PAUSE: Duration = Duration::from_millis(5);

/// The longest. A pause is as long as the look before it took, within these bounds, so that a
/// service that is coming up is not slowed down much by being looked at.
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

/// Carries out the plan in flight of `cluster` to its end, from wherever it stands. Does nothing
/// if there is none.
///
/// An error means that the journal could not be written: nothing further is done, and the plan
/// stays in flight until a journal can be written again.
pub async fn carry_out(
    ledger: &Ledger,
    cluster: &ClusterName,
    equipment: &Equipment,
    suspicions: &Suspicions,
) -> Result<Option<PlanEnding>, LedgerError> {
    loop {
        let Some(progress) = ledger.cluster(cluster).await.progress else { return Ok(None) };
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
                let first = Attempt { index, number, resumed, begun: Instant::now() };
                ledger.record(vec![(Some(cluster.clone()), first.intent(plan))]).await?;
                let mut due = Some(first);
                while let Some(attempt) = due {
                    due = carry_out_step(ledger, equipment, suspicions, plan, attempt).await?;
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

/// An attempt at a step that is recorded as intended.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// The step, counted from 0.
    index: usize,
    /// Counted from 1.
    number: u32,
    resumed: bool,
    begun: Instant,
}

impl Attempt {
    fn intent(&self, plan: &Plan) -> Event {
        Event::StepIntended { plan: plan.number, step: self.index, attempt: self.number }
    }
}

/// Makes the attempt and records its outcome; gives the one that follows at once, if one does.
async fn carry_out_step(
    ledger: &Ledger,
    equipment: &Equipment,
    suspicions: &Suspicions,
    plan: &Plan,
    attempt: Attempt,
) -> Result<Option<Attempt>, LedgerError> {
    let Attempt { index, number, resumed, begun } = attempt;
    let Some(step) = plan.steps.get(index) else { return Ok(None) };
    let (cluster, plan_number) = (&plan.cluster, plan.number);
    tracing::info!(%cluster, plan = plan_number, step = index, attempt = number, resumed, act = %step.act, "step begins");
    let acting = attempt_step(equipment, suspicions, plan, step, resumed);
    let (outcome, took) = share::measured(acting).await;
    let next = record_end(ledger, plan, &attempt, &outcome).await?;
    let all = begun.elapsed();
    tracing::info!(
        %cluster, plan = plan_number, step = index, attempt = number, ?outcome,
        took_us = micros(all), own_us = micros(all.saturating_sub(took.others)),
        looks_us = micros(took.looks.min(took.others)), "step ended"
    );
    Ok(next)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Records how an attempt ended and, in the same write, the intent of the one that follows at once.
async fn record_end(
    ledger: &Ledger,
    plan: &Plan,
    attempt: &Attempt,
    outcome: &Outcome,
) -> Result<Option<Attempt>, LedgerError> {
    let Attempt { index, number, .. } = *attempt;
    let mut next = None;
    let writing = ledger.record_with(|state| {
        let mut progress = state.cluster(&plan.cluster).progress;
        let taken = progress.as_mut().map(|progress| progress.end_step(index, number, outcome));
        // What does not fit is for the journal to refuse.
        if let (Some(progress), Some(Ok(()))) = (&progress, taken)
            && let Next::Attempt { index, attempt, delay_ms: 0, resumed, .. } = progress.next()
        {
            next = Some(Attempt { index, number: attempt, resumed, begun: Instant::now() });
        }
        let (plan_number, outcome) = (plan.number, outcome.clone());
        let ended = Event::StepEnded { plan: plan_number, step: index, attempt: number, outcome };
        let intent = next.as_ref().map(|next| next.intent(plan));
        [Some(ended), intent]
            .into_iter()
            .flatten()
            .map(|event| (Some(plan.cluster.clone()), event))
            .collect()
    });
    writing.await?;
    Ok(next.map(|next| Attempt { begun: Instant::now(), ..next }))
}

async fn attempt_step(
    equipment: &Equipment,
    suspicions: &Suspicions,
    plan: &Plan,
    step: &Step,
    resumed: bool,
) -> Outcome {
    let limit = Duration::from_millis(step.timeout_ms);
    let deadline = Instant::now() + limit;
    let act = async {
        match &step.act {
            Act::StartService(id) => service::start(equipment, id, deadline).await,
            Act::StopService(id) => service::stop(equipment, id, deadline).await,
            Act::ConfirmInactive { server, services, proof } => {
                confirm::inactive(equipment, suspicions, server, services, *proof, deadline).await
            }
            Act::AwaitReplication { from, to } => {
                repository::await_replication(equipment, from, to, deadline).await
            }
            Act::DetachRepository { server } => {
                repository::detach(equipment, server, deadline).await
            }
            Act::CopyRepository { from, to } => {
                repository::copy(equipment, from, to, deadline).await
            }
            Act::CarrySequences { from, to } => {
                sequences::carry(equipment, suspicions, from, to, deadline).await
            }
            Act::Site(site_step) => site::run(equipment, plan, site_step, resumed, deadline).await,
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

/// Looks again and again until `look` finds what is wanted; else gives the last thing that was
/// found in its place.
async fn wait_for<T, E, F, Fut>(deadline: Instant, mut look: F) -> Result<T, E>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut paused = Duration::ZERO;
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
                    return Err(instead);
                }
                sleep(pause).await;
                paused = pausing.elapsed();
            }
        }
    }
}
