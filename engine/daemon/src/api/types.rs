//! What goes over the socket.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use watchkeeper_core::execution::Word;
use watchkeeper_core::guards::{Check, Guard, GuardHold};
use watchkeeper_core::model::{MonitorName, Role, ServerName, Service, Side, Status, Timestamp};
use watchkeeper_core::plan::Plan;
use watchkeeper_core::policies::{Mode, RolledBack};
use watchkeeper_core::proposal::{Revision, Severity};
use watchkeeper_core::readiness::Readiness;
use watchkeeper_core::snapshot::Place;

/// How everything stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The monitor's name.
    pub monitor: String,
    /// The daemon's version.
    pub version: String,
    /// Since when it has been running.
    pub started: Timestamp,
    /// The term of its duty.
    pub term: u64,
    /// The journal's last record.
    pub journal: u64,
    /// What is wrong with the monitor itself.
    pub alerts: Vec<AlertReport>,
    /// Notifications that wait, and those that were given up.
    pub outbox: (usize, usize),
    /// The clusters.
    pub clusters: Vec<ClusterReport>,
}

/// How a cluster stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterReport {
    /// Its name.
    pub name: String,
    /// Its phase, for people.
    pub phase: String,
    /// The active side.
    pub active: Side,
    /// Since when.
    pub active_since: Timestamp,
    /// Whether this monitor may act for it.
    pub duty: DutyReport,
    /// Maintenance mode, while it is on.
    pub maintenance: Option<MaintenanceReport>,
    /// The services that are in maintenance, each by itself, by names such as `dm1/daemon`.
    #[serde(default)]
    pub services_in_maintenance: BTreeMap<String, MaintenanceReport>,
    /// The plan in flight.
    pub plan: Option<PlanReport>,
    /// The change of side that stopped on its way, until an operator has said what becomes of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<StoppedReport>,
    /// Its servers.
    pub servers: Vec<ServerReport>,
    /// Its services.
    pub services: Vec<ServiceReport>,
    /// Whether the standby could take over now; none: nothing was looked at yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness: Option<Readiness>,
    /// Its policies.
    pub policies: Vec<PolicyReport>,
    /// What is wrong.
    pub alerts: Vec<AlertReport>,
    /// What is wanted, and what holds it.
    pub wants: Option<String>,
    /// What holds it.
    pub held_by: Vec<String>,
    /// What would be done if the policies in the shadow were obeyed, in words; none: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_shadow: Option<String>,
    /// Evaluations since the start.
    pub evaluations: u64,
    /// How long the last one took, recording included, in microseconds.
    pub last_evaluation_us: u64,
    /// Why nothing can be recorded, and so nothing is done.
    pub trouble: Option<String>,
}

/// Maintenance mode of a cluster or of one of its services.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceReport {
    /// Who switched it on.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
}

/// Whether a monitor may act for a cluster.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DutyReport {
    /// Whether it may.
    pub held: bool,
    /// The last term that it knows of; its own, if it may.
    pub term: u64,
    /// Who has the duty, if it is another and known.
    pub holder: Option<MonitorName>,
    /// Why it may not.
    pub why: Option<String>,
}

/// A plan in flight.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// Its number.
    pub number: u64,
    /// What it is for.
    pub kind: String,
    /// Why.
    pub reason: String,
    /// The step under way, counted from 1.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// What is being done.
    pub act: String,
}

/// A change of side that stopped on its way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoppedReport {
    /// The plan's number.
    pub number: u64,
    /// What it is for.
    pub kind: String,
    /// Why it was begun.
    pub reason: String,
    /// When it stopped.
    pub at: Timestamp,
    /// The step at which it stopped, counted from 1.
    pub step: usize,
    /// How many steps there are.
    pub steps: usize,
    /// What was to be done in it.
    pub act: String,
    /// Whether that was begun.
    pub begun: bool,
    /// Why it stopped.
    pub why: String,
    /// Whether nobody knows if the step took effect, so that an operator has to say.
    #[serde(default)]
    pub needs_word: bool,
    /// What was not begun, in order.
    pub left: Vec<String>,
    /// The side that would count as active if it were given up now; none: an operator has to say.
    pub if_abandoned: Option<Side>,
    /// Why.
    pub if_abandoned_why: String,
}

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerReport {
    /// Its name.
    pub name: ServerName,
    /// Its address in the configuration; empty while a change that removes the server is taken over.
    pub address: String,
    /// Its designated role.
    pub role: Role,
    /// Where it stands now.
    pub place: Place,
    /// Whether it can be logged in to.
    pub status: Status,
    /// Why.
    pub detail: String,
    /// What other servers have found of it since it does not answer: `alive`, `gone` or `unable`, by
    /// the server that looked.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub seen_from: BTreeMap<String, String>,
}

/// How a service stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceReport {
    /// Its server.
    pub server: ServerName,
    /// Which service.
    pub service: Service,
    /// Whether it is meant to run there now.
    pub expected: bool,
    /// Whether it is in maintenance by itself.
    #[serde(default)]
    pub maintenance: bool,
    /// Its status.
    pub status: Status,
    /// Why.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
}

