//! Carrying out the steps of a plan that follow each other at once, in one term.
//!
//! Invariants:
//! - A step is begun only after its intent is in the journal, and only if the duty is still held
//!   after that.
//! - An outcome is recorded together with the intent of what follows at once: one write to the disk
//!   instead of two. So that no step counts as cut short that never had a chance, the duty is asked
//!   for before an intent as well.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Next, Outcome, Progress};
use watchkeeper_core::plan::Plan;

use super::leave::Leave;
use super::{Equipment, Suspicions, attempt_step};
use crate::ledger::{Ledger, LedgerError};
use crate::share;

/// Who carries a plan out in a term.
pub(super) struct Carrier<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) equipment: &'a Equipment,
    pub(super) suspicions: &'a Suspicions,
    pub(super) leave: Leave<'a>,
    pub(super) plan: &'a Plan,
}

/// An attempt at a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    /// The step, counted from 0.
    pub(super) index: usize,
    /// Counted from 1.
    pub(super) number: u32,
    /// Whether a crash left an earlier attempt without an outcome.
    pub(super) resumed: bool,
    pub(super) begun: Instant,
}

impl Carrier<'_> {
    /// Carries out the attempt that is next, and all that follow at once. A break means that the
    /// duty is lost.
    pub(super) async fn carry_on(&self, first: Attempt) -> Result<ControlFlow<()>, LedgerError> {
        if self.leave.ask().await.is_err() {
            return Ok(ControlFlow::Break(()));
        }
        if !self.record_first(&first).await? {
            return Ok(ControlFlow::Continue(()));
        }
        let mut due = Some(first);
        while let Some(attempt) = due {
            // With a step intended, for whoever has the duty next.
            if self.leave.ask().await.is_err() {
                self.record_not_begun(&attempt).await?;
                return Ok(ControlFlow::Break(()));
            }
            match self.carry_out(attempt).await? {
                ControlFlow::Continue(next) => due = next,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Records the intent of an attempt, unless it is no longer what is next: an operator may have
    /// wanted no further step since it was.
    async fn record_first(&self, first: &Attempt) -> Result<bool, LedgerError> {
        let due = (first.index, first.number);
        let writing = self.ledger.record_with(|state| {
            let progress = state.cluster(&self.plan.cluster).progress;
            let next = progress.as_ref().filter(|it| it.plan().number == self.plan.number);
            match next.map(Progress::next) {
                Some(Next::Attempt { index, attempt, .. }) if (index, attempt) == due => {
                    vec![(Some(self.plan.cluster.clone()), self.intent(first))]
                }
                _ => Vec::new(),
            }
        });
        Ok(!writing.await?.is_empty())
    }

    fn intent(&self, attempt: &Attempt) -> Event {
        Event::StepIntended {
            plan: self.plan.number,
            step: attempt.index,
            attempt: attempt.number,
            term: self.leave.term(),
        }
    }

    /// Makes an attempt that is recorded as intended, and records its outcome; gives the one that
    /// follows at once, if one does.
    async fn carry_out(
        &self,
        attempt: Attempt,
    ) -> Result<ControlFlow<(), Option<Attempt>>, LedgerError> {
        let Attempt { index, number, resumed, begun } = attempt;
        let (cluster, plan) = (&self.plan.cluster, self.plan.number);
        let Some(step) = self.plan.steps.get(index) else { return Ok(ControlFlow::Continue(None)) };
        tracing::info!(%cluster, plan, step = index, attempt = number, resumed, act = %step.act, "step begins");
        if !step.act.repeatable() {
            // Who goes on by an operator's word alone must not find it not begun.
            self.leave.tell().await;
        }
        let acting =
            attempt_step(self.equipment, self.suspicions, &self.leave, self.plan, step, resumed);
        let (outcome, took) = share::measured(acting).await;
        if self.leave.is_withdrawn() {
            return Ok(ControlFlow::Break(()));
        }
        let next = self.record_end(&attempt, &outcome).await?;
        let all = begun.elapsed();
        tracing::info!(
            %cluster, plan, step = index, attempt = number, ?outcome,
            took_us = micros(all), own_us = micros(all.saturating_sub(took.others)),
            looks_us = micros(took.looks.min(took.others)), "step ended"
        );
        Ok(ControlFlow::Continue(next))
    }

    /// Records that an attempt was intended and certainly not begun, if that is still for this monitor
    /// to say. A moment without an answer about the duty then counts as nothing.
    async fn record_not_begun(&self, attempt: &Attempt) -> Result<(), LedgerError> {
        let Attempt { index, number, .. } = *attempt;
        let detail = "the duty was not certain".to_owned();
        let outcome = Outcome::NotBegun { detail };
        let writing = self.ledger.record_with(|state| {
            let cluster = state.cluster(&self.plan.cluster);
            let held = cluster.tenure.admits(self.leave.term()).is_ok();
            let mut progress = cluster.progress;
            let taken = progress.as_mut().map(|it| it.end_step(index, number, &outcome));
            if !held || !matches!(taken, Some(Ok(()))) {
                return Vec::new();
            }
            let plan = self.plan.number;
            let ended = Event::StepEnded { plan, step: index, attempt: number, outcome };
            vec![(Some(self.plan.cluster.clone()), ended)]
        });
        writing.await.map(drop)
    }

    /// Records how an attempt ended and, if the duty is still held, the intent of what follows at
    /// once, which it gives.
    async fn record_end(
        &self,
        attempt: &Attempt,
        outcome: &Outcome,
    ) -> Result<Option<Attempt>, LedgerError> {
        let Attempt { index, number, .. } = *attempt;
        let admitted = self.leave.ask().await.is_ok();
        let mut next = None;
        let writing = self.ledger.record_with(|state| {
            let mut progress = state.cluster(&self.plan.cluster).progress;
            let taken = progress.as_mut().map(|it| it.end_step(index, number, outcome));
            // What does not fit is for the journal to refuse.
            if let (Some(progress), Some(Ok(())), true) = (&progress, taken, admitted)
                && let Next::Attempt { index, attempt, delay_ms: 0, resumed, .. } = progress.next()
            {
                let begun = Instant::now();
                next = Some(Attempt { index, number: attempt, resumed, begun });
            }
            let (plan, outcome) = (self.plan.number, outcome.clone());
            let ended = Event::StepEnded { plan, step: index, attempt: number, outcome };
            let intent = next.as_ref().map(|next| self.intent(next));
            [Some(ended), intent]
                .into_iter()
                .flatten()
                .map(|event| (Some(self.plan.cluster.clone()), event))
                .collect()
        });
        writing.await?;
        Ok(next.map(|next| Attempt { begun: Instant::now(), ..next }))
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
