//! What other servers find of the active one: a recorded fact, and a policy that judges it.

use watchkeeper_core::event::Event;
use watchkeeper_core::facts::Value;
use watchkeeper_core::model::{Service, Side, Status};

use crate::harness::{World, cluster, guest};

/// data-mover-ha and, before it, vantage-quorum.
async fn guarded() -> World {
    let mut world = World::prepare().await;
    world.put_policy("vantage-quorum", &guest("vantage-quorum").await);
    let policy = world.config.policy("vantage-quorum", &["hold", "alert"]);
    world.config.set(&format!("{policy}.settings.monitor"), "vp1");
    world.run().await;
    world
}

/// The failover waits for both others, goes on once they find the host gone, and the journal has what
/// they found before the decision that rests on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_host_is_replaced_once_a_quorum_finds_it_gone() {
    let mut world = guarded().await;
    world.site.crash_server("dm1").await.unwrap();
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    let records = world.journal();
    let begun = records.iter().position(|it| matches!(it.event, Event::PlanBegun(_))).unwrap();
    let testified = |witness: &str| {
        records[..begun].iter().any(|record| match &record.event {
            Event::Observed(seen) => {
                seen.probe.witness() == Some(witness)
                    && seen.probe.server.as_str() == "dm1"
                    && seen.status == Status::Down
            }
            _ => false,
        })
    };
    assert!(testified("dm2") && testified("dm3"));
    let story = world.ok(&["explain"]).await.out;
    assert!(story.contains("dm1 seen-from-dm2 = gone"), "{story}");
}

/// Who is cut off does not even begin; it tells what it is cut off from, and goes on once it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_that_is_cut_off_holds_and_names_who_still_sees_the_server() {
    let mut world = guarded().await;
    world.site.cut("dm1", None).unwrap();
    let told = world.wait_alert("monitor-cut-off").await;
    assert!(told.starts_with("vp1 is cut off from dm1: "), "{told}");
    let status = world
        .wait_for("both to see it", |status| {
            cluster(status).servers.iter().any(|server| {
                let sees = |witness| server.seen_from.get(witness).is_some_and(|it| it == "alive");
                server.name.as_str() == "dm1" && sees("dm2") && sees("dm3")
            })
        })
        .await;
    assert_eq!(cluster(&status).active, Side::Primary);
    let text = world.ok(&["status"]).await.out;
    assert!(text.contains("seen from dm3: alive"), "{text}");
    world
        .wait_for("a failover to be wanted and held", |status| {
            let cluster = cluster(status);
            cluster.wants.is_some()
                && cluster.held_by.iter().any(|it| it.contains("vantage-quorum"))
        })
        .await;
    assert!(world.plans().is_empty(), "{:?}", world.plans());

    world.site.heal("dm1", None).unwrap();
    world.wait_no_alert("monitor-cut-off").await;
    world.let_pass(5).await;
    // A look that began while it was cut off may end afterwards, as one at something that does not
    // answer: that is no reason to leave the side, and the start looks first and changes nothing.
    assert!(world.changes().is_empty(), "{:?}", world.changes());
    for service in [Service::Repository, Service::Activemq, Service::Daemon] {
        assert!(world.site.is_ready("dm1", service), "{service}");
        assert_eq!(world.site.start_requests("dm1", service), 1, "the test's own, of {service}");
    }
    let recorded = world.journal().into_iter().any(|record| match record.event {
        Event::Observed(seen) => {
            seen.values.get("seen-from-dm2") == Some(&Value::Text("alive".into()))
        }
        _ => false,
    });
    assert!(recorded, "what a witness found is in the journal");
}
