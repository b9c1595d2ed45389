//! Tells of what is going to fail before it does: disks and queues that fill, answers that take longer and
//! longer, certificates that end.
//!
//! At a fixed pace it takes a sample of what was measured and remembers the last points, at two paces; from
//! these follows how long it is, at the present rate, until a limit is reached ([`trend`]). A line through
//! points of two hours says little of next week, so no further is looked ahead than four times as far as
//! the points reach back. Between two samples everything is as it was, and nothing is remembered anew.

mod memory;
mod trend;
mod watch;

use std::time::Duration;

use watchkeeper_sdk::policy::{
    Alert, Evaluation, Grants, Measure, Policy, Severity, Snapshot, Value,
};

use memory::{Id, Memory, Series};
use watch::{Outlook, Watch};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// What is watched: disk, store, queue, latency, certificate.
        watch: Vec<String> = &["disk", "store", "queue", "latency", "certificate"];
        /// The time between two samples; another one begins the history anew.
        every: Duration = Duration::from_mins(10), Duration::from_mins(1)..=Duration::from_hours(1);
        /// Paths of the configuration's `resources` whose disks are watched, each by itself; none: the fullest of each server.
        disks: Vec<String> = &[];
        /// How full a disk may become, in percent.
        disk_limit: u32 = 95, 1..=100;
        /// How full the broker's store may become, in percent.
        store_limit: u32 = 90, 1..=100;
        /// How long before that it is told, of disks and of the store.
        disk_ahead: Duration = Duration::from_hours(48), Duration::from_mins(10)..=Duration::from_hours(720);
        /// How many messages may wait in the broker.
        queue_limit: i64 = 100_000, 1..=1_000_000_000;
        /// How long before that it is told.
        queue_ahead: Duration = Duration::from_hours(4), Duration::from_mins(10)..=Duration::from_hours(720);
        /// How long an answer may take.
        latency_limit: Duration = Duration::from_secs(2), Duration::from_millis(10)..=Duration::from_mins(10);
        /// How long before that it is told.
        latency_ahead: Duration = Duration::from_hours(4), Duration::from_mins(10)..=Duration::from_hours(720);
        /// How long before a certificate ends it is told.
        certificate_ahead: Duration = Duration::from_hours(504), Duration::from_hours(1)..=Duration::from_hours(8760);
        /// How long before its end that is critical.
        certificate_critical: Duration = Duration::from_hours(72), Duration::from_hours(1)..=Duration::from_hours(8760);
        /// The code of the alert disk-filling; empty: none.
        code_disk: String = "";
        /// The code of the alert store-filling; empty: none.
        code_store: String = "";
        /// The code of the alert queue-growing; empty: none.
        code_queue: String = "";
        /// The code of the alert latency-growing; empty: none.
        code_latency: String = "";
        /// The code of the alert certificate-ending; empty: none.
        code_certificate: String = "";
    }
}

/// The policy.
#[derive(Debug)]
pub struct EarlyWarning;

impl Policy for EarlyWarning {
    type Settings = Settings;
    const NAME: &'static str = "early-warning";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Tells of what is going to fail before it does, by how it has been going.";
    const NEEDS: Grants = Grants::ALERT;

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        state: &[u8],
    ) -> Result<Evaluation, String> {
        let watches = Watch::all(settings)?;
        let (now, every) = (snapshot.time(), watch::millis(settings.every).max(1));
        let mut memory = Memory::read(state, every);
        let sample = now / every;
        if sample > memory.sample {
            take_sample(snapshot, &watches, now, every, &mut memory);
        } else if memory.sample - sample > 1 {
            // The clock was put back: what is remembered lies in the future.
            memory = Memory::default();
            take_sample(snapshot, &watches, now, every, &mut memory);
        }
        let mut evaluation = Evaluation::new();
        for series in memory.series.iter().filter(|series| series.raised) {
            if let Some(watch) = watches.iter().find(|watch| watch.measure == series.id.measure) {
                evaluation.alert(alert(watch, series, memory.sample * every, every));
            }
        }
        evaluation.look_again(Duration::from_millis(every - now % every));
        evaluation.remember(memory.write(every));
        Ok(evaluation)
    }
}

fn take_sample(snapshot: &Snapshot, watches: &[Watch], now: u64, every: u64, memory: &mut Memory) {
    let (before, sample) = (memory.sample, now / every);
    memory.series.retain(|series| watches.iter().any(|it| it.measure == series.id.measure));
    let mut seen = Vec::new();
    for watch in watches {
        let mut measures = snapshot.measures(&watch.measure);
        // One that is not measured any more says nothing about now.
        measures.retain(|it| watch.is_of_any_age() || it.at.saturating_add(2 * every) >= now);
        for measure in measures {
            let id = Id {
                server: measure.server.clone(),
                service: measure.service.map(|service| service as u8),
                measure: watch.measure.clone(),
            };
            let Some(value) = number(&measure).filter(|_| !seen.contains(&id)) else { continue };
            let value = watch.kept(value, measure.at);
            let at = match memory.series.binary_search_by(|series| series.id.cmp(&id)) {
                Ok(at) => at,
                Err(at) => {
                    memory.series.insert(at, Series { id: id.clone(), ..Series::default() });
                    at
                }
            };
            if let Some(series) = memory.series.get_mut(at) {
                series.about = watch.about(snapshot, &measure);
                series.push(before, sample, value);
            }
            seen.push(id);
        }
    }
    for series in &mut memory.series {
        if !seen.contains(&series.id) {
            series.push(before, sample, f32::NAN);
        }
        if let Some(watch) = watches.iter().find(|watch| watch.measure == series.id.measure) {
            watch.settle(series, sample * every, every);
        }
    }
    memory.series.retain(|series| !series.is_empty());
    memory.sample = sample;
}

#[expect(clippy::cast_precision_loss, reason = "no trend depends on the last digits")]
fn number(measure: &Measure) -> Option<f64> {
    match measure.value {
        Value::Integer(value) => Some(value as f64),
        Value::Number(value) => Some(value),
        Value::Flag(_) | Value::Text(_) => None,
    }
}

fn alert(watch: &Watch, series: &Series, sampled: u64, every: u64) -> Alert {
    let outlook = watch.outlook(series, sampled, every);
    let severity = match outlook {
        Outlook::Reached => Severity::Critical,
        Outlook::In(left) if left <= watch.critical => Severity::Critical,
        Outlook::In(_) | Outlook::Calm => Severity::Warning,
    };
    let mut alert = Alert::new(severity, watch.alert)
        .on_server(&series.id.server)
        .code(&watch.code)
        .summary(watch.words(series, outlook));
    alert.service = watch::service(&series.id);
    match watch.label.as_deref() {
        Some(path) => alert.label("path", path),
        None => alert,
    }
}

watchkeeper_sdk::export_policy!(EarlyWarning);
