//! How far a plan has come, and what is next.
//!
//! [`Progress`] is a fold of the plan's events. It asks for one thing at a time ([`Next`]); who
//! carries it out records the intent before and the outcome after, and asks again. A process that
//! died in between finds the same progress when it folds the journal again, and goes on.
//!
//! Invariant 3 stands here: an attempt that was intended and has no outcome is begun again only
//! if its act is repeatable, which every act of the engine's own is because it checks first, and
//! only [`MAX_INTERRUPTIONS`] times: a step that takes the monitor down with it must not do so for
//! ever. Otherwise its outcome is uncertain, and the plan stops and asks. The fold refuses a
//! record that breaks these rules, so they hold for whoever writes the journal.

use serde::{Deserialize, Serialize};

use crate::plan::{Act, OnFailure, Plan, Step};

/// How many attempts at one step may be cut short by the end of the monitor's process before the
/// step is left alone. They do not count as attempts of the step's own.
pub const MAX_INTERRUPTIONS: u32 = 3;

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
    /// Nothing was done: the monitor was not sure of the duty when its turn came. Counts as no
    /// attempt.
    NotBegun {
        /// Why, for people.
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
            Self::Done { detail, .. }
            | Self::Failed { detail }
            | Self::NotBegun { detail }
            | Self::Uncertain { detail } => detail,
        }
    }
}

/// How a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ending")]
pub enum PlanEnding {
    /// Every step that matters is done.
    Completed,
    /// It ended before anything was changed that the active side needs.
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
        /// Which attempt, counted from 1, those included that a crash cut short.
        attempt: u32,
        /// What is to be done.
        step: &'a Step,
        /// How long to wait before, in milliseconds: not zero between two attempts.
        delay_ms: u64,
        /// Whether a crash left an earlier attempt without an outcome.
        resumed: bool,
    },
    /// Record as [`Outcome::Uncertain`], and do nothing: a crash cut this attempt short, and the
    /// step must not be begun again.
    Settle {
        /// The step, counted from 0.
        index: usize,
        /// The attempt that has no outcome.
        attempt: u32,
        /// What was under way.
        step: &'a Step,
        /// What to record as its detail.
        why: &'static str,
    },
    /// Record the ending.
    End,
}

const NOT_REPEATABLE: &str = "the monitor stopped while it was under way, and it is not known to \
                              be harmless to repeat; find out whether it took effect";
const INTERRUPTED: &str = "the monitor stopped each time while it was under way; find out why";
const ABORTED: &str = "the monitor stopped while it was under way, and an operator wants no further \
                       attempt";

/// Who said something about a plan, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What an operator says of the step at which a plan stopped, when it is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Nothing: the step looks for itself. Not possible if nobody knows whether it took effect and
    /// it cannot look.
    #[default]
    Unsaid,
    /// It did not take effect: it is carried out.
    Again,
    /// It took effect, or was done by hand: the plan goes on behind it. Only of a site's own step.
    Done,
}

