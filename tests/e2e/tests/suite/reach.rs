//! Servers that cannot be reached, or are not who they were.

use watchkeeper_core::model::{Service, Side, Status};

use crate::harness::{World, cluster};

/// Another host key may be another host: nothing is asked of it, nothing is concluded from that alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_host_key_is_told_and_decides_nothing() {
    let mut world = World::start().await;
    world.site.change_host_key("dm1").unwrap();
    let status = world
        .wait_for("dm1 being unknown", |status| {
            let server = cluster(status).servers.iter().find(|it| it.name.as_str() == "dm1");
            server.is_some_and(|it| it.status == Status::Unknown)
        })
        .await;
    let server = cluster(&status).servers.iter().find(|it| it.name.as_str() == "dm1").unwrap();
    assert!(server.detail.contains("host key"), "{}", server.detail);
    world.wait_taken("server-unreachable", "firing").await;
    let status = world.let_pass(20).await;
    assert_eq!(cluster(&status).active, Side::Primary);
    assert!(world.changes().is_empty());
    world.assert_nothing_started_on_secondary();
    assert!(world.site.is_ready("dm1", Service::Daemon));
}

/// A standby that is not there at the start is told; the active side is looked after all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_are_unreachable_at_the_start_disturb_nothing() {
    let mut world = World::prepare().await;
    world.site.crash_server("dm2").await.unwrap();
    world.site.crash_server("dm3").await.unwrap();
    world.run().await;
    world.wait_alert("standby-unavailable").await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert!(world.changes().is_empty());

    world.site.boot_server("dm2").await.unwrap();
    world.wait_no_alert("standby-unavailable").await;
}

/// With nothing reachable at all there is nothing to be done, and that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_reachable_at_the_start_is_told_and_nothing_is_done() {
    let mut world = World::prepare().await;
    for server in ["dm1", "dm2", "dm3"] {
        world.site.crash_server(server).await.unwrap();
    }
    world.run().await;
    world.wait_alert("both-sides-unavailable").await;
    world.let_pass(10).await;
    assert!(world.plans().is_empty(), "{:?}", world.plans());
    assert_eq!(world.cluster().await.active, Side::Primary);
}
