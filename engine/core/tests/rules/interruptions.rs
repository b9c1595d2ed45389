//! A plan survives anything. What can befall a step befalls each step of each plan that the engine makes,
//! once and always: a crash at each of its moments, the step twice, the step failing, the network gone for a
//! moment and for good, the operator's abort. The plan is carried out on a site that it really changes, by
//! the engine's own progress and fold. Where it stops, every way on is gone.
//!
//! The steps are those of the plans, so a new one is covered as it is.

mod site;

use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{MAX_INTERRUPTIONS, Next, Outcome, PlanEnding, Word};
use watchkeeper_core::guards::{Check, Guard};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Service, Side, Term};
use watchkeeper_core::plan::{Act, Plan, PlanKind, Proof};
use watchkeeper_core::state::ApplyError;
use watchkeeper_core::stopped::Left;

use crate::execution::plans;
use crate::history::Journal;
use crate::world::{World, cluster, name};
use site::{Site, server_of};

/// What becomes of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Done,
    CrashBeforeIntent,
    CrashBeforeEffect,
    CrashAfterEffect,
    CrashAfterOutcome,
    /// The command arrives twice.
    Twice,
    Fails,
    /// The duty is not certain, so it is not begun.
    NotBegun,
    /// The network loses the command, or the answer.
    CommandLost,
    AnswerLost,
    /// The network dies before or after the command, and stays dead.
    DeadBefore,
    DeadAfter,
    AbortBefore,
    AbortDuring,
    AbortAfter,
    /// The abort, and then a crash while the attempt is under way.
    AbortAndCrash,
}

const FATES: [Fate; 15] = [
    Fate::CrashBeforeIntent,
    Fate::CrashBeforeEffect,
    Fate::CrashAfterEffect,
    Fate::CrashAfterOutcome,
    Fate::Twice,
    Fate::Fails,
    Fate::NotBegun,
    Fate::CommandLost,
    Fate::AnswerLost,
    Fate::DeadBefore,
    Fate::DeadAfter,
    Fate::AbortBefore,
    Fate::AbortDuring,
    Fate::AbortAfter,
    Fate::AbortAndCrash,
];

impl Fate {
    /// Whether it can befall every attempt: nothing goes on for ever then.
    const fn can_go_on(self) -> bool {
        matches!(
            self,
            Self::CrashBeforeEffect
                | Self::CrashAfterEffect
                | Self::CrashAfterOutcome
                | Self::Twice
                | Self::Fails
                | Self::CommandLost
                | Self::AnswerLost
        )
    }
}

/// A plan that is carried out on a site.
#[derive(Debug, Clone)]
struct Run {
    journal: Journal,
    world: World,
    site: Site,
    plan: Plan,
    /// What is being tried, for whoever reads a failure.
    story: String,
}

impl Run {
    fn new(world: &World, kind: &PlanKind, hangs: bool, story: String) -> Self {
        let mut journal = Journal::default();
        if world.phase == Phase::Active(Side::Secondary) {
            let (side, by) = (Side::Secondary, "ada".to_owned());
            journal.write(Event::Declared { side, by, reason: "so it is".to_owned() });
        }
        journal.begin(world, kind.clone());
        let plan = journal.here().progress.unwrap().plan().clone();
        let mut site = Site::of(world, &plan);
        if hangs {
            site.hang(server_of(plan.from));
        }
        Self { journal, world: world.clone(), site, plan, story }
    }

    fn end_step(&mut self, step: usize, attempt: u32, outcome: Outcome) {
        let plan = self.plan.number;
        self.journal.write(Event::StepEnded { plan, step, attempt, outcome });
    }

    fn abort(&mut self) {
        let (plan, by, reason) = (self.plan.number, "ada".to_owned(), "a test".to_owned());
        self.journal.write(Event::PlanAborted { plan, by, reason });
    }

