//! What a site is made of: its addresses, ports, servers, delays and secrets.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_core::model::{NameError, Role, ServerName, Service};

/// Where the site's addresses are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// The /24 with these three leading bytes; the first must be 127.
    Fixed([u8; 3]),
    /// A /24 below 127 that no other site of this machine uses now, so that tests run side by side.
    Unique,
}

/// The ports that every server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// SSH.
    pub ssh: u16,
    /// ActiveMQ's OpenWire port.
    pub activemq: u16,
    /// PostgreSQL.
    pub repository: u16,
    /// The REST interface.
    pub rest: u16,
}

impl Default for Ports {
    /// Data Mover's own ports, and 2222 for SSH because 22 needs root.
    fn default() -> Self {
        Self { ssh: 2222, activemq: 61616, repository: 5432, rest: 1443 }
    }
}

impl Ports {
    /// Every port, in no meaningful order.
    pub(crate) const fn all(self) -> [u16; 4] {
        [self.ssh, self.activemq, self.repository, self.rest]
    }
}

/// One server of the site.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Its name, which is also what `hostname` prints there.
    pub name: ServerName,
    /// Its designated role; the primary and the secondary are the two sides.
    pub role: Role,
    /// What can be started on it.
    pub installed: Vec<Service>,
    /// What runs once the site is up.
    pub running: Vec<Service>,
    /// What starts by itself when the server boots after a crash.
    pub at_boot: Vec<Service>,
}

/// When a service whose dependencies are missing fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `systemctl start` itself fails.
    AtStart,
    /// `systemctl start` succeeds; the service dies when it would have become ready.
    AfterLaunch,
}

/// A certificate for the REST interface, with its key.
#[derive(Clone)]
pub struct Tls {
    /// The certificate chain, PEM.
    pub certificate: String,
    /// The private key, PEM.
    pub key: String,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// Everything that can be chosen about a site.
#[derive(Debug, Clone)]
pub struct SiteConfig {
    /// Its addresses: the first server has .1, the second .2 and so on; the alert sink has .9.
    pub net: Net,
    /// The ports on every server.
    pub ports: Ports,
    /// The alert sink's port.
    pub sink_port: u16,
    /// The servers, in the order of their addresses; at most eight.
    pub servers: Vec<ServerConfig>,
    /// From launch to readiness.
    pub start_delay: Duration,
    /// How long a command over SSH and a statement to a repository take: half of it before anything is
    /// done, half before the answer. So there is a time in which it is done and nobody was told.
    pub latency: Duration,
    /// How a service fails that lacks what it depends on.
    pub refusal: Refusal,
    /// How long a broker still counts an agent that it no longer hears.
    pub agent_timeout: Duration,
    /// Serve REST as HTTPS with this certificate; plain HTTP without.
    pub tls: Option<Tls>,
    /// Demand HTTP basic authentication of REST clients: user and password.
    pub rest_login: Option<(String, String)>,
    /// Keep the servers' SSH host keys in this folder; without, they last as long as the site.
    pub host_keys: Option<PathBuf>,
    /// The name of the repository's subscription on the standby, of its slot and of the publication
    /// on the active side.
    pub subscription: String,
}

impl SiteConfig {
    /// The scenario of Data Mover's documentation: dm1 active, dm2 standby, dm3 with one agent.
    #[expect(clippy::missing_panics_doc, reason = "the three names are valid")]
    #[expect(clippy::expect_used, reason = "the three names are valid")]
    pub fn new(net: Net) -> Self {
        use Service::{Activemq, Agent, Daemon, Repository, Rest, Sync};
        let whole = || vec![Repository, Activemq, Daemon, Agent, Rest, Sync];
        let server = |name: &str, role, installed, running: Vec<Service>| {
            Ok::<_, NameError>(ServerConfig {
                name: ServerName::new(name)?,
                role,
                at_boot: running
                    .iter()
                    .copied()
                    .filter(|service| matches!(service, Repository | Agent))
                    .collect(),
                installed,
                running,
            })
        };
        let servers = [
            server("dm1", Role::Primary, whole(), whole()),
            server("dm2", Role::Secondary, whole(), vec![Repository, Agent]),
            server("dm3", Role::Additional, vec![Agent], vec![Agent]),
        ];
        Self {
            net,
            ports: Ports::default(),
            sink_port: 8080,
            servers: servers.into_iter().collect::<Result<_, _>>().expect("valid names"),
            start_delay: Duration::from_millis(50),
            latency: Duration::ZERO,
            refusal: Refusal::AtStart,
            agent_timeout: Duration::from_secs(1),
            tls: None,
            rest_login: None,
            host_keys: None,
            subscription: "dm_repository".to_owned(),
        }
    }

    /// The address of the server at `index`.
    pub(crate) const fn address(net: [u8; 3], index: usize) -> Ipv4Addr {
        #[expect(clippy::cast_possible_truncation, reason = "a site has at most eight servers")]
        Ipv4Addr::new(net[0], net[1], net[2], index as u8 + 1)
    }
}

impl Default for SiteConfig {
    fn default() -> Self {
        Self::new(Net::Fixed([127, 0, 71]))
    }
}

/// Why a site could not be started or told to do something.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The site has no server of that name.
    #[error("there is no server {0:?}")]
    NoServer(String),
    /// The server cannot run that service.
    #[error("{1} is not installed on {0}")]
    NotInstalled(ServerName, Service),
    /// A service could not be started.
    #[error("{0}")]
    Start(String),
    /// An address of the site cannot be used.
    #[error("cannot listen on {0}")]
    Listen(std::net::SocketAddr, #[source] std::io::Error),
    /// No /24 below 127 is free.
    #[error("no free network below 127.0.0.0/8 was found")]
    NoNetwork,
    /// More servers than addresses, or none.
    #[error("a site has one to eight servers, not {0}")]
    Servers(usize),
    /// The server has crashed, so nothing can be started there.
    #[error("{0} is down")]
    Crashed(ServerName),
    /// A file of the site cannot be written or read.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// A key cannot be made, read or written.
    #[error("cannot use the SSH key {0}")]
    Key(String, #[source] russh::keys::ssh_key::Error),
    /// The certificate or its key is not usable.
    #[error("the REST certificate is not usable: {0}")]
    Tls(String),
    /// An inserted row would have the number of another one.
    #[error("duplicate key in the repository of {0}: {1}")]
    Duplicate(String, i64),
    /// What was waited for did not happen.
    #[error("{0} did not happen within {1:?}")]
    TimedOut(String, Duration),
}
