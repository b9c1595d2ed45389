//! Each guard holds when it should and only then.

use watchkeeper_core::facts::{ReasonCode, Value};
use watchkeeper_core::guards::{Check, Duty, Guard, Verdict, check, checks};
use watchkeeper_core::lifecycle::{Phase, step};
use watchkeeper_core::model::{Service, Side, Status, Timestamp};
use watchkeeper_core::plan::PlanKind;

use crate::world::{NOW, World, id, kinds};

fn holds(world: &World, kind: &PlanKind) -> Vec<(Guard, String)> {
    let snapshot = world.snapshot();
    check(&world.situation(&snapshot), kind)
        .into_iter()
        .map(|hold| (hold.guard, hold.reason))
        .collect()
}

#[track_caller]
fn free(world: &World, kind: &PlanKind) {
    assert_eq!(holds(world, kind), vec![], "{kind}");
}

#[track_caller]
fn held(world: &World, kind: &PlanKind, by: Guard, because: &str) {
    let holds = holds(world, kind);
    assert!(
        matches!(&holds[..], [(guard, reason)] if *guard == by && reason.contains(because)),
        "{kind}: not ({by}, ..{because}..) but {holds:?}"
    );
}

fn rescue() -> PlanKind {
    PlanKind::Rescue(id("dm1", Service::Daemon))
}

fn clear() -> PlanKind {
    PlanKind::Clear(id("dm2", Service::Daemon))
}

#[test]
fn nothing_holds_when_all_is_well() {
    for kind in [rescue(), clear(), PlanKind::Failover, PlanKind::Switchover] {
        free(&World::new(), &kind);
    }
    free(&World::on_secondary(), &PlanKind::Switchback);
}

#[test]
fn without_the_duty_nothing_is_begun() {
    let mut world = World::new();
    world.duty = Duty::NotHeld("vp2 has it".to_owned());
    for kind in [rescue(), clear(), PlanKind::Failover, PlanKind::Switchover] {
        held(&world, &kind, Guard::Duty, "vp2 has it");
    }
    world.duty = Duty::Uncertain("etcd is silent".to_owned());
    held(&world, &PlanKind::Failover, Guard::Duty, "cannot be sure to have the duty to act: etcd");
}

#[test]
fn what_the_lifecycle_does_not_know_is_held_in_every_phase() {
    for phase in Phase::ALL {
        let mut world = World::new();
        world.phase = phase;
        for kind in kinds() {
            let by_lifecycle = holds(&world, &kind).iter().any(|(by, _)| *by == Guard::Lifecycle);
            assert_eq!(by_lifecycle, step(phase, kind.trigger()).is_err(), "{kind} while {phase}");
            assert!(by_lifecycle || !phase.in_flight(), "{kind} beside another plan");
        }
    }
}

#[test]
fn facts_from_before_a_change_of_side_are_not_acted_on() {
    let mut world = World::new();
    world.phase = Phase::Active(Side::Secondary);
    world.snapshot_phase = Some(Phase::Active(Side::Primary));
    let holds = holds(&world, &PlanKind::Failover);
    assert!(
        holds
            .iter()
            .any(|(by, why)| *by == Guard::Lifecycle
                && why.contains("it is active on secondary now")),
        "{holds:?}"
    );
}

#[test]
fn maintenance_mode_holds_everything() {
    let mut world = World::new();
    world.maintenance = true;
    for kind in [rescue(), clear(), PlanKind::Failover, PlanKind::Switchover] {
        held(&world, &kind, Guard::Maintenance, "maintenance off");
    }
}

#[test]
fn a_service_in_maintenance_is_left_alone_and_nothing_else_is_held() {
    let mut world = World::new();
    world.services_in_maintenance =
        vec![id("dm1", Service::Daemon), id("dm2", Service::Rest), id("dm1", Service::Rest)];
    held(&world, &rescue(), Guard::Maintenance, "off --service dm1/daemon");
    let stray = PlanKind::Clear(id("dm2", Service::Rest));
    held(&world, &stray, Guard::Maintenance, "dm2/rest is in maintenance");
    free(&world, &clear());
    for kind in [PlanKind::Rescue(id("dm1", Service::Activemq)), PlanKind::Switchover] {
        free(&world, &kind);
    }
    // Its probes may be gone with it, or be from long ago: a change of side does not rest on them.
    world.saw_at("dm1", Some(Service::Daemon), Status::Down, ReasonCode::NotRunning, 99_000);
    world.never_probed("dm1", Some(Service::Rest));
    free(&world, &PlanKind::Failover);
    world.services_in_maintenance.clear();
    held(&world, &PlanKind::Failover, Guard::Freshness, "dm1/daemon was last seen 99 s ago");
    held(&world, &PlanKind::Failover, Guard::Freshness, "dm1/rest was never probed");
}