    fn is_over(&self) -> bool {
        self.journal.here().progress.is_none_or(|it| it.next() == Next::End)
    }

    /// Carries the plan in flight out to its end, as a daemon does that is killed and started again.
    fn carry_out(&mut self, fate: impl Fn(usize, u32) -> Fate) -> PlanEnding {
        let mut tries = BTreeMap::<usize, u32>::new();
        let bound: u32 = self.plan.steps.iter().map(|it| it.attempts + MAX_INTERRUPTIONS + 2).sum();
        for _ in 0..bound {
            self.site.clients();
            assert!(self.site.broken.is_empty(), "{}: {:?}", self.story, self.site.broken);
            let progress = self.journal.here().progress.unwrap();
            let (index, attempt) = match progress.next() {
                Next::Attempt { index, attempt, .. } => (index, attempt),
                Next::Settle { index, attempt, why, .. } => {
                    self.end_step(index, attempt, Outcome::Uncertain { detail: why.to_owned() });
                    continue;
                }
                Next::End => {
                    let (plan, ending) = (self.plan.number, progress.ending());
                    self.journal.write(Event::PlanEnded { plan, ending: ending.clone() });
                    return ending;
                }
            };
            let nth = tries.entry(index).or_default();
            *nth += 1;
            self.attempt(index, attempt, fate(index, *nth));
        }
        panic!("{}: it does not end in {bound} attempts: {tries:?}", self.story);
    }

    fn attempt(&mut self, index: usize, attempt: u32, fate: Fate) {
        let plan = self.plan.number;
        let act = self.plan.steps[index].act.clone();
        match fate {
            Fate::CrashBeforeIntent => return self.journal.restart(),
            Fate::AbortBefore => return self.abort(),
            Fate::DeadBefore => self.site.cut(&act),
            _ => {}
        }
        self.journal.write(Event::StepIntended { plan, step: index, attempt, term: Term(0) });
        if fate == Fate::CrashBeforeEffect {
            return self.journal.restart();
        }
        let detail = format!("{fate:?}");
        if fate == Fate::NotBegun {
            return self.end_step(index, attempt, Outcome::NotBegun { detail });
        }
        let arrives = !matches!(fate, Fate::Fails | Fate::CommandLost);
        let result =
            if arrives { self.site.perform(&act, &self.plan) } else { Err(detail.clone()) };
        // A command of the site's own that may not be repeated is theirs to guard against doubling.
        if fate == Fate::Twice && act.repeatable() {
            let again = self.site.perform(&act, &self.plan);
            assert_eq!(result.is_ok(), again.is_ok(), "{}: twice", self.story);
        }
        match fate {
            Fate::CrashAfterEffect => return self.journal.restart(),
            Fate::DeadAfter => self.site.cut(&act),
            Fate::AbortDuring => self.abort(),
            Fate::AbortAndCrash => {
                self.abort();
                return self.journal.restart();
            }
            _ => {}
        }
        let unheard = matches!(fate, Fate::AnswerLost | Fate::DeadAfter);
        let outcome = match result {
            // Nobody heard how it ended, and it must not be repeated without a word.
            Ok(()) if unheard && !act.repeatable() => Outcome::Uncertain { detail },
            Ok(()) if unheard => Outcome::Failed { detail },
            Ok(()) => Outcome::Done { detail, changed: true },
            Err(detail) => Outcome::Failed { detail },
        };
        self.end_step(index, attempt, outcome);
        match fate {
            Fate::CrashAfterOutcome => self.journal.restart(),
            Fate::AbortAfter if !self.is_over() => self.abort(),
            _ => {}
        }
    }

