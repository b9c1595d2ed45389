//! Neither server is there.

use watchkeeper_lab::{Lab, Monitor, Setup, Witness, wait_for};

use crate::support::{dm2_serves, plans, wait_settled};

/// A power cut of the whole room: there is nowhere to go, so nothing is begun and people are told.
/// Whichever server comes back first in a clear state serves again, without anybody asking for it.
#[test]
fn both_servers_lost_are_held_until_one_returns() {
    let Some(lab) = Lab::up("both_servers_lost_are_held_until_one_returns") else { return };
    let monitor = Monitor::start(&lab, &Setup::default());
    let witness = Witness::of(&lab);
    both_down(&lab, &monitor);
    // DM1 comes back as it was, its services started at boot: it is the active side still.
    lab.run(&["boot", "dm1"]);
    monitor.wait_calm_on(&["dm1"]);
    monitor.wait_resolved("both-sides-unavailable");
    assert_eq!(plans(&monitor, "failover"), 0, "{}", monitor.story());

    // The next time it is DM2 that comes back, and DM1 is gone by the word of the others.
    both_down_from(&lab, &monitor, &["dm1"]);
    lab.run(&["boot", "dm2"]);
    wait_settled(&monitor, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    assert_eq!(plans(&monitor, "failover"), 1);
}

fn both_down(lab: &Lab, monitor: &Monitor<'_>) {
    both_down_from(lab, monitor, &["dm1", "dm2"]);
}

/// Crashes these, and waits until people are told; nothing is begun.
fn both_down_from(lab: &Lab, monitor: &Monitor<'_>, hosts: &[&str]) {
    let before = plans(monitor, "failover");
    for host in hosts {
        lab.run(&["crash", host]);
    }
    wait_for("both servers to be told as lost", || {
        let cluster = monitor.cluster()?;
        let alerts = cluster.pointer("/alerts").map(ToString::to_string).unwrap_or_default();
        if alerts.contains("both-sides-unavailable") { Ok(()) } else { Err(monitor.story()) }
    });
    assert_eq!(plans(monitor, "failover"), before, "{}", monitor.story());
}
