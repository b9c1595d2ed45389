//! The clusters and snapshots that are evaluated.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::facts::{
    FactBook, Observation, ProbeId, REPLICATION, Reason, ReasonCode, Value,
};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{
    ClusterName, Role, Server, ServerName, Service, ServiceId, Side, Status, Timestamp, Topology,
};
use watchkeeper_core::snapshot::{Background, Ending, Rescue, Snapshot};

use crate::Failed;

/// The services of each server: all but DSA, which is optional.
const SERVICES: [Service; 6] = [
    Service::Repository,
    Service::Activemq,
    Service::Daemon,
    Service::Agent,
    Service::Rest,
    Service::Sync,
];

/// When the side became active.
const BEGAN: Timestamp = Timestamp(1_772_323_200_000);

/// When the snapshots are taken: an hour later.
const NOW: Timestamp = Timestamp(BEGAN.0 + 3_600_000);

/// How many times each probe has found the same.
const FOUND: u64 = 6;

/// A cluster at one moment.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// How many servers it has, six services each.
    pub(crate) servers: usize,
    /// What is not as in a calm cluster, on the first servers.
    turned: &'static [(usize, Service, Status)],
    /// Failed attempts to start something again.
    rescues: &'static [(usize, Service)],
}

const DOWN: Status = Status::Down;

/// All is well.
pub(crate) const CALM: Case = Case { name: "calm", servers: 3, turned: &[], rescues: &[] };

/// The daemon is down, REST with it, and two attempts to start it again did not help.
pub(crate) const FAILOVER: Case = Case {
    name: "failover",
    servers: 3,
    turned: &[(0, Service::Daemon, DOWN), (0, Service::Rest, DOWN)],
    rescues: &[(0, Service::Daemon), (0, Service::Daemon)],
};

/// The same in a thousand servers.
pub(crate) const LARGE_CALM: Case = Case { name: "calm, 1,000 servers", servers: 1_000, ..CALM };

/// The same in a thousand servers.
pub(crate) const LARGE_FAILOVER: Case =
    Case { name: "failover, 1,000 servers", servers: 1_000, ..FAILOVER };

/// Further cases in which both languages have to come to the same decision.
pub(crate) const COMPARED: [Case; 6] = [
    Case { name: "rescue", rescues: &[], ..FAILOVER },
    Case { name: "second attempt", rescues: &[(0, Service::Daemon)], ..FAILOVER },
    Case { name: "one agent down", turned: &[(2, Service::Agent, DOWN)], ..CALM },
    Case {
        name: "all agents down",
        turned: &[(0, Service::Agent, DOWN), (1, Service::Agent, DOWN), (2, Service::Agent, DOWN)],
        ..CALM
    },
    Case { name: "stray", turned: &[(1, Service::Rest, Status::Up)], ..CALM },
    Case {
        name: "stray before rescue",
        turned: &[(0, Service::Daemon, DOWN), (1, Service::Daemon, Status::Up)],
        ..CALM
    },
];

impl Case {
    /// Its cluster.
    pub(crate) fn topology(&self) -> Result<Topology, Failed> {
        let role = |i| match i {
            0 => Role::Primary,
            1 => Role::Secondary,
            _ => Role::Additional,
        };
        let servers = (0..self.servers)
            .map(|i| Ok(Server { name: server(i)?, role: role(i), services: SERVICES.to_vec() }))
            .collect::<Result<_, Failed>>()?;
        Ok(Topology::new(ClusterName::new("prod")?, servers)?)
    }

    /// What its probes see at `at`: a login and a status of each service, and the replication.
    pub(crate) fn observations(&self, at: Timestamp) -> Result<Vec<Observation>, Failed> {
        let mut all = Vec::new();
        for i in 0..self.servers {
            let name = server(i)?;
            all.push(observation(&name, None, "ssh", Status::Up, at));
            for service in SERVICES {
                let turned =
                    self.turned.iter().find(|(on, which, _)| *on == i && *which == service);
                let status = turned.map_or_else(|| usual(i, service), |(_, _, status)| *status);
                all.push(observation(&name, Some(service), "status", status, at));
            }
            let values = replication(i);
            if !values.is_empty() {
                let service = Some(Service::Repository);
                let seen = observation(&name, service, REPLICATION, Status::Up, at);
                all.push(Observation { values, ..seen });
            }
        }
        Ok(all)
    }

