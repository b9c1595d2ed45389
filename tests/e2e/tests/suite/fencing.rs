//! Servers that cannot be confirmed stopped are switched off, or nothing starts.

use std::path::Path;
use std::time::Duration;

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::plan::Act;

use crate::harness::{World, summary};

/// What the agents are given as a secret.
const PASSWORD: &str = "hunter2-of-the-bmc";

/// Makes a fence agent of the interface of `ClusterLabs`. To switch off it asks whoever has the power, by
/// the file NAME.wanted, and waits for NAME.off.
fn outlet(world: &World, name: &str) {
    let script = format!(
        "#!/bin/sh\n\
         while read -r line; do eval \"${{line%%=*}}='${{line#*=}}'\"; done\n\
         test \"$password\" = {PASSWORD} || {{ echo \"Failed: $password is wrong\" >&2; exit 1; }}\n\
         cd {0}\n\
         case $action in\n\
         status) test ! -e {name}.off || exit 2;;\n\
         off) touch {name}.wanted; while test ! -e {name}.off; do sleep 0.05; done;;\n\
         *) exit 1;;\n\
         esac\n",
        world.path("").display()
    );
    agent(world, name, &script);
}

fn agent(world: &World, name: &str, script: &str) {
    use std::os::unix::fs::PermissionsExt;
    world.put(name, script.as_bytes());
    let file = world.path(name);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Has the agents of these names, the levels of dm1 in their order; dm2 has the last one.
async fn fenced(levels: &[&str]) -> World {
    let mut world = World::prepare().await;
    world.put("bmc", PASSWORD.as_bytes());
    std::fs::set_permissions(
        world.path("bmc"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    world.config.set("secrets.bmc.file", "bmc");
    for name in levels {
        outlet(&world, name);
        let path = format!("fences.{name}");
        let program = world.path(name).display().to_string();
        world.config.set(&format!("{path}.agent"), program);
        world.config.set(&format!("{path}.secrets.password"), "bmc");
        world.config.set(&format!("{path}.check-interval"), "500ms");
    }
    let last = levels.last().copied().unwrap();
    world.config.set("clusters.prod.servers.dm1.fence", levels.to_vec());
    world.config.set("clusters.prod.servers.dm2.fence", vec![last]);
    world
}

/// Takes dm1's power when an agent of this name wants it.
async fn obey(world: &World, name: &str) {
    let wanted = world.path(&format!("{name}.wanted"));
    wait_file(&wanted).await;
    world.site.crash_server("dm1").await.unwrap();
    world.put(&format!("{name}.off"), b"");
}

async fn wait_file(path: &Path) {
    let limit = Duration::from_mins(2);
    let there = async {
        while !path.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(limit, there).await.unwrap_or_else(|_| panic!("no {}", path.display()));
}

/// How the confirmation of the first change of side ended, each attempt.
fn confirmations(world: &World) -> Vec<Outcome> {
    let Some(plan) = world.changes().into_iter().next() else { return Vec::new() };
    let confirm = plan.steps.iter().position(|it| matches!(it.act, Act::ConfirmInactive { .. }));
    let ended = |event: Event| match event {
        Event::StepEnded { plan: of, step, outcome, .. } if of == plan.number => {
            (Some(step) == confirm).then_some(outcome)
        }
        _ => None,
    };
    world.journal().into_iter().filter_map(|record| ended(record.event)).collect()
}

/// A host that stands still accepts connections and says nothing: no witness can call it gone. It may
/// go on at any moment, and is switched off before anything starts across.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_switched_off_before_the_other_side_starts() {
    let mut world = fenced(&["ipmi"]).await;
    world.run().await;
    world
        .wait_record("what the agent says in calm times", |record| match &record.event {
            Event::Observed(seen) if seen.probe.to_string() == "dm1/fence-ipmi" => {
                (seen.status == Status::Up).then_some(())
            }
            _ => None,
        })
        .await;
    world.site.freeze("dm1").unwrap();
    wait_file(&world.path("ipmi.wanted")).await;
    world.assert_nothing_started_on_secondary();
    obey(&world, "ipmi").await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    let confirmed = confirmations(&world);
    let [Outcome::Done { detail, changed: true }] = confirmed.as_slice() else {
        panic!("{confirmed:?}")
    };
    assert!(detail.ends_with("dm1 was switched off by ipmi"), "{detail}");
    // What is switched on again is a standby.
    std::fs::remove_file(world.path("ipmi.off")).unwrap();
    let exclusive = [Service::Activemq, Service::Daemon, Service::Rest];
    world.site.boot_server_starting("dm1", &exclusive).await.unwrap();
    world
        .wait_site("the strays to be stopped", |site| {
            exclusive.iter().all(|service| !site.is_running("dm1", *service))
        })
        .await;
    assert_eq!(world.cluster().await.active, Side::Secondary);
}

/// The first level that manages to counts, and what the others said is kept, without the password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_level_does_what_the_first_cannot() {
    let mut world = fenced(&["ipmi", "outlet"]).await;
    agent(&world, "ipmi", &format!("#!/bin/sh\necho 'Failed: {PASSWORD} is wrong' >&2; exit 1\n"));
    world.run().await;
    world.site.crash_server("dm1").await.unwrap();
    obey(&world, "outlet").await;
    world.wait_active(Side::Secondary).await;
    world.assert_never_both();
    let confirmed = confirmations(&world);
    let [Outcome::Done { detail, changed: true }] = confirmed.as_slice() else {
        panic!("{confirmed:?}")
    };
    assert!(
        detail.contains("dm1 was switched off by outlet (before it: ipmi (status):"),
        "{detail}"
    );
    assert!(detail.contains("Failed: <secret> is wrong"), "{detail}");
    assert!(!world.log().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_switched_off_is_not_replaced() {
    let mut world = fenced(&["ipmi"]).await;
    agent(&world, "ipmi", "#!/bin/sh\necho 'Failed: no answer' >&2; exit 1\n");
    world.run().await;
    world.site.freeze("dm1").unwrap();
    let ending = world
        .wait_record("the end of the plan", |record| match &record.event {
            Event::PlanEnded { ending, .. } => Some(ending.clone()),
            _ => None,
        })
        .await;
    let PlanEnding::Refused { detail, .. } = ending else { panic!("{ending:?}") };
    assert!(detail.contains("dm1 could not be fenced: ipmi (status):"), "{detail}");
    world.assert_nothing_started_on_secondary();
    // It goes on as if nothing had been, and nothing has.
    world.site.thaw("dm1").unwrap();
    world.wait_taken("server-unreachable", "resolved").await;
    assert_eq!(world.cluster().await.active, Side::Primary);
    world.assert_nothing_started_on_secondary();
    world.assert_never_both();
}

/// A server that answers is fenced only after it was asked to stop, and did not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_will_not_stop_costs_its_server_the_power() {
    let mut world = fenced(&["ipmi"]).await;
    let commands = "clusters.prod.servers.dm1.service-commands.activemq";
    world.config.set(&format!("{commands}.stop"), "exit 1");
    world.run().await;
    world.break_service("dm1", Service::Daemon).await;
    obey(&world, "ipmi").await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    let confirmed = confirmations(&world);
    let [Outcome::Done { detail, .. }] = confirmed.as_slice() else { panic!("{confirmed:?}") };
    assert!(detail.starts_with("dm1/activemq still runs; dm1 was switched off"), "{detail}");
}

/// What would be needed in the night is known by day.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_does_not_answer_is_told_and_check_says_what_protects() {
    let mut world = fenced(&["ipmi"]).await;
    world.config.set("probes.unknown-after", "1s");
    let said = {
        world.write_config();
        world.ok(&["check"]).await.out
    };
    let expected = "prod: if the active side cannot be asked whether it has stopped, dm1 is switched off by ipmi, \
                    dm2 is switched off by ipmi; if that fails, nothing is started";
    assert!(said.contains(expected), "{said}");
    world.run().await;
    agent(&world, "ipmi", "#!/bin/sh\necho 'Failed: no answer' >&2; exit 1\n");
    // On a busy machine another probe may find nothing out as well.
    world
        .wait_for("the alert", |status| {
            summary(status, "probe-unknown")
                .is_some_and(|it| it.contains("fence-ipmi") && it.contains("no answer"))
        })
        .await;
    // It has no say in whether the server is up.
    assert_eq!(world.cluster().await.active, Side::Primary);
    assert!(world.changes().is_empty());
}
