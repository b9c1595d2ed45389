//! What is told of a standby that could not take over now.
//!
//! An alert for each check that is not so, once it has been so for some time: a server that was busy for a
//! moment is no news. It is told while the primary is active only. While the secondary is, nothing is
//! synchronised and no failover is meant to follow, as the vendor has it: that there is no standby then is
//! what the change of side itself told, and `status` shows it.

use std::collections::BTreeMap;
use std::time::Duration;

use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::arbitration::ENGINE;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{ServerName, Side, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::readiness::{Bounds, Item, Readiness};
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_core::state::ClusterState;

use crate::{collect, net};

/// The alert's name.
const NAME: &str = "standby-not-ready";

/// The alert's label with the name of what is checked.
pub(super) const CHECK: &str = "check";

/// When a standby counts as ready, and how servers are looked at for it. By default nothing is told, and
/// nothing looked at.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StandbySetup {
    /// What is good enough.
    pub bounds: Bounds,
    /// For how long something has to be found not so before it is told; none: it is not told.
    pub alert_after: Option<Duration>,
    /// What can be looked at on each server without anything being done there.
    pub looks: BTreeMap<ServerName, collect::Readiness>,
}

/// Since when what is not so.
#[derive(Debug, Default)]
pub(super) struct Unready(BTreeMap<Item, Timestamp>);

impl Unready {
    /// What is to be told.
    pub(super) fn claims(
        &mut self,
        setup: &StandbySetup,
        snapshot: &Snapshot,
        state: &ClusterState,
    ) -> Vec<Claimed> {
        let counts = matches!(
            state.phase,
            Phase::Active(Side::Primary)
                | Phase::Rescuing(Side::Primary)
                | Phase::Clearing(Side::Primary)
        );
        let after = setup.alert_after.filter(|_| counts);
        let judged = after.and_then(|after| Some((after, Readiness::of(snapshot, &setup.bounds)?)));
        let Some((after, readiness)) = judged else {
            self.0.clear();
            return Vec::new();
        };
        let mut wrong: Vec<(Item, &str, bool)> = readiness.not_ready().collect();
        // On a server that cannot be reached nothing is as it should be, and that is one thing to tell.
        if let Some((Item::Reachable, ..)) = wrong.first() {
            wrong.truncate(1);
        }
        self.0.retain(|item, _| wrong.iter().any(|(wrong, ..)| wrong == item));
        let now = snapshot.facts().at;
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let mut claims = Vec::new();
        for (item, reason, holds) in wrong {
            let since = *self.0.entry(item).or_insert(now);
            let claimed = claimed(&readiness.server, item, reason, holds);
            // What was told before this monitor started goes on.
            let told = || {
                state.alerts.firing().any(|alert| {
                    alert.claim.name == NAME && alert.claim.labels == claimed.claim.labels
                })
            };
            if now.since(since) >= after || told() {
                claims.push(claimed);
            }
        }
        claims
    }
}

