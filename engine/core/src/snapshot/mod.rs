//! The numbered, frozen set of facts that a decision is made from.
//!
//! Policies do not get a snapshot as data: they ask it ([`Reader`]), one thing at a time or in
//! bulk, and what they asked is remembered ([`Read`]). From that follow an explanation that names
//! the facts that mattered, and evaluation only when one of them has changed.
//!
//! Invariant: a snapshot answers the same question with the same answer for ever, and everything
//! in it has a defined order.

mod reader;

pub use reader::{Read, Reader};

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::facts::{FactBook, Reason, ReasonCode, Value};
use crate::lifecycle::Phase;
use crate::model::{
    ClusterName, Role, ServerName, Service, ServiceId, Side, Status, Timestamp, Topology,
};

/// Where a server stands now: the roles seen from the active side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// The server of the active side.
    Active,
    /// The server across from it.
    Standby,
    /// A server that is never either.
    Additional,
}

impl Place {
    /// Every place, in the order of their discriminants.
    pub const ALL: [Self; 3] = [Self::Active, Self::Standby, Self::Additional];

    /// Where a server of `role` stands while `active` is the active side.
    pub fn of(role: Role, active: Side) -> Self {
        match role.side() {
            Some(side) if side == active => Self::Active,
            Some(_) => Self::Standby,
            None => Self::Additional,
        }
    }
}

/// Whether `service` is meant to run on a server at `place`.
///
/// The vendor's arrangement: the exclusive services and DSA on the active side only; the
/// synchronisation only while the primary is active, since nothing is synchronised afterwards;
/// agents and repositories everywhere.
pub const fn expected(service: Service, place: Place, active: Side) -> bool {
    match service {
        Service::Activemq | Service::Daemon | Service::Rest | Service::Dsa => {
            matches!(place, Place::Active)
        }
        Service::Sync => matches!(place, Place::Active) && matches!(active, Side::Primary),
        Service::Agent | Service::Repository => true,
    }
}

/// What is known of the cluster as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterFacts {
    /// Its name.
    pub name: ClusterName,
    /// Where it stands.
    #[serde(flatten)]
    pub phase: Phase,
    /// Since when this side has been active.
    pub active_since: Timestamp,
    /// Whether maintenance mode is on.
    pub maintenance: bool,
}

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerFacts {
    /// Its name.
    pub name: ServerName,
    /// Its designated role.
    pub role: Role,
    /// Where it stands now.
    pub place: Place,
    /// Whether the server itself could be reached and logged in to.
    #[serde(flatten)]
    pub state: State,
}

/// What is known of a service on a server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Which service, where.
    #[serde(flatten)]
    pub id: ServiceId,
    /// Where its server stands now.
    pub place: Place,
    /// Whether it is meant to run there now.
    pub expected: bool,
    /// Whether an operator has put this service in maintenance: how it stands is then nobody's
    /// business but theirs, and the engine touches it only with its whole side.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
    /// What its probes say.
    #[serde(flatten)]
    pub state: State,
}

/// What the probes of a thing together say.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The status.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// Since when it has been so.
    pub since: Timestamp,
    /// How many times in a row it was found so; 0 if it was never probed.
    pub confirmations: u32,
    /// When the oldest fact behind it was seen.
    pub seen: Timestamp,
}

/// A value that a probe measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// On which server.
    pub server: ServerName,
    /// Of which service; none: of the server itself.
    pub service: Option<Service>,
    /// Its name, with the unit at its end, such as `replay-lag-bytes`.
    pub name: Arc<str>,
    /// The value.
    pub value: Value,
    /// When it was seen. It may be older than the snapshot's other facts: the last that was
    /// measured stays known when its probe fails.
    pub at: Timestamp,
}

/// How something that was carried out ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It is still under way.
    UnderWay,
    /// It reached its aim.
    Succeeded,
    /// It did not, and stopped.
    Failed,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::UnderWay => "under way",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
        })
    }
}

/// An attempt to start a stopped service again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rescue {
    /// Which service, where.
    #[serde(flatten)]
    pub id: ServiceId,
    /// When it began.
    pub begun: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

/// A change of side that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The side that was active before.
    pub from: Side,
    /// The side that was to become active.
    pub to: Side,
    /// Whether an operator asked for it.
    pub planned: bool,
    /// When it began.
    pub begun: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

/// The numbered, frozen set of facts that a decision is made from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Facts", into = "Facts")]
pub struct Snapshot {
    facts: Facts,
    index: Index,
}

