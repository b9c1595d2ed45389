//! The fold of the events: where everything stands.
//!
//! A daemon that starts applies every record of its journal in order and then knows what the one
//! before it knew; a running one applies each record as it is written. There is no other state
//! that a decision depends on, apart from the latest facts, which are seen anew.

use std::collections::{BTreeMap, VecDeque};

use crate::alerting::{
    Acknowledgement, Alert, AlertBook, Fingerprint, Outbox, Routing, Scene, Silences, Subject, Told,
};
use crate::duty::{self, DUTY, Grantor, OutOfTerm, Tenure};
use crate::event::{Event, GuestKind, Made, Record};
use crate::execution::{OutOfOrder, PlanEnding, Progress, Said};
use crate::lifecycle::{NoTransition, Phase, Trigger, step};
use crate::model::{ClusterName, PolicyName, ServiceId, Side, Term, Timestamp};
use crate::past::{LeftAlone, Past};
use crate::plan::PlanKind;
use crate::policies::{ModeOrder, PolicyState, RolledBack};
use crate::snapshot::{Change, Ending, Rescue};
use crate::stopped::Stopped;

pub use crate::past::{Maintenance, Memory};

/// How many rescues and changes of side a cluster remembers for its policies.
pub const HISTORY: usize = 64;

/// Where a cluster stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterState {
    /// Its phase.
    pub phase: Phase,
    /// Since when this side has been active.
    pub active_since: Timestamp,
    /// Maintenance mode, while it is on.
    pub maintenance: Option<Maintenance>,
    /// The services that are in maintenance, each by itself.
    pub services_in_maintenance: BTreeMap<ServiceId, Maintenance>,
    /// Recent rescues, oldest first.
    pub rescues: VecDeque<Rescue>,
    /// Recent changes of side, oldest first.
    pub changes: VecDeque<Change>,
    /// The plan in flight.
    pub progress: Option<Progress>,
    /// The change of side that stopped on the way, until an operator has said what becomes of it.
    pub stopped: Option<Stopped>,
    /// The number for the next plan.
    pub next_plan: u64,
    /// The number for the next snapshot.
    pub next_snapshot: u64,
    /// What policies wanted remembered.
    pub memories: BTreeMap<PolicyName, Memory>,
    /// Whether policies are obeyed, and in which revisions they were in force.
    pub policies: BTreeMap<PolicyName, PolicyState>,
    /// What is firing.
    pub alerts: AlertBook,
    /// The end of the last change of side that counts for the cooldown: a refused failover does, a
    /// refused planned change does not, and an operator's declaration acknowledges all.
    pub cooling_since: Option<Timestamp>,
    /// The journal's number of the last recorded evaluation.
    pub last_evaluation: Option<u64>,
    /// Which monitor may act for it.
    pub tenure: Tenure,
    /// The `active_since` of the moment when an operator put the duty where it is; none: nobody did.
    pub kept: Option<Timestamp>,
    /// The journal's number of the last record that changed what a successor needs to know.
    pub version: u64,
}

impl Default for ClusterState {
    /// A cluster of which nothing is recorded: the primary is active, as designated.
    fn default() -> Self {
        Self {
            phase: Phase::Active(Side::Primary),
            active_since: Timestamp(0),
            maintenance: None,
            services_in_maintenance: BTreeMap::new(),
            rescues: VecDeque::new(),
            changes: VecDeque::new(),
            progress: None,
            stopped: None,
            next_plan: 1,
            next_snapshot: 1,
            memories: BTreeMap::new(),
            policies: BTreeMap::new(),
            alerts: AlertBook::default(),
            cooling_since: None,
            last_evaluation: None,
            tenure: Tenure::default(),
            kept: None,
            version: 0,
        }
    }
}

/// Where everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct State {
    /// The clusters of which anything is recorded.
    pub clusters: BTreeMap<ClusterName, ClusterState>,
    /// What is firing about the monitor itself.
    pub alerts: AlertBook,
    /// Who was told of what, and what is still to be delivered.
    pub post: Post,
    /// What nobody wants to hear.
    pub silences: Silences,
    /// How many times this monitor was started: the terms of one that shares the duty with nobody.
    pub term: Term,
    /// The last record that was applied.
    pub seq: u64,
}

/// Who was told of what, and what is still to be delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Post {
    /// What is still to be delivered.
    pub outbox: Outbox,
    /// Who was told of what.
    pub told: Told,
}

