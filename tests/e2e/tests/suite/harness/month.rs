//! A month of a cluster of five servers, written to a journal in a moment: by the daemon's own
//! journal, fold, plans and policies, with a clock that is told what time it is.
//!
//! Everything is looked at once a second, and nothing takes any time. While all is calm nothing is
//! asked: the answer would be the one before.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use watchkeeper::cluster::Seat;
use watchkeeper::config::cluster::ClusterConfig;
use watchkeeper::journal::{Events, Journal};
use watchkeeper::replay::Panel;
use watchkeeper_core::arbitration::{Decision, Hold, Standing, decide, plan_kind};
use watchkeeper_core::event::{Basis, Evaluated, Event, Seated};
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::facts::{
    FactBook, Observation, ProbeId, Reason, ReasonCode, SEEN_FROM, Value,
};
use watchkeeper_core::guards::{Duty, Situation};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{
    MonitorName, ServerName, Service, ServiceId, Status, Term, Timestamp,
};
use watchkeeper_core::plan::{OrderedBy, Plan, PlanKind, Request};
use watchkeeper_core::snapshot::{Background, Place, Snapshot, expected};
use watchkeeper_core::state::State;

/// 2026-10-01 in UTC.
pub const BEGINNING: Timestamp = Timestamp(1_790_812_800_000);

const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

/// How long everything is looked at anew after a plan.
const SETTLE: u64 = 10 * SECOND;

/// Something that breaks.
#[derive(Debug, Clone, Copy)]
pub struct Fault {
    /// After the beginning, in milliseconds.
    pub at: u64,
    /// Where.
    pub server: &'static str,
    /// What; none: the whole server.
    pub service: Option<Service>,
    /// For how long, unless it is started again, in milliseconds.
    pub lasts: u64,
    /// Whether it can be started again.
    pub stubborn: bool,
}

/// The month's faults: what is over before it counts, what is rescued, what is not, a lost server.
pub const FAULTS: [Fault; 9] = [
    fault(2 * DAY + 3 * HOUR, "dm1", Some(Service::Rest), 2 * SECOND, true),
    fault(5 * DAY + 12 * HOUR, "dm1", Some(Service::Daemon), HOUR, false),
    fault(8 * DAY + 7 * HOUR, "dm3", Some(Service::Agent), 20 * MINUTE, true),
    fault(12 * DAY + 2 * HOUR, "dm1", Some(Service::Activemq), 4 * SECOND, true),
    fault(15 * DAY + 3 * HOUR, "dm1", None, 15 * MINUTE, true),
    fault(17 * DAY, "dm4", None, 10 * MINUTE, true),
    fault(21 * DAY + 22 * HOUR, "dm1", Some(Service::Repository), HOUR, false),
    fault(24 * DAY + 6 * HOUR, "dm1", Some(Service::Rest), HOUR, true),
    fault(28 * DAY + HOUR, "dm2", Some(Service::Repository), 5 * MINUTE, true),
];

const fn fault(
    at: u64,
    server: &'static str,
    service: Option<Service>,
    lasts: u64,
    stubborn: bool,
) -> Fault {
    Fault { at, server, service, lasts, stubborn }
}

/// What was decided, without its texts.
#[derive(Debug, PartialEq)]
struct Said {
    chosen: Option<String>,
    holds: Vec<String>,
    alerts: Vec<String>,
}

struct Month<'a> {
    cluster: &'a ClusterConfig,
    panel: Panel,
    journal: Journal,
    state: State,
    book: FactBook,
    now: Timestamp,
    broken: Vec<Fault>,
    /// What was stopped where it is not wanted.
    stopped: BTreeSet<ServiceId>,
    said: Option<Said>,
    settled: Timestamp,
    number: u64,
}

