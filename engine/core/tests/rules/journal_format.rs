//! The JSON of every event, so that the journal's format cannot change by accident.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::alerting::{
    Alert, Cause, Fingerprint, GroupKey, Silence, SilenceId, Subject,
};
use watchkeeper_core::arbitration::{Decision, OnPolicyFailure, Standing, decide, in_shadow};
use watchkeeper_core::duty::{Change, Grantor};
use watchkeeper_core::event::{Basis, Evaluated, Event, GuestKind, Made, Record, Seated};
use watchkeeper_core::execution::{Outcome, PlanEnding, Word};
use watchkeeper_core::facts::Value;
use watchkeeper_core::model::{MonitorName, ReceiverName, Service, Side, Term};
use watchkeeper_core::past::{LeftAlone, Maintenance, Memory, Past};
use watchkeeper_core::plan::{Act, PlanKind};
use watchkeeper_core::policies::{Mode, ModeOrder, PolicyState, RolledBack};
use watchkeeper_core::proposal::{
    Action, AlertClaim, Evaluation, Failure, FailureKind, Grant, Opinion, Proposal, Revision,
    Severity,
};
use watchkeeper_core::settings::SettingValue;
use watchkeeper_core::snapshot::{Filter, Read};
use watchkeeper_core::state::State;

use crate::world::{NOW, World, cluster, golden, id, name, policy};

/// Lists every variant once, with a sample of each. A new variant does not compile here until it
/// is listed, and what is listed has its sample.
macro_rules! every_event {
    ($($variant:ident => $sample:expr;)*) => {
        /// One of each.
        pub(crate) fn samples() -> Vec<Event> {
            vec![$($sample),*]
        }

        fn variant(event: &Event) -> &'static str {
            match event {
                $(Event::$variant { .. } => stringify!($variant),)*
            }
        }

        const VARIANTS: &[&str] = &[$(stringify!($variant)),*];
    };
}

