//! What a monitor knows, decides and does; what it says to the other one is in [`talking`], what it asks
//! of etcd in [`leasing`]. All that is to happen elsewhere is given back as [`Wish`]es.

pub mod leasing;
mod rogue;
mod site;
mod talking;

use std::collections::BTreeSet;
use std::sync::Arc;

use data_mover_ha::DataMoverHa;
use watchkeeper_core::arbitration::{self, plan_kind};
use watchkeeper_core::duty::Standing;
use watchkeeper_core::duty::lease::keys::Identity;
use watchkeeper_core::duty::peer::{Answer, Ask, Report};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::{Next, Outcome};
use watchkeeper_core::facts::{FactBook, Observation};
use watchkeeper_core::guards::{self, Duty, Situation};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{MonitorName, PolicyName, Side, Term, Timestamp};
use watchkeeper_core::plan::{OrderedBy, Plan, PlanKind, Request};
use watchkeeper_core::proposal::{Failure, FailureKind, Opinion, Revision};
use watchkeeper_core::snapshot::{Background, Snapshot};
use watchkeeper_core::state::{ClusterState, State};
use watchkeeper_sdk::testkit;

use crate::deeds::Deed;

pub use site::Site;

/// The beat of the monitors' talk, as configured by default.
pub const BEAT: u64 = 1_000;

/// After how long a question is given up.
pub const PATIENCE: u64 = 2_000;

/// How long a monitor that has just started listens before it acts.
const LISTEN_FIRST: u64 = 3_000;

/// How long everything may take to be seen anew.
const SETTLE: u64 = 10_000;

/// How often a monitor without the duty judges the facts all the same.
const IDLE: u64 = 5_000;

/// What a monitor says to the other one.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks.
    pub from: usize,
    /// In which of its lives.
    pub life: u32,
    /// The number of the question.
    pub number: u64,
    /// What is asked.
    pub ask: Ask,
    /// Where the duty is, by the asker's word.
    pub report: Report,
}

/// What comes back.
#[derive(Debug, Clone)]
pub struct Reply {
    /// What was asked.
    pub question: Question,
    /// The answer.
    pub answer: Answer,
    /// Where the duty is, by the answerer's word.
    pub report: Report,
}

/// What is to happen elsewhere.
#[derive(Debug, Clone)]
pub enum Wish {
    /// A step's command goes out.
    Do(Box<Deed>),
    /// A question goes out.
    Ask(Box<Question>),
    /// To be woken after so many milliseconds, to go on with the plan.
    Wake(u64),
    /// A question goes out to etcd.
    Call(Box<leasing::Call>),
    /// To be woken after so many milliseconds, to see about the lease.
    Alarm(u64),
}

/// Something that must never be.
pub type Violation = String;

/// One monitor.
#[expect(clippy::struct_excessive_bools, reason = "each is so or not, by itself")]
#[derive(Debug)]
pub struct Monitor {
    site: Arc<Site>,
    number: usize,
    /// Whether its process runs.
    pub alive: bool,
    /// How often it was started before.
    pub life: u32,
    /// What its disk holds.
    pub journal: Vec<Record>,
    /// Whether its disk is full.
    pub full: bool,
    /// How many milliseconds its clock is ahead.
    pub skew: u64,
    /// When other clusters changed sides, by its own records of them.
    pub fleet: Vec<Timestamp>,
    /// The fold of its journal.
    pub state: State,
    book: FactBook,
    started: u64,
    settling: Option<(Timestamp, u64)>,
    reached: Option<u64>,
    failed: bool,
    theirs: Option<Report>,
    questions: u64,
    answered: u64,
    asked: Option<(Term, u64, u64)>,
    /// The attempt that is under way.
    pub under_way: Option<(u64, usize, u32)>,
    rests: bool,
    held: Option<Term>,
    snapshots: u64,
    /// Without the duty nothing is judged again before.
    idle_until: u64,
    leasing: Option<Box<leasing::Leasing>>,
}

impl Monitor {
    /// A monitor that was never started.
    pub fn new(site: Arc<Site>, number: usize) -> Self {
        Self {
            site,
            number,
            alive: false,
            life: 0,
            journal: Vec::new(),
            full: false,
            skew: 0,
            fleet: Vec::new(),
            state: State::default(),
            book: FactBook::default(),
            started: 0,
            settling: None,
            reached: None,
            failed: false,
            theirs: None,
            questions: 0,
            answered: 0,
            asked: None,
            under_way: None,
            rests: false,
            held: None,
            snapshots: 0,
            idle_until: 0,
            leasing: None,
        }
    }

    const fn first(&self) -> bool {
        self.number == 0
    }

    fn me(&self) -> &MonitorName {
        &self.site.names[self.number]
    }

