//! Two monitors that share the duty through a real etcd, and one of them, or etcd, is lost.

use serde_json::Value;
use watchkeeper_lab::{Lab, Monitor, Setup, Timeline, Witness, wait_for};

use crate::support::{dm2_serves, is, plans, wait_settled, wait_step};

/// One member, on dm3.
const ONE: &str = r#"
[duty]
observe = "1s"
[duty.etcd]
endpoints = ["http://10.77.0.13:2379"]
lease = "6s"
"#;

/// Three members, on vp1, vp2 and dm3.
const THREE: &str = r#"
[duty]
observe = "1s"
[duty.etcd]
endpoints = ["http://10.77.0.21:2379", "http://10.77.0.22:2379", "http://10.77.0.13:2379"]
lease = "6s"
"#;

/// A clock that is an hour ahead, for one program; what it measures with is not touched.
const AN_HOUR_AHEAD: &str = "env FAKETIME=+1h FAKETIME_DONT_FAKE_MONOTONIC=1 \
                             LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketime.so.1)";

/// VP1, which has the duty, and VP2.
fn two<'a>(lab: &'a Lab, setup: &Setup) -> (Monitor<'a>, Monitor<'a>) {
    let members = if setup.duty == ONE { "1" } else { "3" };
    lab.run(&["etcd", "start", members]);
    let first = Monitor::start_on(lab, "vp1", setup);
    wait_held(&first);
    let second = Monitor::start_on(lab, "vp2", &Setup { run_by: "", ..*setup });
    wait_for("vp2 to know that vp1 has the duty", || {
        let cluster = second.cluster()?;
        if is(&cluster, "/duty/holder", "vp1") { Ok(()) } else { Err(cluster.to_string()) }
    });
    (first, second)
}

fn wait_held(monitor: &Monitor<'_>) {
    wait_for("the duty", || {
        let cluster = monitor.cluster()?;
        let held = cluster.pointer("/duty/held") == Some(&Value::Bool(true));
        if held { Ok(()) } else { Err(monitor.story()) }
    });
}

fn break_the_daemon(lab: &Lab) {
    lab.run(&["forbid", "dm1", "daemon"]);
    lab.run(&["kill", "dm1", "daemon"]);
}

fn failed_over_once(lab: &Lab, witness: Witness, by: &Monitor<'_>) {
    wait_settled(by, "secondary");
    witness.never_saw_both();
    dm2_serves(lab, 2);
    assert_eq!(plans(by, "failover"), 1, "{}", by.story());
}

/// VP1's host is lost, and a member of etcd with it; then DM1 fails, and VP2 is there.
#[test]
fn vp2_fails_over_after_vp1_is_lost_with_a_member_of_etcd() {
    let Some(lab) = Lab::up("vp2_fails_over_after_vp1_is_lost_with_a_member_of_etcd") else {
        return;
    };
    let (_first, second) = two(&lab, &Setup { duty: THREE, ..Setup::default() });
    let witness = Witness::of(&lab);
    let mut timeline = Timeline::begin("vp1 unplugged and killed, then dm1's daemon broken");
    lab.run(&["crash", "vp1"]);
    wait_held(&second);
    timeline.mark("vp2 has the duty");
    break_the_daemon(&lab);
    wait_settled(&second, "secondary");
    timeline.tell(&second);
    witness.never_saw_both();
    assert_eq!(plans(&second, "failover"), 1, "{}", second.story());
}

