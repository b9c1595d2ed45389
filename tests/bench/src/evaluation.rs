//! One evaluation: the engine's way, the bare floor, and Rego.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use watchkeeper_core::proposal::Evaluation;
use watchkeeper_core::settings::{self, SettingValue};
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_wasm::{Evaluated, Host, Policy};

use crate::Failed;
use crate::cases::{CALM, COMPARED, Case, FAILOVER, LARGE_CALM, LARGE_FAILOVER};
use crate::floor::Floor;
use crate::measure::{Subject, in_turns};
use crate::rego::Rego;
use crate::report::{Report, Target};

/// The policy with its default settings, on a host of its own.
pub(crate) struct Loaded {
    pub(crate) host: Host,
    pub(crate) bytes: Vec<u8>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) settings: Vec<SettingValue>,
}

impl Loaded {
    pub(crate) fn new(host: Host, bytes: Vec<u8>) -> Result<Self, Failed> {
        let policy = Arc::new(host.load_policy(&bytes)?);
        let settings = settings::check(&policy.description().settings, &BTreeMap::new())
            .map_err(|problems| format!("the default settings do not fit: {problems:?}"))?;
        Ok(Self { host, bytes, policy, settings })
    }

    fn evaluate(&self, snapshot: &Arc<Snapshot>) -> Result<(Evaluated, Evaluation), Failed> {
        let evaluated = self.policy.evaluate(snapshot, &self.settings, &[]);
        let evaluation = evaluated.outcome.clone().map_err(|failure| failure.to_string())?;
        Ok((evaluated, evaluation))
    }

    fn floor(&self, snapshot: &Arc<Snapshot>) -> Result<Floor, Failed> {
        let (evaluated, said) = self.evaluate(snapshot)?;
        let floor = Floor::new(
            self.host.engine(),
            &self.bytes,
            &self.settings,
            snapshot,
            &evaluated.reads,
        )?;
        let found = floor.evaluate()?;
        if found != (said.proposals.len(), said.alerts.len(), said.notes.len()) {
            return Err("the floor comes to another evaluation than the engine".into());
        }
        Ok(floor)
    }
}

/// Measures both cases on three servers and on a thousand.
pub(crate) fn measure(loaded: &Loaded, calls: usize, report: &mut Report) -> Result<(), Failed> {
    for case in &COMPARED {
        agree(loaded, case)?;
    }
    for case in [&FAILOVER, &CALM] {
        small(loaded, case, calls, report)?;
    }
    for case in [&LARGE_FAILOVER, &LARGE_CALM] {
        large(loaded, case, calls / 10, report)?;
    }
    Ok(())
}

fn agree(loaded: &Loaded, case: &Case) -> Result<Rego, Failed> {
    let snapshot = case.snapshot()?;
    let (_, evaluation) = loaded.evaluate(&snapshot)?;
    let mut rego = Rego::new(loaded.policy.description(), &loaded.settings)?;
    rego.agrees(case.name, &snapshot, &evaluation)?;
    Ok(rego)
}

fn small(loaded: &Loaded, case: &Case, calls: usize, report: &mut Report) -> Result<(), Failed> {
    let snapshot = case.snapshot()?;
    let floor = loaded.floor(&snapshot)?;
    let mut rego = agree(loaded, case)?;
    let json = serde_json::to_string(&*snapshot)?;
    let series = in_turns(
        calls,
        &mut [
            Subject::new("engine", || engine(loaded, &snapshot)),
            Subject::new("bare wasmtime", || {
                black_box(floor.evaluate()?);
                Ok(())
            }),
        ],
    )?;
    let [engine_time, bare] = &series[..] else { return Err("two were measured".into()) };
    let over = ratio(engine_time.median(), bare.median());
    report.target(Target::at_most(
        format!("{}: engine over bare wasmtime", case.name),
        over,
        1.5,
        "",
    ));
    report.series(case.name, series);

    let series = in_turns(
        calls / 4,
        &mut [
            Subject::new("engine, beside regorus", || engine(loaded, &snapshot)),
            Subject::new("regorus, JSON in and out", || {
                black_box(rego.decide(&json)?);
                Ok(())
            }),
        ],
    )?;
    let [engine_time, theirs] = &series[..] else { return Err("two were measured".into()) };
    let faster = ratio(theirs.median(), engine_time.median());
    report.target(Target::at_least(format!("{}: regorus over engine", case.name), faster, 3.0, ""));
    report.series(case.name, series);
    Ok(())
}

fn large(loaded: &Loaded, case: &Case, calls: usize, report: &mut Report) -> Result<(), Failed> {
    let (topology, book) = (case.topology()?, case.book()?);
    let snapshot = case.snapshot()?;
    let floor = loaded.floor(&snapshot)?;
    let series = in_turns(
        calls,
        &mut [
            Subject::new("engine", || engine(loaded, &snapshot)),
            Subject::new("bare wasmtime", || {
                black_box(floor.evaluate()?);
                Ok(())
            }),
        ],
    )?;
    let micros = series.first().ok_or("nothing")?.median().as_secs_f64() * 1e6;
    report.target(Target::at_most(case.name.to_owned(), micros, 200.0, " us"));
    report.series(case.name, series);

    let mut rego = agree(loaded, case)?;
    let json = serde_json::to_string(&*snapshot)?;
    let series = in_turns(
        calls.div_ceil(20).clamp(10, 40),
        &mut [
            Subject::new("taking the snapshot", || {
                black_box(case.take(&topology, &book)?);
                Ok(())
            }),
            Subject::new("regorus, JSON in and out", || {
                black_box(rego.decide(&json)?);
                Ok(())
            }),
        ],
    )?;
    report.series(case.name, series);
    Ok(())
}

fn engine(loaded: &Loaded, snapshot: &Arc<Snapshot>) -> Result<(), Failed> {
    let evaluated = black_box(loaded.policy.evaluate(snapshot, &loaded.settings, &[]));
    match evaluated.outcome {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.to_string().into()),
    }
}

fn ratio(above: std::time::Duration, below: std::time::Duration) -> f64 {
    above.as_secs_f64() / below.as_secs_f64().max(f64::MIN_POSITIVE)
}
