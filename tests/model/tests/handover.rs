//! The duty and the change of side together, in every order: the engine's own table of phases
//! (`lifecycle::step`) and its own protocol of the duty (`duty::peer`), with messages that are lost or
//! late, monitors that crash, and servers that go off and come back.
//!
//! A monitor's journal survives its crash; what is on its way to or from it does not. A command is
//! carried out only while who sent it waits for it (decision 15), and if no later term is in force on
//! its server (decision 12). Whether the old side is gone is known by the server's own word, or by its
//! being off.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use stateright::{Checker as _, Model, Property};
use watchkeeper_core::duty::peer::{
    Answer, Ask, Report, belongs_here, conclude, heed, may_give, respond,
};
use watchkeeper_core::duty::{Change, Standing, Tenure};
use watchkeeper_core::lifecycle::{Phase, Trigger, step};
use watchkeeper_core::model::{ClusterName, MonitorName, Side, Term};
use watchkeeper_core::past::Past;
use watchkeeper_core::state::State as Fold;

/// How far the model is followed.
const TERMS: u64 = 3;
const LETTERS: usize = 1;
const CRASHES: u8 = 2;
const OUTAGES: u8 = 2;

fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

fn name(who: usize) -> MonitorName {
    MonitorName::new(["vp1", "vp2"][who]).unwrap()
}

fn past(phase: Phase) -> Past {
    Past { phase, ..Fold::default().past(&cluster()) }
}

const fn index(side: Side) -> usize {
    match side {
        Side::Primary => 0,
        Side::Secondary => 1,
    }
}

/// Where a change of side stands: the step that is next or under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Stage {
    /// Stop what runs on the old side.
    Stop,
    /// Be sure that it does not run.
    Confirm,
    /// Start the new side.
    Start,
}

/// What a monitor's journal says, and whether a command of its is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Monitor {
    tenure: Tenure,
    phase: Phase,
    plan: Option<Stage>,
    waits: bool,
}

/// Who made a side's exclusive services run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Runs {
    No,
    /// It was so at the beginning, or by a step.
    Meant,
    /// By a boot.
    Boot,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Server {
    on: bool,
    runs: Runs,
    mark: (Term, usize),
}

/// What is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Letter {
    Question { from: usize, report: Report, ask: Word, phase: Phase },
    Reply { to: usize, report: Report, ask: Word, answer: Word, phase: Phase },
}

/// Questions and answers, without the past but for its phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Word {
    Greet,
    Share(Term, u64),
    Offer(Term),
    Withdraw(Term),
    Request(Term),
    Heard,
    Accepted(Term),
    Withdrawn,
    Free(Option<(Term, u64)>),
    Refused,
}

impl Word {
    fn ask(self, phase: Phase) -> Ask {
        let cluster = cluster();
        let past = || Box::new(past(phase));
        match self {
            Self::Share(term, version) => Ask::Share { cluster, term, version, past: past() },
            Self::Offer(next) => Ask::Offer { cluster, next, past: past() },
            Self::Withdraw(next) => Ask::Withdraw { cluster, next },
            Self::Request(next) => {
                Ask::Request { cluster, next, by: String::new(), reason: String::new() }
            }
            _ => Ask::Greet,
        }
    }

    fn answer(self, phase: Phase) -> Answer {
        match self {
            Self::Accepted(term) => Answer::Accepted { term },
            Self::Withdrawn => Answer::Withdrawn,
            Self::Free(known) => Answer::Free { known, past: Box::new(past(phase)) },
            Self::Refused => Answer::Refused { why: String::new() },
            _ => Answer::Heard,
        }
    }

    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Accepted { term } => Self::Accepted(*term),
            Answer::Withdrawn => Self::Withdrawn,
            Answer::Free { known, .. } => Self::Free(*known),
            Answer::Refused { .. } => Self::Refused,
            Answer::Heard | Answer::Giving => Self::Heard,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct World {
    monitors: [Monitor; 2],
    servers: [Server; 2],
    letters: Vec<Letter>,
    crashes: u8,
    outages: u8,
    /// What must not be, once it was.
    broken: Option<&'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Asks(usize, Word),
    Gives(usize),
    Arrives(usize),
    /// It arrives, and stays on its way to arrive again.
    ArrivesFirst(usize),
    Lost(usize),
    Crashes(usize),
    Off(usize),
    On(usize, bool),
    /// Its policies want the other side.
    FailsOver(usize),
    /// The next step is sent.
    Sends(usize),
    /// What was sent is carried out, and its outcome is heard; or it is not heard.
    Done(usize, bool),
    /// Nothing came back in time.
    OutOfTime(usize),
    /// A stray is stopped.
    Clears(usize),
}

impl World {
    fn report(&self, who: usize) -> Report {
        Report::of(&cluster(), &self.monitors[who].tenure)
    }

