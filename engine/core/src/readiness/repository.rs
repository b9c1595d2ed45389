//! The repository on the standby serves, follows, and was not too far behind.
//!
//! A lag that was never measured does not hold a failover from the primary: a monitor that starts
//! when the primary is lost already has nothing but the standby's repository to go by. It does hold
//! one from the secondary, where nothing is synchronised unless the site arranged it.

use super::{Found, flag};
use crate::facts::Value;
use crate::model::{Service, Side, Status};
use crate::snapshot::{Place, ServerFacts, Snapshot};

/// The lags that together are what the standby does not have yet, as the replication's probe
/// names them.
const LAGS: [&str; 4] =
    ["sending-lag-bytes", "receiving-lag-bytes", "write-lag-bytes", "replay-lag-bytes"];

/// Whether it serves; none: there is none.
pub(super) fn serves(snapshot: &Snapshot, standby: &ServerFacts) -> Option<Found> {
    let repository = snapshot.service(standby.name.as_str(), Service::Repository)?;
    let mut found = Found::default();
    let state = &repository.state;
    if state.status != Status::Up {
        let what = format!("{} is {}: {}", repository.id, state.status, state.reason.detail);
        found.holds.push(what);
    }
    Some(found)
}

/// Whether it follows and is near enough; none: there is none.
pub(super) fn follows(
    snapshot: &Snapshot,
    standby: &ServerFacts,
    max_lag_bytes: u64,
) -> Option<Found> {
    let repository = snapshot.service(standby.name.as_str(), Service::Repository)?;
    let mut found = Found::default();
    if flag(snapshot, standby, "subscription-enabled") == Some(false) {
        found.holds.push(format!("the subscription of {} is disabled", repository.id));
    }
    match lag(snapshot) {
        Lag::Bytes(bytes) if bytes > max_lag_bytes => found
            .holds
            .push(format!("the repository was {bytes} bytes behind, the limit is {max_lag_bytes}")),
        Lag::Unclear(name) => found.holds.push(format!("the measured {name} is not a number")),
        Lag::Unknown if snapshot.facts().cluster.phase.side() == Side::Secondary => {
            found.holds.push(format!("nothing shows that {} is synchronised", repository.id));
        }
        Lag::Unknown => found.unknown.push("no replication was measured".to_owned()),
        Lag::Bytes(_) => {}
    }
    Some(found)
}

enum Lag {
    Bytes(u64),
    /// This measure is of no use.
    Unclear(&'static str),
    Unknown,
}

/// The lag that was last seen from the active side; when that side is lost, it is the best
/// knowledge there is of how much the standby had.
fn lag(snapshot: &Snapshot) -> Lag {
    let Some(active) = snapshot.at(Place::Active) else { return Lag::Unknown };
    let mut total = None;
    for name in LAGS {
        let measured = snapshot.measure(active.name.as_str(), Some(Service::Repository), name);
        match measured.map(|measure| &measure.value) {
            None => {}
            Some(Value::Integer(bytes)) => {
                let bytes = u64::try_from(*bytes).unwrap_or(0);
                total = Some(total.unwrap_or(0_u64).saturating_add(bytes));
            }
            Some(_) => return Lag::Unclear(name),
        }
    }
    total.map_or(Lag::Unknown, Lag::Bytes)
}