every_event! {
    MonitorStarted => Event::MonitorStarted { monitor: monitor(), version: "0.1.0".to_owned() };
    MonitorStopped => Event::MonitorStopped { monitor: monitor() };
    ConfigurationApplied => Event::ConfigurationApplied { digest: "ab".repeat(32) };
    ConfigurationRejected => Event::ConfigurationRejected {
        problems: vec!["watchkeeper.toml:3: unknown key".to_owned()],
    };
    GuestLoaded => Event::GuestLoaded {
        kind: GuestKind::Policy,
        name: "data-mover-ha".to_owned(),
        revision: revision("1.1.0"),
        replaced: Some(revision("1.0.0")),
    };
    GuestRejected => Event::GuestRejected {
        kind: GuestKind::Plugin,
        name: "slack".to_owned(),
        problem: "the file is empty".to_owned(),
    };
    Observed => {
        let mut world = World::new();
        world.measured("dm1", "replay-lag-bytes", Value::Integer(12));
        let fact = world.book.iter().find(|fact| !fact.values.is_empty()).unwrap();
        Event::Observed(fact.latest.clone())
    };
    Evaluated => Event::Evaluated(Box::new(evaluated()));
    Remembered => Event::Remembered {
        policy: policy("data-mover-ha"),
        version: "1.1.0".to_owned(),
        state: vec![0, 255],
    };
    PolicyModeSet => Event::PolicyModeSet {
        policy: policy("data-mover-ha"),
        mode: Mode::Enforce,
        configured: Mode::Shadow,
        by: "ada".to_owned(),
        reason: "a good week".to_owned(),
    };
    PolicyRolledBack => Event::PolicyRolledBack {
        policy: policy("data-mover-ha"),
        from: revision("1.1.0"),
        to: revision("1.0.0"),
        by: "watchkeeper".to_owned(),
        reason: "it gave no answer 3 times in a row".to_owned(),
    };
    PolicyRetried => Event::PolicyRetried {
        policy: policy("data-mover-ha"),
        by: "ada".to_owned(),
        reason: "it was the network".to_owned(),
    };
    PlanBegun => Event::PlanBegun(Box::new(
        World::new().with_site_steps().plan(PlanKind::Failover),
    ));
    StepIntended => Event::StepIntended { plan: 1, step: 2, attempt: 3, term: Term(7) };
    StepEnded => Event::StepEnded { plan: 1, step: 2, attempt: 3, outcome: done() };
    PlanEnded => Event::PlanEnded { plan: 1, ending: PlanEnding::Completed };
    PlanAborted => Event::PlanAborted {
        plan: 1,
        by: "ada".to_owned(),
        reason: "the wrong night".to_owned(),
    };
    PlanResumed => Event::PlanResumed {
        plan: 1,
        term: Term(7),
        word: Word::Unsaid,
        by: "ada".to_owned(),
        reason: "the network is back".to_owned(),
    };
    PlanAbandoned => Event::PlanAbandoned {
        plan: 1,
        side: Some(Side::Primary),
        why: "nothing was begun on the secondary".to_owned(),
        by: "ada".to_owned(),
        reason: "it can wait".to_owned(),
    };
    Duty => Event::Duty(Change::Taken {
        term: Term(7),
        grantor: Grantor::Peer { monitor: monitor() },
        past: Some(Box::new(past())),
    });
    Declared => Event::Declared {
        side: Side::Secondary,
        by: "ada".to_owned(),
        reason: "I looked".to_owned(),
    };
    MaintenanceOn => Event::MaintenanceOn {
        by: "ada".to_owned(),
        reason: "patches".to_owned(),
        until: Some(NOW),
        service: None,
    };
    MaintenanceOff => Event::MaintenanceOff { by: "ada".to_owned(), service: None };
    AlertFired => Event::AlertFired(alert());
    AlertResolved => Event::AlertResolved {
        fingerprint: alert().fingerprint,
        details: "No action is under way.".to_owned(),
    };
    AlertAcknowledged => Event::AlertAcknowledged {
        fingerprint: alert().fingerprint,
        by: "ada".to_owned(),
        comment: "on it".to_owned(),
    };
    AlertUntold => Event::AlertUntold {
        fingerprint: alert().fingerprint,
        why: "silence vp1-7 of ada covers it: patches".to_owned(),
    };
    SilenceSet => Event::SilenceSet(silence());
    SilenceEnded => Event::SilenceEnded { id: silence().id, by: "ada".to_owned() };
    NotificationMade => Event::NotificationMade(Box::new(Made {
        id: 5,
        receiver: ReceiverName::new("ops").unwrap(),
        group: GroupKey {
            route: "/{}/{severity=\"critical\"}".to_owned(),
            labels: [("cluster".to_owned(), "prod".to_owned())].into(),
        },
        cause: Cause::News,
        alerts: vec![Subject { cluster: Some(cluster()), alert: alert(), news: true }],
        more: 2,
        escalates: Some(4),
        settles: vec![alert().fingerprint],
    }));
    NotificationQueued => Event::NotificationQueued {
        id: 4,
        receiver: ReceiverName::new("ops").unwrap(),
        alert: Alert { details: "failover begins".to_owned(), ends_at: Some(NOW.plus(1)), ..alert() },
    };
    NotificationTried => Event::NotificationTried {
        id: 4,
        problem: "connection refused".to_owned(),
        again: NOW,
    };
    NotificationDelivered => Event::NotificationDelivered { id: 4, memory: vec![1, 255] };
    NotificationDead => Event::NotificationDead { id: 4, problem: "404".to_owned() };
    NotificationRetried => Event::NotificationRetried { id: 4, by: "ada".to_owned() };
    NotificationDiscarded => Event::NotificationDiscarded { id: 4, by: "ada".to_owned() };
}

/// Further forms, of events whose sample leaves something out.
pub(crate) fn further_samples() -> Vec<Event> {
    let service = Some(id("dm1", Service::Daemon));
    vec![
        Event::MaintenanceOn {
            by: "ada".to_owned(),
            reason: "a new version".to_owned(),
            until: None,
            service: service.clone(),
        },
        Event::MaintenanceOff { by: "watchkeeper".to_owned(), service },
        Event::PlanResumed {
            plan: 1,
            term: Term(7),
            word: Word::Done,
            by: "ada".to_owned(),
            reason: "the address was moved".to_owned(),
        },
        Event::PlanAbandoned {
            plan: 1,
            side: None,
            why: "the repository was taken over".to_owned(),
            by: "ada".to_owned(),
            reason: "it can wait".to_owned(),
        },
        Event::NotificationDelivered { id: 4, memory: Vec::new() },
        Event::AlertResolved { fingerprint: alert().fingerprint, details: String::new() },
    ]
}

fn monitor() -> MonitorName {
    MonitorName::new("vp1").unwrap()
}

