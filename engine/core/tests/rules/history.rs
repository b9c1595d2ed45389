//! State is the fold of the journal: of any part of it, from any start, with the same result.

use watchkeeper_core::alerting::{Alert, Fingerprint};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::{Next, Outcome, PlanEnding, Word};
use watchkeeper_core::guards::{Guard, check};
use watchkeeper_core::lifecycle::{Phase, step};
use watchkeeper_core::model::{
    ClusterName, MonitorName, ReceiverName, Service, ServiceId, Side, Status, Term, Timestamp,
};
use watchkeeper_core::plan::PlanKind;
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::snapshot::Ending;
use watchkeeper_core::state::{ApplyError, ClusterState, HISTORY, State};

use crate::journal_format;
use crate::world::{Dice, NOW, World, cluster, id, kinds, policy};

/// A journal and the state that a daemon keeps beside it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    pub(crate) records: Vec<Record>,
    pub(crate) state: State,
}

impl Journal {
    pub(crate) fn write(&mut self, event: Event) {
        self.write_of(Some(cluster()), event);
    }

    pub(crate) fn write_of(&mut self, cluster: Option<ClusterName>, event: Event) {
        let problem = self.offer(cluster, event).err();
        assert!(problem.is_none(), "{problem:?}");
    }

    pub(crate) fn offer(
        &mut self,
        cluster: Option<ClusterName>,
        event: Event,
    ) -> Result<(), ApplyError> {
        let seq = self.state.seq + 1;
        let record = Record { seq, at: Timestamp(NOW.0 + seq * 10), cluster, event };
        self.state.apply(&record)?;
        self.records.push(record);
        Ok(())
    }

    /// What a new daemon makes of the journal; it has to be what the old one knew.
    pub(crate) fn restart(&mut self) {
        let mut state = State::default();
        for record in &self.records {
            let text = serde_json::to_string(record).unwrap();
            state.apply(&serde_json::from_str(&text).unwrap()).unwrap();
        }
        assert_eq!(state, self.state);
        self.state = state;
    }

    pub(crate) fn here(&self) -> ClusterState {
        self.state.cluster(&cluster())
    }

    pub(crate) fn begin(&mut self, world: &World, kind: PlanKind) -> u64 {
        let number = self.here().next_plan;
        self.write(Event::PlanBegun(Box::new(world.plan_number(number, kind))));
        number
    }

    /// Carries the plan in flight out to its end, each attempt ending as `outcome` says.
    fn carry_out(&mut self, mut outcome: impl FnMut(usize) -> Outcome) -> PlanEnding {
        loop {
            let progress = self.here().progress.unwrap();
            let plan = progress.plan().number;
            let (step, attempt, outcome) = match progress.next() {
                Next::Attempt { index, attempt, .. } => {
                    self.write(Event::StepIntended { plan, step: index, attempt, term: Term(0) });
                    (index, attempt, outcome(index))
                }
                Next::Settle { index, attempt, why, .. } => {
                    (index, attempt, Outcome::Uncertain { detail: why.to_owned() })
                }
                Next::End => {
                    let ending = progress.ending();
                    self.write(Event::PlanEnded { plan, ending: ending.clone() });
                    return ending;
                }
            };
            self.write(Event::StepEnded { plan, step, attempt, outcome });
        }
    }
}

fn done() -> Outcome {
    Outcome::Done { detail: "so it is".to_owned(), changed: true }
}

fn failed() -> Outcome {
    Outcome::Failed { detail: "no".to_owned() }
}

fn on(until: Option<Timestamp>, service: Option<ServiceId>) -> Event {
    Event::MaintenanceOn { by: "ada".to_owned(), reason: "patches".to_owned(), until, service }
}

fn off(service: Option<ServiceId>) -> Event {
    Event::MaintenanceOff { by: "ada".to_owned(), service }
}

fn alert(name: &str) -> Alert {
    let claim = AlertClaim {
        name: name.to_owned(),
        severity: Severity::Warning,
        server: None,
        service: None,
        code: String::new(),
        summary: "a test".to_owned(),
        labels: [].into(),
    };
    let fingerprint = Fingerprint::of(None, "engine", &claim);
    Alert {
        fingerprint,
        source: "engine".to_owned(),
        claim,
        details: String::new(),
        starts_at: NOW,
        ends_at: None,
        acknowledged: None,
    }
}