/// The content of a snapshot. This is also its form in files and in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Rises by one with each snapshot of a cluster.
    pub number: u64,
    /// When it was taken.
    pub at: Timestamp,
    /// The cluster as a whole.
    pub cluster: ClusterFacts,
    /// The servers, in the order of the configuration.
    pub servers: Vec<ServerFacts>,
    /// The services, by server in that order, then in the order of [`Service::ALL`].
    pub services: Vec<ServiceFacts>,
    /// What was measured, ordered by server, service and name.
    #[serde(default)]
    pub measures: Vec<Measure>,
    /// Recent rescues, oldest first.
    #[serde(default)]
    pub rescues: Vec<Rescue>,
    /// Recent changes of side, oldest first.
    #[serde(default)]
    pub changes: Vec<Change>,
}

/// Where to look, so that a question costs what its answer holds and not what the cluster holds.
#[derive(Debug, Clone, PartialEq, Default)]
struct Index {
    /// Positions of the services by place and status.
    services: [[Vec<u32>; 3]; 3],
    /// Numbers of services by place, service, whether expected, and status.
    counts: [[[[u32; 3]; 2]; 7]; 3],
}

/// Which services are asked for. The default is all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Filter {
    /// Only on servers at this place.
    pub place: Option<Place>,
    /// Only this service.
    pub service: Option<Service>,
    /// Only in one of these: up, down, unknown.
    pub statuses: Statuses,
    /// Only those meant to run there now, or only those not meant to.
    pub expected: Option<bool>,
}

impl Default for Filter {
    fn default() -> Self {
        Self { place: None, service: None, statuses: Statuses::ALL, expected: None }
    }
}

/// A set of statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Statuses {
    /// Includes up.
    pub up: bool,
    /// Includes down.
    pub down: bool,
    /// Includes unknown.
    pub unknown: bool,
}

impl Statuses {
    /// All three.
    pub const ALL: Self = Self { up: true, down: true, unknown: true };

    /// Whether `status` is one of them.
    pub const fn contains(self, status: Status) -> bool {
        match status {
            Status::Up => self.up,
            Status::Down => self.down,
            Status::Unknown => self.unknown,
        }
    }
}

/// How many services are in each status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// How many are up.
    pub up: u32,
    /// How many are down.
    pub down: u32,
    /// Of how many it is not known.
    pub unknown: u32,
}

/// What the state of a cluster adds to the facts of its probes.
#[derive(Debug, Clone)]
pub struct Background<'a> {
    /// Where the cluster stands.
    pub phase: Phase,
    /// Since when its side has been active.
    pub active_since: Timestamp,
    /// Whether maintenance mode is on.
    pub maintenance: bool,
    /// The services that are in maintenance, each by itself.
    pub services_in_maintenance: &'a [ServiceId],
    /// Recent rescues, oldest first.
    pub rescues: &'a [Rescue],
    /// Recent changes of side, oldest first.
    pub changes: &'a [Change],
}

impl Facts {
    /// The latest facts, still to be frozen.
    pub fn gather(
        number: u64,
        at: Timestamp,
        topology: &Topology,
        book: &FactBook,
        background: &Background<'_>,
    ) -> Self {
        let active = background.phase.side();
        let mut servers = Vec::with_capacity(topology.servers().len());
        let mut services = Vec::new();
        for server in topology.servers() {
            let place = Place::of(server.role, active);
            servers.push(ServerFacts {
                name: server.name.clone(),
                role: server.role,
                place,
                state: state(book.server(&server.name), at),
            });
            for service in Service::ALL {
                if server.services.contains(&service) {
                    let expected = expected(service, place, active);
                    let verdict = if expected {
                        book.service(&server.name, service)
                    } else {
                        book.stray(&server.name, service)
                    };
                    let id = ServiceId { server: server.name.clone(), service };
                    services.push(ServiceFacts {
                        maintenance: background.services_in_maintenance.contains(&id),
                        id,
                        place,
                        expected,
                        state: state(verdict, at),
                    });
                }
            }
        }
        Self {
            number,
            at,
            cluster: ClusterFacts {
                name: topology.cluster().clone(),
                phase: background.phase,
                active_since: background.active_since,
                maintenance: background.maintenance,
            },
            servers,
            services,
            measures: measures(topology, book),
            rescues: background.rescues.to_vec(),
            changes: background.changes.to_vec(),
        }
    }
}

impl Snapshot {
    /// Freezes the latest facts.
    pub fn take(
        number: u64,
        at: Timestamp,
        topology: &Topology,
        book: &FactBook,
        background: &Background<'_>,
    ) -> Self {
        Facts::gather(number, at, topology, book, background).into()
    }

    /// What is in it.
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The services that `filter` wants, in the snapshot's order.
    pub fn services(&self, filter: Filter) -> Vec<&ServiceFacts> {
        let mut positions: Vec<u32> = Vec::new();
        for (place, by_status) in Place::ALL.iter().zip(&self.index.services) {
            if filter.place.is_some_and(|wanted| wanted != *place) {
                continue;
            }
            for (status, found) in STATUSES.iter().zip(by_status) {
                if filter.statuses.contains(*status) {
                    positions.extend(found);
                }
            }
        }
        positions.sort_unstable();
        positions
            .into_iter()
            .filter_map(|i| self.facts.services.get(i as usize))
            .filter(|facts| filter.service.is_none_or(|wanted| wanted == facts.id.service))
            .filter(|facts| filter.expected.is_none_or(|wanted| wanted == facts.expected))
            .collect()
    }

