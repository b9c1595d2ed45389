//! A cluster over time: what probes would find, and what the engine would remember.
//!
//! Invariant: phases change by the engine's own table, and facts reach a snapshot only through the
//! engine's own book.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchkeeper_core::facts::{
    FactBook, Observation, ProbeId, REPLICATION, RESOURCES, Reason, ReasonCode, SEEN_FROM, Value,
};
use watchkeeper_core::lifecycle::{Phase, Trigger, step};
use watchkeeper_core::model::{
    ClusterName, Role, Server, ServerName, Service, ServiceId, Side, Status, Timestamp, Topology,
};
use watchkeeper_core::snapshot::{Background, Change, Place, Rescue, Snapshot, expected};

/// A second, in milliseconds.
pub const SECOND: u64 = 1000;

/// When every case begins: 2026-03-01T02:00:00Z.
pub const BEGIN: Timestamp = Timestamp(1_772_330_400_000);

/// How often everything was found as it is before a case begins.
const CALM: u64 = 10;

/// What a probe would find.
#[derive(Debug, Clone)]
struct Sight {
    status: Status,
    values: BTreeMap<Arc<str>, Value>,
}

/// What another server, or another monitor, finds of one that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// Something answers it.
    Alive,
    /// Its kernel accepts connections, and its SSH says nothing.
    Hung,
    /// Nothing answers it.
    Gone,
    /// Another monitor gets no answer either.
    Silent,
    /// It cannot look.
    Unable,
}

impl Seen {
    /// The value of the measure that tells it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Alive => "alive",
            Self::Hung => "hung",
            Self::Gone => "gone",
            Self::Silent => "silent",
            Self::Unable => "unable",
        }
    }

    const fn status(self) -> Status {
        match self {
            Self::Alive => Status::Up,
            Self::Hung | Self::Gone | Self::Silent => Status::Down,
            Self::Unable => Status::Unknown,
        }
    }
}

/// The cluster of the five-server scenario.
pub fn five_servers() -> Topology {
    let server = |name: &str, role, services: &[Service]| {
        ServerName::new(name).map(|name| Server { name, role, services: services.to_vec() })
    };
    let servers = [
        server("dm1", Role::Primary, &Service::ALL),
        server("dm2", Role::Secondary, &Service::ALL),
        server("dm3", Role::Additional, &[Service::Agent]),
    ];
    topology(servers.into_iter().flatten().collect()).unwrap_or_else(|error| mistake(&error))
}

#[expect(clippy::panic, reason = "what is written above is a cluster, as every test shows")]
fn mistake(what: &str) -> ! {
    panic!("{what}")
}

/// A cluster of these servers.
pub fn topology(servers: Vec<Server>) -> Result<Topology, String> {
    let name = ClusterName::new("cluster").map_err(|error| error.to_string())?;
    Topology::new(name, servers).map_err(|error| error.to_string())
}

/// A cluster over time.
#[derive(Debug, Clone)]
pub struct World {
    /// Its servers.
    pub topology: Topology,
    /// Where it stands.
    pub phase: Phase,
    /// Since when its side has been active.
    pub active_since: Timestamp,
    /// Whether maintenance mode is on.
    pub maintenance: bool,
    /// The services that are in maintenance, each by itself.
    pub services_in_maintenance: Vec<ServiceId>,
    /// The rescues so far, oldest first.
    pub rescues: Vec<Rescue>,
    /// The changes of side so far, oldest first.
    pub changes: Vec<Change>,
    /// The time.
    pub now: Timestamp,
    /// Whether something was changed that no probe has seen yet.
    pub changed: bool,
    sights: BTreeMap<(ServerName, Option<Service>), Sight>,
    /// What servers would find of others: by the one looked at, and the one that looks.
    seen: BTreeMap<(ServerName, ServerName), Seen>,
    /// Whose probes do not end: what they found last stays.
    waiting: BTreeSet<ServiceId>,
    book: FactBook,
    number: u64,
}

