//! What the journal holds: everything that was seen, decided, intended and done.
//!
//! An event is written once and never changed. Its JSON form is the journal's format (see
//! docs/journal.md); a new field needs a default, a changed meaning needs a new event.

use serde::{Deserialize, Serialize};

use crate::alerting::{
    Alert, Cause, Due, Fingerprint, GroupKey, Notification, Silence, SilenceId, Subject, Untold,
};
use crate::arbitration::{Decision, Standing};
use crate::duty;
use crate::execution::{Outcome, PlanEnding, Word};
use crate::facts::Observation;
use crate::guards::{Duty, Limits};
use crate::model::{
    ClusterName, MonitorName, PolicyName, ReceiverName, ServiceId, Side, Term, Timestamp,
};
use crate::plan::{Arrangements, Plan};
use crate::policies::Mode;
use crate::proposal::{Opinion, Revision};
use crate::settings::SettingValue;
use crate::snapshot::Snapshot;

/// One event with its place in the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Rises by one with each event.
    pub seq: u64,
    /// When it was written.
    pub at: Timestamp,
    /// The cluster it is about; none: the monitor itself.
    pub cluster: Option<ClusterName>,
    /// What happened.
    pub event: Event,
}

/// Whether a guest decides or delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GuestKind {
    /// It turns snapshots into proposals.
    Policy,
    /// It delivers alerts.
    Plugin,
}

impl std::fmt::Display for GuestKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Policy => "policy",
            Self::Plugin => "plugin",
        })
    }
}

/// What a decision rests on beside the facts, what the policies said, and what happened before: all
/// that a configuration and the duty have to say in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// Whether the monitor may act.
    pub duty: Duty,
    /// The guards' limits.
    pub limits: Limits,
    /// What the site arranged for plans.
    pub arrangements: Arrangements,
    /// The policies, in the order in which they are heard.
    pub policies: Vec<Seated>,
}

/// A policy with the terms on which it takes part, and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seated {
    /// Its name, grants, and what its failure means.
    #[serde(flatten)]
    pub standing: Standing,
    /// Its settings, complete and in the order of its description.
    #[serde(default)]
    pub settings: Vec<SettingValue>,
}

