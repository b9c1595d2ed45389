use serde_json::json;

use super::super::past::tests::{past, plan};
use super::super::sight::Process;
use super::*;

fn job(name: &str, host: Host, at: u64) -> Acknowledged {
    Acknowledged { job: name.to_owned(), host, at }
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn changed(kind: Option<PlanKind>, to: Host, at: u64) -> Change {
    Change { kind, to, begun: at, ended: at + 1_000 }
}

#[test]
fn a_job_that_a_planned_change_leaves_behind_is_lost() {
    let jobs = [job("a", "dm1", 1_000), job("b", "dm1", 10_500), job("c", "dm2", 12_000)];
    let there = [changed(Some(PlanKind::Switchover), "dm2", 10_000)];
    let (owing, carried) = owed(&jobs, &there, &Seen::default());
    assert_eq!((owing.len(), carried), (3, 2));
    assert!(judge(&owing, &names(&["a", "b", "c"]), "dm2").is_empty());
    let lost = judge(&owing, &names(&["a", "c"]), "dm2");
    assert_eq!(lost, ["1 of 3 acknowledged jobs are not on dm2: b"]);
}

#[test]
fn there_and_back_all_of_them_are_owed() {
    let jobs = [job("a", "dm1", 1_000), job("b", "dm2", 12_000), job("c", "dm1", 22_000)];
    let changes = [
        changed(Some(PlanKind::Switchover), "dm2", 10_000),
        changed(Some(PlanKind::Switchback), "dm1", 20_000),
    ];
    let (owing, carried) = owed(&jobs, &changes, &Seen::default());
    assert_eq!((owing.len(), carried), (3, 2));
}

#[test]
fn a_failover_and_an_operators_word_may_lose_what_was_before() {
    let jobs = [job("a", "dm1", 1_000), job("b", "dm2", 12_000), job("stray", "dm1", 13_000)];
    for kind in [Some(PlanKind::Failover), None] {
        let (owing, carried) = owed(&jobs, &[changed(kind, "dm2", 10_000)], &Seen::default());
        assert_eq!((owing, carried), (["b"].into(), 0));
    }
}

#[test]
fn what_a_daemon_took_that_somebody_started_beside_the_plan_is_not_owed() {
    let jobs = [job("a", "dm1", 9_000), job("b", "dm1", 10_800)];
    let process = |start, by| Process { host: "dm1", service: "daemon", by, start };
    let there = [changed(Some(PlanKind::Switchover), "dm2", 10_000)];
    for (by, start, expected) in
        [(By::Others, 10_500, 1), (By::Others, 9_500, 2), (By::Monitor, 10_500, 2)]
    {
        let processes = vec![process(1, By::Monitor), process(start, by)];
        let seen = Seen { processes, ..Seen::default() };
        assert_eq!(owed(&jobs, &there, &seen).0.len(), expected, "{by:?} {start}");
    }
}

#[test]
fn changes_are_what_the_journals_say_was_completed() {
    let ended = |plan, ending: serde_json::Value| {
        let mut event = json!({"event": "plan-ended", "plan": plan});
        if let (Some(event), Some(ending)) = (event.as_object_mut(), ending.as_object()) {
            event.extend(ending.clone());
        }
        event
    };
    let kind = |kind| json!({"kind": kind});
    let records = [
        (1, plan(1, &kind("failover"))),
        (2, ended(1, json!({"ending": "refused", "step": 0, "detail": ""}))),
        (3, plan(2, &kind("switchover"))),
        (4, ended(2, json!({"ending": "completed"}))),
        (5, json!({"event": "declared", "side": "primary", "by": "ada", "reason": ""})),
    ];
    let found: Vec<_> =
        changes(&past(&records)).into_iter().map(|it| (it.kind, it.to, it.begun)).collect();
    assert_eq!(found, [(Some(PlanKind::Switchover), "dm2", 3), (None, "dm1", 5)]);
}
