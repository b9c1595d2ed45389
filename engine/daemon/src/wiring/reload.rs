//! Putting a configuration, policies and plugins in force, at the start and whenever one changes.
//!
//! Everything is built and tried first; only then is anything swapped, and each cluster takes its
//! new setup over between two evaluations. What cannot be used leaves what is in force there, and
//! an alert says what is wrong and where, until it is mended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::arbitration::{ENGINE, Standing};
use watchkeeper_core::event::{Event, GuestKind};
use watchkeeper_core::facts::Observation;
use watchkeeper_core::model::{ClusterName, PolicyName};
use watchkeeper_core::proposal::{AlertClaim, Revision, Severity};
use watchkeeper_core::state::Memory;

use super::equip::{EquipError, equip};
use super::guests::{self, Before, Shelf};
use super::receivers;
use crate::clock;
use crate::cluster::{Clusters, Ended, Handle, Seat, Setup, StandbySetup, Watch};
use crate::collect::{Collector, ProbeSpec};
use crate::config::cluster::ClusterConfig;
use crate::config::{self, Config};
use crate::deliver::{self, Receivers};
use crate::duty::Duties;
use crate::errors::chain;
use crate::health::{self, CertificateWatch, ClockWatch};
use crate::ledger::{Ledger, LedgerError};

/// How many observations may wait for a cluster's task.
const WAITING: usize = 1_024;

/// A cluster that is watched.
struct Running {
    handle: Handle,
    setup: watch::Sender<Arc<Setup>>,
    collector: Arc<Mutex<Collector>>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Ended>,
}

/// Something that is not in force although it is there to be, by what it is: the alert's label
/// and text.
type Rejected = BTreeMap<(GuestKind, String), String>;

/// Puts things in force.
pub struct Reloader {
    path: PathBuf,
    ledger: Arc<Ledger>,
    shelf: Shelf,
    config: Config,
    clock: ClockWatch,
    certificates: CertificateWatch,
    /// The digest of the last configuration that was looked at, accepted or not.
    seen: Option<Vec<String>>,
    clusters: BTreeMap<ClusterName, Running>,
    published: watch::Sender<Clusters>,
    /// The names of the clusters that are watched, for whoever keeps the duty.
    names: watch::Sender<BTreeSet<ClusterName>>,
    duties: Duties,
    receivers: watch::Sender<Arc<Receivers>>,
    plugins: BTreeMap<String, Revision>,
    rejected: Rejected,
}

/// A cluster's setup in the making.
struct Built {
    config: ClusterConfig,
    setup: Setup,
    probes: Vec<ProbeSpec>,
    /// What the probes of a cluster that was not watched before will see.
    observations: Option<mpsc::Receiver<Observation>>,
    memories: Vec<(PolicyName, Memory)>,
}

impl Reloader {
    /// Takes charge; nothing is in force until the first [`Reloader::reload`].
    pub fn new(
        path: PathBuf,
        config: Config,
        ledger: Arc<Ledger>,
        shelf: Shelf,
        receivers: watch::Sender<Arc<Receivers>>,
        names: watch::Sender<BTreeSet<ClusterName>>,
        duties: Duties,
    ) -> Self {
        Self {
            path,
            ledger,
            shelf,
            config,
            seen: None,
            clusters: BTreeMap::new(),
            published: watch::Sender::new(Clusters::new()),
            names,
            duties,
            receivers,
            plugins: BTreeMap::new(),
            rejected: Rejected::new(),
            clock: ClockWatch::new(),
            certificates: CertificateWatch::default(),
        }
    }

    /// The clusters that are watched.
    pub fn clusters(&self) -> watch::Receiver<Clusters> {
        self.published.subscribe()
    }