    /// What its probes have seen.
    pub(crate) fn book(&self) -> Result<FactBook, Failed> {
        let mut book = FactBook::default();
        for before in (0..FOUND).rev() {
            for seen in self.observations(Timestamp(NOW.0 - before * 1_000))? {
                book.observe(seen);
            }
        }
        Ok(book)
    }

    /// Its snapshot, of this cluster and these facts.
    pub(crate) fn take(&self, topology: &Topology, book: &FactBook) -> Result<Snapshot, Failed> {
        let rescues = (0..)
            .zip(self.rescues)
            .map(|(i, (on, service))| {
                Ok(Rescue {
                    id: ServiceId { server: server(*on)?, service: *service },
                    begun: Timestamp(NOW.0 - 120_000 + i * 60_000),
                    ending: Ending::Failed,
                })
            })
            .collect::<Result<Vec<_>, Failed>>()?;
        let background = Background {
            phase: Phase::Active(Side::Primary),
            active_since: BEGAN,
            maintenance: false,
            services_in_maintenance: &[],
            rescues: &rescues,
            changes: &[],
        };
        Ok(Snapshot::take(1, NOW, topology, book, &background))
    }

    /// Its snapshot.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>, Failed> {
        Ok(Arc::new(self.take(&self.topology()?, &self.book()?)?))
    }

    /// The same after every probe has found the same again.
    pub(crate) fn seen_once_more(&self) -> Result<Arc<Snapshot>, Failed> {
        let mut book = self.book()?;
        for seen in self.observations(NOW.plus(1_000))? {
            book.observe(seen);
        }
        Ok(Arc::new(self.take(&self.topology()?, &book)?))
    }
}

fn server(i: usize) -> Result<ServerName, Failed> {
    Ok(ServerName::new(&format!("dm{}", i + 1))?)
}

/// What a service is in a calm cluster: repositories and agents run everywhere, the rest on the first
/// server.
const fn usual(server: usize, service: Service) -> Status {
    match service {
        Service::Repository | Service::Agent => Status::Up,
        _ if server == 0 => Status::Up,
        _ => Status::Down,
    }
}

/// What one probe saw.
pub(crate) fn observation(
    server: &ServerName,
    service: Option<Service>,
    probe: &str,
    status: Status,
    at: Timestamp,
) -> Observation {
    let reason = match status {
        Status::Up => Reason::new(ReasonCode::Running, "active (running)"),
        Status::Down => Reason::new(ReasonCode::NotRunning, "inactive (dead)"),
        Status::Unknown => Reason::new(ReasonCode::TimedOut, "nothing came back within 3s"),
    };
    Observation {
        probe: ProbeId { server: server.clone(), service, name: Arc::from(probe) },
        status,
        reason,
        at,
        took_ms: 2,
        values: BTreeMap::new(),
    }
}

/// What the replication's probe measures on both sides.
fn replication(server: usize) -> BTreeMap<Arc<str>, Value> {
    let values: &[(&str, Value)] = match server {
        0 => &[
            ("configured", Value::Flag(true)),
            ("connected", Value::Flag(true)),
            ("slot-active", Value::Flag(true)),
            ("sending-lag-bytes", Value::Integer(0)),
            ("receiving-lag-bytes", Value::Integer(0)),
            ("write-lag-bytes", Value::Integer(0)),
            ("replay-lag-bytes", Value::Integer(1_024)),
            ("replay-lag-ms", Value::Integer(18)),
        ],
        1 => &[
            ("subscription-enabled", Value::Flag(true)),
            ("worker-running", Value::Flag(true)),
            ("apply-errors", Value::Integer(0)),
        ],
        _ => &[],
    };
    values.iter().map(|(name, value)| (Arc::from(*name), value.clone())).collect()
}
