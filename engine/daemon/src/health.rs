//! What is wrong with the monitor itself, apart from what its other parts say of themselves.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::arbitration::ENGINE;
use watchkeeper_core::facts::FactBook;
use watchkeeper_core::model::{ServerName, Status, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};

use crate::config::HEARTBEAT;
use crate::config::duty::{DutyConfig, Mode};
use crate::net;

/// A difference between the clock's way and the time that has passed is no jump below this: as much as
/// NTP adjusts without a step, and more than a busy machine is late.
const JUMP: i64 = 2_000;

/// How long a jump is told.
const TOLD: Duration = Duration::from_mins(10);

/// Watches whether the clock goes as time does.
#[derive(Debug)]
pub struct ClockWatch {
    last: Option<(Instant, Timestamp)>,
    jump: Option<Jump>,
}

#[derive(Debug, Clone, Copy)]
struct Jump {
    ms: i64,
    seen: Instant,
    at: Timestamp,
}

impl ClockWatch {
    /// Nothing is known yet.
    pub const fn new() -> Self {
        Self { last: None, jump: None }
    }

    /// Looks at the clock, and claims what it did in the last minutes.
    pub fn look(&mut self, passed: Instant, clock: Timestamp) -> Option<Claimed> {
        if let Some((before, then)) = self.last {
            let real = i64::try_from(passed.duration_since(before).as_millis()).unwrap_or(i64::MAX);
            let ms =
                clock.0.cast_signed().saturating_sub(then.0.cast_signed()).saturating_sub(real);
            if ms.abs() >= JUMP {
                tracing::warn!(ms, "the clock was set, or the machine stood still");
                self.jump = Some(Jump { ms, seen: passed, at: clock });
            }
        }
        self.last = Some((passed, clock));
        let jump = self.jump.filter(|jump| passed.duration_since(jump.seen) < TOLD)?;
        let way = if jump.ms > 0 { "forward" } else { "back" };
        let seconds = jump.ms.unsigned_abs() / 1_000;
        let summary = format!(
            "the clock went {seconds} s {way} at once, at {}: it was set, or this machine stood still; times in \
             the journal jump there, and silences and maintenance end by the new time. Is NTP running?",
            jump.at
        );
        Some(claimed("clock-jumped", Severity::Warning, None, summary))
    }
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self::new()
    }
}

/// How long before its end a certificate is told of, in seconds; and how long before it is urgent.
const ENDS_SOON: i64 = 14 * 86_400;
const ENDS_NOW: i64 = 2 * 86_400;

/// How often the certificates are looked at.
const LOOK: Duration = Duration::from_hours(1);

/// Watches when the certificates end with which this monitor and others know each other.
#[derive(Debug, Default)]
pub struct CertificateWatch {
    looked: Option<Instant>,
    claims: Vec<Claimed>,
}

impl CertificateWatch {
    /// What is to be told of them. Files are read now and then only, so this may block for a moment.
    pub fn look(&mut self, duty: &DutyConfig, passed: Instant, clock: Timestamp) -> Vec<Claimed> {
        if self.looked.is_none_or(|at| passed.duration_since(at) >= LOOK) {
            self.looked = Some(passed);
            self.claims =
                files(duty).into_iter().filter_map(|path| certificate(path, clock)).collect();
        }
        self.claims.clone()
    }

    /// Has them looked at the next time: the configuration names others.
    pub fn forget(&mut self) {
        self.looked = None;
    }
}

fn files(duty: &DutyConfig) -> Vec<&Path> {
    match &duty.mode {
        Mode::Alone => Vec::new(),
        Mode::Peer(peer) => vec![&peer.certificate, &peer.peer_certificate],
        Mode::Etcd(etcd) => {
            etcd.ca.as_deref().into_iter().chain(etcd.identity.as_ref().map(|it| &*it.0)).collect()
        }
    }
}

/// A file that cannot be read is told by whoever uses it.
fn certificate(path: &Path, clock: Timestamp) -> Option<Claimed> {
    let certificate = CertificateDer::from_pem_file(path).ok()?;
    let now = i64::try_from(clock.0 / 1_000).unwrap_or(i64::MAX);
    let left = crate::certificate::ends(&certificate)?.saturating_sub(now);
    if left > ENDS_SOON {
        return None;
    }
    let severity = if left > ENDS_NOW { Severity::Warning } else { Severity::Critical };
    let name = path.display();
    let summary = match left {
        ..=0 => format!("the certificate in {name} has ended"),
        left => format!("the certificate in {name} ends in {} h", left / 3_600),
    };
    let mut claimed = claimed("certificate-expires", severity, None, summary);
    claimed.claim.labels.insert("file".to_owned(), name.to_string());
    Some(claimed)
}

/// That this monitor lives.
pub fn heartbeat() -> Claimed {
    let summary = "this monitor watches and can tell; if this is told no more, look why";
    claimed(HEARTBEAT, Severity::Info, None, summary.to_owned())
}