    /// The configuration in force.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Looks at everything again and puts in force what has changed. Says what did; or what is
    /// wrong, while everything that was in force stays so.
    pub async fn reload(&mut self) -> Result<Vec<String>, Vec<String>> {
        let first = self.seen.is_none();
        let path = self.path.clone();
        let loaded = tokio::task::spawn_blocking(move || config::load(&path)).await;
        let mut events = Vec::new();
        let mut problems = Vec::new();
        let mut changes = Vec::new();
        let candidate = match loaded {
            Ok(Ok(config)) => Some(config),
            Ok(Err(found)) => {
                problems = found.list().iter().map(ToString::to_string).collect();
                None
            }
            Err(error) => {
                problems = vec![format!("reading the configuration failed: {error}")];
                None
            }
        };
        let mut rejected = Rejected::new();
        let differs = candidate.as_ref().is_some_and(|it| it.digest() != self.config.digest());
        let mut built = None;
        if let Some(config) = candidate {
            match self.build(&config, differs, &mut rejected).await {
                Ok(clusters) => {
                    changes = config::differences(&self.config, &config);
                    if differs || first {
                        events.push(Event::ConfigurationApplied {
                            digest: config.digest().to_owned(),
                        });
                    }
                    if !first
                        && (self.config.monitor != config.monitor
                            || self.config.duty != config.duty
                            || self.config.guests != config.guests)
                    {
                        changes.push(
                            "what [monitor], [duty] and [guests] say takes effect when the daemon is \
                             started again"
                                .to_owned(),
                        );
                    }
                    self.config = config;
                    self.certificates.forget();
                    built = Some(clusters);
                }
                Err(found) => problems = found,
            }
        }
        if built.is_none() {
            // The configuration in force stays; its guests may have changed all the same.
            let config = self.config.clone();
            rejected.clear();
            built = self.build(&config, false, &mut rejected).await.ok();
        }
        if problems.is_empty() {
            self.seen = Some(Vec::new());
        } else if self.seen.as_ref() != Some(&problems) {
            events.push(Event::ConfigurationRejected { problems: problems.clone() });
            self.seen = Some(problems.clone());
        }
        changes
            .extend(self.put_in_force(built.unwrap_or_default(), &mut events, &mut rejected).await);
        for ((kind, name), problem) in &rejected {
            if self.rejected.get(&(*kind, name.clone())) != Some(problem) {
                events.push(Event::GuestRejected {
                    kind: *kind,
                    name: name.clone(),
                    problem: problem.clone(),
                });
            }
        }
        problems.extend(rejected.values().cloned());
        let news = self.rejected != rejected || !events.is_empty();
        self.rejected = rejected;
        if let Err(error) = self.record(events).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the reload could not be recorded"
            );
        }
        for problem in problems.iter().filter(|_| news) {
            tracing::error!("not in force: {problem}");
        }
        for change in &changes {
            tracing::info!("in force: {change}");
        }
        if !changes.is_empty() {
            self.prune().await;
        }
        if problems.is_empty() { Ok(changes) } else { Err(problems) }
    }

    /// Builds the setups of all clusters, trying everything that can be tried. An error is about
    /// the configuration itself; guests that cannot be used are in `rejected`.
    async fn build(
        &mut self,
        config: &Config,
        configuration_differs: bool,
        rejected: &mut Rejected,
    ) -> Result<Vec<Built>, Vec<String>> {
        let mut problems = Vec::new();
        let mut clusters = Vec::new();
        for cluster in &config.clusters {
            let name = cluster.topology.cluster();
            let state = self.ledger.cluster(name).await;
            let before = self.clusters.get(name).map(|it| Arc::clone(&it.setup.borrow()));
            let latest =
                self.clusters.get(name).and_then(|it| it.handle.view.borrow().snapshot.clone());
            let mut seats = Vec::new();
            let mut memories = Vec::new();
            for policy in &cluster.policies {
                let known_of = state.policies.get(&policy.name);
                let known = before.as_ref().and_then(|it| kept_seat(&it.seats, &policy.name));
                // Compiling takes its time, and other tasks have theirs.
                let made = tokio::task::block_in_place(|| {
                    let before = Before {
                        seat: known.as_ref(),
                        latest: latest.as_ref(),
                        memory: state.memories.get(&policy.name),
                        rolled_back: known_of.and_then(|it| it.rolled_back.as_ref()),
                    };
                    guests::seat(&mut self.shelf, policy, before)
                });
                match made {
                    Ok((seat, migrated)) => {
                        memories.extend(migrated.map(|memory| (policy.name.clone(), memory)));
                        seats.push(seat);
                    }
                    Err(error) if configuration_differs && error.is_settings() => {
                        problems.push(chain(&error));
                    }
                    Err(error) => {
                        let problem = chain(&error);
                        // What it is stays; what it may do is for the configuration to say.
                        let (settings, guest) = known.map_or_else(
                            || (Arc::default(), Err(problem.clone())),
                            |seat| (seat.settings, seat.guest),
                        );
                        let standing = Standing {
                            policy: policy.name.clone(),
                            grants: policy.grants.clone(),
                            servers: policy.servers.clone(),
                            on_failure: policy.on_failure,
                            mode: policy.mode,
                        };
                        seats.push(Seat { standing, settings, guest });
                        rejected.insert((GuestKind::Policy, policy.name.to_string()), problem);
                    }
                }
            }
            if cluster.policies_together
                && let Some(before) = &before
            {
                all_or_none(&before.seats, &mut seats, &mut memories, rejected);
            }
            match self.built(config, cluster, seats, memories, before.as_deref()) {
                Ok(built) => clusters.push(built),
                Err(error) => problems.push(chain(&error)),
            }
        }
        if problems.is_empty() { Ok(clusters) } else { Err(problems) }
    }

    fn built(
        &self,
        whole: &Config,
        config: &ClusterConfig,
        seats: Vec<Seat>,
        memories: Vec<(PolicyName, Memory)>,
        before: Option<&Setup>,
    ) -> Result<Built, EquipError> {
        let equipped = equip(config, before.map(|setup| &setup.equipment))?;
        let (collector, observations) = match self.clusters.get(config.topology.cluster()) {
            Some(running) => (Arc::clone(&running.collector), None),
            None => {
                let (sink, observations) = mpsc::channel(WAITING);
                let collector = Collector::spawn(Vec::new(), sink);
                (Arc::new(Mutex::new(collector)), Some(observations))
            }
        };
        Ok(Built {
            config: config.clone(),
            setup: Setup {
                topology: config.topology.clone(),
                arrangements: config.arrangements.clone(),
                limits: config.guards.clone(),
                seats,
                probes: equipped.probes.iter().map(|spec| spec.id.clone()).collect(),
                equipment: equipped.equipment,
                collector,
                revisions: self.shelf.kept().cloned(),
                rollback_after: self.config.guests.rollback_after,
                unknown_after: whole.unknown_after,
                standby: StandbySetup {
                    bounds: config.readiness.bounds,
                    alert_after: config.readiness.alert_after,
                    looks: equipped.looks,
                },
            },
            probes: equipped.probes,
            observations,
            memories,
        })
    }

    /// Swaps. Nothing here can fail.
    async fn put_in_force(
        &mut self,
        built: Vec<Built>,
        events: &mut Vec<Event>,
        rejected: &mut Rejected,
    ) -> Vec<String> {
        let mut changes = Vec::new();
        let before = Arc::clone(&self.receivers.borrow());
        let (ready, loaded) = tokio::task::block_in_place(|| {
            receivers::receivers(&mut self.shelf, &self.config, &before, rejected)
        });
        for (name, revision) in loaded {
            let before = self.plugins.insert(name.clone(), revision.clone());
            if before.as_ref() != Some(&revision) {
                changes.push(format!("plugin {name} {revision}"));
                events.push(Event::GuestLoaded {
                    kind: GuestKind::Plugin,
                    name,
                    revision,
                    replaced: before,
                });
            }
        }
        if !ready.is_like(&before) {
            self.receivers.send_replace(Arc::new(ready));
        }
        let wanted: BTreeSet<ClusterName> =
            built.iter().map(|it| it.config.topology.cluster().clone()).collect();
        self.names.send_replace(wanted.clone());
        for one in built {
            self.loaded(&one, &mut changes).await;
            self.swap(one);
        }
        let gone: Vec<ClusterName> =
            self.clusters.keys().filter(|name| !wanted.contains(*name)).cloned().collect();
        for name in gone {
            if let Some(running) = self.clusters.remove(&name) {
                changes.push(format!("cluster {name} is no longer watched"));
                running.end().await;
            }
        }
        self.published.send_replace(
            self.clusters
                .iter()
                .map(|(name, it)| (name.clone(), (it.handle.clone(), it.setup.subscribe())))
                .collect(),
        );
        changes
    }

    /// Records what comes into force with a cluster's policies, before it does: what becomes of it is
    /// recorded after that.
    async fn loaded(&self, built: &Built, changes: &mut Vec<String>) {
        let name = built.config.topology.cluster();
        let mut events = Vec::new();
        let before = self.clusters.get(name).map(|it| Arc::clone(&it.setup.borrow()));
        for seat in &built.setup.seats {
            let Ok(guest) = &seat.guest else { continue };
            let policy = &seat.standing.policy;
            let replaced = before
                .as_ref()
                .and_then(|setup| kept_seat(&setup.seats, policy))
                .and_then(|seat| seat.guest.ok())
                .map(|guest| guest.revision().clone());
            if replaced.as_ref() != Some(guest.revision()) {
                changes.push(format!("policy {policy} {} for {name}", guest.revision()));
                events.push(Event::GuestLoaded {
                    kind: GuestKind::Policy,
                    name: policy.to_string(),
                    revision: guest.revision().clone(),
                    replaced,
                });
            }
        }
        events.extend(built.memories.iter().map(|(policy, memory)| Event::Remembered {
            policy: policy.clone(),
            version: memory.version.clone(),
            state: memory.state.clone(),
        }));
        let events = events.into_iter().map(|event| (Some(name.clone()), event)).collect();
        if let Err(error) = self.ledger.record(events).await {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "new policies could not be recorded"
            );
        }
    }

    /// Drops the revisions that nobody can go back to any more.
    async fn prune(&self) {
        let Some(kept) = self.shelf.kept() else { return };
        let wanted = self.ledger.with(|state| {
            let policies = state.clusters.values().flat_map(|cluster| cluster.policies.values());
            let digest = |revision: &Revision| revision.digest.clone();
            policies
                .flat_map(|policy| {
                    let back = policy.rolled_back.iter().flat_map(|it| [&it.from, &it.to]);
                    policy.revisions.iter().chain(back).map(digest).collect::<Vec<_>>()
                })
                .collect::<BTreeSet<String>>()
        });
        let wanted = wanted.await;
        let wanted = wanted.iter().map(String::as_str).collect();
        if let Err(error) = tokio::task::block_in_place(|| kept.prune(&wanted)) {
            tracing::warn!(%error, "revisions that are not needed any more are left where they are");
        }
    }

    fn swap(&mut self, built: Built) {
        let name = built.config.topology.cluster().clone();
        let collector = Arc::clone(&built.setup.collector);
        if let Some(running) = self.clusters.get(&name) {
            if built.setup.is_like(&running.setup.borrow()) {
                return;
            }
            running.setup.send_replace(Arc::new(built.setup));
        } else if let Some(observations) = built.observations {
            let setup = watch::Sender::new(Arc::new(built.setup));
            let stop = watch::Sender::new(false);
            let (handle, task) = Watch::spawn(
                name.clone(),
                Arc::clone(&self.ledger),
                setup.subscribe(),
                observations,
                self.duties.clone(),
                stop.subscribe(),
            );
            let collector = Arc::clone(&collector);
            self.clusters.insert(name, Running { handle, setup, collector, stop, task });
        }
        collector.lock().unwrap_or_else(PoisonError::into_inner).replace(built.probes);
    }

    /// Records what happened to the monitor itself, and what that changes about its alerts.
    async fn record(&mut self, events: Vec<Event>) -> Result<(), LedgerError> {
        let mut claims = self.claims();
        let (passed, now) = (Instant::now(), clock::now());
        claims.extend(self.clock.look(passed, now));
        let duty = &self.config.duty;
        claims.extend(tokio::task::block_in_place(|| self.certificates.look(duty, passed, now)));
        if self.config.routing.heartbeat.is_some() {
            claims.push(health::heartbeat());
        }
        self.ledger
            .record_with(|state| {
                let changes = state.alerts.compare(None, &claims, &BTreeSet::new(), now);
                let alerts = deliver::alert_events(None, &changes, "");
                events.into_iter().map(|event| (None, event)).chain(alerts).collect()
            })
            .await
            .map(drop)
    }

    fn claims(&self) -> Vec<Claimed> {
        let claim = |name: &str, summary: String, labels: BTreeMap<String, String>| Claimed {
            source: ENGINE.to_owned(),
            claim: AlertClaim {
                name: name.to_owned(),
                severity: Severity::Critical,
                server: None,
                service: None,
                code: String::new(),
                summary,
                labels,
            },
        };
        let problems = self.seen.iter().flatten().cloned().collect::<Vec<_>>();
        let mut claims = Vec::new();
        if !problems.is_empty() {
            claims.push(claim(
                "configuration-rejected",
                format!("the configuration before stays in force: {}", problems.join("; ")),
                [("problem".to_owned(), short_digest(&problems.join("; ")))].into(),
            ));
        }
        for ((kind, name), problem) in &self.rejected {
            claims.push(claim(
                "guest-rejected",
                format!(
                    "the {kind} {name} that was in force stays so, if there was one: {problem}"
                ),
                [
                    ("kind".to_owned(), kind.to_string()),
                    ("name".to_owned(), name.clone()),
                    // Another problem is another alert: it is told.
                    ("problem".to_owned(), short_digest(problem)),
                ]
                .into(),
            ));
        }
        claims
    }

    /// Stops watching, in good order.
    pub async fn stop(self) {
        for running in self.clusters.into_values() {
            running.end().await;
        }
    }
}

