//! `status --dmcluster`, as scripts that were written around the vendor's monitor see it.

use watchkeeper_core::model::{Service, Side, Status};

use crate::harness::{Said, World};

const ASK: [&str; 2] = ["status", "--dmcluster"];

/// What is installed on each server, as the vendor names it, in the order of the lines.
const ALL: [(&str, &str); 11] = [
    ("dm1", "Data Mover repository"),
    ("dm1", "ActiveMQ"),
    ("dm1", "Data Mover daemon"),
    ("dm1", "Data Mover agent"),
    ("dm1", "Data Mover REST"),
    ("dm2", "Data Mover repository"),
    ("dm2", "ActiveMQ"),
    ("dm2", "Data Mover daemon"),
    ("dm2", "Data Mover agent"),
    ("dm2", "Data Mover REST"),
    ("dm3", "Data Mover agent"),
];

/// The lines while exactly what `running` says runs.
fn lines(world: &World, running: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let line = |(server, name): &(&str, &str)| {
        let host = world.site.address(server).unwrap();
        let status = if running(server, name) { "is RUNNING" } else { "is NOT RUNNING" };
        format!("{name} {status} on {host}")
    };
    ALL.iter().map(line).collect()
}

/// What runs on a side's server while that side is active.
fn of_active(name: &str) -> bool {
    matches!(name, "ActiveMQ" | "Data Mover daemon" | "Data Mover REST")
}

fn said(said: &Said) -> Vec<&str> {
    said.out.lines().collect()
}

/// Every service has its line and its place, whatever its status; a script can rely on the code.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_service_has_a_line_in_the_same_order_whatever_its_status() {
    let mut world = World::start_with(|config| {
        config.setting("rescue-services", Vec::<String>::new());
        config.setting("failover-services", vec!["repository"]);
    })
    .await;
    let calm = world.ok(&ASK).await;
    assert_eq!(said(&calm), lines(&world, |server, name| server != "dm2" || !of_active(name)));

    world.break_service("dm1", Service::Rest).await;
    world.wait_alert("service-down").await;
    let down = world.cli(&ASK).await;
    assert_eq!(down.code, Some(1), "{down:?}");
    let wanted = |server: &str, name: &str| {
        (server == "dm1" && name != "Data Mover REST") || (server != "dm1" && !of_active(name))
    };
    assert_eq!(said(&down), lines(&world, wanted));

    let json = world.cli(&["status", "--dmcluster", "--json"]).await;
    assert_eq!(json.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    let rest = json.as_array().unwrap().iter().find(|it| it["name"] == "Data Mover REST").unwrap();
    assert_eq!((&rest["server"], &rest["service"]), (&"dm1".into(), &"rest".into()));
    assert_eq!((&rest["running"], &rest["expected"]), (&false.into(), &true.into()));
}

/// What is not known is no service that runs, and says why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_unknown_does_not_read_as_running() {
    let mut world = World::start().await;
    world.site.change_host_key("dm3").unwrap();
    wait(&mut world, "dm3", Status::Unknown).await;
    let unknown = world.cli(&ASK).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    let host = world.site.address("dm3").unwrap().to_string();
    let agent = said(&unknown).into_iter().find(|line| line.contains(&host)).unwrap();
    let begins = format!("Data Mover agent is NOT RUNNING on {host} (unknown: ");
    assert!(agent.starts_with(&begins) && agent.contains("host key"), "{agent}");
    assert_eq!(said(&unknown).iter().filter(|it| it.contains("is RUNNING")).count(), 7);
}

/// Waits until the agent of a server is found so.
async fn wait(world: &mut World, server: &str, status: Status) {
    world
        .wait_for(&format!("the agent of {server} {status}"), |report| {
            let mut services = report.clusters[0].services.iter();
            services.any(|it| {
                it.server.as_str() == server && it.service == Service::Agent && it.status == status
            })
        })
        .await;
}

/// After a change of side it is as it is meant to be with the other server's lines, whether the
/// agent of the old primary runs or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_switchover_moves_what_runs() {
    let mut world = World::start().await;
    world.ok(&["switchover", "--reason", "a test"]).await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world
        .wait_for("all of DM2", |status| {
            let mut services = status.clusters[0].services.iter();
            services.all(|it| !it.expected || it.status == Status::Up)
        })
        .await;
    let moved = world.ok(&ASK).await;
    assert_eq!(said(&moved), lines(&world, |server, name| server != "dm1" || !of_active(name)));

    world.site.stop_service("dm1", Service::Agent).await.unwrap();
    wait(&mut world, "dm1", Status::Down).await;
    let left = world.ok(&ASK).await;
    let wanted = |server: &str, name: &str| server != "dm1" || name == "Data Mover repository";
    assert_eq!(said(&left), lines(&world, wanted));
}

/// With several clusters it has to be said which, with a wrong one what there is; without a daemon
/// the code is its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_cluster_is_chosen_and_no_daemon_is_told_apart() {
    let mut world = World::start_with(|config| {
        for (name, server) in [("primary", "dm2"), ("secondary", "dm3")] {
            config.set(&format!("clusters.second.{name}"), server);
            let services: Vec<&str> = if server == "dm2" { vec!["repository"] } else { vec![] };
            config.set(&format!("clusters.second.servers.{server}.services"), services);
            config.set(&format!("clusters.second.servers.{server}.address"), "192.0.2.1");
        }
    })
    .await;
    let which = world.cli(&ASK).await;
    assert_eq!(which.code, Some(1), "{which:?}");
    assert!(which.out.is_empty() && which.err.contains("--cluster: prod, second"), "{which:?}");
    let prod = world.ok(&["status", "--dmcluster", "--cluster", "prod"]).await;
    assert_eq!(said(&prod).len(), ALL.len());
    let plain = world.ok(&["status", "--cluster", "second"]).await;
    assert!(plain.out.contains("cluster second:") && !plain.out.contains("cluster prod:"));
    let wrong = world.cli(&["status", "--dmcluster", "--cluster", "nord"]).await;
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(wrong.err.contains("there is prod, second"), "{wrong:?}");

    world.stop().await;
    let none = world.cli(&["status", "--dmcluster", "--cluster", "prod"]).await;
    assert_eq!((none.code, none.out.as_str()), (Some(3), ""), "{none:?}");
}
