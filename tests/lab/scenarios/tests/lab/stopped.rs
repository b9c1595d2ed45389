//! A service of DM1 stops, while its host is well.

use serde_json::Value;
use watchkeeper_lab::{Lab, Monitor, Setup, Timeline, Witness, wait_for};

use crate::support::{
    dm2_serves, greatest_job, is, plans, told_once, wait_settled, wait_starting, wait_step,
};

/// The cheapest remedy comes first: a daemon that only died is started again where it was.
#[test]
fn a_killed_daemon_is_rescued() {
    let Some(lab) = Lab::up("a_killed_daemon_is_rescued") else { return };
    let monitor = Monitor::start(&lab, &Setup::default());
    let mut timeline = Timeline::begin("daemon of dm1 killed, rescued");
    lab.run(&["kill", "dm1", "daemon"]);
    wait_for("a rescue that has ended", || {
        let ended = monitor.journal("plan-ended");
        ended.first().cloned().ok_or_else(|| monitor.story())
    });
    wait_for("dm1's REST to list the agents", || match lab.agents("dm1")? {
        3 => Ok(()),
        found => Err(format!("{found} agents")),
    });
    timeline.mark("REST on dm1 lists three agents");
    monitor.wait_calm();
    wait_settled(&monitor, "primary");
    assert!(lab.runs("dm1", "daemon"));
    let ended = monitor.journal("plan-ended");
    assert_eq!(ended.len(), 1, "{ended:?}");
    assert!(is(&ended[0], "/event/ending", "completed"), "{ended:?}");
    assert_eq!(plans(&monitor, "failover"), 0);
    timeline.tell(&monitor);
}

/// What the product is for: a daemon that cannot come back costs a minute, not a night.
#[test]
fn a_daemon_that_cannot_start_again_makes_dm2_active() {
    let Some(lab) = Lab::up("a_daemon_that_cannot_start_again_makes_dm2_active") else { return };
    let monitor = Monitor::start(&lab, &Setup::default());
    let witness = Witness::of(&lab);
    lab.run(&["forbid", "dm1", "daemon"]);
    let mut timeline = Timeline::begin("daemon of dm1 killed for good");
    lab.run(&["kill", "dm1", "daemon"]);
    wait_for("REST on dm2", || lab.agents("dm2"));
    timeline.mark("REST on dm2 answers");
    wait_settled(&monitor, "secondary");
    witness.never_saw_both();

    // The agent of dm1 was stopped with its side; the others came over.
    dm2_serves(&lab, 2);
    // All that dm1 had is there: it could be asked until the end.
    let there = lab.sql("dm1", "select count(*) from dm_job").unwrap();
    let kept = greatest_job(&lab, "dm1");
    let here = format!("select count(*) from dm_job where id <= {kept}");
    assert_eq!(lab.sql("dm2", &here).unwrap(), there);
    assert!(!lab.runs("dm1", "rest") && !lab.runs("dm1", "activemq"));

    told_once(&monitor, "failover");
    assert_eq!(plans(&monitor, "failover"), 1);
    let story = monitor.say(&["explain"]).unwrap();
    assert!(story.contains("dm1/daemon is down"), "{story}");
    assert!(
        story.contains("start forbidden by the lab") || story.contains("rescue of dm1/daemon"),
        "{story}"
    );
    timeline.tell(&monitor);
}

/// The monitor is a program too: whenever it dies, whoever starts it again has a failover that is
/// completed once, and never two active sides.
#[test]
fn a_monitor_killed_in_a_failover_completes_it_when_started_again() {
    let name = "a_monitor_killed_in_a_failover_completes_it_when_started_again";
    let Some(lab) = Lab::up(name) else { return };
    let mut monitor = Monitor::start(&lab, &Setup::default());
    let witness = Witness::of(&lab);
    lab.run(&["forbid", "dm1", "daemon"]);
    lab.run(&["kill", "dm1", "daemon"]);
    // While the old side is being stopped, and while the new one is being started.
    for moment in ["stop", "start"] {
        match moment {
            "stop" => wait_step(&monitor, "failover", 1),
            _ => wait_starting(&monitor),
        }
        monitor.kill();
        let ended = monitor_ended(&monitor, &lab);
        assert!(!ended, "the failover was over before the monitor was killed in a {moment}");
        monitor.run();
    }
    wait_settled(&monitor, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    assert_eq!(plans(&monitor, "failover"), 1);
    assert_eq!(monitor.journal("monitor-started").len(), 3);
    told_once(&monitor, "failover");
}

/// Whether the journal, read from its file, has the end of a failover.
fn monitor_ended(monitor: &Monitor<'_>, _lab: &Lab) -> bool {
    let file = "/var/lib/watchkeeper/journal.db";
    let records = |kind| {
        let words = ["journal", "show", "--file", file, "--limit", "1000", "--kind", kind];
        match monitor.ask(&words) {
            Ok(Value::Array(list)) => list,
            other => panic!("the journal's file: {other:?}"),
        }
    };
    let begun = records("plan-begun");
    let failover = begun.iter().find(|plan| is(plan, "/event/kind", "failover"));
    let number = failover.and_then(|plan| plan.pointer("/event/number")).cloned();
    records("plan-ended").iter().any(|end| end.pointer("/event/plan") == number.as_ref())
}

/// Rules and settings change at the worst moment, and nothing is lost: no restart, no evaluation
/// without the policy, and the new ones are in force.
#[test]
fn a_policy_replaced_in_a_failover_takes_effect() {
    let Some(lab) = Lab::up("a_policy_replaced_in_a_failover_takes_effect") else { return };
    let setup = Setup { settings: "{ code-running-on-secondary = \"1000\" }", ..Setup::default() };
    let monitor = Monitor::start(&lab, &setup);
    lab.run(&["forbid", "dm1", "daemon"]);
    lab.run(&["kill", "dm1", "daemon"]);
    wait_step(&monitor, "failover", 1);
    monitor.edit("code-running-on-secondary = \"1000\"", "code-running-on-secondary = \"4711\"");
    replace_policy(&monitor);
    wait_settled(&monitor, "secondary");
    let loaded = wait_for("the new revision", || {
        let loaded = monitor.journal("guest-loaded");
        let new =
            loaded.iter().find(|it| it.pointer("/event/replaced").is_some_and(|it| !it.is_null()));
        new.cloned().ok_or_else(|| format!("{loaded:?}"))
    });
    assert!(is(&loaded, "/event/name", "data-mover-ha"), "{loaded}");
    wait_for("an alert with the new code", || {
        let delivered = monitor.delivered();
        let found = delivered
            .iter()
            .any(|it| is(it, "/name", "running-on-secondary") && is(it, "/code", "4711"));
        if found { Ok(()) } else { Err(format!("{delivered:?}")) }
    });
    assert_eq!(monitor.journal("monitor-started").len(), 1);
    assert!(monitor.journal("guest-rejected").is_empty());
    for record in monitor.journal("evaluated") {
        let opinions = record.pointer("/event/opinions").and_then(Value::as_array).unwrap();
        assert_eq!(opinions.len(), 1, "an evaluation without the policy: {record}");
        assert!(opinions[0].pointer("/outcome/Ok").is_some(), "{}", opinions[0]);
    }
    dm2_serves(&lab, 2);
}

/// The same policy in another revision: a custom section, which changes the digest alone.
fn replace_policy(monitor: &Monitor<'_>) {
    let file = monitor.policy_file();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.extend_from_slice(b"\x00\x05\x04note");
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, bytes).unwrap();
    std::fs::rename(&fresh, &file).unwrap();
}