impl Running {
    async fn end(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, cluster = %self.handle.name, "the cluster's task ended unexpectedly");
        }
    }
}

/// Keeps every policy in the revision that is in force if one of them cannot take its new one.
fn all_or_none(
    before: &[Seat],
    seats: &mut [Seat],
    memories: &mut Vec<(PolicyName, Memory)>,
    rejected: &mut Rejected,
) {
    let refused =
        |seat: &Seat| rejected.contains_key(&(GuestKind::Policy, seat.standing.policy.to_string()));
    let Some(culprit) = seats.iter().find(|seat| refused(seat)) else { return };
    let culprit = culprit.standing.policy.clone();
    for seat in seats {
        let policy = &seat.standing.policy;
        let Some(known) = kept_seat(before, policy) else { continue };
        let revision = |seat: &Seat| seat.guest.as_ref().ok().map(|it| it.revision().clone());
        if revision(&known) == revision(seat) {
            continue;
        }
        let problem = format!("it waits for {culprit}, with which it comes into force together");
        rejected.insert((GuestKind::Policy, policy.to_string()), problem);
        memories.retain(|(remembers, _)| remembers != policy);
        (seat.settings, seat.guest) = (known.settings, known.guest);
    }
}

fn kept_seat(seats: &[Seat], policy: &PolicyName) -> Option<Seat> {
    seats.iter().find(|seat| seat.standing.policy == *policy).cloned()
}

/// 8 hexadecimal digits that stand for a text.
fn short_digest(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let digest = Sha256::digest(text);
    let first = digest.first_chunk().copied().unwrap_or_default();
    format!("{:08x}", u32::from_be_bytes(first))
}
