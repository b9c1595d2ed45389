//! How the duty to act is shared with other monitors, after the check.

use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_core::model::MonitorName;

use crate::secret::Secret;

/// The section `[duty]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DutyConfig {
    /// The way.
    pub mode: Mode,
    /// How long is observed after the duty was received, before anything is judged.
    pub observe: Duration,
}

/// How the duty is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// No other monitor is there.
    Alone,
    /// Two monitors hand it to each other.
    Peer(PeerConfig),
    /// Leases in etcd decide.
    Etcd(EtcdConfig),
}

/// The other monitor of two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerConfig {
    /// Its name.
    pub name: MonitorName,
    /// Where it listens, `host:port`.
    pub address: String,
    /// Where this monitor listens for it, `address:port`.
    pub listen: String,
    /// Whether this monitor is the one that has the duty while the primary is active.
    pub first: bool,
    /// This monitor's certificate, in PEM.
    pub certificate: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
    /// The other monitor's certificate, in PEM: exactly this one is accepted.
    pub peer_certificate: PathBuf,
    /// How often they talk at the least.
    pub beat: Duration,
    /// Whether the duty is handed over when the daemon is stopped.
    pub give_on_stop: bool,
}

/// An etcd cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdConfig {
    /// Its members' client addresses, such as `https://etcd1:2379`.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// How long the duty of a monitor that says nothing lasts: whole seconds.
    pub lease: Duration,
    /// The authorities' PEM file; none: the operating system's.
    pub ca: Option<PathBuf>,
    /// This monitor's certificate and private key in PEM, where etcd asks for one.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// User and password, where etcd asks for them.
    pub login: Option<(String, Secret)>,
}
