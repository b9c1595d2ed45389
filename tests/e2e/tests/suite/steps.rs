//! Steps of the site's own in a change of side.

use std::path::PathBuf;

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::Act;

use crate::harness::{World, summary};

/// Where the plan's steps stand, by what they are.
fn place(steps: &[String], what: &str) -> usize {
    steps
        .iter()
        .position(|step| step.contains(what))
        .unwrap_or_else(|| panic!("{what}: {steps:#?}"))
}

/// A site's steps run where they were put, with what they need to know, and are tried again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_s_steps_run_at_their_points_and_are_retried() {
    let mut world = World::prepare().await;
    let notes = world.path("notes");
    let config = &mut world.config;
    let tell = config.site_step("tell", "before-stop", "echo leaving {from} for {to}");
    config.set(&format!("{tell}.server"), "dm3");
    // It fails the first time.
    let address = format!(
        "echo try >> {0}; test $(wc -l < {0}) -ge 2 && echo moved {{from}} {{to}} {{cluster}} {{plan}} >> {0}",
        notes.display()
    );
    let address = config.site_step("address", "before-start", &address);
    config.set(&format!("{address}.repeatable"), true).set(&format!("{address}.attempts"), 3);
    let late = config.site_step("late", "after-start", "exit 7");
    config.set(&format!("{late}.optional"), true);
    world.run().await;
    world.ok(&["switchover", "--reason", "a test"]).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();

    let plan = world.changes().swap_remove(0);
    let steps: Vec<String> = plan.steps.iter().map(|step| step.act.to_string()).collect();
    assert!(place(&steps, "step tell") < place(&steps, "stop dm1/"));
    assert!(place(&steps, "step address") > place(&steps, "confirm that dm1"));
    assert!(place(&steps, "step address") < place(&steps, "start dm2/activemq"));
    assert!(place(&steps, "step late") > place(&steps, "verify"));

    let said = world.site.log().into_iter().map(|(_, what)| what).find(|it| it.contains("echo"));
    let said = said.expect("it ran on dm3");
    assert!(said.contains("dm3") && said.contains("leaving primary for secondary"), "{said}");
    let notes = std::fs::read_to_string(notes).unwrap();
    assert_eq!(notes, format!("try\ntry\nmoved primary secondary prod {}\n", plan.number));
    let attempts = |index: usize| {
        let of_step = |event: &Event| match event {
            Event::StepEnded { step, outcome, .. } if *step == index => Some(outcome.clone()),
            _ => None,
        };
        world.journal().iter().filter_map(|record| of_step(&record.event)).collect::<Vec<_>>()
    };
    let address = attempts(place(&steps, "step address"));
    assert!(
        matches!(address[..], [Outcome::Failed { .. }, Outcome::Done { changed: true, .. }]),
        "{address:?}"
    );
    let late = attempts(place(&steps, "step late"));
    assert!(matches!(late[..], [Outcome::Failed { .. }]), "{late:?}");
}

/// A preparation that fails ends the change before anything is touched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_preparation_leaves_the_active_side_alone() {
    let mut world = World::start_with(|config| {
        config.site_step("never", "before-stop", "echo 'not today' >&2; exit 3");
    })
    .await;
    let said = world.cli(&["switchover", "--reason", "a test"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    world.wait_active(Side::Primary).await;
    world.assert_nothing_started_on_secondary();
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert!(world.site.is_ready("dm1", service), "{service}");
    }
    let told = world.ok(&["explain"]).await;
    assert!(told.out.contains("not today"), "{}", told.out);
}

/// A failover in whose own step the daemon was killed, which was started again and asks; and the file in which
/// that step notes each run.
pub(crate) async fn killed_in_a_step_of_the_site() -> (World, PathBuf) {
    let mut world = World::prepare().await;
    let notes = world.path("notes");
    let command = format!("echo ran >> {}; sleep 20", notes.display());
    world.config.site_step("once", "before-start", &command);
    world.config.setting("rescue-attempts", 0);
    world.run().await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_intended("the step", |act| matches!(act, Act::Site(_))).await;
    world.wait_site("it runs", |_| notes.exists()).await;
    world.kill9().await;
    world.run().await;
    world.wait_alert("needs-operator").await;
    (world, notes)
}

/// What must not be repeated is not: after a crash in the middle of it a person is asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_that_is_not_repeatable_stops_and_asks_after_a_crash() {
    let (mut world, notes) = killed_in_a_step_of_the_site().await;
    world.wait_taken("needs-operator", "firing").await;
    let status = world.let_pass(10).await;
    assert!(status.clusters[0].phase.contains("operator"), "{}", status.clusters[0].phase);
    world.assert_nothing_started_on_secondary();
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "ran\n");
    let uncertain = world.journal().into_iter().any(|record| {
        matches!(record.event, Event::StepEnded { outcome: Outcome::Uncertain { .. }, .. })
    });
    assert!(uncertain);

    // The operator has looked, and says so.
    world.site.allow_start("dm1", Service::Daemon).unwrap();
    world.ok(&["declare", "primary", "--reason", "looked"]).await;
    world
        .wait_site("the side is whole again", |site| {
            [Service::Activemq, Service::Daemon, Service::Rest]
                .iter()
                .all(|service| site.is_ready("dm1", *service) || site.is_ready("dm2", *service))
        })
        .await;
    world.wait_for("no question", |status| summary(status, "needs-operator").is_none()).await;
    world.assert_never_both();
}