    fn peer(&self) -> &MonitorName {
        &self.site.names[1 - self.number]
    }

    /// What it takes for the time.
    pub const fn clock(&self, now: u64) -> Timestamp {
        Timestamp(watchkeeper_cases::world::BEGIN.0 + now + self.skew)
    }

    /// Where the cluster stands by its journal.
    pub fn here(&self) -> &ClusterState {
        self.state.clusters.get(self.site.cluster()).unwrap_or(&self.site.unknown)
    }

    /// Its process begins: the journal is all that is left of the one before.
    pub fn start(&mut self, now: u64) -> Result<(), Violation> {
        let journal = std::mem::take(&mut self.journal);
        let (skew, fleet) = (self.skew, std::mem::take(&mut self.fleet));
        *self = Self {
            alive: true,
            life: self.life + 1,
            full: self.full,
            started: now,
            skew,
            fleet,
            ..Self::new(Arc::clone(&self.site), self.number)
        };
        for record in &journal {
            self.state
                .apply(record)
                .map_err(|error| format!("{} cannot read its own journal: {error}", self.me()))?;
        }
        self.journal = journal;
        if self.site.etcd {
            let me = Identity { monitor: self.me().clone(), journal: format!("of {}", self.me()) };
            let cluster = self.site.cluster().clone();
            let leasing = leasing::Leasing::new(me, cluster, self.number, self.life);
            self.leasing = Some(Box::new(leasing));
        }
        self.settling = Some((self.clock(now), now + SETTLE));
        Ok(())
    }

    /// Its process ends, at once. What it knew is what its journal holds, or it is no journal.
    pub fn end(&mut self) -> Result<(), Violation> {
        self.alive = false;
        self.under_way = None;
        let mut again = State::default();
        for record in &self.journal {
            again.apply(record).map_err(|error| error.to_string())?;
        }
        if again != self.state {
            return Err(format!(
                "{}: the journal says something else than what it knew",
                self.me()
            ));
        }
        Ok(())
    }

    /// Writes events down; false if the disk is full, and then nothing was.
    pub fn record(&mut self, now: u64, events: Vec<Event>) -> Result<bool, Violation> {
        if self.full {
            return Ok(events.is_empty());
        }
        for event in events {
            let record = Record {
                seq: self.state.seq + 1,
                at: self.clock(now),
                cluster: Some(self.site.cluster().clone()),
                event,
            };
            self.state
                .apply(&record)
                .map_err(|error| format!("{}: {error} ({:?})", self.me(), record.event))?;
            self.journal.push(record);
        }
        Ok(true)
    }

    /// Whether it has just started and has not heard the other one.
    const fn waiting(&self, now: u64) -> bool {
        self.reached.is_none() && now - self.started < LISTEN_FIRST
    }

    /// Whether it may act.
    pub fn duty(&self, now: u64) -> Duty {
        if let Some(leasing) = &self.leasing {
            return leasing.duty(now, self.here().tenure.standing());
        }
        match self.here().tenure.standing() {
            Standing::Held { term } if !self.waiting(now) => Duty::Held(*term),
            standing => Duty::NotHeld(standing.to_string()),
        }
    }

    /// Takes in what probes found.
    pub fn see(
        &mut self,
        now: u64,
        found: Vec<Observation>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        let mut news = false;
        for observation in found {
            news |= self.book.observe(observation);
        }
        if news || self.settling.is_some() { self.look(now, wishes) } else { Ok(()) }
    }

    /// What is done once a second, and at each news.
    pub fn look(&mut self, now: u64, wishes: &mut Vec<Wish>) -> Result<(), Violation> {
        self.hand_over(now)?;
        self.look_at_duty(now);
        self.go_on(now, false, wishes)?;
        self.evaluate(now, wishes)
    }

    /// What was seen before the duty came does not count; what was under way when it went is left.
    fn look_at_duty(&mut self, now: u64) {
        let held = match self.duty(now) {
            Duty::Held(term) => Some(term),
            _ => None,
        };
        if held != self.held {
            self.held = held;
            self.under_way = None;
            self.rests = false;
            if held.is_some() {
                self.settling = Some((self.clock(now), now + SETTLE));
            }
        }
    }

    fn settled(&mut self, now: u64) -> bool {
        let Some((since, until)) = self.settling else { return true };
        let mut seen = self.site.topology.servers().iter().flat_map(|server| {
            let name = &server.name;
            let own = self.book.server(name).map(|it| it.seen);
            let services =
                server.services.iter().map(|it| self.book.service(name, *it).map(|it| it.seen));
            std::iter::once(own).chain(services)
        });
        if now >= until || seen.all(|seen| seen.is_some_and(|seen| seen >= since)) {
            self.settling = None;
        }
        self.settling.is_none()
    }

