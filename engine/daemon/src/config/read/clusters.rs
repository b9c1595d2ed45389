//! A cluster: servers and roles, policies, guards, plan, repository, site steps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use watchkeeper_core::arbitration::{ENGINE, OnPolicyFailure};
use watchkeeper_core::duty::DUTY;
use watchkeeper_core::guards::Limits;
use watchkeeper_core::model::{
    ClusterName, PolicyName, Role, Server, ServerName, Service, Topology,
};
use watchkeeper_core::plan::{Arrangements, Point, Proof, SiteStep};
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::Grant;

use super::super::checked::PolicyConfig;
use super::super::cluster::{
    ClusterConfig, Database, RepositoryConfig, ServerConfig, SshConfig, Tls,
};
use super::super::reader::{At, Reader, millis};
use super::super::source::{Note, Place};
use super::fences::{self, Fencing, fencing};
use super::general::warn_if_open;
use super::probes::{self, Fresh, Times};
use super::services::service_commands;
use super::{Common, guest_file, trust};
use super::{readiness, resources};

/// How to log in, as far as the sections read so far say.
#[derive(Clone, Default)]
pub(in crate::config) struct Ssh {
    user: String,
    port: u16,
    key: Option<PathBuf>,
    known_hosts: Option<PathBuf>,
    connect_timeout: Duration,
    sudo: bool,
}

pub(in crate::config) fn ssh(reader: &Reader<'_>, outer: &Ssh) -> Ssh {
    // What is there and wrong is not missing as well.
    let wrong = |name| (reader.has(name) || reader.misspelt(name)).then(PathBuf::new);
    let key = reader.file("key");
    if let Some(key) = &key {
        let at = At { value: key.clone(), place: reader.place_of("key") };
        warn_if_open(reader, &at, 0o077);
    }
    let ssh = Ssh {
        user: reader.text("user").map_or_else(|| outer.user.clone(), |at| at.value),
        port: reader.port("port").unwrap_or(outer.port),
        key: key.or_else(|| wrong("key")).or_else(|| outer.key.clone()),
        known_hosts: reader
            .file("known-hosts")
            .or_else(|| wrong("known-hosts"))
            .or_else(|| outer.known_hosts.clone()),
        connect_timeout: reader.duration("connect-timeout").unwrap_or(outer.connect_timeout),
        sudo: reader.flag("sudo").unwrap_or(outer.sudo),
    };
    reader.finish();
    ssh
}

/// Servers that nothing says how to log in to. Usually one key is missing for all of them.
#[derive(Default)]
struct Logins {
    key: Vec<At<String>>,
    known_hosts: Vec<At<String>>,
}

impl Logins {
    fn note(&mut self, server: &At<String>, login: &Ssh) {
        if login.key.is_none() {
            self.key.push(server.clone());
        }
        if login.known_hosts.is_none() {
            self.known_hosts.push(server.clone());
        }
    }

    fn complain(&self, cluster: &Reader<'_>) {
        for (key, list) in [("key", &self.key), ("known-hosts", &self.known_hosts)] {
            let Some(first) = list.first() else { continue };
            let names: Vec<&str> = list.iter().map(|at| at.value.as_str()).collect();
            let message = format!("there is no `{key}` to log in with to {}", names.join(", "));
            let help = format!(
                "set `{key}` in [ssh], or in [{}.servers.{}.ssh]",
                cluster.path, first.value
            );
            cluster.sources.note(first.place, Note::error(message).help(&help));
        }
    }
}

/// A server in the making.
pub(super) struct Made {
    pub(super) server: Server,
    pub(super) config: ServerConfig,
    pub(super) ssh_probe: bool,
}

