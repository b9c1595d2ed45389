//! What is watched, its limits, and the words in which it is told.

use std::time::Duration;

use watchkeeper_sdk::policy::{Measure, Service, Snapshot, Value};

use crate::Settings;
use crate::memory::{COARSE, Id, Series};
use crate::trend::{Trend, median};

/// How far ahead is looked, in times of how far the points reach back.
const TRUST: f64 = 4.0;
/// How far almost all pairs of points have to agree that it rises, and how far they have to go on
/// agreeing once it is told.
const AGREE: f64 = 0.8;
const STILL_AGREE: f64 = 0.5;
/// Once it is told, it is told until it is this much further away than it had to be.
const SLACK: f64 = 1.5;
/// Or this much below the limit, if the limit was reached.
const BELOW: f64 = 0.95;
/// So many samples in a row have to say so before it is told, and before it is not any more.
const TO_TELL: u8 = 2;
const TO_END: u8 = 3;

/// A kind of value that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Disk,
    Store,
    Queue,
    Latency,
    Certificate,
}

/// What is watched.
#[derive(Debug)]
pub(crate) struct Watch {
    kind: Kind,
    pub(crate) measure: String,
    pub(crate) alert: &'static str,
    pub(crate) code: String,
    /// The path, where there may be several.
    pub(crate) label: Option<String>,
    limit: f64,
    /// How long before the limit is reached it is told, and how long before that is critical.
    ahead: Duration,
    pub(crate) critical: Duration,
}

/// How long it is until the limit is reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Outlook {
    /// It is.
    Reached,
    /// So long, at the present rate.
    In(Duration),
    /// Nothing says that it will be.
    Calm,
}

