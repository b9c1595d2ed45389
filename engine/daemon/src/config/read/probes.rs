//! The probes of a cluster: the ones every service and server has, and the configured ones.

use std::sync::Arc;
use std::time::Duration;

use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::model::{ClusterName, Service};

use super::super::cluster::{Database, RepositoryConfig, Tls};
use super::super::keys;
use super::super::probe::{Http, Login, ProbeConfig, ProbeKindConfig, RestSubject, Run, Target};
use super::super::reader::{At, Reader};
use super::super::source::{Note, Place, Sources};
use super::super::units::duration_text;
use super::Common;
use super::clusters::{Made, tls};

/// When probes run.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct Times {
    interval: Duration,
    confirm: Duration,
    timeout: Duration,
    /// Where the longer of interval and timeout is given.
    place: Place,
}

/// How old a fact may be that is acted on, and where the file says so, if it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fresh {
    pub(super) limit: Duration,
    pub(super) given: Option<Place>,
}

impl Fresh {
    /// From one look at the server to the end of the next it takes up to the interval and the
    /// timeout together. With a limit below that the guard would hold again and again.
    fn allows(self, times: &Times) -> bool {
        times.interval.saturating_add(times.timeout) <= self.limit
    }

    fn complain(self, sources: &Sources, place: Place, times: &Times) {
        let message = format!(
            "`interval` and `timeout` ({} and {}) together are longer than the guards' `fresh` ({})",
            duration_text(times.interval),
            duration_text(times.timeout),
            duration_text(self.limit)
        );
        let note = Note::error(message)
            .help("facts would be too old to act on before the next ones are there");
        sources.note(place, note);
    }
}

pub(in crate::config) fn times(reader: &Reader<'_>, outer: Option<Times>) -> Times {
    let duration =
        |key, outer: Option<Duration>| reader.duration(key).or(outer).unwrap_or_default();
    let interval = duration("interval", outer.map(|outer| outer.interval));
    let timeout = duration("timeout", outer.map(|outer| outer.timeout));
    let longer = match (reader.has("interval"), reader.has("timeout")) {
        (true, true) if timeout > interval => "timeout",
        (false, true) => "timeout",
        _ => "interval",
    };
    let times = Times {
        interval,
        confirm: duration("confirm-interval", outer.map(|outer| outer.confirm)),
        timeout,
        place: reader.place_of(longer),
    };
    if times.confirm > times.interval && !times.interval.is_zero() {
        let key = if reader.has("interval") { "interval" } else { "confirm-interval" };
        let note = Note::error("`confirm-interval` is longer than `interval`")
            .help("after a first failure a probe runs more often, not less");
        reader.sources.note(reader.place_of(key), note);
    }
    times
}

