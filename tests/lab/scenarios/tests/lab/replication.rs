//! The standby's repository does not follow.

use watchkeeper_lab::{Lab, Monitor, Setup, wait_for};

use crate::support::is;

/// A standby that does not replicate is found out today, not on the day it is needed: with the codes
/// that server management knows, and cleared when it is over.
#[test]
fn a_disabled_subscription_and_a_lag_are_told_with_their_codes() {
    let name = "a_disabled_subscription_and_a_lag_are_told_with_their_codes";
    let Some(lab) = Lab::up(name) else { return };
    let setup = Setup { settings: "{ lag-threshold-bytes = 1000000 }", ..Setup::default() };
    let monitor = Monitor::start(&lab, &setup);

    lab.sql("dm2", "alter subscription dm_sub disable").unwrap();
    let alert = monitor.wait_alert("replication-standby");
    assert!(is(&alert, "/code", "4604003"), "{alert}");
    lab.sql("dm2", "alter subscription dm_sub enable").unwrap();
    monitor.wait_resolved("replication-standby");

    // Somebody drops what DM1 sends from: nothing can follow it any more.
    lab.sql("dm1", "drop publication dm_pub").unwrap();
    lab.sql("dm2", "alter subscription dm_sub disable").unwrap();
    wait_for("the slot to be free", || {
        let drop = "select pg_drop_replication_slot('dm_sub') from pg_replication_slots \
                    where slot_name = 'dm_sub' and not active";
        lab.sql("dm1", drop)?;
        match lab.sql("dm1", "select count(*) from pg_replication_slots")?.as_str() {
            "0" => Ok(()),
            other => Err(other.to_owned()),
        }
    });
    let alert = monitor.wait_alert("replication-broken");
    assert!(is(&alert, "/code", "4604001"), "{alert}");
    lab.sql("dm1", "create publication dm_pub for all tables").unwrap();
    lab.sql("dm1", "select pg_create_logical_replication_slot('dm_sub', 'pgoutput')").unwrap();
    lab.sql("dm2", "alter subscription dm_sub enable").unwrap();
    monitor.wait_resolved("replication-broken");
    wait_for("dm2 to follow again", || {
        let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
        match lab.sql("dm1", streaming)?.as_str() {
            "0" => Err("it does not".to_owned()),
            _ => Ok(()),
        }
    });

    // Applying waits for a lock, and meanwhile there is more and more to apply.
    let lock = "begin; lock table dm_job; select pg_sleep(60)";
    let mut holder = lab.spawn(
        "dm2",
        &["psql", "-qX", "-h", "/run/dm", "-U", "watchkeeper", "-d", "datamover", "-c", lock],
    );
    wait_for("the lock", || {
        let held = lab.sql(
            "dm2",
            "select count(*) from pg_locks where mode = 'AccessExclusiveLock' \
            and relation = 'dm_job'::regclass and granted",
        )?;
        if held == "0" { Err(held) } else { Ok(()) }
    });
    lab.sql(
        "dm1",
        "insert into dm_job (name, created_by) select repeat('x', 100), 'dm1' \
        from generate_series(1, 50000)",
    )
    .unwrap();
    let alert = monitor.wait_alert("replication-lag");
    assert!(is(&alert, "/code", "4604002"), "{alert}");
    let summary = alert.pointer("/summary").and_then(serde_json::Value::as_str).unwrap_or("");
    let which = ["sending", "receiving", "write", "replay"];
    assert!(which.iter().any(|lag| summary.contains(lag)), "which lag? {alert}");
    let cluster = monitor.cluster().unwrap();
    assert!(is(&cluster, "/active", "primary"), "{cluster}");
    lab.sql(
        "dm2",
        "select pg_terminate_backend(pid) from pg_locks where mode = 'AccessExclusiveLock' \
        and relation = 'dm_job'::regclass and granted",
    )
    .unwrap();
    let _ = holder.wait();
    monitor.wait_resolved("replication-lag");
}
