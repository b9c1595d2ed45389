//! Configuration that is wrong, at the start and while it runs.

use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;

use crate::harness::{World, summary};

/// A mistake in the file changes nothing, and the alert says where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_while_it_runs_leaves_the_old_in_force_and_names_its_line() {
    let mut world = World::start().await;
    world.config.tail = "\n[clusters.prod.gaurds]\ncooldown = \"1m\"\n".to_owned();
    world.write_config();
    let text = world.config.text();
    let line = text.lines().position(|line| line.contains("gaurds")).unwrap() + 1;
    let told = world.wait_alert("configuration-rejected").await;
    assert!(told.contains(&format!("watchkeeper.toml:{line}")), "{line}: {told}");
    assert!(told.contains("guards"), "it suggests the nearest: {told}");
    world.wait_taken("configuration-rejected", "firing").await;

    // What was in force is.
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;

    world.config.tail.clear();
    world.write_config();
    world.wait_no_alert("configuration-rejected").await;
    world.wait_taken("configuration-rejected", "resolved").await;
    let rejected = |event: &Event| matches!(event, Event::ConfigurationRejected { .. });
    let count = world.journal().iter().filter(|record| rejected(&record.event)).count();
    assert_eq!(count, 1, "a mistake that stays is told once");
    world.assert_taken_once();
}

/// Settings that do not fit the policy are mistakes of the file, every one of them named at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_do_not_validate_leave_the_old_in_force() {
    let mut world = World::start().await;
    world.config.setting("rescue-attempts", 99).setting("rescue-atempts", 1);
    world.write_config();
    let text = world.config.text();
    let told = world.wait_alert("configuration-rejected").await;
    for key in ["rescue-attempts", "rescue-atempts"] {
        let line = text.lines().position(|line| line.starts_with(key)).unwrap() + 1;
        assert!(told.contains(key), "{key}: {told}");
        assert!(told.contains(&format!("watchkeeper.toml:{line}")), "{key} {line}: {told}");
    }
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
}

/// A daemon without a usable configuration does not run, and says all that is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mistake_at_the_start_is_an_error() {
    let mut world = World::prepare().await;
    world.config.set("monitor.nmae", "vp1").set("probes.intervall", "1s");
    world.launch();
    assert_eq!(world.end().await, Some(1));
    let log = world.log();
    assert!(log.contains("nmae") && log.contains("intervall"), "{log}");
    assert!(log.contains("watchkeeper.toml:"), "{log}");
    assert!(!world.journal_path().exists());
}

/// Settings that do not fit leave no policy to decide at the start: that is told, and nothing is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_do_not_validate_at_the_start_are_told() {
    let mut world = World::prepare().await;
    world.config.setting("rescue-attempts", 99);
    world.launch();
    let told = |status: &watchkeeper::api::StatusReport| {
        ["configuration-rejected", "guest-rejected"]
            .into_iter()
            .filter_map(|name| summary(status, name))
            .any(|said| said.contains("rescue-attempts"))
    };
    let status = world.wait_or_end(told).await;
    assert!(status, "{}", world.log());
    assert!(world.plans().is_empty());
}
