//! A change of side that stopped on its way: what is told, and the ways on.

use std::time::Duration;

use watchkeeper::api::{ClusterReport, OrderReply};
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::Word;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::plan::Act;

use crate::harness::{Said, World, cluster, summary};
use crate::steps::killed_in_a_step_of_the_site;

fn reply(said: &Said) -> OrderReply {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn impossible(said: &Said) -> String {
    assert_eq!(said.code, Some(1), "{said:?}");
    let OrderReply::Impossible { why } = reply(said) else { panic!("{said:?}") };
    why
}

fn starts(act: &Act, service: Service) -> bool {
    matches!(act, Act::StartService(id) if id.service == service)
}

/// DM2's daemon cannot be started: a switchover stops half-way, the repository being taken over.
async fn half_way() -> World {
    let world = World::start_with(|config| {
        config.replicated().set("clusters.prod.plan.attempts", 1);
    })
    .await;
    world.site.forbid_start("dm2", Service::Daemon).unwrap();
    let said = world.cli(&["switchover", "--reason", "patching DM1"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for says in ["not completed: in need of an operator", "STOPPED at step", "watchkeeper resume"] {
        assert!(said.out.contains(says), "{says}: {}", said.out);
    }
    world
}

/// What happened, at which step, and how to go on is told, shown and explained. With the cause gone it goes
/// on and completes, each start once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stopped_says_how_to_go_on_and_goes_on() {
    let mut world = half_way().await;
    world.wait_taken("needs-operator", "firing").await;
    let plan = world.changes().swap_remove(0);
    let at = plan.steps.iter().position(|step| starts(&step.act, Service::Daemon)).unwrap();
    let of_engine = |report: &ClusterReport| {
        let mut alerts = report.alerts.iter();
        let alert = alerts.find(|it| it.name == "needs-operator" && it.source == "engine");
        alert.map(|it| it.summary.clone())
    };
    let status = world.wait_for("the alert", |status| of_engine(cluster(status)).is_some()).await;
    let told = of_engine(cluster(&status)).unwrap();
    for says in [
        &format!(
            "the switchover from primary (plan {}) stopped at step {} of",
            plan.number,
            at + 1
        )[..],
        "start dm2/daemon",
        "`watchkeeper resume`",
        "`abandon`",
        "`declare`",
    ] {
        assert!(told.contains(says), "{says}: {told}");
    }
    let stopped = world.cluster().await.stopped.expect("it is shown");
    assert_eq!(
        (stopped.number, stopped.step, stopped.steps),
        (plan.number, at + 1, plan.steps.len())
    );
    assert!(stopped.begun && !stopped.needs_word, "{stopped:#?}");
    let left: Vec<String> = plan.steps[at + 1..].iter().map(|it| it.act.to_string()).collect();
    assert_eq!(stopped.left, left);
    assert_eq!(stopped.if_abandoned, None);
    assert!(stopped.if_abandoned_why.contains("make dm2/repository independent"), "{stopped:#?}");
    let status = world.ok(&["status"]).await.out;
    for says in [
        "STOPPED at step",
        "not begun: start dm2/agent; start dm2/rest",
        "to go on: watchkeeper resume",
    ] {
        assert!(status.contains(says), "{says}: {status}");
    }
    let explained = world.ok(&["explain"]).await.out;
    assert!(
        explained.contains("switchover") && explained.contains("stopped: start dm2/daemon"),
        "{explained}"
    );

    // Nothing has been done about it: it stops again, and is none the worse.
    let again = world.cli(&["resume", "--reason", "a try"]).await;
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(world.cluster().await.stopped.map(|it| it.step), Some(at + 1));

    world.site.allow_start("dm2", Service::Daemon).unwrap();
    world.ok(&["resume", "--reason", "DM2 has room on its disk again"]).await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    world.wait_no_alert("needs-operator").await;
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert_eq!(world.site.starts("dm2", service), 1, "{service}");
    }
    assert_eq!(world.changes().len(), 1);
    let said: Vec<(Word, String)> = world
        .journal()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::PlanResumed { word, reason, by, .. } => {
                assert!(!by.is_empty());
                Some((word, reason))
            }
            _ => None,
        })
        .collect();
    let reasons =
        ["a try", "DM2 has room on its disk again"].map(|it| (Word::Unsaid, it.to_owned()));
    assert_eq!(said, reasons);
    let explained = world.ok(&["explain"]).await.out;
    for says in ["had it go on: a try", "had it go on: DM2 has room", "completed after"] {
        assert!(explained.contains(says), "{says}: {explained}");
    }
}

