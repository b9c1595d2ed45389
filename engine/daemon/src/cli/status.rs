//! `watchkeeper status`.

use std::fmt::Write as _;

use clap::Args;
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::policies::{Mode, RolledBack};
use watchkeeper_core::readiness::{Answer, Readiness, Verdict};
use watchkeeper_core::snapshot::Place;

use super::client::{Client, ClientError};
use super::exit::Exit;
use super::{dmcluster, duty, operate, print, print_error, print_json, stopped};
use crate::api::{AlertReport, ClusterReport, MaintenanceReport, ServerReport, StatusReport};

/// What `--help` says behind the options.
pub(super) const HELP: &str = "\
With --dmcluster there is a line for each service on each server, servers in the order of the
configuration, each service after those that it needs:

  Data Mover daemon is RUNNING on dm1.example.com
  Data Mover daemon is NOT RUNNING on dm2.example.com
  Data Mover agent is NOT RUNNING on dm3.example.com (unknown: the login timed out)

The exit code is then 0 if everything that is meant to run is known to run, and nothing that is
meant to be stopped runs; 1 otherwise.

Examples:
  watchkeeper status --json
  watchkeeper status --dmcluster --cluster prod";

/// What to show.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Show services as `dmcluster status` of Data Mover's own monitor does
    #[arg(long)]
    dmcluster: bool,
    /// Only this cluster; with --dmcluster it may be left out if there is only one
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
}

/// Asks, and shows what was asked for.
pub(super) async fn ask(
    client: &Client,
    arguments: &Arguments,
    json: bool,
) -> Result<Exit, ClientError> {
    let mut report: StatusReport = client.get("/v1/status").await?;
    let named = arguments.cluster.as_deref();
    if arguments.dmcluster || named.is_some() {
        let name = operate::chosen(&report, named)?;
        report.clusters.retain(|cluster| cluster.name == name);
    }
    if arguments.dmcluster {
        return Ok(as_dmcluster(&report, json));
    }
    if json {
        print_json(&report);
    } else {
        print(&text(&report));
    }
    Ok(Exit::Ok)
}

fn as_dmcluster(report: &StatusReport, json: bool) -> Exit {
    let lines: Vec<_> = report.clusters.iter().flat_map(dmcluster::lines).collect();
    if json {
        print_json(&lines);
    } else {
        print(&dmcluster::text(&lines));
    }
    if lines.is_empty() {
        print_error("watchkeeper: nothing has been looked at yet: the daemon has just started\n");
    }
    dmcluster::exit(&lines)
}

/// How everything stands, for people.
pub(super) fn text(report: &StatusReport) -> String {
    let mut out = String::new();
    let (waiting, dead) = report.outbox;
    let _ = writeln!(
        out,
        "monitor {} {}, running since {}, term {}, journal at {}",
        report.monitor, report.version, report.started, report.term, report.journal
    );
    if waiting > 0 || dead > 0 {
        let _ = writeln!(out, "notifications: {waiting} to be delivered, {dead} given up");
    }
    alerts(&mut out, &report.alerts);
    for cluster in &report.clusters {
        one(&mut out, &report.monitor, cluster);
    }
    out
}

