//! Routes, silences, acknowledgements and dead letters, from the command line to the receiver.

use serde_json::Value;
use watchkeeper_core::event::Event;
use watchkeeper_core::model::Service;

use crate::harness::{Config, World};

/// Everything about a cluster in one message, after half a second.
fn grouped(config: &mut Config) {
    config
        .set("route.receiver", "ops")
        .set("route.group-by", vec!["cluster"])
        .set("route.group-wait", "500ms")
        .set("route.group-interval", "1s");
}

/// The bodies that the receiver took.
fn bodies(world: &World) -> Vec<Value> {
    let requests = world.site.sink().requests().into_iter();
    let taken = requests.filter(|request| request.answered == 200);
    taken.map(|request| serde_json::from_str(&request.body).unwrap()).collect()
}

/// What happens together is told together, and its end in the same group.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_told_in_one_message_and_its_end_too() {
    let mut world = World::start_with(grouped).await;
    for server in ["dm2", "dm3"] {
        world.break_service(server, Service::Agent).await;
    }
    let told = world.wait_taken("agent-down", "firing").await;
    assert!(told["summary"].as_str().unwrap().contains("agent"), "{told}");
    for server in ["dm2", "dm3"] {
        world.site.allow_start(server, Service::Agent).unwrap();
        world.site.start_service(server, Service::Agent).await.unwrap();
    }
    world
        .wait_record("the group is over", |record| match &record.event {
            Event::NotificationMade(made) if made.cause.as_str() == "over" => Some(()),
            _ => None,
        })
        .await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    assert_eq!(world.told("agent-down", "firing"), world.told("agent-down", "resolved"));
    let keys: Vec<Value> = bodies(&world).iter().map(|body| body["group_key"].clone()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    let last = bodies(&world).pop().unwrap();
    assert_eq!((last["cause"].as_str(), last["status"].as_str()), (Some("over"), Some("resolved")));
    assert_eq!(last["group_labels"]["cluster"], "prod");
}

/// What is silenced is not told, is seen, and is told when the silence ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silence_holds_back_until_it_is_ended() {
    let mut world = World::start().await;
    let refused = world.cli(&["alerts", "silence", "x=~.*", "--for", "1h", "--comment", "c"]).await;
    assert!(refused.err.contains("does not fit everything"), "{}", refused.err);
    let made = ["alerts", "silence", "server=dm3", "--for", "1h", "--comment", "it is being moved"];
    let said = world.ok(&made).await.out;
    let id = said.split_whitespace().nth(1).unwrap().to_owned();
    world.break_service("dm3", Service::Agent).await;
    world.wait_alert("agent-down").await;
    world.let_pass(3).await;
    assert!(world.taken("agent-down", "firing").is_empty());
    let list = world.ok(&["alerts", "list"]).await.out;
    assert!(list.contains(&format!("silence {id}")) && list.contains("nobody was told"), "{list}");
    let silences = world.ok(&["alerts", "silences"]).await.out;
    assert!(silences.contains("it is being moved") && silences.contains("holds"), "{silences}");
    world.kill9().await;
    world.run().await;
    world.wait_alert("agent-down").await;
    assert!(world.taken("agent-down", "firing").is_empty(), "a silence outlives the daemon");
    world.ok(&["alerts", "unsilence", &id]).await;
    world.wait_taken("agent-down", "firing").await;
    let again = world.cli(&["alerts", "unsilence", &id]).await;
    assert!(again.err.contains("was over"), "{}", again.err);
}

/// A receiver that refused gets it after all when an operator says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_seen_tried_again_and_delivered() {
    let mut world = World::start().await;
    world.site.sink().fail(1, 404);
    world.break_service("dm3", Service::Agent).await;
    world.wait_for("the dead letter", |status| status.outbox.1 == 1).await;
    let outbox = world.ok(&["alerts", "outbox"]).await.out;
    assert!(outbox.contains("DEAD") && outbox.contains("404"), "{outbox}");
    let wrong = world.cli(&["alerts", "retry", "4711"]).await;
    assert!(wrong.err.contains("4711 is no dead letter"), "{}", wrong.err);
    world.ok(&["alerts", "retry", "--all"]).await;
    world.wait_taken("agent-down", "firing").await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    assert_eq!(world.ok(&["alerts", "outbox"]).await.out, "everything is delivered\n");
}