/// A policy in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// Its name in the configuration.
    pub name: String,
    /// What is in force; none if nothing could be loaded.
    pub revision: Option<Revision>,
    /// What it does, by its own word.
    pub summary: String,
    /// What the configuration grants it.
    pub grants: Vec<String>,
    /// Whether it is obeyed.
    #[serde(default)]
    pub mode: Mode,
    /// What the configuration says of that, if an operator has said something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configured_mode: Option<Mode>,
    /// The revision that was taken back, with by whom and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// What a rollback would bring back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Revision>,
    /// Why there is none, or how it failed the last time.
    pub problem: Option<String>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertReport {
    /// What kind of trouble.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// One line for people.
    pub summary: String,
    /// The site's code for it.
    pub code: String,
    /// Since when.
    pub since: Timestamp,
    /// Who says so.
    pub source: String,
}

/// What an operator orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order", deny_unknown_fields)]
pub enum OrderRequest {
    /// Make the other side active, even if this one cannot be stopped in good order.
    Failover {
        /// Why.
        reason: String,
        /// Guards that are not to hold it.
        #[serde(default)]
        overrides: Vec<Guard>,
        /// Only show the plan.
        #[serde(default)]
        dry_run: bool,
    },
    /// Make the secondary active, in good order.
    Switchover {
        /// Why.
        reason: String,
        /// Guards that are not to hold it.
        #[serde(default)]
        overrides: Vec<Guard>,
        /// Only show the plan.
        #[serde(default)]
        dry_run: bool,
    },
    /// Make the primary active again, in good order.
    Switchback {
        /// Why.
        reason: String,
        /// Guards that are not to hold it.
        #[serde(default)]
        overrides: Vec<Guard>,
        /// Only show the plan.
        #[serde(default)]
        dry_run: bool,
    },
    /// Take no action by itself.
    MaintenanceOn {
        /// Why.
        reason: String,
        /// When it ends by itself.
        until: Option<Timestamp>,
        /// The service that is to be left alone, such as `dm1/daemon`; none: the whole cluster.
        #[serde(default)]
        service: Option<String>,
    },
    /// Act again.
    MaintenanceOff {
        /// The service it was for; none: the whole cluster.
        #[serde(default)]
        service: Option<String>,
    },
    /// Let this monitor have the duty.
    TakeDuty {
        /// Why.
        reason: String,
        /// Even if the other monitor cannot be asked.
        #[serde(default)]
        force: bool,
    },
    /// Let the other monitor have the duty.
    GiveDuty {
        /// Why.
        reason: String,
    },
    /// Take an offer of the duty back that is not accepted yet.
    CancelDuty {
        /// Why.
        reason: String,
    },
    /// Obey a policy, or only ask and record it.
    PolicyMode {
        /// The policy.
        policy: String,
        /// The mode.
        mode: Mode,
        /// Why.
        reason: String,
    },
    /// Go back to a policy's revision before the one in force.
    PolicyRollback {
        /// The policy.
        policy: String,
        /// Why.
        reason: String,
    },
    /// Use a policy's file again that holds a revision which was taken back.
    PolicyRetry {
        /// The policy.
        policy: String,
        /// Why.
        reason: String,
    },
    /// No further step of the plan in flight.
    Abort {
        /// Why.
        reason: String,
    },
    /// Have the change of side that stopped on its way go on.
    Resume {
        /// Why.
        reason: String,
        /// What the operator says of the step at which it stopped: `again` if it did not take effect,
        /// `done` if it did; `unsaid` leaves it to the step to look.
        #[serde(default)]
        step: Word,
        /// Guards that are not to hold it.
        #[serde(default)]
        overrides: Vec<Guard>,
    },
    /// Give up the change of side that stopped on its way.
    Abandon {
        /// Why.
        reason: String,
    },
    /// Say which side is active.
    Declare {
        /// The side.
        side: Side,
        /// Why.
        reason: String,
    },
}

/// What a guard says of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Which guard, and its verdict: `ok`, `not-asked`, or `holds` with its reason.
    #[serde(flatten)]
    pub check: Check,
    /// What is so when it does not hold, for people.
    pub assures: String,
    /// Whether an operator may override it.
    pub can_be_overridden: bool,
    /// Whether the order overrides it.
    pub overridden: bool,
}

/// What was done about an order.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "result")]
pub enum OrderReply {
    /// It is so now.
    Done,
    /// What was done about the duty.
    Duty {
        /// In words.
        said: String,
    },
    /// The plan begins.
    Begun {
        /// The plan.
        plan: Box<Plan>,
    },
    /// The plan that would begin, and what would hold it.
    Shown {
        /// The plan.
        plan: Box<Plan>,
        /// What would hold it.
        holds: Vec<GuardHold>,
        /// What each guard says, in the order in which they are asked.
        #[serde(default)]
        checks: Vec<CheckReport>,
    },
    /// The plan stops before its next step.
    Aborted {
        /// The plan.
        plan: Box<Plan>,
        /// The step that was next or under way, counted from 0.
        step: usize,
    },
    /// The plan is given up.
    Abandoned {
        /// Its number.
        plan: u64,
        /// The side that counts as active from now; none: an operator has to declare it.
        side: Option<Side>,
        /// Why that side, or why none.
        why: String,
    },
    /// Guards hold it: all reasons at once.
    Held {
        /// The reasons.
        holds: Vec<GuardHold>,
    },
    /// It is not possible.
    Impossible {
        /// Why.
        why: String,
    },
}

/// Why a request could not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mistake {
    /// What was wrong, and what to do.
    pub error: String,
}
