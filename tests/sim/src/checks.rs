//! What must never be, whatever goes wrong; and what must be once nothing does any more.

pub mod holds;

use std::collections::BTreeMap;

use watchkeeper_core::duty::{Change, Grantor};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::{Next, PlanEnding};
use watchkeeper_core::model::{ServerName, Service, Term};
use watchkeeper_core::plan::{Act, Plan, PlanKind, Proof};
use watchkeeper_core::state::ClusterState;

use self::holds::Holds;
use crate::deeds::{self, Deed};
use crate::etcd::{Etcd, Span};
use crate::monitor::Violation;
use crate::world::{Cause, Node, Power, Process, World};

/// When a plan was sure that the old side is inactive.
#[derive(Debug, Clone, Copy)]
struct Confirmed {
    at: u64,
}

/// What was counted on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Happenings.
    pub events: u64,
    /// Faults.
    pub faults: u64,
    /// Changes of side that were completed.
    pub changes: u64,
    /// How often the duty went to another monitor.
    pub handovers: u64,
    /// Starts of monitors.
    pub starts: u64,
    /// How often a server was taken for inactive that ran, cut off from every witness, or that stood
    /// still: the documented limit of a site without fencing.
    pub deceived: u64,
    /// Changes of side that an operator had to judge.
    pub operators: u64,
    /// How often a server was switched off by its fence agents.
    pub fenced: u64,
    /// Failovers that were begun while the old side served with all it needs.
    pub needless: u64,
}

impl Counts {
    /// The sum of both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            events: self.events + other.events,
            faults: self.faults + other.faults,
            changes: self.changes + other.changes,
            handovers: self.handovers + other.handovers,
            starts: self.starts + other.starts,
            deceived: self.deceived + other.deceived,
            operators: self.operators + other.operators,
            fenced: self.fenced + other.fenced,
            needless: self.needless + other.needless,
        }
    }
}

/// What is known to the one who watches everything.
#[derive(Debug, Default)]
pub struct Checks {
    plans: BTreeMap<(usize, u64), Plan>,
    /// When each plan was begun.
    begun: BTreeMap<(usize, u64), u64>,
    confirmed: BTreeMap<(usize, u64), Confirmed>,
    /// When the old side's server last told each plan that it is inactive.
    answered: BTreeMap<(usize, u64), u64>,
    /// When each plan had the old side's server switched off.
    fenced: BTreeMap<(usize, u64), u64>,
    /// When each side's server was last taken for inactive while its services ran.
    deceived: [Option<u64>; 2],
    /// Who was granted which term.
    terms: BTreeMap<Term, usize>,
    /// The greatest term of each monitor's that nobody was passed over for.
    held: [Term; 2],
    /// When each monitor was started last.
    started: [u64; 2],
    /// The greatest of all of its terms.
    latest: [Term; 2],
    /// What nothing may be begun against.
    pub holds: Holds,
    /// Whether the duty is shared through etcd.
    etcd: bool,
    /// Who was granted the duty last.
    last_owner: Option<usize>,
    /// When each attempt was intended.
    intended: BTreeMap<(usize, u64, usize, u32), u64>,
    /// The attempt that was sent last.
    sent: Option<Deed>,
    /// What was counted.
    pub counts: Counts,
}

impl Checks {
    /// Of a run in which the duty is shared through etcd, or not.
    pub fn new(etcd: bool) -> Self {
        Self { etcd, ..Self::default() }
    }

    /// A monitor is started.
    pub fn starts(&mut self, now: u64, monitor: usize) {
        self.counts.starts += 1;
        self.started[monitor] = now;
        self.holds.starts(monitor);
    }

