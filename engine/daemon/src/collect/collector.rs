//! Keeps the probes running.
//!
//! Each probe has a task of its own and never overlaps itself; a probe that hangs delays no other.
//! A lost connection makes every probe of that server run at once, and so does the first connection
//! that a probe cannot make any more: whatever else has failed there is found without waiting for its
//! turn.
//!
//! Invariant: the latest observation of every probe arrives. Each task holds at most one that is
//! not yet taken; while the receiver does not keep up, the probe goes on running and a newer
//! observation takes the place of the one that waits, so neither is anything blocked nor is
//! anything delivered that is already outdated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::facts::{Observation, ProbeId, ReasonCode};
use watchkeeper_core::model::ServerName;

use super::schedule::Schedule;
use super::{AbortOnDrop, ProbeSpec, run_once};

/// The running probes. They end when it is dropped.
pub struct Collector {
    sink: mpsc::Sender<Observation>,
    probes: BTreeMap<ProbeId, Probe>,
    servers: BTreeMap<ServerName, Arc<Peers>>,
    /// One task for each kept connection, waiting for its loss.
    watchers: JoinSet<()>,
}

struct Probe {
    spec: Arc<ProbeSpec>,
    kick: Arc<Notify>,
    task: AbortOnDrop<()>,
}

/// What makes the probes of one server run at once.
#[derive(Default)]
struct Peers(Mutex<Vec<Arc<Notify>>>);

impl Peers {
    /// All but `own`.
    fn kick(&self, own: Option<&Arc<Notify>>) {
        let kicks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let others = kicks.iter().filter(|kick| own.is_none_or(|own| !Arc::ptr_eq(kick, own)));
        others.for_each(|kick| kick.notify_one());
    }
}

impl Collector {
    /// Starts all probes; what they see goes to `sink`. Of several with the same name the last
    /// counts.
    pub fn spawn(specs: Vec<ProbeSpec>, sink: mpsc::Sender<Observation>) -> Self {
        let mut collector = Self {
            sink,
            probes: BTreeMap::new(),
            servers: BTreeMap::new(),
            watchers: JoinSet::new(),
        };
        collector.replace(specs);
        collector
    }

    /// Takes over a new configuration. Probes whose definition is unchanged go on undisturbed.
    pub fn replace(&mut self, specs: Vec<ProbeSpec>) {
        let mut before = std::mem::take(&mut self.probes);
        for spec in specs {
            let kept = before.remove(&spec.id).filter(|probe| *probe.spec == spec);
            let probe = kept.unwrap_or_else(|| self.start(spec));
            self.probes.insert(probe.spec.id.clone(), probe);
        }
        self.acquaint();
        self.watch_connections();
    }

    /// The probe's definition.
    pub fn spec(&self, id: &ProbeId) -> Option<Arc<ProbeSpec>> {
        self.probes.get(id).map(|probe| probe.spec.clone())
    }

    /// All definitions, ordered by server, service and name.
    pub fn specs(&self) -> impl Iterator<Item = &Arc<ProbeSpec>> {
        self.probes.values().map(|probe| &probe.spec)
    }

    /// Makes the probes that `wanted` names run at once; how many those are. One that is running
    /// runs again afterwards, because it may have looked too early. A probe that is asked again
    /// and again runs no more often than at its confirm interval.
    pub fn probe_now(&self, wanted: impl Fn(&ProbeId) -> bool) -> usize {
        let matching = self.probes.iter().filter(|(id, _)| wanted(id));
        matching.map(|(_, probe)| probe.kick.notify_one()).count()
    }

    /// Ends all probes and waits until they have.
    pub async fn shutdown(mut self) {
        self.watchers.shutdown().await;
        for probe in self.probes.values_mut() {
            probe.task.0.abort();
        }
        for probe in self.probes.values_mut() {
            // An error says that it was aborted, as it should be.
            let _ = (&mut probe.task.0).await;
        }
    }

