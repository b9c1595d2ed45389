//! The site as its users hold it: started, made to fail, and asked what happened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use watchkeeper_core::model::Service;

use crate::access::{claim, server_config};
use crate::config::{SiteConfig, SiteError};
use crate::events::Overlap;
use crate::network::{Node, Power};
use crate::replication::{Database, Lags};
use crate::sink::Sink;
use crate::ssh::{self, Keys};
use crate::wire::lock;
use crate::world::{Flaw, Starts, Unit, World};

/// Who the log names for what is done through this interface.
const BY: &str = "the test";

/// How long the site itself may take to come up.
const UP_WITHIN: Duration = Duration::from_secs(20);

/// A running site. Dropping it ends every process and closes every socket.
#[derive(Debug)]
pub struct Site {
    pub(crate) world: Arc<World>,
    sink: Sink,
    ssh: std::sync::Mutex<Vec<Option<JoinHandle<()>>>>,
    _claim: TcpListener,
}

impl Drop for Site {
    fn drop(&mut self) {
        lock(&self.ssh).iter().flatten().for_each(JoinHandle::abort);
        self.sink.close();
        self.world.close();
    }
}

impl Site {
    /// Starts every server, and returns once all that should run is ready and every agent is
    /// registered.
    pub async fn start(config: SiteConfig) -> Result<Self, SiteError> {
        let count = config.servers.len();
        if !(1..=8).contains(&count) {
            return Err(SiteError::Servers(count));
        }
        let tls = config.tls.as_ref().map(server_config).transpose()?;
        let keys = Keys::new(&config)?;
        let (claim, net) = claim(config.net).await?;
        let sink_at = SocketAddr::from(([net[0], net[1], net[2], 9], config.sink_port));
        let sink = Sink::start(sink_at).await?;
        let site = Self {
            world: World::new(config, net, keys, tls),
            sink,
            ssh: std::sync::Mutex::new((0..count).map(|_| None).collect()),
            _claim: claim,
        };
        for server in site.world.servers() {
            site.start_ssh(server).await?;
        }
        // Every server's base first: agents need a broker that serves.
        let base = [Service::Repository, Service::Activemq];
        site.start_configured(|service| base.contains(&service)).await?;
        site.start_configured(|service| !base.contains(&service)).await?;
        Ok(site)
    }

    async fn start_ssh(&self, server: usize) -> Result<(), SiteError> {
        let listener = self.world.network.listen(server, self.world.config.ports.ssh).await?;
        let task = tokio::spawn(ssh::serve(Arc::clone(&self.world), server, listener));
        if let Some(place) = lock(&self.ssh).get_mut(server) {
            *place = Some(task);
        }
        Ok(())
    }

    async fn start_configured(&self, wanted: impl Fn(Service) -> bool) -> Result<(), SiteError> {
        let mut started = Vec::new();
        for service in Service::ALL.into_iter().filter(|service| wanted(*service)) {
            let of_service: Vec<_> = self
                .world
                .servers()
                .zip(&self.world.config.servers)
                .filter(|(_, config)| config.running.contains(&service))
                .map(|(server, _)| server)
                .collect();
            for server in of_service {
                self.launch(server, service).await?;
                started.push((server, service));
            }
            // What comes later may depend on it.
            self.all_ready(&started).await?;
        }
        Ok(())
    }

    async fn all_ready(&self, started: &[(usize, Service)]) -> Result<(), SiteError> {
        let ready = || {
            started.iter().all(|(server, service)| {
                let registered = *service != Service::Agent
                    || self.world.sides().iter().any(|it| self.world.agents(*it).contains(server));
                registered && self.world.is_ready(*server, *service)
            })
        };
        self.world.wait_until("the site being up", UP_WITHIN, ready).await
    }

    async fn launch(&self, server: usize, service: Service) -> Result<(), SiteError> {
        let name = self.world.name(server);
        if self.world.network.power(server) == Power::Off {
            return Err(SiteError::Crashed(name.clone()));
        }
        let started = self.world.start(server, service, BY).await;
        started.map_err(|failure| {
            SiteError::Start(format!("{name}/{service}: {}", failure.stderr.trim_end()))
        })
    }

    fn at(&self, server: &str, service: Service) -> Result<usize, SiteError> {
        let index = self.world.server(server)?;
        match self.world.unit(index, service) {
            Some(_) => Ok(index),
            None => Err(SiteError::NotInstalled(self.world.name(index).clone(), service)),
        }
    }