/// A cluster in the middle of a failover, with everything that there can be.
pub(crate) fn past() -> Past {
    let mut state = State::default();
    let plan = World::new().plan(PlanKind::Failover);
    let alert = alert();
    let queued = Event::NotificationQueued {
        id: 1,
        receiver: ReceiverName::new("ops").unwrap(),
        alert: alert.clone(),
    };
    for (i, event) in [
        Event::PlanBegun(Box::new(plan)),
        Event::StepIntended { plan: 1, step: 0, attempt: 1, term: Term(0) },
        Event::AlertFired(alert),
        queued,
        Event::SilenceSet(silence()),
    ]
    .into_iter()
    .enumerate()
    {
        let record = Record { seq: i as u64 + 1, at: NOW, cluster: Some(cluster()), event };
        state.apply(&record).unwrap();
    }
    let maintenance = Maintenance {
        by: "ada".to_owned(),
        reason: "patches".to_owned(),
        since: NOW,
        until: Some(NOW.plus(1)),
    };
    Past {
        maintenance: Some(maintenance.clone()),
        services_in_maintenance: vec![LeftAlone { id: id("dm1", Service::Daemon), maintenance }],
        memories: [(
            policy("data-mover-ha"),
            Memory { version: "1.0.0".to_owned(), state: vec![0, 255] },
        )]
        .into(),
        policies: [(policy("data-mover-ha"), policy_state())].into(),
        cooling_since: Some(NOW),
        kept: None,
        ..state.past(&cluster())
    }
}

fn policy_state() -> PolicyState {
    let (by, reason) = ("ada".to_owned(), "it fails".to_owned());
    PolicyState {
        revisions: vec![revision("1.0.0")],
        mode: Some(ModeOrder {
            mode: Mode::Enforce,
            configured: Mode::Shadow,
            by: by.clone(),
            reason: reason.clone(),
            at: NOW,
        }),
        rolled_back: Some(RolledBack {
            from: revision("1.1.0"),
            to: revision("1.0.0"),
            by,
            reason,
            at: NOW,
        }),
    }
}

fn revision(version: &str) -> Revision {
    Revision { digest: "cd".repeat(32), version: version.to_owned() }
}

fn silence() -> Silence {
    Silence {
        id: SilenceId::new(&monitor(), 7),
        matchers: vec!["cluster=~\"prod-.*\"".parse().unwrap()],
        starts_at: NOW,
        ends_at: NOW.plus(60_000),
        by: "ada".to_owned(),
        comment: "patches".to_owned(),
    }
}

fn done() -> Outcome {
    Outcome::Done { detail: "it was so already".to_owned(), changed: false }
}

fn alert() -> Alert {
    let claim = AlertClaim {
        name: "service-down".to_owned(),
        severity: Severity::Critical,
        server: Some(name("dm1")),
        service: Some(Service::Daemon),
        code: "4604001".to_owned(),
        summary: "dm1/daemon is down".to_owned(),
        labels: BTreeMap::from([("site".to_owned(), "north".to_owned())]),
    };
    let fingerprint = Fingerprint::of(Some(&cluster()), "data-mover-ha", &claim);
    Alert {
        fingerprint,
        source: "data-mover-ha".to_owned(),
        claim,
        details: String::new(),
        starts_at: NOW,
        ends_at: None,
        acknowledged: None,
    }
}

