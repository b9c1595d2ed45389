//! Alerts on their way to people.

use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;

use crate::harness::World;

/// A receiver that is down for a while misses nothing and gets nothing twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_was_down_gets_it_once_it_is_back() {
    let mut world = World::start().await;
    world.site.sink().down().await;
    world.break_service("dm3", Service::Agent).await;
    world
        .wait_record("an attempt", |record| {
            matches!(record.event, Event::NotificationTried { .. }).then_some(())
        })
        .await;
    world.site.sink().up().await.unwrap();
    world.wait_taken("agent-down", "firing").await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    assert_eq!(world.taken("agent-down", "firing").len(), 1);
    world.assert_taken_once();
}

/// An answer of 500 is no delivery: it is tried again, and counts once it is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_fails_is_tried_again() {
    let mut world = World::start().await;
    world.site.sink().fail(2, 503);
    world.break_service("dm3", Service::Agent).await;
    world.wait_taken("agent-down", "firing").await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    assert!(world.site.sink().requests().iter().filter(|it| it.answered == 503).count() == 2);
    world.assert_taken_once();
}

/// What cannot be delivered for too long ends in a list that can be seen, not nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_that_never_takes_it_leaves_a_dead_letter() {
    let mut world = World::start_with(|config| {
        config.set("receivers.ops.give-up-after", "1s");
    })
    .await;
    world.site.sink().fail(usize::MAX, 500);
    world.break_service("dm3", Service::Agent).await;
    let problem = world
        .wait_record("the dead letter", |record| match &record.event {
            Event::NotificationDead { problem, .. } => Some(problem.clone()),
            _ => None,
        })
        .await;
    assert!(problem.contains("500"), "{problem}");
    world.wait_for("the dead letter", |status| status.outbox.1 > 0).await;
}

/// A secret reaches the receiver and nothing else: no log, no journal, no status, no guest.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_reaches_its_receiver_and_nothing_else() {
    const SECRET: &str = "Zq8-sesame-open-4711";
    let mut world = World::prepare().await;
    world.put("token", SECRET.as_bytes());
    world.filter = "trace".to_owned();
    world
        .config
        .set("secrets.token.file", "token")
        .set("receivers.ops.secrets", vec!["token"])
        .set("receivers.ops.settings.headers", vec!["X-Token: Bearer {{secret \"token\"}}"])
        // A refusal is where requests like to be shown.
        .set("receivers.ops.retry-first", "200ms");
    world.run().await;
    world.site.sink().fail(1, 401);
    world.break_service("dm3", Service::Agent).await;
    world.wait_site("a request", |site| !site.sink().requests().is_empty()).await;
    let request = world.site.sink().requests().swap_remove(0);
    let token = request.headers.iter().find(|(name, _)| name == "x-token");
    assert_eq!(token.map(|(_, value)| value.as_str()), Some("Bearer Zq8-sesame-open-4711"));
    assert!(!request.body.contains(SECRET));
    world.let_pass(5).await;

    for args in [&["status"][..], &["status", "--json"], &["explain"], &["policy", "list"]] {
        let said = world.cli(args).await;
        assert!(!said.out.contains(SECRET) && !said.err.contains(SECRET), "{args:?}");
    }
    let said = world.ok(&["journal", "show", "--limit", "10000", "--json"]).await;
    assert!(said.out.contains("notification-made") && !said.out.contains(SECRET));
    assert!(world.log().contains("TRACE"), "the log says all it can");
    assert!(!world.log().contains(SECRET));
    world.stop().await;
    for file in std::fs::read_dir(world.path("state")).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

/// A secret goes where it was granted to, and not to a host that a setting names on the way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_to_a_host_that_is_not_granted_is_not_sent() {
    let mut world = World::start_with(|config| {
        config.set("receivers.ops.hosts", vec!["alerts.example.com"]);
    })
    .await;
    world.break_service("dm3", Service::Agent).await;
    let problem = world
        .wait_record("the refusal", |record| match &record.event {
            Event::NotificationTried { problem, .. } | Event::NotificationDead { problem, .. } => {
                Some(problem.clone())
            }
            _ => None,
        })
        .await;
    assert!(problem.contains("127."), "it names the host: {problem}");
    world.let_pass(3).await;
    assert!(world.site.sink().requests().is_empty());
}