    fn apply(&mut self, who: usize, change: Option<Change>) {
        let Some(change) = change else { return };
        let monitor = &mut self.monitors[who];
        if monitor.tenure.apply(&change).is_err() {
            self.broken = Some("a change of the duty does not fit the journal");
            return;
        }
        if let Change::Taken { past: Some(past), .. } | Change::Shared { past, .. } = &change {
            monitor.phase = past.phase;
        }
    }

    fn hear(&mut self, who: usize, report: &Report) {
        let change = heed(&self.monitors[who].tenure, report, &name(1 - who), who == 0);
        self.apply(who, change);
    }

    fn send(&mut self, letter: Letter) {
        if let Err(at) = self.letters.binary_search(&letter) {
            self.letters.insert(at, letter);
        }
    }

    fn arrive(&mut self, letter: &Letter) {
        match letter {
            Letter::Question { from, report, ask, phase } => {
                let to = 1 - from;
                self.hear(to, report);
                let here = &self.monitors[to];
                let ours = here.phase;
                let wanted = matches!(ask, Word::Request(_))
                    && matches!(here.tenure.standing(), Standing::Held { .. });
                let (change, answer) = if wanted {
                    let offer = may_give(&here.tenure, ours, &name(*from), true, "wanted");
                    (offer.ok().filter(|_| here.plan.is_none()), Word::Heard)
                } else {
                    let asked = ask.ask(*phase);
                    let response = respond(&here.tenure, &name(*from), &asked, || past(ours));
                    (response.change, Word::of(&response.answer))
                };
                self.apply(to, change);
                let (report, phase) = (self.report(to), self.monitors[to].phase);
                self.send(Letter::Reply { to: *from, report, ask: *ask, answer, phase });
            }
            Letter::Reply { to, report, ask, answer, phase } => {
                self.hear(*to, report);
                let (ask, answer) = (ask.ask(*phase), answer.answer(*phase));
                let here = &self.monitors[*to].tenure;
                let change = conclude(here, &ask, &answer, &name(1 - to));
                self.apply(*to, change);
            }
        }
    }

    fn term(&self, who: usize) -> Option<Term> {
        match self.monitors[who].tenure.standing() {
            Standing::Held { term } => Some(*term),
            _ => None,
        }
    }

    fn pass(&mut self, who: usize, trigger: Trigger) {
        match step(self.monitors[who].phase, trigger) {
            Ok(phase) => self.monitors[who].phase = phase,
            Err(_) => self.broken = Some("the table of phases has no such row"),
        }
    }

    /// The server that the step is for.
    fn place(&self, who: usize, stage: Stage) -> usize {
        let from = index(self.monitors[who].phase.side());
        if stage == Stage::Start { 1 - from } else { from }
    }

    /// Carries out what was sent; whether it is so now.
    fn carry_out(&mut self, who: usize, stage: Stage, term: Term) -> bool {
        let place = self.place(who, stage);
        let server = &mut self.servers[place];
        if !server.on {
            // It cannot be asked, and who looks from elsewhere finds it gone. There is nothing to stop.
            return stage != Stage::Start;
        }
        if server.mark.0 > term || (server.mark.0 == term && server.mark.1 != who) {
            return false;
        }
        server.mark = (term, who);
        match stage {
            Stage::Stop => server.runs = Runs::No,
            Stage::Confirm => return server.runs == Runs::No,
            Stage::Start => server.runs = Runs::Meant,
        }
        if self.servers.iter().all(|server| server.on && server.runs == Runs::Meant) {
            self.broken = Some("both sides are active");
        }
        true
    }

