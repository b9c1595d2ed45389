//! Interrupt everywhere: every plan there is, crashed before, in and after every step, each step
//! failing each way, each step repeated. The journal is folded anew after each crash.

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{MAX_INTERRUPTIONS, Next, Outcome, PlanEnding};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Side, Status, Term};
use watchkeeper_core::plan::{OnFailure, Plan, PlanKind};

use crate::history::Journal;
use crate::world::{Dice, World, kinds};

/// What becomes of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is done, and recorded.
    Done,
    /// The monitor dies before the intent is recorded; the next attempt is done.
    CrashBeforeIntent,
    /// The monitor dies between the intent and the act.
    CrashBefore,
    /// The monitor dies when the act took effect, before the outcome is recorded.
    CrashAfter,
    /// It has no effect, certainly.
    Fails,
    /// The duty is not certain once the intent is recorded, so it is not begun.
    NotBegun,
    /// It had an effect or not.
    Uncertain,
}

const FATES: [Fate; 7] = [
    Fate::Done,
    Fate::CrashBeforeIntent,
    Fate::CrashBefore,
    Fate::CrashAfter,
    Fate::Fails,
    Fate::NotBegun,
    Fate::Uncertain,
];

/// A world in which a plan is carried out.
struct Run {
    journal: Journal,
    plan: Plan,
    /// Whether what the step is for is so.
    so: Vec<bool>,
    /// How often the step had an effect.
    effects: Vec<u32>,
    /// How often the step was carried out.
    tries: Vec<u32>,
    /// The steps that were carried out, in order, without repetition.
    order: Vec<usize>,
}

impl Run {
    fn new(world: &World, kind: PlanKind) -> Self {
        let mut journal = Journal::default();
        if world.phase == Phase::Active(Side::Secondary) {
            let (side, by) = (Side::Secondary, "ada".to_owned());
            journal.write(Event::Declared { side, by, reason: "so it is".to_owned() });
        }
        journal.begin(world, kind);
        let plan = journal.here().progress.unwrap().plan().clone();
        let n = plan.steps.len();
        Self {
            journal,
            plan,
            so: vec![false; n],
            effects: vec![0; n],
            tries: vec![0; n],
            order: vec![],
        }
    }

    /// The act itself. Whoever carries it out looks first; a site's command without a check
    /// cannot.
    fn act(&mut self, index: usize) {
        if !self.plan.steps[index].act.repeatable() || !self.so[index] {
            self.effects[index] += 1;
        }
        self.so[index] = true;
    }

    fn end_step(&mut self, step: usize, attempt: u32, outcome: Outcome) {
        let plan = self.plan.number;
        self.journal.write(Event::StepEnded { plan, step, attempt, outcome });
    }

    /// Carries the plan out to its end as a daemon would.
    fn carry_out(&mut self, mut fate: impl FnMut(usize, u32) -> Fate) -> PlanEnding {
        let plan = self.plan.number;
        for _ in 0..10_000 {
            let progress = self.journal.here().progress.unwrap();
            let (index, attempt) = match progress.next() {
                Next::Attempt { index, attempt, resumed, delay_ms, .. } => {
                    assert!(!resumed || delay_ms == 0, "nothing is gained by waiting");
                    (index, attempt)
                }
                Next::Settle { index, attempt, why, .. } => {
                    let detail = why.to_owned();
                    self.end_step(index, attempt, Outcome::Uncertain { detail });
                    continue;
                }
                Next::End => {
                    let ending = progress.ending();
                    self.journal.write(Event::PlanEnded { plan, ending: ending.clone() });
                    self.check(&ending);
                    return ending;
                }
            };
            self.tries[index] += 1;
            let fate = fate(index, self.tries[index]);
            if fate == Fate::CrashBeforeIntent {
                self.journal.restart();
                continue;
            }
            self.journal.write(Event::StepIntended { plan, step: index, attempt, term: Term(0) });
            if fate == Fate::CrashBefore {
                self.journal.restart();
                continue;
            }
            if fate == Fate::NotBegun {
                let detail = "the duty was not certain".to_owned();
                self.end_step(index, attempt, Outcome::NotBegun { detail });
                continue;
            }
            if self.order.last() != Some(&index) {
                self.order.push(index);
            }
            let detail = format!("{fate:?}");
            match fate {
                Fate::Fails => self.end_step(index, attempt, Outcome::Failed { detail }),
                Fate::Uncertain => {
                    self.act(index);
                    self.end_step(index, attempt, Outcome::Uncertain { detail });
                }
                Fate::CrashAfter => {
                    self.act(index);
                    self.journal.restart();
                }
                _ => {
                    self.act(index);
                    self.end_step(index, attempt, Outcome::Done { detail, changed: true });
                }
            }
        }
        panic!("it goes on for ever: {:?}", self.tries);
    }