    /// How many services `filter` finds in each status.
    pub fn count(&self, filter: Filter) -> Counts {
        let wants = |place: Place, service: Service, expected: bool| {
            filter.place.is_none_or(|wanted| wanted == place)
                && filter.service.is_none_or(|wanted| wanted == service)
                && filter.expected.is_none_or(|wanted| wanted == expected)
        };
        let mut counts = Counts::default();
        for (place, by_service) in Place::ALL.into_iter().zip(&self.index.counts) {
            for (service, by_expected) in Service::ALL.into_iter().zip(by_service) {
                for (expected, [up, down, unknown]) in [false, true].into_iter().zip(by_expected) {
                    if wants(place, service, expected) {
                        counts.up += if filter.statuses.up { *up } else { 0 };
                        counts.down += if filter.statuses.down { *down } else { 0 };
                        counts.unknown += if filter.statuses.unknown { *unknown } else { 0 };
                    }
                }
            }
        }
        counts
    }

    /// One service.
    pub fn service(&self, server: &str, service: Service) -> Option<&ServiceFacts> {
        self.facts
            .services
            .iter()
            .find(|facts| facts.id.service == service && facts.id.server.as_str() == server)
    }

    /// One server.
    pub fn server(&self, name: &str) -> Option<&ServerFacts> {
        self.facts.servers.iter().find(|facts| facts.name.as_str() == name)
    }

    /// The server of the active or the standby side.
    pub fn at(&self, place: Place) -> Option<&ServerFacts> {
        self.facts.servers.iter().find(|facts| facts.place == place)
    }

    /// One measured value.
    pub fn measure(&self, server: &str, service: Option<Service>, name: &str) -> Option<&Measure> {
        self.facts.measures.iter().find(|measure| {
            &*measure.name == name
                && measure.service == service
                && measure.server.as_str() == server
        })
    }

    /// The values of that name on all servers.
    pub fn measures(&self, name: &str) -> Vec<&Measure> {
        self.facts.measures.iter().filter(|measure| &*measure.name == name).collect()
    }
}

const STATUSES: [Status; 3] = [Status::Up, Status::Down, Status::Unknown];

impl From<Facts> for Snapshot {
    fn from(facts: Facts) -> Self {
        let mut index = Index::default();
        for (i, service) in facts.services.iter().enumerate() {
            let (place, status) = (service.place as usize, service.state.status as usize);
            let kind = Service::ALL.iter().position(|kind| *kind == service.id.service);
            if let Some(list) = index.services.get_mut(place).and_then(|all| all.get_mut(status)) {
                list.push(u32::try_from(i).unwrap_or(u32::MAX));
            }
            if let Some(count) = index
                .counts
                .get_mut(place)
                .zip(kind)
                .and_then(|(all, kind)| all.get_mut(kind))
                .and_then(|all| all.get_mut(usize::from(service.expected)))
                .and_then(|all| all.get_mut(status))
            {
                *count += 1;
            }
        }
        Self { facts, index }
    }
}

impl From<Snapshot> for Facts {
    fn from(snapshot: Snapshot) -> Self {
        snapshot.facts
    }
}

fn state(verdict: Option<crate::facts::Verdict>, at: Timestamp) -> State {
    match verdict {
        Some(verdict) => State {
            status: verdict.status,
            reason: verdict.reason,
            since: verdict.since,
            confirmations: verdict.confirmations,
            seen: verdict.seen,
        },
        None => State {
            status: Status::Unknown,
            reason: Reason::new(ReasonCode::NotProbed, "no probe has ended yet"),
            since: at,
            confirmations: 0,
            seen: at,
        },
    }
}

fn measures(topology: &Topology, book: &FactBook) -> Vec<Measure> {
    let known: BTreeSet<&ServerName> =
        topology.servers().iter().map(|server| &server.name).collect();
    let mut all: Vec<Measure> = book
        .iter()
        .filter(|fact| !fact.values.is_empty() && known.contains(&fact.latest.probe.server))
        .flat_map(|fact| {
            let latest = &fact.latest;
            fact.values.iter().map(|(name, value)| Measure {
                server: latest.probe.server.clone(),
                service: latest.probe.service,
                name: name.clone(),
                value: value.clone(),
                at: fact.values_at,
            })
        })
        .collect();
    all.sort_by(|a, b| (&a.server, a.service, &a.name).cmp(&(&b.server, b.service, &b.name)));
    all
}
