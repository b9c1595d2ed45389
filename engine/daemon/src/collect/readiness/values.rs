//! What was found, as values with the names that the core knows.

use watchkeeper_core::facts::{ReasonCode, Value};
use watchkeeper_core::model::Service;

use super::{Can, Control, Found, Repository, text};
use crate::collect::finding::Finding;

/// The values in the making, with what is wrong and what cannot be told.
struct Making {
    values: Vec<(String, Value)>,
    wrong: Vec<String>,
    unknown: Vec<String>,
}

impl Making {
    fn can(&mut self, name: &str, about: Service, can: &Can) {
        let name = format!("{name}-{about}");
        match can {
            Can::Yes => self.values.push((name, Value::Flag(true))),
            Can::No(why) => {
                self.wrong.push(format!("{about}: {why}"));
                self.values.push((format!("{name}-why"), text(why)));
                self.values.push((name, Value::Flag(false)));
            }
            Can::Unknown(why) => self.unknown.push(format!("{about}: {why}")),
        }
    }

    fn measured<T>(&mut self, found: Result<T, String>) -> Option<T> {
        found.map_err(|why| self.unknown.push(why)).ok()
    }
}

/// Up: all was looked at, and can be done. Down: something cannot be done. Unknown: something cannot be
/// told.
pub(super) fn finding(found: &Found, repository: Option<&Repository>) -> Finding {
    let mut making = Making { values: Vec::new(), wrong: Vec::new(), unknown: Vec::new() };
    for control in &found.services {
        service(&mut making, control);
    }
    if let Some(repository) = repository {
        match &repository.writable {
            Can::Yes => making.values.push(("repository-writable".to_owned(), Value::Flag(true))),
            Can::No(why) => {
                making.wrong.push(format!("repository {why}"));
                making.values.push(("repository-writable-why".to_owned(), text(why)));
                making.values.push(("repository-writable".to_owned(), Value::Flag(false)));
            }
            // Whether it serves is for its own probes to say, and to be told of.
            Can::Unknown(_) => {}
        }
        let version = repository.version.as_deref();
        making.values.extend(version.map(|it| ("version-repository".to_owned(), text(it))));
    }
    if let Some((bytes, path)) = making.measured(found.disk.clone()) {
        making.values.push(("disk-left-bytes".to_owned(), Value::Integer(bytes)));
        making.values.push(("disk-left-path".to_owned(), text(&path)));
    }
    if let Some(bytes) = making.measured(found.memory.clone()) {
        making.values.push(("memory-left-bytes".to_owned(), Value::Integer(bytes)));
    }
    if let Some(ms) = making.measured(found.clock.clone()) {
        making.values.push(("clock-offset-ms".to_owned(), Value::Integer(ms)));
    }
    if let Some((ends, path)) = &found.certificate {
        making.values.push(("certificate-ends-s".to_owned(), Value::Integer(*ends)));
        making.values.push(("certificate-ends-path".to_owned(), text(path)));
    }
    if !found.unread.is_empty() {
        let unread = found.unread.join("; ");
        making.values.push(("certificates-unknown".to_owned(), text(&unread)));
        making.unknown.push(unread);
    }
    let Making { mut values, wrong, unknown } = making;
    if !unknown.is_empty() {
        values.push(("readiness-unknown".to_owned(), text(&unknown.join("; "))));
    }
    let finding = if !wrong.is_empty() {
        Finding::down(ReasonCode::Unhealthy, &wrong.join("; "))
    } else if !unknown.is_empty() {
        Finding::unknown(ReasonCode::Monitor, &unknown.join("; "))
    } else {
        Finding::up(ReasonCode::Serving, "what a change of side needs there is there")
    };
    values.into_iter().fold(finding, |finding, (name, value)| finding.with(&name, value))
}

fn service(making: &mut Making, control: &Control) {
    let Control { service, start, stop, status, ports, version, .. } = control;
    let start = Can::all([start.clone(), status.clone()]);
    making.can("startable", *service, &start);
    // The same is said once.
    let known = making.wrong.len();
    making.can("stoppable", *service, stop);
    if *stop == start {
        making.wrong.truncate(known);
    }
    if let Some(ports) = ports {
        making.can("port-free", *service, ports);
    }
    if let Some(version) = version {
        making.values.push((format!("version-{service}"), text(version)));
    }
}
