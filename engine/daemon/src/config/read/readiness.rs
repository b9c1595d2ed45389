//! Whether the standby could take over: what is looked at, and what is good enough.

use watchkeeper_core::facts::{ProbeId, READINESS};
use watchkeeper_core::model::Role;
use watchkeeper_core::readiness::Bounds;

use super::super::cluster::ReadinessConfig;
use super::super::probe::{ProbeConfig, ProbeKindConfig};
use super::super::reader::{Reader, millis};
use super::super::source::Note;
use super::clusters::Made;

/// What is not seen for as long as three looks and their timeouts is not known any more.
const LOOKS: u64 = 3;

/// The bounds, and a look at each server that can be active.
pub(super) fn read(
    reader: &Reader<'_>,
    servers: &[Made],
    max_lag_bytes: u64,
) -> (ReadinessConfig, Vec<ProbeConfig>) {
    let wanted = reader.flag("look").unwrap_or(true);
    let interval = reader.duration("interval").unwrap_or_default();
    let timeout = reader.duration("timeout").unwrap_or_default();
    let room = paths(reader, "paths").unwrap_or_else(|| vec!["/".to_owned()]);
    let certificates = paths(reader, "certificates").unwrap_or_default();
    let config = ReadinessConfig {
        bounds: Bounds {
            max_lag_bytes,
            min_disk_bytes: reader.size("min-disk"),
            min_memory_bytes: reader.size("min-memory"),
            max_clock_ms: reader.ms("max-clock-offset"),
            certificate_ms: reader.ms("certificate-ends"),
            stale_ms: millis(interval.saturating_add(timeout)).saturating_mul(LOOKS),
        },
        alert_after: reader.duration("alert-after").filter(|after| !after.is_zero()),
    };
    reader.finish();
    let sides = servers.iter().filter(|made| wanted && made.server.role != Role::Additional);
    let looks = sides.map(|made| ProbeConfig {
        id: ProbeId { server: made.server.name.clone(), service: None, name: READINESS.into() },
        kind: ProbeKindConfig::Readiness {
            paths: room.clone(),
            certificates: certificates.clone(),
        },
        interval,
        // It has no say in anything that is confirmed.
        confirm_interval: interval,
        timeout,
    });
    (config, looks.collect())
}

fn paths(reader: &Reader<'_>, key: &str) -> Option<Vec<String>> {
    let given = reader.texts(key)?;
    let good = given.into_iter().filter_map(|at| {
        if at.value.starts_with('/') && !at.value.contains(char::is_control) {
            return Some(at.value);
        }
        let note = Note::error(format!("{:?} is not a path on a server", at.value))
            .help("it begins with `/` and has no control characters");
        reader.sources.note(at.place, note);
        None
    });
    Some(good.collect())
}