impl World {
    /// Everything as it is meant to be while `active` is active, and has been for an hour.
    pub fn calm(topology: Topology, active: Side) -> Self {
        let now = Timestamp(BEGIN.0 - CALM * SECOND);
        let mut world = Self {
            phase: Phase::Active(active),
            active_since: Timestamp(now.0 - 3600 * SECOND),
            maintenance: false,
            services_in_maintenance: Vec::new(),
            rescues: Vec::new(),
            changes: Vec::new(),
            now,
            changed: false,
            sights: BTreeMap::new(),
            seen: BTreeMap::new(),
            waiting: BTreeSet::new(),
            book: FactBook::default(),
            number: 0,
            topology,
        };
        for server in world.topology.servers() {
            let key = (server.name.clone(), None);
            let up = Sight { status: Status::Up, values: BTreeMap::new() };
            world.sights.insert(key, up.clone());
            for service in &server.services {
                let key = (server.name.clone(), Some(*service));
                world.sights.insert(key, up.clone());
            }
        }
        world.settle(active);
        for _ in 0..CALM {
            world.tick(SECOND);
        }
        world
    }

    /// What runs where once `active` is active; a server that does not answer stays as it is.
    fn settle(&mut self, active: Side) {
        for server in self.topology.servers() {
            let reachable = self
                .sights
                .get(&(server.name.clone(), None))
                .is_some_and(|sight| sight.status == Status::Up);
            if !reachable {
                continue;
            }
            let place = Place::of(server.role, active);
            for service in &server.services {
                // A failover stops the agent on the old primary.
                let old_agent = *service == Service::Agent
                    && place == Place::Standby
                    && active == Side::Secondary;
                let runs = expected(*service, place, active) && !old_agent;
                if let Some(sight) = self.sights.get_mut(&(server.name.clone(), Some(*service))) {
                    sight.status = if runs { Status::Up } else { Status::Down };
                }
            }
        }
    }

    /// The server of that name.
    pub fn server(&self, name: &str) -> Result<ServerName, String> {
        self.topology
            .servers()
            .iter()
            .find(|server| server.name.as_str() == name)
            .map(|server| server.name.clone())
            .ok_or_else(|| format!("there is no server {name:?}"))
    }

    /// The service of that name, such as `dm1/daemon`.
    pub fn service(&self, name: &str) -> Result<ServiceId, String> {
        let all = self.topology.servers().iter().flat_map(|server| {
            let id =
                |service: &Service| ServiceId { server: server.name.clone(), service: *service };
            server.services.iter().map(id)
        });
        all.into_iter()
            .find(|id| id.to_string() == name)
            .ok_or_else(|| format!("there is no service {name:?}"))
    }

    /// From now on probes find this of a service, or of the server itself.
    pub fn set(
        &mut self,
        server: &ServerName,
        service: Option<Service>,
        status: Status,
    ) -> Result<(), String> {
        let sight = self.sights.get_mut(&(server.clone(), service)).ok_or_else(|| {
            format!("there is no {} on {server}", service.map_or("server", Service::as_str))
        })?;
        sight.status = status;
        self.changed = true;
        Ok(())
    }

    /// From now on probes find this of the server and everything on it.
    pub fn set_all(&mut self, server: &ServerName, status: Status) {
        for ((on, _), sight) in &mut self.sights {
            if on == server {
                sight.status = status;
            }
        }
        self.changed = true;
    }

    /// From now on a probe without a say, of the service or of the server itself, measures this value.
    pub fn measure(
        &mut self,
        server: &ServerName,
        service: Option<Service>,
        name: &str,
        value: Value,
    ) {
        if let Some(sight) = self.sights.get_mut(&(server.clone(), service)) {
            sight.values.insert(Arc::from(name), value);
            self.changed = true;
        }
    }