/// The servers of which probes have found nothing out for as long as `after`, an alert for each.
pub fn long_unknown(book: &FactBook, now: Timestamp, after: Duration) -> Vec<Claimed> {
    let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
    if after == 0 {
        return Vec::new();
    }
    let mut servers: BTreeMap<&ServerName, Vec<String>> = BTreeMap::new();
    for fact in book.iter() {
        let seen = &fact.latest;
        if seen.status == Status::Unknown && fact.since.plus(after) <= now {
            let text = format!("{} ({})", seen.probe, seen.reason.detail);
            servers.entry(&seen.probe.server).or_default().push(text);
        }
    }
    let claim = |(server, probes): (&ServerName, Vec<String>)| {
        let minutes = after / 60_000;
        let summary = match probes.as_slice() {
            [one] => format!("a probe has found nothing out for {minutes} min: {one}"),
            [first, rest @ ..] => format!(
                "{} probes have found nothing out for {minutes} min: {first} and {} more",
                probes.len(),
                rest.len()
            ),
            [] => String::new(),
        };
        claimed("probe-unknown", Severity::Warning, Some(server.clone()), net::one_line(&summary))
    };
    servers.into_iter().map(claim).collect()
}

fn claimed(name: &str, severity: Severity, server: Option<ServerName>, summary: String) -> Claimed {
    Claimed {
        source: ENGINE.to_owned(),
        claim: AlertClaim {
            name: name.to_owned(),
            severity,
            server,
            service: None,
            code: String::new(),
            summary,
            labels: BTreeMap::new(),
        },
    }
}

#[cfg(test)]
mod tests {
    use watchkeeper_core::facts::{Observation, ProbeId, Reason, ReasonCode};

    use super::*;

    #[test]
    fn a_clock_that_jumps_is_told_for_ten_minutes_and_drift_is_not() {
        let (mut watch, start) = (ClockWatch::new(), Instant::now());
        let mut look = |seconds: u64, clock_ms: u64| {
            let found = watch.look(start + Duration::from_secs(seconds), Timestamp(clock_ms));
            found.map(|it| it.claim.summary)
        };
        assert_eq!(look(0, 1_000_000), None);
        assert_eq!(look(5, 1_006_900), None, "it is a little late");
        let told = look(10, 1_056_900).unwrap();
        assert!(told.contains("45 s forward"), "{told}");
        assert_eq!(look(600, 1_646_900).as_deref(), Some(told.as_str()), "still the same");
        assert_eq!(look(611, 1_657_900), None);
        let told = look(616, 1_062_900).unwrap();
        assert!(told.contains("600 s back"), "{told}");
    }

    #[test]
    fn a_certificate_is_told_of_two_weeks_before_its_end() {
        let folder = std::env::temp_dir().join(format!("wk-health-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("a.pem");
        let key = rcgen::KeyPair::generate().unwrap();
        let mut wanted = rcgen::CertificateParams::new(["vp1".to_owned()]).unwrap();
        wanted.not_after = rcgen::date_time_ymd(2030, 1, 15);
        std::fs::write(&path, wanted.self_signed(&key).unwrap().pem()).unwrap();
        // 2030-01-01T00:00:00Z
        let at = |days: u64| Timestamp((1_893_456_000 + days * 86_400) * 1_000);
        let told = |days| certificate(&path, at(days)).map(|it| it.claim);
        assert_eq!(certificate(&path, Timestamp(1_893_369_600_000)), None);
        let soon = told(1).unwrap();
        assert_eq!(soon.severity, Severity::Warning);
        assert!(soon.summary.ends_with("a.pem ends in 312 h"), "{}", soon.summary);
        assert_eq!(told(13).unwrap().severity, Severity::Critical);
        assert!(told(14).unwrap().summary.ends_with("has ended"));
        assert_eq!(certificate(&folder.join("none"), at(14)), None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_unknown_for_long_is_told_once_a_server() {
        let mut book = FactBook::default();
        let mut see = |server: &str, name: &str, status, at| {
            book.observe(Observation {
                probe: ProbeId {
                    server: ServerName::new(server).unwrap(),
                    service: None,
                    name: name.into(),
                },
                status,
                reason: Reason::new(ReasonCode::TimedOut, "no answer"),
                at: Timestamp(at),
                took_ms: 1,
                values: BTreeMap::new(),
            });
        };
        for (server, name) in [("dm1", "ssh"), ("dm1", "tcp"), ("dm2", "ssh")] {
            see(server, name, Status::Unknown, 1_000);
        }
        see("dm2", "ssh", Status::Up, 2_000);
        see("dm3", "ssh", Status::Unknown, 50_000);
        let told = |now, after| {
            let found = long_unknown(&book, Timestamp(now), Duration::from_secs(after));
            found.into_iter().map(|it| it.claim.summary).collect::<Vec<_>>()
        };
        assert_eq!(told(60_999, 60), [""; 0]);
        assert_eq!(
            told(61_000, 60),
            ["2 probes have found nothing out for 1 min: dm1/ssh (no answer) and 1 more"]
        );
        assert_eq!(told(110_000, 60).len(), 2);
        assert_eq!(told(u64::MAX, 0), [""; 0], "0 is never");
    }
}