pub(super) fn all(
    sources: &Sources,
    services: &[(Service, Reader<'_>)],
    servers: &[Made],
    repository: &RepositoryConfig,
    common: &Common<'_>,
    times_outer: &Times,
    fresh: Option<Fresh>,
) -> Vec<ProbeConfig> {
    let mut shared_times = false;
    let mut probes = Vec::new();
    let default = |id, kind| ProbeConfig {
        id,
        kind,
        interval: times_outer.interval,
        confirm_interval: times_outer.confirm,
        timeout: times_outer.timeout,
    };
    for made in servers {
        if made.ssh_probe {
            let id =
                ProbeId { server: made.server.name.clone(), service: None, name: "ssh".into() };
            shared_times = true;
            probes.push(default(id, ProbeKindConfig::Login));
        }
        for service in &made.server.services {
            let reader = services.iter().find(|(one, _)| one == service).map(|(_, reader)| reader);
            let wanted = reader.and_then(|reader| reader.flag("status-probe")).unwrap_or(true);
            let commands = made.config.commands.get(service);
            if let (true, Some(commands)) = (wanted, commands) {
                let id = ProbeId {
                    server: made.server.name.clone(),
                    service: Some(*service),
                    name: "status".into(),
                };
                let command = commands.status.clone();
                shared_times = true;
                probes.push(default(id, ProbeKindConfig::Status { command }));
            }
        }
    }
    for (service, reader) in services {
        let mut names: Vec<String> = vec!["status".to_owned(), "ssh".to_owned()];
        for inner in reader.tables("probes") {
            let name = inner.name("name", |text| ClusterName::new(text).map(|_| text.to_owned()));
            if let Some(name) = &name {
                if names.contains(&name.value) {
                    let message = format!("{service} already has a probe named {}", name.value);
                    inner.sources.error(name.place, message);
                }
                names.push(name.value.clone());
            }
            let name: Arc<str> = name.map_or_else(|| "?".into(), |name| name.value.into());
            shared_times |= !inner.has("interval") && !inner.has("timeout");
            probes.extend(configured(
                *service,
                &name,
                &inner,
                servers,
                repository,
                common,
                times_outer,
                fresh,
            ));
        }
        // A service that no server has was not read above.
        for key in ["start", "stop", "status", "version", "unit", "init-script"] {
            let _ = reader.text(key).is_some();
        }
        let _ = reader.flag("status-probe");
        reader.finish();
    }
    if let Some(fresh) = fresh
        && shared_times
        && !fresh.allows(times_outer)
    {
        fresh.complain(sources, fresh.given.unwrap_or(times_outer.place), times_outer);
    }
    probes
}

#[expect(clippy::too_many_arguments, reason = "what a probe is made from; used once")]
fn configured(
    service: Service,
    name: &Arc<str>,
    reader: &Reader<'_>,
    servers: &[Made],
    repository: &RepositoryConfig,
    common: &Common<'_>,
    outer: &Times,
    fresh: Option<Fresh>,
) -> Vec<ProbeConfig> {
    let kind = reader.choice("kind");
    let times = times(reader, Some(*outer));
    if let Some(fresh) = fresh {
        // Times that are all the same as everywhere are complained about once, not here.
        if (reader.has("interval") || reader.has("timeout")) && !fresh.allows(&times) {
            fresh.complain(reader.sources, times.place, &times);
        }
    }
    let having: Vec<&Made> =
        servers.iter().filter(|made| made.server.services.contains(&service)).collect();
    let chosen: Vec<&Made> = match reader.texts("servers") {
        None => having,
        Some(names) => names
            .iter()
            .filter_map(|name| {
                let found = having.iter().find(|made| made.server.name.as_str() == name.value);
                if found.is_none() {
                    let message = format!("no server {:?} with the service {service}", name.value);
                    let known = having.iter().map(|made| made.server.name.as_str());
                    reader.unknown(name.place, message, &name.value, known, None);
                }
                found.copied()
            })
            .collect(),
    };
    let kinds = match &kind {
        Some(kind) => kinds_for(kind, service, reader, &chosen, repository, common),
        None => Vec::new(),
    };
    match &kind {
        Some(kind) => foreign_keys(&kind.value, reader),
        // Which keys it may have is not known.
        None => reader.ignore_known(),
    }
    reader.finish();
    chosen
        .iter()
        .zip(kinds)
        .map(|(made, kind)| ProbeConfig {
            id: ProbeId {
                server: made.server.name.clone(),
                service: Some(service),
                name: name.clone(),
            },
            kind,
            interval: times.interval,
            confirm_interval: times.confirm,
            timeout: times.timeout,
        })
        .collect()
}

/// Complains about keys that only probes of other kinds have, and takes them.
fn foreign_keys(kind: &str, reader: &Reader<'_>) {
    let Some(section) = keys::section("clusters.*.services.*.probes[]") else { return };
    for key in section.keys {
        let Some(kinds) = keys::kinds_of(key.name) else { continue };
        if reader.has(key.name) && !kinds.contains(&kind) {
            let place = reader.place_of(key.name);
            let note = Note::error(format!("a probe of kind {kind:?} has no `{}`", key.name))
                .help(&format!("kinds that have it: {}", kinds.join(", ")));
            reader.sources.note(place, Note { hide_from: Some(place.start), ..note });
            reader.ignore(key.name);
        }
    }
}

/// The kind for each of the servers.
fn kinds_for(
    kind: &At<String>,
    service: Service,
    reader: &Reader<'_>,
    servers: &[&Made],
    repository: &RepositoryConfig,
    common: &Common<'_>,
) -> Vec<ProbeKindConfig> {
    let hosts = servers.iter().map(|made| made.config.address.clone());
    let need = |place_key: &str, what: &str| {
        let message = format!("a probe of kind {:?} needs `{what}`", kind.value);
        reader.sources.error(reader.place_of(place_key), message);
    };
    match kind.value.as_str() {
        "ssh" => {
            let command = reader.text("command").map(|at| at.value);
            if command.is_none() && !reader.has("command") {
                need("kind", "command");
            }
            let command = command.unwrap_or_default();
            hosts.map(|_| ProbeKindConfig::Status { command: command.clone() }).collect()
        }
        "tcp" => {
            let port = reader.port("port");
            if !reader.has("port") {
                need("kind", "port");
            }
            let port = port.unwrap_or(1);
            hosts.map(|host| ProbeKindConfig::Tcp { target: Target { host, port } }).collect()
        }
        "openwire" => {
            let port = reader.port("port").unwrap_or(61_616);
            hosts.map(|host| ProbeKindConfig::Openwire { target: Target { host, port } }).collect()
        }
        "postgres" => {
            let database = database(reader, repository, common);
            let query = reader.text("query").map(|at| at.value);
            let writable = reader.flag("writable").unwrap_or(false);
            hosts
                .map(|host| ProbeKindConfig::Postgres {
                    host,
                    database: database.clone(),
                    query: query.clone(),
                    writable,
                })
                .collect()
        }
        "replication" => {
            let database = database(reader, repository, common);
            let subscription = &repository.subscription;
            hosts
                .map(|host| ProbeKindConfig::Replication {
                    host,
                    database: database.clone(),
                    subscription: subscription.clone(),
                })
                .collect()
        }
        "command" => {
            let run = command(reader);
            hosts.map(|_| ProbeKindConfig::Command(run.clone())).collect()
        }
        other => {
            if other == "rest" && !matches!(service, Service::Rest | Service::Daemon) {
                let note =
                    Note::error("a probe of kind \"rest\" says something of rest or daemon only")
                        .help("put it under the services rest or daemon");
                reader.sources.note(kind.place, note);
            }
            let subject =
                if service == Service::Daemon { RestSubject::Daemon } else { RestSubject::Rest };
            let http = http(other, reader, common);
            hosts
                .map(|host| {
                    let target = Target { host, port: http.target.port };
                    let http = Http { target, ..http.clone() };
                    match other {
                        "rest" => ProbeKindConfig::Rest { http, subject },
                        "jolokia" => ProbeKindConfig::Jolokia(http),
                        _ => ProbeKindConfig::Http(http),
                    }
                })
                .collect()
        }
    }
}

fn http(kind: &str, reader: &Reader<'_>, common: &Common<'_>) -> Http {
    let require = Tls::Require { ca: None };
    let tls = tls(reader, if kind == "rest" { &require } else { &Tls::Off });
    let encrypted = matches!(tls, Tls::Require { .. });
    let usual = match kind {
        "rest" if encrypted => 1_443,
        "rest" => 1_080,
        "jolokia" => 8_161,
        _ if encrypted => 443,
        _ => 80,
    };
    let path = reader.text("path");
    if let Some(path) = &path
        && !path.value.starts_with('/')
    {
        reader.sources.error(path.place, "`path` begins with `/`");
    }
    let usual_path = match kind {
        "rest" => "/datamover/agents",
        "jolokia" => "/api/jolokia",
        _ => "/",
    };
    let user = reader.text("user");
    let password = common.secret(reader, "password");
    if reader.has("user") != reader.has("password") {
        let key = if reader.has("user") { "user" } else { "password" };
        reader.sources.error(reader.place_of(key), "`user` and `password` belong together");
    }
    let (expect_status, expect_text) = if kind == "http" {
        (reader.integers("expect-status"), reader.text("expect-text").map(|at| at.value))
    } else {
        (Vec::new(), None)
    };
    Http {
        target: Target { host: String::new(), port: reader.port("port").unwrap_or(usual) },
        path: path.map_or_else(|| usual_path.to_owned(), |at| at.value),
        tls,
        login: user.zip(password).map(|(user, password)| Login { user: user.value, password }),
        expect_status,
        expect_text,
    }
}

fn database(reader: &Reader<'_>, repository: &RepositoryConfig, common: &Common<'_>) -> Database {
    let outer = &repository.database;
    Database {
        port: reader.port("port").unwrap_or(outer.port),
        name: reader.text("database").map_or_else(|| outer.name.clone(), |at| at.value),
        user: reader.text("user").map_or_else(|| outer.user.clone(), |at| at.value),
        password: common.secret(reader, "password").or_else(|| outer.password.clone()),
        tls: tls(reader, &outer.tls),
    }
}

fn command(reader: &Reader<'_>) -> Run {
    let on_server = reader.choice("on").is_some_and(|at| at.value == "server");
    let command = reader.text("command").map(|at| at.value);
    let argv = reader.texts("argv");
    let wanted = if on_server { "command" } else { "argv" };
    let other = if on_server { "argv" } else { "command" };
    if !reader.has(wanted) || reader.has(other) {
        let place = if on_server { "server" } else { "monitor" };
        let message =
            format!("a command on the {place} is given by `{wanted}`, and not by `{other}`");
        reader.sources.error(reader.place_of("kind"), message);
    }
    if on_server {
        Run::Server(command.unwrap_or_default())
    } else {
        Run::Monitor(argv.unwrap_or_default().into_iter().map(|at| at.value).collect())
    }
}