    /// From now on `witness` finds this of `server` while that one is silent; none: it does not look.
    pub fn seen(&mut self, server: &ServerName, witness: &ServerName, found: Option<Seen>) {
        let key = (server.clone(), witness.clone());
        match found {
            Some(found) => self.seen.insert(key, found),
            None => self.seen.remove(&key),
        };
        self.changed = true;
    }

    /// From now on the probes of a service do not end, so that what they found last stays; or they end
    /// again.
    pub fn wait_for(&mut self, service: ServiceId, waiting: bool) {
        if waiting {
            self.waiting.insert(service);
        } else {
            self.waiting.remove(&service);
        }
    }

    /// Lets time pass, and probes everything.
    pub fn tick(&mut self, ms: u64) {
        self.now = self.now.plus(ms);
        self.probe();
    }

    /// Probes everything now.
    pub fn probe(&mut self) {
        self.changed = false;
        for ((server, service), sight) in &self.sights {
            let id = service.map(|service| ServiceId { server: server.clone(), service });
            if id.is_some_and(|id| self.waiting.contains(&id)) {
                continue;
            }
            let observation = |name: &str| Observation {
                probe: ProbeId { server: server.clone(), service: *service, name: Arc::from(name) },
                status: sight.status,
                reason: reason(*service, sight.status),
                at: self.now,
                took_ms: 1,
                values: BTreeMap::new(),
            };
            self.book.observe(observation("state"));
            if !sight.values.is_empty() {
                let mut beside =
                    observation(if service.is_some() { REPLICATION } else { RESOURCES });
                // What does not serve measures nothing.
                if sight.status == Status::Up {
                    beside.values.clone_from(&sight.values);
                }
                self.book.observe(beside);
            }
        }
        for ((about, witness), found) in &self.seen {
            // Nobody looks from elsewhere at a server that answers.
            let sight = self.sights.get(&(about.clone(), None));
            if sight.is_none_or(|sight| sight.status != Status::Unknown) {
                continue;
            }
            let name = Arc::from(format!("{SEEN_FROM}{witness}"));
            self.book.observe(Observation {
                probe: ProbeId::testimony(about, witness),
                status: found.status(),
                reason: match found {
                    Seen::Alive => reason(None, Status::Up),
                    Seen::Hung | Seen::Gone | Seen::Silent | Seen::Unable => {
                        reason(None, Status::Unknown)
                    }
                },
                at: self.now,
                took_ms: 1,
                values: [(name, Value::Text(found.word().into()))].into(),
            });
        }
    }

    /// Freezes the latest facts.
    pub fn snapshot(&mut self) -> Snapshot {
        self.number += 1;
        let background = Background {
            phase: self.phase,
            active_since: self.active_since,
            maintenance: self.maintenance,
            services_in_maintenance: &self.services_in_maintenance,
            rescues: &self.rescues,
            changes: &self.changes,
        };
        Snapshot::take(self.number, self.now, &self.topology, &self.book, &background)
    }

    /// Passes to the next phase by the engine's table. When the active side changes, services move
    /// with it.
    pub fn step(&mut self, trigger: Trigger) -> Result<(), String> {
        let before = self.phase.side();
        self.phase = step(self.phase, trigger).map_err(|error| error.to_string())?;
        let active = self.phase.side();
        if before != active {
            self.active_since = self.now;
            if trigger == Trigger::ChangeCompleted {
                self.settle(active);
            }
        }
        Ok(())
    }
}

fn reason(service: Option<Service>, status: Status) -> Reason {
    let (code, detail) = match (service, status) {
        (None, Status::Up) => (ReasonCode::Serving, "logged in"),
        (None, Status::Down) => (ReasonCode::Refused, "connection refused"),
        (Some(_), Status::Up) => (ReasonCode::Running, "running"),
        (Some(_), Status::Down) => (ReasonCode::NotRunning, "not running"),
        (_, Status::Unknown) => (ReasonCode::TimedOut, "no answer in time"),
    };
    Reason::new(code, detail)
}