    /// What an outcome makes of the plan.
    fn go_on(&mut self, who: usize, stage: Stage, done: bool) {
        let next = match (stage, done) {
            (Stage::Stop, true) => Some(Stage::Confirm),
            (Stage::Confirm, true) => Some(Stage::Start),
            (Stage::Stop | Stage::Confirm, false) => {
                self.pass(who, Trigger::ChangeRefused);
                None
            }
            (Stage::Start, done) => {
                let trigger = if done { Trigger::ChangeCompleted } else { Trigger::ChangeFailed };
                self.pass(who, trigger);
                None
            }
        };
        self.monitors[who].plan = next;
    }
}

struct Bounded;

impl Model for Bounded {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        let monitor = Monitor {
            tenure: Tenure::default(),
            phase: Phase::Active(Side::Primary),
            plan: None,
            waits: false,
        };
        let server = |runs| Server { on: true, runs, mark: (Term(0), 0) };
        vec![World {
            monitors: [monitor.clone(), monitor],
            servers: [server(Runs::Meant), server(Runs::No)],
            letters: Vec::new(),
            crashes: 0,
            outages: 0,
            broken: None,
        }]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for who in 0..2 {
            let monitor = &world.monitors[who];
            if world.letters.len() < LETTERS {
                actions.push(Action::Asks(who, Word::Greet));
                match monitor.tenure.standing() {
                    Standing::Offered { next, .. } => actions.extend([
                        Action::Asks(who, Word::Offer(*next)),
                        Action::Asks(who, Word::Withdraw(*next)),
                    ]),
                    Standing::Held { term } => {
                        // The version is the phase: what a successor needs to know of it.
                        let version = match monitor.phase {
                            Phase::Active(side) => index(side) as u64 * 2,
                            _ => 1,
                        };
                        actions.push(Action::Asks(who, Word::Share(*term, version)));
                    }
                    _ => actions.push(Action::Asks(who, Word::Request(monitor.tenure.next()))),
                }
            }
            if world.term(who).is_some() {
                if let Phase::Active(side) = monitor.phase {
                    if monitor.plan.is_none() && !belongs_here(who == 0, side) {
                        actions.push(Action::Gives(who));
                    }
                    // The vendor's rule: never back by itself.
                    if monitor.plan.is_none() && side == Side::Primary {
                        actions.push(Action::FailsOver(who));
                    }
                    let across = &world.servers[1 - index(side)];
                    if monitor.plan.is_none() && across.on && across.runs != Runs::No {
                        actions.push(Action::Clears(who));
                    }
                }
                if monitor.plan.is_some() {
                    if monitor.waits {
                        actions.extend([
                            Action::Done(who, true),
                            Action::Done(who, false),
                            Action::OutOfTime(who),
                        ]);
                    } else {
                        actions.push(Action::Sends(who));
                    }
                }
            }
            if world.crashes < CRASHES {
                actions.push(Action::Crashes(who));
            }
        }
        for letter in 0..world.letters.len() {
            actions.extend([
                Action::Arrives(letter),
                Action::ArrivesFirst(letter),
                Action::Lost(letter),
            ]);
        }
        for (number, server) in world.servers.iter().enumerate() {
            if !server.on {
                actions.extend([Action::On(number, false), Action::On(number, true)]);
            } else if world.outages < OUTAGES {
                actions.push(Action::Off(number));
            }
        }
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        let mut world = before.clone();
        match action {
            Action::Asks(from, ask) => {
                let (report, phase) = (world.report(from), world.monitors[from].phase);
                world.send(Letter::Question { from, report, ask, phase });
            }
            Action::Gives(who) => {
                let monitor = &world.monitors[who];
                let offer =
                    may_give(&monitor.tenure, monitor.phase, &name(1 - who), false, "its watch");
                world.apply(who, offer.ok());
            }
            Action::Arrives(number) => {
                let letter = world.letters.remove(number);
                world.arrive(&letter);
            }
            Action::ArrivesFirst(number) => {
                let letter = world.letters[number].clone();
                world.arrive(&letter);
            }
            Action::Lost(number) => drop(world.letters.remove(number)),
            Action::Crashes(who) => {
                world.crashes += 1;
                world.monitors[who].waits = false;
                // Questions on their way to it find nobody, and nobody waits for answers to its own.
                world.letters.retain(|letter| match letter {
                    Letter::Question { from, .. } => *from == who,
                    Letter::Reply { to, .. } => *to != who,
                });
            }
            Action::Off(number) => {
                world.outages += 1;
                world.servers[number].on = false;
            }
            Action::On(number, boots) => {
                let server = &mut world.servers[number];
                server.on = true;
                let runs = boots && server.runs != Runs::No;
                server.runs = if runs { Runs::Boot } else { Runs::No };
            }
            Action::FailsOver(who) => {
                world.pass(who, Trigger::FailoverBegun);
                let on = world.servers[index(world.monitors[who].phase.side())].on;
                // A server that does not answer is not asked to stop anything.
                world.monitors[who].plan = Some(if on { Stage::Stop } else { Stage::Confirm });
            }
            Action::Sends(who) => world.monitors[who].waits = true,
            Action::Done(who, heard) => {
                let (stage, term) = (world.monitors[who].plan?, world.term(who)?);
                let done = world.carry_out(who, stage, term);
                if heard {
                    world.monitors[who].waits = false;
                    world.go_on(who, stage, done);
                }
            }
            Action::OutOfTime(who) => {
                let stage = world.monitors[who].plan?;
                world.monitors[who].waits = false;
                // Nothing is known of a stop that nobody answered: the confirmation is for that.
                world.go_on(who, stage, stage == Stage::Stop);
            }
            Action::Clears(who) => {
                let place = 1 - index(world.monitors[who].phase.side());
                let term = world.term(who)?;
                let server = &mut world.servers[place];
                let later = server.mark.0 > term || (server.mark.0 == term && server.mark.1 != who);
                if later {
                    return None;
                }
                server.mark = (term, who);
                server.runs = Runs::No;
            }
        }
        Some(world)
    }

