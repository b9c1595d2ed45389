//! Planned changes of side.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use watchkeeper_lab::{Lab, Monitor, Setup, Witness, wait_for};

use crate::support::{dm2_serves, greatest_job, wait_settled};

/// A planned change is not allowed to lose anything: every job that was accepted is there after
/// the way to DM2, and after the way back, and DM2 follows DM1 again.
#[test]
fn a_switchover_and_the_way_back_lose_no_row() {
    let Some(lab) = Lab::up("a_switchover_and_the_way_back_lose_no_row") else { return };
    let monitor = Monitor::start(&lab, &Setup { cooldown: "0s", ..Setup::default() });
    let witness = Witness::of(&lab);

    let jobs = change(&lab, "dm1", || {
        let said = monitor.say(&["switchover", "--reason", "patching dm1"]);
        said.unwrap_or_else(|error| panic!("{error}\n{}", monitor.story()));
    });
    wait_settled(&monitor, "secondary");
    assert!(jobs.len() > 3, "{jobs:?}");
    has_all(&lab, "dm2", &jobs);
    // The agent of dm1 was started again: a standby has one.
    dm2_serves(&lab, 3);

    let more = change(&lab, "dm2", || {
        let said = monitor.say(&["switchback", "--reason", "dm1 is patched"]);
        said.unwrap_or_else(|error| panic!("{error}\n{}", monitor.story()));
    });
    wait_settled(&monitor, "primary");
    assert!(more.len() > 3, "{more:?}");
    has_all(&lab, "dm1", &jobs);
    has_all(&lab, "dm1", &more);
    witness.never_saw_both();
    monitor.wait_calm();
    let before = greatest_job(&lab, "dm1");
    let id = lab.create_job("dm1", "home again").unwrap();
    assert!(id >= before, "{id} is not beyond {before}");

    // And DM2 is a standby as before: the row arrives there, and nothing is sent the other way.
    let row = format!("select name from dm_job where id = {id}");
    wait_for("the row on dm2", || match lab.sql("dm2", &row)?.as_str() {
        "home again" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(lab.sql("dm1", "select count(*) from pg_subscription").unwrap(), "0");
    assert_eq!(lab.sql("dm2", "select count(*) from pg_replication_slots").unwrap(), "0");
}

/// Enters jobs on `host` before and while `act` changes sides, until it is refused. Gives the
/// numbers that were confirmed.
fn change(lab: &Lab, host: &str, act: impl FnOnce()) -> Vec<i64> {
    /// Ends the entering, also when the change panics.
    struct Over<'a>(&'a AtomicBool);
    impl Drop for Over<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let over = AtomicBool::new(false);
    let entered = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let entering = scope.spawn(|| {
            let mut confirmed = Vec::new();
            while !over.load(Ordering::Relaxed) {
                if let Ok(id) = lab.create_job(host, "during the change") {
                    confirmed.push(id);
                    entered.fetch_add(1, Ordering::Relaxed);
                }
            }
            confirmed
        });
        let guard = Over(&over);
        wait_for("jobs to be entered", || match entered.load(Ordering::Relaxed) {
            few @ 0..=3 => Err(format!("{few}")),
            _ => Ok(()),
        });
        act();
        drop(guard);
        entering.join().unwrap()
    })
}

fn has_all(lab: &Lab, host: &str, jobs: &[i64]) {
    let list: Vec<String> = jobs.iter().map(i64::to_string).collect();
    let count = format!("select count(*) from dm_job where id in ({})", list.join(","));
    assert_eq!(
        lab.sql(host, &count).unwrap(),
        jobs.len().to_string(),
        "rows are missing on {host}"
    );
}