impl Post {
    /// Takes one record in; what is not about notifications changes nothing.
    pub fn apply(&mut self, record: &Record) {
        match &record.event {
            Event::NotificationMade(made) => self.queue(made, record.at),
            Event::NotificationQueued { id, receiver, alert } => {
                self.queue(
                    &Made::of_queued(*id, receiver, record.cluster.as_ref(), alert),
                    record.at,
                );
            }
            Event::NotificationTried { id, problem, again } => {
                self.outbox.tried(*id, problem.clone(), *again);
            }
            Event::NotificationDelivered { id, memory } => {
                if let Some(entry) = self.outbox.remove(*id) {
                    self.told.done(&entry.receiver, &entry.group, Some(memory));
                }
            }
            Event::NotificationDead { id, problem } => {
                if let Some(entry) = self.outbox.died(*id, problem.clone()) {
                    self.told.done(&entry.receiver, &entry.group, None);
                }
            }
            Event::NotificationRetried { id, .. } => {
                if let Some(entry) = self.outbox.retry(*id, record.at) {
                    self.told.again(&entry.receiver, &entry.group);
                }
            }
            Event::NotificationDiscarded { id, .. } => drop(self.outbox.remove(*id)),
            _ => {}
        }
    }

    fn queue(&mut self, made: &Made, at: Timestamp) {
        let notification = made.notification(at);
        self.told.queued(&notification, at);
        for fingerprint in &made.settles {
            self.told.settle(fingerprint);
        }
        if let Some(id) = made.escalates {
            self.outbox.escalated(id);
        }
        self.outbox.queue(notification);
    }
}

/// A record does not fit the ones before it: the journal is not what this program wrote.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Records are missing or doubled.
    #[error("record {found} follows record {last}")]
    Gap {
        /// The last one applied.
        last: u64,
        /// The one that came.
        found: u64,
    },
    /// An event about a cluster names none.
    #[error("record {0} is about a cluster and names none")]
    NoCluster(u64),
    /// A transition that the lifecycle does not know.
    #[error("record {seq} does not fit the cluster's phase")]
    Lifecycle {
        /// The record.
        seq: u64,
        /// What was tried.
        source: NoTransition,
    },
    /// A step that the plan does not have next.
    #[error("record {seq} does not fit the plan in flight")]
    Plan {
        /// The record.
        seq: u64,
        /// What does not fit.
        source: OutOfOrder,
    },
    /// An event about a plan that is not in flight.
    #[error("record {0} is about a plan that is not in flight")]
    NoPlan(u64),
    /// A change of the duty that does not fit, or a step in a term that is over (invariant 2).
    #[error("record {seq} does not fit the duty")]
    Duty {
        /// The record.
        seq: u64,
        /// What does not fit.
        source: OutOfTerm,
    },
    /// The duty was to be given away while a plan is in flight.
    #[error("record {0} offers the duty while a plan is in flight")]
    PlanInFlight(u64),
}

impl State {
    /// The cluster's state; the default one if nothing is recorded of it.
    pub fn cluster(&self, name: &ClusterName) -> ClusterState {
        self.clusters.get(name).cloned().unwrap_or_default()
    }

    /// When the unplanned changes of side of all clusters but `but` began, oldest first.
    pub fn fleet_changes(&self, but: &ClusterName) -> Vec<Timestamp> {
        let others = self.clusters.iter().filter(|(name, _)| *name != but);
        let mut fleet: Vec<Timestamp> = others
            .flat_map(|(_, cluster)| &cluster.changes)
            .filter(|change| !change.planned)
            .map(|change| change.begun)
            .collect();
        fleet.sort_unstable();
        fleet
    }