    /// What holds however it went.
    fn check(&mut self, ending: &PlanEnding) {
        let steps = &self.plan.steps;
        assert!(self.order.windows(2).all(|two| two[0] < two[1]), "order {:?}", self.order);
        assert!(self.effects.iter().all(|effects| *effects <= 1), "effects {:?}", self.effects);
        let reached = match ending {
            PlanEnding::Completed => steps.len(),
            PlanEnding::Refused { step, .. } | PlanEnding::Failed { step, .. } => *step,
        };
        for (i, step) in steps.iter().enumerate() {
            assert!(
                self.so[i] || i >= reached || step.on_failure == OnFailure::GoOn,
                "skipped {i}"
            );
            assert!(i <= reached || self.tries[i] == 0, "step {i} after the end at {reached}");
        }
        let touched = (0..steps.len()).any(|i| self.effects[i] > 0 && self.plan.commits(i));
        assert!(!matches!(ending, PlanEnding::Refused { .. }) || !touched, "{ending:?}");
        let side = self.plan.from;
        let phase = match (self.plan.kind.changes_side(), ending) {
            (false, _) | (true, PlanEnding::Refused { .. }) => Phase::Active(side),
            (true, PlanEnding::Completed) => Phase::Active(self.plan.to),
            (true, PlanEnding::Failed { .. }) => Phase::NeedsOperator(side),
        };
        let here = self.journal.here();
        assert_eq!((here.phase, here.progress), (phase, None));
        self.journal.restart();
    }
}

/// Every sort of plan: each kind from where it can begin, the old side lost or not.
pub(crate) fn plans() -> Vec<(World, PlanKind)> {
    let mut all = vec![];
    for kind in kinds() {
        let world = if kind == PlanKind::Switchback { World::on_secondary() } else { World::new() };
        all.push((world.with_site_steps(), kind));
    }
    let mut lost = World::new().with_site_steps();
    lost.lose("dm1");
    all.push((lost, PlanKind::Failover));
    let mut bare = World::new();
    bare.arrangements.replicated_repository = false;
    bare.arrangements.attempts = 1;
    bare.saw("dm1", None, Status::Down);
    all.push((bare, PlanKind::Failover));
    all
}

/// How the plan ends if step `at` cannot be done and everything else is.
fn without(plan: &Plan, at: usize, known: bool) -> &'static str {
    let committed = (0..=at).any(|i| plan.commits(i));
    match plan.steps[at].on_failure {
        OnFailure::GoOn => "completed",
        OnFailure::Stop if known && !committed => "refused",
        OnFailure::Stop => "failed",
    }
}

fn word(ending: &PlanEnding, at: usize) -> &'static str {
    match ending {
        PlanEnding::Completed => "completed",
        PlanEnding::Refused { step, .. } if *step == at => "refused",
        PlanEnding::Failed { step, .. } if *step == at => "failed",
        _ => "ended elsewhere",
    }
}

/// Lets `fate` befall the attempts at step `at` that `when` says, and everything else be done.
fn befall(fate: Fate, when: impl Fn(u32) -> bool) -> impl Fn(Fate, &str, &World, &PlanKind, usize) {
    move |_, wanted, world, kind, at| {
        let mut run = Run::new(world, kind.clone());
        let ending =
            run.carry_out(|index, nth| if index == at && when(nth) { fate } else { Fate::Done });
        let step = &run.plan.steps[at];
        assert_eq!(
            word(&ending, at),
            wanted,
            "{kind}, {fate:?} at {at} ({}): {ending:?}",
            step.act
        );
    }
}