/// An evaluation whose result was worth recording: it differs from the one before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluated {
    /// The facts it was made from.
    pub snapshot: Snapshot,
    /// What the policies said.
    pub opinions: Vec<Opinion>,
    /// What came of it.
    pub decision: Decision,
    /// What would have come of it if the policies in the shadow were obeyed; none: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_shadow: Option<Decision>,
    /// What it rests on, if that is another than of the evaluation before. Records of orders, and
    /// those from before there was a basis, have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basis: Option<Box<Basis>>,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// A monitor began to run. If it shares the duty with no other, a term begins with it.
    MonitorStarted {
        /// Its name.
        monitor: MonitorName,
        /// Its version.
        version: String,
    },
    /// It stopped in good order.
    MonitorStopped {
        /// Its name.
        monitor: MonitorName,
    },
    /// A configuration took effect.
    ConfigurationApplied {
        /// SHA-256 of its files, in lower-case hexadecimal.
        digest: String,
    },
    /// A configuration was not accepted; the one before stays in force.
    ConfigurationRejected {
        /// What is wrong with it.
        problems: Vec<String>,
    },
    /// A policy or plugin took effect; a policy's is a record of its cluster.
    GuestLoaded {
        /// Which kind.
        kind: GuestKind,
        /// Its name in the configuration.
        name: String,
        /// What is in force now.
        revision: Revision,
        /// What was in force before.
        replaced: Option<Revision>,
    },
    /// A policy or plugin was not accepted; the revision before stays in force.
    GuestRejected {
        /// Which kind.
        kind: GuestKind,
        /// Its name in the configuration.
        name: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A probe found something else than before.
    Observed(Observation),
    /// The policies were asked, and the answer was another than before.
    Evaluated(Box<Evaluated>),
    /// A policy wants this remembered for its next evaluation.
    Remembered {
        /// The policy.
        policy: PolicyName,
        /// The version that wrote it.
        version: String,
        /// What it wrote.
        state: Vec<u8>,
    },
    /// An operator said whether a policy is obeyed.
    PolicyModeSet {
        /// The policy.
        policy: PolicyName,
        /// The mode.
        mode: Mode,
        /// What the configuration says: if it says something else later, that counts.
        configured: Mode,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A policy's revision was taken back: its file is not used until it holds another one.
    PolicyRolledBack {
        /// The policy.
        policy: PolicyName,
        /// What was in force.
        from: Revision,
        /// What comes into force in its place.
        to: Revision,
        /// Who; `watchkeeper` after repeated failures.
        by: String,
        /// Why.
        reason: String,
    },
    /// A revision that was taken back is to be used again.
    PolicyRetried {
        /// The policy.
        policy: PolicyName,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A plan was made and begins.
    PlanBegun(Box<Plan>),
    /// An attempt at a step is about to be made.
    StepIntended {
        /// The plan's number.
        plan: u64,
        /// The step, counted from 0.
        step: usize,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// The term in which it is made; 0 in records from before steps had one.
        #[serde(default)]
        term: Term,
    },
    /// The attempt ended.
    StepEnded {
        /// The plan's number.
        plan: u64,
        /// The step, counted from 0.
        step: usize,
        /// Which attempt, counted from 1.
        attempt: u32,
        /// How.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The plan ended.
    PlanEnded {
        /// The plan's number.
        plan: u64,
        /// How.
        #[serde(flatten)]
        ending: PlanEnding,
    },
    /// An operator wants no further step of the plan in flight.
    PlanAborted {
        /// The plan's number.
        plan: u64,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An operator has a plan that stopped on the way go on.
    PlanResumed {
        /// The plan's number.
        plan: u64,
        /// The term in which it goes on.
        term: Term,
        /// What the operator says of the step at which it stopped.
        #[serde(default)]
        word: Word,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// An operator has given up a plan that stopped on the way.
    PlanAbandoned {
        /// The plan's number.
        plan: u64,
        /// The side that counts as active from now; none: an operator has to say.
        side: Option<Side>,
        /// Why that side, or why none, for people.
        why: String,
        /// Who.
        by: String,
        /// Why it was given up.
        reason: String,
    },
    /// The duty to act for the cluster came, went, or is known to be elsewhere.
    Duty(duty::Change),
    /// An operator said which side is active.
    Declared {
        /// The side.
        side: Side,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// Maintenance mode was switched on, or its end was moved.
    MaintenanceOn {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// When it ends by itself, if it does.
        until: Option<Timestamp>,
        /// The service it is for; none: the whole cluster.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
    },
    /// Maintenance mode was switched off, or ran out.
    MaintenanceOff {
        /// Who; `watchkeeper` if it ran out.
        by: String,
        /// The service it was for; none: the whole cluster, and of its services' own nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service: Option<ServiceId>,
    },
    /// Something is wrong.
    AlertFired(Alert),
    /// It is over.
    AlertResolved {
        /// Which alert.
        fingerprint: Fingerprint,
        /// What was done about it at that moment; empty if nothing.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        details: String,
    },
    /// Somebody takes care of an alert.
    AlertAcknowledged {
        /// Which alert.
        fingerprint: Fingerprint,
        /// Who.
        by: String,
        /// What they said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        comment: String,
    },
    /// Nobody, or nobody else, is told that an alert is over.
    AlertUntold {
        /// Which alert.
        fingerprint: Fingerprint,
        /// Why.
        why: String,
    },
    /// Alerts are not to be told for a time.
    SilenceSet(Silence),
    /// A silence ends before its time.
    SilenceEnded {
        /// Which.
        id: SilenceId,
        /// Who ended it.
        by: String,
    },
    /// A notification is to be delivered. It stays in the outbox until it is delivered or dead.
    NotificationMade(Box<Made>),
    /// The same in journals from before alerts were told in groups.
    NotificationQueued {
        /// Identifies it.
        id: u64,
        /// Where to.
        receiver: ReceiverName,
        /// What about; its form at that moment.
        alert: Alert,
    },
    /// An attempt to deliver it failed.
    NotificationTried {
        /// Which one.
        id: u64,
        /// What went wrong.
        problem: String,
        /// When it is tried again.
        again: Timestamp,
    },
    /// The receiver has it.
    NotificationDelivered {
        /// Which one.
        id: u64,
        /// What the plugin wants to be given back with the next notification of the group.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        memory: Vec<u8>,
    },
    /// It will not be tried again by itself.
    NotificationDead {
        /// Which one.
        id: u64,
        /// Why.
        problem: String,
    },
    /// An operator wants a dead notification to be tried again.
    NotificationRetried {
        /// Which one.
        id: u64,
        /// Who.
        by: String,
    },
    /// An operator has thrown a dead notification away.
    NotificationDiscarded {
        /// Which one.
        id: u64,
        /// Who.
        by: String,
    },
}

/// A notification as it is queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Made {
    /// Identifies it.
    pub id: u64,
    /// Where to.
    pub receiver: ReceiverName,
    /// The group it is about.
    pub group: GroupKey,
    /// Why it is told.
    pub cause: Cause,
    /// What about; what is news comes first. Their form at that moment.
    pub alerts: Vec<Subject>,
    /// How many further alerts fire in the group.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
    /// The undelivered notification in whose place it is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escalates: Option<u64>,
    /// The alerts that are over, of which nobody else is to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settles: Vec<Fingerprint>,
}

/// What is recorded of what is due, each with the cluster it is about. The notifications are numbered
/// from `next_id`, so nothing else may be queued in between.
pub fn of_due(due: Due, next_id: u64) -> Vec<(Option<ClusterName>, Event)> {
    let made = due.tellings.into_iter().zip(next_id..).map(|(telling, id)| {
        let mut clusters = telling.alerts.iter().map(|it| it.cluster.clone());
        let first = clusters.next().flatten();
        let cluster = first.filter(|first| clusters.all(|it| it.as_ref() == Some(first)));
        let made = Made {
            id,
            receiver: telling.receiver,
            group: telling.group,
            cause: telling.cause,
            alerts: telling.alerts,
            more: telling.more,
            escalates: telling.escalates,
            settles: telling.settles,
        };
        (cluster, Event::NotificationMade(Box::new(made)))
    });
    let untold = due.untold.into_iter().map(|Untold { fingerprint, cluster, why }| {
        (cluster, Event::AlertUntold { fingerprint, why })
    });
    made.chain(untold).collect()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Made {
    /// What is still to be delivered, queued at `at`.
    pub fn notification(&self, at: Timestamp) -> Notification {
        Notification {
            id: self.id,
            receiver: self.receiver.clone(),
            group: self.group.clone(),
            cause: self.cause,
            alerts: self.alerts.clone(),
            more: self.more,
            queued: at,
            tries: 0,
            due: at,
            problem: None,
            dead: false,
            escalated: false,
        }
    }

    /// What an event of an earlier version was.
    pub fn of_queued(
        id: u64,
        receiver: &ReceiverName,
        cluster: Option<&ClusterName>,
        alert: &Alert,
    ) -> Self {
        let over = alert.ends_at.is_some();
        Self {
            id,
            receiver: receiver.clone(),
            group: GroupKey::alone(&alert.fingerprint),
            cause: if over { Cause::Over } else { Cause::First },
            alerts: vec![Subject { cluster: cluster.cloned(), alert: alert.clone(), news: true }],
            more: 0,
            escalates: None,
            settles: if over { vec![alert.fingerprint.clone()] } else { Vec::new() },
        }
    }
}