/// The next event of a history that could happen, in a cluster chosen by the dice.
fn happen(journal: &mut Journal, dice: &mut Dice) {
    let name = if dice.one_in(3) { ClusterName::new("test").unwrap() } else { cluster() };
    let here = journal.state.cluster(&name);
    if dice.one_in(3) {
        // Everything that may happen at any time.
        let any: Vec<Event> = journal_format::samples()
            .into_iter()
            .chain(journal_format::further_samples())
            .filter(|event| {
                !matches!(
                    event,
                    Event::PlanBegun(_)
                        | Event::StepIntended { .. }
                        | Event::StepEnded { .. }
                        | Event::PlanEnded { .. }
                        | Event::PlanAborted { .. }
                        | Event::PlanResumed { .. }
                        | Event::PlanAbandoned { .. }
                        | Event::Declared { .. }
                        | Event::Duty(_)
                )
            })
            .collect();
        return journal.write_of(Some(name), dice.pick(&any).clone());
    }
    let (by, reason) = ("ada".to_owned(), "a whim".to_owned());
    let event = if let Some(progress) = &here.progress {
        let plan = progress.plan().number;
        match progress.next() {
            Next::Attempt { .. } if progress.aborted().is_none() && dice.one_in(12) => {
                Event::PlanAborted { plan, by, reason }
            }
            Next::Attempt { index, attempt, resumed, .. } if !resumed || dice.one_in(4) => {
                Event::StepIntended { plan, step: index, attempt, term: Term(0) }
            }
            Next::Attempt { index, attempt, .. } => {
                let outcome = match dice.below(10) {
                    0 | 1 => failed(),
                    3 => Outcome::NotBegun { detail: "not sure".to_owned() },
                    2 => Outcome::Uncertain { detail: "who knows".to_owned() },
                    _ => done(),
                };
                Event::StepEnded { plan, step: index, attempt: attempt - 1, outcome }
            }
            Next::Settle { index, attempt, why, .. } => Event::StepEnded {
                plan,
                step: index,
                attempt,
                outcome: Outcome::Uncertain { detail: why.to_owned() },
            },
            Next::End => Event::PlanEnded { plan, ending: progress.ending() },
        }
    } else if let Some(stopped) = here.stopped.as_ref().filter(|_| !dice.one_in(3)) {
        let plan = stopped.plan().number;
        if dice.one_in(4) {
            let why = "who knows".to_owned();
            Event::PlanAbandoned { plan, side: None, why, by, reason }
        } else {
            let word = if stopped.progress.needs_word() { Word::Again } else { Word::Unsaid };
            Event::PlanResumed { plan, term: Term(0), word, by, reason }
        }
    } else {
        let possible: Vec<PlanKind> =
            kinds().into_iter().filter(|kind| step(here.phase, kind.trigger()).is_ok()).collect();
        if possible.is_empty() || dice.one_in(5) {
            let side = *dice.pick(&[Side::Primary, Side::Secondary]);
            Event::Declared { side, by: "ada".to_owned(), reason: "I looked".to_owned() }
        } else {
            let mut world = World::new().with_site_steps();
            world.phase = here.phase;
            let kind = dice.pick(&possible).clone();
            Event::PlanBegun(Box::new(world.plan_number(here.next_plan, kind)))
        }
    };
    journal.write_of(Some(name), event);
}

#[test]
fn every_beginning_of_a_history_folds_to_what_was_known_then() {
    let mut phases = std::collections::BTreeSet::new();
    for seed in 1..=12 {
        let dice = &mut Dice::new(seed);
        let mut journal = Journal::default();
        let mut known = vec![];
        for _ in 0..250 {
            happen(&mut journal, dice);
            phases.insert(journal.here().phase);
            known.push(journal.state.clone());
        }
        for until in [1, 2, 3, 10, 50, 100, 125, 150, 200, 249, 250] {
            let mut state = State::default();
            for record in &journal.records[..until] {
                state.apply(record).unwrap_or_else(|e| panic!("seed {seed}: {e:?}"));
            }
            assert_eq!(state, known[until - 1], "seed {seed}, the first {until} records");
        }
        journal.restart();
    }
    assert_eq!(phases.len(), Phase::ALL.len(), "the histories reach only {phases:?}");
}

