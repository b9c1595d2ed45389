//! What the monitors' journals say, on one clock.

use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::plan::Plan;

use super::fault::Host;

/// A record, and whose it is.
#[derive(Debug, Clone)]
pub struct Written {
    /// The monitor's host.
    pub monitor: Host,
    /// Its number in that journal.
    pub seq: u64,
    /// When, in milliseconds since 1970, on the machine's clock.
    pub at: u64,
    /// What.
    pub event: Event,
}

/// Both journals, in the order of time.
#[derive(Debug, Clone, Default)]
pub struct Past {
    records: Vec<Written>,
}

impl Past {
    /// Takes a journal in. `ahead` says how many milliseconds its clock went ahead, if it did; then every record that
    /// is later than `now` is from after that.
    pub fn add(&mut self, monitor: Host, journal: Vec<Record>, now: u64, ahead: u64) {
        self.records.extend(journal.into_iter().map(|record| {
            let told = record.at.0;
            let at = if told > now { told.saturating_sub(ahead) } else { told };
            Written { monitor, seq: record.seq, at, event: record.event }
        }));
        self.records.sort_by_key(|written| (written.at, written.monitor, written.seq));
    }

    /// The plan that a monitor means by a number, and when it was begun: its own, or that of the one from which it
    /// has taken it over.
    pub fn plan(&self, monitor: Host, number: u64) -> Option<(&Plan, u64)> {
        let mut others = None;
        for written in &self.records {
            match &written.event {
                Event::PlanBegun(plan) if plan.number == number => {
                    let found = (plan.as_ref(), written.at);
                    if written.monitor == monitor {
                        return Some(found);
                    }
                    others = Some(found);
                }
                _ => {}
            }
        }
        others
    }

    /// Everything.
    pub fn records(&self) -> &[Written] {
        &self.records
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use serde_json::{Value, json};

    use super::*;

    /// A journal by hand: what is said of each record is its moment and its event as JSON.
    pub(in crate::chaos) fn journal(records: &[(u64, Value)]) -> Vec<Record> {
        let record = |(seq, (at, event)): (u64, &(u64, Value))| {
            let record = json!({"seq": seq, "at": at, "cluster": "prod", "event": event});
            serde_json::from_value(record.clone()).unwrap_or_else(|why| panic!("{why}: {record}"))
        };
        (1..).zip(records).map(record).collect()
    }

    /// Two that have not heard of each other give the same number to different plans.
    #[test]
    fn a_number_means_the_monitor_s_own_plan_or_the_one_it_has_taken_over() {
        let mut past = Past::default();
        let begun = |kind: &str| plan(7, &json!({ "kind": kind }));
        past.add("vp1", journal(&[(10, begun("failover"))]), u64::MAX, 0);
        assert_eq!(past.plan("vp2", 7).map(|(_, at)| at), Some(10));
        past.add("vp2", journal(&[(20, begun("switchover"))]), u64::MAX, 0);
        assert_eq!(past.plan("vp1", 7).map(|(_, at)| at), Some(10));
        assert_eq!(past.plan("vp2", 7).map(|(_, at)| at), Some(20));
        assert!(past.plan("vp1", 8).is_none());
    }

    pub(in crate::chaos) fn past(records: &[(u64, Value)]) -> Past {
        let mut past = Past::default();
        past.add("vp1", journal(records), u64::MAX, 0);
        past
    }

    /// A plan that asks dm1, and starts the daemon on dm2.
    pub(in crate::chaos) fn plan(number: u64, kind: &Value) -> Value {
        let step = |act: Value| json!({"act": act, "timeout_ms": 1, "attempts": 1, "retry_delay_ms": 0, "on_failure": "stop"});
        let proof = json!({"witnesses": 1});
        let mut plan = json!({
            "event": "plan-begun", "number": number, "cluster": "prod", "term": 1, "from": "primary", "to": "secondary",
            "ordered_by": {"policy": "data-mover-ha"}, "reason": "", "made": 0,
            "steps": [
                step(json!({"kind": "confirm-inactive", "server": "dm1", "services": ["daemon"], "proof": proof})),
                step(json!({"kind": "start-service", "server": "dm2", "service": "daemon"})),
            ]
        });
        plan.as_object_mut().unwrap().extend(kind.as_object().unwrap().clone());
        plan
    }

    pub(in crate::chaos) fn intended(plan: u64, step: u64) -> Value {
        json!({"event": "step-intended", "plan": plan, "step": step, "attempt": 1, "term": 1})
    }

    pub(in crate::chaos) fn done(plan: u64, step: u64, detail: &str) -> Value {
        json!({"event": "step-ended", "plan": plan, "step": step, "attempt": 1, "outcome": "done", "detail": detail, "changed": false})
    }

    #[test]
    fn a_clock_that_went_ahead_is_put_back_from_that_record_on() {
        let ended = |at| (at, json!({"event": "monitor-stopped", "monitor": "vp1"}));
        let mut past = Past::default();
        past.add("vp1", journal(&[ended(1_000), ended(902_000)]), 3_000, 900_000);
        past.add("vp2", journal(&[ended(1_500)]), 3_000, 0);
        let told: Vec<_> = past.records().iter().map(|it| (it.monitor, it.at)).collect();
        assert_eq!(told, [("vp1", 1_000), ("vp2", 1_500), ("vp1", 2_000)]);
    }
}
