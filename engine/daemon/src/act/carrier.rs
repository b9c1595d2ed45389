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
use watchkeeper_core::execution::{Next, Outcome};
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::Term;
use watchkeeper_core::plan::Plan;

use super::{Equipment, Suspicions, attempt_step};
use crate::duty::Duties;
use crate::ledger::{Ledger, LedgerError};
use crate::share;

/// Who carries a plan out in a term.
pub(super) struct Carrier<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) equipment: &'a Equipment,
    pub(super) suspicions: &'a Suspicions,
    pub(super) duties: &'a Duties,
    pub(super) plan: &'a Plan,
    pub(super) term: Term,
    /// Whether an operator said that this monitor is to have the duty.
    pub(super) ordered: bool,
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
        if !self.admitted().await {
            return Ok(ControlFlow::Break(()));
        }
        self.ledger.record(vec![(Some(self.plan.cluster.clone()), self.intent(&first))]).await?;
        let mut due = Some(first);
        while let Some(attempt) = due {
            // With a step intended, for whoever has the duty next.
            if !self.admitted().await {
                return Ok(ControlFlow::Break(()));
            }
            match self.carry_out(attempt).await? {
                ControlFlow::Continue(next) => due = next,
                ControlFlow::Break(()) => return Ok(ControlFlow::Break(())),
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    async fn admitted(&self) -> bool {
        let cluster = &self.plan.cluster;
        let why = match self.duties.of(cluster).duty {
            Duty::Held(term) if term == self.term => {
                match self.duties.admit(cluster, self.term).await {
                    Ok(()) => return true,
                    Err(why) => why,
                }
            }
            Duty::Held(term) => format!("term {} has begun", term.0),
            Duty::NotHeld(why) | Duty::Uncertain(why) => why,
        };
        tracing::warn!(%cluster, why, "the plan waits for the duty");
        false
    }

    fn intent(&self, attempt: &Attempt) -> Event {
        Event::StepIntended {
            plan: self.plan.number,
            step: attempt.index,
            attempt: attempt.number,
            term: self.term,
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
        let marks = self.equipment.marks;
        let hand = marks.then(|| self.duties.hand(cluster, self.term, self.ordered));
        let acting =
            attempt_step(self.equipment, self.suspicions, hand.as_ref(), self.plan, step, resumed);
        let (outcome, took) = share::measured(acting).await;
        if let Some(refusal) = hand.and_then(|hand| hand.refused()) {
            // Not this monitor's any more: how the step ended is for its successor to see.
            self.duties.refuse(cluster, self.term, refusal);
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

    /// Records how an attempt ended and, if the duty is still held, the intent of what follows at
    /// once, which it gives.
    async fn record_end(
        &self,
        attempt: &Attempt,
        outcome: &Outcome,
    ) -> Result<Option<Attempt>, LedgerError> {
        let Attempt { index, number, .. } = *attempt;
        let admitted = self.admitted().await;
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