/// VP1 is killed in the middle of a failover: VP2 completes VP1's plan. And then the other way round,
/// with nothing left to do.
#[test]
fn vp2_completes_the_failover_in_which_vp1_is_killed() {
    let Some(lab) = Lab::up("vp2_completes_the_failover_in_which_vp1_is_killed") else { return };
    let (mut first, mut second) = two(&lab, &Setup { duty: ONE, ..Setup::default() });
    let witness = Witness::of(&lab);
    break_the_daemon(&lab);
    wait_step(&first, "failover", 4);
    let mut timeline = Timeline::begin("vp1's monitor killed in a failover");
    first.kill();
    wait_held(&second);
    timeline.mark("vp2 has the duty");
    wait_settled(&second, "secondary");
    timeline.mark("active on secondary");
    timeline.tell(&second);
    dm2_serves(&lab, 2);
    assert_eq!(plans(&second, "failover"), 0, "it was VP1's plan: {}", second.story());
    let story = second.say(&["explain"]).unwrap();
    assert!(!story.is_empty());

    first.run();
    second.kill();
    wait_held(&first);
    wait_settled(&first, "secondary");
    witness.never_saw_both();
    assert_eq!(plans(&first, "failover"), 1, "nothing was begun again: {}", first.story());
}

/// The leader of etcd is killed in a failover: it is ridden out, and VP1 completes its plan.
#[test]
fn a_leader_of_etcd_killed_in_a_failover_changes_nothing() {
    let Some(lab) = Lab::up("a_leader_of_etcd_killed_in_a_failover_changes_nothing") else {
        return;
    };
    let (first, second) = two(&lab, &Setup { duty: THREE, ..Setup::default() });
    let witness = Witness::of(&lab);
    break_the_daemon(&lab);
    wait_step(&first, "failover", 2);
    let leader = ["vp1", "vp2", "dm3"].into_iter().find(|host| {
        let words = ["sh", "-c", "ETCDCTL_API=3 etcdctl endpoint status | grep -q ', true,'"];
        lab.try_exec(host, &words).is_ok()
    });
    lab.run(&["etcd", "kill", leader.expect("a leader")]);
    wait_for("the end of the failover", || {
        first.settled_on("secondary").or_else(|_| second.settled_on("secondary"))
    });
    witness.never_saw_both();
    dm2_serves(&lab, 2);
    assert_eq!(plans(&first, "failover") + plans(&second, "failover"), 1);
}

/// VP1 is cut off from etcd, and from nothing that matters to DM1: VP2 has the duty then, and VP1 knows
/// that it does not.
#[test]
fn a_monitor_that_is_cut_from_etcd_does_nothing() {
    let Some(lab) = Lab::up("a_monitor_that_is_cut_from_etcd_does_nothing") else { return };
    let (first, second) = two(&lab, &Setup { duty: ONE, ..Setup::default() });
    let witness = Witness::of(&lab);
    lab.run(&["cut", "vp1", "dm3"]);
    let alert = first.wait_alert("duty-uncertain");
    assert!(is(&alert, "/severity", "critical"), "{alert}");
    wait_held(&second);
    break_the_daemon(&lab);
    failed_over_once(&lab, witness, &second);
    assert_eq!(plans(&first, "failover"), 0, "{}", first.story());
    lab.run(&["heal", "vp1", "dm3"]);
    wait_for("vp1 to know who has the duty", || {
        let cluster = first.cluster()?;
        if is(&cluster, "/duty/holder", "vp2") { Ok(()) } else { Err(cluster.to_string()) }
    });
    wait_settled(&first, "secondary");
}

/// Nothing about the duty depends on what a clock says.
#[test]
fn a_clock_that_is_an_hour_ahead_changes_nothing() {
    let Some(lab) = Lab::up("a_clock_that_is_an_hour_ahead_changes_nothing") else { return };
    let (mut first, second) =
        two(&lab, &Setup { duty: ONE, run_by: AN_HOUR_AHEAD, ..Setup::default() });
    let witness = Witness::of(&lab);
    let ahead = first.journal("monitor-started");
    let ours = second.journal("monitor-started");
    let at = |records: &[Value]| records[0].pointer("/at").and_then(Value::as_i64).unwrap();
    assert!(at(&ahead) - at(&ours) > 1_800_000, "its clock is ahead: {ahead:?}, {ours:?}");
    break_the_daemon(&lab);
    wait_step(&first, "failover", 4);
    first.kill();
    wait_settled(&second, "secondary");
    witness.never_saw_both();
    dm2_serves(&lab, 2);
}
