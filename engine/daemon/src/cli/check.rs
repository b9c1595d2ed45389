//! `watchkeeper check`: every mistake in the configuration, before the daemon meets it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value, json};
use watchkeeper_core::event::GuestKind;
use watchkeeper_core::facts::{Observation, ReasonCode};
use watchkeeper_core::model::Status;
use watchkeeper_wasm::Host;

use super::exit::Exit;
use super::protection::Protection;
use super::{print, print_json};
use crate::collect::run_once;
use crate::config::duty::Mode as Way;
use crate::config::problem::report;
use crate::config::{Config, Level, Mode, Problem, load_as};
use crate::deliver::Receivers;
use crate::duty::{etcd, peer};
use crate::errors::chain;
use crate::wiring::{self, Before, Shelf};

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// Run every probe once as well: connections, host keys, credentials, commands; and ask etcd
    #[arg(long)]
    connect: bool,
}

/// Everything that was found.
#[derive(Default)]
struct Found {
    problems: Vec<Problem>,
    protections: Vec<Protection>,
    guests: Vec<String>,
    duty: Vec<String>,
    probes: Vec<Observation>,
}

impl Found {
    fn exit(&self) -> Exit {
        let wrong = self.problems.iter().any(|problem| problem.level == Level::Error)
            || !self.guests.is_empty()
            || !self.duty.is_empty()
            || self.probes.iter().any(is_blind);
        if wrong { Exit::Failed } else { Exit::Ok }
    }
}

/// Whether a probe could not find out what it is for. Not so if what it asks does not run, as Data
/// Mover's REST on the standby, by which the daemon there is looked at.
fn is_blind(probe: &Observation) -> bool {
    probe.status == Status::Unknown && probe.reason.code != ReasonCode::Refused
}

/// Looks at the file, at the guests that it names, and if asked to at the servers.
pub(super) async fn run(arguments: &Check, path: &Path, as_json: bool) -> Exit {
    crate::tls::install_provider();
    let mut found = Found::default();
    match load_as(path, Mode::Check) {
        Ok(config) => {
            found.problems = config.warnings().to_vec();
            found.protections = config.clusters.iter().map(Protection::of).collect();
            found.guests = guests(&config);
            found.duty = duty(&config, arguments.connect).await;
            if arguments.connect {
                found.probes = probes(&config).await;
            }
        }
        Err(problems) => found.problems = problems.list().to_vec(),
    }
    if as_json {
        print_json(&to_json(&found));
    } else {
        print(&text(&found, arguments.connect));
    }
    found.exit()
}

/// Loads every policy and plugin, fits the settings to it, and asks policies once.
fn guests(config: &Config) -> Vec<String> {
    let host = match Host::new(wiring::host_config(&config.guests, None)) {
        Ok(host) => Arc::new(host),
        Err(error) => return vec![chain(&error)],
    };
    let mut shelf = Shelf::new(host, None);
    let mut problems = Vec::new();
    for cluster in &config.clusters {
        for policy in &cluster.policies {
            match wiring::seat(&mut shelf, policy, Before::default()) {
                Ok((seat, _)) => {
                    let trouble = seat.trouble(cluster, &policy.settings);
                    problems
                        .extend(trouble.map(|it| format!("{}: {}: {it}", policy.at, policy.name)));
                }
                Err(error) => problems.push(chain(&error)),
            }
        }
    }
    let mut rejected: BTreeMap<(GuestKind, String), String> = BTreeMap::new();
    wiring::receivers(&mut shelf, config, &Receivers::default(), &mut rejected);
    problems.extend(rejected.into_values());
    problems.dedup();
    problems
}

/// Reads the keys and certificates with which the duty is shared; and if asked to, asks etcd.
async fn duty(config: &Config, connect: bool) -> Vec<String> {
    let problem = match &config.duty.mode {
        Way::Alone => None,
        Way::Peer(config) => peer::check(config).err().map(|it| chain(&it)),
        Way::Etcd(config) => etcd::check(config, connect).await.err(),
    };
    problem.into_iter().collect()
}

/// Runs every probe once, all at the same time.
async fn probes(config: &Config) -> Vec<Observation> {
    let mut specs = Vec::new();
    for cluster in &config.clusters {
        if let Ok(equipped) = wiring::equip(cluster, None) {
            specs.extend(equipped.probes);
        }
    }
    futures_util::future::join_all(specs.iter().map(run_once)).await
}

fn text(found: &Found, connected: bool) -> String {
    let mut out = format!("{}\n", report(&found.problems));
    for problem in found.guests.iter().chain(&found.duty) {
        let _ = writeln!(out, "error: {problem}");
    }
    for protection in &found.protections {
        let _ = writeln!(out, "{}: {protection}", protection.cluster);
    }
    for it in &found.probes {
        let probe = it.probe.to_string();
        let _ =
            writeln!(out, "{probe:<30} {:<8} {} ({} ms)", it.status, it.reason.detail, it.took_ms);
    }
    if connected {
        let count = |status| found.probes.iter().filter(|it| it.status == status).count();
        let _ = writeln!(
            out,
            "{} probes: {} up, {} down, {} unknown",
            found.probes.len(),
            count(Status::Up),
            count(Status::Down),
            count(Status::Unknown)
        );
    }
    out
}

fn to_json(found: &Found) -> Value {
    let problems: Vec<Value> = found.problems.iter().map(problem_json).collect();
    let protections: Vec<Value> = found.protections.iter().map(Protection::to_json).collect();
    json!({
        "problems": problems,
        "protection": protections,
        "guests": found.guests,
        "duty": found.duty,
        "probes": found.probes,
    })
}

/// A mistake in a file.
pub(super) fn problem_json(problem: &Problem) -> Value {
    json!({
        "level": problem.level.to_string(),
        "file": problem.at.file.to_string_lossy(),
        "line": (problem.at.line > 0).then_some(problem.at.line),
        "column": (problem.at.line > 0).then_some(problem.at.column),
        "message": problem.message,
        "help": problem.help,
    })
}
