//! Connections, probes and commands of one cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::model::{Role, ServerName, ServiceId};

use super::look;
use crate::act::{Control, Equipment, Reachable, Repository};
use crate::collect::{self, HttpAsk, HttpSettings, HttpSettingsError, ProbeKind, ProbeSpec};
use crate::config::cluster::{ClusterConfig, Database, Tls};
use crate::config::probe::{Http, ProbeConfig, ProbeKindConfig, RestSubject, Run};
use crate::postgres::{Pg, PgTarget, PgTls};
use crate::secret::Secret;
use crate::ssh::{Port, Ssh, SshTarget};

/// Why a cluster cannot be equipped.
#[derive(Debug, thiserror::Error)]
pub enum EquipError {
    /// A probe's HTTP settings cannot be used.
    #[error("probe {probe}")]
    Http {
        /// Which probe.
        probe: ProbeId,
        /// What is wrong.
        source: HttpSettingsError,
    },
    /// A probe looks at a server that is not there.
    #[error("probe {0} looks at a server that the cluster does not have")]
    NoServer(ProbeId),
}

/// What a cluster is watched and acted on with.
#[derive(Debug)]
pub struct Equipped {
    /// For plans.
    pub equipment: Equipment,
    /// For the collector.
    pub probes: Vec<ProbeSpec>,
    /// What each server is looked at for without anything being done there, by its name.
    pub looks: BTreeMap<ServerName, collect::Readiness>,
}

/// Connections that may be kept, from the cluster's equipment before.
struct Kept<'a>(Option<&'a Equipment>);

impl Kept<'_> {
    fn ssh(&self, name: &ServerName, target: SshTarget) -> Ssh {
        let fresh = Ssh::new(target);
        match self.0.and_then(|before| before.servers.get(name)) {
            Some(before) if before.ssh == fresh => before.ssh.clone(),
            _ => fresh,
        }
    }
}

/// Makes what `config` asks for. Connections of `before` that lead to the same place in the same
/// way are kept.
pub fn equip(config: &ClusterConfig, before: Option<&Equipment>) -> Result<Equipped, EquipError> {
    let kept = Kept(before);
    let mut servers = BTreeMap::new();
    let mut controls = BTreeMap::new();
    for (name, server) in &config.servers {
        let ssh = kept.ssh(
            name,
            SshTarget {
                server: name.clone(),
                host: server.address.clone(),
                port: server.ssh.port,
                user: server.ssh.user.clone(),
                key: server.ssh.key.clone(),
                known_hosts: server.ssh.known_hosts.clone(),
                connect_timeout: server.ssh.connect_timeout,
            },
        );
        let ports = ports(config, name, server.ssh.port);
        servers.insert(name.clone(), Reachable { ssh, address: server.address.clone(), ports });
        for (service, commands) in &server.commands {
            let id = ServiceId { server: name.clone(), service: *service };
            controls.insert(
                id,
                Control {
                    start: commands.start.clone(),
                    stop: commands.stop.clone(),
                    status: commands.status.clone(),
                },
            );
        }
    }
    let mut databases = Databases::default();
    let mut probes = Vec::with_capacity(config.probes.len());
    for probe in &config.probes {
        let way =
            servers.get(&probe.id.server).ok_or_else(|| EquipError::NoServer(probe.id.clone()))?;
        probes.push(ProbeSpec {
            id: probe.id.clone(),
            kind: kind(probe, &way.ssh, config, &mut databases)?,
            interval: probe.interval,
            confirm_interval: probe.confirm_interval,
            timeout: probe.timeout,
        });
    }
    let looks = servers.iter().map(|(name, server)| {
        let look = look_at(config, name, &server.ssh, &mut databases);
        (name.clone(), look)
    });
    let looks = looks.collect();
    let mut by_service: BTreeMap<ServiceId, Vec<Arc<ProbeSpec>>> = BTreeMap::new();
    for spec in &probes {
        // Whether a repository follows another says nothing of whether it serves: once it has
        // been detached to take over, it does not follow.
        let serving = !matches!(spec.kind, ProbeKind::Replication(_));
        if let Some(service) = spec.id.service.filter(|_| serving) {
            let id = ServiceId { server: spec.id.server.clone(), service };
            by_service.entry(id).or_default().push(Arc::new(spec.clone()));
        }
    }
    let repository =
        config.arrangements.replicated_repository.then(|| repository(config, &mut databases));
    Ok(Equipped {
        equipment: Equipment {
            cluster: config.topology.cluster().clone(),
            servers,
            controls,
            probes: by_service,
            fences: config
                .servers
                .iter()
                .map(|(name, it)| (name.clone(), it.fences.clone()))
                .collect(),
            marks: config.term_mark,
            repository,
        },
        probes,
        looks,
    })
}

/// What a server is looked at for, its file systems and certificates left out.
fn look_at(
    config: &ClusterConfig,
    server: &ServerName,
    ssh: &Ssh,
    databases: &mut Databases,
) -> collect::Readiness {
    collect::Readiness {
        ssh: ssh.clone(),
        services: look::services(config, server),
        paths: Vec::new(),
        certificates: Vec::new(),
        repository: look::repository(config, server)
            .map(|(host, database)| databases.connection(host, database)),
    }
}

/// One connection per database, however many probes and steps use it.
#[derive(Default)]
struct Databases(Vec<Pg>);

impl Databases {
    fn connection(&mut self, host: &str, database: &Database) -> Pg {
        let target = PgTarget {
            host: host.to_owned(),
            port: database.port,
            dbname: database.name.clone(),
            user: database.user.clone(),
            password: database.password.clone(),
            tls: match &database.tls {
                Tls::Off => PgTls::Off,
                Tls::Require { ca } => PgTls::Require { ca: ca.clone() },
            },
        };
        if let Some(known) = self.0.iter().find(|known| *known.target() == target) {
            return known.clone();
        }
        let fresh = Pg::new(target);
        self.0.push(fresh.clone());
        fresh
    }
}