#[test]
fn whatever_befalls_a_step_once_or_always_the_plan_ends_as_the_rules_say() {
    let mut endings = std::collections::BTreeSet::new();
    for (world, kind) in plans() {
        let plan = world.plan(kind.clone());
        for (at, step) in plan.steps.iter().enumerate() {
            let repeatable = step.act.repeatable();
            for fate in FATES {
                let once = match fate {
                    Fate::Done | Fate::CrashBeforeIntent | Fate::NotBegun => "completed",
                    Fate::CrashBefore | Fate::CrashAfter if repeatable => "completed",
                    Fate::Fails if step.attempts > 1 => "completed",
                    Fate::Fails => without(&plan, at, true),
                    Fate::CrashBefore | Fate::CrashAfter | Fate::Uncertain => {
                        without(&plan, at, false)
                    }
                };
                befall(fate, |nth| nth == 1)(fate, once, &world, &kind, at);
                let always = match fate {
                    Fate::Done => "completed",
                    // Nothing is done, and nothing counts.
                    Fate::CrashBeforeIntent | Fate::NotBegun => continue,
                    Fate::Fails => without(&plan, at, true),
                    _ => without(&plan, at, false),
                };
                befall(fate, |_| true)(fate, always, &world, &kind, at);
                endings.extend([once, always]);
            }
        }
    }
    assert_eq!(endings.into_iter().collect::<Vec<_>>(), ["completed", "failed", "refused"]);
}

#[test]
fn a_step_that_takes_the_monitor_down_is_left_alone_after_some_time() {
    for (world, kind) in plans() {
        let plan = world.plan(kind.clone());
        for (at, step) in plan.steps.iter().enumerate() {
            let mut run = Run::new(&world, kind.clone());
            run.carry_out(|index, _| if index == at { Fate::CrashAfter } else { Fate::Done });
            let allowed = if step.act.repeatable() { MAX_INTERRUPTIONS } else { 1 };
            assert_eq!(run.tries[at], allowed, "{kind}, step {at} ({})", step.act);
        }
    }
}

#[test]
fn failures_are_counted_over_restarts() {
    let (world, kind) = (World::new(), PlanKind::Switchover);
    let plan = world.plan(kind.clone());
    for (at, step) in plan.steps.iter().enumerate() {
        let mut run = Run::new(&world, kind.clone());
        // Fails, crashes, fails: two attempts of its own and one cut short.
        run.carry_out(|index, nth| match (index == at, nth) {
            (true, 2) => Fate::CrashBefore,
            (true, _) => Fate::Fails,
            _ => Fate::Done,
        });
        assert_eq!(run.tries[at], step.attempts + 1, "step {at} ({})", step.act);
    }
}

#[test]
fn any_sequence_of_misfortunes_ends_and_breaks_no_rule() {
    let mut endings = std::collections::BTreeMap::new();
    let plans = plans();
    for seed in 1..=1_500 {
        let dice = &mut Dice::new(seed);
        let (world, kind) = dice.pick(&plans).clone();
        let luck = 2 + dice.below(12);
        let mut run = Run::new(&world, kind);
        let ending =
            run.carry_out(|_, _| if dice.one_in(luck) { *dice.pick(&FATES) } else { Fate::Done });
        let name = match ending {
            PlanEnding::Completed => "completed",
            PlanEnding::Refused { .. } => "refused",
            PlanEnding::Failed { .. } => "failed",
        };
        *endings.entry(name).or_insert(0) += 1;
    }
    let least = endings.values().min().copied().unwrap_or(0);
    assert!(endings.len() == 3 && least > 10, "the dice are too kind: {endings:?}");
}

#[test]
fn waiting_stands_between_two_attempts_only() {
    let mut journal = Journal::default();
    let plan = journal.begin(&World::new(), PlanKind::Failover);
    let next = |journal: &Journal| match journal.here().progress.unwrap().next() {
        Next::Attempt { index, attempt, delay_ms, resumed, .. } => {
            (index, attempt, delay_ms, resumed)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(next(&journal), (0, 1, 0, false));
    journal.write(Event::StepIntended { plan, step: 0, attempt: 1, term: Term(0) });
    assert_eq!(next(&journal), (0, 2, 0, true));
    let outcome = Outcome::Failed { detail: "no".to_owned() };
    journal.write(Event::StepEnded { plan, step: 0, attempt: 1, outcome });
    assert_eq!(next(&journal), (0, 2, 2_000, false));
}
