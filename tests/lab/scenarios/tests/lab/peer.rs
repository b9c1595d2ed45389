//! Two monitors that hand the duty to each other: VP1 watches DM1, and VP2 DM2 once that is active.

use serde_json::Value;
use watchkeeper_lab::{Lab, Monitor, Setup, Witness, make_keys, wait_for};

use crate::support::{dm2_serves, is, plans, wait_settled, wait_step};

const VP1: &str = r#"
[duty]
observe = "1s"
[duty.peer]
name = "vp2"
address = "10.77.0.22:7077"
first = "vp1"
certificate = "../keys/vp1.pem"
key = "../keys/vp1.key"
peer-certificate = "../keys/vp2.pem"
beat = "500ms"
"#;

const VP2: &str = r#"
[duty]
observe = "1s"
[duty.peer]
name = "vp1"
address = "10.77.0.21:7077"
first = "vp1"
certificate = "../keys/vp2.pem"
key = "../keys/vp2.key"
peer-certificate = "../keys/vp1.pem"
beat = "500ms"
"#;

/// VP1, which has the duty, and VP2.
fn two(lab: &Lab) -> (Monitor<'_>, Monitor<'_>) {
    make_keys(lab, &["vp1", "vp2"]);
    let setup = |duty| Setup { duty, cooldown: "0s", ..Setup::default() };
    let first = Monitor::start_on(lab, "vp1", &setup(VP1));
    let second = Monitor::start_on(lab, "vp2", &setup(VP2));
    wait_held(&first);
    wait_holder(&second, "vp1");
    (first, second)
}

fn held(monitor: &Monitor<'_>) -> Result<bool, String> {
    Ok(monitor.cluster()?.pointer("/duty/held") == Some(&Value::Bool(true)))
}

fn wait_held(monitor: &Monitor<'_>) {
    wait_for("the duty", || if held(monitor)? { Ok(()) } else { Err(monitor.story()) });
}

/// Waits until the monitor knows that another one has the duty.
fn wait_holder(monitor: &Monitor<'_>, holder: &str) {
    wait_for(&format!("{holder} to be known to have the duty"), || {
        let cluster = monitor.cluster()?;
        if is(&cluster, "/duty/holder", holder) { Ok(()) } else { Err(monitor.story()) }
    });
}

fn break_the_daemon(lab: &Lab) {
    lab.run(&["forbid", "dm1", "daemon"]);
    lab.run(&["kill", "dm1", "daemon"]);
}

/// The scenario as the vendor tells it: VP1 fails over to DM2 and has done its part; VP2 watches DM2
/// from then on, rescues there and goes no further. The way back is ordered, and VP1 watches again.
#[test]
fn the_watch_follows_the_active_side_and_comes_back() {
    let Some(lab) = Lab::up("the_watch_follows_the_active_side_and_comes_back") else { return };
    let (first, second) = two(&lab);
    let witness = Witness::of(&lab);
    break_the_daemon(&lab);
    wait_held(&second);
    wait_settled(&second, "secondary");
    wait_holder(&first, "vp2");
    dm2_serves(&lab, 2);
    // VP2 knows what VP1 did, and what VP1 alerted on is VP2's to end: from its first evaluation on, which comes when
    // it has looked around, and may come after DM2 serves.
    wait_for("vp2 to alert on where the cluster runs", || {
        let alerts = second.cluster()?.pointer("/alerts").map(Value::to_string).unwrap_or_default();
        if alerts.contains("running-on-secondary") { Ok(()) } else { Err(second.story()) }
    });
    assert_eq!((plans(&first, "failover"), plans(&second, "failover")), (1, 0));
    let decided = first.journal("evaluated").len();

    // If DM2 fails, it is started again there, and there is no failover.
    lab.run(&["kill", "dm2", "daemon"]);
    wait_for("the rescue on dm2", || {
        let ended = second.journal("plan-ended");
        if ended.is_empty() { Err(second.story()) } else { Ok(()) }
    });
    second.wait_calm_on(&["dm2", "dm3"]);
    assert_eq!(plans(&second, "failover"), 0);
    assert_eq!(first.journal("evaluated").len(), decided, "VP1 decides no more");

    lab.run(&["allow", "dm1", "daemon"]);
    let refused = first.say(&["switchback", "--reason", "dm1 is repaired"]);
    assert!(refused.is_err_and(|said| said.contains("duty")), "VP1 has nothing to order here");
    second.say(&["switchback", "--reason", "dm1 is repaired"]).unwrap();
    wait_held(&first);
    wait_settled(&first, "primary");
    wait_holder(&second, "vp1");
    witness.never_saw_both();
    first.wait_calm();
}