/// How far a plan has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    plan: Plan,
    /// The step that is next or under way.
    index: usize,
    /// Attempts at it that were begun.
    begun: u32,
    /// Attempts at it that failed.
    failures: u32,
    /// Attempts at it that were begun and never had an outcome.
    interruptions: u32,
    /// Whether the last attempt that was begun has no outcome yet.
    under_way: bool,
    /// Whether a step was begun after which the plan can no longer be refused.
    touched: bool,
    ended: Option<PlanEnding>,
    /// Whether it ended with a step of which nobody knows whether it took effect.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    uncertain: bool,
    /// An operator wants no further step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aborted: Option<Said>,
    /// It was taken up again: the steps before this one have had their turn, and of them only what
    /// may be so no longer is made sure of anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    behind: Option<usize>,
    /// The furthest step that was begun before it was taken up again: it may be the one behind that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    furthest: Option<usize>,
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
        Self {
            plan,
            index: 0,
            begun: 0,
            failures: 0,
            interruptions: 0,
            under_way: false,
            touched: false,
            ended: None,
            uncertain: false,
            aborted: None,
            behind: None,
            furthest: None,
        }
    }

    /// The plan itself.
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The step that is next or under way, counted from 0; the number of steps when all are done.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Whether anything may have been changed that the active side needs.
    pub const fn touched(&self) -> bool {
        self.touched
    }

    /// Whether the step at `index` was begun, in this run of the plan or in an earlier one.
    pub fn was_begun(&self, index: usize) -> bool {
        let now = index < self.index || (index == self.index && self.begun > 0);
        now || self.was_begun_before(index)
    }

    /// Whether the step at `index` had its turn to the end, in this run of the plan or in an earlier
    /// one that came further.
    pub fn has_passed(&self, index: usize) -> bool {
        index < self.index.max(self.behind.unwrap_or(0))
    }

    fn was_begun_before(&self, index: usize) -> bool {
        self.behind.is_some_and(|behind| index < behind)
            || self.furthest.is_some_and(|furthest| index <= furthest)
    }

    /// Whether it ended with a step of which nobody knows whether it took effect, and which cannot
    /// look for itself.
    pub fn needs_word(&self) -> bool {
        let step = self.plan.steps.get(self.index);
        self.uncertain && step.is_some_and(|step| !step.act.repeatable())
    }

    /// Who wants no further step, and why.
    pub const fn aborted(&self) -> Option<&Said> {
        self.aborted.as_ref()
    }

    /// What is next. Whoever carries the plan out asks when no attempt of its own is under way.
    pub fn next(&self) -> Next<'_> {
        let Some(step) = self.plan.steps.get(self.index) else { return Next::End };
        if self.ended.is_some() || (self.aborted.is_some() && !self.under_way) {
            return Next::End;
        }
        let settle = |why| Next::Settle { index: self.index, attempt: self.begun, step, why };
        if self.aborted.is_some() {
            return settle(ABORTED);
        }
        if self.under_way && !step.act.repeatable() {
            return settle(NOT_REPEATABLE);
        }
        if self.under_way && self.interruptions + 1 >= MAX_INTERRUPTIONS {
            return settle(INTERRUPTED);
        }
        Next::Attempt {
            index: self.index,
            attempt: self.begun + 1,
            step,
            delay_ms: if self.failures > 0 && !self.under_way { step.retry_delay_ms } else { 0 },
            resumed: self.under_way,
        }
    }

    /// How the plan ended, once [`Progress::next`] says that it has; before that, how it ends if
    /// it is given up here.
    pub fn ending(&self) -> PlanEnding {
        if let Some(ending) = &self.ended {
            return ending.clone();
        }
        match (self.plan.steps.get(self.index), &self.aborted) {
            (None, _) => PlanEnding::Completed,
            (Some(step), None) => self.stopped(format!("{}: not carried out", step.act)),
            (Some(step), Some(Said { by, reason })) => {
                self.stopped(format!("{}: {by} wants no further step: {reason}", step.act))
            }
        }
    }

    fn stopped(&self, detail: String) -> PlanEnding {
        if self.touched {
            PlanEnding::Failed { step: self.index, detail }
        } else {
            PlanEnding::Refused { step: self.index, detail }
        }
    }

    /// Takes in that an attempt is intended: it has to be the one that [`Progress::next`] gives.
    pub fn intend(&mut self, index: usize, attempt: u32) -> Result<(), OutOfOrder> {
        match self.next() {
            Next::Attempt { index: i, attempt: a, .. } if (i, a) == (index, attempt) => {}
            next => {
                let what = format!("attempt {attempt} at step {index} intended");
                return Err(self.out_of_order(&what, next));
            }
        }
        if self.under_way {
            self.interruptions += 1;
        }
        self.touched |= self.plan.commits(index);
        self.begun = attempt;
        self.under_way = true;
        Ok(())
    }

    /// Takes in how the attempt that was intended ended.
    pub fn end_step(
        &mut self,
        index: usize,
        attempt: u32,
        outcome: &Outcome,
    ) -> Result<(), OutOfOrder> {
        let expected = self.under_way && (index, attempt) == (self.index, self.begun);
        let Some(step) = self.plan.steps.get(index).filter(|_| expected) else {
            let what = format!("attempt {attempt} at step {index} ended");
            return Err(self.out_of_order(&what, self.next()));
        };
        let (attempts, on_failure) = (step.attempts.max(1), step.on_failure);
        let what = step.act.to_string();
        self.under_way = false;
        match (outcome, on_failure) {
            (Outcome::Done { .. }, _) | (Outcome::Uncertain { .. }, OnFailure::GoOn) => {
                self.advance();
            }
            (Outcome::NotBegun { .. }, _) => {}
            (Outcome::Uncertain { detail }, OnFailure::Stop) => {
                self.uncertain = true;
                self.ended =
                    Some(PlanEnding::Failed { step: index, detail: format!("{what}: {detail}") });
            }
            (Outcome::Failed { detail }, _) => {
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

    /// Checks that the plan may end so. It may be given up on the way, but it is completed only
    /// when every step has had its turn, and refused only while nothing was touched.
    pub fn check_ending(&self, ending: &PlanEnding) -> Result<(), OutOfOrder> {
        let possible = match ending {
            PlanEnding::Completed => self.ended.is_none() && self.index >= self.plan.steps.len(),
            PlanEnding::Refused { .. } => !self.touched,
            PlanEnding::Failed { .. } => true,
        };
        if possible {
            return Ok(());
        }
        Err(self.out_of_order(&format!("it ended ({ending:?})"), self.next()))
    }

    /// Takes in how it ended, which may be that it was given up on the way.
    pub fn end(&mut self, ending: &PlanEnding) -> Result<(), OutOfOrder> {
        self.check_ending(ending)?;
        self.uncertain |= self.under_way;
        self.under_way = false;
        self.ended = Some(ending.clone());
        Ok(())
    }

    /// Takes in that an operator wants no further step. An attempt that is under way comes to its
    /// end.
    pub fn abort(&mut self, said: Said) -> Result<(), OutOfOrder> {
        if self.ended.is_some() {
            return Err(self.out_of_order("no further step is wanted", Next::End));
        }
        self.aborted = Some(said);
        Ok(())
    }

    /// Takes a plan that stopped on its way up again. What was made sure of before is made sure of
    /// anew where it may be so no longer ([`Act::to_be_made_sure_of`]): in particular no exclusive
    /// service is started before the old side is found inactive again. What else was done is done.
    ///
    /// [`Act::to_be_made_sure_of`]: crate::plan::Act::to_be_made_sure_of
    pub fn resume(&mut self, word: Word) -> Result<(), OutOfOrder> {
        let what = "it was taken up again";
        if !matches!(self.ended, Some(PlanEnding::Failed { .. })) {
            return Err(self.out_of_order(what, self.next()));
        }
        if word == Word::Unsaid && self.needs_word() {
            let problem = format!("{what}, but nobody said whether step {} was done", self.index);
            return Err(OutOfOrder { plan: self.plan.number, problem });
        }
        let step = self.plan.steps.get(self.index);
        if word == Word::Done && !step.is_some_and(|step| matches!(step.act, Act::Site(_))) {
            let problem = format!("{what} behind step {}, which looks for itself", self.index);
            return Err(OutOfOrder { plan: self.plan.number, problem });
        }
        let reached = self.index + usize::from(word == Word::Done);
        if self.begun > 0 {
            self.furthest = self.furthest.max(Some(self.index));
        }
        self.behind = self.behind.max(Some(reached));
        self.ended = None;
        self.aborted = None;
        self.uncertain = false;
        self.under_way = false;
        self.go_to(0);
        Ok(())
    }

    fn advance(&mut self) {
        self.go_to(self.index + 1);
    }

    /// Goes to the step at `index`, or the first one after it that is to have a turn.
    fn go_to(&mut self, index: usize) {
        let taken_over = self.plan.takes_over().is_some_and(|step| self.was_begun_before(step));
        let had_its_turn = |index: usize| {
            let again = |step: &Step| step.act.to_be_made_sure_of(taken_over);
            self.behind.is_some_and(|behind| index < behind)
                && self.plan.steps.get(index).is_some_and(|step| !again(step))
        };
        let mut index = index;
        while had_its_turn(index) {
            index += 1;
        }
        self.index = index;
        self.begun = 0;
        self.failures = 0;
        self.interruptions = 0;
    }

    fn out_of_order(&self, what: &str, next: Next<'_>) -> OutOfOrder {
        let next = match next {
            Next::Attempt { index, attempt, .. } => {
                format!("attempt {attempt} at step {index} is next")
            }
            Next::Settle { index, attempt, .. } => {
                format!("the outcome of attempt {attempt} at step {index} is to be settled")
            }
            Next::End => "its end is next".to_owned(),
        };
        OutOfOrder { plan: self.plan.number, problem: format!("{what}, but {next}") }
    }
}