/// Repeats come until somebody takes care; a heartbeat comes always.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn repeats_stop_when_somebody_takes_care() {
    let mut world = World::start_with(|config| {
        config
            .set("route.receiver", "ops")
            .set("route.group-by", vec!["..."])
            .set("route.group-wait", "0s")
            .set("route.group-interval", "0s")
            .set("route.repeat-interval", "300ms");
    })
    .await;
    world.break_service("dm3", Service::Agent).await;
    let fires = world.wait_taken("agent-down", "firing").await;
    let repeats = |world: &World| {
        let about = |body: &Value| body["alerts"][0]["name"] == "agent-down";
        bodies(world).iter().filter(|it| about(it) && it["cause"] == "repeat").count()
    };
    world
        .wait_site("two repeats", |site| {
            let bodies =
                site.sink().requests().into_iter().filter(|it| it.body.contains("\"repeat\""));
            bodies.count() >= 2
        })
        .await;
    let digits = fires["fingerprint"].as_str().unwrap().get(..6).unwrap().to_owned();
    world.ok(&["alerts", "ack", &digits, "--comment", "on my way"]).await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    let before = repeats(&world);
    world.let_pass(4).await;
    assert!(repeats(&world) <= before + 1, "one may have been under way");
    let list = world.ok(&["alerts", "list"]).await.out;
    assert!(list.contains("takes care of it (on my way)"), "{list}");
}

/// A test goes the whole way, and says what is wrong when it does not arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_is_tried_from_the_console() {
    let mut world = World::start_with(|config| {
        config.set("heartbeat.receiver", "ops").set("heartbeat.every", "5s");
    })
    .await;
    world.wait_taken("heartbeat", "firing").await;
    let said = world.ok(&["alerts", "test", "ops", "--severity", "critical"]).await.out;
    assert!(said.contains("ops has taken both"), "{said}");
    assert_eq!(world.taken("test", "firing").len(), 1);
    assert_eq!(world.taken("test", "resolved").len(), 1);
    let unknown = world.cli(&["alerts", "test", "pager"]).await;
    assert!(unknown.err.contains("there is ops"), "{}", unknown.err);
    world.site.sink().fail(usize::MAX, 403);
    let refused = world.cli(&["alerts", "test", "ops", "--json"]).await;
    let refused: Value = serde_json::from_str(&refused.out).unwrap();
    assert_eq!(refused["delivered"], false);
    assert!(refused["problem"].as_str().unwrap().contains("403"), "{refused}");
    // Without a daemon it is said who would be told.
    world.site.sink().fail(0, 200);
    world.stop().await;
    let route = ["alerts", "route", "alertname=agent-down", "cluster=prod"];
    let said = world.ok(&route).await.out;
    assert!(said.starts_with("ops by the route"), "{said}");
    let shown = ["alerts", "preview", "ops", "alertname=agent-down", "cluster=prod", "--over"];
    let json = world.ok(&[&shown[..], &["--json"]].concat()).await.out;
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["next"], "send");
    assert_eq!(json["request"]["http"]["method"], "POST");
    assert_eq!(json["request"]["http"]["body"]["status"], "resolved");
    let shown = world.ok(&shown).await.out;
    assert!(shown.starts_with("POST http://") && shown.contains("\"resolved\""), "{shown}");
    let beat = world.ok(&["alerts", "route", "alertname=heartbeat", "source=engine"]).await.out;
    assert!(beat.contains("repeated after 5s"), "{beat}");
}

/// A file that is refused for another reason than before is told anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_mistake_is_another_alert() {
    let mut world = World::start().await;
    let told = |world: &World| {
        let all = world.journal();
        let fired = all.iter().filter_map(|record| match &record.event {
            Event::AlertFired(alert) if alert.claim.name == "configuration-rejected" => {
                Some(alert.claim.summary.clone())
            }
            _ => None,
        });
        fired.collect::<Vec<_>>()
    };
    for (tail, part) in [("nonsense = 1\n", "nonsense"), ("rubbish = 1\n", "rubbish")] {
        world.config.tail = format!("[{part}]\n{tail}");
        world.write_config();
        world
            .wait_record("the mistake", |record| match &record.event {
                Event::AlertFired(alert) if alert.claim.summary.contains(part) => Some(()),
                _ => None,
            })
            .await;
    }
    assert_eq!(told(&world).len(), 2, "{:?}", told(&world));
    world.config.tail.clear();
    world.write_config();
    world.wait_no_alert("configuration-rejected").await;
}