fn claimed(server: &ServerName, item: Item, reason: &str, holds: bool) -> Claimed {
    let (severity, what) = if holds {
        (Severity::Critical, "could not take over now")
    } else {
        (Severity::Warning, "could take over, and not all is as it should be")
    };
    Claimed {
        source: ENGINE.to_owned(),
        claim: AlertClaim {
            name: NAME.to_owned(),
            severity,
            server: Some(server.clone()),
            service: None,
            code: String::new(),
            summary: net::one_line(&format!("{server} {what} ({item}): {reason}")),
            labels: [(CHECK.to_owned(), item.to_string())].into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use watchkeeper_core::facts::{
        FactBook, Observation, ProbeId, READINESS, Reason, ReasonCode, Value,
    };
    use watchkeeper_core::model::{ClusterName, Role, Server, Service, Status, Topology};
    use watchkeeper_core::snapshot::Background;

    use super::*;

    fn name(name: &str) -> ServerName {
        ServerName::new(name).unwrap()
    }

    fn setup() -> StandbySetup {
        StandbySetup {
            bounds: Bounds {
                max_lag_bytes: 1_000,
                min_disk_bytes: 1 << 30,
                min_memory_bytes: 1 << 20,
                max_clock_ms: 5_000,
                certificate_ms: 0,
                stale_ms: 100_000,
            },
            alert_after: Some(Duration::from_secs(30)),
            looks: BTreeMap::new(),
        }
    }

    /// The cluster at a second, with what was found of dm2.
    fn snapshot(second: u64, phase: Phase, dm2: Status, measured: &[(&str, Value)]) -> Snapshot {
        let server = |server: &str, role| Server {
            name: name(server),
            role,
            services: vec![Service::Daemon],
        };
        let servers = vec![server("dm1", Role::Primary), server("dm2", Role::Secondary)];
        let topology = Topology::new(ClusterName::new("prod").unwrap(), servers).unwrap();
        let mut book = FactBook::default();
        let at = Timestamp(second * 1_000);
        let mut see = |probe: &str, status, values: &[(&str, Value)]| {
            book.observe(Observation {
                probe: ProbeId { server: name("dm2"), service: None, name: probe.into() },
                status,
                reason: Reason::new(ReasonCode::Serving, "seen"),
                at,
                took_ms: 1,
                values: values
                    .iter()
                    .map(|(name, value)| ((*name).into(), value.clone()))
                    .collect(),
            });
        };
        see("ssh", dm2, &[]);
        see(READINESS, Status::Up, measured);
        let background = Background {
            phase,
            active_since: Timestamp(0),
            maintenance: false,
            services_in_maintenance: &[],
            rescues: &[],
            changes: &[],
        };
        Snapshot::take(1, at, &topology, &book, &background)
    }

    const ACTIVE: Phase = Phase::Active(Side::Primary);

    fn told(unready: &mut Unready, snapshot: &Snapshot, state: &ClusterState) -> Vec<String> {
        let claims = unready.claims(&setup(), snapshot, state);
        claims.into_iter().map(|it| format!("{} {}", it.claim.severity, it.claim.summary)).collect()
    }

    #[test]
    fn what_is_not_so_for_a_while_is_told_and_what_is_so_again_is_not() {
        let state = ClusterState { phase: ACTIVE, ..ClusterState::default() };
        let mut unready = Unready::default();
        let full = [("disk-left-bytes", Value::Integer(1 << 20))];
        let late = [("clock-offset-ms", Value::Integer(-9_000))];
        assert_eq!(told(&mut unready, &snapshot(100, ACTIVE, Status::Up, &full), &state), [""; 0]);
        assert_eq!(told(&mut unready, &snapshot(129, ACTIVE, Status::Up, &full), &state), [""; 0]);
        let now = told(&mut unready, &snapshot(130, ACTIVE, Status::Up, &full), &state);
        assert!(
            now.len() == 1 && now[0].starts_with("critical dm2 could not take over now (disk): ")
        );
        // Another check begins anew.
        assert_eq!(told(&mut unready, &snapshot(131, ACTIVE, Status::Up, &late), &state), [""; 0]);
        let now = told(&mut unready, &snapshot(170, ACTIVE, Status::Up, &late), &state);
        assert_eq!(
            now,
            [
                "warning dm2 could take over, and not all is as it should be (clock): the clock of dm2 \
              is 9 s behind the monitor's"
            ]
        );
    }

    #[test]
    fn a_server_that_cannot_be_reached_is_one_thing_to_tell() {
        let state = ClusterState { phase: ACTIVE, ..ClusterState::default() };
        let mut unready = Unready::default();
        let full = [("disk-left-bytes", Value::Integer(1 << 20))];
        told(&mut unready, &snapshot(100, ACTIVE, Status::Unknown, &full), &state);
        let now = told(&mut unready, &snapshot(200, ACTIVE, Status::Unknown, &full), &state);
        assert!(now.len() == 1 && now[0].contains("(reachable): dm2 is unknown"), "{now:?}");
    }

    #[test]
    fn on_the_secondary_and_in_between_nothing_is_told() {
        for phase in [Phase::Active(Side::Secondary), Phase::FailingOver(Side::Primary)] {
            let state = ClusterState { phase, ..ClusterState::default() };
            let mut unready = Unready::default();
            for second in [100, 900] {
                let snapshot = snapshot(second, phase, Status::Unknown, &[]);
                assert_eq!(told(&mut unready, &snapshot, &state), [""; 0], "{phase}");
            }
        }
    }
}
