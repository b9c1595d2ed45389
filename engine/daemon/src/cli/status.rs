//! `watchkeeper status`.

use std::fmt::Write as _;

use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::snapshot::Place;

use super::duty;
use crate::api::{AlertReport, ClusterReport, StatusReport};

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
    if let Some((by, reason, until)) = &cluster.maintenance {
        let until = until.map_or_else(|| "switched off".to_owned(), |until| until.to_string());
        let _ = writeln!(out, "  maintenance mode until {until}, by {by}: {reason}");
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
    servers(out, cluster);
    for policy in &cluster.policies {
        let revision =
            policy.revision.as_ref().map_or_else(|| "not loaded".to_owned(), ToString::to_string);
        let grants = policy.grants.join(", ");
        let _ = writeln!(out, "  policy {} {revision}, may: {grants}", policy.name);
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
    alerts(out, &cluster.alerts);
    let _ = writeln!(
        out,
        "  {} evaluations, the last took {:.1} ms",
        cluster.evaluations,
        std::time::Duration::from_micros(cluster.last_evaluation_us).as_secs_f64() * 1000.0
    );
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
        for service in cluster.services.iter().filter(|it| it.server == server.name) {
            // The failover stopped it with everything else, and the policies leave it so.
            let left = service.service == Service::Agent
                && server.place == Place::Standby
                && cluster.active == Side::Secondary;
            let (word, tell) = match (service.expected && !left, service.status) {
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
