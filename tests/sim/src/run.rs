//! One seed from its beginning to its end: what happens next, and who is to know of it.

mod asking;
mod befalling;
mod commanding;
mod ending;
mod fencing;
mod pausing;
mod probing;

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap};
use std::fmt::Write as _;
use std::sync::Arc;

use fastrand::Rng;
use watchkeeper_core::duty::Change;
use watchkeeper_core::duty::lease::News;
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::facts::Observation;
use watchkeeper_core::model::Service;
use watchkeeper_core::plan::{Act, PlanKind};

use crate::checks::holds::Told;
use crate::checks::{Checks, Counts};
use crate::deeds::Deed;
use crate::etcd::{Answer, Etcd};
use crate::faults::{self, AtSend, Fault};
use crate::monitor::leasing::{self, Call};
use crate::monitor::{BEAT, Monitor, PATIENCE, Question, Reply, Site, Violation, Wish};
use crate::setting::Setting;
use crate::world::{Node, World};

/// How often everything is looked at, in milliseconds.
const PROBE: u64 = 1_000;

/// How long a probe waits for an answer, in milliseconds.
const TIMEOUT: u64 = 2_000;

/// How long a server is given to say that it is inactive, in milliseconds.
const OWN_WORD: u64 = 5_000;

/// How often etcd looks for leases whose time is over, in milliseconds.
const LEASES: u64 = 500;

/// How long faults may last, in milliseconds.
const TROUBLE: u64 = 150_000;

/// Within how long everything must be well again once nothing goes wrong any more, in milliseconds.
const RECOVERY: u64 = 3_600_000;

/// What happens at a moment.
#[derive(Debug)]
enum Happening {
    Fault(Fault),
    Probe {
        monitor: usize,
        server: usize,
    },
    Found {
        monitor: usize,
        life: u32,
        server: usize,
        found: Vec<Observation>,
        told: Box<Told>,
    },
    Testifies {
        monitor: usize,
        life: u32,
        about: usize,
        by: usize,
    },
    Testified {
        monitor: usize,
        life: u32,
        about: usize,
        by: usize,
        at: u64,
        found: Box<Observation>,
    },
    Tick(usize),
    Beat(usize),
    Wake {
        monitor: usize,
        life: u32,
    },
    Command(Box<Deed>),
    Up {
        server: usize,
        service: Service,
        number: u64,
        deed: Box<Deed>,
    },
    Came {
        deed: Box<Deed>,
        outcome: Outcome,
    },
    GivenUp(Box<Deed>),
    Fenced(Box<Deed>),
    FenceEnded {
        deed: Box<Deed>,
        outcome: Outcome,
    },
    Wishes {
        monitor: usize,
        life: u32,
        wishes: Vec<Wish>,
    },
    Question(Box<Question>),
    Reply(Box<Reply>),
    Unanswered {
        monitor: usize,
        life: u32,
        number: u64,
    },
    AtEtcd(Box<Call>),
    FromEtcd {
        call: Box<Call>,
        answer: Answer,
    },
    Silent(Box<Call>),
    News {
        monitor: usize,
        life: u32,
        news: Vec<News>,
    },
    Alarm {
        monitor: usize,
        life: u32,
    },
    Leases,
    Rows,
    Operator,
}