#[test]
fn records_that_are_missing_or_doubled_are_refused() {
    let mut journal = Journal::default();
    journal.write(off(None));
    journal.write(off(None));
    let mut state = State::default();
    let gap = state.apply(&journal.records[1]);
    assert!(matches!(gap, Err(ApplyError::Gap { last: 0, found: 2 })));
    state.apply(&journal.records[0]).unwrap();
    let doubled = state.apply(&journal.records[0]);
    assert!(matches!(doubled, Err(ApplyError::Gap { last: 1, found: 1 })));
}

#[test]
fn records_that_break_a_rule_are_refused() {
    let world = World::new();
    let begun = || {
        let mut journal = Journal::default();
        journal.begin(&world, PlanKind::Failover);
        journal
    };
    let plan = |number, kind| Event::PlanBegun(Box::new(world.plan_number(number, kind)));
    let intended = |plan, step, attempt| Event::StepIntended { plan, step, attempt, term: Term(0) };
    let ended = |plan, step, attempt| Event::StepEnded { plan, step, attempt, outcome: done() };
    let end = |plan, ending| Event::PlanEnded { plan, ending };
    let detail = || "so be it".to_owned();

    let mut nothing = Journal::default();
    for event in [intended(1, 0, 1), ended(1, 0, 1), end(1, PlanEnding::Completed)] {
        assert!(matches!(nothing.offer(Some(cluster()), event), Err(ApplyError::NoPlan(_))));
        nothing = Journal::default();
    }
    let switchback = nothing.offer(Some(cluster()), plan(1, PlanKind::Switchback));
    assert!(matches!(switchback, Err(ApplyError::Lifecycle { .. })));
    let nowhere = Journal::default().offer(None, plan(1, PlanKind::Failover));
    assert!(matches!(nowhere, Err(ApplyError::NoCluster(1))));

    for (what, event) in [
        ("a second plan", plan(2, PlanKind::Failover)),
        ("another plan's step", intended(2, 0, 1)),
        ("a later step", intended(1, 1, 1)),
        ("a later attempt", intended(1, 0, 2)),
        ("a step that does not exist", intended(1, 99, 1)),
        ("an outcome without an intent", ended(1, 0, 1)),
        ("a completion with steps to come", end(1, PlanEnding::Completed)),
    ] {
        let refused = begun().offer(Some(cluster()), event);
        assert!(refused.is_err(), "{what}");
    }

    let mut journal = begun();
    journal.write(intended(1, 0, 1));
    assert!(journal.here().progress.unwrap().touched());
    let refused = end(1, PlanEnding::Refused { step: 0, detail: detail() });
    assert!(journal.offer(Some(cluster()), refused).is_err(), "a refusal after a step with effect");
    // Giving up on the way is possible at any time, and is a failure.
    let mut journal = begun();
    journal.write(end(1, PlanEnding::Failed { step: 0, detail: detail() }));
    assert_eq!(journal.here().phase, Phase::NeedsOperator(Side::Primary));
}

#[test]
fn a_refused_failover_cools_down_and_a_refused_wish_of_an_operator_does_not() {
    let refuse = |kind: PlanKind| {
        let mut world = World::new();
        world.lose("dm1");
        let mut journal = Journal::default();
        journal.begin(&world, kind);
        let ending = journal.carry_out(|_| failed());
        assert!(matches!(ending, PlanEnding::Refused { .. }), "{ending:?}");
        let here = journal.here();
        assert_eq!(here.phase, Phase::Active(Side::Primary));
        assert_eq!(here.changes.back().unwrap().ending, Ending::Failed);
        world.last_change = here.cooling_since;
        let snapshot = world.snapshot();
        let held: Vec<Guard> = check(&world.situation(&snapshot), &PlanKind::Failover)
            .into_iter()
            .map(|hold| hold.guard)
            .collect();
        (journal, held)
    };
    let (mut journal, held) = refuse(PlanKind::Failover);
    assert_eq!(held, [Guard::Cooldown], "it would be begun again in a loop");
    let side = Side::Primary;
    journal.write(Event::Declared { side, by: "ada".to_owned(), reason: "go on".to_owned() });
    assert_eq!(journal.here().cooling_since, None);

    assert_eq!(refuse(PlanKind::Switchover).1, []);
}

