//! What several scenarios ask in the same words.

use serde_json::Value;
use watchkeeper_lab::{Lab, Monitor, wait_for};

/// Waits until the cluster is active on `side` with nothing in flight.
pub(crate) fn wait_settled(monitor: &Monitor<'_>, side: &str) {
    wait_for(&format!("the cluster to settle on {side}"), || monitor.settled_on(side));
}

/// DM2 serves: REST lists that many agents, jobs get numbers nobody has, and rows stay.
pub(crate) fn dm2_serves(lab: &Lab, agents: usize) {
    wait_for("dm2's REST to list the agents", || match lab.agents("dm2")? {
        found if found == agents => Ok(()),
        found => Err(format!("{found} agents")),
    });
    let before = greatest_job(lab, "dm2");
    for turn in 0..3 {
        let name = format!("after the failover {turn}");
        let id = lab.create_job("dm2", &name).unwrap();
        assert!(id > before, "the number {id} is among those that were in use, up to {before}");
        let row = format!("select name from dm_job where id = {id}");
        assert_eq!(lab.sql("dm2", &row).unwrap(), name);
    }
}

/// DM1 has come back with what it starts at boot, and its exclusive services are stopped as strays. Not REST:
/// without a daemon it does not serve, so it is not found to be running on the wrong side. Not the agent: a standby
/// may have one, and it works for whichever side is active.
pub(crate) fn dm1_is_cleared(lab: &Lab, monitor: &Monitor<'_>) {
    wait_for("dm1's broker and daemon to be stopped", || {
        let mut left: Vec<_> = ["activemq", "daemon"].into_iter().collect();
        left.retain(|service| lab.runs("dm1", service));
        if left.is_empty() && plans(monitor, "clear") > 0 {
            Ok(())
        } else {
            Err(format!("{left:?}\n{}", monitor.story()))
        }
    });
    wait_settled(monitor, "secondary");
}

/// The greatest number of a job in the repository on `host`.
pub(crate) fn greatest_job(lab: &Lab, host: &str) -> i64 {
    lab.sql(host, "select max(id) from dm_job").unwrap().parse().unwrap()
}

/// Every notification reached the sink once, and the alert `name` fired in exactly one of them.
pub(crate) fn told_once(monitor: &Monitor<'_>, name: &str) {
    monitor.wait_alert(name);
    wait_for("an empty outbox", || {
        let status = monitor.ask(&["status"])?;
        if status.pointer("/outbox") == Some(&serde_json::json!([0, 0])) {
            Ok(())
        } else {
            Err(status.pointer("/outbox").map(Value::to_string).unwrap_or_default())
        }
    });
    let counts = monitor.deliveries(name);
    assert!(counts.values().all(|count| *count == 1), "delivered more than once: {counts:?}");
    let firing = monitor.delivered().iter().filter(|it| is(it, "/name", name)).count();
    let resolved = monitor
        .delivered()
        .iter()
        .filter(|it| is(it, "/name", name))
        .filter(|it| is(it, "/status", "resolved"))
        .count();
    assert_eq!(firing - resolved, 1, "{:?}", monitor.delivered());
}

/// Whether the text at a place in a JSON value is this one.
pub(crate) fn is(value: &Value, pointer: &str, text: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_str) == Some(text)
}

/// How many plans of a kind the journal has.
pub(crate) fn plans(monitor: &Monitor<'_>, kind: &str) -> usize {
    let plans = monitor.journal("plan-begun");
    plans
        .iter()
        .filter(|plan| {
            is(plan, "/event/kind", kind)
                || plan.pointer("/event/kind").is_some_and(|it| it.get(kind).is_some())
        })
        .count()
}

/// Waits until a plan of that kind is in flight and its step of that number, counted from 1, is
/// under way or over.
pub(crate) fn wait_step(monitor: &Monitor<'_>, kind: &str, number: u64) {
    wait_for(&format!("step {number} of a {kind}"), || {
        let cluster = monitor.cluster()?;
        let plan = cluster.pointer("/plan").cloned().unwrap_or_default();
        let step = plan.pointer("/step").and_then(Value::as_u64).unwrap_or(0);
        if is(&plan, "/kind", kind) && step >= number { Ok(()) } else { Err(plan.to_string()) }
    });
}

/// Waits until the failover has begun to start the first of DM2's services that takes its time, by
/// the journal: a step that is over before anyone looks is not missed.
pub(crate) fn wait_starting(monitor: &Monitor<'_>) {
    wait_for("the start of a failover's first service", || {
        let begun = monitor.journal("plan-begun");
        let failover = begun.iter().find(|plan| is(plan, "/event/kind", "failover"));
        let steps = failover.and_then(|plan| plan.pointer("/event/steps")?.as_array());
        let start = steps.and_then(|steps| {
            steps.iter().position(|step| {
                is(step, "/act/kind", "start-service") && is(step, "/act/service", "activemq")
            })
        });
        let number = failover.and_then(|plan| plan.pointer("/event/number"));
        let intended = monitor.journal("step-intended");
        let reached = intended.iter().any(|record| {
            let step = record.pointer("/event/step").and_then(Value::as_u64);
            record.pointer("/event/plan") == number
                && step.zip(start).is_some_and(|(step, start)| step == start as u64)
        });
        if reached { Ok(()) } else { Err(format!("start {start:?}, intended: {intended:?}")) }
    });
}