    /// What holds however it ended.
    fn check(&mut self, ending: &PlanEnding) {
        self.site.clients();
        assert!(self.site.broken.is_empty(), "{}: {:?}", self.story, self.site.broken);
        for step in &self.plan.steps {
            if let Act::Site(step) = &step.act
                && !step.repeatable
            {
                let ran = self.site.ran.get(&step.name).copied().unwrap_or(0);
                assert!(ran <= 1, "{}: {} ran {ran} times", self.story, step.name);
            }
        }
        let (from, to) = (self.plan.from, self.plan.to);
        let planned = matches!(self.plan.kind, PlanKind::Switchover | PlanKind::Switchback);
        let here = self.journal.here();
        let changes = self.plan.kind.changes_side();
        let phase = match ending {
            PlanEnding::Completed => Phase::Active(to),
            PlanEnding::Failed { .. } if changes => Phase::NeedsOperator(from),
            PlanEnding::Refused { .. } | PlanEnding::Failed { .. } => Phase::Active(from),
        };
        assert_eq!(here.phase, phase, "{}", self.story);
        let stops = changes && matches!(ending, PlanEnding::Failed { .. });
        assert_eq!(here.stopped.is_some(), stops, "{}: {ending:?}", self.story);
        if planned && matches!(ending, PlanEnding::Refused { .. }) {
            assert!(self.site.runs(server_of(from), Service::Daemon), "{}", self.story);
        }
        if changes && *ending == PlanEnding::Completed {
            assert!(!self.site.is_active(server_of(from)), "{}", self.story);
            for service in Service::ALL.into_iter().filter(|it| it.essential()) {
                assert!(self.site.runs(server_of(to), service), "{}: {service}", self.story);
            }
        }
        if planned && *ending == PlanEnding::Completed {
            assert_eq!(self.site.lost(server_of(to)), 0, "{}: rows are lost", self.story);
        }
        self.journal.restart();
    }

    /// What the monitor sees of the site now.
    fn look(&self) -> World {
        let mut world = self.world.clone();
        world.phase = self.journal.here().phase;
        self.site.seen(&mut world);
        world
    }

    /// The guards that hold taking it up again.
    fn held(&self) -> Vec<Guard> {
        let world = self.look();
        let snapshot = world.snapshot();
        let stopped = self.journal.here().stopped.unwrap();
        let checks = stopped.checks(&world.situation(&snapshot));
        checks.iter().filter_map(Check::hold).map(|hold| hold.guard).collect()
    }

    fn resumption(&self) -> Event {
        let stopped = self.journal.here().stopped.unwrap();
        let (step, _) = stopped.where_and_why();
        let word = match &self.plan.steps[step].act {
            Act::Site(site) if stopped.progress.needs_word() => {
                if self.site.ran.contains_key(&site.name) { Word::Done } else { Word::Again }
            }
            _ => Word::Unsaid,
        };
        let (by, reason) = ("ada".to_owned(), "a test".to_owned());
        Event::PlanResumed { plan: self.plan.number, term: Term(0), word, by, reason }
    }

    fn resume(&mut self) {
        let resumption = self.resumption();
        if let Event::PlanResumed { plan, term, word: Word::Again | Word::Done, by, reason } =
            resumption.clone()
        {
            let unsaid = Event::PlanResumed { plan, term, word: Word::Unsaid, by, reason };
            let refused = self.journal.clone().offer(Some(cluster()), unsaid);
            assert!(matches!(refused, Err(ApplyError::Plan { .. })), "{}: unsaid", self.story);
        }
        self.journal.write(resumption.clone());
        let again = self.journal.clone().offer(Some(cluster()), resumption);
        assert!(matches!(again, Err(ApplyError::NoPlan(_))), "{}: resumed twice", self.story);
    }

    /// It has stopped: every way on.
    fn ways_on(self) -> usize {
        self.clone().goes_on();
        self.clone().goes_on_too_early();
        self.clone().goes_on_after_work_by_hand();
        self.clone().give_up();
        self.declare();
        5
    }

