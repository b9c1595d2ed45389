//! A cluster after the check: its servers, how to reach them, what to run on them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_core::guards::Limits;
use watchkeeper_core::model::{ServerName, Service, Topology};
use watchkeeper_core::plan::Arrangements;
use watchkeeper_core::readiness::Bounds;

use super::checked::PolicyConfig;
use super::probe::ProbeConfig;
use crate::fence::Level;
use crate::secret::Secret;

/// A cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// Its name, servers, roles and services.
    pub topology: Topology,
    /// How each server of the topology is reached, by name: one entry for each.
    pub servers: BTreeMap<ServerName, ServerConfig>,
    /// The policies, the first to be heard first.
    pub policies: Vec<PolicyConfig>,
    /// Whether their new revisions come into force all or none.
    pub policies_together: bool,
    /// The guards' limits.
    pub guards: Limits,
    /// What the site arranged for plans, site steps included.
    pub arrangements: Arrangements,
    /// Whether commands carry their term to the servers, which refuse an older monitor's.
    pub term_mark: bool,
    /// How the repository is reached.
    pub repository: RepositoryConfig,
    /// What the standby needs to be ready.
    pub readiness: ReadinessConfig,
    /// Every probe of every server, ids unique.
    pub probes: Vec<ProbeConfig>,
}

/// When a standby counts as ready, and when people are told that it is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadinessConfig {
    /// What is good enough.
    pub bounds: Bounds,
    /// For how long it has to be found not so before it is told; none: it is not told.
    pub alert_after: Option<Duration>,
}

/// How a server is reached and its services are controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Host name or address.
    pub address: String,
    /// Where the other side's repository reaches this one; usually the address.
    pub repository_address: String,
    /// How to log in.
    pub ssh: SshConfig,
    /// What switches it off, the levels in order.
    pub fences: Vec<Level>,
    /// The commands of each service installed here.
    pub commands: BTreeMap<Service, ServiceCommands>,
}

/// How to log in to a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshConfig {
    /// The user.
    pub user: String,
    /// The port.
    pub port: u16,
    /// The private key's file.
    pub key: PathBuf,
    /// The file of known host keys.
    pub known_hosts: PathBuf,
    /// How long connecting and logging in may take together.
    pub connect_timeout: Duration,
}

/// Command lines for the server's shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceCommands {
    /// Starts the service.
    pub start: String,
    /// Stops the service.
    pub stop: String,
    /// Exit code 0: it runs; any other: it does not.
    pub status: String,
    /// Prints its version; none: it is not asked for.
    pub version: Option<String>,
}

/// Whether a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// In the clear.
    Off,
    /// Encrypted, the certificate checked.
    Require {
        /// The authorities' PEM file; none: the operating system's.
        ca: Option<PathBuf>,
    },
}

/// How a database is reached; the host is the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// The port.
    pub port: u16,
    /// The database.
    pub name: String,
    /// The user.
    pub user: String,
    /// The password, where one is needed.
    pub password: Option<Secret>,
    /// Encryption.
    pub tls: Tls,
}

/// The repository and its replication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RepositoryConfig {
    /// How Watchkeeper reaches it.
    pub database: Database,
    /// The subscription's name, on whichever side receives.
    pub subscription: String,
    /// The publication's name, on whichever side sends.
    pub publication: String,
    /// The user that one side's subscription logs in to the other as; none: the database's user.
    pub replication_user: Option<String>,
    /// That user's password.
    pub replication_password: Option<Secret>,
    /// Further parameters of the subscription's connection, such as `sslmode=require`.
    pub replication_options: Option<String>,
}

impl RepositoryConfig {
    /// The connection string by which the other side's subscription reaches the repository on
    /// `server`. A secret, since it holds the password.
    pub fn connection_to(&self, server: &ServerConfig) -> Secret {
        let database = &self.database;
        let (user, password) = match &self.replication_user {
            Some(user) => (user, self.replication_password.as_ref()),
            None => (&database.user, database.password.as_ref()),
        };
        let mut text = format!(
            "host={} port={} dbname={} user={}",
            conninfo_value(&server.repository_address),
            database.port,
            conninfo_value(&database.name),
            conninfo_value(user)
        );
        if let Some(password) = password {
            text.push_str(" password=");
            text.push_str(&conninfo_value(password.expose()));
        }
        if let Some(options) = &self.replication_options {
            text.push(' ');
            text.push_str(options);
        }
        Secret::new(text)
    }
}

/// A value in libpq's keyword/value syntax: quoted, with quotes and backslashes escaped.
fn conninfo_value(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_connection_string_is_quoted_and_shows_nothing() {
        let repository = RepositoryConfig {
            database: Database {
                port: 5432,
                name: "data mover".to_owned(),
                user: "watchkeeper".to_owned(),
                password: Some(Secret::new("first")),
                tls: Tls::Off,
            },
            subscription: "s".to_owned(),
            publication: "p".to_owned(),
            replication_user: Some("rep'l".to_owned()),
            replication_password: Some(Secret::new("a'b\\c")),
            replication_options: Some("sslmode=require".to_owned()),
        };
        let server = ServerConfig {
            address: "dm1".to_owned(),
            repository_address: "10.0.0.1".to_owned(),
            ssh: SshConfig {
                user: String::new(),
                port: 22,
                key: PathBuf::new(),
                known_hosts: PathBuf::new(),
                connect_timeout: Duration::ZERO,
            },
            fences: Vec::new(),
            commands: BTreeMap::new(),
        };
        let secret = repository.connection_to(&server);
        assert_eq!(
            secret.expose(),
            "host='10.0.0.1' port=5432 dbname='data mover' user='rep\\'l' \
             password='a\\'b\\\\c' sslmode=require"
        );
        assert_eq!(format!("{secret:?}"), "<secret>");
    }
}