    /// Takes one record in. On an error the state is not to be used any further.
    pub fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        if record.seq != self.seq + 1 {
            return Err(ApplyError::Gap { last: self.seq, found: record.seq });
        }
        self.seq = record.seq;
        match &record.event {
            Event::MonitorStarted { .. } => self.term = Term(self.term.0 + 1),
            Event::MonitorStopped { .. }
            | Event::ConfigurationApplied { .. }
            | Event::ConfigurationRejected { .. }
            | Event::GuestRejected { .. }
            | Event::Observed(_) => {}
            // A plugin's; and a policy's in a journal from before clusters had their own.
            Event::GuestLoaded { .. } if record.cluster.is_none() => {}
            Event::AlertFired(alert) => {
                self.post.told.fires(&alert.fingerprint);
                self.alerts_of(record).fire(alert.clone());
            }
            Event::AlertResolved { fingerprint, details } => {
                if let Some(alert) = self.alerts_of(record).resolve(fingerprint) {
                    let alert =
                        Alert { ends_at: Some(record.at), details: details.clone(), ..alert };
                    let cluster = record.cluster.clone();
                    self.post.told.end(Subject { cluster, alert, news: true });
                }
            }
            Event::AlertAcknowledged { fingerprint, by, comment } => {
                let (by, comment) = (by.clone(), comment.clone());
                let by = Acknowledgement { by, comment, at: record.at };
                self.alerts_of(record).acknowledge(fingerprint, by);
            }
            Event::AlertUntold { fingerprint, .. } => self.post.told.settle(fingerprint),
            Event::SilenceSet(silence) => {
                self.silences.set(silence.clone(), record.at);
                self.all_have_news(record.seq);
            }
            Event::SilenceEnded { id, .. } => {
                self.silences.end(id, record.at);
                self.all_have_news(record.seq);
            }
            Event::NotificationMade(_)
            | Event::NotificationQueued { .. }
            | Event::NotificationTried { .. }
            | Event::NotificationDelivered { .. }
            | Event::NotificationDead { .. }
            | Event::NotificationRetried { .. }
            | Event::NotificationDiscarded { .. } => self.post.apply(record),
            Event::Duty(change) => self.duty(record, change)?,
            _ => {
                let name = record.cluster.clone().ok_or(ApplyError::NoCluster(record.seq))?;
                self.clusters.entry(name).or_default().apply(record)?;
            }
        }
        Ok(())
    }

    fn duty(&mut self, record: &Record, change: &duty::Change) -> Result<(), ApplyError> {
        let seq = record.seq;
        let name = record.cluster.clone().ok_or(ApplyError::NoCluster(seq))?;
        let cluster = self.clusters.entry(name).or_default();
        if matches!(change, duty::Change::Offered { .. }) && cluster.progress.is_some() {
            return Err(ApplyError::PlanInFlight(seq));
        }
        cluster.tenure.apply(change).map_err(|source| ApplyError::Duty { seq, source })?;
        cluster.version = seq;
        match change {
            duty::Change::Taken { past: Some(past), .. } => {
                cluster.take_over(past);
                for told in past.who_was_told() {
                    self.post.told.adopt(&told);
                }
                for silence in &past.silences {
                    self.silences.set(silence.clone(), record.at);
                }
                for alert in &past.alerts {
                    cluster.alerts.fire(alert.clone());
                }
            }
            duty::Change::Shared { past, .. } => {
                cluster.take_over(past);
                for silence in &past.silences {
                    self.silences.set(silence.clone(), record.at);
                }
            }
            // Whoever has it now goes on with the alerts, and says when they are over.
            duty::Change::Left { holder: Some(_), .. } => {
                for alert in cluster.alerts.hand_over(|alert| alert.source != DUTY) {
                    self.post.told.disown(&alert.fingerprint);
                }
            }
            _ => {}
        }
        cluster.keep(change);
        Ok(())
    }

    /// What a successor of this monitor needs to know of the cluster.
    pub fn past(&self, name: &ClusterName) -> Past {
        let cluster = self.cluster(name);
        let alerts: Vec<_> =
            cluster.alerts.firing().filter(|alert| alert.source != DUTY).cloned().collect();
        let told = &self.post.told;
        Past {
            phase: cluster.phase,
            active_since: cluster.active_since,
            maintenance: cluster.maintenance,
            services_in_maintenance: cluster
                .services_in_maintenance
                .into_iter()
                .map(|(id, maintenance)| LeftAlone { id, maintenance })
                .collect(),
            rescues: cluster.rescues.into(),
            changes: cluster.changes.into(),
            progress: cluster.progress.map(Box::new),
            stopped: cluster.stopped.map(Box::new),
            next_plan: cluster.next_plan,
            next_snapshot: cluster.next_snapshot,
            memories: cluster.memories,
            policies: cluster.policies,
            cooling_since: cluster.cooling_since,
            kept: cluster.kept,
            told: alerts
                .iter()
                .map(|alert| &alert.fingerprint)
                .map(|it| (it.clone(), told.of(it).map(|(receiver, _)| receiver.clone()).collect()))
                .collect(),
            groups: told.about(&alerts.iter().map(|alert| &alert.fingerprint).collect()),
            silences: self.silences.iter().cloned().collect(),
            alerts,
        }
    }

    /// Everything that says what is to be told now.
    pub fn scene<'a>(&'a self, routing: &'a Routing, now: Timestamp) -> Scene<'a> {
        let own = self.alerts.firing().map(|alert| (None, alert));
        let of_clusters = self.clusters.iter().flat_map(|(name, cluster)| {
            cluster.alerts.firing().map(move |alert| (Some(name), alert))
        });
        Scene {
            routing,
            firing: own.chain(of_clusters).collect(),
            told: &self.post.told,
            outbox: &self.post.outbox,
            silences: &self.silences,
            now,
        }
    }

    /// Where an alert fires, if it does: the cluster, and the alert.
    pub fn alert(&self, fingerprint: &Fingerprint) -> Option<(Option<&ClusterName>, &Alert)> {
        let own = self.alerts.get(fingerprint).map(|alert| (None, alert));
        own.or_else(|| {
            self.clusters
                .iter()
                .find_map(|(name, cluster)| Some((Some(name), cluster.alerts.get(fingerprint)?)))
        })
    }

    /// What is not about one cluster concerns the successors of all.
    fn all_have_news(&mut self, seq: u64) {
        for cluster in self.clusters.values_mut() {
            cluster.version = seq;
        }
    }

    fn alerts_of(&mut self, record: &Record) -> &mut AlertBook {
        match &record.cluster {
            Some(name) => {
                let cluster = self.clusters.entry(name.clone()).or_default();
                cluster.version = record.seq;
                &mut cluster.alerts
            }
            None => &mut self.alerts,
        }
    }
}

