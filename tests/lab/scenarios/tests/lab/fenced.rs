//! DM1 cannot be asked whether it has stopped, and is switched off.

use watchkeeper_lab::bmc::Bmc;
use watchkeeper_lab::{Lab, Monitor, Setup, Timeline, Witness, wait_for};

use crate::support::{dm1_is_cleared, dm2_serves, plans, told_once, wait_settled};

/// The first level of dm1 says that it is on, and fails to change that; the second, and that of dm2, are controllers that speak IPMI.
/// (Without `cipher`, ipmitool first tries one that these do not know, for 14 s.)
const FENCES: &str = r#"
[secrets.bmc]
file = "bmc.password"
[fences.broken]
agent = "fence_dummy"
options = { type = "fail" }
[fences.bmc-dm1]
agent = "fence_ipmilan"
options = { ip = "10.77.0.22", ipport = "9001", username = "watchkeeper", lanplus = "1", cipher = "3" }
secrets = { password = "bmc" }
[fences.bmc-dm2]
agent = "fence_ipmilan"
options = { ip = "10.77.0.22", ipport = "9002", username = "watchkeeper", lanplus = "1", cipher = "3" }
secrets = { password = "bmc" }
"#;

fn fenced() -> Setup {
    let levels = [r#"["broken", "bmc-dm1"]"#, r#"["bmc-dm2"]"#];
    Setup { fences: FENCES, levels, ..Setup::default() }
}

/// A host that stands still keeps its connections and answers nothing: its kernel accepts, so that no
/// witness finds it gone, and it may go on at any moment. Only without power it does not.
#[test]
fn a_host_that_stands_still_is_switched_off_by_its_controller() {
    let Some(lab) = Lab::up("a_host_that_stands_still_is_switched_off_by_its_controller") else {
        return;
    };
    let (dm1, _dm2) = (Bmc::start(&lab, "dm1", 9001), Bmc::start(&lab, "dm2", 9002));
    let monitor = Monitor::start(&lab, &fenced());
    let said = monitor.say(&["check", "--connect"]).unwrap();
    assert!(said.contains("bmc-dm1 says that the power is on"), "{said}");
    assert!(said.contains("dm1 is switched off by broken, else by bmc-dm1"), "{said}");

    let witness = Witness::of(&lab);
    let mut timeline = Timeline::begin("dm1 stands still");
    lab.run(&["freeze", "dm1"]);
    wait_for("dm1 without power", || if dm1.is_on() { Err(monitor.story()) } else { Ok(()) });
    timeline.mark("dm1 is off");
    wait_for("REST on dm2", || lab.agents("dm2"));
    timeline.mark("REST on dm2 answers");
    wait_settled(&monitor, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    told_once(&monitor, "failover");
    let story = monitor.say(&["explain"]).unwrap();
    assert!(story.contains("dm1 was switched off by bmc-dm1 (before it: broken"), "{story}");
    assert!(!story.contains("lab-bmc") && !monitor.log().contains("lab-bmc"), "{story}");
    timeline.tell(&monitor);

    lab.run(&["boot", "dm1"]);
    dm1.switched_on();
    dm1_is_cleared(&lab, &monitor);
    assert_eq!(plans(&monitor, "failover"), 1);
}
