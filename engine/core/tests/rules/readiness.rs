//! Whether the standby could take over, check by check, and which of it holds a change of side.

use std::sync::Arc;

use watchkeeper_core::facts::{Observation, ProbeId, READINESS, Reason, ReasonCode, Value};
use watchkeeper_core::guards::{Guard, check};
use watchkeeper_core::model::{Service, Status, Timestamp};
use watchkeeper_core::plan::PlanKind;
use watchkeeper_core::readiness::{Answer, Bounds, FULL_BYTES, Item, Readiness, Verdict};

use crate::world::{NOW, World, name};

const BOUNDS: Bounds = Bounds {
    max_lag_bytes: 1_000,
    min_disk_bytes: 1 << 30,
    min_memory_bytes: 1 << 28,
    max_clock_ms: 5_000,
    certificate_ms: 14 * 86_400_000,
    stale_ms: 240_000,
};

/// What a look at a server finds if all is well there.
fn well() -> Vec<(String, Value)> {
    let mut values = vec![
        ("repository-writable".to_owned(), Value::Flag(true)),
        ("disk-left-bytes".to_owned(), Value::Integer(1 << 34)),
        ("disk-left-path".to_owned(), Value::Text("/".into())),
        ("memory-left-bytes".to_owned(), Value::Integer(1 << 34)),
        ("clock-offset-ms".to_owned(), Value::Integer(0)),
        ("version-repository".to_owned(), Value::Text("15.8".into())),
    ];
    for service in Service::ALL {
        for what in ["startable", "stoppable", "port-free"] {
            values.push((format!("{what}-{service}"), Value::Flag(true)));
        }
    }
    values
}