#[test]
fn a_service_in_maintenance_still_must_not_run_twice() {
    let mut world = World::new();
    world.saw("dm1", Some(Service::Daemon), Status::Down);
    world.saw("dm2", Some(Service::Daemon), Status::Up);
    world.services_in_maintenance = vec![id("dm2", Service::Daemon)];
    held(&world, &rescue(), Guard::Placement, "dm2/daemon runs");
}

#[test]
fn a_service_is_rescued_only_where_it_belongs() {
    let world = World::new();
    held(
        &world,
        &PlanKind::Rescue(id("dm2", Service::Daemon)),
        Guard::Placement,
        "not meant to run",
    );
    held(&world, &PlanKind::Rescue(id("dm9", Service::Daemon)), Guard::Placement, "not configured");
    held(&world, &PlanKind::Rescue(id("dm3", Service::Rest)), Guard::Placement, "not configured");
    free(&world, &PlanKind::Rescue(id("dm2", Service::Agent)));
    free(&world, &PlanKind::Rescue(id("dm3", Service::Agent)));
}

#[test]
fn an_exclusive_service_is_not_rescued_while_it_runs_across() {
    let mut world = World::new();
    world.saw("dm1", Some(Service::Daemon), Status::Down);
    world.saw("dm2", Some(Service::Daemon), Status::Up);
    held(&world, &rescue(), Guard::Placement, "dm2/daemon runs");
    free(&world, &clear());
    free(&world, &PlanKind::Rescue(id("dm1", Service::Rest)));
    // A standby that does not answer keeps nobody from repairing the active side.
    world.lose("dm2");
    free(&world, &rescue());
}

#[test]
fn only_strays_are_stopped() {
    let world = World::new();
    held(
        &world,
        &PlanKind::Clear(id("dm1", Service::Daemon)),
        Guard::Placement,
        "meant to run there",
    );
    held(
        &world,
        &PlanKind::Clear(id("dm2", Service::Agent)),
        Guard::Placement,
        "meant to run there",
    );
    held(&world, &PlanKind::Clear(id("dm9", Service::Rest)), Guard::Placement, "not configured");
}

#[test]
fn the_old_primary_s_agent_may_be_stopped_and_no_other() {
    let world = World::on_secondary();
    free(&world, &PlanKind::Clear(id("dm1", Service::Agent)));
    for (server, service) in
        [("dm2", Service::Agent), ("dm3", Service::Agent), ("dm1", Service::Repository)]
    {
        held(&world, &PlanKind::Clear(id(server, service)), Guard::Placement, "meant to run there");
    }
}

/// A clock that was ahead, and was set back: what was found meanwhile seems to be yet to come.
#[test]
fn what_was_seen_before_the_clock_was_set_back_counts_once_it_is_seen_again() {
    let mut world = World::new();
    world.lose("dm1");
    free(&world, &PlanKind::Failover);
    let ahead = |ms| NOW.plus(ms);
    let agent = Some(Service::Agent);
    world.saw_when("dm2", agent, Status::Up, ReasonCode::Serving, ahead(1_000));
    free(&world, &PlanKind::Failover);
    world.saw_when("dm2", agent, Status::Up, ReasonCode::Serving, ahead(1_001));
    held(&world, &PlanKind::Failover, Guard::Freshness, "before the clock was set back");
    world.saw("dm2", agent, Status::Up);
    free(&world, &PlanKind::Failover);
    // Nor is anybody in view who was.
    let mut alone = World::new();
    alone.lose("dm1");
    alone.never_probed("dm2", None);
    alone.saw("dm2", Some(Service::Repository), Status::Up);
    free(&alone, &PlanKind::Failover);
    alone.saw_when("dm3", None, Status::Up, ReasonCode::Serving, ahead(400_000));
    held(&alone, &PlanKind::Failover, Guard::Vantage, "while no other server had answered");
    // What has been so since a moment that is yet to come has been so for as long as is known.
    world.saw_when("dm1", None, Status::Up, ReasonCode::Serving, ahead(300_000));
    world.saw_when("dm1", None, Status::Unknown, ReasonCode::TimedOut, ahead(300_001));
    for server in ["dm2", "dm3"] {
        world.saw_at(server, None, Status::Up, ReasonCode::Serving, 8_000);
        world.saw_at(server, None, Status::Up, ReasonCode::Serving, 500);
    }
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 1_000);
    free(&world, &PlanKind::Failover);
}

