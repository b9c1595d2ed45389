//! What a cluster's plans are carried out with: ways in, commands, probes.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::model::{ClusterName, ServerName, ServiceId};

use crate::collect::ProbeSpec;
use crate::fence;
use crate::postgres::Pg;
use crate::ssh::{Port, Ssh};

/// The commands that control a service on its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Starts it; may return before it serves.
    pub start: String,
    /// Stops it; may return before it has stopped.
    pub stop: String,
    /// Exit code 0: it runs; 126 and 127: cannot be told; else: it does not run.
    pub status: String,
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Reachable {
    /// The way in.
    pub ssh: Ssh,
    /// Its address, as other servers reach it.
    pub address: String,
    /// Ports that answer while it is alive: SSH and those of its services.
    pub ports: Vec<Port>,
}

/// How the repositories of a cluster are reached and replicated.
#[derive(Debug, Clone, PartialEq)]
pub struct Repository {
    /// The connection to each server's repository.
    pub connections: BTreeMap<ServerName, Pg>,
    /// The name of the subscription on the receiving server.
    pub subscription: String,
    /// The name of the publication on the sending server.
    pub publication: String,
    /// What a receiving server connects to the sending one with, by sending server: a libpq
    /// connection string. It may hold a password, so it is never printed.
    pub replication: BTreeMap<ServerName, crate::secret::Secret>,
}

/// What a cluster's plans are carried out with.
#[derive(Debug, Clone, PartialEq)]
pub struct Equipment {
    /// The cluster.
    pub cluster: ClusterName,
    /// The servers.
    pub servers: BTreeMap<ServerName, Reachable>,
    /// The services' commands.
    pub controls: BTreeMap<ServiceId, Control>,
    /// The services' probes.
    pub probes: BTreeMap<ServiceId, Vec<Arc<ProbeSpec>>>,
    /// What switches a server off, the levels in order.
    pub fences: BTreeMap<ServerName, Vec<fence::Level>>,
    /// Whether commands carry their term to the servers, which refuse an older one.
    pub marks: bool,
    /// The repositories, where Watchkeeper takes care of their replication.
    pub repository: Option<Repository>,
}

impl Equipment {
    /// The way in to a server; the error is for the journal.
    pub(super) fn server(&self, name: &ServerName) -> Result<&Reachable, String> {
        self.servers.get(name).ok_or_else(|| format!("server {name} is no longer configured"))
    }

    /// The servers that can say what they find of `name`.
    pub fn witnesses(&self, name: &ServerName) -> impl Iterator<Item = &ServerName> {
        self.servers.keys().filter(move |witness| *witness != name)
    }

    /// A service's commands; the error is for the journal.
    pub(super) fn control(&self, id: &ServiceId) -> Result<&Control, String> {
        self.controls.get(id).ok_or_else(|| format!("service {id} is no longer configured"))
    }
}