    /// What stood in its way is gone.
    fn goes_on(mut self) {
        self.story.push_str(", then resumed");
        self.site.heal();
        assert_eq!(self.held(), [], "{}", self.story);
        let old = server_of(self.plan.from);
        // It had not answered, and answers: the reason for the plan is gone.
        let is_back = self.site.is_active(old) && !self.plan.asks_to_stop(&name(old));
        self.resume();
        let ending = self.carry_out(|_, _| Fate::Done);
        assert_eq!(ending == PlanEnding::Completed, !is_back, "{}: {ending:?}", self.story);
        self.check(&ending);
    }

    /// Nothing has been done about what stood in its way, and each further attempt fails. It stops again, and
    /// is none the worse for it.
    fn goes_on_too_early(mut self) {
        self.story.push_str(", then resumed too early");
        for _ in 0..2 {
            let (step, _) = self.journal.here().stopped.unwrap().where_and_why();
            self.resume();
            let fate = move |index, _| if index == step { Fate::Fails } else { Fate::Done };
            let ending = self.carry_out(fate);
            self.check(&ending);
            if self.journal.here().stopped.is_none() {
                return;
            }
        }
        self.goes_on();
    }

    /// Meanwhile somebody has made the old side active. What was written there is not lost unseen, and the
    /// sides are not both active.
    fn goes_on_after_work_by_hand(mut self) {
        self.story.push_str(", then resumed after work by hand");
        self.site.heal();
        let (from, to) = (server_of(self.plan.from), server_of(self.plan.to));
        self.site.stop_by_hand(to);
        self.site.start_by_hand(from);
        self.site.clients();
        let planned = self.plan.kind != PlanKind::Failover;
        let taken_over = self
            .plan
            .takes_over()
            .is_some_and(|it| self.journal.here().stopped.unwrap().progress.was_begun(it));
        if planned && taken_over {
            assert_eq!(self.held(), [Guard::Standby], "{}", self.story);
            return;
        }
        // It cannot be reached and goes on: no word of before, that it was inactive, counts.
        let mut unseen = self.clone();
        unseen.site.cut_server(from);
        unseen.resume();
        let ending = unseen.carry_out(|_, _| Fate::Done);
        unseen.check(&ending);
        // A server that was asked nothing, and is back, is not asked now.
        let is_asked = self.plan.asks_to_stop(&name(from));
        self.resume();
        let ending = self.carry_out(|_, _| Fate::Done);
        assert_eq!(ending == PlanEnding::Completed, is_asked, "{}: {ending:?}", self.story);
        self.check(&ending);
    }

    /// The side that counts afterwards, if one does, is one that may: the other one is not active, and nothing
    /// that was acknowledged is lost.
    fn give_up(mut self) {
        self.story.push_str(", then abandoned");
        for healed in [false, true] {
            if healed {
                self.site.heal();
            }
            let mut run = self.clone();
            let world = run.look();
            let stopped = run.journal.here().stopped.unwrap();
            let Left { side, why } = stopped.left(&world.snapshot(), world.limits.fresh_ms);
            let (by, reason) = ("ada".to_owned(), "a test".to_owned());
            run.journal.write(Event::PlanAbandoned {
                plan: run.plan.number,
                side,
                why,
                by,
                reason,
            });
            let here = run.journal.here();
            assert_eq!(here.stopped, None);
            match side {
                Some(side) => {
                    assert_eq!(here.phase, Phase::Active(side));
                    assert!(!run.site.is_active(server_of(side.other())), "{}", run.story);
                    let (from, to) = (server_of(run.plan.from), server_of(run.plan.to));
                    if run.plan.kind != PlanKind::Failover || side == run.plan.from {
                        assert_eq!(run.site.lost(server_of(side)), 0, "{}", run.story);
                    }
                    if side == Side::Primary && run.plan.to != Side::Primary {
                        assert!(run.site.follows(to, from), "{}: no standby is left", run.story);
                    }
                }
                None => assert_eq!(here.phase, Phase::NeedsOperator(run.plan.from)),
            }
            run.journal.restart();
        }
    }

