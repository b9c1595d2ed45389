//! What operators order about a plan in flight, and about one that stopped on its way.

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Next, Progress, Word};
use watchkeeper_core::guards::{Duty, Guard};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::state::ClusterState;
use watchkeeper_core::stopped::{Left, Stopped};

use super::order::{Answer, Refusal, held, with_overrides};
use super::{Setup, Watch};

/// That a plan which stopped goes on, as an operator orders it.
#[derive(Debug, Clone)]
pub struct ResumeOrder {
    /// What the operator says of the step at which it stopped.
    pub word: Word,
    /// Who orders it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Guards that are not to hold it.
    pub overrides: Vec<Guard>,
}

impl Watch {
    /// No further step of the plan in flight is begun; the attempt that is under way comes to its end.
    pub(super) async fn abort(&self, by: String, reason: String) -> Result<Answer, Refusal> {
        self.has_the_duty()?;
        let name = &self.name;
        let mut found = Err(Refusal::Unrecorded);
        let writing = self.ledger.record_with(|state| {
            found = in_flight(&state.cluster(name));
            let Ok(progress) = &found else { return Vec::new() };
            let plan = progress.plan().number;
            vec![(Some(name.clone()), Event::PlanAborted { plan, by, reason })]
        });
        let written = writing.await.is_ok();
        let progress = found?;
        if !written {
            return Err(Refusal::Unrecorded);
        }
        let step = progress.index();
        Ok(Answer::Aborted { plan: Box::new(progress.plan().clone()), step })
    }

    /// The plan that stopped goes on, if no guard holds it and the duty is held.
    pub(super) async fn resume_order(&mut self, order: ResumeOrder) -> Result<Answer, Refusal> {
        self.has_the_duty()?;
        self.await_marks().await;
        let stand = self.stand().await;
        let stopped = of(&stand.state)?;
        let (step, why) = stopped.where_and_why();
        if order.word == Word::Unsaid && stopped.progress.needs_word() {
            return Err(Refusal::Impossible(format!(
                "nobody knows whether step {} took effect ({why}): find out, and say `--step done` or `--step again`",
                step + 1
            )));
        }
        let plan = stopped.plan().clone();
        let number = plan.number;
        if let Err(problem) = stopped.progress.clone().resume(order.word) {
            return Err(Refusal::Impossible(format!(
                "{}: `--step done` is for a step of the site's own",
                problem.problem
            )));
        }
        let holds = held(&stopped.checks(&stand.situation()), &order.overrides);
        let Duty::Held(term) = stand.duty else { return Err(Refusal::Held(holds)) };
        if !holds.is_empty() {
            return Err(Refusal::Held(holds));
        }
        let reason = with_overrides(order.reason, &order.overrides);
        let (word, by) = (order.word, order.by);
        let resumed = Event::PlanResumed { plan: number, term, word, by, reason };
        if !self.record(vec![stand.seen(), resumed], None).await {
            return Err(Refusal::Unrecorded);
        }
        self.carry_out();
        let (holds, checks) = (Vec::new(), Vec::new());
        Ok(Answer::Plan { plan: Box::new(plan), begun: true, holds, checks })
    }

    /// The plan that stopped is given up. Which side counts then is what is known, or for an operator
    /// to say.
    pub(super) async fn abandon(&mut self, by: String, reason: String) -> Result<Answer, Refusal> {
        self.has_the_duty()?;
        let stand = self.stand().await;
        let stopped = of(&stand.state)?;
        let plan = stopped.plan().number;
        let Left { side, why } = left(stopped, &stand.snapshot, &stand.setup);
        let said = why.clone();
        self.note(Event::PlanAbandoned { plan, side, why, by, reason }).await?;
        Ok(Answer::Abandoned { plan, side, why: said })
    }
}

/// Which side counts as active if it is given up now.
pub(crate) fn left(
    stopped: &Stopped,
    snapshot: &watchkeeper_core::snapshot::Snapshot,
    setup: &Setup,
) -> Left {
    stopped.left(snapshot, setup.limits.fresh_ms)
}

/// The plan in flight that can be stopped; the error says why there is none.
fn in_flight(state: &ClusterState) -> Result<Progress, Refusal> {
    let Some(progress) = &state.progress else {
        let why = "no plan is in flight";
        return Err(Refusal::Impossible(match &state.stopped {
            Some(stopped) => format!("{why}: {}", stands(stopped)),
            None => why.to_owned(),
        }));
    };
    if let Some(said) = progress.aborted() {
        let why = format!("{} wants no further step already: {}", said.by, said.reason);
        return Err(Refusal::Impossible(why));
    }
    if progress.next() == Next::End {
        let why = format!("plan {} is ending", progress.plan().number);
        return Err(Refusal::Impossible(why));
    }
    Ok(progress.clone())
}

/// The plan that stopped; the error says why there is none.
fn of(state: &ClusterState) -> Result<&Stopped, Refusal> {
    state.stopped.as_ref().ok_or_else(|| {
        Refusal::Impossible(match (&state.progress, state.phase) {
            (Some(progress), _) => format!(
                "plan {} is in flight and has not stopped; `watchkeeper abort` has it stop",
                progress.plan().number
            ),
            (None, Phase::NeedsOperator(_)) => {
                "the plan was given up already; say which side is active with `watchkeeper declare`"
                    .to_owned()
            }
            (None, phase) => format!("no plan has stopped on its way: the cluster is {phase}"),
        })
    })
}

fn stands(stopped: &Stopped) -> String {
    format!(
        "plan {} has stopped already; `watchkeeper resume` has it go on, `watchkeeper abandon` gives it up",
        stopped.plan().number
    )
}
