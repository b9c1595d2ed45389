//! Changes of side that the policy decides.

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::PlanKind;

use crate::harness::World;

/// What cannot be started again is taken over, and people hear of it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_cannot_start_leads_to_a_failover() {
    let mut world = World::start().await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert!(!world.site.is_running("dm1", service), "{service}");
        assert_eq!(world.site.starts("dm2", service), 1, "{service}");
    }
    let plans: Vec<String> = world.plans().iter().map(|plan| plan.kind.to_string()).collect();
    assert_eq!(plans, ["rescue of dm1/daemon", "failover"]);

    world.wait_taken("failover", "firing").await;
    world.wait_taken("failover", "resolved").await;
    world.wait_taken("running-on-secondary", "firing").await;
    world.let_pass(5).await;
    assert_eq!(world.taken("failover", "firing").len(), 1);
    assert_eq!(world.taken("running-on-secondary", "firing").len(), 1);
    world.assert_taken_once();
}

/// A host without power says nothing: that it is gone is for the other servers to say.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_host_is_replaced_when_witnesses_find_it_gone() {
    let mut world = World::start().await;
    world.site.crash_server("dm1").await.unwrap();
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    let confirmed = world
        .wait_record("the witnesses' word", |record| match &record.event {
            Event::StepEnded { outcome: Outcome::Done { detail, .. }, .. }
                if detail.contains("find it gone") =>
            {
                Some(detail.clone())
            }
            _ => None,
        })
        .await;
    assert!(confirmed.contains("dm2") && confirmed.contains("dm3"), "{confirmed}");
    assert_eq!(world.changes().len(), 1);
}

/// A monitor that is cut off sees what it would see of a dead host, and must not act on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_a_witness_still_sees_is_not_replaced() {
    let mut world = World::start().await;
    // The others have to have been in view for a while, or that is what is told.
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    world.site.cut("dm1", None).unwrap();
    let told = world.wait_alert("action-held").await;
    assert!(told.contains("dm2, dm3 see it alive: the way to it is cut"), "{told}");
    world.wait_taken("server-unreachable", "firing").await;
    let plans = world.plans();
    assert!(plans.iter().all(|plan| plan.kind != PlanKind::Failover), "{plans:?}");
    assert_eq!(world.cluster().await.active, Side::Primary);
    world.assert_nothing_started_on_secondary();

    world.site.heal("dm1", None).unwrap();
    world.wait_taken("server-unreachable", "resolved").await;
    world.let_pass(5).await;
    assert_eq!(world.cluster().await.active, Side::Primary);
    assert!(world.site.is_ready("dm1", Service::Daemon));
    world.assert_nothing_started_on_secondary();
    world.assert_never_both();
}

/// Jobs need one agent, wherever it is: without any, the other side is tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_agents_down_leads_to_a_failover() {
    let mut world = World::start().await;
    for server in ["dm1", "dm2", "dm3"] {
        world.break_service(server, Service::Agent).await;
    }
    world.wait_for("the failover", |status| status.clusters[0].active == Side::Secondary).await;
    assert!(matches!(world.changes()[0].kind, PlanKind::Failover));
    world.wait_taken("agents-unavailable", "firing").await;
    world.assert_never_both();
}