    fn snapshot(&mut self, now: u64) -> Arc<Snapshot> {
        self.snapshots += 1;
        let here = self.here();
        let rescues: Vec<_> = here.rescues.iter().cloned().collect();
        let changes: Vec<_> = here.changes.iter().cloned().collect();
        let background = Background {
            phase: here.phase,
            active_since: here.active_since,
            maintenance: here.maintenance.is_some(),
            services_in_maintenance: &[],
            rescues: &rescues,
            changes: &changes,
        };
        let (number, at) = (self.snapshots, self.clock(now));
        Arc::new(Snapshot::take(number, at, &self.site.topology, &self.book, &background))
    }

    /// The one way from facts to a plan.
    fn evaluate(&mut self, now: u64, wishes: &mut Vec<Wish>) -> Result<(), Violation> {
        if !self.settled(now) {
            return Ok(());
        }
        let duty = self.duty(now);
        // Who does not have the duty looks all the same, and is held by that.
        if !matches!(duty, Duty::Held(_)) && now < self.idle_until {
            return Ok(());
        }
        self.idle_until = now + IDLE;
        let term = match (&duty, self.here().tenure.standing()) {
            (Duty::Held(term), _) | (_, Standing::Held { term }) => *term,
            _ => self.here().tenure.seen(),
        };
        let snapshot = self.snapshot(now);
        let here = self.here();
        let situation = self.situation(&snapshot, &duty);
        let outcome = testkit::evaluate_with::<DataMoverHa>(&snapshot, &self.site.settings, &[])
            .map_err(|detail| Failure { kind: FailureKind::Trap, detail });
        let opinion = |policy: &PolicyName, outcome| Opinion {
            policy: policy.clone(),
            revision: Revision { digest: String::new(), version: String::new() },
            reads: BTreeSet::new(),
            outcome,
        };
        let mut opinions = vec![opinion(&self.site.policy, outcome)];
        let (rogue, seed) = &self.site.rogue;
        opinions.extend(seed.map(|seed| opinion(rogue, self.rogue(now, seed))));
        let decision = arbitration::decide(&situation, &opinions, &self.site.seats);
        let objects = |one: &Opinion| one.outcome.as_ref().map_or(true, |it| !it.holds.is_empty());
        if decision.to_carry_out().is_some() && opinions.iter().any(objects) {
            return Err(format!("{} acts though a policy failed or objects", self.me()));
        }
        let plan = decision.to_carry_out().map(|chosen| {
            let by = OrderedBy::Policy(chosen.policy.clone());
            let kind = plan_kind(&chosen.proposal.action);
            self.plan(&snapshot, term, kind, by, chosen.proposal.reason.clone())
        });
        if matches!(duty, Duty::NotHeld(_)) {
            // Whoever has the duty tells people.
            return self.record(now, plan.into_iter().collect()).map(drop);
        }
        let changes = here.alerts.compare(
            Some(self.site.cluster()),
            &decision.alerts,
            &decision.silent,
            self.clock(now),
        );
        let over = changes.resolved.into_iter().map(|alert| Event::AlertResolved {
            fingerprint: alert.fingerprint,
            details: String::new(),
        });
        let mut events: Vec<Event> = plan.into_iter().collect();
        let begins = !events.is_empty();
        events.extend(changes.fired.into_iter().map(Event::AlertFired).chain(over));
        if self.record(now, events)? && begins {
            self.go_on(now, false, wishes)?;
        }
        Ok(())
    }

