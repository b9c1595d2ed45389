//! Recorded history, gone through again: the same policy decides the same, another one is judged
//! where it would have decided, and the facts in between are those that there were.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::arbitration::{Decision, OnPolicyFailure, Standing, decide};
use watchkeeper_core::event::{Basis, Evaluated, Event, Record, Seated};
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::facts::{FactBook, Observation, ProbeId, Reason, ReasonCode, Value};
use watchkeeper_core::guards::Situation;
use watchkeeper_core::model::{MonitorName, Service, ServiceId, Side, Status, Term, Timestamp};
use watchkeeper_core::plan::{OrderedBy, Plan, PlanKind, Request};
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::{Action, Evaluation, Grant, Opinion, Proposal, Revision};
use watchkeeper_core::replay::{
    Compared, Comparison, Does, History, Kind, Moment, Pace, Rhythm, Source, Unwatched, Would,
};
use watchkeeper_core::snapshot::{Background, Facts, Filter, Snapshot};
use watchkeeper_core::state::State;

use crate::world::{Dice, NOW, World, cluster, name, policy};

const SECOND: u64 = 1_000;

/// Rescues what is found down on the active side so many times in a row, and says that it is down.
fn opinion(snapshot: &Snapshot, patience: u32) -> Opinion {
    let mut evaluation = Evaluation::default();
    let down = Filter::default();
    for one in snapshot.services(down) {
        let counts = one.expected && one.state.status == Status::Down;
        if counts && one.place == watchkeeper_core::snapshot::Place::Active {
            if one.state.confirmations >= patience {
                let reason = format!("{} is down, {} times", one.id, one.state.confirmations);
                evaluation
                    .proposals
                    .push(Proposal { action: Action::Rescue(one.id.clone()), reason });
            }
            evaluation.alerts.push(watchkeeper_core::proposal::AlertClaim {
                name: "service-down".to_owned(),
                severity: watchkeeper_core::proposal::Severity::Warning,
                server: Some(one.id.server.clone()),
                service: Some(one.id.service),
                code: String::new(),
                summary: format!("{} is down", one.id),
                labels: BTreeMap::new(),
            });
        }
    }
    Opinion {
        policy: policy("keeper"),
        revision: Revision { digest: format!("{patience}"), version: "1.0.0".to_owned() },
        reads: [].into(),
        outcome: Ok(evaluation),
    }
}

fn standings() -> Vec<Standing> {
    vec![Standing {
        policy: policy("keeper"),
        grants: Grant::ALL.into(),
        servers: None,
        on_failure: OnPolicyFailure::Hold,
        mode: Mode::Enforce,
    }]
}

/// A monitor that looks at everything each second, decides at once, and records what differs: the
/// daemon's rule, on the core's own parts.
struct Monitor {
    world: World,
    book: FactBook,
    /// What is found by each probe.
    found: BTreeMap<ProbeId, (Status, ReasonCode)>,
    values: BTreeMap<ProbeId, i64>,
    now: Timestamp,
    patience: u32,
    state: State,
    records: Vec<Record>,
    last: Option<(Does, usize)>,
    settling: Option<Timestamp>,
    /// Every snapshot that a decision was made from, recorded or not.
    snapshots: Vec<Facts>,
    number: u64,
}

impl Monitor {
    fn begin(patience: u32) -> Self {
        let world = World::new();
        let mut found = BTreeMap::new();
        for fact in world.book.iter() {
            let latest = &fact.latest;
            found.insert(latest.probe.clone(), (latest.status, latest.reason.code));
        }
        let mut monitor = Self {
            world,
            book: FactBook::default(),
            found,
            values: BTreeMap::new(),
            now: NOW,
            patience,
            state: State::default(),
            records: Vec::new(),
            last: None,
            settling: None,
            snapshots: Vec::new(),
            number: 0,
        };
        monitor.start();
        monitor
    }

    fn record(&mut self, event: Event) {
        let of_monitor =
            matches!(event, Event::MonitorStarted { .. } | Event::MonitorStopped { .. });
        let cluster = (!of_monitor).then(cluster);
        let record = Record { seq: self.state.seq + 1, at: self.now, cluster, event };
        self.state.apply(&record).unwrap();
        self.records.push(record);
    }

    fn start(&mut self) {
        let monitor = MonitorName::new("vp1").unwrap();
        self.record(Event::MonitorStarted { monitor, version: "0.1.0".to_owned() });
        self.book = FactBook::default();
        self.last = None;
    }