#[test]
fn a_change_of_side_ends_in_the_phase_that_its_ending_means() {
    for (kind, world, before) in [
        (PlanKind::Failover, World::new(), Side::Primary),
        (PlanKind::Switchover, World::new(), Side::Primary),
        (PlanKind::Switchback, World::on_secondary(), Side::Secondary),
    ] {
        let begun = || {
            let mut journal = Journal::default();
            let by = "ada".to_owned();
            journal.write(Event::Declared { side: before, by, reason: "so it is".to_owned() });
            let number = journal.begin(&world, kind.clone());
            (journal, number)
        };
        let (mut journal, _) = begun();
        let since = journal.here().active_since;
        assert_eq!(journal.carry_out(|_| done()), PlanEnding::Completed);
        let here = journal.here();
        assert_eq!(here.phase, Phase::Active(before.other()));
        assert!(here.active_since > since && here.cooling_since.is_some());
        assert_eq!(here.changes.back().unwrap().ending, Ending::Succeeded);
        assert_eq!(here.changes.back().unwrap().planned, kind != PlanKind::Failover);

        let (mut journal, _) = begun();
        let plan = journal.here().progress.unwrap().plan().clone();
        let last_verify = plan.steps.len() - 1;
        let late = (0..=last_verify)
            .rev()
            .find(|i| plan.steps[*i].on_failure == watchkeeper_core::plan::OnFailure::Stop)
            .unwrap();
        let ending = journal.carry_out(|i| if i == late { failed() } else { done() });
        assert!(matches!(ending, PlanEnding::Failed { step, .. } if step == late), "{ending:?}");
        let here = journal.here();
        assert_eq!(here.phase, Phase::NeedsOperator(before));
        assert_eq!(here.changes.back().unwrap().ending, Ending::Failed);
    }
}

#[test]
fn rescues_are_remembered_up_to_a_limit() {
    let mut journal = Journal::default();
    let service = id("dm1", Service::Daemon);
    for round in 0..HISTORY + 3 {
        journal.begin(&World::new(), PlanKind::Rescue(service.clone()));
        assert_eq!(journal.here().rescues.back().unwrap().ending, Ending::UnderWay);
        let ending = journal.carry_out(|_| if round % 2 == 0 { failed() } else { done() });
        assert_eq!(matches!(ending, PlanEnding::Failed { .. }), round % 2 == 0);
        assert_eq!(journal.here().phase, Phase::Active(Side::Primary));
    }
    let rescues = journal.here().rescues;
    assert_eq!(rescues.len(), HISTORY);
    assert!(rescues.iter().zip(rescues.iter().skip(1)).all(|(a, b)| a.begun < b.begun));
    assert!(rescues.iter().all(|rescue| rescue.ending != Ending::UnderWay));
    assert_eq!(journal.here().next_plan, u64::try_from(HISTORY + 4).unwrap());
}

#[test]
fn saying_what_is_so_already_changes_nothing() {
    let mut journal = Journal::default();
    let say = |side| Event::Declared { side, by: "ada".to_owned(), reason: "I looked".to_owned() };
    let before = journal.here();
    journal.write(say(Side::Primary));
    assert_eq!(ClusterState { version: 0, ..journal.here() }, before);
    journal.write(say(Side::Secondary));
    let since = journal.here().active_since;
    assert_eq!(since, journal.records[1].at);
    journal.write(say(Side::Secondary));
    assert_eq!(journal.here().active_since, since);
}

#[test]
fn moving_the_end_of_maintenance_keeps_its_beginning() {
    for service in [None, Some(id("dm1", Service::Daemon))] {
        let mut journal = Journal::default();
        journal.write(on(None, service.clone()));
        journal.write(on(Some(NOW.plus(3_600_000)), service.clone()));
        let here = journal.here();
        let maintenance = here.maintenance_of(service.as_ref()).unwrap();
        assert_eq!(maintenance.since, journal.records[0].at);
        assert_eq!(maintenance.until, Some(NOW.plus(3_600_000)));
        journal.write(off(service.clone()));
        assert_eq!(journal.here().maintenance_of(service.as_ref()), None);
    }
}

