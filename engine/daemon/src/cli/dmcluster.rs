//! `watchkeeper status --dmcluster`: one line for each service on each server, in the form that the
//! vendor's `dmcluster status` has, for the scripts that sites have written around that.
//!
//! Invariants: servers stand in the order of the configuration, services in the order of
//! [`Service::ALL`], each after all it depends on. A line says `is RUNNING` only of what is known to
//! run; no other line has these two words one after the other, however they are written.

use std::fmt::Write as _;

use serde::Serialize;
use watchkeeper_core::model::{Service, Status};

use super::exit::Exit;
use super::status::left_stopped;
use crate::api::{ClusterReport, ServiceReport};
use crate::terminal;

/// The longest reason in a line, in characters.
const LONGEST: usize = 120;

/// A service on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Line {
    /// The service as the vendor names it.
    name: &'static str,
    /// The server's address in the configuration.
    host: String,
    /// The server's name in the configuration.
    server: String,
    /// The service's name in the configuration.
    service: &'static str,
    /// Whether it is known to run.
    running: bool,
    /// Whether it is meant to run there now; none: it may or may not.
    expected: Option<bool>,
    /// Why it is not known whether it runs.
    unknown: Option<String>,
}

impl Line {
    /// Whether it is as it is meant to be.
    fn fits(&self) -> bool {
        match self.expected {
            Some(true) => self.running,
            // What is unknown where nothing is meant to run is not held against it.
            Some(false) => !self.running,
            None => true,
        }
    }
}

/// Every service of the cluster.
pub(super) fn lines(cluster: &ClusterReport) -> Vec<Line> {
    let mut lines = Vec::new();
    for server in &cluster.servers {
        let host = if server.address.is_empty() { server.name.as_str() } else { &server.address };
        for service in cluster.services.iter().filter(|it| it.server == server.name) {
            let unknown = unknown(cluster, service);
            let left = left_stopped(cluster, server, service.service);
            lines.push(Line {
                name: name(service.service),
                host: host.to_owned(),
                server: server.name.to_string(),
                service: service.service.as_str(),
                running: service.status == Status::Up && unknown.is_none(),
                expected: (!left).then_some(service.expected),
                unknown,
            });
        }
    }
    lines
}

/// Why it is not known whether the service runs.
fn unknown(cluster: &ClusterReport, service: &ServiceReport) -> Option<String> {
    // What was seen last is as old as the trouble.
    if let Some(trouble) = &cluster.trouble {
        return Some(plain(trouble));
    }
    (service.status == Status::Unknown).then(|| plain(&service.detail))
}

/// A reason on one line in which nothing reads as a status: `runs` for `is running`.
fn plain(reason: &str) -> String {
    const STATUS: &str = "is running";
    let words: Vec<&str> = reason.split_whitespace().collect();
    let mut text: String = words.join(" ").chars().filter(|c| !terminal::acts(*c)).collect();
    while let Some(at) = text.to_ascii_lowercase().find(STATUS) {
        text.replace_range(at..at + STATUS.len(), "runs");
    }
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// The lines as `dmcluster status` has them.
pub(super) fn text(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let Line { name, host, .. } = line;
        let _ = match (line.running, &line.unknown) {
            (true, _) => writeln!(text, "{name} is RUNNING on {host}"),
            (false, None) => writeln!(text, "{name} is NOT RUNNING on {host}"),
            (false, Some(why)) => {
                writeln!(text, "{name} is NOT RUNNING on {host} (unknown: {why})")
            }
        };
    }
    text
}

/// Yes if everything that is meant to run is known to run, and nothing else is. Nothing at all is
/// known before the first look: that is no yes.
pub(super) fn exit(lines: &[Line]) -> Exit {
    if !lines.is_empty() && lines.iter().all(Line::fits) { Exit::Ok } else { Exit::Failed }
}

/// The names that the vendor's documentation uses.
const fn name(service: Service) -> &'static str {
    match service {
        Service::Repository => "Data Mover repository",
        Service::Activemq => "ActiveMQ",
        Service::Dsa => "DSA",
        Service::Daemon => "Data Mover daemon",
        Service::Agent => "Data Mover agent",
        Service::Rest => "Data Mover REST",
        Service::Sync => "Data Mover sync service",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_never_reads_as_a_status() {
        for (reason, wanted) in [
            ("the unit is  RUNNING\nnow", "the unit runs now"),
            ("it Is\trunning.", "it runs."),
            ("running", "running"),
            ("is running", "runs"),
            ("\u{1b}[31mred", "[31mred"),
        ] {
            let said = plain(reason);
            assert_eq!(said, wanted);
            assert!(!said.to_lowercase().contains("is running"), "{said}");
        }
        assert_eq!(plain(&"x".repeat(500)).len(), LONGEST + 3);
    }
}