    fn stop(&mut self) {
        self.record(Event::MonitorStopped { monitor: MonitorName::new("vp1").unwrap() });
    }

    fn set(&mut self, service: Service, status: Status) {
        let code = match status {
            Status::Up => ReasonCode::Running,
            Status::Down => ReasonCode::NotRunning,
            Status::Unknown => ReasonCode::TimedOut,
        };
        let probe = self.probe(service);
        self.found.insert(probe, (status, code));
    }

    fn probe(&self, service: Service) -> ProbeId {
        let wanted =
            |probe: &&ProbeId| probe.server == name("dm1") && probe.service == Some(service);
        self.found.keys().find(wanted).unwrap().clone()
    }

    fn second(&mut self) {
        self.now = self.now.plus(SECOND);
        let mut news = Vec::new();
        for (probe, (status, code)) in &self.found {
            let mut values = BTreeMap::new();
            if let Some(value) = self.values.get(probe) {
                values.insert(Arc::from("replay-lag-bytes"), Value::Integer(*value));
            }
            let observation = Observation {
                probe: probe.clone(),
                status: *status,
                reason: Reason::new(*code, format!("seen {status}")),
                at: self.now,
                took_ms: 20,
                values,
            };
            if self.book.observe(observation.clone()) {
                news.push(observation);
            }
        }
        for seen in news {
            self.record(Event::Observed(seen));
        }
        if self.settling.take_if(|until| self.now >= *until).is_some() || self.settling.is_none() {
            self.evaluate();
        }
    }

    fn seconds(&mut self, count: u64) {
        (0..count).for_each(|_| self.second());
    }

    fn evaluate(&mut self) {
        let here = self.state.cluster(&cluster());
        let (rescues, changes): (Vec<_>, Vec<_>) =
            (here.rescues.iter().cloned().collect(), here.changes.iter().cloned().collect());
        let background = Background {
            phase: here.phase,
            active_since: here.active_since,
            maintenance: here.maintenance.is_some(),
            services_in_maintenance: &[],
            rescues: &rescues,
            changes: &changes,
        };
        self.number += 1;
        let topology = self.world.topology();
        let snapshot = Snapshot::take(self.number, self.now, &topology, &self.book, &background);
        self.snapshots.push(snapshot.facts().clone());
        let opinions = vec![opinion(&snapshot, self.patience)];
        let decision = self.decide(&snapshot, &opinions, here.phase);
        let signature = (Does::of(&decision), decision.alerts.len());
        let same = |(does, alerts): &(Does, usize)| {
            *alerts == signature.1 && action(does) == action(&signature.0)
        };
        let acts = decision.to_carry_out().is_some();
        if self.last.as_ref().is_some_and(same) && !acts {
            return;
        }
        let basis = self.last.is_none().then(|| Box::new(self.basis()));
        self.record(Event::Evaluated(Box::new(Evaluated {
            snapshot: snapshot.clone(),
            opinions,
            decision: decision.clone(),
            in_shadow: None,
            basis,
        })));
        self.last = Some(signature);
        if let Some(chosen) = decision.to_carry_out() {
            let kind = watchkeeper_core::arbitration::plan_kind(&chosen.proposal.action);
            self.carry_out(&snapshot, kind);
        }
    }

    fn basis(&self) -> Basis {
        let seated = |standing| Seated { standing, settings: vec![] };
        Basis {
            duty: self.world.duty.clone(),
            limits: self.world.limits.clone(),
            arrangements: self.world.arrangements.clone(),
            policies: standings().into_iter().map(seated).collect(),
        }
    }

    fn decide(
        &self,
        snapshot: &Snapshot,
        opinions: &[Opinion],
        phase: watchkeeper_core::lifecycle::Phase,
    ) -> Decision {
        let here = self.state.cluster(&cluster());
        let situation =
            Situation { phase, last_change: here.cooling_since, ..self.world.situation(snapshot) };
        decide(&situation, opinions, &standings())
    }

