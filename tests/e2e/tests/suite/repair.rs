//! What stops on the active side is started again; what runs on the wrong one is stopped.

use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::PlanKind;
use watchkeeper_site::Unit;

use crate::harness::World;

/// The commonest trouble is mended without a change of side, by one start and no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_daemon_is_rescued_by_exactly_one_start() {
    let mut world = World::start().await;
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    world.wait_taken("service-down", "firing").await;
    world.wait_taken("service-down", "resolved").await;
    world.let_pass(5).await;

    assert_eq!(world.site.starts("dm1", Service::Daemon), before + 1);
    assert_eq!(world.plans().len(), 1, "{:?}", world.plans());
    assert!(world.changes().is_empty());
    let fired = world.taken("service-down", "firing");
    let about_daemon = fired.iter().filter(|body| body["service"] == "daemon").count();
    assert_eq!(about_daemon, 1, "{fired:#?}");
    let resolved = world.taken("service-down", "resolved");
    assert_eq!(resolved.len(), fired.len(), "{fired:#?} {resolved:#?}");
    world.assert_taken_once();
    world.assert_never_both();
}

/// One agent of several is no reason to change sides, and others go on meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_several_agents_down_is_told_and_changes_no_side() {
    let mut world = World::start().await;
    world.break_service("dm3", Service::Agent).await;
    world.wait_taken("agent-down", "firing").await;
    let status = world.let_pass(10).await;
    assert_eq!(status.clusters[0].active, Side::Primary);
    assert!(world.changes().is_empty());

    world.site.allow_start("dm3", Service::Agent).unwrap();
    world.site.start_service("dm3", Service::Agent).await.unwrap();
    world.wait_taken("agent-down", "resolved").await;
    assert_eq!(world.taken("agent-down", "firing").len(), 1);
    world.assert_taken_once();
}

/// When DM1 comes back with its services started at boot, two sides must not stay active.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_returning_primary_s_services_are_stopped() {
    let mut world = World::start().await;
    world.site.crash_server("dm1").await.unwrap();
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();

    let boot =
        [Service::Repository, Service::Activemq, Service::Daemon, Service::Agent, Service::Rest];
    world.site.boot_server_starting("dm1", &boot).await.unwrap();
    let strays = [Service::Activemq, Service::Daemon, Service::Rest];
    world
        .wait_site("the strays are stopped", |site| {
            strays.iter().all(|stray| site.unit("dm1", *stray) == Some(Unit::Inactive))
        })
        .await;
    world.wait_taken("stray-service", "firing").await;
    world
        .wait_for("the strays' end", |status| {
            status.clusters[0].alerts.iter().all(|alert| alert.name != "stray-service")
        })
        .await;
    let status = world.wait_active(Side::Secondary).await;
    assert_eq!(status.clusters[0].active, Side::Secondary);
    world.assert_secondary_serves().await;
    assert_eq!(world.changes().len(), 1);
    assert!(world.plans().iter().any(|plan| matches!(plan.kind, PlanKind::Clear(_))));
}