    fn start(&mut self, spec: ProbeSpec) -> Probe {
        let (spec, kick) = (Arc::new(spec), Arc::new(Notify::new()));
        let peers = Arc::clone(self.servers.entry(spec.id.server.clone()).or_default());
        let task = keep_probing(spec.clone(), kick.clone(), peers, self.sink.clone());
        Probe { spec, kick, task: AbortOnDrop(tokio::spawn(task)) }
    }

    /// Lets the probes of each server know each other.
    fn acquaint(&mut self) {
        self.servers.retain(|server, peers| {
            let probes = self.probes.values().filter(|probe| probe.spec.id.server == *server);
            let kicks: Vec<_> = probes.map(|probe| probe.kick.clone()).collect();
            let any = !kicks.is_empty();
            *peers.0.lock().unwrap_or_else(PoisonError::into_inner) = kicks;
            any
        });
    }

    fn watch_connections(&mut self) {
        self.watchers = JoinSet::new();
        let mut watched: Vec<(&ServerName, watch::Receiver<u64>)> = Vec::new();
        for probe in self.probes.values() {
            let server = &probe.spec.id.server;
            let Some(losses) = probe.spec.kind.losses() else { continue };
            if watched.iter().any(|(of, other)| *of == server && losses.same_channel(other)) {
                continue;
            }
            watched.push((server, losses));
        }
        for (server, mut losses) in watched {
            let Some(peers) = self.servers.get(server).cloned() else { continue };
            self.watchers.spawn(async move {
                while losses.changed().await.is_ok() {
                    peers.kick(None);
                }
            });
        }
    }
}

async fn keep_probing(
    spec: Arc<ProbeSpec>,
    kick: Arc<Notify>,
    peers: Arc<Peers>,
    sink: mpsc::Sender<Observation>,
) {
    let mut schedule = Schedule::new(&spec.id, spec.interval, spec.confirm_interval);
    let mut due = Instant::now() + schedule.first();
    let mut waiting: Option<Observation> = None;
    let mut running: Option<(Instant, AbortOnDrop<Observation>)> = None;
    // Whether a kick is to be obeyed, and from when on the next may be.
    let mut kicked = false;
    let mut next_kick = Instant::now();
    loop {
        tokio::select! {
            permit = sink.reserve(), if waiting.is_some() => match (permit, waiting.take()) {
                (Ok(permit), Some(observation)) => permit.send(observation),
                _ => return, // nobody receives any more
            },
            (started, ended) = finish(&mut running) => {
                running = None;
                let Ok(observation) = ended else { return }; // the runtime is ending
                let now = Instant::now();
                let content = schedule.content();
                let delay = schedule.after(observation.status);
                if content && is_of_the_connection(observation.reason.code) {
                    peers.kick(Some(&kick));
                }
                due = (started + delay).max(now + delay / 10);
                if kicked {
                    due = due.min(now.max(next_kick));
                }
                waiting = Some(observation);
            }
            () = sleep_until(due), if running.is_none() => {
                let now = Instant::now();
                if std::mem::take(&mut kicked) {
                    next_kick = now + spec.confirm_interval;
                }
                let spec = spec.clone();
                let task = tokio::spawn(async move { run_once(&spec).await });
                running = Some((now, AbortOnDrop(task)));
            }
            () = kick.notified() => {
                kicked = true;
                due = due.min(Instant::now().max(next_kick));
            }
        }
    }
}

/// Whether what ended a probe so may concern others on that server: a process that ended, or the
/// host. A service that says itself that it does not run is the only one that this is said of.
const fn is_of_the_connection(code: ReasonCode) -> bool {
    matches!(code, ReasonCode::Refused | ReasonCode::Reset | ReasonCode::Silent)
        || code.is_silence()
}

/// The end of the run that is under way; never, if none is.
async fn finish(
    running: &mut Option<(Instant, AbortOnDrop<Observation>)>,
) -> (Instant, Result<Observation, tokio::task::JoinError>) {
    match running {
        Some((started, task)) => (*started, (&mut task.0).await),
        None => std::future::pending().await,
    }
}