fn repository(config: &ClusterConfig, databases: &mut Databases) -> Repository {
    let sides = config.topology.servers().iter().filter(|server| server.role != Role::Additional);
    let mut connections = BTreeMap::new();
    let mut replication = BTreeMap::new();
    for server in sides {
        if let Some(reached) = config.servers.get(&server.name) {
            let connection = databases.connection(&reached.address, &config.repository.database);
            connections.insert(server.name.clone(), connection);
            replication.insert(server.name.clone(), config.repository.connection_to(reached));
        }
    }
    Repository {
        connections,
        subscription: config.repository.subscription.clone(),
        publication: config.repository.publication.clone(),
        replication,
    }
}

/// The ports that answer while a server is alive: SSH, and those its services are probed at.
fn ports(config: &ClusterConfig, server: &ServerName, ssh: u16) -> Vec<Port> {
    let own = config.servers.get(server).map(|server| server.address.as_str());
    let of_server = config.probes.iter().filter(|probe| probe.id.server == *server);
    let reached = of_server.filter_map(|probe| probe.kind.port());
    let here = reached.filter(|(host, _)| own == Some(*host)).map(|(_, port)| port);
    let ports: BTreeSet<u16> = std::iter::once(ssh).chain(here).collect();
    ports.into_iter().map(|number| Port { number, greets: number == ssh }).collect()
}

fn kind(
    probe: &ProbeConfig,
    ssh: &Ssh,
    config: &ClusterConfig,
    databases: &mut Databases,
) -> Result<ProbeKind, EquipError> {
    let ask = |http: &Http| {
        http_ask(http).map_err(|source| EquipError::Http { probe: probe.id.clone(), source })
    };
    Ok(match &probe.kind {
        ProbeKindConfig::Login => ProbeKind::ServerLogin(collect::ServerLogin { ssh: ssh.clone() }),
        ProbeKindConfig::Status { command } => ProbeKind::ServiceState(collect::ServiceState {
            ssh: ssh.clone(),
            command: command.clone(),
        }),
        ProbeKindConfig::Tcp { target } => {
            ProbeKind::Tcp(collect::Tcp { host: target.host.clone(), port: target.port })
        }
        ProbeKindConfig::Http(http) => ProbeKind::Http(collect::Http {
            ask: ask(http)?,
            expect_status: http.expect_status.clone(),
            expect_text: http.expect_text.clone(),
        }),
        ProbeKindConfig::Rest { http, subject } => {
            ProbeKind::DataMoverRest(collect::DataMoverRest {
                ask: ask(http)?,
                subject: match subject {
                    RestSubject::Rest => collect::RestSubject::Rest,
                    RestSubject::Daemon => collect::RestSubject::Daemon,
                },
            })
        }
        ProbeKindConfig::Postgres { host, database, query, writable } => {
            ProbeKind::Database(collect::Database {
                pg: databases.connection(host, database),
                query: query.clone(),
                writable: *writable,
            })
        }
        ProbeKindConfig::Replication { host, database, subscription } => {
            // Replication runs from the primary to the secondary; after a failover there is none.
            let sends =
                config.topology.server(&probe.id.server).is_some_and(|it| it.role == Role::Primary);
            let side = if sends {
                collect::ReplicationSide::Active { slot: Some(subscription.clone()) }
            } else {
                collect::ReplicationSide::Standby { subscription: Some(subscription.clone()) }
            };
            ProbeKind::Replication(collect::Replication::new(
                databases.connection(host, database),
                side,
            ))
        }
        ProbeKindConfig::Openwire { target } => {
            ProbeKind::OpenWire(collect::OpenWire { host: target.host.clone(), port: target.port })
        }
        ProbeKindConfig::Jolokia(http) => {
            ProbeKind::Jolokia(collect::Jolokia { ask: ask(http)?, broker: "localhost".to_owned() })
        }
        ProbeKindConfig::Command(run) => ProbeKind::Command(collect::Command {
            run: match run {
                Run::Monitor(argv) => collect::Where::Here(argv.clone()),
                Run::Server(line) => collect::Where::There { ssh: ssh.clone(), line: line.clone() },
            },
        }),
        ProbeKindConfig::Fence(agent) => ProbeKind::Fence(agent.clone()),
        ProbeKindConfig::Readiness { paths, certificates } => {
            ProbeKind::Readiness(collect::Readiness {
                paths: paths.clone(),
                certificates: certificates.clone(),
                ..look_at(config, &probe.id.server, ssh, databases)
            })
        }
        ProbeKindConfig::Resources { disks } => ProbeKind::Resources(collect::Resources {
            ssh: ssh.clone(),
            disks: disks
                .iter()
                .map(|disk| collect::Disk { name: disk.name.clone(), path: disk.path.clone() })
                .collect(),
        }),
    })
}

fn http_ask(http: &Http) -> Result<HttpAsk, HttpSettingsError> {
    let (scheme, ca) = match &http.tls {
        Tls::Off => ("http", None),
        Tls::Require { ca } => ("https", ca.clone()),
    };
    let host = if http.target.host.contains(':') {
        format!("[{}]", http.target.host)
    } else {
        http.target.host.clone()
    };
    HttpAsk::new(HttpSettings {
        url: format!("{scheme}://{host}:{}{}", http.target.port, http.path),
        basic: http
            .login
            .as_ref()
            .map(|login| (login.user.clone(), Secret::new(login.password.expose()))),
        headers: Vec::new(),
        ca,
    })
}
