//! kill -9 of the daemon at the worst moments.

use std::time::Duration;

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::Act;

use crate::harness::{LONG, World};

/// Slow starts, so that a kill lands in the middle of them.
async fn slow() -> World {
    let mut world = World::prepare_with(|site| site.start_delay = Duration::from_millis(300)).await;
    world.config.setting("rescue-attempts", 0);
    world.run().await;
    world
}

/// The failover is finished after the restart, and nothing was done twice with effect.
async fn assert_completed_once(world: &mut World) {
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert_eq!(world.site.starts("dm2", service), 1, "{service}");
        assert!(!world.site.is_running("dm1", service), "{service}");
    }
    assert_eq!(world.changes().len(), 1);
    let endings: Vec<PlanEnding> = world
        .journal()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::PlanEnded { ending, .. } => Some(ending),
            _ => None,
        })
        .collect();
    assert_eq!(endings, [PlanEnding::Completed]);
    world.wait_taken("failover", "resolved").await;
    world.wait_taken("running-on-secondary", "firing").await;
    assert_eq!(world.told("failover", "firing"), 1);
}

async fn killed_at(what: &str, fits: impl Fn(&Act) -> bool) {
    let mut world = slow().await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_intended(what, fits).await;
    world.kill9().await;
    world.run().await;
    assert_completed_once(&mut world).await;
}

fn stops(act: &Act, service: Service) -> bool {
    matches!(act, Act::StopService(id) if id.service == service)
}

fn starts(act: &Act, service: Service) -> bool {
    matches!(act, Act::StartService(id) if id.service == service)
}

/// Before anything was stopped for sure.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_stops_the_old_side() {
    killed_at("a stop", |act| stops(act, Service::Activemq)).await;
}

/// Neither side is active.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_confirms() {
    killed_at("the confirmation", |act| matches!(act, Act::ConfirmInactive { .. })).await;
}

/// The broker is half started.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_starts_the_new_side() {
    killed_at("a start", |act| starts(act, Service::Activemq)).await;
}

/// The new side may or may not serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_verifies() {
    killed_at("the verification", |act| matches!(act, Act::Verify { .. })).await;
}

/// A monitor that dies in one step after the other still gets there, and does nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_every_step_it_still_completes() {
    let mut world = slow().await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_intended("the first step", |_| true).await;
    let mut killed_in = Vec::new();
    loop {
        // A step further on than the last, so that none is cut short too often to be begun again.
        let beyond = killed_in.last().map_or(0, |last| last + 1);
        let step = world
            .wait_record("a further step", |record| match record.event {
                Event::StepIntended { step, .. } if step >= beyond => Some(Some(step)),
                Event::PlanEnded { .. } => Some(None),
                _ => None,
            })
            .await;
        let Some(step) = step else { break };
        killed_in.push(step);
        world.kill9().await;
        world.launch();
    }
    assert!(killed_in.len() >= 5, "it was fast enough to escape: {killed_in:?}");
    assert_completed_once(&mut world).await;
}

/// What was decided is told although the one who decided it died before it could.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_decision_and_delivery_the_alert_is_delivered() {
    let mut world = World::start().await;
    world.site.sink().down().await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world
        .wait_record("the notification", |record| match &record.event {
            Event::NotificationMade(made)
                if made.alerts.iter().any(|it| it.alert.claim.name == "service-down") =>
            {
                Some(())
            }
            _ => None,
        })
        .await;
    world.kill9().await;
    assert!(world.taken("service-down", "firing").is_empty());
    world.site.sink().up().await.unwrap();
    world.run().await;
    world.wait_taken("service-down", "firing").await;
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    world.wait_taken("service-down", "resolved").await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    let about_daemon = world.taken("service-down", "firing");
    let about_daemon = about_daemon.iter().filter(|body| body["service"] == "daemon").count();
    assert_eq!(about_daemon, 1);
    world.assert_taken_once();
}

/// The journal is durable before anything is done: what a crash leaves of it is whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_the_journal_is_whole() {
    let mut world = World::start_with(|config| {
        config.setting("rescue-attempts", 10);
    })
    .await;
    for _ in 0..3 {
        world.site.kill("dm1", Service::Daemon).await.unwrap();
        let before = world.journal().len();
        let begun = tokio::time::Instant::now();
        while world.journal().len() == before && begun.elapsed() < LONG {
            tokio::task::yield_now().await;
        }
        world.kill9().await;
        let journal = world.journal_path();
        let file = journal.to_str().unwrap();
        world.ok(&["journal", "verify", "--file", file]).await;
        world.run().await;
        world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    }
}