/// A decision with everything in it: an answer, a failure, what was read, holds, alerts.
fn evaluated() -> Evaluated {
    let mut world = World::new();
    world.measured("dm1", "replay-lag-bytes", Value::Number(0.5));
    world.lose("dm2");
    world.uninstall("dm2", Service::Dsa);
    let proposal = |action| Proposal { action, reason: "the daemon is down".to_owned() };
    let answer = Evaluation {
        proposals: vec![
            proposal(Action::Failover),
            proposal(Action::Rescue(id("dm1", Service::Daemon))),
            proposal(Action::StopService(id("dm2", Service::Rest))),
        ],
        holds: vec!["a window is open".to_owned()],
        alerts: vec![alert().claim],
        state: vec![7],
        look_again_ms: Some(30_000),
        notes: vec!["3 of 3 confirmations".to_owned()],
    };
    let opinion = |name: &str, outcome| Opinion {
        policy: policy(name),
        revision: revision("1.0.0"),
        reads: [
            Read::Cluster,
            Read::Number,
            Read::Server(Arc::from("dm1")),
            Read::Service(Arc::from("dm1"), Service::Daemon),
            Read::Services(Filter { service: Some(Service::Agent), ..Filter::default() }),
            Read::Measure(Arc::from("dm1"), None, Arc::from("load")),
        ]
        .into(),
        outcome,
    };
    let failure = Failure { kind: FailureKind::Deadline, detail: "10 ms".to_owned() };
    let opinions = vec![opinion("data-mover-ha", Ok(answer)), opinion("flap-guard", Err(failure))];
    let standings: Vec<Standing> = opinions
        .iter()
        .map(|opinion| Standing {
            policy: opinion.policy.clone(),
            grants: Grant::ALL.into(),
            servers: None,
            on_failure: OnPolicyFailure::Hold,
            mode: Mode::Enforce,
        })
        .collect();
    let snapshot = world.snapshot();
    let situation = world.situation(&snapshot);
    let decision = decide(&situation, &opinions, &standings);
    let shadow = |one: &Standing| Standing { mode: Mode::Shadow, ..one.clone() };
    let shadows: Vec<Standing> = standings.iter().map(shadow).collect();
    let in_shadow = in_shadow(&situation, &opinions, &shadows, &Decision::none());
    assert!(in_shadow.is_some());
    let seated = |standing: &Standing| Seated {
        standing: standing.clone(),
        settings: vec![
            SettingValue::Flag(true),
            SettingValue::Integer(3),
            SettingValue::Text("4604001".to_owned()),
            SettingValue::Texts(vec!["daemon".to_owned()]),
        ],
    };
    let basis = Basis {
        duty: world.duty.clone(),
        limits: world.limits.clone(),
        arrangements: world.with_site_steps().arrangements,
        policies: standings.iter().map(seated).collect(),
    };
    Evaluated { snapshot, opinions, decision, in_shadow, basis: Some(Box::new(basis)) }
}

fn record(event: Event) -> Record {
    Record { seq: 42, at: NOW, cluster: Some(cluster()), event }
}

fn survives(event: Event) {
    let record = record(event);
    let text = serde_json::to_string(&record).unwrap();
    let back: Record = serde_json::from_str(&text)
        .unwrap_or_else(|problem| panic!("{}: {problem}: {text}", variant(&record.event)));
    assert_eq!(back, record, "{text}");
}

#[test]
fn every_event_survives_json() {
    let all = samples();
    let listed: Vec<&str> = all.iter().map(variant).collect();
    assert_eq!(listed, VARIANTS);
    all.into_iter().chain(further_samples()).for_each(survives);
}

#[test]
fn every_sort_of_plan_outcome_and_ending_survives_json() {
    let mut acts = std::collections::BTreeSet::new();
    for (world, kind) in [
        (World::new(), PlanKind::Rescue(id("dm1", Service::Daemon))),
        (World::new(), PlanKind::Clear(id("dm2", Service::Daemon))),
        (World::new().with_site_steps(), PlanKind::Failover),
        (World::new(), PlanKind::Switchover),
        (World::on_secondary().with_site_steps(), PlanKind::Switchback),
    ] {
        let plan = world.plan(kind);
        for step in &plan.steps {
            let json = serde_json::to_value(&step.act).unwrap();
            assert_eq!(json["kind"], step.act.kind());
            acts.insert(step.act.kind());
        }
        survives(Event::PlanBegun(Box::new(plan)));
    }
    assert_eq!(acts, Act::KINDS.into());
    let detail = || "no".to_owned();
    for outcome in [
        done(),
        Outcome::Failed { detail: detail() },
        Outcome::NotBegun { detail: detail() },
        Outcome::Uncertain { detail: detail() },
    ] {
        survives(Event::StepEnded { plan: 1, step: 2, attempt: 3, outcome });
    }
    for ending in [
        PlanEnding::Completed,
        PlanEnding::Refused { step: 1, detail: detail() },
        PlanEnding::Failed { step: 1, detail: detail() },
    ] {
        survives(Event::PlanEnded { plan: 1, ending });
    }
}

#[test]
fn the_format_is_as_it_was() {
    let all = samples().into_iter().chain(further_samples());
    let records: Vec<Record> = all.map(record).collect();
    let mut text = serde_json::to_string_pretty(&records).unwrap();
    text.push('\n');
    golden("events.json", &text);
    // What an earlier version wrote, this one reads.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/events.json");
    let old: Vec<Record> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(old, records);
}
