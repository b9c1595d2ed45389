//! What is measured beside up and down.

use watchkeeper_core::event::Event;
use watchkeeper_core::facts::Value;
use watchkeeper_core::model::Status;

use crate::harness::{World, cluster};

/// Disks and latencies are there for policies, and have no say: a server whose disks cannot be looked at
/// is as up as before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disks_and_latencies_are_measured_beside_what_is_up() {
    let mut world = World::prepare().await;
    world.config.set("clusters.prod.resources.paths", vec!["/", "/var/lib/pgsql"]);
    world.config.set("clusters.prod.resources.servers", vec!["dm1", "dm2"]);
    world.run().await;
    let seen = world
        .wait_record("dm1's disks", |record| match &record.event {
            Event::Observed(seen) if seen.probe.to_string() == "dm1/resources" => {
                Some(seen.clone())
            }
            _ => None,
        })
        .await;
    assert_eq!(seen.status, Status::Up, "{seen:?}");
    for name in ["disk-used-percent", "disk-root-used-percent", "disk-var-lib-pgsql-used-percent"] {
        assert_eq!(seen.values.get(name), Some(&Value::Number(50.0)), "{seen:?}");
    }
    assert_eq!(seen.values.get("memory-available-percent"), Some(&Value::Number(25.0)));
    let latency = world
        .wait_record("how long REST takes", |record| match &record.event {
            Event::Observed(seen) if seen.probe.to_string() == "dm1/rest/rest" => {
                seen.values.get("latency-ms").cloned()
            }
            _ => None,
        })
        .await;
    assert!(matches!(latency, Value::Integer(0..)), "{latency:?}");
    let status = world.status().await;
    assert!(cluster(&status).servers.iter().all(|server| server.status == Status::Up));
    let others = world.journal().into_iter().any(|record| match record.event {
        Event::Observed(seen) => seen.probe.to_string() == "dm3/resources",
        _ => false,
    });
    assert!(!others, "dm3 was not asked for");
}