    /// An operator knows better.
    fn declare(self) {
        for side in [Side::Primary, Side::Secondary] {
            let mut journal = self.journal.clone();
            let resumption = self.resumption();
            let by = "ada".to_owned();
            journal.write(Event::Declared { side, by, reason: "I looked".to_owned() });
            assert_eq!((journal.here().phase, journal.here().stopped), (Phase::Active(side), None));
            let late = journal.offer(Some(cluster()), resumption);
            assert!(matches!(late, Err(ApplyError::NoPlan(_))));
        }
    }
}

/// Every sort of plan, with a server that hangs and is fenced beside those that are lost.
fn all() -> Vec<(World, PlanKind, bool)> {
    let mut all: Vec<_> = plans().into_iter().map(|(world, kind)| (world, kind, false)).collect();
    let mut hanging = World::new().with_site_steps();
    hanging.arrangements.proof = Proof::Fence { within_ms: 40_000 };
    hanging.lose("dm1");
    all.push((hanging, PlanKind::Failover, true));
    all
}

#[test]
fn whatever_befalls_a_step_no_two_sides_are_active_nothing_is_lost_and_there_is_a_way_on() {
    let (mut cases, mut ways) = (0, 0);
    let mut met = BTreeSet::new();
    let mut endings = BTreeMap::<&str, usize>::new();
    for (world, kind, hangs) in all() {
        let steps = world.plan(kind.clone()).steps;
        for (at, step) in steps.iter().enumerate() {
            met.insert(step.act.kind());
            for fate in FATES {
                for always in [false, true] {
                    if always && !fate.can_go_on() {
                        continue;
                    }
                    let often = if always { "always" } else { "once" };
                    let story = format!("{kind}: {fate:?} {often} in step {at} ({})", step.act);
                    let mut run = Run::new(&world, &kind, hangs, story);
                    let ending = run.carry_out(|index, nth| {
                        if index == at && (always || nth == 1) { fate } else { Fate::Done }
                    });
                    run.check(&ending);
                    cases += 1;
                    let word = match ending {
                        PlanEnding::Completed => "completed",
                        PlanEnding::Refused { .. } => "refused",
                        PlanEnding::Failed { .. } => "stopped",
                    };
                    *endings.entry(word).or_default() += 1;
                    if run.journal.here().stopped.is_some() {
                        ways += run.ways_on();
                    }
                }
            }
        }
    }
    println!("{cases} cases, which ended {endings:?}; {ways} ways on from those that stopped");
    assert_eq!(endings.len(), 3, "{endings:?}");
    // An act that no plan has, or that has no name among the kinds, was not tried.
    assert_eq!(met, Act::KINDS.into(), "every kind of act stands in a plan that is tried here");
}

#[test]
fn two_things_that_befall_one_plan_are_survived_as_well() {
    let mut cases = 0;
    let all = all();
    for seed in 1..=1_500 {
        let dice = &mut crate::world::Dice::new(seed);
        let (world, kind, hangs) = dice.pick(&all).clone();
        let n = world.plan(kind.clone()).steps.len();
        let (one, two) = ((dice.below(n), *dice.pick(&FATES)), (dice.below(n), *dice.pick(&FATES)));
        let story = format!("seed {seed}, {kind}: {one:?} and {two:?}");
        let mut run = Run::new(&world, &kind, hangs, story);
        let ending = run.carry_out(|index, nth| {
            let befalls = |(at, _): &&(usize, Fate)| *at == index;
            let due = [one, two];
            let mut due = due.iter().filter(befalls);
            due.nth(usize::try_from(nth - 1).unwrap()).map_or(Fate::Done, |(_, fate)| *fate)
        });
        run.check(&ending);
        cases += 1;
        if run.journal.here().stopped.is_some() {
            cases += run.ways_on();
        }
    }
    println!("{cases} cases");
}
