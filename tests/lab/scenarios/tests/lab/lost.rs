//! DM1 is gone, or seems to be.

use std::time::{Duration, Instant};

use watchkeeper_lab::{Lab, Monitor, Setup, Timeline, Witness, wait_for};

use crate::support::{dm1_is_cleared, dm2_serves, is, plans, told_once, wait_settled};

/// A power cut says nothing on the wire: the failover rests on other servers that find DM1 gone.
/// And power comes back: DM1 starts its services at boot, and they must not stay.
#[test]
fn a_lost_host_is_replaced_and_stopped_when_it_returns() {
    let Some(lab) = Lab::up("a_lost_host_is_replaced_and_stopped_when_it_returns") else { return };
    let monitor = Monitor::start(&lab, &Setup::default());
    let witness = Witness::of(&lab);
    let mut timeline = Timeline::begin("dm1 unplugged and killed");
    lab.run(&["crash", "dm1"]);
    wait_for("REST on dm2", || lab.agents("dm2"));
    timeline.mark("REST on dm2 answers");
    wait_settled(&monitor, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    told_once(&monitor, "failover");
    let story = monitor.say(&["explain"]).unwrap();
    assert!(story.contains("dm2, dm3 find it gone as well"), "{story}");
    timeline.tell(&monitor);

    lab.run(&["boot", "dm1"]);
    dm1_is_cleared(&lab, &monitor);
    assert!(lab.agents("dm2").is_ok_and(|agents| agents >= 2), "{}", monitor.story());
    assert_eq!(plans(&monitor, "failover"), 1);
}

/// A monitor that is cut off from DM1 is no reason to fail over: DM2 and DM3 see it alive.
#[test]
fn a_cut_to_the_monitor_alone_changes_nothing() {
    let Some(lab) = Lab::up("a_cut_to_the_monitor_alone_changes_nothing") else { return };
    let monitor = Monitor::start(&lab, &Setup::default());
    let witness = Witness::of(&lab);
    lab.run(&["cut", "vp1", "dm1"]);
    let alert = monitor.wait_alert("server-unreachable");
    assert!(is(&alert, "/server", "dm1"), "{alert}");
    // Whatever it begins has to end without effect: a failover needs a few seconds for that.
    let until = Instant::now() + Duration::from_secs(15);
    while Instant::now() < until {
        assert!(!lab.runs("dm2", "daemon") && !lab.runs("dm2", "activemq"), "{}", monitor.story());
        assert!(lab.runs("dm1", "daemon") && lab.runs("dm1", "rest"), "{}", monitor.story());
    }
    let cluster = monitor.cluster().unwrap();
    assert!(is(&cluster, "/active", "primary"), "{cluster}");
    lab.run(&["heal", "vp1", "dm1"]);
    monitor.wait_calm();
    wait_settled(&monitor, "primary");
    assert_eq!(lab.agents("dm1"), Ok(3));
    witness.never_saw_both();
}
