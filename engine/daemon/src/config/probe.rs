//! Probes after the check: plain data, with the address and credentials filled in.

use std::time::Duration;

use watchkeeper_core::facts::ProbeId;

use super::cluster::{Database, Tls};
use crate::fence::Agent;
use crate::secret::Secret;

/// A probe of one service on one server, or of the server itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeConfig {
    /// What it looks at, and its name.
    pub id: ProbeId,
    /// How it looks.
    pub kind: ProbeKindConfig,
    /// The time from one run to the next while all is well.
    pub interval: Duration,
    /// The same after a first failure.
    pub confirm_interval: Duration,
    /// After how long one run is given up.
    pub timeout: Duration,
}

/// How a probe looks. Hosts are the server's address unless the probe has one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeKindConfig {
    /// Logs in over SSH and runs nothing of consequence: the probe of the server itself.
    Login,
    /// Runs the service's status command over SSH: exit code 0 is up.
    Status {
        /// The command line.
        command: String,
    },
    /// Connects to a TCP port.
    Tcp {
        /// Host and port.
        target: Target,
    },
    /// Sends an HTTP request and reads the whole answer.
    Http(Http),
    /// Asks Data Mover's REST for its agents.
    Rest {
        /// The request.
        http: Http,
        /// What an answer without a daemon behind it means.
        subject: RestSubject,
    },
    /// Runs a query on the repository.
    Postgres {
        /// The host.
        host: String,
        /// How to log in.
        database: Database,
        /// The query; its first column has to be true or not empty. None: `select 1`.
        query: Option<String>,
        /// Whether the database has to accept writes.
        writable: bool,
    },
    /// Looks at the repository's replication, from the side it is on.
    Replication {
        /// The host.
        host: String,
        /// How to log in.
        database: Database,
        /// The subscription's name.
        subscription: String,
    },
    /// Reads a broker's OpenWire greeting.
    Openwire {
        /// Host and port.
        target: Target,
    },
    /// Asks a broker for its health through Jolokia.
    Jolokia(Http),
    /// Runs a program that speaks the Nagios plugins' exit codes.
    Command(Run),
    /// Asks a fence agent whether the power is there.
    Fence(Agent),
    /// Looks at file systems and memory over SSH.
    Resources {
        /// The file systems, their names unique.
        disks: Vec<Disk>,
    },
    /// Looks at what a change of side would need, over SSH. The commands and ports are the server's.
    Readiness {
        /// Paths on the file systems that need room.
        paths: Vec<String>,
        /// Files of certificates on the server.
        certificates: Vec<String>,
    },
}

impl ProbeKindConfig {
    /// The host and the port that it connects to itself; none: it goes through SSH, runs a program, or looks at
    /// what another probe has the port of.
    pub fn port(&self) -> Option<(&str, u16)> {
        match self {
            Self::Tcp { target } | Self::Openwire { target } => Some((&target.host, target.port)),
            Self::Http(http) | Self::Jolokia(http) | Self::Rest { http, .. } => {
                Some((&http.target.host, http.target.port))
            }
            Self::Postgres { host, database, .. } => Some((host, database.port)),
            Self::Login
            | Self::Status { .. }
            | Self::Replication { .. }
            | Self::Command(_)
            | Self::Fence(_)
            | Self::Resources { .. }
            | Self::Readiness { .. } => None,
        }
    }
}

/// A file system, by a path on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What it is called in the names of values.
    pub name: String,
    /// The path.
    pub path: String,
}

/// Host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// An HTTP request and what is expected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// Host and port.
    pub target: Target,
    /// Path and query, with the leading `/`.
    pub path: String,
    /// Encryption.
    pub tls: Tls,
    /// Basic authentication.
    pub login: Option<Login>,
    /// Accepted status codes; empty: 200 to 299.
    pub expect_status: Vec<u16>,
    /// A text that the body has to hold.
    pub expect_text: Option<String>,
}

/// A user with a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: Secret,
}

/// Whom an answer of REST speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestSubject {
    /// REST itself: that it answers is enough.
    Rest,
    /// The daemon behind it: REST has to have reached it.
    Daemon,
}

/// Where and what to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Run {
    /// On the monitor, without a shell.
    Monitor(Vec<String>),
    /// On the server, over SSH, by its user's shell.
    Server(String),
}
