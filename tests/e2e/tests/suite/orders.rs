//! What operators order.

use std::fs;
use std::os::unix::fs::MetadataExt;

use nix::unistd::{Gid, Group, getegid, geteuid};
use watchkeeper::api::OrderReply;
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::plan::{OrderedBy, PlanKind};

use crate::harness::{Said, World};

fn reply(said: &Said) -> OrderReply {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

/// In maintenance mode nothing is done by itself, and what would be done is still recorded.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn maintenance_holds_and_records_and_its_end_lets_act() {
    let mut world = World::start().await;
    world.ok(&["maintenance", "on", "--reason", "patching"]).await;
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world
        .wait_record("the decision that is held", |record| match &record.event {
            Event::Evaluated(it) => {
                let held = it.decision.chosen.is_some() && !it.decision.holds.is_empty();
                held.then(|| it.decision.holds.clone())
            }
            _ => None,
        })
        .await;
    let status = world.let_pass(10).await;
    let cluster = &status.clusters[0];
    assert!(cluster.wants.is_some(), "{cluster:#?}");
    assert!(cluster.held_by.iter().any(|hold| hold.contains("maintenance")), "{cluster:#?}");
    assert!(cluster.maintenance.as_ref().is_some_and(|it| it.reason == "patching"));
    assert_eq!(world.site.starts("dm1", Service::Daemon), before);
    assert!(world.plans().is_empty());

    world.ok(&["maintenance", "off"]).await;
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), before + 1);
    let again = world.cli(&["maintenance", "off"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
}

/// An operator learns everything that stands in the way at once, and may take each away with a word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_order_names_all_reasons_and_an_override_lifts_them() {
    let mut world = World::start().await;
    world.site.kill("dm2", Service::Repository).await.unwrap();
    world.wait_alert("standby-unavailable").await;
    world.ok(&["maintenance", "on", "--reason", "patching"]).await;

    let refused = world.cli(&["failover", "--reason", "a test", "--json"]).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    let OrderReply::Held { holds } = reply(&refused) else { panic!("{refused:?}") };
    let guards: Vec<Guard> = holds.iter().map(|hold| hold.guard).collect();
    assert_eq!(guards, [Guard::Maintenance, Guard::Standby], "{holds:?}");

    let one = ["failover", "--reason", "a test", "--override", "maintenance", "--json"];
    let refused = world.cli(&one).await;
    assert_eq!(refused.code, Some(4), "{refused:?}");
    world.let_pass(3).await;
    assert!(world.plans().is_empty());
    world.assert_nothing_started_on_secondary();

    let both = [&one[..], &["--override", "standby"]].concat();
    world.ok(&both).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    let changes = world.changes();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].reason, "a test (overriding the guards maintenance, standby)");
    assert!(matches!(&changes[0].ordered_by, OrderedBy::Operator(_)), "{:?}", changes[0]);
}

/// What would be done can be seen without doing it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let mut world = World::start().await;
    for kind in ["failover", "switchover"] {
        let shown = world.ok(&[kind, "--reason", "a look", "--dry-run", "--json"]).await;
        let OrderReply::Shown { plan, holds, checks } = reply(&shown) else { panic!("{shown:?}") };
        assert_eq!((plan.from, plan.to), (Side::Primary, Side::Secondary));
        assert!(plan.steps.len() > 5 && holds.is_empty(), "{plan:#?} {holds:?}");
        let guards: Vec<Guard> = checks.iter().map(|it| it.check.guard).collect();
        assert_eq!(guards, Guard::ALL);
        let wrong = checks.iter().find(|it| it.check.hold().is_some() || it.overridden);
        assert!(wrong.is_none(), "{wrong:?}");
    }
    // It is on the primary already.
    let shown = world.cli(&["switchback", "--reason", "a look", "--dry-run"]).await;
    assert_eq!(shown.code, Some(4), "{shown:?}");
    for says in [
        "HOLDS      lifecycle   a switchback is not possible",
        "(it cannot be overridden)",
        "ok         maintenance maintenance mode is off",
        "not asked  cooldown    it has no say in a switchback",
        "it would be held now",
    ] {
        assert!(shown.out.contains(says), "{says}: {}", shown.out);
    }
    world.let_pass(5).await;
    assert!(world.plans().is_empty());
    world.assert_nothing_started_on_secondary();
    assert!(world.site.is_ready("dm1", Service::Daemon));
}

/// The guards that hold, and why the last one does.
fn held(said: &Said) -> (Vec<Guard>, String) {
    assert_eq!(said.code, Some(4), "{said:?}");
    let holds = match reply(said) {
        OrderReply::Held { holds } | OrderReply::Shown { holds, .. } => holds,
        other => panic!("{other:?}"),
    };
    let why = holds.last().map(|hold| hold.reason.clone()).unwrap_or_default();
    (holds.into_iter().map(|hold| hold.guard).collect(), why)
}