/// VP1 dies in its failover, and nobody goes on in its place: it does so itself when it is started
/// again, and hands the duty over then. Killed once more at just that moment, it leaves one holder.
#[test]
fn vp1_killed_during_and_after_a_failover_hands_over_in_the_end() {
    let name = "vp1_killed_during_and_after_a_failover_hands_over_in_the_end";
    let Some(lab) = Lab::up(name) else { return };
    let (mut first, second) = two(&lab);
    let witness = Witness::of(&lab);
    break_the_daemon(&lab);
    wait_step(&first, "failover", 4);
    first.kill();
    second.wait_alert("peer-unreachable");
    assert_eq!(held(&second), Ok(false), "a monitor never takes the duty by itself");
    first.run();
    wait_for("the failover's end", || {
        first.settled_on("secondary").or_else(|_| second.settled_on("secondary"))
    });
    first.kill();
    first.run();
    wait_held(&second);
    wait_holder(&first, "vp2");
    wait_settled(&second, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    assert_eq!((plans(&first, "failover"), plans(&second, "failover")), (1, 0));
}

/// VP1 is lost before DM1 is: VP2 tells people and waits for their word, takes over when it has it, and
/// VP1 steps back when it returns. Then somebody starts one more daemon with VP1's name.
#[test]
fn vp1_lost_before_dm1_is_replaced_by_order() {
    let Some(lab) = Lab::up("vp1_lost_before_dm1_is_replaced_by_order") else { return };
    let (mut first, mut second) = two(&lab);
    let witness = Witness::of(&lab);
    first.kill();
    second.wait_alert("peer-unreachable");
    break_the_daemon(&lab);
    let asked = second.say(&["duty", "take", "--reason", "vp1 is lost"]);
    assert!(asked.is_err_and(|said| said.contains("--force")), "it cannot ask vp1");
    second.say(&["duty", "take", "--force", "--reason", "vp1 is lost: I have looked"]).unwrap();
    wait_settled(&second, "secondary");
    dm2_serves(&lab, 2);
    first.run();
    wait_holder(&first, "vp2");
    witness.never_saw_both();
    assert_eq!((plans(&first, "failover"), plans(&second, "failover")), (0, 1));

    second.kill();
    second.edit("[monitor]\nname = \"vp2\"", "[monitor]\nname = \"vp1\"");
    second.edit("name = \"vp1\"\naddress", "name = \"vp2\"\naddress");
    second.run();
    let alert = first.wait_alert("peer-refused");
    assert!(alert.to_string().contains("vp1"), "{alert}");
    assert_eq!(held(&first), Ok(false));
}

/// VP1 and VP2 cannot hear each other when the failover is over: VP1 keeps the watch, now over DM2, and
/// says so; it hands over when they hear each other again. A stranger's certificate is no VP2.
#[test]
fn a_cut_between_the_monitors_delays_the_handing_over() {
    let Some(lab) = Lab::up("a_cut_between_the_monitors_delays_the_handing_over") else { return };
    let (first, mut second) = two(&lab);
    let witness = Witness::of(&lab);
    lab.run(&["cut", "vp1", "vp2"]);
    first.wait_alert("peer-unreachable");
    break_the_daemon(&lab);
    wait_settled(&first, "secondary");
    first.wait_alert("duty-not-handed-over");
    assert_eq!((held(&first), held(&second)), (Ok(true), Ok(false)));

    second.kill();
    make_keys(&lab, &["stranger"]);
    second.edit("keys/vp2.", "keys/stranger.");
    second.run();
    lab.run(&["heal", "vp1", "vp2"]);
    let alert = first.wait_alert("peer-refused");
    assert!(alert.to_string().contains("certificate"), "{alert}");
    assert_eq!((held(&first), held(&second)), (Ok(true), Ok(false)));

    second.kill();
    second.edit("keys/stranger.", "keys/vp2.");
    second.run();
    wait_held(&second);
    wait_holder(&first, "vp2");
    first.wait_resolved("peer-refused");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    assert_eq!((plans(&first, "failover"), plans(&second, "failover")), (1, 0));
}

/// DM2, DM3 and VP1 are all cut off from DM1, so that every witness finds it gone. It serves, and VP2 sees it.
#[test]
fn what_only_the_other_monitor_still_sees_is_not_failed_over_from() {
    let Some(lab) = Lab::up("what_only_the_other_monitor_still_sees_is_not_failed_over_from")
    else {
        return;
    };
    let (first, second) = two(&lab);
    let witness = Witness::of(&lab);
    for other in ["dm2", "dm3", "vp1"] {
        lab.run(&["cut", other, "dm1"]);
    }
    let alert = first.wait_alert("action-held");
    assert!(alert.to_string().contains("vp2 sees it alive: the way to it is cut"), "{alert}");
    let status = first.cluster().unwrap().to_string();
    assert!(status.contains(r#""vp2":"alive""#), "{status}");
    for other in ["dm2", "dm3", "vp1"] {
        lab.run(&["heal", other, "dm1"]);
    }
    first.wait_resolved("action-held");
    wait_settled(&first, "primary");
    assert_eq!((plans(&first, "failover"), plans(&second, "failover")), (0, 0));
    assert!(lab.runs("dm1", "daemon") && !lab.runs("dm2", "daemon"), "{}", first.story());
    witness.never_saw_both();
}