pub(in crate::config) fn cluster(
    name: &At<String>,
    reader: &Reader<'_>,
    common: &Common<'_>,
    outer: &Ssh,
    times: &Times,
) -> Option<ClusterConfig> {
    let cluster = ClusterName::new(&name.value).map_err(|error| {
        reader.sources.error(name.place, format!("{:?} is not a name: {error}", name.value));
    });
    let base = ssh(&reader.table("ssh"), outer);
    let services: Vec<_> = by_service(reader, "services");
    let server_tables = reader.named("servers");
    let names = reader.names("servers");
    let roles = roles(reader, &names);
    let mut servers = Vec::new();
    let mut logins = Logins::default();
    for (name, inner) in &server_tables {
        let made = server(name, inner, &base, &services, roles.as_ref(), common, &mut logins);
        servers.extend(made);
    }
    logins.complain(reader);
    let policies = policies(reader, common, &names);
    let policies_together = reader.flag("policies-together").unwrap_or(false);
    let (guards, fresh) = guards(&reader.table("guards"));
    let (mut arrangements, term_mark) = plan(&reader.table("plan"), names.len(), fencing(&servers));
    arrangements.site_steps = site_steps(reader, &names);
    let repository = repository(&reader.table("repository"), common);
    let resources = if reader.has("resources") {
        resources::probes(&reader.table("resources"), &servers)
    } else {
        Vec::new()
    };
    let (readiness, looks) =
        readiness::read(&reader.table("readiness"), &servers, guards.max_lag_bytes);
    reader.finish();
    let mut probes =
        probes::all(reader.sources, &services, &servers, &repository, common, times, fresh);
    probes.extend(resources);
    probes.extend(servers.iter().flat_map(fences::probes));
    probes.extend(looks);
    both_sides(reader, &servers);
    if !reader.has("policies") && !reader.misspelt("policies") {
        let message = format!("cluster {} has no policies", name.value);
        reader.sources.warning(name.place, message, "nothing will be decided for it");
    }
    let list = servers.iter().map(|made| made.server.clone()).collect();
    let topology = match Topology::new(cluster.ok()?, list) {
        Ok(topology) => topology,
        Err(error) => {
            // Roles and servers that are wrong one by one have been named above.
            if roles.is_some() && servers.len() == names.len() {
                reader.sources.error(name.place, error.to_string());
            }
            return None;
        }
    };
    let servers = servers.into_iter().map(|made| (made.server.name, made.config)).collect();
    Some(ClusterConfig {
        topology,
        servers,
        policies,
        policies_together,
        guards,
        arrangements,
        term_mark,
        repository,
        readiness,
        probes,
    })
}

/// The tables under a key whose names are services.
fn by_service<'a>(reader: &Reader<'a>, key: &str) -> Vec<(Service, Reader<'a>)> {
    let mut list = Vec::new();
    for (name, inner) in reader.named(key) {
        if let Some(service) = Service::from_name(&name.value) {
            list.push((service, inner));
        } else {
            unknown_service(reader, &name);
        }
    }
    list
}

fn unknown_service(reader: &Reader<'_>, name: &At<String>) {
    let message = format!("there is no service {:?}", name.value);
    let known = Service::ALL.iter().map(|service| service.as_str());
    reader.unknown(name.place, message, &name.value, known, None);
}

/// The primary and the secondary server.
fn roles(reader: &Reader<'_>, names: &[String]) -> Option<(String, String)> {
    let one = |key| {
        let name = reader.text(key)?;
        if names.contains(&name.value) {
            return Some(name);
        }
        let message = format!("there is no server {:?} in this cluster", name.value);
        let known = names.iter().map(String::as_str);
        reader.unknown(name.place, message, &name.value, known, None);
        None
    };
    let (primary, secondary) = (one("primary"), one("secondary"));
    let (primary, secondary) = (primary?, secondary?);
    if primary.value == secondary.value {
        let message = "the primary and the secondary cannot be the same server";
        reader.sources.error(secondary.place, message);
        return None;
    }
    Some((primary.value, secondary.value))
}