    /// A plan that does what it is for at once.
    fn carry_out(&mut self, snapshot: &Snapshot, kind: PlanKind) {
        if let PlanKind::Rescue(ServiceId { service, .. }) = &kind {
            self.set(*service, Status::Up);
        }
        let plan = Plan::make(Request {
            number: self.state.cluster(&cluster()).next_plan,
            kind,
            term: Term(3),
            ordered_by: OrderedBy::Policy(policy("keeper")),
            reason: "it is down".to_owned(),
            topology: &self.world.topology(),
            arrangements: &self.world.arrangements,
            snapshot,
        });
        let (number, steps) = (plan.number, plan.steps.len());
        self.record(Event::PlanBegun(Box::new(plan)));
        for step in 0..steps {
            let term = Term(3);
            self.record(Event::StepIntended { plan: number, step, attempt: 1, term });
            let outcome = watchkeeper_core::execution::Outcome::Done {
                detail: "so it is".to_owned(),
                changed: true,
            };
            self.record(Event::StepEnded { plan: number, step, attempt: 1, outcome });
        }
        self.record(Event::PlanEnded { plan: number, ending: PlanEnding::Completed });
        self.settling = Some(self.now.plus(10 * SECOND));
    }
}

fn action(does: &Does) -> Option<&Action> {
    match does {
        Does::Nothing => None,
        Does::Acts(wish) | Does::Holds { wish, .. } => Some(&wish.action),
    }
}

fn rhythm() -> Rhythm {
    Rhythm {
        tick_ms: SECOND,
        settle_ms: 10 * SECOND,
        confirmations: 30,
        paces: BTreeMap::new(),
        other: Pace { interval_ms: SECOND, confirm_ms: SECOND },
    }
}

/// Every moment, in order, with what the history is then.
fn replay(records: &[Record], mut each: impl FnMut(&History, &Moment)) -> History {
    let world = World::new();
    let mut history = History::new(cluster(), rhythm(), world.limits, world.arrangements);
    for record in records {
        while let Some(moment) = history.before(record) {
            each(&history, &moment);
        }
        if let Some(moment) = history.take(record.clone()).unwrap() {
            each(&history, &moment);
        }
    }
    history
}

fn compare(records: &[Record], patience: u32) -> Compared {
    let mut comparison = Comparison::default();
    replay(records, |history, moment| {
        let opinions = [opinion(&moment.snapshot, patience)];
        let decision = history.decide(moment, &opinions, &standings());
        comparison.take(moment, &decision);
    });
    comparison.end()
}

/// Some trouble on dm1, some of it too short to matter.
fn troubled(seed: u64) -> Monitor {
    let mut dice = Dice::new(seed);
    let mut monitor = Monitor::begin(3);
    monitor.seconds(3);
    for _ in 0..12 {
        let service = *dice.pick(&Service::ALL);
        let status = *dice.pick(&[Status::Down, Status::Down, Status::Unknown]);
        monitor.set(service, status);
        monitor.seconds(1 + dice.below(8) as u64);
        monitor.set(service, Status::Up);
        monitor.seconds(12 + dice.below(40) as u64);
        if dice.one_in(4) {
            if dice.one_in(2) {
                monitor.stop();
            }
            monitor.now = monitor.now.plus(60 * SECOND);
            monitor.start();
            monitor.seconds(3);
        }
    }
    monitor
}

#[test]
fn at_recorded_moments_the_same_is_decided_to_the_last_byte() {
    for seed in 0..50 {
        let monitor = troubled(seed);
        let mut recorded = 0;
        replay(&monitor.records, |history, moment| {
            let Source::Recorded(_) = moment.source else { return };
            recorded += 1;
            let then = &moment.recorded.evaluated;
            assert_eq!(*moment.snapshot, then.snapshot, "seed {seed}");
            let opinions = [opinion(&moment.snapshot, 3)];
            assert_eq!(opinions, *then.opinions, "seed {seed}");
            let decision = history.decide(moment, &opinions, &standings());
            assert_eq!(decision, then.decision, "seed {seed}");
        });
        let evaluated = |record: &&Record| matches!(record.event, Event::Evaluated(_));
        assert_eq!(recorded, monitor.records.iter().filter(evaluated).count(), "seed {seed}");
    }
}

#[test]
fn in_between_the_facts_are_those_that_there_were() {
    let mut compared = 0;
    for seed in 0..50 {
        let monitor = troubled(seed);
        let known: BTreeMap<Timestamp, &Facts> =
            monitor.snapshots.iter().map(|facts| (facts.at, facts)).collect();
        let mut before = Timestamp(0);
        replay(&monitor.records, |_, moment| {
            assert!(moment.at > before, "seed {seed}: {} after {before}", moment.at);
            before = moment.at;
            let Some(facts) = known.get(&moment.at) else {
                panic!("seed {seed}: nobody was asked at {}", moment.at);
            };
            let wanted = Facts { number: moment.snapshot.facts().number, ..(*facts).clone() };
            assert_eq!(*moment.snapshot.facts(), wanted, "seed {seed}");
            compared += 1;
        });
    }
    assert!(compared > 10_000, "{compared}");
}