/// What happens when. What is earlier is greater, as a heap wants it.
#[derive(Debug)]
struct Due {
    at: u64,
    number: u64,
    happening: Happening,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What a run came to.
#[derive(Debug)]
pub struct Report {
    /// What was counted.
    pub counts: Counts,
    /// What must not have been, if it was.
    pub violation: Option<Violation>,
    /// What happened, a line each, if that was wanted.
    pub story: String,
}

/// Runs one seed. With `tell` it keeps what happens, to be read.
pub fn run(seed: u64, tell: bool) -> Report {
    let mut rng = Rng::with_seed(seed);
    let setting = Setting::drawn(&mut rng);
    let faults = faults::schedule(&mut rng, TROUBLE, setting.etcd);
    play(seed, setting, faults, tell)
}

/// Runs these faults; the seed says what else is left to chance.
pub fn play(seed: u64, setting: Setting, faults: Vec<(u64, Fault)>, tell: bool) -> Report {
    let mut run = Run::new(seed, setting, faults, tell);
    let violation = run.all().err();
    if let Some(violation) = &violation {
        run.say(&format!("VIOLATION: {violation}"));
    }
    Report { counts: run.checks.counts, violation, story: run.story }
}

struct Run {
    rng: Rng,
    world: World,
    site: Arc<Site>,
    monitors: [Monitor; 2],
    queue: BinaryHeap<Due>,
    next: u64,
    checks: Checks,
    slow: u64,
    /// Commands on ways that are cut, or to servers that stand still.
    held_up: Vec<Deed>,
    /// The attempt whose old side's server is being fenced, and the monitor's life, for each monitor.
    fencing: [Option<(u32, u64, usize, u32)>; 2],
    setting: Setting,
    etcd: Etcd,
    /// A monitor that ends at its next write, and whether that is after it.
    at_write: [Option<bool>; 2],
    /// What befalls a monitor when its next command is about to go out.
    at_send: [Option<AtSend>; 2],
    /// The monitor that takes the duty by force as soon as the other one intends a step.
    at_step: Option<usize>,
    /// What comes for a monitor that stands still, until it goes on.
    asleep: [Option<Vec<Happening>>; 2],
    /// The probes that do not end: whose, and of which server.
    hang: BTreeSet<(usize, usize)>,
    /// Whether servers lack anything in this run.
    lacks: bool,
    written: [usize; 2],
    /// Whether what happens is kept.
    tell: bool,
    story: String,
}

impl Run {
    fn new(seed: u64, setting: Setting, faults: Vec<(u64, Fault)>, tell: bool) -> Self {
        let site = Arc::new(Site::new(setting));
        let monitors = [0, 1].map(|number| Monitor::new(Arc::clone(&site), number));
        let mut run = Self {
            rng: Rng::with_seed(!seed),
            world: World::calm(),
            site,
            monitors,
            queue: BinaryHeap::new(),
            next: 0,
            checks: Checks::new(setting.etcd),
            slow: faults::QUICK,
            held_up: Vec::new(),
            fencing: [None; 2],
            setting,
            etcd: Etcd::default(),
            at_write: [None; 2],
            at_send: [None; 2],
            at_step: None,
            asleep: [None, None],
            hang: BTreeSet::new(),
            lacks: faults.iter().any(|(_, fault)| matches!(fault, Fault::Lacks(..))),
            written: [0; 2],
            tell,
            story: String::new(),
        };
        run.say(&format!("seed {seed}, {setting:?}"));
        for monitor in 0..2 {
            run.after(0, Happening::Fault(Fault::Started(monitor)));
            for server in 0..3 {
                let at = run.rng.u64(0..PROBE);
                run.after(at, Happening::Probe { monitor, server });
            }
            if !setting.etcd {
                let at = run.rng.u64(0..BEAT);
                run.after(at, Happening::Beat(monitor));
            }
            let at = run.rng.u64(0..PROBE);
            run.after(at, Happening::Tick(monitor));
        }
        run.after(0, Happening::Rows);
        if setting.etcd {
            run.after(LEASES, Happening::Leases);
        }
        for (at, fault) in faults {
            run.after(at, Happening::Fault(fault));
        }
        run
    }

    fn say(&mut self, what: &str) {
        if self.tell {
            let now = self.world.now;
            let _ = writeln!(self.story, "{:>5}.{:03} {what}", now / 1000, now % 1000);
        }
    }

    fn after(&mut self, ms: u64, happening: Happening) {
        self.next += 1;
        self.queue.push(Due { at: self.world.now + ms, number: self.next, happening });
    }

