//! The standby's repository does not follow.

use watchkeeper_lab::{Lab, Monitor, Setup, wait_for};

use crate::support::is;

/// A standby that does not replicate is found out today, not on the day it is needed: with the codes
/// that server management knows.
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
    wait_for("the end of the alert", || {
        let over = monitor
            .delivered()
            .into_iter()
            .any(|it| is(&it, "/name", "replication-standby") && is(&it, "/status", "resolved"));
        if over { Ok(()) } else { Err(monitor.story()) }
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
    let cluster = monitor.cluster().unwrap();
    assert!(is(&cluster, "/active", "primary"), "{cluster}");
    lab.sql(
        "dm2",
        "select pg_terminate_backend(pid) from pg_locks where mode = 'AccessExclusiveLock' \
        and relation = 'dm_job'::regclass and granted",
    )
    .unwrap();
    let _ = holder.wait();
}
