//! What all runs came to: least, median and most, as a table for people or as JSON.

use serde_json::{Value, json};

use crate::account::Part;
use crate::fault::Fault;
use crate::run::{Run, since};

/// Everything that was measured.
pub(crate) struct Report {
    compared: bool,
    runs: Vec<(Fault, Run)>,
}

/// A row of the table: what it is, and its figure in a run.
type Row = (String, Box<dyn Fn(&Run) -> Option<f64>>);

fn row(what: impl Into<String>, figure: impl Fn(&Run) -> f64 + 'static) -> Row {
    (what.into(), Box::new(move |run| Some(figure(run))))
}

fn rows(fault: Fault) -> Vec<Row> {
    let window = since(0, fault.window());
    let mut rows = vec![
        row("from the fault to dm2's REST", |run| run.served),
        row("  beyond the window", move |run| run.served - window),
        row("  found for the first time after", |run| run.account.detected),
        row("  found as often as needed after", |run| run.account.confirmed),
        row("  decide", |run| run.account.decided),
    ];
    for part in Part::ALL {
        let name = part.as_str();
        rows.push(row(format!("  {name}"), move |run| run.account.part(part).all));
        rows.push(row("    the engine's own", move |run| run.account.part(part).own));
        rows.push(row("    status commands, probes", move |run| run.account.part(part).looks));
    }
    rows.push(row("all but the services' start", all_but_the_start));
    rows.push(row("of it, the engine's own", |run| run.account.own()));
    rows.push(row("to make sure: status commands, probes", |run| run.account.looks()));
    rows.push(("Redis Sentinel: replica promoted after".to_owned(), Box::new(|run| run.promoted)));
    rows.push((
        "  beyond its window".to_owned(),
        Box::new(move |run| run.promoted.map(|promoted| promoted - window)),
    ));
    rows
}

/// What is over the window and not the new side's services coming up: commands, statements and
/// probes included, and the old side's stop. From the confirmation on, so that one which came before
/// the window's end makes up for nothing.
fn all_but_the_start(run: &Run) -> f64 {
    run.account.late + run.served - run.account.confirmed - run.account.part(Part::Start).all
}

/// Least, median and most; none of nothing.
fn spread(mut figures: Vec<f64>) -> Option<[f64; 3]> {
    figures.sort_by(f64::total_cmp);
    let (first, last) = (*figures.first()?, *figures.last()?);
    Some([first, *figures.get(figures.len() / 2)?, last])
}

impl Report {
    pub(crate) const fn new(compared: bool) -> Self {
        Self { compared, runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, fault: Fault, run: Run) {
        self.runs.push((fault, run));
    }

    fn of(&self, fault: Fault) -> impl Iterator<Item = &Run> {
        self.runs.iter().filter(move |(one, _)| *one == fault).map(|(_, run)| run)
    }

    pub(crate) fn print(&self, json: bool) {
        if json {
            println!("{:#}", self.json());
            return;
        }
        for fault in Fault::ALL {
            if self.of(fault).next().is_some() {
                self.table(fault);
            }
        }
        if !self.compared {
            println!("not compared: Redis Sentinel (apt-get install redis-server redis-sentinel)");
        }
    }

    fn table(&self, fault: Fault) {
        let (count, window) = (self.of(fault).count(), fault.window());
        println!("{fault}: {count} runs, window {window} ms");
        println!("{:<42} {:>9} {:>9} {:>9}", "milliseconds", "least", "median", "most");
        for (what, figure) in rows(fault) {
            if let Some([least, median, most]) = spread(self.of(fault).filter_map(figure).collect())
            {
                println!("{what:<42} {least:>9.1} {median:>9.1} {most:>9.1}");
            }
        }
        self.judge(fault, "all but the services' start", all_but_the_start);
        self.judge(fault, "the engine's own", |run| run.account.own());
        println!();
    }

    /// Says whether the median of a figure meets the target of the fault.
    fn judge(&self, fault: Fault, what: &str, figure: impl Fn(&Run) -> f64) {
        if let Some([_, median, _]) = spread(self.of(fault).map(figure).collect()) {
            let met = if median <= fault.target() { "met" } else { "NOT MET" };
            println!("{what}: {median:.1} ms, at most {}: {met}", fault.target());
        }
    }

    fn json(&self) -> Value {
        let faults: Vec<Value> = Fault::ALL.map(|fault| self.json_of(fault)).into();
        json!({ "compared": self.compared, "faults": faults })
    }

    fn json_of(&self, fault: Fault) -> Value {
        let figures: Vec<Value> = rows(fault)
            .into_iter()
            .map(|(what, figure)| {
                let runs: Vec<_> = self.of(fault).map(figure).collect();
                json!({ "what": what.trim(), "ms": runs })
            })
            .collect();
        json!({
            "fault": fault.key(),
            "window_ms": fault.window(),
            "target_ms": fault.target(),
            "figures": figures,
        })
    }
}