#[test]
fn the_same_rules_differ_nowhere() {
    for seed in 0..50 {
        let compared = compare(&troubled(seed).records, 3);
        assert_eq!(compared.differences, [], "seed {seed}");
        assert_eq!(compared.alerts, [], "seed {seed}");
        assert!(compared.reconstructed > compared.recorded, "seed {seed}");
    }
}

#[test]
fn less_patience_acts_at_the_second_at_which_it_would_have() {
    let mut monitor = Monitor::begin(10);
    monitor.seconds(100);
    monitor.set(Service::Daemon, Status::Down);
    let broken = monitor.now;
    monitor.seconds(9);
    let compared = compare(&monitor.records, 4);
    assert_eq!(compared.differences, [], "nothing was recorded since, so nothing is known");

    monitor.seconds(20);
    let compared = compare(&monitor.records, 4);
    let [one] = compared.differences.as_slice() else { panic!("{compared:#?}") };
    assert_eq!((one.kind, one.source), (Kind::WouldAct, Source::Reconstructed));
    assert_eq!(one.at, broken.plus(4 * SECOND), "found down four times");
    assert_eq!(one.until, broken.plus(10 * SECOND));
    let Does::Acts(wish) = &one.other else { panic!("{one:#?}") };
    assert!(wish.reason.contains("4 times"), "{wish:?}");
    assert_eq!(one.recorded, Does::Nothing);
    let then = one.then.as_ref().unwrap();
    assert_eq!((then.at, &then.wish.action), (one.until, &wish.action));
    assert_eq!((one.episode, one.after_another), (1, false));
}

#[test]
fn more_patience_would_not_have_acted_at_the_record_that_did() {
    let mut monitor = Monitor::begin(3);
    monitor.seconds(10);
    monitor.set(Service::Rest, Status::Down);
    monitor.seconds(60);
    let compared = compare(&monitor.records, 5);
    let [one] = compared.differences.as_slice() else { panic!("{compared:#?}") };
    assert_eq!((one.kind, &one.other), (Kind::WouldNotAct, &Does::Nothing));
    assert_eq!(one.source, Source::Recorded(one.record));
    assert!(matches!(&one.recorded, Does::Acts(_)));
    assert!(one.kind.changes_the_world());
}

#[test]
fn what_follows_an_action_that_nobody_took_is_marked() {
    // The recorded policy is very patient; meanwhile a second service breaks and is mended.
    let mut monitor = Monitor::begin(100);
    monitor.seconds(5);
    monitor.set(Service::Daemon, Status::Down);
    monitor.seconds(20);
    monitor.set(Service::Activemq, Status::Down);
    monitor.seconds(20);
    monitor.set(Service::Activemq, Status::Up);
    monitor.set(Service::Daemon, Status::Up);
    monitor.seconds(20);
    monitor.set(Service::Rest, Status::Down);
    monitor.seconds(20);
    monitor.set(Service::Rest, Status::Up);
    monitor.seconds(2);
    let compared = compare(&monitor.records, 3);
    let marks: Vec<_> = compared
        .differences
        .iter()
        .map(|one| (action(&one.other).unwrap().to_string(), one.episode, one.after_another))
        .collect();
    // The services are asked about in their order.
    assert_eq!(
        marks,
        [
            ("rescue dm1/daemon".to_owned(), 1, false),
            ("rescue dm1/activemq".to_owned(), 1, true),
            ("rescue dm1/rest".to_owned(), 2, false),
        ],
        "{compared:#?}"
    );
}

#[test]
fn what_nobody_was_asked_about_is_no_moment() {
    let mut monitor = Monitor::begin(100);
    monitor.seconds(5);
    let killed = monitor.now;
    monitor.set(Service::Daemon, Status::Down);
    // Nothing proves that it ran on, and the next one finds it mended.
    monitor.now = monitor.now.plus(3_600 * SECOND);
    monitor.set(Service::Daemon, Status::Up);
    monitor.start();
    monitor.seconds(5);
    monitor.stop();
    let stopped = monitor.now;
    monitor.now = monitor.now.plus(60 * SECOND);
    monitor.start();
    monitor.second();
    let mut moments = Vec::new();
    let history = replay(&monitor.records, |_, moment| moments.push(moment.at));
    let gaps = history.gaps();
    let whys: Vec<_> = gaps.iter().map(|gap| gap.why).collect();
    assert_eq!(whys, [Unwatched::Ended, Unwatched::Stopped]);
    assert_eq!(gaps[1].from, stopped);
    assert!(gaps[0].from <= killed);
    for gap in gaps {
        assert!(moments.iter().all(|at| *at <= gap.from || *at >= gap.until), "{gap:?}");
    }
    assert_eq!(history.open_gap(), None);
}