impl ClusterState {
    /// Maintenance mode of this service, or of the cluster, while it is on.
    pub fn maintenance_of(&self, service: Option<&ServiceId>) -> Option<&Maintenance> {
        match service {
            Some(id) => self.services_in_maintenance.get(id),
            None => self.maintenance.as_ref(),
        }
    }

    /// What was to be in maintenance until now or earlier: the cluster (none) and services.
    pub fn maintenance_over(&self, now: Timestamp) -> Vec<Option<ServiceId>> {
        let of_cluster = self.maintenance.iter().map(|it| (None, it));
        let of_services = self.services_in_maintenance.iter().map(|(id, it)| (Some(id), it));
        of_cluster
            .chain(of_services)
            .filter(|(_, it)| it.until.is_some_and(|until| until <= now))
            .map(|(id, _)| id.cloned())
            .collect()
    }

    /// Whether an operator put the duty where it is, and the side has not changed since. It stays
    /// there then, whichever monitor's watch it is otherwise.
    pub fn is_kept(&self) -> bool {
        self.kept == Some(self.active_since)
    }

    /// Remembers whether it was an operator who moved the duty: by taking it, by wanting it given
    /// away, or by taking an offer back. A duty that was received comes with the giver's word for it.
    fn keep(&mut self, change: &duty::Change) {
        let ordered = match change {
            duty::Change::Offered { ordered, .. } => *ordered,
            duty::Change::Taken { grantor: Grantor::Peer { .. }, past: Some(_), .. } => return,
            duty::Change::Taken { grantor, .. } => {
                matches!(grantor, Grantor::Operator { .. } | Grantor::TakenBack)
            }
            _ => return,
        };
        self.kept = ordered.then_some(self.active_since);
    }

    /// Puts what another monitor knew in the place of what was known here. Numbers never go back.
    fn take_over(&mut self, past: &Past) {
        self.phase = past.phase;
        self.active_since = past.active_since;
        self.maintenance.clone_from(&past.maintenance);
        let left_alone = past.services_in_maintenance.iter();
        self.services_in_maintenance =
            left_alone.map(|it| (it.id.clone(), it.maintenance.clone())).collect();
        self.rescues = past.rescues.iter().cloned().collect();
        self.changes = past.changes.iter().cloned().collect();
        self.progress = past.progress.as_deref().cloned();
        self.stopped = past.stopped.as_deref().cloned();
        self.next_plan = self.next_plan.max(past.next_plan);
        self.next_snapshot = self.next_snapshot.max(past.next_snapshot);
        self.memories.clone_from(&past.memories);
        self.policies.clone_from(&past.policies);
        self.cooling_since = past.cooling_since;
        self.kept = past.kept;
    }

