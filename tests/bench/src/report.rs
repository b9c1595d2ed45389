//! What was measured, as a table for people or as JSON.

use serde_json::{Value, json};

use crate::measure::Series;

/// A figure that the design sets, and what came of it.
pub(crate) struct Target {
    what: String,
    measured: f64,
    limit: f64,
    at_most: bool,
    unit: &'static str,
}

impl Target {
    pub(crate) const fn at_most(
        what: String,
        measured: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self { what, measured, limit, at_most: true, unit }
    }

    pub(crate) const fn at_least(
        what: String,
        measured: f64,
        limit: f64,
        unit: &'static str,
    ) -> Self {
        Self { what, measured, limit, at_most: false, unit }
    }

    fn met(&self) -> bool {
        if self.at_most { self.measured <= self.limit } else { self.measured >= self.limit }
    }
}

/// Everything of one run.
#[derive(Default)]
pub(crate) struct Report {
    series: Vec<(String, Series)>,
    targets: Vec<Target>,
    notes: Vec<String>,
}

impl Report {
    pub(crate) fn series(&mut self, case: &str, all: Vec<Series>) {
        self.series.extend(all.into_iter().map(|series| (case.to_owned(), series)));
    }

    pub(crate) fn target(&mut self, target: Target) {
        self.targets.push(target);
    }

    pub(crate) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{:#}", self.json());
        } else {
            self.table();
        }
    }

    fn table(&self) {
        println!(
            "{:<24} {:<38} {:>8} {:>11} {:>11} {:>11}",
            "case", "what", "calls", "min us", "median us", "p99 us"
        );
        for (case, series) in &self.series {
            println!(
                "{case:<24} {:<38} {:>8} {:>11.1} {:>11.1} {:>11.1}",
                series.name,
                series.len(),
                micros(series.min()),
                micros(series.median()),
                micros(series.p99())
            );
        }
        println!();
        for note in &self.notes {
            println!("{note}");
        }
        println!();
        for target in &self.targets {
            let (bound, met) = (
                if target.at_most { "at most" } else { "at least" },
                if target.met() { "met" } else { "NOT MET" },
            );
            println!(
                "{:<50} {:>8.2}{}, {bound} {}{}: {met}",
                target.what, target.measured, target.unit, target.limit, target.unit
            );
        }
    }

    fn json(&self) -> Value {
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|(case, series)| {
                json!({
                    "case": case,
                    "what": series.name,
                    "calls": series.len(),
                    "min_us": micros(series.min()),
                    "median_us": micros(series.median()),
                    "p99_us": micros(series.p99()),
                })
            })
            .collect();
        let targets: Vec<Value> = self
            .targets
            .iter()
            .map(|target| {
                json!({
                    "what": target.what,
                    "measured": target.measured,
                    "limit": target.limit,
                    "bound": if target.at_most { "at most" } else { "at least" },
                    "unit": target.unit.trim(),
                    "met": target.met(),
                })
            })
            .collect();
        json!({ "series": series, "notes": self.notes, "targets": targets })
    }
}

fn micros(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
