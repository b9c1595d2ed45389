//! Whether the standby could take over now: looked at all the time, shown, told, and asked by the guard.

use watchkeeper::api::OrderReply;
use watchkeeper_core::event::Event;
use watchkeeper_core::facts::Value;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::readiness::{Answer, Item, Readiness, Verdict};
use watchkeeper_site::Flaw;

use crate::harness::{Config, World, cluster};

/// Looks often, and tells at once.
fn eager(config: &mut Config) {
    config
        .set("clusters.prod.readiness.interval", "300ms")
        .set("clusters.prod.readiness.alert-after", "200ms");
}

async fn started() -> World {
    let mut world = World::start_with(eager).await;
    wait(&mut world, "dm2 is ready", |it| {
        let known = |item| it.checks.iter().any(|it| it.item == item && it.answer == Answer::Ready);
        it.verdict == Verdict::Ready && known(Item::Startable) && known(Item::Writable)
    })
    .await;
    world
}

async fn wait(world: &mut World, what: &str, wanted: impl Fn(&Readiness) -> bool) -> Readiness {
    let status = world
        .wait_for(what, |status| cluster(status).readiness.as_ref().is_some_and(&wanted))
        .await;
    cluster(&status).readiness.clone().unwrap()
}

/// Waits until the item is not ready; gives why, and whether it holds.
async fn wait_wrong(world: &mut World, item: Item) -> (String, bool) {
    let found = wait(world, item.as_str(), |it| it.not_ready().any(|(it, ..)| it == item)).await;
    let (_, reason, holds) = found.not_ready().find(|(it, ..)| *it == item).unwrap();
    (reason.to_owned(), holds)
}

/// Each is found while nothing is wrong with what runs, held by the guard, told, and over when it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_stop_a_failover_is_found_told_and_held_before_it_is_needed() {
    let mut world = started().await;
    for (flaw, item, says) in [
        (Flaw::Masked(Service::Daemon), Item::Startable, "the unit dm-daemon is masked"),
        (Flaw::NoUnit(Service::Rest), Item::Startable, "there is no unit dm-rest"),
        (Flaw::PortTaken(Service::Rest), Item::Ports, "port 1443 is taken by something else"),
        (Flaw::ReadOnly, Item::Writable, "dm2/repository is set to read-only"),
        (Flaw::DiskFull, Item::Disk, "it counts as full"),
    ] {
        world.site.set_flaw("dm2", flaw, true).unwrap();
        let (reason, holds) = wait_wrong(&mut world, item).await;
        assert!(holds && reason.contains(says), "{reason}");
        world
            .wait_for("it is told", |status| {
                let told = |summary: &str| {
                    summary.contains(says) && summary.contains(&format!("({item})"))
                };
                let mut alerts = cluster(status).alerts.iter();
                alerts.any(|it| it.name == "standby-not-ready" && told(&it.summary))
            })
            .await;
        let refused = world.cli(&["failover", "--reason", "a test", "--json"]).await;
        let reply: OrderReply = serde_json::from_str(&refused.out).unwrap();
        let OrderReply::Held { holds } = reply else { panic!("{refused:?}") };
        assert!(
            holds.iter().any(|it| it.guard == Guard::Standby && it.reason.contains(says)),
            "{holds:?}"
        );
        let shown = world.ok(&["status"]).await;
        assert!(shown.out.contains("standby dm2: NOT READY TO TAKE OVER"), "{}", shown.out);
        assert!(shown.out.contains(says), "{}", shown.out);
        world.site.set_flaw("dm2", flaw, false).unwrap();
        world
            .wait_for("it is over", |status| {
                let cluster = cluster(status);
                cluster.alerts.iter().all(|alert| alert.name != "standby-not-ready")
                    && cluster.readiness.as_ref().is_some_and(|it| it.verdict == Verdict::Ready)
            })
            .await;
    }
    assert!(world.changes().is_empty());
    world.assert_nothing_started_on_secondary();
    // What was found is recorded, with the decision that it made another.
    let recorded = world.journal().into_iter().any(|record| match record.event {
        Event::Evaluated(it) => it
            .snapshot
            .measure("dm2", None, "startable-daemon")
            .is_some_and(|it| it.value == Value::Flag(false)),
        _ => false,
    });
    assert!(recorded);
}

/// A clock that is off is told, and everybody would rather be served by it than not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_can_be_lived_with_is_told_and_the_failover_goes_on() {
    let mut world = started().await;
    world.site.set_flaw("dm2", Flaw::ClockBehind, true).unwrap();
    let (reason, holds) = wait_wrong(&mut world, Item::Clock).await;
    assert!(!holds && reason.contains("behind the monitor's"), "{reason}");
    world.wait_alert("standby-not-ready").await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
}

/// A failover that is due waits while the standby could not carry it, and goes on when it can.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_waits_until_the_standby_can_carry_it() {
    let mut world = started().await;
    world.site.set_flaw("dm2", Flaw::Masked(Service::Rest), true).unwrap();
    wait_wrong(&mut world, Item::Startable).await;
    world.break_service("dm1", Service::Daemon).await;
    world
        .wait_for("the failover is held", |status| {
            let holds = &cluster(status).held_by;
            holds.iter().any(|it| it.contains("the unit dm-rest is masked"))
        })
        .await;
    world.let_pass(5).await;
    assert!(world.changes().is_empty());
    world.assert_nothing_started_on_secondary();
    world.site.set_flaw("dm2", Flaw::Masked(Service::Rest), false).unwrap();
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
}

/// Who does not want servers to be looked at for this is held by nothing that was not looked at.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_look_nothing_is_known_and_nothing_is_held() {
    let mut world = World::start_with(|config| {
        config.set("clusters.prod.readiness.look", false);
    })
    .await;
    world.site.set_flaw("dm2", Flaw::ClockBehind, true).unwrap();
    let readiness = world.cluster().await.readiness.unwrap();
    assert_eq!(readiness.verdict, Verdict::Ready);
    let startable = readiness.checks.iter().find(|it| it.item == Item::Startable).unwrap();
    assert!(matches!(startable.answer, Answer::Unknown { .. }), "{startable:?}");
    let looked = world.journal().into_iter().any(|record| match record.event {
        Event::Observed(seen) => seen.probe.to_string() == "dm2/readiness",
        _ => false,
    });
    assert!(!looked);
    world.break_service("dm1", Service::Daemon).await;
    world.wait_active(Side::Secondary).await;
    world.assert_never_both();
}