#[test]
fn stale_facts_hold_what_they_concern() {
    let old = |service| {
        let mut world = World::new();
        world.saw_at("dm1", Some(service), Status::Down, ReasonCode::NotRunning, 15_001);
        world
    };
    held(
        &old(Service::Daemon),
        &PlanKind::Failover,
        Guard::Freshness,
        "dm1/daemon was last seen 15 s ago",
    );
    held(&old(Service::Daemon), &rescue(), Guard::Freshness, "dm1/daemon");
    free(&old(Service::Rest), &rescue());
    // DSA and the synchronisation are no reason for a failover.
    free(&old(Service::Dsa), &PlanKind::Failover);
    free(&old(Service::Sync), &PlanKind::Failover);
    let mut world = World::new();
    world.saw_at("dm1", Some(Service::Daemon), Status::Down, ReasonCode::NotRunning, 15_000);
    free(&world, &PlanKind::Failover);
    world.saw_at("dm2", None, Status::Up, ReasonCode::Serving, 15_001);
    held(&world, &PlanKind::Failover, Guard::Freshness, "dm2 was last seen");
    // An additional server is neither old nor new side.
    let mut world = World::new();
    world.saw_at("dm3", Some(Service::Agent), Status::Up, ReasonCode::Serving, 1_000_000);
    free(&world, &PlanKind::Failover);
}

#[test]
fn what_was_never_probed_is_not_known() {
    let mut world = World::new();
    world.never_probed("dm1", Some(Service::Rest));
    held(&world, &PlanKind::Failover, Guard::Freshness, "dm1/rest was never probed");
    world.never_probed("dm1", Some(Service::Daemon));
    held(&world, &rescue(), Guard::Freshness, "dm1/daemon was never probed");
}

#[test]
fn a_lost_active_side_does_not_hold_its_own_failover() {
    let mut world = World::new();
    world.lose("dm1");
    free(&world, &PlanKind::Failover);
}

/// Whoever is cut off from a server sees what it would see of one that is gone; others do not.
#[test]
fn a_server_that_others_see_alive_is_not_failed_over_from() {
    let failover = PlanKind::Failover;
    let mut world = World::new();
    world.lose("dm1");
    free(&world, &failover);
    world.testified("dm1", "dm3", "alive", 200);
    held(&world, &failover, Guard::Vantage, "does not answer this monitor, and dm3 sees it alive");
    world.testified("dm1", "vp2", "alive", 100);
    held(&world, &failover, Guard::Vantage, "dm3, vp2 see it alive");
    // Nothing else is held by it: what others see of the standby, least of all.
    world.testified("dm1", "dm3", "gone", 50);
    world.testified("dm1", "vp2", "unable", 50);
    world.testified("dm2", "dm3", "alive", 50);
    free(&world, &failover);
    // What answers, however badly, is not cut off.
    world.testified("dm1", "dm3", "alive", 40);
    world.saw_at("dm1", None, Status::Down, ReasonCode::Refused, 10);
    free(&world, &failover);
}