    /// A monitor has written a record.
    pub fn written(
        &mut self,
        now: u64,
        monitor: usize,
        record: &Record,
        etcd: &Etcd,
    ) -> Result<(), Violation> {
        match &record.event {
            Event::Duty(Change::Taken { term, grantor, .. }) => {
                if matches!(grantor, Grantor::Lease) {
                    self.was_free(monitor, *term, etcd)?;
                    self.names_its_operator(monitor, *term, etcd)?;
                }
                self.latest[monitor] = *term;
                let owner = *self.terms.entry(*term).or_insert(monitor);
                if owner != monitor {
                    let both = "both monitors have the duty in";
                    return Err(format!("{both} term {}", term.0));
                }
                if matches!(grantor, Grantor::Peer { .. }) {
                    self.counts.handovers += 1;
                }
                // Etcd refuses the steps of who was passed over by an operator: see `sent`. Where the answer to that
                // was lost, and its monitor ended before it asked again, its next life finds the own name in etcd, and
                // knows of no operator.
                let before = self.latest[1 - monitor];
                let by_force = matches!(grantor, Grantor::Operator { .. })
                    || etcd.duties.get(&before.0).is_some_and(|span| span.replaced);
                if !self.etcd || !by_force {
                    self.held[monitor] = *term;
                }
                if matches!(grantor, Grantor::Lease)
                    && self.last_owner.replace(monitor) != Some(monitor)
                {
                    self.counts.handovers += 1;
                }
            }
            Event::PlanBegun(plan) => {
                self.begun.insert((monitor, plan.number), now);
                self.plans.insert((monitor, plan.number), plan.as_ref().clone());
            }
            Event::StepIntended { plan, step, attempt, term } => {
                self.intended.insert((monitor, *plan, *step, *attempt), now);
                let other = self.held[1 - monitor];
                if other > *term {
                    return Err(format!(
                        "{} intends a step of plan {plan} in term {}, and {} has term {}",
                        Node::Monitor(monitor),
                        term.0,
                        Node::Monitor(1 - monitor),
                        other.0
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The duty was taken in this term without being asked for: nobody else had it.
    fn was_free(&self, monitor: usize, term: Term, etcd: &Etcd) -> Result<(), Violation> {
        let Some((before, span)) = etcd.duties.range(..term.0).next_back() else { return Ok(()) };
        match self.terms.get(&Term(*before)) {
            Some(owner) if span.replaced && *owner != monitor => Err(format!(
                "{} takes the duty in term {}, and {} had it in term {before}",
                Node::Monitor(monitor),
                term.0,
                Node::Monitor(*owner)
            )),
            _ => Ok(()),
        }
    }

    /// What is recorded as taken by the lease alone was not taken from another monitor by an operator's word in this
    /// life of the monitor's: etcd's answer to that may be lost, who gave the word is not.
    fn names_its_operator(&self, monitor: usize, term: Term, etcd: &Etcd) -> Result<(), Violation> {
        let mut before = etcd.duties.range(..term.0).rev();
        let last = before.find_map(|(number, span)| match self.terms.get(&Term(*number)) {
            // Not recorded: an answer that was lost.
            None if span.replaced => None,
            owner => Some((number, span, owner)),
        });
        match last {
            Some((number, Span { replaced: true, until: Some(until) }, Some(owner)))
                if *owner != monitor && *until > self.started[monitor] =>
            {
                Err(format!(
                    "{} records that it has term {} by its lease, and an operator had it take the duty from {} in term \
                     {number}",
                    Node::Monitor(monitor),
                    term.0,
                    Node::Monitor(*owner)
                ))
            }
            _ => Ok(()),
        }
    }

    /// A step's command goes out: that it is intended is written down. With etcd its term was in force there after it was intended: who was
    /// passed over meanwhile has been told so. And who has taken the duty since knows of it.
    pub fn sent(
        &mut self,
        etcd: &Etcd,
        deed: &Deed,
        other: &ClusterState,
    ) -> Result<(), Violation> {
        let intended = self.intended.get(&(deed.monitor, deed.plan, deed.step, deed.attempt));
        if intended.is_none() {
            let (monitor, step, plan) = (Node::Monitor(deed.monitor), deed.step, deed.plan);
            return Err(format!(
                "{monitor} sends step {step} of plan {plan}, and has not written that down"
            ));
        }
        if self.etcd {
            let span = etcd.duties.get(&deed.term.0);
            let in_force = span
                .zip(intended)
                .is_some_and(|(span, intended)| span.until.is_none_or(|until| until >= *intended));
            if !in_force {
                return Err(format!(
                    "{} sends step {} of plan {} in term {}, which was over before it was intended",
                    Node::Monitor(deed.monitor),
                    deed.step,
                    deed.plan,
                    deed.term.0
                ));
            }
        }
        self.sent = Some(deed.clone());
        let term = self.latest[1 - deed.monitor];
        if self.etcd && term > deed.term {
            return self.succeeds(1 - deed.monitor, term, other);
        }
        Ok(())
    }

    /// A monitor has taken the duty in this term: it knows of each attempt that another one has sent in an earlier
    /// one.
    pub fn succeeds(
        &self,
        monitor: usize,
        term: Term,
        here: &ClusterState,
    ) -> Result<(), Violation> {
        let earlier = |it: &&Deed| it.monitor != monitor && it.term < term;
        let Some(deed) = self.sent.as_ref().filter(earlier) else {
            return Ok(());
        };
        let over = here.next_plan > deed.plan
            && here.progress.as_ref().is_none_or(|it| it.plan().number > deed.plan);
        let known = here.progress.as_ref().is_some_and(|progress| {
            let begun = match progress.next() {
                Next::Attempt { index, attempt, .. } => (index, attempt - 1),
                Next::Settle { index, attempt, .. } => (index, attempt),
                Next::End => (usize::MAX, 0),
            };
            progress.plan().number == deed.plan && begun >= (deed.step, deed.attempt)
        });
        if over || known {
            return Ok(());
        }
        Err(format!(
            "{} has taken the duty and does not know of attempt {} at step {} of plan {}, which {} has sent",
            Node::Monitor(monitor),
            deed.attempt,
            deed.step,
            deed.plan,
            Node::Monitor(deed.monitor)
        ))
    }

    /// The past that came with the duty may have a plan in flight. Its number may be that of one that this monitor
    /// began itself, in a term that it lost: what was known of that one is not known of this one.
    pub fn knows(&mut self, monitor: usize, plan: &Plan) {
        let key = (monitor, plan.number);
        if self.plans.get(&key) != Some(plan) {
            self.plans.insert(key, plan.clone());
            self.begun.remove(&key);
            self.confirmed.remove(&key);
            self.answered.remove(&key);
            self.fenced.remove(&key);
        }
    }

    /// What is known of a plan, be it from the monitor that had the duty before and began it.
    fn known<T: Copy>(
        &self,
        what: &BTreeMap<(usize, u64), T>,
        monitor: usize,
        plan: u64,
    ) -> Option<T> {
        let before = (1 - monitor, plan);
        let same = self.plans.get(&(monitor, plan)) == self.plans.get(&before);
        what.get(&(monitor, plan)).or_else(|| what.get(&before).filter(|_| same)).copied()
    }

    /// What a step of a plan does.
    pub fn act(&self, monitor: usize, plan: u64, step: usize) -> Option<Act> {
        let plan = self.plans.get(&(monitor, plan))?;
        plan.steps.get(step).map(|step| step.act.clone())
    }

    /// Whether the plan asks the server to stop what runs there.
    pub fn asks_to_stop(&self, monitor: usize, plan: u64, server: &ServerName) -> bool {
        self.plans.get(&(monitor, plan)).is_some_and(|plan| plan.asks_to_stop(server))
    }

    /// A plan has ended.
    pub fn ended(&mut self, now: u64, monitor: usize, plan: u64, ending: &PlanEnding) {
        if let Some(plan) = self.plans.get(&(monitor, plan)) {
            self.holds.ended(now, &plan.kind, ending);
        }
    }

    /// Whether the plan changes which side is active.
    pub fn changes_side(&self, monitor: usize, plan: u64) -> bool {
        self.plans.get(&(monitor, plan)).is_some_and(|plan| plan.kind.changes_side())
    }

    /// A plan's confirmation has come to be sure.
    pub fn is_sure(&mut self, world: &World, monitor: usize, plan: u64, act: &Act) {
        let Act::ConfirmInactive { server, services, proof } = act else { return };
        let machine = &world.machines[deeds::number(server)];
        let runs = services.iter().any(|service| machine.runs(*service));
        let deceived = match machine.power {
            Power::On => runs,
            Power::Off => false,
            Power::Frozen => true,
        };
        // The answer takes its time, and what is started after it is not what it was about.
        let at = self.known(&self.fenced, monitor, plan);
        let at = at.or_else(|| self.known(&self.answered, monitor, plan)).unwrap_or(world.now);
        self.confirmed.insert((monitor, plan), Confirmed { at });
        // What was switched off was not taken for inactive: nothing excuses it that runs later.
        let deceived = deceived && !matches!(proof, Proof::Fence { .. });
        if deceived && let Some(about) = self.deceived.get_mut(deeds::number(server)) {
            *about = Some(world.now);
            self.counts.deceived += 1;
        }
    }

    /// A server has done what it was asked to. That nothing runs there is so at that moment.
    pub fn answers(&mut self, now: u64, deed: &Deed) {
        if matches!(deed.act, Act::ConfirmInactive { .. }) {
            self.answered.insert((deed.monitor, deed.plan), now);
        }
    }

    /// The old side's server was switched off for a plan.
    pub fn is_fenced(&mut self, now: u64, monitor: usize, plan: u64) {
        self.fenced.insert((monitor, plan), now);
        self.counts.fenced += 1;
    }

    /// A service runs from now on.
    pub fn runs(
        &mut self,
        world: &World,
        server: usize,
        service: Service,
        cause: Cause,
    ) -> Result<(), Violation> {
        let (Cause::Step { monitor, plan }, Some(across), true) =
            (cause, World::across(server), service.exclusive())
        else {
            return Ok(());
        };
        let other = &world.machines[across];
        if other.power != Power::On {
            return Ok(());
        }
        // It stood still while it was taken for gone, and goes on with what it was told before.
        let begun = self.known(&self.begun, monitor, plan);
        if self.deceived[server].is_some_and(|at| begun.is_some_and(|begun| begun <= at)) {
            return Ok(());
        }
        let mine = self.known(&self.confirmed, monitor, plan);
        for (running, unit) in other.units.iter().filter(|(service, _)| service.exclusive()) {
            let Process::Running { cause: theirs, since } = unit.process else { continue };
            // Every witness was cut off from it, or it stood still: with what ran there, or was about to.
            let told = match theirs {
                Cause::Step { monitor, plan } => self.known(&self.begun, monitor, plan),
                Cause::Others => None,
            };
            if self.deceived[across].is_some_and(|at| told.unwrap_or(since).min(since) <= at) {
                continue;
            }
            let what = format!(
                "{}/{service} was started by plan {plan} of {}, and {}/{running} has run since {since}",
                Node::Server(server),
                Node::Monitor(monitor),
                Node::Server(across)
            );
            let kind = self.plans.get(&(monitor, plan)).map(|plan| &plan.kind);
            match (kind, mine, theirs) {
                // Somebody else started it after it was found stopped.
                (_, Some(Confirmed { at, .. }), Cause::Others) if since >= at => {}
                // What others started across is a stray; a rescue does not wait for what it cannot see.
                (Some(PlanKind::Rescue(_)), None, Cause::Others) => {}
                _ => return Err(format!("both sides are active: {what}")),
            }
        }
        Ok(())
    }

    /// The repository across becomes independent: a planned change must have left nothing behind.
    pub fn detached(&self, world: &World, monitor: usize, plan: u64) -> Result<(), Violation> {
        let Some(plan) = self.plans.get(&(monitor, plan)) else { return Ok(()) };
        if !matches!(plan.kind, PlanKind::Switchover | PlanKind::Switchback) {
            return Ok(());
        }
        let [from, to] = [plan.from, plan.to].map(|side| world.machines[World::of_side(side)].rows);
        // Somebody who starts the old side by hand writes on beside the plan.
        let by_hand = world.machines[World::of_side(plan.from)].runs(Service::Daemon);
        if to < from && !by_hand {
            return Err(format!("the {} lost {} acknowledged rows", plan.kind, from - to));
        }
        Ok(())
    }
}
