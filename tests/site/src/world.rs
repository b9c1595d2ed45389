//! The site's state: which service runs where, since when and by whose doing; what systemd and the
//! services themselves would make of a start, a stop and a death.
//!
//! Invariants: a service has at most one task, which is its process; whatever changes a unit's state
//! records it in the log and wakes who waits for a change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use watchkeeper_core::model::{Role, ServerName, Service};

use crate::SiteError;
use crate::config::{Refusal, SiteConfig};
use crate::events::Events;
use crate::network::{Network, Node, Power};
use crate::replication::Replication;
use crate::services;
use crate::ssh::Keys;
use crate::wire::lock;

/// What systemd says of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Unit {
    /// Stopped, or never started.
    #[default]
    Inactive,
    /// Its process runs. Whether it serves yet is another question.
    Active,
    /// Its process died, or could not be started.
    Failed,
}

impl Unit {
    /// The word that `systemctl is-active` prints.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Active => "active",
            Self::Failed => "failed",
        }
    }
}

/// What has been ordered about starts of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Starts {
    #[default]
    Allowed,
    /// Every start fails.
    Forbidden,
    /// `systemctl start` does not come back.
    Hanging,
}

#[derive(Debug, Default)]
pub(crate) struct Process {
    pub(crate) unit: Unit,
    pub(crate) ready: bool,
    pub(crate) starts: Starts,
    /// Launches, and requests to start (including refused and superfluous ones).
    pub(crate) launched: usize,
    pub(crate) requested: usize,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug)]
pub(crate) struct State {
    pub(crate) processes: BTreeMap<(usize, Service), Process>,
    pub(crate) events: Events,
    pub(crate) replication: Replication,
    /// By broker's server and agent's server: when the broker last heard the agent.
    pub(crate) registrations: HashMap<(usize, usize), Instant>,
    /// By server and cluster: the mark that the last command left.
    marks: HashMap<(usize, String), Mark>,
    /// What is wrong with servers beside their services.
    pub(crate) flaws: BTreeSet<(usize, Flaw)>,
}

/// What is wrong with a server and does not show before something is started there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// The unit of a service is masked.
    Masked(Service),
    /// A service has no unit.
    NoUnit(Service),
    /// Something else listens on a service's port.
    PortTaken(Service),
    /// The repository takes no writes.
    ReadOnly,
    /// The repository refuses the login.
    NoDatabaseLogin,
    /// Its disk is full.
    DiskFull,
    /// Its clock is an hour behind.
    ClockBehind,
}

/// Why a start failed, in the way that `systemctl` tells it.
#[derive(Debug)]
pub(crate) struct StartFailure {
    pub(crate) exit: u32,
    pub(crate) stderr: String,
}

/// The mark that a command of a monitor leaves on a server: it stays over a crash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) term: u64,
    /// How the duty is shared: 0 alone, 1 peer, 2 etcd.
    pub(crate) way: u8,
    pub(crate) owner: String,
}

impl Mark {
    /// Whether a command that carries `self` may be run where `other` was left.
    fn passes(&self, other: &Self, ordered: bool) -> bool {
        let foreign = self.owner != other.owner;
        if !ordered && self.way != other.way {
            return self.way > other.way;
        }
        let alone = !ordered && self.way == 0;
        self.term >= other.term && !(foreign && (alone || self.term == other.term))
    }
}

/// Everything that the site's servers share.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) config: SiteConfig,
    pub(crate) net: [u8; 3],
    pub(crate) network: Arc<Network>,
    pub(crate) keys: Keys,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
}