#[test]
fn the_cluster_s_maintenance_and_each_service_s_are_switched_apart() {
    let (daemon, rest) = (id("dm1", Service::Daemon), id("dm1", Service::Rest));
    let mut journal = Journal::default();
    journal.write(on(Some(NOW.plus(500)), Some(daemon.clone())));
    journal.write(on(Some(NOW.plus(700)), None));
    journal.write(on(None, Some(rest.clone())));
    journal.restart();
    assert_eq!(journal.here().maintenance_over(NOW.plus(499)), []);
    assert_eq!(journal.here().maintenance_over(NOW.plus(500)), [Some(daemon.clone())]);
    assert_eq!(journal.here().maintenance_over(NOW.plus(9_999)), [None, Some(daemon.clone())]);

    journal.write(off(None));
    let left = journal.here().services_in_maintenance;
    assert_eq!(left.keys().collect::<Vec<_>>(), [&daemon, &rest]);
    assert_eq!(journal.here().maintenance, None);
    journal.write(off(Some(daemon)));
    let left = journal.here().services_in_maintenance;
    assert_eq!(left.keys().collect::<Vec<_>>(), [&rest]);
}

#[test]
fn alerts_and_what_policies_remember_stay_with_their_cluster() {
    let mut journal = Journal::default();
    let (here, other) = (Some(cluster()), Some(ClusterName::new("test").unwrap()));
    journal.write_of(here.clone(), Event::AlertFired(alert("here")));
    journal.write_of(None, Event::AlertFired(alert("monitor")));
    let names = |journal: &Journal, of: &Option<ClusterName>| -> Vec<String> {
        let book = of.as_ref().map_or_else(
            || journal.state.alerts.clone(),
            |name| journal.state.cluster(name).alerts,
        );
        book.firing().map(|alert| alert.claim.name.clone()).collect()
    };
    assert_eq!(names(&journal, &here), ["here"]);
    assert_eq!(names(&journal, &other), [""; 0]);
    assert_eq!(names(&journal, &None), ["monitor"]);
    let fingerprint = alert("here").fingerprint;
    journal.write_of(
        other.clone(),
        Event::AlertResolved { fingerprint: fingerprint.clone(), details: String::new() },
    );
    assert_eq!(names(&journal, &here), ["here"]);
    journal.write_of(here.clone(), Event::AlertResolved { fingerprint, details: String::new() });
    assert_eq!(names(&journal, &here), [""; 0]);

    let (policy, version) = (policy("a"), "1.0.0".to_owned());
    journal.write(Event::Remembered { policy: policy.clone(), version, state: vec![1, 2] });
    assert_eq!(journal.here().memories[&policy].state, [1, 2]);
    assert!(journal.state.cluster(&other.unwrap()).memories.is_empty());
}

#[test]
fn each_start_of_the_monitor_is_a_new_term_and_numbers_never_go_back() {
    let mut journal = Journal::default();
    let monitor = MonitorName::new("vp1").unwrap();
    for _ in 0..2 {
        let version = "0.1.0".to_owned();
        journal.write_of(None, Event::MonitorStarted { monitor: monitor.clone(), version });
    }
    assert_eq!(journal.state.term.0, 2);
    let receiver = ReceiverName::new("ops").unwrap();
    let queued =
        |id| Event::NotificationQueued { id, receiver: receiver.clone(), alert: alert("here") };
    journal.write(queued(4));
    journal.write(Event::NotificationDelivered { id: 4, memory: Vec::new() });
    assert_eq!(journal.state.post.outbox.next_id(), 5);
    journal.write(queued(2));
    assert_eq!(journal.state.post.outbox.next_id(), 5);
    let entry = journal.state.post.outbox.entries().next().unwrap();
    assert_eq!(
        (entry.due, entry.alerts[0].cluster.clone()),
        (journal.records[4].at, Some(cluster()))
    );
    // A standby that is down is no part of the state: facts are seen anew.
    let mut world = World::new();
    world.saw("dm2", Some(Service::Agent), Status::Down);
    let observation = world.book.iter().next().unwrap().latest.clone();
    let before = journal.here();
    journal.write(Event::Observed(observation));
    assert_eq!(journal.here(), before);
}