    fn situation<'a>(&'a self, snapshot: &'a Snapshot, duty: &'a Duty) -> Situation<'a> {
        let here = self.here();
        Situation {
            snapshot,
            phase: here.phase,
            duty,
            limits: &self.site.limits,
            arrangements: &self.site.arrangements,
            last_change: here.cooling_since,
            fleet_changes: &self.fleet,
        }
    }

    fn plan(
        &self,
        snapshot: &Snapshot,
        term: Term,
        kind: PlanKind,
        ordered_by: OrderedBy,
        reason: String,
    ) -> Event {
        Event::PlanBegun(Box::new(Plan::make(Request {
            number: self.here().next_plan,
            kind,
            term,
            ordered_by,
            reason,
            topology: &self.site.topology,
            arrangements: &self.site.arrangements,
            snapshot,
        })))
    }

    /// An operator orders a planned change of side. It is begun if no guard holds it.
    pub fn order(&mut self, now: u64, wishes: &mut Vec<Wish>) -> Result<bool, Violation> {
        let Duty::Held(term) = self.duty(now) else { return Ok(false) };
        if !self.settled(now) || self.under_way.is_some() {
            return Ok(false);
        }
        let kind = match self.here().phase.side() {
            Side::Primary => PlanKind::Switchover,
            Side::Secondary => PlanKind::Switchback,
        };
        let snapshot = self.snapshot(now);
        let duty = Duty::Held(term);
        if !guards::check(&self.situation(&snapshot, &duty), &kind).is_empty() {
            return Ok(false);
        }
        let by = OrderedBy::Operator("ada".to_owned());
        let plan = self.plan(&snapshot, term, kind, by, "planned".to_owned());
        let begun = self.record(now, vec![plan])?;
        if begun {
            self.go_on(now, false, wishes)?;
        }
        Ok(begun)
    }

    /// An operator switches maintenance mode on or off, where the duty is.
    pub fn maintain(&mut self, now: u64, on: bool) -> Result<(), Violation> {
        let is_on = self.here().maintenance.is_some();
        if !matches!(self.duty(now), Duty::Held(_)) || is_on == on {
            return Ok(());
        }
        let (by, reason) = ("ada".to_owned(), "work".to_owned());
        let event = if on {
            Event::MaintenanceOn { by, reason, until: None, service: None }
        } else {
            Event::MaintenanceOff { by, service: None }
        };
        self.record(now, vec![event]).map(drop)
    }

    /// Whether the cluster waits for an operator to say which side is active.
    pub fn asks_for_an_operator(&self) -> bool {
        let here = self.here();
        let swapped = here.alerts.firing().any(|alert| alert.claim.name == "sides-swapped");
        here.progress.is_none() && (swapped || matches!(here.phase, Phase::NeedsOperator(_)))
    }

    /// An operator says which side is active, where the cluster waits for that.
    pub fn declare(&mut self, now: u64, side: Side) -> Result<(), Violation> {
        if !matches!(self.duty(now), Duty::Held(_)) || !self.asks_for_an_operator() {
            return Ok(());
        }
        let (by, reason) = ("ada".to_owned(), "looked".to_owned());
        self.record(now, vec![Event::Declared { side, by, reason }])?;
        self.settling = Some((self.clock(now), now + SETTLE));
        Ok(())
    }

    /// Goes on with the plan in flight. `rested` says that the wait before an attempt is over.
    pub fn go_on(
        &mut self,
        now: u64,
        rested: bool,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        if self.under_way.is_some() || (self.rests && !rested) {
            return Ok(());
        }
        self.rests = false;
        loop {
            let Duty::Held(term) = self.duty(now) else { return Ok(()) };
            let Some(progress) = &self.here().progress else { return Ok(()) };
            let plan = progress.plan().number;
            match progress.next() {
                Next::End => {
                    let ending = progress.ending();
                    self.record(now, vec![Event::PlanEnded { plan, ending }])?;
                    self.settling = Some((self.clock(now), now + SETTLE));
                    return Ok(());
                }
                Next::Settle { index, attempt, why, .. } => {
                    let outcome = Outcome::Uncertain { detail: why.to_owned() };
                    let ended = Event::StepEnded { plan, step: index, attempt, outcome };
                    if !self.record(now, vec![ended])? {
                        return Ok(());
                    }
                }
                Next::Attempt { delay_ms, .. } if delay_ms > 0 && !rested => {
                    self.rests = true;
                    wishes.push(Wish::Wake(delay_ms));
                    return Ok(());
                }
                Next::Attempt { index, attempt, step, .. } => {
                    let intended = Event::StepIntended { plan, step: index, attempt, term };
                    let (act, until) = (step.act.clone(), now + step.timeout_ms);
                    if !self.record(now, vec![intended])? {
                        return Ok(());
                    }
                    self.under_way = Some((plan, index, attempt));
                    let (monitor, life) = (self.number, self.life);
                    let deed = Deed { monitor, life, plan, step: index, attempt, term, act, until };
                    if let Some(deed) = self.confirm_first(deed) {
                        wishes.push(Wish::Do(Box::new(deed)));
                    }
                    return Ok(());
                }
            }
        }
    }

    /// Whether this attempt is the one that is under way.
    pub fn is_under_way(&self, deed: &Deed) -> bool {
        self.under_way == Some((deed.plan, deed.step, deed.attempt))
    }

    /// An attempt has ended.
    pub fn came(
        &mut self,
        now: u64,
        deed: &Deed,
        outcome: Outcome,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        if !self.is_under_way(deed) {
            return Ok(());
        }
        self.under_way = None;
        let Deed { plan, step, attempt, .. } = *deed;
        // What cannot be written down now is taken up again at the next look, as after a crash.
        if self.record(now, vec![Event::StepEnded { plan, step, attempt, outcome }])? {
            self.go_on(now, false, wishes)?;
        }
        Ok(())
    }
}
