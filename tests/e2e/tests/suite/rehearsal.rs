//! `watchkeeper rehearse`: every step of a plan tried without its effects.

use watchkeeper::act::rehearse::Found;
use watchkeeper::api::RehearsalLine;
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::model::Service;
use watchkeeper_site::Flaw;

use crate::harness::{Said, World};

/// What was said, line by line.
fn lines(said: &Said) -> Vec<RehearsalLine> {
    let line = |line: &str| {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}\n{said:?}"))
    };
    said.out.lines().map(line).collect()
}

/// What speaks against which step.
fn failing(said: &Said) -> Vec<String> {
    let mut found = Vec::new();
    for line in lines(said) {
        let RehearsalLine::Step { act, trials, .. } = line else { continue };
        for trial in trials.iter().filter(|trial| trial.fails()) {
            let (Found::Impossible { detail } | Found::Unknown { detail }) = &trial.found else {
                continue;
            };
            found.push(format!("{act}: {}: {detail}", trial.what));
        }
    }
    found
}

/// What happened on the site.
fn happened(world: &World) -> Vec<String> {
    world.site.log().into_iter().map(|(_, what)| what).collect()
}

async fn started() -> World {
    World::start_with(|config| {
        config.replicated();
        let step = config.site_step("move-address", "before-start", "echo moved");
        config.set(&format!("{step}.server"), "dm3");
        let step = config.site_step("change-dns", "after-start", "/bin/false");
        config.set(&format!("{step}.rehearse"), "/bin/echo the zone can be written");
    })
    .await
}

/// In calm times all could be done: each step says what it found, and nothing has happened.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_calm_times_every_step_is_tried_and_nothing_is_done() {
    let mut world = started().await;
    let before = (happened(&world), world.plans().len());
    for kind in ["failover", "switchover"] {
        let said = world.cli(&["rehearse", "prod", "--kind", kind, "--json"]).await;
        assert_eq!(failing(&said), [""; 0], "{said:?}");
        assert_eq!(said.code, Some(0), "{said:?}");
        let lines = lines(&said);
        let Some(RehearsalLine::Plan { plan, holds, checks }) = lines.first() else {
            panic!("{said:?}")
        };
        assert!(holds.is_empty() && checks.len() == Guard::ALL.len(), "{said:?}");
        // The plan, each of its steps with something to say, the end.
        assert_eq!(lines.len(), plan.steps.len() + 2);
        for line in &lines[1..=plan.steps.len()] {
            let RehearsalLine::Step { trials, act, .. } = line else { panic!("{line:?}") };
            assert!(!trials.is_empty(), "{act}");
        }
        assert_eq!(lines.last(), Some(&RehearsalLine::Ended { failing: Vec::new() }));
    }
    let said = world.ok(&["rehearse"]).await;
    for says in [
        "rehearsal of a failover from primary to secondary",
        "start dm2/daemon",
        "its start command: is there and may be run",
        "dm1's own word: it can be asked: activemq runs, daemon runs, rest runs",
        "what dm3 finds of it: it is alive",
        "dm2/repository is 0 bytes behind",
        "2 may be read and moved on",
        "not tried  the site's command: it has no `rehearse` command",
        "its `rehearse` command: exit status: 0: the zone can be written",
        "all of it could be done now",
    ] {
        assert!(said.out.contains(says), "{says} is not in\n{}", said.out);
    }
    assert_eq!((happened(&world), world.plans().len()), before);
    let nothing = world
        .journal()
        .into_iter()
        .all(|record| !matches!(record.event, Event::PlanBegun(_) | Event::StepIntended { .. }));
    assert!(nothing, "a rehearsal is recorded as a plan");
    world.let_pass(2).await;
    world.assert_nothing_started_on_secondary();
}

/// What would stop the plan on the way is named, at the step that it would stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_stop_the_plan_is_named_at_its_step() {
    let world = started().await;
    for (flaw, at, says) in [
        (Flaw::NoUnit(Service::Rest), "start dm2/rest", "there is no unit dm-rest"),
        (Flaw::Masked(Service::Daemon), "start dm2/daemon", "the unit dm-daemon is masked"),
        (Flaw::PortTaken(Service::Activemq), "start dm2/activemq", "port 61616 is taken"),
        (Flaw::ReadOnly, "start dm2/repository", "is set to read-only"),
    ] {
        world.site.set_flaw("dm2", flaw, true).unwrap();
        let said = world.cli(&["rehearse", "--json"]).await;
        let found = failing(&said);
        assert!(
            found.iter().any(|it| it.starts_with(at) && it.contains(says)),
            "{flaw:?}: {found:?}\n{said:?}"
        );
        assert_eq!(said.code, Some(1), "{said:?}");
        let Some(RehearsalLine::Ended { failing }) = lines(&said).pop() else { panic!("{said:?}") };
        assert!(!failing.is_empty());
        world.site.set_flaw("dm2", flaw, false).unwrap();
    }
    // The repository's login, at a connection that is made anew.
    world.site.set_flaw("dm2", Flaw::NoDatabaseLogin, true).unwrap();
    world.site.reset_connections("dm2").unwrap();
    let said = world.cli(&["rehearse", "--json"]).await;
    assert!(failing(&said).iter().any(|it| it.contains("refused the login")), "{said:?}");
    world.site.set_flaw("dm2", Flaw::NoDatabaseLogin, false).unwrap();
    // And the server's.
    world.site.change_host_key("dm2").unwrap();
    let said = world.cli(&["rehearse", "--json"]).await;
    let found = failing(&said);
    assert!(
        found
            .iter()
            .any(|it| it.starts_with("start dm2/daemon: its server: ") && it.contains("host key")),
        "{found:?}"
    );
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(world.plans().is_empty());
    world.assert_nothing_started_on_secondary();
}

/// All could be done, and a guard would hold it: the exit code tells that apart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_only_a_guard_would_hold_has_an_exit_code_of_its_own() {
    let world = started().await;
    world.ok(&["maintenance", "on", "--reason", "a test"]).await;
    let said = world.cli(&["rehearse"]).await;
    assert_eq!(said.code, Some(4), "{said:?}");
    assert!(said.out.contains("HOLDS      maintenance"), "{}", said.out);
    let unknown = world.cli(&["rehearse", "nope"]).await;
    assert_eq!(unknown.code, Some(1), "{unknown:?}");
    assert!(unknown.err.contains("there is no cluster"), "{unknown:?}");
}