    // ---- services ----

    /// Starts a service as `systemctl start` would: it is launched when this returns, and ready
    /// later.
    pub async fn start_service(&self, server: &str, service: Service) -> Result<(), SiteError> {
        self.launch(self.at(server, service)?, service).await
    }

    /// Stops a service as `systemctl stop` would.
    pub async fn stop_service(&self, server: &str, service: Service) -> Result<(), SiteError> {
        let index = self.at(server, service)?;
        self.world.end(index, service, Unit::Inactive, &format!("stopped by {BY}")).await;
        Ok(())
    }

    /// Kills a service's process; the unit is `failed` afterwards. Nothing starts it again.
    pub async fn kill(&self, server: &str, service: Service) -> Result<(), SiteError> {
        let index = self.at(server, service)?;
        self.world.end(index, service, Unit::Failed, &format!("killed by {BY}")).await;
        Ok(())
    }

    /// Lets every start of a service fail from now on.
    pub fn forbid_start(&self, server: &str, service: Service) -> Result<(), SiteError> {
        self.set_starts(server, service, Starts::Forbidden)
    }

    /// Lets every `systemctl start` of a service hang from now on; the service is not launched.
    pub fn hang_start(&self, server: &str, service: Service) -> Result<(), SiteError> {
        self.set_starts(server, service, Starts::Hanging)
    }

    /// Takes back [`Site::forbid_start`] and [`Site::hang_start`], for starts to come.
    pub fn allow_start(&self, server: &str, service: Service) -> Result<(), SiteError> {
        self.set_starts(server, service, Starts::Allowed)
    }

    fn set_starts(&self, server: &str, service: Service, to: Starts) -> Result<(), SiteError> {
        let index = self.at(server, service)?;
        self.world.change(|state| {
            state.events.note(format!("{server}/{service} starts are {to:?} now"));
            if let Some(process) = state.processes.get_mut(&(index, service)) {
                process.starts = to;
            }
        });
        Ok(())
    }