impl Watch {
    pub(crate) fn all(settings: &Settings) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for name in &settings.watch {
            match name.as_str() {
                "disk" if settings.disks.is_empty() => {
                    all.push(Self::disk(settings, "disk-used-percent".to_owned(), None));
                }
                "disk" => all.extend(settings.disks.iter().map(|path| {
                    let measure = format!("disk-{}-used-percent", path_name(path));
                    Self::disk(settings, measure, Some(path.clone()))
                })),
                "store" => all.push(Self {
                    alert: "store-filling",
                    code: settings.code_store.clone(),
                    limit: f64::from(settings.store_limit),
                    kind: Kind::Store,
                    ..Self::disk(settings, "store-percent".to_owned(), None)
                }),
                "queue" => all.push(Self {
                    kind: Kind::Queue,
                    measure: "queued-messages".to_owned(),
                    alert: "queue-growing",
                    code: settings.code_queue.clone(),
                    label: None,
                    limit: whole(settings.queue_limit),
                    ahead: settings.queue_ahead,
                    critical: settings.queue_ahead / 8,
                }),
                "latency" => all.push(Self {
                    kind: Kind::Latency,
                    measure: "latency-ms".to_owned(),
                    alert: "latency-growing",
                    code: settings.code_latency.clone(),
                    label: None,
                    limit: settings.latency_limit.as_secs_f64() * 1000.0,
                    ahead: settings.latency_ahead,
                    critical: settings.latency_ahead / 8,
                }),
                "certificate" => all.push(Self {
                    kind: Kind::Certificate,
                    measure: "certificate-expires-s".to_owned(),
                    alert: "certificate-ending",
                    code: settings.code_certificate.clone(),
                    label: None,
                    limit: 0.0,
                    ahead: settings.certificate_ahead,
                    critical: settings.certificate_critical,
                }),
                // A name that means nothing would watch nothing, unseen.
                _ => {
                    return Err(format!(
                        "watch: there is no {name:?}; there are disk, store, queue, latency and certificate"
                    ));
                }
            }
        }
        Ok(all)
    }

    fn disk(settings: &Settings, measure: String, label: Option<String>) -> Self {
        Self {
            kind: Kind::Disk,
            measure,
            alert: "disk-filling",
            code: settings.code_disk.clone(),
            label,
            limit: f64::from(settings.disk_limit),
            ahead: settings.disk_ahead,
            critical: settings.disk_ahead / 8,
        }
    }

    /// A certificate ends when it was last seen to end, whatever its server says now: after its end
    /// nobody connects any more to see it.
    pub(crate) fn is_of_any_age(&self) -> bool {
        self.kind == Kind::Certificate
    }

    /// The value to remember: of a certificate when it ends, since how long that is until then is no
    /// trend. The number that is kept is exact to about two minutes.
    #[expect(clippy::cast_possible_truncation, reason = "no trend depends on the last digits")]
    #[expect(clippy::cast_precision_loss, reason = "the same")]
    pub(crate) fn kept(&self, value: f64, at: u64) -> f32 {
        match self.kind {
            Kind::Certificate => ((at / 1000) as f64 + value) as f32,
            Kind::Disk | Kind::Store | Kind::Queue | Kind::Latency => value as f32,
        }
    }

    /// What the value is about, beside its server and service.
    pub(crate) fn about(&self, snapshot: &Snapshot, measure: &Measure) -> String {
        match (self.kind, &self.label) {
            (Kind::Disk, Some(path)) => path.clone(),
            (Kind::Disk, None) => {
                match snapshot.measure(&measure.server, measure.service, "disk-path") {
                    Some(Measure { value: Value::Text(path), .. }) => path,
                    _ => String::new(),
                }
            }
            _ => String::new(),
        }
    }

    /// Decides whether it is told, after a sample.
    pub(crate) fn settle(&self, series: &mut Series, sampled: u64, every: u64) {
        let says_otherwise = if series.raised {
            !self.still_so(series, sampled, every)
        } else {
            self.is_so(series, sampled, every)
        };
        series.doubts = if says_otherwise { series.doubts.saturating_add(1) } else { 0 };
        let enough = match (self.kind, series.raised) {
            (Kind::Certificate, _) => 1,
            (_, false) => TO_TELL,
            (_, true) => TO_END,
        };
        if series.doubts >= enough {
            series.raised = !series.raised;
            series.doubts = 0;
        }
    }

    fn is_so(&self, series: &Series, sampled: u64, every: u64) -> bool {
        match self.looked_at(series, sampled, every, AGREE, TRUST) {
            Outlook::Reached => true,
            Outlook::In(left) => left <= self.ahead,
            Outlook::Calm => false,
        }
    }

    fn still_so(&self, series: &Series, sampled: u64, every: u64) -> bool {
        let near = level(series).is_some_and(|level| level >= self.limit * BELOW);
        match self.looked_at(series, sampled, every, STILL_AGREE, TRUST * SLACK) {
            Outlook::Reached => true,
            Outlook::In(left) if self.kind == Kind::Certificate => left <= self.ahead,
            Outlook::In(left) => near || left <= self.ahead.mul_f64(SLACK),
            Outlook::Calm => near && self.kind != Kind::Certificate,
        }
    }

    /// What is said of something that is told.
    pub(crate) fn outlook(&self, series: &Series, sampled: u64, every: u64) -> Outlook {
        self.looked_at(series, sampled, every, STILL_AGREE, TRUST * SLACK)
    }

    fn looked_at(
        &self,
        series: &Series,
        sampled: u64,
        every: u64,
        agree: f64,
        trust: f64,
    ) -> Outlook {
        if self.kind == Kind::Certificate {
            let ends = series.fine.iter().rev().find(|point| !point.is_nan());
            let Some(left) = ends.map(|ends| f64::from(*ends) - seconds(sampled)) else {
                return Outlook::Calm;
            };
            return if left <= 0.0 { Outlook::Reached } else { in_seconds(left) };
        }
        if level(series).is_some_and(|level| level >= self.limit) {
            return Outlook::Reached;
        }
        let soonest = [(&series.fine, every), (&series.coarse, every * COARSE)]
            .into_iter()
            .filter_map(|(points, pace)| {
                let trend = Trend::of(points).filter(|trend| trend.rises(agree))?;
                let steps = trend.steps_to(self.limit)?;
                (steps <= trust * trend.span).then(|| steps * seconds(pace))
            })
            .min_by(f64::total_cmp);
        soonest.map_or(Outlook::Calm, in_seconds)
    }

    /// One line for people. Times are whole hours or tens of minutes, so that it is seldom another.
    pub(crate) fn words(&self, series: &Series, outlook: Outlook) -> String {
        let Id { server, .. } = &series.id;
        let what = service(&series.id).map_or_else(
            || format!("the login to {server}"),
            |service| format!("{} on {server}", service.name()),
        );
        if self.kind == Kind::Certificate {
            return match outlook {
                Outlook::Reached => format!("the certificate of {what} has ended"),
                Outlook::In(left) => {
                    format!("the certificate of {what} ends in {}", in_words(left))
                }
                Outlook::Calm => format!("the certificate of {what} is good"),
            };
        }
        let subject = match (self.kind, series.about.as_str()) {
            (Kind::Disk, "") => format!("the fullest file system of {server}"),
            (Kind::Disk, path) => format!("the file system of {path} on {server}"),
            (Kind::Store, _) => format!("the store of {what}"),
            (Kind::Queue, _) => format!("what waits in the queues of {what}"),
            (Kind::Latency, _) => format!("what an answer takes of {what}"),
            (Kind::Certificate, _) => String::new(),
        };
        let latest = series.fine.iter().rev().find(|point| !point.is_nan());
        let level = latest.map_or_else(|| "not known".to_owned(), |it| self.value(f64::from(*it)));
        match outlook {
            Outlook::Reached => {
                format!("{subject} has reached {}: it is at {level}", self.value(self.limit))
            }
            Outlook::In(left) => format!(
                "{subject} is at {level} and reaches {} in {} at the present rate",
                self.value(self.limit),
                in_words(left)
            ),
            Outlook::Calm => format!("{subject} is at {level} and does not grow as it did"),
        }
    }

    fn value(&self, value: f64) -> String {
        match self.kind {
            Kind::Disk | Kind::Store => format!("{value:.0} %"),
            Kind::Queue => format!("{value:.0} messages"),
            Kind::Latency | Kind::Certificate => format!("{value:.0} ms"),
        }
    }
}

/// The service of a value; none: the server itself.
pub(crate) fn service(id: &Id) -> Option<Service> {
    Service::ALL.into_iter().find(|service| Some(*service as u8) == id.service)
}

/// Where it stands: one wild point among the last three does not count.
fn level(series: &Series) -> Option<f64> {
    let measured = series.fine.iter().rev().filter(|point| !point.is_nan());
    median(measured.take(3).map(|point| f64::from(*point)).collect())
}

/// As the engine names the values of a path.
fn path_name(path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    match words.collect::<Vec<_>>().join("-").to_ascii_lowercase() {
        name if name.is_empty() => "root".to_owned(),
        name => name,
    }
}

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "no trend depends on the last digits")]
fn whole(value: i64) -> f64 {
    value as f64
}

#[expect(clippy::cast_precision_loss, reason = "no trend depends on the last digits")]
fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

fn in_seconds(seconds: f64) -> Outlook {
    Outlook::In(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

fn in_words(time: Duration) -> String {
    let minutes = time.as_secs() / 60;
    match minutes {
        0..10 => "less than 10 min".to_owned(),
        10..120 => format!("about {} min", minutes / 10 * 10),
        120..4_320 => format!("about {} h", minutes / 60),
        _ => format!("about {} days", minutes / 1_440),
    }
}