/// Who has just been given the duty has asked nobody yet, and a policy may ask for a failover at once.
#[test]
fn what_nobody_else_has_looked_at_is_not_failed_over_from() {
    let failover = PlanKind::Failover;
    let mut world = World::new();
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 1_000);
    for server in ["dm2", "dm3"] {
        world.saw_at(server, None, Status::Up, ReasonCode::Serving, 900);
    }
    // From before this silence.
    world.testified("dm1", "dm2", "gone", 1_500);
    world.testified("dm1", "dm3", "alive", 1_500);
    held(&world, &failover, Guard::Vantage, "dm2 has not said yet whether it sees dm1 alive");
    world.testified("dm1", "dm2", "gone", 200);
    held(&world, &failover, Guard::Vantage, "dm3 has not said yet whether it sees dm1 alive");
    // Who cannot tell has said so.
    world.testified("dm1", "dm3", "unable", 200);
    free(&world, &failover);
    // One that was not looked at since the silence began is waited for as well.
    let mut world = World::new();
    world.saw_at("dm2", None, Status::Up, ReasonCode::Serving, 1_100);
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 1_000);
    world.saw_at("dm3", None, Status::Up, ReasonCode::Serving, 900);
    world.testified("dm1", "dm3", "gone", 200);
    held(&world, &failover, Guard::Vantage, "dm2 has not said yet whether it sees dm1 alive");
    world.testified("dm1", "dm2", "gone", 100);
    free(&world, &failover);
    // Nobody waits for one that is out of view itself.
    let mut world = World::new();
    world.saw_at("dm3", None, Status::Unknown, ReasonCode::TimedOut, 1_100);
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 1_000);
    world.saw_at("dm2", None, Status::Up, ReasonCode::Serving, 900);
    world.testified("dm1", "dm2", "gone", 200);
    free(&world, &failover);
}

/// A monitor that was cut off from everybody hears of the standby first when its way is back, and what it
/// knows of the active side is from before.
#[test]
fn a_silence_that_was_found_while_nobody_answered_says_nothing() {
    let mut world = World::new();
    let others = |world: &mut World, status, ago_ms| {
        let code = if status == Status::Up { ReasonCode::Serving } else { ReasonCode::TimedOut };
        for server in ["dm2", "dm3"] {
            world.saw_at(server, None, status, code, ago_ms);
        }
    };
    others(&mut world, Status::Unknown, 900);
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 900);
    others(&mut world, Status::Up, 800);
    for looked in [850, 800, 100] {
        world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, looked);
        held(&world, &PlanKind::Failover, Guard::Vantage, "while no other server had answered");
    }
    // One that answered until then, and was not looked at since, may be out of view too.
    let mut world = World::new();
    others(&mut world, Status::Up, 950);
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 900);
    held(&world, &PlanKind::Failover, Guard::Vantage, "while no other server had answered");
    others(&mut world, Status::Up, 890);
    world.gone("dm1", 500);
    free(&world, &PlanKind::Failover);
    // One that has been in view all along is enough.
    let mut world = World::new();
    world.saw_at("dm3", None, Status::Unknown, ReasonCode::TimedOut, 900);
    world.lose("dm1");
    free(&world, &PlanKind::Failover);
    world.never_probed("dm2", None);
    world.saw("dm2", Some(Service::Repository), Status::Up);
    held(&world, &PlanKind::Failover, Guard::Vantage, "while no other server had answered");
    // Without probes of servers nothing is in view, and nothing out of it.
    world.never_probed("dm3", None);
    free(&world, &PlanKind::Failover);
}

#[test]
fn what_was_seen_long_ago_says_nothing_of_a_silent_server() {
    let mut world = World::new();
    world.saw_at("dm1", None, Status::Unknown, ReasonCode::TimedOut, 60_000);
    world.lose("dm1");
    world.testified("dm1", "dm3", "alive", 15_001);
    held(&world, &PlanKind::Failover, Guard::Vantage, "dm3 has not said yet whether it sees");
    world.testified("dm1", "dm3", "alive", 15_000);
    held(&world, &PlanKind::Failover, Guard::Vantage, "dm3 sees it alive");
}

#[test]
fn the_cooldown_holds_a_failover_only_and_ends() {
    let mut world = World::new();
    world.last_change = Some(Timestamp(NOW.0 - 599_999));
    held(&world, &PlanKind::Failover, Guard::Cooldown, "the cooldown is 600 s");
    free(&world, &rescue());
    free(&world, &PlanKind::Switchover);
    world.last_change = Some(Timestamp(NOW.0 - 600_000));
    free(&world, &PlanKind::Failover);
    // A clock that was set back does not end it.
    world.last_change = Some(NOW.plus(5));
    held(&world, &PlanKind::Failover, Guard::Cooldown, "0 s ago");
}