impl World {
    pub(crate) fn new(
        config: SiteConfig,
        net: [u8; 3],
        keys: Keys,
        tls: Option<Arc<rustls::ServerConfig>>,
    ) -> Arc<Self> {
        let at = |role| config.servers.iter().position(|server| server.role == role);
        let publisher = at(Role::Primary).unwrap_or(0);
        let subscriber = at(Role::Secondary).unwrap_or(0);
        let processes = config
            .servers
            .iter()
            .enumerate()
            .flat_map(|(server, it)| it.installed.iter().map(move |service| (server, *service)))
            .map(|key| (key, Process::default()))
            .collect();
        Arc::new(Self {
            state: Mutex::new(State {
                processes,
                events: Events::default(),
                replication: Replication::new(&config.subscription, publisher, subscriber),
                registrations: HashMap::new(),
                marks: HashMap::new(),
                flaws: BTreeSet::new(),
            }),
            network: Network::new(net, &config),
            changed: watch::Sender::new(0),
            config,
            net,
            keys,
            tls,
        })
    }

    /// Looks at the state.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&lock(&self.state))
    }

    /// Changes the state and wakes who waits for a change.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut lock(&self.state));
        self.changed.send_modify(|version| *version += 1);
        changed
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn note(&self, what: String) {
        self.change(|state| state.events.note(what));
    }

    pub(crate) fn server(&self, name: &str) -> Result<usize, SiteError> {
        let found = self.config.servers.iter().position(|server| server.name.as_str() == name);
        found.ok_or_else(|| SiteError::NoServer(name.to_owned()))
    }

    /// The name of the server at `index`, which comes from `server` or from counting servers.
    #[expect(clippy::indexing_slicing, reason = "an index is only made from the list itself")]
    pub(crate) fn name(&self, index: usize) -> &ServerName {
        &self.config.servers[index].name
    }

    pub(crate) fn servers(&self) -> std::ops::Range<usize> {
        0..self.config.servers.len()
    }

    /// The servers that can be active: primary and secondary, in this order.
    pub(crate) fn sides(&self) -> Vec<usize> {
        let mut sides: Vec<_> = self
            .servers()
            .filter_map(|server| Some((self.config.servers.get(server)?.role, server)))
            .filter(|(role, _)| *role != Role::Additional)
            .collect();
        sides.sort();
        sides.into_iter().map(|(_, server)| server).collect()
    }

    /// Leaves a mark on a server, or says which one is in force there.
    pub(crate) fn mark(
        &self,
        server: usize,
        cluster: &str,
        mark: Mark,
        ordered: bool,
    ) -> Result<(), Mark> {
        let mut state = lock(&self.state);
        let key = (server, cluster.to_owned());
        match state.marks.get(&key) {
            Some(other) if !mark.passes(other, ordered) => Err(other.clone()),
            _ => {
                state.marks.insert(key, mark);
                Ok(())
            }
        }
    }

    pub(crate) fn unit(&self, server: usize, service: Service) -> Option<Unit> {
        self.read(|state| state.processes.get(&(server, service)).map(|process| process.unit))
    }

    /// Whether something is wrong with a server.
    pub(crate) fn has(&self, server: usize, flaw: Flaw) -> bool {
        self.read(|state| state.flaws.contains(&(server, flaw)))
    }

    pub(crate) fn is_ready(&self, server: usize, service: Service) -> bool {
        self.read(|state| state.processes.get(&(server, service)).is_some_and(|p| p.ready))
    }

    /// Who receives from whom now, as (receiver, sender).
    pub(crate) fn streams(&self) -> Vec<(usize, usize)> {
        let routes =
            self.read(
                |state| {
                    if state.replication.broken { vec![] } else { state.replication.routes() }
                },
            );
        routes.into_iter().filter(|(to, from)| self.repositories_meet(*to, *from)).collect()
    }

    /// Whether the repositories of two servers serve and reach one another.
    pub(crate) fn repositories_meet(&self, one: usize, other: usize) -> bool {
        let serves = |server| {
            self.is_ready(server, Service::Repository) && self.network.power(server) == Power::On
        };
        serves(one) && serves(other) && !self.network.is_cut(one, Node::Server(other))
    }

    /// Does something in the middle of the site's latency.
    pub(crate) async fn slowly<T>(&self, done: impl Future<Output = T>) -> T {
        let half = self.config.latency / 2;
        if half.is_zero() {
            return done.await;
        }
        tokio::time::sleep(half).await;
        let done = done.await;
        tokio::time::sleep(half).await;
        done
    }

    /// What `systemctl start` does. Readiness comes later.
    pub(crate) async fn start(
        self: &Arc<Self>,
        server: usize,
        service: Service,
        by: &str,
    ) -> Result<(), StartFailure> {
        let name = self.name(server);
        let orders = self.change(|state| {
            let process = state.processes.get_mut(&(server, service))?;
            process.requested += 1;
            state.events.note(format!("{name}/{service} start asked by {by}"));
            Some(state.processes.get(&(server, service))?.starts)
        });
        let Some(orders) = orders else {
            return Err(StartFailure {
                exit: 5,
                stderr: format!(
                    "Failed to start dm-{service}.service: Unit dm-{service}.service not found.\n"
                ),
            });
        };
        if orders == Starts::Hanging {
            return std::future::pending().await;
        }
        if self.unit(server, service) == Some(Unit::Active) {
            return Ok(());
        }
        let flawed = [Flaw::Masked, Flaw::NoUnit].map(|flaw| self.has(server, flaw(service)));
        if flawed.contains(&true) {
            return Err(StartFailure {
                exit: 1,
                stderr: format!("Failed to start dm-{service}.service: Unit cannot be used.\n"),
            });
        }
        let refused = match orders {
            Starts::Forbidden => Some("it is forbidden to start".to_owned()),
            _ if self.has(server, Flaw::PortTaken(service)) => {
                Some("its address is in use".to_owned())
            }
            _ if self.config.refusal == Refusal::AtStart => self.missing(server, service).await,
            _ => None,
        };
        self.network.thawed(server).await;
        if let Some(why) = refused {
            self.change(|state| {
                state.events.note(format!("{name}/{service} failed to start: {why}"));
                if let Some(process) = state.processes.get_mut(&(server, service)) {
                    process.unit = Unit::Failed;
                }
            });
            return Err(StartFailure {
                exit: 1,
                stderr: format!(
                    "Job for dm-{service}.service failed because the control process exited with \
                     error code.\nSee \"systemctl status dm-{service}.service\" for details.\n"
                ),
            });
        }
        self.launch(server, service, by);
        Ok(())
    }

    fn launch(self: &Arc<Self>, server: usize, service: Service, by: &str) {
        let others = self.sides();
        self.change(|state| {
            let other = others.iter().copied().find(|&other| {
                other != server
                    && others.contains(&server)
                    && service.exclusive()
                    && state
                        .processes
                        .get(&(other, service))
                        .is_some_and(|p| p.unit == Unit::Active)
            });
            let Some(process) = state.processes.get_mut(&(server, service)) else { return };
            // The power went, or somebody else was quicker.
            if process.unit == Unit::Active || self.network.power(server) == Power::Off {
                return;
            }
            process.unit = Unit::Active;
            process.launched += 1;
            let world = Arc::clone(self);
            process.task = Some(tokio::spawn(async move { world.live(server, service).await }));
            state.events.note(format!("{}/{service} launched by {by}", self.name(server)));
            if let Some(other) = other {
                state.events.overlap(service, self.name(other), self.name(server));
            }
        });
    }

    /// A service's life, from launch to its own end.
    async fn live(self: Arc<Self>, server: usize, service: Service) {
        tokio::time::sleep(self.config.start_delay).await;
        self.network.thawed(server).await;
        let why = match self.missing(server, service).await {
            Some(why) => why,
            None => services::run(&self, server, service).await,
        };
        // Not through `end`, which ends this very task.
        self.ended(server, service, Unit::Failed, &format!("died: {why}"));
    }

    /// Called by a service's task once it serves.
    pub(crate) fn ready(&self, server: usize, service: Service) {
        self.change(|state| {
            if let Some(process) = state.processes.get_mut(&(server, service)) {
                process.ready = true;
            }
            state.events.note(format!("{}/{service} is ready", self.name(server)));
        });
    }

    /// What a service lacks that it cannot start without.
    async fn missing(&self, server: usize, service: Service) -> Option<String> {
        match service {
            Service::Daemon => service
                .depends_on()
                .iter()
                .find(|needed| !self.is_ready(server, **needed))
                .map(|needed| format!("{needed} does not serve")),
            Service::Agent => match services::find_broker(self, server).await {
                Some(_) => None,
                None => Some("no broker answers".to_owned()),
            },
            _ => None,
        }
    }

    /// Ends a service's process, and what cannot live without it. Returns once its port is free.
    pub(crate) async fn end(&self, server: usize, service: Service, unit: Unit, how: &str) {
        let task = self.change(|state| {
            state.processes.get_mut(&(server, service)).and_then(|process| process.task.take())
        });
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.ended(server, service, unit, how);
        // The daemon's connection to its broker is not a socket here; its death is.
        if service == Service::Activemq && self.unit(server, Service::Daemon) == Some(Unit::Active)
        {
            let daemon = Service::Daemon;
            Box::pin(self.end(server, daemon, Unit::Failed, "died: its broker is gone")).await;
        }
    }

    fn ended(&self, server: usize, service: Service, unit: Unit, how: &str) {
        // A dead server's ports stay as its death left them.
        if let Some(port) = self.port(service).filter(|_| self.network.power(server) != Power::Off)
        {
            self.network.close_port(server, port);
        }
        self.change(|state| {
            let Some(process) = state.processes.get_mut(&(server, service)) else { return };
            let was = process.unit;
            process.ready = false;
            process.unit = unit;
            if was == Unit::Active {
                state.events.note(format!("{}/{service} {how}", self.name(server)));
            }
            if service == Service::Activemq {
                state.registrations.retain(|(broker, _), _| *broker != server);
            }
        });
    }

    pub(crate) const fn port(&self, service: Service) -> Option<u16> {
        match service {
            Service::Activemq => Some(self.config.ports.activemq),
            Service::Repository => Some(self.config.ports.repository),
            Service::Rest => Some(self.config.ports.rest),
            _ => None,
        }
    }

    /// The power of a server is cut: no process of it does anything more, no socket says so.
    pub(crate) async fn power_off(&self, server: usize, by: &str) {
        // In this order: a process that is ended first would close its sockets with a FIN.
        self.network.power_off(server);
        let tasks = self.change(|state| {
            state.events.note(format!("{} crashed by {by}", self.name(server)));
            let of_server = state.processes.iter_mut().filter(|((of, _), _)| *of == server);
            let mut tasks = Vec::new();
            for (_, process) in of_server {
                process.unit = Unit::Inactive;
                process.ready = false;
                tasks.extend(process.task.take());
            }
            tasks
        });
        for task in tasks {
            task.abort();
            let _ = task.await;
        }
    }

    /// The agents that the broker on `server` hears.
    pub(crate) fn agents(&self, server: usize) -> Vec<usize> {
        let timeout = self.config.agent_timeout;
        self.servers()
            .filter(|agent| {
                self.read(|state| state.registrations.get(&(server, *agent)).copied())
                    .is_some_and(|heard| heard.elapsed() < timeout)
            })
            .collect()
    }

    /// Waits until `done` holds, looking again at every change and, since silence is no change, every
    /// 20 ms.
    pub(crate) async fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut done: impl FnMut() -> bool,
    ) -> Result<(), SiteError> {
        let mut changes = self.changes();
        let wait = async {
            while !done() {
                let _ = tokio::time::timeout(Duration::from_millis(20), changes.changed()).await;
            }
        };
        let waited = tokio::time::timeout(within, wait).await;
        waited.map_err(|_| SiteError::TimedOut(what.to_owned(), within))
    }

    /// Ends every process and closes every socket.
    pub(crate) fn close(&self) {
        let tasks: Vec<_> = self.change(|state| {
            state.processes.values_mut().filter_map(|process| process.task.take()).collect()
        });
        tasks.iter().for_each(JoinHandle::abort);
        self.network.close();
    }
}