fn one(out: &mut String, monitor: &str, cluster: &ClusterReport) {
    let _ = writeln!(out, "\ncluster {}: {}", cluster.name, cluster.phase);
    let _ = writeln!(out, "  {}", duty::line(monitor, cluster));
    if let Some(it) = &cluster.maintenance {
        maintenance(out, "maintenance mode", it);
    }
    for (service, it) in &cluster.services_in_maintenance {
        maintenance(out, &format!("maintenance of {service}"), it);
    }
    if let Some(trouble) = &cluster.trouble {
        let _ = writeln!(out, "  NOTHING IS DONE: {trouble}");
    }
    if let Some(plan) = &cluster.plan {
        let _ = writeln!(
            out,
            "  plan {}: {}, step {} of {}: {} ({})",
            plan.number, plan.kind, plan.step, plan.steps, plan.act, plan.reason
        );
    }
    if let Some(it) = &cluster.stopped {
        for line in stopped::ways(it, &cluster.name).lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    servers(out, cluster);
    if let Some(readiness) = &cluster.readiness {
        standby(out, readiness);
    }
    for policy in &cluster.policies {
        let revision =
            policy.revision.as_ref().map_or_else(|| "not loaded".to_owned(), ToString::to_string);
        let grants = policy.grants.join(", ");
        let mode = match policy.mode {
            Mode::Enforce => "",
            Mode::Shadow => ", in the shadow",
        };
        let _ = writeln!(out, "  policy {} {revision}{mode}, may: {grants}", policy.name);
        if let Some(back) = &policy.rolled_back {
            let RolledBack { from, by, reason, .. } = back;
            let _ = writeln!(out, "    {from} was taken back by {by}: {reason}");
        }
        if let Some(problem) = &policy.problem {
            let _ = writeln!(out, "    PROBLEM: {problem}");
        }
    }
    if let Some(wants) = &cluster.wants {
        let _ = writeln!(out, "  wanted: {wants}");
        for hold in &cluster.held_by {
            let _ = writeln!(out, "    held by {hold}");
        }
    }
    if let Some(would) = &cluster.in_shadow {
        let _ = writeln!(out, "  in the shadow: {would}");
    }
    alerts(out, &cluster.alerts);
    let _ = writeln!(
        out,
        "  {} evaluations, the last took {:.1} ms",
        cluster.evaluations,
        std::time::Duration::from_micros(cluster.last_evaluation_us).as_secs_f64() * 1000.0
    );
}

/// Whether the standby could take over now: what speaks against it, and what is not known.
fn standby(out: &mut String, readiness: &Readiness) {
    let word = match readiness.verdict {
        Verdict::Ready => "ready to take over",
        Verdict::Impaired => "could take over, and not all is as it should be",
        Verdict::NotReady => "NOT READY TO TAKE OVER",
    };
    let _ = writeln!(out, "  standby {}: {word}", readiness.server);
    for check in &readiness.checks {
        let (word, reason) = match &check.answer {
            Answer::Ready => continue,
            Answer::NotReady { reason, holds: true } => ("HOLDS", reason),
            Answer::NotReady { reason, holds: false } => ("wrong", reason),
            Answer::Unknown { reason } => ("not known", reason),
        };
        let _ = writeln!(out, "    {word:<10} {:<13}{reason}", check.item);
    }
}

fn maintenance(out: &mut String, what: &str, it: &MaintenanceReport) {
    let until = it.until.map_or_else(|| "switched off".to_owned(), |until| until.to_string());
    let _ = writeln!(out, "  {what} until {until}, by {}: {}", it.by, it.reason);
}

fn servers(out: &mut String, cluster: &ClusterReport) {
    for server in &cluster.servers {
        let place = match server.place {
            Place::Active => "active",
            Place::Standby => "standby",
            Place::Additional => "agents only",
        };
        let _ = writeln!(
            out,
            "  {} ({}, {place}): {}{}",
            server.name,
            server.role,
            server.status,
            why(server.status, &server.detail)
        );
        for (witness, found) in &server.seen_from {
            let _ = writeln!(out, "    seen from {witness}: {found}");
        }
        for service in cluster.services.iter().filter(|it| it.server == server.name) {
            let left = left_stopped(cluster, server, service.service);
            let (word, tell) = match (service.expected && !left, service.status) {
                (_, Status::Up) if service.maintenance => ("in maintenance, up", false),
                (_, Status::Down) if service.maintenance => ("in maintenance, down", false),
                (_, Status::Unknown) if service.maintenance => ("in maintenance, unknown", true),
                (false, Status::Up) if left => ("up", false),
                (false, Status::Up) => ("RUNS, AND IS NOT MEANT TO", false),
                (false, Status::Down) => ("stopped, as it is meant to be", false),
                (_, Status::Up) => ("up", false),
                (_, Status::Down) => ("DOWN", true),
                (_, Status::Unknown) => ("unknown", true),
            };
            let detail = if tell { why(service.status, &service.detail) } else { String::new() };
            let _ = writeln!(out, "    {:<11}{word}{detail}", service.service.as_str());
        }
    }
}

/// Whether the failover stopped it with everything else, and the policies leave it so.
pub(super) fn left_stopped(
    cluster: &ClusterReport,
    server: &ServerReport,
    service: Service,
) -> bool {
    service == Service::Agent && server.place == Place::Standby && cluster.active == Side::Secondary
}

fn why(status: Status, detail: &str) -> String {
    if status == Status::Up { String::new() } else { format!(" ({detail})") }
}

fn alerts(out: &mut String, alerts: &[AlertReport]) {
    for alert in alerts {
        let code = if alert.code.is_empty() { String::new() } else { format!(" [{}]", alert.code) };
        let _ = writeln!(
            out,
            "  {} alert {}{code} since {}: {}",
            alert.severity, alert.name, alert.since, alert.summary
        );
    }
}
