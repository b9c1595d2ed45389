//! Servers, what runs on them, and the ways between.

use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::model::{Role, Service, Side, Term};

/// A place that messages go from and to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The monitor of this number: 0 is vp1, 1 is vp2.
    Monitor(usize),
    /// The server of this number: 0 is dm1, 1 is dm2, 2 is dm3.
    Server(usize),
    /// Etcd, as one.
    Etcd,
}

impl Node {
    /// Every place there is.
    pub const ALL: [Self; 6] = [
        Self::Monitor(0),
        Self::Monitor(1),
        Self::Server(0),
        Self::Server(1),
        Self::Server(2),
        Self::Etcd,
    ];
}

impl std::fmt::Display for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Monitor(number) => write!(f, "vp{}", number + 1),
            Self::Server(number) => write!(f, "dm{}", number + 1),
            Self::Etcd => f.write_str("etcd"),
        }
    }
}

/// Whether a server's machine works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It works.
    On,
    /// It is off: nothing on it runs.
    Off,
    /// It stands still, with all that runs on it, and goes on later as if nothing had been.
    Frozen,
}

/// Who made a service run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Whoever is not Watchkeeper: it was so at the beginning, or came with a boot.
    Others,
    /// A step of this plan of a monitor.
    Step {
        /// The monitor.
        monitor: usize,
        /// The plan's number.
        plan: u64,
    },
}

/// Whether a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// It does not.
    Stopped,
    /// It is about to.
    Starting {
        /// By whom.
        cause: Cause,
        /// Of several starts, the last counts.
        number: u64,
    },
    /// It does.
    Running {
        /// By whom.
        cause: Cause,
        /// Since when.
        since: u64,
    },
}

/// Why a server cannot take over, though it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It does not let the monitors in.
    Login,
    /// Its repository does not let them in.
    Credentials,
    /// Its disk is full.
    Room,
    /// The daemon cannot be started.
    Unit,
}

impl Lack {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Login, Self::Credentials, Self::Room, Self::Unit];
}

/// A service on a server.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Whether it runs.
    pub process: Process,
    /// Whether the next starts fail.
    pub broken: bool,
}

/// A server.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Whether it works.
    pub power: Power,
    /// What is installed there.
    pub units: BTreeMap<Service, Unit>,
    /// The mark of the term in force, and whose it is.
    pub mark: (Term, usize),
    /// Rows of the repository that were acknowledged to who wrote them.
    pub rows: u64,
    /// Whether its repository follows the other one's.
    pub follows: bool,
    /// What it lacks.
    pub lack: Option<Lack>,
    /// Whether its fence agents manage to do what they are asked.
    pub fences: bool,
}

impl Machine {
    /// Whether the service does its work now.
    pub fn serves(&self, service: Service) -> bool {
        self.power == Power::On && self.runs(service)
    }

    /// Whether the service has a process.
    pub fn runs(&self, service: Service) -> bool {
        self.units.get(&service).is_some_and(|unit| matches!(unit.process, Process::Running { .. }))
    }
}

/// Everything that is not a monitor.
#[derive(Debug, Clone)]
pub struct World {
    /// The time, in milliseconds.
    pub now: u64,
    /// The servers.
    pub machines: Vec<Machine>,
    /// The ways that are cut, each in one direction.
    pub cut: BTreeSet<(Node, Node)>,
    /// How many starts there were: the last of each service is known by its number.
    pub starts: u64,
}

impl World {
    /// Everything as it is meant to be while the primary is active.
    pub fn calm() -> Self {
        let topology = watchkeeper_cases::world::five_servers();
        let machines = topology.servers().iter().map(|server| {
            let place = watchkeeper_core::snapshot::Place::of(server.role, Side::Primary);
            let units = server.services.iter().map(|service| {
                let runs = watchkeeper_core::snapshot::expected(*service, place, Side::Primary);
                let process = if runs {
                    Process::Running { cause: Cause::Others, since: 0 }
                } else {
                    Process::Stopped
                };
                (*service, Unit { process, broken: false })
            });
            Machine {
                power: Power::On,
                units: units.collect(),
                mark: (Term(0), usize::MAX),
                rows: 0,
                follows: server.role == Role::Secondary,
                lack: None,
                fences: true,
            }
        });
        Self { now: 0, machines: machines.collect(), cut: BTreeSet::new(), starts: 0 }
    }

    /// Whether a message from `one` gets to `other` now.
    pub fn open(&self, one: Node, other: Node) -> bool {
        !self.cut.contains(&(one, other))
    }

    /// Whether a question from `one` is answered by `other` now, as far as the ways are concerned.
    pub fn both_ways(&self, one: Node, other: Node) -> bool {
        self.open(one, other) && self.open(other, one)
    }

    /// The server of a side.
    pub const fn of_side(side: Side) -> usize {
        match side {
            Side::Primary => 0,
            Side::Secondary => 1,
        }
    }

    /// The server across from this one, if it belongs to a side.
    pub const fn across(server: usize) -> Option<usize> {
        match server {
            0 => Some(1),
            1 => Some(0),
            _ => None,
        }
    }

    /// Lets rows be written and replicated for a moment: the active repository takes rows while the
    /// daemon beside it serves, and who follows gets them while both run and can talk.
    /// `both_ways`: the site has what takes over followed again by what was active before.
    pub fn write(&mut self, both_ways: bool) {
        for server in 0..2 {
            let machine = &mut self.machines[server];
            if machine.serves(Service::Daemon) && machine.serves(Service::Repository) {
                machine.rows += 1;
            }
        }
        for server in 0..2 {
            let other = 1 - server;
            let way = self.both_ways(Node::Server(server), Node::Server(other));
            let (theirs, serves) =
                (self.machines[other].rows, self.machines[other].serves(Service::Repository));
            let independent = !self.machines[other].follows;
            let machine = &mut self.machines[server];
            let quiet = machine.serves(Service::Repository) && !machine.runs(Service::Daemon);
            if both_ways && quiet && independent && way && serves {
                machine.follows = true;
            }
            if machine.follows && way && serves && machine.serves(Service::Repository) {
                machine.rows = machine.rows.max(theirs);
            }
        }
    }
}