    fn apply(&mut self, record: &Record) -> Result<(), ApplyError> {
        let seq = record.seq;
        // What an evaluation came to is in its other records; a successor counts snapshots by itself.
        if !matches!(record.event, Event::Evaluated(_)) {
            self.version = seq;
        }
        match &record.event {
            Event::Evaluated(evaluated) => {
                self.last_evaluation = Some(seq);
                let next = evaluated.snapshot.facts().number.saturating_add(1);
                self.next_snapshot = self.next_snapshot.max(next);
            }
            Event::Remembered { policy, version, state } => {
                let memory = Memory { version: version.clone(), state: state.clone() };
                self.memories.insert(policy.clone(), memory);
            }
            Event::GuestLoaded { .. }
            | Event::PolicyModeSet { .. }
            | Event::PolicyRolledBack { .. }
            | Event::PolicyRetried { .. } => self.policy(record),
            Event::PlanBegun(_)
            | Event::StepIntended { .. }
            | Event::StepEnded { .. }
            | Event::PlanEnded { .. }
            | Event::PlanAborted { .. }
            | Event::PlanResumed { .. }
            | Event::PlanAbandoned { .. } => self.plan(record)?,
            Event::Declared { side, .. } => {
                let before = self.phase.side();
                self.transition(seq, Trigger::OperatorDeclares(*side))?;
                if *side != before {
                    self.active_since = record.at;
                }
                self.stopped = None;
                self.cooling_since = None;
            }
            Event::MaintenanceOn { by, reason, until, service } => {
                let since = self.maintenance_of(service.as_ref()).map_or(record.at, |it| it.since);
                let maintenance =
                    Maintenance { by: by.clone(), reason: reason.clone(), since, until: *until };
                match service {
                    Some(id) => {
                        self.services_in_maintenance.insert(id.clone(), maintenance);
                    }
                    None => self.maintenance = Some(maintenance),
                }
            }
            Event::MaintenanceOff { service: Some(id), .. } => {
                self.services_in_maintenance.remove(id);
            }
            Event::MaintenanceOff { service: None, .. } => self.maintenance = None,
            _ => {}
        }
        Ok(())
    }

