//! How long each part of a change of side took, by the journal's own records.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::Monitor;

/// Milliseconds since 1970, on the clock that the daemon uses too.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// A fault, and what followed. Its text says how long each part took.
#[derive(Debug)]
pub struct Timeline {
    name: &'static str,
    fault: u64,
    /// Each part, and when it was over.
    parts: Vec<(String, u64)>,
}

impl Timeline {
    /// Begins at this moment, just before a fault is made.
    pub fn begin(name: &'static str) -> Self {
        Self { name, fault: now(), parts: Vec::new() }
    }

    /// Something is over at this moment.
    pub fn mark(&mut self, part: &str) {
        self.parts.push((part.to_owned(), now()));
    }

    /// Adds what the journal knows, and prints it.
    pub fn tell(mut self, monitor: &Monitor<'_>) {
        let at = |record: &Value| record.pointer("/at").and_then(Value::as_u64).unwrap_or(0);
        let detected = monitor.journal("observed").iter().find_map(|record| {
            let late = at(record) >= self.fault;
            let up = record.pointer("/event/status") == Some(&Value::from("up"));
            (late && !up).then(|| at(record))
        });
        self.parts.extend(detected.map(|at| ("detect".to_owned(), at)));
        let plans = monitor.journal("plan-begun");
        for plan in plans.iter().filter(|plan| at(plan) >= self.fault) {
            let number = plan.pointer("/event/number").cloned().unwrap_or_default();
            let kind = match plan.pointer("/event/kind") {
                Some(Value::String(kind)) => kind.clone(),
                other => other.map(Value::to_string).unwrap_or_default(),
            };
            self.parts.push((format!("decide {kind}"), at(plan)));
            let steps = plan.pointer("/event/steps").and_then(Value::as_array);
            for record in monitor.journal("step-ended") {
                if record.pointer("/event/plan") != Some(&number) {
                    continue;
                }
                let step = record.pointer("/event/step").and_then(Value::as_u64).unwrap_or(0);
                let act = usize::try_from(step).ok().and_then(|i| steps?.get(i)?.pointer("/act"));
                let word = |key| act.and_then(|act| act.pointer(key)).and_then(Value::as_str);
                let what = [word("/kind"), word("/server"), word("/service")];
                let what: Vec<&str> = what.into_iter().flatten().collect();
                self.parts.push((what.join(" "), at(&record)));
            }
        }
        self.parts.sort_by_key(|(_, at)| *at);
        eprint!("{self}");
    }
}

impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "TIMELINE {} (milliseconds: since the fault, since the line before)",
            self.name
        )?;
        let mut before = self.fault;
        for (part, at) in &self.parts {
            let (all, own) = (at.saturating_sub(self.fault), at.saturating_sub(before));
            writeln!(f, "{all:>8} {own:>7}  {part}")?;
            before = *at;
        }
        Ok(())
    }
}