#[test]
fn a_standby_that_cannot_take_over_holds_every_change_of_side() {
    let mut lost = World::new();
    lost.lose("dm2");
    let mut dead_repository = World::new();
    dead_repository.saw("dm2", Some(Service::Repository), Status::Down);
    let mut without_daemon = World::new();
    without_daemon.uninstall("dm2", Service::Daemon);
    let mut disabled = World::new();
    disabled.measured("dm2", "subscription-enabled", Value::Flag(false));
    for (world, because) in [
        (lost, "dm2 is unknown"),
        (dead_repository, "dm2/repository is down"),
        (without_daemon, "dm2/daemon is not configured"),
        (disabled, "subscription of dm2/repository is disabled"),
    ] {
        held(&world, &PlanKind::Failover, Guard::Standby, because);
        held(&world, &PlanKind::Switchover, Guard::Standby, because);
        free(&world, &rescue());
    }
    let mut without_agent = World::new();
    without_agent.uninstall("dm2", Service::Agent);
    free(&without_agent, &PlanKind::Failover);
}

/// What can be known before anything is touched holds a planned change, and no failover: there nobody
/// waits for anything better.
#[test]
fn a_planned_change_is_held_by_all_that_would_stop_it_on_the_way() {
    let changed = |change: fn(&mut World)| {
        let mut world = World::new();
        change(&mut world);
        world
    };
    let unfollowed = |server: &'static str, name: &'static str| {
        let mut world = World::new();
        world.measured(server, name, Value::Flag(false));
        world
    };
    for (world, because) in [
        (
            changed(|it| {
                it.saw("dm1", None, Status::Unknown);
                it.gone("dm1", 1_000);
            }),
            "dm1 is unknown: seen unknown, so its services cannot be stopped in order",
        ),
        (
            changed(|it| it.saw("dm1", Some(Service::Repository), Status::Down)),
            "dm1/repository is down: seen down, so nothing can be awaited from it",
        ),
        (
            changed(|it| {
                let code = ReasonCode::Monitor;
                it.saw_at("dm2", Some(Service::Rest), Status::Unknown, code, 1_000);
            }),
            "dm2/rest is unknown",
        ),
        (unfollowed("dm1", "configured"), "replication is not configured on dm1"),
        (unfollowed("dm1", "connected"), "dm2/repository is not connected to dm1/repository"),
        (unfollowed("dm1", "slot-active"), "dm2/repository is not connected to dm1/repository"),
        (unfollowed("dm2", "worker-running"), "worker of the subscription of dm2/repository"),
    ] {
        held(&world, &PlanKind::Switchover, Guard::Standby, because);
        free(&world, &PlanKind::Failover);
    }
}

#[test]
fn a_site_that_replicates_by_its_own_means_needs_no_stream_for_a_planned_change() {
    let mut world = World::new();
    world.measured("dm1", "connected", Value::Flag(false));
    world.saw("dm1", Some(Service::Repository), Status::Down);
    world.arrangements.replicated_repository = false;
    free(&world, &PlanKind::Switchover);
    let mut world = World::on_secondary();
    world.saw("dm2", Some(Service::Repository), Status::Down);
    world.arrangements.replicated_repository = false;
    free(&world, &PlanKind::Switchback);
}

#[test]
fn a_switchback_needs_the_primary_s_server_and_something_to_copy_from() {
    // A repository that is down is started, one that was never kept up to date is copied.
    let mut world = World::on_secondary();
    world.saw("dm1", Some(Service::Repository), Status::Down);
    world.measured("dm1", "connected", Value::Flag(false));
    free(&world, &PlanKind::Switchback);

    world.saw_at("dm1", Some(Service::Repository), Status::Unknown, ReasonCode::Denied, 1_000);
    held(&world, &PlanKind::Switchback, Guard::Standby, "dm1/repository is unknown");
    let mut world = World::on_secondary();
    world.uninstall("dm1", Service::Repository);
    held(&world, &PlanKind::Switchback, Guard::Standby, "dm1/repository is not configured");
}

#[test]
fn all_that_holds_a_planned_change_is_said_at_once() {
    let mut world = World::on_secondary();
    world.maintenance = true;
    world.lose("dm1");
    world.saw("dm2", Some(Service::Repository), Status::Down);
    world.saw_at("dm2", Some(Service::Rest), Status::Up, ReasonCode::Serving, 99_000);
    let holds = holds(&world, &PlanKind::Switchback);
    let guards: Vec<Guard> = holds.iter().map(|(guard, _)| *guard).collect();
    assert_eq!(guards, [Guard::Maintenance, Guard::Freshness, Guard::Standby]);
    let standby = &holds[2].1;
    for because in
        ["dm1 is unknown", "dm2/repository is down: seen down, so there is nothing to copy"]
    {
        assert!(standby.contains(because), "{standby}");
    }
}