#[test]
fn while_the_duty_is_elsewhere_there_are_no_moments() {
    use watchkeeper_core::duty::{Change, Grantor};
    let mut monitor = Monitor::begin(100);
    let taken =
        |term| Change::Taken { term, grantor: Grantor::Peer { monitor: vp2() }, past: None };
    monitor.record(Event::Duty(taken(Term(4))));
    monitor.seconds(20);
    let left = Change::Left { term: Term(5), holder: Some(vp2()), why: "it is vp2's".to_owned() };
    monitor.record(Event::Duty(left));
    let gone = monitor.now;
    // It looks, and decides nothing.
    monitor.settling = Some(monitor.now.plus(60 * SECOND));
    monitor.set(Service::Daemon, Status::Down);
    monitor.seconds(30);
    monitor.set(Service::Daemon, Status::Up);
    monitor.seconds(29);
    monitor.record(Event::Duty(taken(Term(6))));
    monitor.last = None;
    monitor.seconds(5);
    monitor.stop();
    let mut moments = Vec::new();
    let history = replay(&monitor.records, |_, moment| moments.push(moment.at));
    let [gap] = history.gaps() else { panic!("{:?}", history.gaps()) };
    assert_eq!((gap.from, gap.why), (gone, Unwatched::Elsewhere));
    assert!(moments.iter().all(|at| *at <= gap.from || *at >= gap.until), "{gap:?}");
    assert!(moments.iter().any(|at| *at > gap.until));
}

fn vp2() -> MonitorName {
    MonitorName::new("vp2").unwrap()
}

#[test]
fn what_is_known_ends_where_a_gap_begins() {
    let mut monitor = Monitor::begin(100);
    monitor.seconds(5);
    monitor.set(Service::Daemon, Status::Down);
    monitor.seconds(20);
    monitor.stop();
    let stopped = monitor.now;
    monitor.now = monitor.now.plus(3_600 * SECOND);
    monitor.set(Service::Daemon, Status::Up);
    monitor.start();
    monitor.seconds(5);
    let compared = compare(&monitor.records, 3);
    let [one] = compared.differences.as_slice() else { panic!("{compared:#?}") };
    assert!(one.until <= stopped && one.until.plus(2 * SECOND) > stopped, "{one:#?}");
}

#[test]
fn a_policy_that_wants_to_look_again_is_asked_again() {
    let mut monitor = Monitor::begin(3);
    monitor.seconds(30);
    monitor.stop();
    let world = World::new();
    let mut history = History::new(cluster(), rhythm(), world.limits, world.arrangements);
    let mut odd = 0;
    for record in &monitor.records {
        while let Some(moment) = history.before(record) {
            odd += usize::from(moment.at.0 % SECOND != NOW.0 % SECOND);
            history.look_again(Some(250));
        }
        if history.take(record.clone()).unwrap().is_some() {
            history.look_again(Some(250));
        }
    }
    // 250, 500 and 750 ms after each second.
    assert_eq!(odd, 29 * 3);
}

#[test]
fn a_measured_value_is_the_last_one_that_is_recorded() {
    let mut monitor = Monitor::begin(3);
    let probe = monitor.probe(Service::Repository);
    monitor.values.insert(probe.clone(), 10);
    monitor.seconds(5);
    // No news: the journal does not have it before the next decision that differs.
    monitor.values.insert(probe, 99);
    monitor.seconds(5);
    monitor.set(Service::Daemon, Status::Down);
    monitor.second();
    let decided = monitor.now;
    monitor.seconds(1);
    monitor.stop();
    replay(&monitor.records, |_, moment| {
        let value = moment.snapshot.measures("replay-lag-bytes")[0].value.clone();
        let wanted = if moment.at >= decided { 99 } else { 10 };
        assert_eq!(value, Value::Integer(wanted), "{}", moment.at);
    });
}