/// What would stop a planned change on the way is known before anything is touched, all of it at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_change_is_refused_for_all_reasons_at_once_before_anything_is_touched() {
    let mut world = World::start_with(|config| {
        config.replicated();
    })
    .await;
    world.ok(&["switchover", "--dry-run", "--reason", "a look"]).await;
    world.ok(&["maintenance", "on", "--reason", "patching"]).await;
    world.site.break_replication(true);
    world.wait_alert("replication-standby").await;
    let both = [Guard::Maintenance, Guard::Standby];
    for more in [&[][..], &["--dry-run"]] {
        let order = [&["switchover", "--reason", "a test", "--json"][..], more].concat();
        let (guards, why) = held(&world.cli(&order).await);
        assert_eq!(guards, both);
        for because in ["dm2/repository is not connected to dm1/repository", "does not run"] {
            assert!(why.contains(because), "{why}");
        }
    }
    let lifted = ["--override", "maintenance", "--override", "standby"];
    let shown = [&["switchover", "--reason", "a test", "--dry-run"][..], &lifted].concat();
    let shown = world.ok(&shown).await;
    assert!(shown.out.contains("OVERRIDDEN standby     this cannot be done"), "{}", shown.out);
    assert!(shown.out.ends_with("nothing would hold it now\n"), "{}", shown.out);

    world.site.break_replication(false);
    world.wait_no_alert("replication-standby").await;
    world.ok(&["switchover", "--reason", "a test", "--override", "maintenance"]).await;
    world.wait_active(Side::Secondary).await;

    world.site.cut("dm1", None).unwrap();
    world.site.kill("dm2", Service::Repository).await.unwrap();
    world
        .wait_for("both to be seen", |status| {
            let cluster = &status.clusters[0];
            let lost = cluster
                .servers
                .iter()
                .any(|it| it.name.as_str() == "dm1" && it.status != Status::Up);
            lost && cluster.services.iter().any(|it| {
                it.server.as_str() == "dm2"
                    && it.service == Service::Repository
                    && it.status == Status::Down
            })
        })
        .await;
    for more in [&[][..], &["--dry-run"]] {
        let order = [&["switchback", "--reason", "a test", "--json"][..], more].concat();
        let (guards, why) = held(&world.cli(&order).await);
        assert_eq!(guards, both);
        for because in ["dm1 is unknown", "so there is nothing to copy from"] {
            assert!(why.contains(because), "{why}");
        }
    }
    world.let_pass(3).await;
    assert_eq!(world.plans().len(), 1, "{:?}", world.plans());
}

/// A planned change and the way back leave the cluster as it was, with both sides in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_and_a_switchback_change_sides_in_good_order() {
    let mut world = World::start().await;
    world.ok(&["switchover", "--reason", "patching DM1"]).await;
    world.assert_secondary_serves().await;
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert!(!world.site.is_running("dm1", service), "{service}");
    }
    let twice = world.cli(&["switchover", "--reason", "again", "--json"]).await;
    assert_ne!(twice.code, Some(0), "{twice:?}");

    let back = ["switchback", "--reason", "patched", "--override", "cooldown"];
    world.ok(&back).await;
    world.wait_active(Side::Primary).await;
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert!(world.site.is_ready("dm1", service), "{service}");
        assert!(!world.site.is_running("dm2", service), "{service}");
    }
    world.assert_never_both();
    world.let_pass(10).await;
    let kinds: Vec<PlanKind> = world.plans().into_iter().map(|plan| plan.kind).collect();
    assert_eq!(kinds, [PlanKind::Switchover, PlanKind::Switchback]);
    assert!(world.taken("service-down", "firing").is_empty(), "a planned change is no trouble");
}

/// A side that was changed by hand is believed when an operator says so, and nothing is undone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_declared_side_is_the_active_one() {
    let mut world = World::start().await;
    world.ok(&["maintenance", "on", "--reason", "by hand"]).await;
    for service in [Service::Rest, Service::Agent, Service::Daemon, Service::Activemq] {
        world.site.stop_service("dm1", service).await.unwrap();
    }
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        world.site.start_service("dm2", service).await.unwrap();
        world.wait_site("it is ready", |site| site.is_ready("dm2", service)).await;
    }
    world.ok(&["declare", "secondary", "--reason", "moved by hand"]).await;
    assert_eq!(world.cluster().await.active, Side::Secondary);
    world.ok(&["maintenance", "off"]).await;
    world.let_pass(10).await;
    assert_eq!(world.cluster().await.active, Side::Secondary);
    assert!(world.plans().is_empty(), "{:?}", world.plans());
    world.assert_secondary_serves().await;
    world.assert_never_both();
}

/// Who may give orders is for the site to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_socket_is_given_to_its_group() {
    let mut world = World::prepare().await;
    // One that this user may give files to: any for root, else one of its own.
    let own = nix::unistd::getgroups().unwrap().last().copied().unwrap_or_else(getegid);
    let gid = if geteuid().is_root() { Gid::from_raw(1) } else { own };
    let group = Group::from_gid(gid).unwrap().expect("a group with a name");
    world.config.set("monitor.socket-group", group.name);
    world.run().await;
    let socket = fs::metadata(world.path("wk.sock")).unwrap();
    assert_eq!((socket.gid(), socket.mode() & 0o777), (gid.as_raw(), 0o660));
    world.stop().await;

    world.config.set("monitor.socket-group", "no-such-group");
    world.launch();
    assert_eq!(world.end().await, Some(1));
    let log = world.log();
    assert!(log.contains("there is no group \"no-such-group\""), "{log}");
}