    /// How long a message takes.
    fn way(&mut self) -> u64 {
        self.rng.u64(1..=self.slow)
    }

    fn all(&mut self) -> Result<(), Violation> {
        let mut over = false;
        while let Some(Due { at, happening, .. }) = self.queue.pop() {
            if at >= TROUBLE && !over {
                over = true;
                self.put_right()?;
                self.after(1, Happening::Operator);
            }
            if at >= TROUBLE + RECOVERY {
                break;
            }
            if over && at >= TROUBLE + 30_000 && self.is_well() {
                return Ok(());
            }
            self.world.now = at;
            self.checks.counts.events += 1;
            self.happen(happening)?;
            self.look_at_leases()?;
        }
        if self.is_well() { Ok(()) } else { Err(self.what_is_not_well()) }
    }

    /// Whoever goes by a lease has it.
    fn look_at_leases(&self) -> Result<(), Violation> {
        for (number, monitor) in self.monitors.iter().enumerate() {
            if self.asleep[number].is_none() {
                let term = monitor.leased(self.world.now);
                self.checks.holds.leased(number, term, &self.etcd)?;
            }
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        let Some(happening) = self.unless_asleep(happening) else { return Ok(()) };
        match happening {
            Happening::Fault(fault) => {
                self.checks.counts.faults += 1;
                self.say(&fault.to_string());
                self.fault(fault)
            }
            Happening::Probe { monitor, server } => {
                self.probe(monitor, server);
                self.after(PROBE, Happening::Probe { monitor, server });
                Ok(())
            }
            Happening::Found { monitor, life, server, found, told } => {
                self.found(monitor, life, server, found, *told)
            }
            Happening::Testifies { monitor, life, about, by } => {
                self.testifies(monitor, life, about, by);
                Ok(())
            }
            Happening::Testified { monitor, life, about, by, at, found } => {
                self.testified(monitor, life, (about, by), at, *found)
            }
            Happening::Tick(monitor) => {
                self.after(PROBE, Happening::Tick(monitor));
                let life = self.monitors[monitor].life;
                self.with(monitor, life, Monitor::look)
            }
            Happening::Beat(monitor) => {
                self.after(BEAT, Happening::Beat(monitor));
                let life = self.monitors[monitor].life;
                self.with(monitor, life, |it, now, wishes| {
                    it.talk(now, wishes);
                    Ok(())
                })
            }
            Happening::Wake { monitor, life } => {
                self.with(monitor, life, |it, now, wishes| it.go_on(now, true, wishes))
            }
            Happening::Command(deed) => self.arrive(deed),
            Happening::Up { server, service, number, deed } => {
                self.up(server, service, number, deed)
            }
            Happening::Came { deed, outcome } => self.came(&deed, outcome),
            Happening::GivenUp(deed) => self.given_up(&deed),
            Happening::Fenced(deed) => {
                self.fenced(deed);
                Ok(())
            }
            Happening::FenceEnded { deed, outcome } => {
                self.with(deed.monitor, deed.life, |it, now, wishes| {
                    it.came(now, &deed, outcome, wishes)
                })
            }
            Happening::Wishes { monitor, life, wishes } if self.lives(monitor, life) => {
                self.go_on(monitor, life, wishes)
            }
            Happening::Wishes { .. } => Ok(()),
            Happening::Question(question) => self.asked(&question),
            Happening::Reply(reply) => {
                let (monitor, life) = (reply.question.from, reply.question.life);
                self.with(monitor, life, |it, now, wishes| it.hear_reply(now, &reply, wishes))
            }
            Happening::Unanswered { monitor, life, number } => {
                self.with(monitor, life, |it, _, _| {
                    it.unanswered(number);
                    Ok(())
                })
            }
            Happening::AtEtcd(call) => {
                self.at_etcd(call);
                Ok(())
            }
            Happening::FromEtcd { call, answer } => self.etcd_answers(&call, Some(answer)),
            Happening::Silent(call) => self.silent(call),
            Happening::News { monitor, life, news } => {
                self.with(monitor, life, |it, now, wishes| it.told(now, news, wishes))
            }
            Happening::Alarm { monitor, life } => self.with(monitor, life, Monitor::attend),
            Happening::Leases => {
                self.etcd.expire(self.world.now);
                self.tell_news();
                self.after(LEASES, Happening::Leases);
                Ok(())
            }
            Happening::Rows => {
                self.world.write(self.setting.failback);
                self.after(500, Happening::Rows);
                Ok(())
            }
            Happening::Operator => {
                self.operate()?;
                self.after(20_000, Happening::Operator);
                Ok(())
            }
        }
    }

    /// Whether a monitor still lives this life.
    fn lives(&self, number: usize, life: u32) -> bool {
        self.monitors[number].alive && self.monitors[number].life == life
    }

    /// Lets a monitor do something, if it still lives the life that this is for; then carries out what
    /// it wants, unless it ended at a write.
    fn with(
        &mut self,
        number: usize,
        life: u32,
        act: impl FnOnce(&mut Monitor, u64, &mut Vec<Wish>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let monitor = &mut self.monitors[number];
        if !monitor.alive || monitor.life != life || self.asleep[number].is_some() {
            return Ok(());
        }
        let before = self.at_write[number].map(|_| (monitor.journal.len(), monitor.state.clone()));
        let mut wishes = Vec::new();
        act(monitor, self.world.now, &mut wishes)?;
        monitor.attend(self.world.now, &mut wishes)?;
        if let (Some(after), Some((length, state))) = (self.at_write[number], before)
            && monitor.journal.len() > length
        {
            // One transaction: all of it is on the disk, or nothing is.
            if !after {
                monitor.journal.truncate(length);
                monitor.state = state;
            }
            wishes.clear();
            self.at_write[number] = None;
            monitor.end()?;
            self.say(&format!("{} has ended at a write", Node::Monitor(number)));
        }
        self.look_at_records(number)?;
        self.go_on(number, life, wishes)
    }

    /// Carries out what a monitor wants, up to where it stands still.
    fn go_on(&mut self, number: usize, life: u32, wishes: Vec<Wish>) -> Result<(), Violation> {
        let mut wishes = wishes.into_iter();
        while let Some(wish) = wishes.next() {
            if matches!(wish, Wish::Do(_)) && self.pauses_here(number) {
                let wishes = std::iter::once(wish).chain(wishes).collect();
                self.sleep(number, vec![Happening::Wishes { monitor: number, life, wishes }]);
                return Ok(());
            }
            self.grant(number, wish)?;
        }
        Ok(())
    }

    /// Has everything checked that was written.
    fn look_at_records(&mut self, number: usize) -> Result<(), Violation> {
        let monitor = &self.monitors[number];
        let from = self.written[number].min(monitor.journal.len());
        let new = monitor.journal.get(from..).unwrap_or_default().to_vec();
        self.written[number] = monitor.journal.len();
        if let Some(progress) = &monitor.here().progress {
            self.checks.knows(number, progress.plan());
        }
        for record in new {
            self.checks.written(self.world.now, number, &record, &self.etcd)?;
            let (now, setting) = (self.world.now, self.setting);
            self.checks.holds.written(now, number, &record, setting, &self.etcd)?;
            match &record.event {
                Event::PlanEnded { plan, ending } => {
                    self.checks.ended(self.world.now, number, *plan, ending);
                    match ending {
                        PlanEnding::Completed if self.checks.changes_side(number, *plan) => {
                            self.checks.counts.changes += 1;
                        }
                        PlanEnding::Failed { .. } if self.checks.changes_side(number, *plan) => {
                            self.checks.counts.operators += 1;
                        }
                        _ => {}
                    }
                    self.say(&format!("{}: plan {plan} ended: {ending:?}", Node::Monitor(number)));
                }
                Event::PlanBegun(plan) => {
                    self.say(&format!(
                        "{}: plan {} begins: {}: {}",
                        Node::Monitor(number),
                        plan.number,
                        plan.kind,
                        plan.reason
                    ));
                    if plan.kind == PlanKind::Failover
                        && self.monitors[number].is_judicious(&plan.ordered_by)
                        && self.serves_wholly(plan.from)
                    {
                        self.checks.counts.needless += 1;
                        self.say("needlessly");
                    }
                }
                Event::StepIntended { plan, step, attempt, term } => {
                    self.say(&format!(
                        "{}: plan {plan}, step {step}, attempt {attempt}, term {}",
                        Node::Monitor(number),
                        term.0
                    ));
                    if let Some(by) = self.at_step.take_if(|by| *by != number) {
                        let soon = self.rng.u64(0..3 * faults::QUICK);
                        self.after(soon, Happening::Fault(Fault::Forced(by)));
                    }
                }
                Event::StepEnded { plan, step, outcome, .. } => {
                    self.say(&format!(
                        "{}: plan {plan}, step {step} ended: {outcome:?}",
                        Node::Monitor(number)
                    ));
                    if matches!(outcome, Outcome::Done { .. })
                        && let Some(act) = self.checks.act(number, *plan, *step)
                    {
                        self.checks.is_sure(&self.world, number, *plan, &act);
                    }
                }
                Event::Duty(change) => {
                    if let Change::Taken { term, .. } = change {
                        self.checks.succeeds(number, *term, self.monitors[number].here())?;
                    }
                    let kind = format!("{change:?}");
                    let kind: String = kind.chars().take(110).collect();
                    self.say(&format!("{}: duty: {kind}", Node::Monitor(number)));
                }
                Event::Declared { side, .. } => {
                    self.say(&format!("{}: {side} is declared", Node::Monitor(number)));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn grant(&mut self, number: usize, wish: Wish) -> Result<(), Violation> {
        match wish {
            Wish::Do(deed) => {
                self.checks.sent(&self.etcd, &deed, self.monitors[1 - number].here())?;
                self.cuts_off(&deed);
                let confirms = matches!(deed.act, Act::ConfirmInactive { .. });
                let patience = deed.until.saturating_sub(self.world.now);
                let patience = if confirms { patience.min(OWN_WORD) } else { patience };
                self.after(patience, Happening::GivenUp(deed.clone()));
                let way = self.way();
                self.after(way, Happening::Command(deed));
            }
            Wish::Ask(question) => {
                let (monitor, life, asked) = (question.from, question.life, question.number);
                self.after(PATIENCE, Happening::Unanswered { monitor, life, number: asked });
                if self.world.open(Node::Monitor(monitor), Node::Monitor(1 - monitor)) {
                    let way = self.way();
                    self.after(way, Happening::Question(question));
                }
            }
            Wish::Call(call) => self.call(call),
            Wish::Alarm(ms) => {
                let life = self.monitors[number].life;
                self.after(ms, Happening::Alarm { monitor: number, life });
            }
            Wish::Wake(ms) => {
                let life = self.monitors[number].life;
                self.after(ms, Happening::Wake { monitor: number, life });
            }
        }
        Ok(())
    }

    /// A question is at the other monitor.
    fn asked(&mut self, question: &Question) -> Result<(), Violation> {
        let to = 1 - question.from;
        let life = self.monitors[to].life;
        let mut reply = None;
        self.with(to, life, |it, now, wishes| {
            reply = it.answer(now, question, wishes)?;
            Ok(())
        })?;
        // One that ended at its write has said nothing.
        let lives = self.monitors[to].alive && self.monitors[to].life == life;
        if let Some(reply) = reply.filter(|_| lives)
            && self.world.open(Node::Monitor(to), Node::Monitor(question.from))
        {
            let way = self.way();
            if way < PATIENCE {
                self.after(way, Happening::Reply(Box::new(reply)));
            }
        }
        Ok(())
    }
}