/// Who looks at the checks sees each guard once, in order, and the same holds.
#[test]
fn each_guard_is_asked_or_said_to_have_no_say() {
    for kind in kinds() {
        let mut world = World::new();
        world.last_change = Some(NOW);
        world.maintenance = true;
        let snapshot = world.snapshot();
        let said = checks(&world.situation(&snapshot), &kind);
        assert_eq!(said.iter().map(|check| check.guard).collect::<Vec<_>>(), Guard::ALL);
        for check in &said {
            let asked = check.verdict != Verdict::NotAsked;
            assert_eq!(asked, check.guard.concerns(&kind), "{kind}: {check:?}");
        }
        let holds: Vec<_> = said.iter().filter_map(Check::hold).collect();
        assert_eq!(holds, check(&world.situation(&snapshot), &kind));
        assert!(holds.iter().any(|hold| hold.guard == Guard::Maintenance), "{kind}");
    }
    assert!(!Guard::Cooldown.concerns(&PlanKind::Switchback));
    assert!(!Guard::Placement.concerns(&PlanKind::Failover));
    assert!(!Guard::Standby.concerns(&rescue()));
}

#[test]
fn a_standby_without_a_probe_of_its_own_has_to_have_shown_that_it_answers() {
    let mut world = World::new();
    for server in ["dm1", "dm2"] {
        world.uninstall(server, Service::Repository);
        world.never_probed(server, None);
    }
    free(&world, &PlanKind::Failover);
    for service in Service::ALL.into_iter().filter(|one| *one != Service::Repository) {
        world.saw("dm2", Some(service), Status::Unknown);
    }
    held(&world, &PlanKind::Failover, Guard::Standby, "nothing shows that dm2 answers");
}

#[test]
fn the_lag_counts_in_sum_and_is_remembered_when_the_active_side_is_lost() {
    let lag = |name: &str, bytes| {
        let mut world = World::new();
        world.measured("dm1", name, Value::Integer(bytes));
        world
    };
    free(&lag("sending-lag-bytes", 1_000), &PlanKind::Failover);
    held(
        &lag("sending-lag-bytes", 1_001),
        &PlanKind::Failover,
        Guard::Standby,
        "1001 bytes behind",
    );
    held(&lag("replay-lag-bytes", i64::MAX), &PlanKind::Switchover, Guard::Standby, "bytes behind");
    let mut world = lag("write-lag-bytes", 5_000);
    world.saw_at("dm1", Some(Service::Repository), Status::Unknown, ReasonCode::TimedOut, 0);
    world.lose("dm1");
    held(&world, &PlanKind::Failover, Guard::Standby, "5000 bytes behind");
    let mut odd = World::new();
    odd.measured("dm1", "replay-lag-bytes", Value::Number(0.5));
    held(&odd, &PlanKind::Failover, Guard::Standby, "replay-lag-bytes is not a number");
}

#[test]
fn from_the_secondary_only_a_measured_synchronisation_lets_a_failover_pass() {
    let mut world = World::on_secondary();
    held(
        &world,
        &PlanKind::Failover,
        Guard::Standby,
        "nothing shows that dm1/repository is synchronised",
    );
    free(&world, &PlanKind::Switchback);
    world.measured("dm2", "replay-lag-bytes", Value::Integer(0));
    free(&world, &PlanKind::Failover);
}

#[test]
fn the_storm_brake_counts_what_is_recent() {
    let mut world = World::new();
    let ago = |ms: u64| Timestamp(NOW.0 - ms);
    world.fleet_changes = vec![ago(900_000), ago(600_000), ago(599_999), ago(1)];
    free(&world, &PlanKind::Failover);
    world.fleet_changes.push(NOW.plus(10));
    held(&world, &PlanKind::Failover, Guard::Storm, "3 other clusters");
    free(&world, &PlanKind::Switchover);
    free(&world, &rescue());
    world.limits.storm_limit = 0;
    free(&world, &PlanKind::Failover);
}

#[test]
fn what_protects_from_two_active_sides_cannot_be_overridden() {
    for guard in Guard::ALL {
        let protects = matches!(guard, Guard::Duty | Guard::Lifecycle | Guard::Placement);
        assert_eq!(guard.can_be_overridden(), !protects, "{guard}");
        assert_eq!(serde_json::to_value(guard).unwrap(), guard.as_str());
    }
}
