//! What a server is looked at for, to know whether it could take over.

use watchkeeper_core::model::{Role, ServerName, Service};

use crate::collect::Controlled;
use crate::config::cluster::{ClusterConfig, Database};
use crate::config::probe::{ProbeKindConfig, RestSubject};

/// The services of `server`, each with its commands and the ports at which it is probed there.
pub(super) fn services(config: &ClusterConfig, server: &ServerName) -> Vec<Controlled> {
    let Some(reached) = config.servers.get(server) else { return Vec::new() };
    let controlled = reached.commands.iter().map(|(service, commands)| Controlled {
        service: *service,
        start: commands.start.clone(),
        stop: commands.stop.clone(),
        status: commands.status.clone(),
        version: commands.version.clone(),
        ports: ports(config, server, &reached.address, *service),
    });
    controlled.collect()
}

fn ports(config: &ClusterConfig, server: &ServerName, own: &str, service: Service) -> Vec<u16> {
    let of_service = config
        .probes
        .iter()
        .filter(|probe| probe.id.server == *server && probe.id.service == Some(service));
    let mut ports: Vec<u16> = of_service
        .filter_map(|probe| match &probe.kind {
            ProbeKindConfig::Tcp { target } | ProbeKindConfig::Openwire { target } => {
                Some((&target.host, target.port))
            }
            // The daemon is asked for at REST's port.
            ProbeKindConfig::Rest { subject: RestSubject::Daemon, .. } => None,
            ProbeKindConfig::Http(http)
            | ProbeKindConfig::Jolokia(http)
            | ProbeKindConfig::Rest { http, .. } => Some((&http.target.host, http.target.port)),
            ProbeKindConfig::Postgres { host, database, .. } => Some((host, database.port)),
            _ => None,
        })
        .filter(|(host, _)| *host == own)
        .map(|(_, port)| port)
        .collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}

/// How the repository of `server` is asked whether it takes writes: as plans do, or as a probe does; none:
/// nothing says how.
pub(super) fn repository<'a>(
    config: &'a ClusterConfig,
    server: &ServerName,
) -> Option<(&'a str, &'a Database)> {
    let at = config.topology.server(server)?;
    if at.role == Role::Additional || !at.services.contains(&Service::Repository) {
        return None;
    }
    if config.arrangements.replicated_repository {
        let address = config.servers.get(server)?.address.as_str();
        return Some((address, &config.repository.database));
    }
    config.probes.iter().find_map(|probe| match &probe.kind {
        ProbeKindConfig::Postgres { host, database, .. }
            if probe.id.server == *server && probe.id.service == Some(Service::Repository) =>
        {
            Some((host.as_str(), database))
        }
        _ => None,
    })
}