fn server(
    name: &At<String>,
    reader: &Reader<'_>,
    base: &Ssh,
    services: &[(Service, Reader<'_>)],
    roles: Option<&(String, String)>,
    common: &Common<'_>,
    logins: &mut Logins,
) -> Option<Made> {
    let made = ServerName::new(&name.value).map_err(|error| {
        reader.sources.error(name.place, format!("{:?} is not a name: {error}", name.value));
    });
    let role = match roles {
        Some((primary, _)) if *primary == name.value => Role::Primary,
        Some((_, secondary)) if *secondary == name.value => Role::Secondary,
        _ => Role::Additional,
    };
    let address = reader.text("address").map(|at| at.value);
    let installed = installed(reader, role, roles.is_some());
    let login = ssh(&reader.table("ssh"), base);
    let fences = fences::levels(reader, role, &common.fences);
    let overrides = by_service(reader, "service-commands");
    let mut commands = BTreeMap::new();
    for (service, inner) in &overrides {
        if !installed.contains(service) {
            let message = format!("{service} is not among the services of {}", name.value);
            reader.sources.error(inner.place, message);
        }
    }
    for service in &installed {
        let general = services.iter().find(|(one, _)| one == service).map(|(_, reader)| reader);
        let special = overrides.iter().find(|(one, _)| one == service).map(|(_, reader)| reader);
        commands.insert(*service, service_commands(*service, general, special, login.sudo));
    }
    for (_, inner) in &overrides {
        for key in ["start", "stop", "status", "version", "unit", "init-script"] {
            let _ = inner.text(key);
        }
        inner.finish();
    }
    let repository_address = reader.text("repository-address").map(|at| at.value);
    let ssh_probe = reader.flag("ssh-probe").unwrap_or(true);
    reader.finish();
    logins.note(name, &login);
    let address = address?;
    Some(Made {
        server: Server { name: made.ok()?, role, services: installed },
        config: ServerConfig {
            repository_address: repository_address.unwrap_or_else(|| address.clone()),
            address,
            ssh: SshConfig {
                user: login.user,
                port: login.port,
                key: login.key.unwrap_or_default(),
                known_hosts: login.known_hosts.unwrap_or_default(),
                connect_timeout: login.connect_timeout,
            },
            fences,
            commands,
        },
        ssh_probe,
    })
}

fn installed(reader: &Reader<'_>, role: Role, roles_known: bool) -> Vec<Service> {
    let mut installed = Vec::new();
    for name in reader.texts("services").unwrap_or_default() {
        match Service::from_name(&name.value) {
            Some(service) => {
                if service.exclusive() && role == Role::Additional && roles_known {
                    let note = Note::error(format!(
                        "{service} belongs on the primary and the secondary only"
                    ))
                    .help("this server is neither: it runs agents");
                    reader.sources.note(name.place, note);
                }
                installed.push(service);
            }
            None => unknown_service(reader, &name),
        }
    }
    installed
}

fn both_sides(reader: &Reader<'_>, servers: &[Made]) {
    let side = |role| servers.iter().find(|made| made.server.role == role);
    let (Some(primary), Some(secondary)) = (side(Role::Primary), side(Role::Secondary)) else {
        return;
    };
    for service in Service::ALL {
        if service.exclusive()
            && primary.server.services.contains(&service)
            && !secondary.server.services.contains(&service)
        {
            let message = format!(
                "{} runs {service}, and {} does not have it",
                primary.server.name, secondary.server.name
            );
            let help = "the secondary will never be able to take over";
            reader.sources.warning(reader.place_of("secondary"), message, help);
        }
    }
}

/// The servers that a policy has a say over; none if nothing is said of that.
fn say_over(reader: &Reader<'_>, names: &[String]) -> Option<BTreeSet<ServerName>> {
    let given = reader.texts("servers")?;
    let known = given.into_iter().filter_map(|name| {
        if names.contains(&name.value) {
            return ServerName::new(&name.value).ok();
        }
        let message = format!("there is no server {:?} in this cluster", name.value);
        reader.unknown(name.place, message, &name.value, names.iter().map(String::as_str), None);
        None
    });
    Some(known.collect())
}

fn policies(reader: &Reader<'_>, common: &Common<'_>, names: &[String]) -> Vec<PolicyConfig> {
    let mut policies: Vec<PolicyConfig> = Vec::new();
    for inner in reader.tables("policies") {
        let name = inner.name("name", PolicyName::new);
        let given = inner.has("file");
        let own = inner.file("file");
        let mut grants = BTreeSet::new();
        for grant in inner.texts("grants").unwrap_or_default() {
            if let Some(known) = Grant::ALL.iter().find(|known| known.as_str() == grant.value) {
                grants.insert(*known);
            } else {
                let message = format!("there is no grant {:?}", grant.value);
                let known = Grant::ALL.iter().map(|grant| grant.as_str());
                inner.unknown(grant.place, message, &grant.value, known, None);
            }
        }
        let servers = say_over(&inner, names);
        let on_failure = match inner.choice("on-failure").map(|at| at.value).as_deref() {
            Some("abstain") => OnPolicyFailure::Abstain,
            _ => OnPolicyFailure::Hold,
        };
        let mode = match inner.choice("mode").map(|at| at.value).as_deref() {
            Some("shadow") => Mode::Shadow,
            _ => Mode::Enforce,
        };
        let trust = trust(&inner, common);
        let settings = inner.settings("settings");
        inner.finish();
        let Some(name) = name else { continue };
        if [ENGINE, DUTY].contains(&name.value.as_str()) {
            let note = Note::error(format!("a policy cannot be named `{}`", name.value))
                .help("the engine's own alerts and holds go by that name");
            inner.sources.note(name.place, note);
            continue;
        }
        if policies.iter().any(|old| old.name == name.value) {
            inner.sources.error(name.place, format!("policy {} is there twice", name.value));
        }
        let file = match own {
            Some(file) => file,
            None if given => continue,
            None => guest_file(&inner, "name", &common.policies, name.value.as_str()),
        };
        let at = inner.sources.location(name.place);
        policies.push(PolicyConfig {
            name: name.value,
            file,
            at,
            grants,
            servers,
            on_failure,
            mode,
            trust,
            settings,
        });
    }
    policies
}

fn guards(reader: &Reader<'_>) -> (Limits, Option<Fresh>) {
    let limit = reader.duration("fresh");
    let given = reader.has("fresh").then(|| reader.place_of("fresh"));
    let limits = Limits {
        fresh_ms: limit.map_or(1, millis),
        cooldown_ms: reader.ms("cooldown"),
        max_lag_bytes: reader.size("max-lag"),
        storm_limit: reader.small("storm-limit"),
        storm_window_ms: reader.ms("storm-window"),
    };
    reader.finish();
    (limits, limit.map(|limit| Fresh { limit, given }))
}

fn plan(reader: &Reader<'_>, servers: usize, fencing: Fencing) -> (Arrangements, bool) {
    let witnesses = reader.small("witnesses");
    let wanted = reader.choice("proof").map(|at| at.value);
    let wanted = wanted.as_deref();
    unused_fences(reader, wanted, &fencing);
    let proof = match (wanted, fencing) {
        (None | Some("fence"), Fencing::Both(within_ms)) => Proof::Fence { within_ms },
        (Some("fence"), _) => Proof::Fence { within_ms: 1 },
        (Some("operator"), _) => Proof::Operator,
        (Some("nothing"), _) => {
            let message = "with `proof = \"nothing\"` both sides can become active at once";
            let help =
                "`fence` switches it off; `witnesses` asks other servers; `operator` asks a person";
            reader.sources.warning(reader.place_of("proof"), message, help);
            Proof::Nothing
        }
        _ => {
            let others = servers.saturating_sub(1);
            if servers > 0 && witnesses as usize > others {
                let message = format!(
                    "{witnesses} witnesses are wanted; beside the old side there are {others} servers"
                );
                reader.sources.error(reader.place_of("witnesses"), message);
            }
            Proof::Witnesses(witnesses)
        }
    };
    let arrangements = Arrangements {
        start_timeout_ms: reader.ms("start-timeout"),
        stop_timeout_ms: reader.ms("stop-timeout"),
        repository_timeout_ms: reader.ms("repository-timeout"),
        attempts: reader.small("attempts"),
        retry_delay_ms: reader.ms("retry-delay"),
        proof,
        replicated_repository: reader.flag("replicated-repository").unwrap_or(true),
        site_steps: Vec::new(),
    };
    let term_mark = reader.flag("term-mark").unwrap_or(true);
    reader.finish();
    (arrangements, term_mark)
}

/// Says what of the fence agents does not fit to the proof.
fn unused_fences(reader: &Reader<'_>, wanted: Option<&str>, fencing: &Fencing) {
    match (wanted, fencing) {
        (Some("fence"), Fencing::Missing(server)) => {
            let message =
                format!("`proof = \"fence\"` needs a `fence` of both sides; {server} has none");
            reader.sources.error(reader.place_of("proof"), message);
        }
        (Some("fence"), Fencing::None) => {
            let note = Note::error("`proof = \"fence\"` needs a `fence` of both sides").help(
                "name what switches each server off in [fences], and it in the servers' `fence`",
            );
            reader.sources.note(reader.place_of("proof"), note);
        }
        (None, Fencing::Missing(server)) if !reader.misspelt("proof") => {
            let message = format!("nobody is fenced, since {server} has no `fence`");
            let help = "with both, `proof` is `fence` by itself; until then witnesses are asked";
            reader.sources.warning(reader.place_of("proof"), message, help);
        }
        (
            Some(other @ ("witnesses" | "operator" | "nothing")),
            Fencing::Both(_) | Fencing::Missing(_),
        ) => {
            let message = format!("nobody is fenced, since `proof` is `{other}`");
            let help = "leave `proof` out to use the fence agents of both sides";
            reader.sources.warning(reader.place_of("proof"), message, help);
        }
        _ => {}
    }
}

fn site_steps(reader: &Reader<'_>, servers: &[String]) -> Vec<SiteStep> {
    let mut steps: Vec<SiteStep> = Vec::new();
    for inner in reader.tables("site-steps") {
        let name = inner.name("name", |text| ClusterName::new(text).map(|_| text.to_owned()));
        let point = inner.choice("point").map(|at| at.value);
        let server = inner.name("server", ServerName::new);
        if let Some(server) = &server
            && !servers.iter().any(|known| known == server.value.as_str())
        {
            let message = format!("there is no server {:?} in this cluster", server.value);
            let known = servers.iter().map(String::as_str);
            inner.unknown(server.place, message, server.value.as_str(), known, None);
        }
        let command = inner.text("command");
        let check = inner.text("check").map(|at| at.value);
        let rehearse = inner.text("rehearse").map(|at| at.value);
        let (repeatable, optional) = (inner.flag("repeatable"), inner.flag("optional"));
        let (timeout_ms, attempts) = (inner.ms("timeout"), inner.small("attempts"));
        inner.finish();
        let (Some(name), Some(command)) = (name, command) else { continue };
        if steps.iter().any(|old| old.name == name.value) {
            inner.sources.error(name.place, format!("site step {} is there twice", name.value));
        }
        steps.push(SiteStep {
            name: name.value,
            point: match point.as_deref() {
                Some("before-stop") => Point::BeforeStop,
                Some("after-start") => Point::AfterStart,
                _ => Point::BeforeStart,
            },
            server: server.map(|at| at.value),
            command: command.value,
            check,
            rehearse,
            repeatable: repeatable.unwrap_or(false),
            timeout_ms,
            attempts,
            optional: optional.unwrap_or(false),
        });
    }
    steps
}

pub(super) fn tls(reader: &Reader<'_>, otherwise: &Tls) -> Tls {
    let (choice, ca) = (reader.choice("tls"), reader.file("ca"));
    let required =
        choice.map_or(matches!(otherwise, Tls::Require { .. }), |at| at.value == "require");
    if !required {
        if ca.is_some() {
            reader.sources.error(reader.place_of("ca"), "`ca` needs `tls = \"require\"`");
        }
        return Tls::Off;
    }
    match otherwise {
        Tls::Require { ca: outer } => Tls::Require { ca: ca.or_else(|| outer.clone()) },
        Tls::Off => Tls::Require { ca },
    }
}

fn repository(reader: &Reader<'_>, common: &Common<'_>) -> RepositoryConfig {
    let text = |key| reader.text(key).map(|at| at.value);
    let repository = RepositoryConfig {
        database: Database {
            port: reader.port("port").unwrap_or(1),
            name: text("database").unwrap_or_default(),
            user: text("user").unwrap_or_default(),
            password: common.secret(reader, "password"),
            tls: tls(reader, &Tls::Off),
        },
        subscription: text("subscription").unwrap_or_default(),
        publication: text("publication").unwrap_or_default(),
        replication_user: text("replication-user"),
        replication_password: common.secret(reader, "replication-password"),
        replication_options: text("replication-options"),
    };
    if repository.replication_password.is_some() && repository.replication_user.is_none() {
        let place: Place = reader.place_of("replication-password");
        reader.sources.error(place, "`replication-password` needs `replication-user`");
    }
    reader.finish();
    repository
}
