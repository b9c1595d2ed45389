//! Carrying plans out.
//!
//! A plan leaves no choice: this module asks the progress what is next, records the intent, does
//! it, and records the outcome. Whoever starts again after a crash folds the journal and goes on
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

/// How soon a condition that is waited for is looked at again, at first. A status command over a
/// kept connection takes some 20 ms.
const FIRST_POLL: Duration = Duration::from_millis(10);

/// The longest pause between two looks at it. It grows to this with the time that has passed, so
/// that what comes soon is seen soon, and what takes long is not slowed down by being looked at.
const LONGEST_POLL: Duration = Duration::from_millis(50);

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
        if let Next::Settle { index, attempt, why, .. } = progress.next() {
            let outcome = Outcome::Uncertain { detail: why.to_owned() };
            let event = Event::StepEnded { plan: plan.number, step: index, attempt, outcome };
            ledger.record(vec![(Some(cluster.clone()), event)]).await?;
            continue;
        }
        let Next::Attempt { index, attempt, step, delay_ms, resumed } = progress.next() else {
            let ending = progress.ending();
            let event = Event::PlanEnded { plan: plan.number, ending: ending.clone() };
            ledger.record(vec![(Some(cluster.clone()), event)]).await?;
            tracing::info!(%cluster, plan = plan.number, ?ending, "plan ended");
            return Ok(Some(ending));
        };
        if delay_ms > 0 {
            sleep(Duration::from_millis(delay_ms)).await;
        }
        let intent = Event::StepIntended { plan: plan.number, step: index, attempt };
        ledger.record(vec![(Some(cluster.clone()), intent)]).await?;
        tracing::info!(%cluster, plan = plan.number, step = index, attempt, resumed, act = %step.act, "step begins");
        let outcome = attempt_step(equipment, suspicions, plan, step, resumed).await;
        tracing::info!(%cluster, plan = plan.number, step = index, attempt, ?outcome, "step ended");
        let event = Event::StepEnded { plan: plan.number, step: index, attempt, outcome };
        ledger.record(vec![(Some(cluster.clone()), event)]).await?;
    }
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
    let begun = Instant::now();
    loop {
        let found = look().await;
        let pause = (begun.elapsed() / 16).clamp(FIRST_POLL, LONGEST_POLL);
        match found {
            Ok(found) => return Ok(found),
            Err(instead) if Instant::now() + pause >= deadline => return Err(instead),
            Err(_) => sleep(pause).await,
        }
    }
}