/// Who says it twice, to nobody, or in the wrong words is told so, and nothing is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_resumed_abandoned_or_aborted_says_why() {
    let mut world = half_way().await;
    for (arguments, code) in [
        (&["resume"][..], 2),
        (&["abandon"], 2),
        (&["abort"], 2),
        (&["resume", "--reason", "x", "--step", "maybe"], 2),
        (&["resume", "--reason", "x", "--override", "duty"], 2),
        (&["resume", "--reason", "x", "--cluster", "test"], 1),
        (&["abandon", "--reason", "x", "--cluster", "test"], 1),
    ] {
        let said = world.cli(arguments).await;
        assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
        assert!(code == 2 || said.err.contains("there is no cluster \"test\""), "{said:?}");
    }
    let why = impossible(&world.cli(&["abort", "--reason", "x", "--json"]).await);
    assert!(why.contains("no plan is in flight") && why.contains("watchkeeper resume"), "{why}");
    let done = ["resume", "--step", "done", "--reason", "x", "--json"];
    let why = impossible(&world.cli(&done).await);
    assert!(why.contains("looks for itself"), "{why}");
    let failover = world.cli(&["failover", "--reason", "x", "--json"]).await;
    assert_eq!(failover.code, Some(4), "{failover:?}");

    world.ok(&["maintenance", "on", "--reason", "patching"]).await;
    let held = world.cli(&["resume", "--reason", "x", "--json"]).await;
    assert_eq!(held.code, Some(4), "{held:?}");
    let OrderReply::Held { holds } = reply(&held) else { panic!("{held:?}") };
    let guards: Vec<Guard> = holds.iter().map(|hold| hold.guard).collect();
    assert_eq!(guards, [Guard::Maintenance], "{holds:?}");

    world.site.allow_start("dm2", Service::Daemon).unwrap();
    world.ok(&["resume", "--reason", "x", "--override", "maintenance"]).await;
    world.wait_active(Side::Secondary).await;
    for order in ["resume", "abandon"] {
        let why = impossible(&world.cli(&[order, "--reason", "again", "--json"]).await);
        assert!(why.contains("no plan has stopped on its way: the cluster is active on"), "{why}");
    }
    let why = impossible(&world.cli(&["abort", "--reason", "x", "--json"]).await);
    assert_eq!(why, "no plan is in flight");
    world.assert_never_both();
}

/// A planned change that has left the repository behind is not given up for the old side, and what was written
/// there since is not lost unseen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_old_side_has_written_since_holds_the_resumption() {
    let mut world = half_way().await;
    // DM2 stopped by hand, and DM1 started.
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        world.site.stop_service("dm2", service).await.unwrap();
    }
    for service in [Service::Activemq, Service::Daemon] {
        world.site.start_service("dm1", service).await.unwrap();
        world.wait_site("it is ready", |site| site.is_ready("dm1", service)).await;
    }
    world
        .wait_for("it is seen", |status| {
            let up = |it: &&watchkeeper::api::ServiceReport| {
                it.server.as_str() == "dm1"
                    && it.service == Service::Daemon
                    && it.status == Status::Up
            };
            cluster(status).services.iter().any(|it| up(&it))
        })
        .await;
    let held = world.cli(&["resume", "--reason", "x", "--json"]).await;
    let OrderReply::Held { holds } = reply(&held) else { panic!("{held:?}") };
    assert_eq!(holds.len(), 1, "{holds:?}");
    assert_eq!(holds[0].guard, Guard::Standby);
    assert!(holds[0].reason.contains("dm1/daemon runs"), "{holds:?}");

    let given_up = world.ok(&["abandon", "--reason", "DM1 works again", "--json"]).await;
    let OrderReply::Abandoned { side: None, why, .. } = reply(&given_up) else {
        panic!("{given_up:?}")
    };
    assert!(why.contains("independent"), "{why}");
    let again = impossible(&world.cli(&["abandon", "--reason", "twice", "--json"]).await);
    assert!(again.contains("given up already") && again.contains("declare"), "{again}");
    let status = world.let_pass(5).await;
    assert!(cluster(&status).phase.contains("operator") && cluster(&status).stopped.is_none());
    world.ok(&["declare", "primary", "--reason", "it serves"]).await;
    world.wait_site("the side is whole again", |site| site.is_ready("dm1", Service::Rest)).await;
    world.assert_never_both();
}

