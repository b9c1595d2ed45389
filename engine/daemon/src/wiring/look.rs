//! What a server is looked at for, to know whether it could take over.

use std::collections::BTreeSet;

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
    // The daemon is asked for at REST's port.
    let beside =
        |kind: &_| matches!(kind, ProbeKindConfig::Rest { subject: RestSubject::Daemon, .. });
    let of_service = config.probes.iter().filter(|probe| {
        probe.id.server == *server && probe.id.service == Some(service) && !beside(&probe.kind)
    });
    let probed = of_service.filter_map(|probe| probe.kind.port());
    let ports: BTreeSet<u16> =
        probed.filter(|(host, _)| *host == own).map(|(_, port)| port).collect();
    ports.into_iter().collect()
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
