//! The unit that ships, under a real systemd as vp1's first process, with all that it forbids in
//! force and all secrets as credentials.

use serde_json::Value;
use watchkeeper_lab::{Lab, Setup, Unit, Witness, wait_for};

use crate::support::{dm2_serves, is, plans, told_once, wait_settled, wait_starting, wait_step};

/// The name and number of a record in the journal.
fn numbers(unit: &Unit<'_>, kind: &str) -> Vec<u64> {
    let number = |record: &Value| record.pointer("/seq").and_then(Value::as_u64).unwrap();
    unit.journal(kind).iter().map(number).collect()
}

/// Who relies on systemd can: a start and a reload are over when they are done, and say so when
/// they fail; a daemon that hangs is replaced.
#[test]
fn systemd_starts_reloads_and_rescues_the_daemon() {
    let Some(lab) = Lab::up("systemd_starts_reloads_and_rescues_the_daemon") else { return };
    let unit = Unit::install(&lab, &Setup::default(), "WatchdogSec=10s");

    unit.systemctl("start").unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
    // At once, without waiting.
    unit.say(&["status"]).unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
    unit.wait_calm();
    wait_for("the status line", || match unit.property("StatusText").as_str() {
        "prod active on primary" => Ok(()),
        other => Err(other.to_owned()),
    });

    let first = unit.property("MainPID");
    let applied = || unit.journal("configuration-applied").len();
    assert_eq!(applied(), 1);
    unit.edit("cooldown = \"10m\"", "cooldown = \"11m\"");
    unit.systemctl("reload").unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
    assert_eq!(applied(), 2);
    unit.edit("cooldown = \"11m\"", "coldown = \"12m\"");
    assert!(unit.systemctl("reload").is_err(), "nobody is told that it is not in force");
    assert!(unit.log().contains("coldown"), "{}", unit.log());
    unit.edit("coldown = \"12m\"", "cooldown = \"13m\"");
    unit.exec(&["systemctl", "kill", "--kill-who=main", "-s", "HUP", "watchkeeper"]);
    wait_for("the third configuration", || match applied() {
        3 => Ok(()),
        other => Err(format!("{other}\n{}", unit.log())),
    });
    assert_eq!(unit.property("MainPID"), first);
    assert_eq!(unit.property("NRestarts"), "0", "{}", unit.log());

    // The socket's group may give orders, and who did is known by name, although the daemon sees
    // little of the machine.
    let as_dmuser = ["setpriv", "--reuid", "dmuser", "--regid", "dmuser", "--clear-groups", "--"];
    let order = ["watchkeeper", "maintenance", "on", "--reason", "looking at it"];
    unit.exec(&[&as_dmuser[..], &order[..]].concat());
    let on = unit.journal("maintenance-on");
    assert!(is(&on[0], "/event/by", "dmuser"), "{on:?}");

    unit.exec(&["kill", "-STOP", &first]);
    wait_for("another daemon", || match unit.property("MainPID") {
        same if same == first || same == "0" => Err(unit.log()),
        _ => unit.say(&["status"]),
    });
    assert_eq!(unit.property("NRestarts"), "1");
    assert!(unit.log().contains("Watchdog timeout"), "{}", unit.log());
    unit.wait_calm();

    unit.systemctl("stop").unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
    assert_eq!(unit.property("Result"), "success", "{}", unit.log());
    let file = ["journal", "verify", "--file", "/var/lib/watchkeeper/journal.db"];
    unit.say(&file).unwrap_or_else(|error| panic!("{error}"));
}

/// A new version is never installed at a good moment: the plan in flight is taken over by the next
/// daemon, which completes it once.
#[test]
fn an_upgrade_in_the_middle_of_a_failover_loses_nothing() {
    let Some(lab) = Lab::up("an_upgrade_in_the_middle_of_a_failover_loses_nothing") else { return };
    let unit = Unit::install(&lab, &Setup::default(), "");
    unit.systemctl("start").unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
    unit.wait_calm();
    let witness = Witness::of(&lab);
    for moment in ["stop", "start"] {
        unit.unpack_program(moment);
    }
    lab.run(&["forbid", "dm1", "daemon"]);
    lab.run(&["kill", "dm1", "daemon"]);
    // While the old side is being stopped, and while the new one is being started.
    for moment in ["stop", "start"] {
        match moment {
            "stop" => wait_step(&unit, "failover", 1),
            _ => wait_starting(&unit),
        }
        unit.replace_program(moment);
        let before = unit.property("MainPID");
        unit.systemctl("restart").unwrap_or_else(|error| panic!("{error}\n{}", unit.log()));
        let after = unit.property("MainPID");
        assert_ne!(before, after);
        let program = unit.exec(&["readlink", &format!("/proc/{after}/exe")]);
        assert_eq!(program, "/usr/local/bin/watchkeeper", "the old program runs");
    }
    wait_settled(&unit, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);

    // Both restarts were in the middle, and there was one plan with one end.
    assert_eq!(plans(&unit, "failover"), 1);
    let failover =
        unit.journal("plan-begun").into_iter().find(|it| is(it, "/event/kind", "failover"));
    let failover = failover.unwrap();
    let ends: Vec<Value> = unit
        .journal("plan-ended")
        .into_iter()
        .filter(|end| end.pointer("/event/plan") == failover.pointer("/event/number"))
        .collect();
    assert_eq!(ends.len(), 1, "{ends:?}");
    assert!(is(&ends[0], "/event/ending", "completed"), "{ends:?}");
    let number = |record: &Value| record.pointer("/seq").and_then(Value::as_u64);
    let during = number(&failover)..number(&ends[0]);
    let started = numbers(&unit, "monitor-started");
    let restarts = started.iter().filter(|it| during.contains(&Some(**it))).count();
    assert_eq!(restarts, 2, "{started:?} {during:?}");
    assert_eq!(numbers(&unit, "monitor-stopped").len(), 2, "it did not end in good order");
    told_once(&unit, "failover");
    assert_eq!(unit.property("NRestarts"), "0", "{}", unit.log());
}