/// Nothing was begun on DM2: given up, DM1 counts again, and what was stopped there is started by rescues.
/// That is all the rollback there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn given_up_before_anything_was_begun_across_the_old_side_is_whole_again() {
    // Slow enough for a command to be started before the first step on DM2.
    let mut world = World::prepare_with(|site| site.latency = Duration::from_millis(250)).await;
    world.config.set("probes.timeout", "5s");
    world.run().await;
    world.ok(&["switchover", "--no-wait", "--reason", "patching DM1"]).await;
    world
        .wait_intended(
            "a stop",
            |act| matches!(act, Act::StopService(id) if id.service == Service::Daemon),
        )
        .await;
    let aborted = world.ok(&["abort", "--reason", "the wrong night"]).await.out;
    assert!(aborted.contains("stops at step") && aborted.contains("STOPPED at step"), "{aborted}");
    let stopped = world.cluster().await.stopped.expect("it has stopped");
    assert!(stopped.why.contains("wants no further step: the wrong night"), "{stopped:#?}");
    assert_eq!(stopped.if_abandoned, Some(Side::Primary), "{stopped:#?}");
    assert!(!world.site.is_running("dm1", Service::Rest));
    let said = world.ok(&["abandon", "--reason", "tomorrow"]).await.out;
    assert!(
        said.contains("is given up, and the primary counts as active: nothing was begun"),
        "{said}"
    );
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        world.wait_site("it is back", |site| site.is_ready("dm1", service)).await;
    }
    world.wait_active(Side::Primary).await;
    world.assert_nothing_started_on_secondary();
    world.wait_for("no question", |status| summary(status, "needs-operator").is_none()).await;
    let explained = world.journal().into_iter().any(|record| {
        matches!(record.event, Event::PlanAbandoned { side: Some(Side::Primary), .. })
    });
    assert!(explained);
}

/// A step that nobody knows the end of is not begun again without a word, after a crash as well; with it the
/// plan goes on behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_of_which_nobody_knows_goes_on_by_the_operator_s_word() {
    let (mut world, notes) = killed_in_a_step_of_the_site().await;
    let stopped = world.cluster().await.stopped.expect("it has stopped");
    assert!(stopped.needs_word, "{stopped:#?}");
    let status = world.ok(&["status"]).await.out;
    assert!(status.contains("watchkeeper resume --cluster prod --step done|again"), "{status}");
    let why = impossible(&world.cli(&["resume", "--reason", "x", "--json"]).await);
    assert!(why.contains("nobody knows whether step") && why.contains("--step again"), "{why}");
    // It is known after a restart as well.
    world.stop().await;
    world.run().await;
    world.ok(&["resume", "--step", "done", "--reason", "it ran: I have looked"]).await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "ran\n");
}

/// A rescue that an operator does not want ends; it is no change of side, and nobody has to be asked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aborted_rescue_is_over() {
    let mut world = World::start_with(|config| {
        config.setting("rescue-attempts", 5).set("clusters.prod.plan.start-timeout", "10s");
    })
    .await;
    world.site.hang_start("dm1", Service::Rest).unwrap();
    world.site.kill("dm1", Service::Rest).await.unwrap();
    world.wait_intended("the rescue", |act| starts(act, Service::Rest)).await;
    world.ok(&["maintenance", "on", "--reason", "by hand"]).await;
    world.ok(&["abort", "--reason", "by hand"]).await;
    let phase = world.cluster().await.phase;
    assert_eq!(phase, "active on primary");
    world.let_pass(5).await;
    assert_eq!(world.plans().len(), 1);
}
