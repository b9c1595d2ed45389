//! Jobs entered through REST all the time, and whether one that was acknowledged before a planned change of side is lost.
//!
//! They are entered from within the active host's own network, so that no cut keeps an answer away. What was acknowledged
//! by the active side has to be on the other one after a planned change, and stays owed as long as only planned changes
//! follow. A failover, and an operator's word on which side is active, may lose what was not replicated yet: from then on
//! only later jobs are owed.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::Side;
use watchkeeper_core::plan::PlanKind;

use super::fault::Host;
use super::past::{Past, Written};
use super::sight::{By, Seen};
use crate::{Lab, now};

/// From one job to the next.
const PAUSE: Duration = Duration::from_millis(250);

/// A job that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acknowledged {
    /// Its name.
    pub job: String,
    /// By which side's host.
    pub host: Host,
    /// When, in milliseconds since 1970.
    pub at: u64,
}

/// Enters jobs until it is asked.
pub struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<Mutex<Vec<Acknowledged>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Begins.
    pub fn of(lab: &Lab) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let client = Client::of(lab);
        let thread = std::thread::spawn(move || {
            let mut number = 0;
            let mut hosts = ["dm1", "dm2"];
            while !stopped.load(Ordering::Relaxed) {
                number += 1;
                let job = format!("chaos-{number}");
                if client.enter(hosts[0], &job) {
                    let done = Acknowledged { job, host: hosts[0], at: now() };
                    noted.lock().unwrap_or_else(PoisonError::into_inner).push(done);
                } else {
                    hosts.reverse();
                }
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, acknowledged, thread: Some(thread) }
    }

    /// Ends it; every job that was acknowledged.
    ///
    /// # Panics
    /// If whoever entered them did.
    pub fn end(mut self) -> Vec<Acknowledged> {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "whoever entered jobs panicked");
        }
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Who talks to REST from within a host's network, and is not one of its processes.
pub(super) struct Client {
    lab: String,
    ca: String,
    login: String,
}

impl Client {
    pub(super) fn of(lab: &Lab) -> Self {
        Self {
            lab: lab.name().to_owned(),
            ca: lab.file("ca.crt").display().to_string(),
            login: format!("dmapi:{}", lab.text("rest.password")),
        }
    }

    fn call(&self, host: Host, resource: &str, body: Option<&str>) -> Option<(u16, String)> {
        let network = format!("--net=/run/netns/wk-{}-{host}", self.lab);
        let resolve = format!("{host}:1443:127.0.0.1");
        let mut command = Command::new("nsenter");
        command.args([&network, "curl", "-s", "--max-time", "4", "--cacert", &self.ca]);
        command.args(["--resolve", &resolve, "-u", &self.login, "-w", "\n%{http_code}"]);
        command.args(["-H", "Accept: application/vnd.com.teradata.datamover-v1.0+json"]);
        if let Some(body) = body {
            command.args(["-H", "Content-Type: application/json", "-d", body]);
        }
        command.arg(format!("https://{host}:1443/datamover/{resource}"));
        let output = command.stdin(Stdio::null()).output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, code) = text.rsplit_once('\n')?;
        Some((code.parse().ok()?, body.to_owned()))
    }

    fn enter(&self, host: Host, job: &str) -> bool {
        let body = serde_json::json!({ "name": job }).to_string();
        self.call(host, "jobs", Some(&body)).is_some_and(|(code, _)| code == 201)
    }

    /// How many agents REST on a host lists.
    pub(super) fn agents(&self, host: Host) -> Result<usize, String> {
        match self.call(host, "agents", None) {
            Some((200, body)) => {
                let list = serde_json::from_str::<Vec<serde_json::Value>>(&body);
                list.map(|list| list.len()).map_err(|error| error.to_string())
            }
            Some((code, body)) => Err(format!("REST on {host} answers {code}: {body}")),
            None => Err(format!("REST on {host} does not answer")),
        }
    }
}

/// A change of which side is active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// By a plan of this kind; none: by an operator's word.
    pub kind: Option<PlanKind>,
    /// The side that is active from then on.
    pub to: Host,
    /// When the plan was begun, in milliseconds since 1970.
    pub begun: u64,
    /// When it was over.
    pub ended: u64,
}

fn host(side: Side) -> Host {
    match side {
        Side::Primary => "dm1",
        Side::Secondary => "dm2",
    }
}

/// The changes of side that were completed, in order.
pub fn changes(past: &Past) -> Vec<Change> {
    let mut changes = Vec::new();
    for Written { monitor, at, event, .. } in past.records() {
        match event {
            Event::PlanEnded { plan, ending: PlanEnding::Completed } => {
                let plan = past.plan(monitor, *plan);
                let Some((plan, begun)) = plan.filter(|(it, _)| it.kind.changes_side()) else {
                    continue;
                };
                let kind = Some(plan.kind.clone());
                changes.push(Change { kind, to: host(plan.to), begun, ended: *at });
            }
            Event::Declared { side, .. } => {
                changes.push(Change { kind: None, to: host(*side), begun: *at, ended: *at });
            }
            _ => {}
        }
    }
    changes
}

/// The jobs that have to be on the side that is active in the end, and how many of them went there by a planned change.
pub fn owed<'a>(
    acknowledged: &'a [Acknowledged],
    changes: &[Change],
    seen: &Seen,
) -> (BTreeSet<&'a str>, usize) {
    let (mut owed, mut carried) = (BTreeSet::new(), 0);
    let (mut active, mut from) = ("dm1", 0);
    for change in changes {
        let planned = matches!(change.kind, Some(PlanKind::Switchover | PlanKind::Switchback));
        let mine = acknowledged
            .iter()
            .filter(|it| it.host == active && (from..=change.ended).contains(&it.at))
            .filter(|it| !beside(it, change, seen));
        owed.extend(mine.map(|it| it.job.as_str()));
        if planned {
            carried = owed.len();
        } else {
            (owed, carried) = (BTreeSet::new(), 0);
        }
        (active, from) = (change.to, change.begun);
    }
    let rest = acknowledged.iter().filter(|it| it.host == active && it.at >= from);
    owed.extend(rest.map(|it| it.job.as_str()));
    (owed, carried)
}

/// Whether a daemon took it that somebody else has started since the change was begun: it works beside the plan.
fn beside(job: &Acknowledged, change: &Change, seen: &Seen) -> bool {
    seen.processes
        .iter()
        .filter(|it| it.host == job.host && it.service == "daemon" && it.start <= job.at)
        .max_by_key(|it| it.start)
        .is_some_and(|it| it.by == By::Others && it.start >= change.begun)
}

/// Says which jobs are lost.
pub fn judge(owed: &BTreeSet<&str>, there: &BTreeSet<String>, host: Host) -> Vec<String> {
    let lost: Vec<&str> = owed.iter().filter(|job| !there.contains(**job)).copied().collect();
    if lost.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "{} of {} acknowledged jobs are not on {host}: {}",
        lost.len(),
        owed.len(),
        lost.join(", ")
    )]
}

#[cfg(test)]
mod tests;