    fn within_boundary(&self, world: &World) -> bool {
        world.letters.len() <= LETTERS
            && world.monitors.iter().all(|monitor| monitor.tenure.seen() <= Term(TERMS))
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("nothing is broken", |_, world: &World| world.broken.is_none()),
            Property::always("one monitor has the duty at most", |_, world: &World| {
                (0..2).filter(|who| world.term(*who).is_some()).count() <= 1
            }),
            Property::always("a plan in flight is with who has the duty", |_, world: &World| {
                (0..2).all(|who| world.monitors[who].plan.is_none() || world.term(who).is_some())
            }),
            Property::sometimes("vp2 has the duty over the secondary", |_, world: &World| {
                world.term(1).is_some()
                    && world.monitors[1].phase == Phase::Active(Side::Secondary)
                    && world.servers[1].runs == Runs::Meant
            }),
            Property::sometimes("a returning primary is stopped", |_, world: &World| {
                world.term(1).is_some()
                    && world.servers[1].runs == Runs::Meant
                    && world.servers[0].on
                    && world.servers[0].runs == Runs::No
                    && world.servers[0].mark.1 == 1
            }),
            Property::sometimes("a change of side needs an operator", |_, world: &World| {
                world.monitors.iter().any(|it| matches!(it.phase, Phase::NeedsOperator(_)))
            }),
        ]
    }
}

#[test]
fn in_no_order_two_sides_are_active_or_two_monitors_act() {
    let begun = std::time::Instant::now();
    let checker = Bounded.checker().threads(2).spawn_bfs().join();
    println!(
        "{} states, {} of them different, in {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
    assert!(checker.unique_state_count() > 10_000, "{}", checker.unique_state_count());
}