/// Each look is not recorded, and yet a replay has how old a testimony was; nobody looks from elsewhere
/// at a server that answers.
#[test]
fn what_a_witness_finds_is_found_again_until_the_server_answers() {
    let mut monitor = Monitor::begin(3);
    monitor.seconds(3);
    let login = ProbeId { server: name("dm1"), service: None, name: "ssh".into() };
    let testimony = ProbeId::testimony(&name("dm1"), name("dm2"));
    monitor.found.insert(login.clone(), (Status::Unknown, ReasonCode::TimedOut));
    monitor.found.insert(testimony.clone(), (Status::Down, ReasonCode::TimedOut));
    monitor.values.insert(testimony.clone(), 1);
    let silent = monitor.now;
    monitor.seconds(20);
    monitor.found.insert(login, (Status::Up, ReasonCode::Serving));
    monitor.found.remove(&testimony);
    let answers = monitor.now;
    monitor.seconds(20);
    monitor.stop();
    let mut seen = 0;
    replay(&monitor.records, |_, moment| {
        let measure = moment.snapshot.measure("dm1", None, "replay-lag-bytes");
        let Some(measure) = measure else { return assert!(moment.at <= silent.plus(SECOND)) };
        seen += 1;
        if moment.at <= answers {
            assert!(moment.at.since(measure.at) <= 2 * SECOND, "{} of {}", measure.at, moment.at);
        } else {
            assert!(measure.at <= answers.plus(SECOND), "{} of {}", measure.at, moment.at);
        }
        let login = &moment.snapshot.server("dm1").unwrap().state;
        assert_eq!(login.status == Status::Up, moment.at > answers, "{}", moment.at);
    });
    assert!(seen >= 38, "{seen}");
}

#[test]
fn alerts_that_would_have_been_told_are_found() {
    let mut monitor = Monitor::begin(100);
    monitor.seconds(5);
    monitor.set(Service::Daemon, Status::Down);
    monitor.seconds(10);
    monitor.set(Service::Daemon, Status::Up);
    monitor.seconds(5);
    let mut comparison = Comparison::default();
    let mut silent = Comparison::default();
    replay(&monitor.records, |history, moment| {
        let decision = |opinion| history.decide(moment, &[opinion], &standings());
        let mut mute = opinion(&moment.snapshot, 100);
        if let Ok(evaluation) = &mut mute.outcome {
            evaluation.alerts.clear();
        }
        comparison.take(moment, &decision(mute.clone()));
        mute.outcome = Err(watchkeeper_core::proposal::Failure {
            kind: watchkeeper_core::proposal::FailureKind::Trap,
            detail: "unreachable".to_owned(),
        });
        silent.take(moment, &decision(mute));
    });
    let alerts = comparison.end().alerts;
    let [one] = alerts.as_slice() else { panic!("{alerts:#?}") };
    assert_eq!((one.would, one.name.as_str()), (Would::NotTell, "service-down"));
    assert_eq!(one.until.since(one.at), 10 * SECOND);
    // What fails says nothing, and the engine says that.
    let alerts = silent.end().alerts;
    assert!(alerts.iter().any(|it| it.would == Would::Tell && it.name == "policy-failed"));
}

#[test]
fn an_operators_order_is_no_evaluation_of_policies() {
    let mut monitor = Monitor::begin(3);
    monitor.seconds(5);
    let snapshot = monitor.world.snapshot();
    let order = Evaluated {
        snapshot: snapshot.clone(),
        opinions: vec![],
        decision: Decision::none(),
        in_shadow: None,
        basis: None,
    };
    monitor.record(Event::Evaluated(Box::new(order)));
    monitor.carry_out(&snapshot, PlanKind::Switchover);
    let side = monitor.state.cluster(&cluster()).phase.side();
    assert_eq!(side, Side::Secondary);
    let mut recorded = Vec::new();
    replay(&monitor.records, |_, moment| {
        if let Source::Recorded(seq) = moment.source {
            recorded.push(seq);
        }
    });
    assert_eq!(recorded.len(), 1, "{recorded:?}");
}

#[test]
fn measured_numbers_read_back_to_the_last_bit() {
    let mut dice = Dice::new(7);
    for _ in 0..20_000 {
        let bits = (dice.below(1 << 31) as u64) << 33 | dice.below(1 << 31) as u64;
        let number = f64::from_bits(bits);
        if !number.is_finite() {
            continue;
        }
        let text = serde_json::to_string(&Value::Number(number)).unwrap();
        let Value::Number(back) = serde_json::from_str(&text).unwrap() else { panic!("{text}") };
        assert_eq!(back.to_bits(), number.to_bits(), "{text}");
    }
}
