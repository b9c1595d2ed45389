//! Which monitor may act, where two of them meet.

use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;
use watchkeeper_core::plan::PlanKind;

use crate::harness::{World, summary};

/// Two monitors that know nothing of each other would both rescue, and both fail over. The servers
/// know who came first: the second one is told at its start, acts on nothing, and says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_monitor_without_coordination_is_refused_with_the_reason() {
    let mut world = World::start().await;
    let first = world.cluster().await.duty;
    assert!(first.held, "{first:?}");

    let mut second = world.beside("vp2").await;
    let why = second.wait_alert("duty-conflict").await;
    assert!(why.contains("of vp1-") && why.contains("[duty] names none"), "{why}");
    let duty = second.cluster().await.duty;
    assert!(!duty.held, "{duty:?}");

    let starts = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    second.let_pass(5).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), starts + 1);
    assert!(second.plans().is_empty());
    assert!(world.plans().iter().all(|plan| matches!(plan.kind, PlanKind::Rescue(_))));
    let refused = second.ok(&["duty", "status"]).await;
    assert!(refused.out.contains("vp2 does not have the duty: dm"), "{refused:?}");
    let order = second.cli(&["failover", "--reason", "a test"]).await;
    assert_eq!(order.code, Some(4), "{order:?}");

    // The first one is gone for good: an operator says so, and from then on it is the first that is
    // refused, should it come back.
    world.kill9().await;
    let taken = second.ok(&["duty", "take", "--reason", "vp1 burnt down"]).await;
    assert!(taken.out.contains("taken, in term"), "{taken:?}");
    second.wait_no_alert("duty-conflict").await;
    assert!(second.cluster().await.duty.held);
    world.launch();
    world.wait_alert("duty-conflict").await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert_eq!(second.plans().len(), 1);
    assert_eq!(world.site.starts("dm1", Service::Daemon), starts + 2);
    world.assert_never_both();
}

/// A monitor that is paused in the middle of a failover, and comes to itself when another has
/// taken over, finds every server closed to it: what it had begun it does not go on with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_that_was_overtaken_while_it_was_paused_does_nothing_more() {
    let mut world = World::start().await;
    let mut second = world.beside("vp2").await;
    second.wait_alert("duty-conflict").await;
    // Its stop of REST hangs: the failover is in flight for as long as this test wants.
    world.break_service("dm1", Service::Daemon).await;
    world
        .wait_intended("a step of the failover", |act| {
            matches!(act, watchkeeper_core::plan::Act::StopService(_))
        })
        .await;
    world.pause();
    second.ok(&["duty", "take", "--reason", "vp1 hangs"]).await;
    second.wait_active(watchkeeper_core::model::Side::Secondary).await;
    world.resume();
    world
        .wait_for("the first to be refused", |status| summary(status, "duty-conflict").is_some())
        .await;
    second.let_pass(5).await;
    world.assert_never_both();
    world.assert_secondary_serves().await;
    let ended = world.journal().into_iter().any(|record| {
        matches!(record.event, Event::PlanEnded { .. }) && record.at > second.changes()[0].made
    });
    assert!(!ended, "its plan went on");
    world.wait_for("it to look only", |status| !status.clusters[0].duty.held).await;
}