/// Writes `days` days with [`FAULTS`] to a new journal at `path`.
pub async fn write(path: &Path, cluster: &ClusterConfig, panel: Panel, days: u64) {
    let monitor = MonitorName::new("vp1").unwrap();
    let (journal, state) = Journal::open(path, &monitor, BEGINNING).unwrap();
    let mut month = Month {
        cluster,
        panel,
        journal,
        state,
        book: FactBook::default(),
        now: BEGINNING,
        broken: Vec::new(),
        stopped: BTreeSet::new(),
        said: None,
        settled: BEGINNING,
        number: 1,
    };
    let started = Event::MonitorStarted { monitor: monitor.clone(), version: "0.1.0".to_owned() };
    month.append(vec![(None, started)]).await;
    let mut faults: VecDeque<Fault> = FAULTS.into();
    let end = BEGINNING.plus(days * DAY);
    while month.now < end {
        month.second(&mut faults).await;
        // The next fault, or the end of a calm time.
        let next = faults.front().map_or(end, |fault| BEGINNING.plus(fault.at)).min(end);
        if month.is_calm() {
            month.pass(next);
        }
    }
    month.append(vec![(None, Event::MonitorStopped { monitor })]).await;
    month.journal.close().await;
}

impl Month<'_> {
    async fn append(&mut self, events: Events) {
        if events.is_empty() {
            return;
        }
        let records = self.journal.append(self.now, events).await.unwrap();
        for record in &records {
            self.state.apply(record).unwrap();
        }
    }

    async fn say(&mut self, events: Vec<Event>) {
        let name = self.cluster.topology.cluster();
        self.append(events.into_iter().map(|it| (Some(name.clone()), it)).collect()).await;
    }

    fn standings(&self) -> Vec<Standing> {
        self.panel.seats.iter().map(|seat| seat.standing.clone()).collect()
    }

    fn phase(&self) -> Phase {
        self.state.cluster(self.cluster.topology.cluster()).phase
    }

    fn is_calm(&self) -> bool {
        let phase = self.phase();
        self.broken.is_empty()
            && self.now >= self.settled.plus(MINUTE)
            && phase == Phase::Active(watchkeeper_core::model::Side::Primary)
    }

    /// Lets calm time pass until one second before `next`.
    fn pass(&mut self, next: Timestamp) {
        let seconds = next.since(self.now) / SECOND;
        let Some(times) = seconds.checked_sub(1).filter(|it| *it > 0) else { return };
        self.now = self.now.plus(times * SECOND);
        let probes: Vec<ProbeId> = self.cluster.probes.iter().map(|it| it.id.clone()).collect();
        for probe in probes {
            self.book.repeat(&probe, u32::try_from(times).unwrap(), self.now);
        }
    }

    async fn second(&mut self, faults: &mut VecDeque<Fault>) {
        self.now = self.now.plus(SECOND);
        let passed = self.now.since(BEGINNING);
        self.broken.retain(|fault| fault.at + fault.lasts > passed);
        while faults.front().is_some_and(|fault| fault.at <= passed) {
            self.broken.extend(faults.pop_front());
        }
        let mut events = Vec::new();
        for probe in &self.cluster.probes {
            let observation = self.look(&probe.id);
            if self.book.observe(observation.clone()) {
                events.push(Event::Observed(observation));
            }
        }
        for testimony in self.testimonies() {
            if self.book.observe(testimony.clone()) {
                events.push(Event::Observed(testimony));
            }
        }
        self.say(events).await;
        if self.now >= self.settled {
            self.evaluate().await;
        }
        // An operator goes back once the primary has been whole again for half an hour.
        let whole = self.broken.iter().all(|fault| fault.server != "dm1");
        if self.phase() == Phase::Active(watchkeeper_core::model::Side::Secondary)
            && whole
            && self.now >= self.settled.plus(30 * MINUTE)
        {
            let snapshot = self.snapshot();
            let decision = Decision::none();
            let opinions = Vec::new();
            let ordered = Evaluated {
                snapshot: (*snapshot).clone(),
                opinions,
                decision,
                in_shadow: None,
                basis: None,
            };
            let by = OrderedBy::Operator("ada".to_owned());
            let events = vec![Event::Evaluated(Box::new(ordered))];
            self.carry_out(events, &snapshot, PlanKind::Switchback, by, "it is repaired").await;
        }
    }

    /// What a probe finds: its server gone, its service broken, or things as they are meant to be.
    fn look(&self, probe: &ProbeId) -> Observation {
        let hits = |fault: &&Fault| fault.server == probe.server.as_str();
        let gone = self.is_gone(&probe.server);
        let broken = |fault: &Fault| fault.service.is_some() && fault.service == probe.service;
        let runs = match probe.service {
            None => true,
            Some(service) => {
                let side = self.phase().side();
                let role = self.cluster.topology.server(&probe.server).unwrap().role;
                let id = ServiceId { server: probe.server.clone(), service };
                expected(service, Place::of(role, side), side)
                    && !self.stopped.contains(&id)
                    && !self.broken.iter().filter(hits).any(broken)
            }
        };
        let (status, reason) = if gone {
            (Status::Unknown, Reason::new(ReasonCode::TimedOut, "no answer within 1 s"))
        } else if runs {
            (Status::Up, Reason::new(ReasonCode::Running, "active"))
        } else {
            (Status::Down, Reason::new(ReasonCode::NotRunning, "failed (exit status 3)"))
        };
        Observation {
            probe: probe.clone(),
            status,
            reason,
            at: self.now,
            took_ms: 5,
            values: BTreeMap::new(),
        }
    }

    fn is_gone(&self, server: &ServerName) -> bool {
        let gone = |fault: &Fault| fault.server == server.as_str() && fault.service.is_none();
        self.broken.iter().any(gone)
    }

    /// What the other servers find of the active side's, if it is gone.
    fn testimonies(&self) -> Vec<Observation> {
        let topology = &self.cluster.topology;
        let active = &topology.on(self.phase().side()).name;
        if !self.is_gone(active) {
            return Vec::new();
        }
        let witnesses = topology.servers().iter().map(|it| &it.name);
        witnesses
            .filter(|it| *it != active && !self.is_gone(it))
            .map(|witness| Observation {
                probe: ProbeId::testimony(active, witness.as_str()),
                status: Status::Down,
                reason: Reason::new(
                    ReasonCode::TimedOut,
                    format!("{witness} looked: nothing answers"),
                ),
                at: self.now,
                took_ms: 5,
                values: [(format!("{SEEN_FROM}{witness}").into(), Value::Text("gone".into()))]
                    .into(),
            })
            .collect()
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        let here = self.state.cluster(self.cluster.topology.cluster());
        let (rescues, changes): (Vec<_>, Vec<_>) =
            (here.rescues.iter().cloned().collect(), here.changes.iter().cloned().collect());
        self.number += 1;
        Arc::new(Snapshot::take(
            self.number,
            self.now,
            &self.cluster.topology,
            &self.book,
            &Background {
                phase: here.phase,
                active_since: here.active_since,
                maintenance: false,
                services_in_maintenance: &[],
                rescues: &rescues,
                changes: &changes,
            },
        ))
    }

    async fn evaluate(&mut self) {
        let snapshot = self.snapshot();
        let here = self.state.cluster(self.cluster.topology.cluster());
        let seats = self.panel.seats.iter();
        let opinions: Vec<_> = seats
            .map(|seat| seat.ask(&snapshot, here.memories.get(&seat.standing.policy)))
            .collect();
        let duty = Duty::Held(Term(1));
        let situation = Situation {
            snapshot: &snapshot,
            phase: here.phase,
            duty: &duty,
            limits: &self.cluster.guards,
            arrangements: &self.cluster.arrangements,
            last_change: here.cooling_since,
            fleet_changes: &[],
        };
        let decision = decide(&situation, &opinions, &self.standings());
        let said = said(&decision);
        let chosen = decision.to_carry_out().cloned();
        if self.said.as_ref() == Some(&said) && chosen.is_none() {
            return;
        }
        let basis = self.said.is_none().then(|| {
            Box::new(Basis {
                duty: duty.clone(),
                limits: self.cluster.guards.clone(),
                arrangements: self.cluster.arrangements.clone(),
                policies: self.panel.seats.iter().map(seated).collect(),
            })
        });
        self.said = Some(said);
        let evaluated =
            Evaluated { snapshot: (*snapshot).clone(), opinions, decision, in_shadow: None, basis };
        let events = vec![Event::Evaluated(Box::new(evaluated))];
        match chosen {
            None => self.say(events).await,
            Some(chosen) => {
                let kind = plan_kind(&chosen.proposal.action);
                let by = OrderedBy::Policy(chosen.policy);
                self.carry_out(events, &snapshot, kind, by, &chosen.proposal.reason).await;
            }
        }
    }

    /// A plan that is over at once, well or not.
    async fn carry_out(
        &mut self,
        mut events: Vec<Event>,
        snapshot: &Snapshot,
        kind: PlanKind,
        ordered_by: OrderedBy,
        reason: &str,
    ) {
        let stubborn = match &kind {
            PlanKind::Rescue(id) => {
                let hits = |fault: &Fault| {
                    fault.server == id.server.as_str() && fault.service == Some(id.service)
                };
                let stubborn = self.broken.iter().any(|it| hits(it) && it.stubborn);
                self.broken.retain(|it| stubborn || !hits(it));
                stubborn
            }
            PlanKind::Clear(id) => {
                self.stopped.insert(id.clone());
                false
            }
            _ => {
                self.stopped.clear();
                false
            }
        };
        let plan = Plan::make(Request {
            number: self.state.cluster(self.cluster.topology.cluster()).next_plan,
            kind,
            term: Term(1),
            ordered_by,
            reason: reason.to_owned(),
            topology: &self.cluster.topology,
            arrangements: &self.cluster.arrangements,
            snapshot,
        });
        let (plan_number, steps) = (plan.number, plan.steps.len());
        events.push(Event::PlanBegun(Box::new(plan)));
        self.say(events).await;
        let mut ending = PlanEnding::Completed;
        for step in 0..steps {
            let mut attempt = 0;
            loop {
                attempt += 1;
                let detail = "as it is in this month".to_owned();
                let outcome = if stubborn {
                    Outcome::Failed { detail: detail.clone() }
                } else {
                    Outcome::Done { detail: detail.clone(), changed: true }
                };
                let (plan, term) = (plan_number, Term(1));
                self.say(vec![
                    Event::StepIntended { plan, step, attempt, term },
                    Event::StepEnded { plan, step, attempt, outcome },
                ])
                .await;
                if !stubborn {
                    break;
                }
                if attempt >= self.cluster.arrangements.attempts {
                    ending = PlanEnding::Failed { step, detail };
                    break;
                }
            }
            if stubborn {
                break;
            }
        }
        self.say(vec![Event::PlanEnded { plan: plan_number, ending }]).await;
        self.settled = self.now.plus(SETTLE);
    }
}

fn seated(seat: &Seat) -> Seated {
    Seated { standing: seat.standing.clone(), settings: seat.settings.to_vec() }
}

fn said(decision: &Decision) -> Said {
    Said {
        chosen: decision.chosen.as_ref().map(|it| format!("{} {}", it.policy, it.proposal.action)),
        holds: decision
            .holds
            .iter()
            .map(|hold| match hold {
                Hold::Policy { policy, .. } | Hold::Failure { policy, .. } => policy.to_string(),
                Hold::Guard(hold) => hold.guard.to_string(),
            })
            .collect(),
        alerts: decision
            .alerts
            .iter()
            .map(|it| {
                format!(
                    "{} {} {:?} {:?}",
                    it.source, it.claim.name, it.claim.server, it.claim.service
                )
            })
            .collect(),
    }
}