/// A look at a server some time ago, at which this was found beside what is well.
fn looked(world: &mut World, server: &str, ago_ms: u64, found: &[(&str, Value)]) {
    let mut values = well();
    values.extend(found.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    world.book.observe(Observation {
        probe: ProbeId { server: name(server), service: None, name: Arc::from(READINESS) },
        status: Status::Up,
        reason: Reason::new(ReasonCode::Serving, "looked"),
        at: Timestamp(NOW.0 - ago_ms),
        took_ms: 20,
        values: values.into_iter().map(|(name, value)| (Arc::from(name), value)).collect(),
    });
}

/// All is well and was looked at, but for this on dm2.
fn but(found: &[(&str, Value)]) -> World {
    let mut world = World::new();
    world.measured("dm1", "replay-lag-bytes", Value::Integer(0));
    looked(&mut world, "dm1", 1_000, &[]);
    looked(&mut world, "dm2", 1_000, found);
    world
}

fn readiness(world: &World) -> Readiness {
    Readiness::of(&world.snapshot(), &BOUNDS).unwrap()
}

fn answer(world: &World, item: Item) -> Option<Answer> {
    readiness(world).checks.into_iter().find(|it| it.item == item).map(|it| it.answer)
}

fn held(world: &World, kind: &PlanKind) -> Option<String> {
    let snapshot = world.snapshot();
    let holds = check(&world.situation(&snapshot), kind);
    holds.into_iter().find(|hold| hold.guard == Guard::Standby).map(|hold| hold.reason)
}

/// It is found not ready for a reason that says this, and the guard holds a failover or does not.
#[track_caller]
fn not_ready(world: &World, item: Item, says: &str, holding: bool) {
    match answer(world, item) {
        Some(Answer::NotReady { reason, holds }) => {
            assert!(reason.contains(says), "{reason}");
            assert_eq!(holds, holding, "{reason}");
        }
        other => panic!("{item}: {other:?}"),
    }
    let expected = if holding { Verdict::NotReady } else { Verdict::Impaired };
    assert_eq!(readiness(world).verdict, expected);
    match held(world, &PlanKind::Failover) {
        Some(reason) => assert!(holding && reason.contains(says), "{reason}"),
        None => assert!(!holding, "{item} does not hold"),
    }
}

fn no() -> Value {
    Value::Flag(false)
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
fn a_standby_where_all_is_well_is_ready() {
    let world = but(&[]);
    let readiness = readiness(&world);
    assert_eq!((readiness.server.as_str(), readiness.verdict), ("dm2", Verdict::Ready));
    for check in &readiness.checks {
        assert_eq!(check.answer, Answer::Ready, "{}", check.item);
    }
    // No certificate is looked at.
    assert_eq!(readiness.checks.len(), Item::ALL.len() - 1);
    for kind in [PlanKind::Failover, PlanKind::Switchover] {
        assert_eq!(held(&world, &kind), None);
    }
}

#[test]
fn what_makes_a_failover_impossible_or_dangerous_holds_it() {
    let masked = ("startable-daemon-why", text("the unit dm-daemon is masked"));
    let world = but(&[("startable-daemon", no()), masked]);
    not_ready(&world, Item::Startable, "dm2/daemon: the unit dm-daemon is masked", true);
    let taken = ("port-free-rest-why", text("port 1443 is taken"));
    let world = but(&[("port-free-rest", no()), taken]);
    not_ready(&world, Item::Ports, "dm2/rest: port 1443 is taken", true);
    let read_only = ("repository-writable-why", text("is set to read-only"));
    let world = but(&[("repository-writable", no()), read_only]);
    not_ready(&world, Item::Writable, "dm2/repository is set to read-only", true);
    let left = i64::try_from(FULL_BYTES).unwrap() - 1;
    let world = but(&[("disk-left-bytes", Value::Integer(left)), ("disk-left-path", text("/var"))]);
    not_ready(&world, Item::Disk, "63 MiB are left on /var of dm2: it counts as full", true);
    let mut world = but(&[]);
    world.lose("dm2");
    not_ready(&world, Item::Reachable, "dm2 is unknown", true);
    let mut world = but(&[]);
    world.measured("dm1", "replay-lag-bytes", Value::Integer(1_001));
    not_ready(&world, Item::Replication, "1001 bytes behind", true);
}

#[test]
fn what_can_be_lived_with_is_told_and_holds_nothing() {
    // The plan goes on without an agent.
    let world = but(&[("startable-agent", no()), ("startable-agent-why", text("no such program"))]);
    not_ready(&world, Item::Startable, "dm2/agent: no such program", false);
    let world = but(&[("disk-left-bytes", Value::Integer(1 << 29))]);
    not_ready(&world, Item::Disk, "512 MiB are left on / of dm2, 1024 MiB are wanted", false);
    let world = but(&[("memory-left-bytes", Value::Integer(1 << 20))]);
    not_ready(&world, Item::Memory, "1 MiB of memory are left on dm2, 256 MiB are wanted", false);
    let world = but(&[("clock-offset-ms", Value::Integer(6_000))]);
    not_ready(&world, Item::Clock, "is 6 s ahead of the monitor's", false);
    let world = but(&[("version-repository", text("15.9"))]);
    not_ready(&world, Item::Versions, "dm2/repository is \"15.9\", and dm1/repository is", false);
    let day = 86_400;
    let now = i64::try_from(NOW.0 / 1_000).unwrap();
    let ends = |days: i64| {
        let path = ("certificate-ends-path", text("/etc/dm.pem"));
        but(&[("certificate-ends-s", Value::Integer(now + days * day)), path])
    };
    not_ready(&ends(13), Item::Certificates, "/etc/dm.pem of dm2 ends in 31", false);
    not_ready(&ends(-1), Item::Certificates, "has ended", false);
    assert_eq!(answer(&ends(15), Item::Certificates), Some(Answer::Ready));
}

#[test]
fn clocks_that_are_near_the_monitor_s_and_not_each_other_s_are_told() {
    let mut world = but(&[("clock-offset-ms", Value::Integer(-4_000))]);
    looked(&mut world, "dm1", 1_000, &[("clock-offset-ms", Value::Integer(4_000))]);
    not_ready(&world, Item::Clock, "the clock of dm2 is 8 s behind that of dm1", false);
}

/// A planned change stops the active side first, and in order.
#[test]
fn a_stop_that_is_not_allowed_holds_planned_changes_only() {
    let mut world = but(&[]);
    let why = ("stoppable-rest-why", text("sudo does not allow it"));
    looked(&mut world, "dm1", 1_000, &[("stoppable-rest", no()), why]);
    let says = "dm1/rest cannot be stopped: sudo does not allow it";
    not_ready(&world, Item::Stoppable, says, false);
    assert!(held(&world, &PlanKind::Switchover).is_some_and(|it| it.contains(says)));
    // The standby's own stop is for another day.
    let world = but(&[("stoppable-rest", no())]);
    not_ready(&world, Item::Stoppable, "dm2/rest cannot be stopped", false);
    assert_eq!(held(&world, &PlanKind::Switchover), None);
}

#[test]
fn what_was_never_looked_at_is_not_known_and_holds_nothing() {
    let mut world = World::new();
    world.measured("dm1", "replay-lag-bytes", Value::Integer(0));
    for item in [Item::Startable, Item::Ports, Item::Disk, Item::Memory, Item::Clock] {
        let found = answer(&world, item);
        assert!(matches!(found, Some(Answer::Unknown { .. })), "{item}: {found:?}");
    }
    assert_eq!(readiness(&world).verdict, Verdict::Ready);
    for kind in [PlanKind::Failover, PlanKind::Switchover] {
        assert_eq!(held(&world, &kind), None);
    }
}

/// A look that fails now makes nothing right.
#[test]
fn what_was_right_is_forgotten_after_a_time_and_what_was_wrong_is_not() {
    let mut world = World::new();
    world.measured("dm1", "replay-lag-bytes", Value::Integer(0));
    looked(&mut world, "dm1", 300_000, &[]);
    looked(&mut world, "dm2", 300_000, &[("startable-rest", no())]);
    let found = answer(&world, Item::Disk);
    let Some(Answer::Unknown { reason }) = found else { panic!("{found:?}") };
    assert!(reason.contains("300 s ago"), "{reason}");
    not_ready(&world, Item::Startable, "dm2/rest: no reason was given", true);
}

/// The look that fails measures nothing: what it found before stays.
#[test]
fn a_look_that_fails_keeps_what_was_found_wrong() {
    let mut world = but(&[("port-free-activemq", no())]);
    world.book.observe(Observation {
        probe: ProbeId { server: name("dm2"), service: None, name: Arc::from(READINESS) },
        status: Status::Unknown,
        reason: Reason::new(ReasonCode::TimedOut, "no answer"),
        at: NOW,
        took_ms: 20,
        values: std::collections::BTreeMap::new(),
    });
    not_ready(&world, Item::Ports, "dm2/activemq", true);
}

#[test]
fn a_switchback_is_held_by_what_the_primary_lacks() {
    let mut world = World::on_secondary();
    looked(&mut world, "dm1", 1_000, &[("startable-rest", no())]);
    let held = held(&world, &PlanKind::Switchback);
    assert!(held.is_some_and(|it| it.contains("dm1/rest")));
    assert_eq!(readiness(&world).server.as_str(), "dm1");
}

#[test]
fn each_item_has_a_name_of_its_own() {
    let names: std::collections::BTreeSet<&str> = Item::ALL.iter().map(|it| it.as_str()).collect();
    assert_eq!(names.len(), Item::ALL.len());
    for item in Item::ALL {
        assert_eq!(serde_json::to_value(item).unwrap(), item.as_str());
        assert!(!item.assures().is_empty());
    }
}