    fn plan(&mut self, record: &Record) -> Result<(), ApplyError> {
        let seq = record.seq;
        match &record.event {
            Event::PlanBegun(plan) => {
                self.admit(seq, plan.term)?;
                self.transition(seq, plan.kind.trigger())?;
                self.next_plan = plan.number.saturating_add(1);
                self.begin(plan, record.at);
                self.progress = Some(Progress::new(plan.as_ref().clone()));
            }
            Event::StepIntended { plan, step, attempt, term } => {
                self.admit(seq, *term)?;
                self.in_flight(seq, *plan)?
                    .intend(*step, *attempt)
                    .map_err(|source| ApplyError::Plan { seq, source })?;
            }
            Event::StepEnded { plan, step, attempt, outcome } => {
                self.in_flight(seq, *plan)?
                    .end_step(*step, *attempt, outcome)
                    .map_err(|source| ApplyError::Plan { seq, source })?;
            }
            Event::PlanEnded { plan, ending } => {
                let progress = self.in_flight(seq, *plan)?;
                progress.end(ending).map_err(|source| ApplyError::Plan { seq, source })?;
                if let Some(progress) = self.progress.take() {
                    self.end(&progress.plan().kind, ending, record)?;
                    let stopped = Stopped { progress, at: record.at };
                    let asks = matches!(self.phase, Phase::NeedsOperator(_));
                    self.stopped = Some(stopped).filter(|_| asks);
                }
            }
            Event::PlanAborted { plan, by, reason } => {
                let said = Said { by: by.clone(), reason: reason.clone() };
                self.in_flight(seq, *plan)?
                    .abort(said)
                    .map_err(|source| ApplyError::Plan { seq, source })?;
            }
            Event::PlanResumed { plan, term, word, .. } => {
                self.admit(seq, *term)?;
                let Stopped { mut progress, .. } = self.take_stopped(seq, *plan)?;
                let trigger = progress.plan().kind.resumed().ok_or(ApplyError::NoPlan(seq))?;
                progress.resume(*word).map_err(|source| ApplyError::Plan { seq, source })?;
                self.transition(seq, trigger)?;
                if let Some(change) = self.changes.back_mut() {
                    change.ending = Ending::UnderWay;
                }
                self.progress = Some(progress);
            }
            Event::PlanAbandoned { plan, side, .. } => {
                let stopped = self.take_stopped(seq, *plan)?;
                if let Some(side) = side {
                    stopped.check_left(*side).map_err(|source| ApplyError::Plan { seq, source })?;
                    let before = self.phase.side();
                    self.transition(seq, Trigger::ChangeAbandoned(*side))?;
                    if *side != before {
                        self.active_since = record.at;
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn policy(&mut self, record: &Record) {
        let at = record.at;
        match &record.event {
            Event::GuestLoaded { kind: GuestKind::Policy, name, revision, .. } => {
                if let Ok(policy) = PolicyName::new(name) {
                    self.policies.entry(policy).or_default().loaded(revision);
                }
            }
            Event::PolicyModeSet { policy, mode, configured, by, reason } => {
                let (mode, configured) = (*mode, *configured);
                let (by, reason) = (by.clone(), reason.clone());
                let order = ModeOrder { mode, configured, by, reason, at };
                self.policies.entry(policy.clone()).or_default().mode = Some(order);
            }
            Event::PolicyRolledBack { policy, from, to, by, reason } => {
                let (from, to) = (from.clone(), to.clone());
                let (by, reason) = (by.clone(), reason.clone());
                let back = RolledBack { from, to, by, reason, at };
                self.policies.entry(policy.clone()).or_default().roll_back(back);
            }
            Event::PolicyRetried { policy, .. } => {
                self.policies.entry(policy.clone()).or_default().rolled_back = None;
            }
            _ => {}
        }
    }

    /// A plan or step in a term that is over is refused (invariant 2).
    fn admit(&self, seq: u64, term: Term) -> Result<(), ApplyError> {
        self.tenure.admits(term).map_err(|source| ApplyError::Duty { seq, source })
    }

    fn transition(&mut self, seq: u64, trigger: Trigger) -> Result<(), ApplyError> {
        self.phase =
            step(self.phase, trigger).map_err(|source| ApplyError::Lifecycle { seq, source })?;
        Ok(())
    }

    fn in_flight(&mut self, seq: u64, plan: u64) -> Result<&mut Progress, ApplyError> {
        self.progress
            .as_mut()
            .filter(|progress| progress.plan().number == plan)
            .ok_or(ApplyError::NoPlan(seq))
    }

    /// The plan that stopped on the way and has this number, which then stands there no more.
    fn take_stopped(&mut self, seq: u64, plan: u64) -> Result<Stopped, ApplyError> {
        self.stopped
            .take_if(|stopped| stopped.progress.plan().number == plan)
            .ok_or(ApplyError::NoPlan(seq))
    }

    fn begin(&mut self, plan: &crate::plan::Plan, at: Timestamp) {
        match &plan.kind {
            PlanKind::Rescue(id) => {
                push(
                    &mut self.rescues,
                    Rescue { id: id.clone(), begun: at, ending: Ending::UnderWay },
                );
            }
            PlanKind::Clear(_) => {}
            PlanKind::Failover | PlanKind::Switchover | PlanKind::Switchback => {
                push(
                    &mut self.changes,
                    Change {
                        from: plan.from,
                        to: plan.to,
                        planned: !matches!(plan.kind, PlanKind::Failover),
                        begun: at,
                        ending: Ending::UnderWay,
                    },
                );
            }
        }
    }

    fn end(
        &mut self,
        kind: &PlanKind,
        ending: &PlanEnding,
        record: &Record,
    ) -> Result<(), ApplyError> {
        let completed = matches!(ending, PlanEnding::Completed);
        let word = if completed { Ending::Succeeded } else { Ending::Failed };
        let trigger = match (kind, ending) {
            (PlanKind::Rescue(_), _) => {
                if let Some(rescue) = self.rescues.back_mut() {
                    rescue.ending = word;
                }
                Trigger::RescueEnded
            }
            (PlanKind::Clear(_), _) => Trigger::ClearingEnded,
            (_, PlanEnding::Completed) => Trigger::ChangeCompleted,
            (_, PlanEnding::Refused { .. }) => Trigger::ChangeRefused,
            (_, PlanEnding::Failed { .. }) => Trigger::ChangeFailed,
        };
        if kind.changes_side() {
            if let Some(change) = self.changes.back_mut() {
                change.ending = word;
            }
            if completed {
                self.active_since = record.at;
            }
            // A refused failover changed nothing, but begun again at once it would be refused
            // again, and each round runs the site's first steps and wakes people. A refused wish
            // of an operator says nothing about the next failover.
            let refused = matches!(ending, PlanEnding::Refused { .. });
            if !refused || matches!(kind, PlanKind::Failover) {
                self.cooling_since = Some(record.at);
            }
        }
        self.transition(record.seq, trigger)
    }
}

fn push<T>(history: &mut VecDeque<T>, entry: T) {
    if history.len() == HISTORY {
        history.pop_front();
    }
    history.push_back(entry);
}