    /// Lets something be wrong with a server, or right again. Nothing that runs notices.
    pub fn set_flaw(&self, server: &str, flaw: Flaw, there: bool) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        self.world.change(|state| {
            state.events.note(format!("{server} {flaw:?}: {there}, by {BY}"));
            if there {
                state.flaws.insert((index, flaw));
            } else {
                state.flaws.remove(&(index, flaw));
            }
        });
        Ok(())
    }

    // ---- servers and network ----

    /// Cuts a server's power: connections go silent without an end, new ones hang, no process of it
    /// lives. Takes some 200 ms, until new connections surely hang; the silence is immediate.
    pub async fn crash_server(&self, server: &str) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        if self.world.network.power(index) == Power::Off {
            return Ok(());
        }
        self.world.power_off(index, BY).await;
        let task = lock(&self.ssh).get_mut(index).and_then(Option::take);
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        self.world.network.fill_queues(index).await;
        Ok(())
    }

    /// Boots a crashed server: SSH is back and what is configured to start at boot is launched. Old
    /// connections are reset. Does nothing to a server that runs.
    pub async fn boot_server(&self, server: &str) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        let at_boot = self.world.config.servers.get(index).map(|it| it.at_boot.clone());
        self.boot_server_starting(server, &at_boot.unwrap_or_default()).await
    }

    /// Boots a crashed server that then starts these services, in this order. A service that cannot
    /// start is left, as it would be at boot.
    pub async fn boot_server_starting(
        &self,
        server: &str,
        services: &[Service],
    ) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        if self.world.network.power(index) != Power::Off {
            return Ok(());
        }
        self.world.network.power_on(index);
        self.world.note(format!("{server} booted by {BY}"));
        self.start_ssh(index).await?;
        for service in services {
            if let Err(failure) = self.world.start(index, *service, "boot").await {
                tracing::info!(%service, "{}", failure.stderr.trim_end());
                continue;
            }
            let ready = || {
                self.world.is_ready(index, *service)
                    || self.world.unit(index, *service) != Some(Unit::Active)
            };
            self.world.wait_until("the boot", UP_WITHIN, ready).await?;
        }
        Ok(())
    }

    /// Lets a server hang: connections are accepted, nothing is ever said, nothing goes on.
    pub fn freeze(&self, server: &str) -> Result<(), SiteError> {
        self.set_frozen(server, Power::On, true)
    }

    /// Ends [`Site::freeze`]: everything goes on where it stood.
    pub fn thaw(&self, server: &str) -> Result<(), SiteError> {
        self.set_frozen(server, Power::Frozen, false)
    }

    fn set_frozen(&self, server: &str, from: Power, frozen: bool) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        if self.world.network.power(index) == from {
            self.world
                .note(format!("{server} {} by {BY}", if frozen { "frozen" } else { "thawed" }));
            self.world.network.set_frozen(index, frozen);
        }
        Ok(())
    }

    /// What state a server is in as a machine; [`Power::Off`] for one that is not there.
    pub fn power(&self, server: &str) -> Power {
        self.world.server(server).map_or(Power::Off, |index| self.world.network.power(index))
    }

    /// Resets (RST) every connection that a server has now. New ones are welcome.
    pub fn reset_connections(&self, server: &str) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        self.world.note(format!("{server} connections reset by {BY}"));
        self.world.network.reset(index);
        Ok(())
    }

    /// Cuts two servers from one another, or, without `other`, a server from all that is outside of the
    /// site, monitors above all.
    pub fn cut(&self, server: &str, other: Option<&str>) -> Result<(), SiteError> {
        self.set_cut(server, other, true)
    }

    /// Takes back [`Site::cut`].
    pub fn heal(&self, server: &str, other: Option<&str>) -> Result<(), SiteError> {
        self.set_cut(server, other, false)
    }

    fn set_cut(&self, server: &str, other: Option<&str>, cut: bool) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        let node = match other {
            Some(other) => Node::Server(self.world.server(other)?),
            None => Node::Outside,
        };
        let verb = if cut { "cut from" } else { "joined with" };
        self.world.note(format!("{server} {verb} {} by {BY}", other.unwrap_or("the outside")));
        self.world.network.set_cut(index, node, cut);
        Ok(())
    }

    /// Gives a server a new SSH host key. Connections that exist are reset.
    pub fn change_host_key(&self, server: &str) -> Result<(), SiteError> {
        let index = self.world.server(server)?;
        self.world.keys.change_host(index, server)?;
        self.world.note(format!("{server} host key changed by {BY}"));
        self.world.network.reset(index);
        Ok(())
    }

    // ---- replication ----

    /// Sets how far applying on the standby is behind, in bytes; the other three lags become zero.
    pub fn set_replication_lag(&self, bytes: u64) {
        self.set_replication_lags(Lags { replay: bytes, ..Lags::default() });
    }

    /// Sets all four lags.
    pub fn set_replication_lags(&self, lags: Lags) {
        self.world.change(|state| state.replication.lags = lags);
    }

    /// Lets applying on the standby fail over and over, or, with `false`, work again.
    pub fn break_replication(&self, broken: bool) {
        self.world.change(|state| {
            state.events.note(format!("replication broken: {broken}, by {BY}"));
            state.replication.broken = broken;
        });
    }

    fn database<T>(&self, server: &str, look: impl FnOnce(&mut Database) -> T) -> Option<T> {
        let index = self.world.server(server).ok()?;
        self.world.change(|state| state.replication.databases.get_mut(&index).map(look))
    }

    /// Whether the subscription of a server's repository is enabled; none if it has none.
    pub fn subscription(&self, server: &str) -> Option<bool> {
        self.database(server, |it| it.subscription.as_ref().map(|it| it.enabled))?
    }

    /// The server from which a server's repository receives changes now.
    pub fn receives_from(&self, server: &str) -> Option<String> {
        let index = self.world.server(server).ok()?;
        let streams = self.world.streams();
        let (_, from) = streams.into_iter().find(|(to, _)| *to == index)?;
        Some(self.world.name(from).to_string())
    }

    /// The replication slots of a server's repository, in use or not.
    pub fn slots(&self, server: &str) -> Vec<String> {
        self.database(server, |it| it.slots.iter().cloned().collect()).unwrap_or_default()
    }

    /// The last value of a sequence in a server's repository; none if it was never used or is not
    /// there.
    pub fn sequence(&self, server: &str, name: &str) -> Option<i64> {
        self.database(server, |it| it.sequences.get(name).copied().flatten())?
    }

    /// Sets a sequence, whether rows have its numbers or not.
    pub fn set_sequence(&self, server: &str, name: &str, value: i64) -> Result<(), SiteError> {
        self.world.server(server)?;
        self.database(server, |it| it.sequences.insert(name.to_owned(), Some(value)));
        Ok(())
    }

    /// The greatest number that a row of a table has in a server's repository; none if the table is
    /// empty or not there.
    pub fn greatest(&self, server: &str, table: &str) -> Option<i64> {
        self.database(server, |it| it.rows.get(table).copied().flatten())?
    }

    /// Inserts a job into a server's repository, as its daemon would: numbered by the sequence, and
    /// refused if a row has that number already. A standby that streams without lag has it too.
    pub fn insert_job(&self, server: &str) -> Result<i64, SiteError> {
        let index = self.at(server, Service::Repository)?;
        let streams = self.world.streams();
        self.world.change(|state| {
            let replication = &mut state.replication;
            let database = replication.databases.entry(index).or_default();
            let last = database.sequences.entry("job_id_seq".to_owned()).or_default();
            let number = last.unwrap_or(0) + 1;
            *last = Some(number);
            let greatest = database.rows.entry("job".to_owned()).or_default();
            if greatest.is_some_and(|greatest| greatest >= number) {
                return Err(SiteError::Duplicate(server.to_owned(), number));
            }
            *greatest = Some(number);
            if replication.lags.total() == 0 {
                for (to, _) in streams.iter().filter(|(_, from)| *from == index) {
                    if let Some(receiver) = replication.databases.get_mut(to) {
                        receiver.rows.insert("job".to_owned(), Some(number));
                    }
                }
            }
            Ok(number)
        })
    }

    // ---- what there is, and what happened ----

    /// What systemd says of a service; none if it is not installed.
    pub fn unit(&self, server: &str, service: Service) -> Option<Unit> {
        self.world.unit(self.world.server(server).ok()?, service)
    }

    /// Whether a service's process lives, be it ready or not.
    pub fn is_running(&self, server: &str, service: Service) -> bool {
        self.unit(server, service) == Some(Unit::Active)
    }

    /// Whether a service serves.
    pub fn is_ready(&self, server: &str, service: Service) -> bool {
        self.world.server(server).is_ok_and(|index| self.world.is_ready(index, service))
    }

    /// The servers whose agents are registered with the broker on `server`.
    pub fn agents(&self, server: &str) -> Vec<String> {
        let Ok(index) = self.world.server(server) else { return vec![] };
        let agents = self.world.agents(index);
        agents.into_iter().map(|agent| self.world.name(agent).to_string()).collect()
    }

    /// How often a service was launched, the site's own launches included.
    pub fn starts(&self, server: &str, service: Service) -> usize {
        self.count(server, service).0
    }

    /// How often a start was asked for, refused and superfluous ones included.
    pub fn start_requests(&self, server: &str, service: Service) -> usize {
        self.count(server, service).1
    }

    fn count(&self, server: &str, service: Service) -> (usize, usize) {
        let Ok(index) = self.world.server(server) else { return (0, 0) };
        self.world.read(|state| {
            let process = state.processes.get(&(index, service));
            process.map_or((0, 0), |process| (process.launched, process.requested))
        })
    }

    /// Everything that happened, in order: each start and stop, and by whom.
    pub fn log(&self) -> Vec<(Instant, String)> {
        self.world.read(|state| state.events.log.clone())
    }

    /// Every time that an exclusive service was launched on one side while it ran on the other.
    pub fn overlaps(&self) -> Vec<Overlap> {
        self.world.read(|state| state.events.overlaps.clone())
    }

    /// Whether an exclusive service ever ran on both sides at once.
    pub fn both_active_ever(&self) -> bool {
        !self.overlaps().is_empty()
    }

    /// Waits until `done` holds; looks again at every change of the site, and every
    /// 20 ms for what is no change of it, such as a silence or the sink.
    pub async fn wait_until(
        &self,
        what: &str,
        within: Duration,
        mut done: impl FnMut(&Self) -> bool,
    ) -> Result<(), SiteError> {
        self.world.wait_until(what, within, || done(self)).await
    }

    /// The alert sink.
    pub const fn sink(&self) -> &Sink {
        &self.sink
    }
}
