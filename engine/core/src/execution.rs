//! How far a plan has come, and what is next.
//!
//! [`Progress`] is a fold of the plan's events. It asks for one thing at a time ([`Next`]); who
//! carries it out records the intent before and the outcome after, and asks again. A process that
//! died in between finds the same progress when it folds the journal again, and goes on.
//!
//! Invariant 3 stands here: an attempt that was intended and has no outcome is begun again only
//! if its act is repeatable, which every act of the engine's own is because it checks first.
//! Otherwise the plan stops and asks.

use serde::{Deserialize, Serialize};

use crate::plan::{OnFailure, Plan, Step};

/// How one attempt at a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub enum Outcome {
    /// It is so now, verified.
    Done {
        /// What was found and done, for people.
        detail: String,
        /// Whether anything had to be done: false if it was so already.
        changed: bool,
    },
    /// It is not so.
    Failed {
        /// What went wrong, for people.
        detail: String,
    },
    /// It may have been done or not, and repeating it is not known to be harmless.
    Uncertain {
        /// What is known, for people.
        detail: String,
    },
}

impl Outcome {
    /// What is known, for people.
    pub fn detail(&self) -> &str {
        match self {
            Self::Done { detail, .. } | Self::Failed { detail } | Self::Uncertain { detail } => {
                detail
            }
        }
    }
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ending")]
pub enum PlanEnding {
    /// Every step that matters is done.
    Completed,
    /// It ended before anything was changed.
    Refused {
        /// The step that ended it, counted from 0.
        step: usize,
        /// Why, for people.
        detail: String,
    },
    /// It stopped on the way.
    Failed {
        /// The step that ended it, counted from 0.
        step: usize,
        /// Why, for people.
        detail: String,
    },
}

/// What is to be done next about a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next<'a> {
    /// Record the intent, carry the step out, record the outcome.
    Attempt {
        /// The step, counted from 0.
        index: usize,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// What is to be done.
        step: &'a Step,
        /// How long to wait before, in milliseconds: not zero between two attempts.
        delay_ms: u64,
        /// Whether a crash left an earlier attempt without an outcome.
        resumed: bool,
    },
    /// Record the ending.
    End,
}

/// How far a plan has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    plan: Plan,
    /// The step that is next or under way.
    index: usize,
    /// Attempts at it that have an outcome.
    failures: u32,
    /// The attempt that is intended and has no outcome yet.
    intended: Option<u32>,
    /// Whether a step with effect has been begun.
    touched: bool,
    ended: Option<PlanEnding>,
}

/// An event does not fit the progress it is applied to: the journal is not what this program
/// wrote.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("plan {plan}: {problem}")]
pub struct OutOfOrder {
    /// The plan's number.
    pub plan: u64,
    /// What does not fit.
    pub problem: String,
}

impl Progress {
    /// The beginning.
    pub const fn new(plan: Plan) -> Self {
        Self { plan, index: 0, failures: 0, intended: None, touched: false, ended: None }
    }

    /// The plan itself.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The step that is next or under way, counted from 0; the number of steps when all are done.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Whether anything may have been changed.
    pub const fn touched(&self) -> bool {
        self.touched
    }

    /// What is next.
    pub fn next(&self) -> Next<'_> {
        let Some(step) = self.plan.steps.get(self.index) else { return Next::End };
        if self.ended.is_some() {
            return Next::End;
        }
        let (attempt, resumed) = match self.intended {
            Some(attempt) if step.act.repeatable() => (attempt, true),
            Some(_) => return Next::End,
            None => (self.failures + 1, false),
        };
        let delay_ms = if self.failures > 0 && !resumed { step.retry_delay_ms } else { 0 };
        Next::Attempt { index: self.index, attempt, step, delay_ms, resumed }
    }

    /// How the plan ended, once [`Progress::next`] says that it has.
    pub fn ending(&self) -> PlanEnding {
        if let Some(ending) = &self.ended {
            return ending.clone();
        }
        match (self.plan.steps.get(self.index), self.intended) {
            (None, _) => PlanEnding::Completed,
            (Some(step), Some(_)) => PlanEnding::Failed {
                step: self.index,
                detail: format!(
                    "{}: the monitor stopped while it was under way, and it is not known to be \
                     harmless to repeat; find out whether it took effect",
                    step.act
                ),
            },
            (Some(step), None) => self.stopped(format!("{}: not carried out", step.act)),
        }
    }

    fn stopped(&self, detail: String) -> PlanEnding {
        if self.touched {
            PlanEnding::Failed { step: self.index, detail }
        } else {
            PlanEnding::Refused { step: self.index, detail }
        }
    }

    /// Takes in that an attempt is intended.
    pub fn intend(&mut self, index: usize, attempt: u32) -> Result<(), OutOfOrder> {
        let Some(step) = self.plan.steps.get(index).filter(|_| index == self.index) else {
            return Err(self.out_of_order(format!("step {index} intended, {} is next", self.index)));
        };
        self.touched |= step.act.has_effect();
        self.intended = Some(attempt);
        Ok(())
    }

    /// Takes in how the attempt ended.
    pub fn end_step(&mut self, index: usize, outcome: &Outcome) -> Result<(), OutOfOrder> {
        let step = self.plan.steps.get(index).filter(|_| index == self.index);
        let (Some(step), Some(_)) = (step, self.intended) else {
            return Err(
                self.out_of_order(format!("step {index} ended without having been intended"))
            );
        };
        let (attempts, on_failure) = (step.attempts, step.on_failure);
        let what = step.act.to_string();
        self.intended = None;
        match outcome {
            Outcome::Done { .. } => self.advance(),
            Outcome::Uncertain { detail } => {
                self.ended =
                    Some(PlanEnding::Failed { step: index, detail: format!("{what}: {detail}") });
            }
            Outcome::Failed { detail } => {
                self.failures += 1;
                if self.failures >= attempts {
                    match on_failure {
                        OnFailure::GoOn => self.advance(),
                        OnFailure::Stop => {
                            self.ended = Some(self.stopped(format!("{what}: {detail}")));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    const fn advance(&mut self) {
        self.index += 1;
        self.failures = 0;
    }

    fn out_of_order(&self, problem: String) -> OutOfOrder {
        OutOfOrder { plan: self.plan.number, problem }
    }
}
