//! The immutable, ordered steps that a decision needs.
//!
//! A plan is made once, from the topology, the site's arrangements and the facts of the moment,
//! and leaves no choice to whoever carries it out. Every step is idempotent: whoever carries it
//! out checks first whether it is so already, then acts, then verifies.
//!
//! Invariant 1 stands here: in every change of side, [`Act::ConfirmInactive`] for the old side
//! comes before the first [`Act::StartService`] of an exclusive service on the new one.

mod make;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lifecycle::Trigger;
use crate::model::{
    ClusterName, PolicyName, ServerName, Service, ServiceId, Side, Term, Timestamp, Topology,
};
use crate::snapshot::Snapshot;

/// What a plan is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum PlanKind {
    /// Start a stopped service again.
    Rescue(ServiceId),
    /// Stop a service that runs where it is not meant to.
    Clear(ServiceId),
    /// Unplanned change of side.
    Failover,
    /// Planned change from the primary to the secondary.
    Switchover,
    /// Planned return to the primary.
    Switchback,
}

impl PlanKind {
    /// Whether the plan changes which side is active.
    pub const fn changes_side(&self) -> bool {
        matches!(self, Self::Failover | Self::Switchover | Self::Switchback)
    }

    /// What begins a plan of this kind, in the lifecycle's words.
    pub const fn trigger(&self) -> Trigger {
        match self {
            Self::Rescue(_) => Trigger::RescueBegun,
            Self::Clear(_) => Trigger::ClearingBegun,
            Self::Failover => Trigger::FailoverBegun,
            Self::Switchover => Trigger::SwitchoverBegun,
            Self::Switchback => Trigger::SwitchbackBegun,
        }
    }

    /// What takes a plan of this kind up again, in the lifecycle's words; none: it never stops on the
    /// way, it ends.
    pub const fn resumed(&self) -> Option<Trigger> {
        match self {
            Self::Rescue(_) | Self::Clear(_) => None,
            Self::Failover => Some(Trigger::FailoverResumed),
            Self::Switchover => Some(Trigger::SwitchoverResumed),
            Self::Switchback => Some(Trigger::SwitchbackResumed),
        }
    }
}

impl fmt::Display for PlanKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rescue(id) => write!(f, "rescue of {id}"),
            Self::Clear(id) => write!(f, "stop of stray {id}"),
            Self::Failover => f.write_str("failover"),
            Self::Switchover => f.write_str("switchover"),
            Self::Switchback => f.write_str("switchback"),
        }
    }
}

/// Who wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrderedBy {
    /// A policy, by its own decision.
    Policy(PolicyName),
    /// A person, by this name.
    Operator(String),
}

impl fmt::Display for OrderedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Policy(name) => write!(f, "policy {name}"),
            Self::Operator(name) => write!(f, "operator {name}"),
        }
    }
}

/// What counts as proof that a server can no longer act, when its services cannot be confirmed
/// stopped on the server itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// It is switched off by its fence agents, the first of its levels that manages to; within this
    /// many milliseconds for all of them together.
    Fence {
        /// The time for all levels together, in milliseconds.
        within_ms: u64,
    },
    /// At least this many other servers find it gone: none of its exclusive services' ports
    /// answers from there.
    Witnesses(u32),
    /// An operator says so: without one the plan stops and asks.
    Operator,
    /// None is needed. The configuration says so, and `check` warns of it.
    Nothing,
}

/// Where a step of the site's own stands in a change of side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// Before anything is touched. If it fails, nothing has changed.
    BeforeStop,
    /// After the old side is confirmed inactive, before anything starts on the new one.
    BeforeStart,
    /// After the new side serves, verified. If it fails and is not optional, the change of side is
    /// for an operator to judge.
    AfterStart,
}

impl Point {
    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeStop => "before-stop",
            Self::BeforeStart => "before-start",
            Self::AfterStart => "after-start",
        }
    }
}

/// A step of the site's own: a named command, here or on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStep {
    /// Its name in the configuration.
    pub name: String,
    /// Where it stands in the plan.
    pub point: Point,
    /// The server to run it on; none: on the monitor.
    pub server: Option<ServerName>,
    /// The command line. `{from}`, `{to}`, `{cluster}` and `{plan}` are replaced.
    pub command: String,
    /// A command that says with exit code 0 that the step is done already.
    pub check: Option<String>,
    /// A command that says with exit code 0, without doing anything, that the step could be done now;
    /// none: a rehearsal leaves it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearse: Option<String>,
    /// Whether it may be run again when it is not known if it ran.
    pub repeatable: bool,
    /// After how long it is ended, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried; at least 1.
    pub attempts: u32,
    /// Whether the plan goes on without it.
    pub optional: bool,
}

/// One idempotent act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Act {
    /// Start a service, and wait until its probes find it serving.
    StartService(ServiceId),
    /// Stop a service, and wait until its probes find it stopped.
    StopService(ServiceId),
    /// Be sure that none of the services runs on the server: by its own word, else by proof. If it
    /// says itself that one still runs, no proof counts; it is fenced all the same if that is the
    /// proof and the plan has asked it to stop ([`Plan::asks_to_stop`]).
    ConfirmInactive {
        /// The server that must not act any more.
        server: ServerName,
        /// The services in question.
        services: Vec<Service>,
        /// What is enough if the server cannot be asked.
        proof: Proof,
    },
    /// Wait until the repository on `to` has applied all that `from` has written.
    AwaitReplication {
        /// The server that writes.
        from: ServerName,
        /// The server that applies.
        to: ServerName,
    },
    /// Make the repository on the server independent: it receives nothing any more.
    DetachRepository {
        /// The server that received until now.
        server: ServerName,
    },
    /// Replace the content of the repository on `to` by that of `from`, and keep it up to date.
    CopyRepository {
        /// The server whose content counts.
        from: ServerName,
        /// The server whose content is replaced.
        to: ServerName,
    },
    /// Take the sequences of the repository on `from` over to `to`: replication leaves them out,
    /// so the next insert would collide. If `from` cannot be asked, each sequence is set past the
    /// greatest value in use on `to` instead, so that a lost side never makes this fail.
    CarrySequences {
        /// Where they were counted on until now.
        from: ServerName,
        /// Where they are counted on from now.
        to: ServerName,
    },
    /// Run a command of the site's own.
    Site(SiteStep),
    /// Be sure that all of these serve, by all their probes.
    Verify {
        /// The services in question.
        services: Vec<ServiceId>,
    },
}

impl Act {
    /// Whether it can change anything.
    pub const fn has_effect(&self) -> bool {
        match self {
            Self::StartService(_)
            | Self::StopService(_)
            | Self::DetachRepository { .. }
            | Self::CopyRepository { .. }
            | Self::CarrySequences { .. } => true,
            Self::Site(step) => !matches!(step.point, Point::BeforeStop),
            Self::ConfirmInactive { proof, .. } => matches!(proof, Proof::Fence { .. }),
            Self::AwaitReplication { .. } | Self::Verify { .. } => false,
        }
    }

    /// Every kind of act, in the order in which they stand here: the words of [`Act::kind`].
    pub const KINDS: [&str; 9] = [
        "start-service",
        "stop-service",
        "confirm-inactive",
        "await-replication",
        "detach-repository",
        "copy-repository",
        "carry-sequences",
        "site",
        "verify",
    ];

    /// Which kind of act it is, in the words of the journal.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::StartService(_) => "start-service",
            Self::StopService(_) => "stop-service",
            Self::ConfirmInactive { .. } => "confirm-inactive",
            Self::AwaitReplication { .. } => "await-replication",
            Self::DetachRepository { .. } => "detach-repository",
            Self::CopyRepository { .. } => "copy-repository",
            Self::CarrySequences { .. } => "carry-sequences",
            Self::Site(_) => "site",
            Self::Verify { .. } => "verify",
        }
    }

    /// Whether what it made sure of, or did, may be so no longer some time later, so that a plan that is
    /// taken up again does it anew. It looks first, and what is still so costs a look. A repository that
    /// was `taken_over` receives nothing any more, and is waited for no more.
    pub const fn to_be_made_sure_of(&self, taken_over: bool) -> bool {
        match self {
            Self::AwaitReplication { .. } => !taken_over,
            Self::StartService(_)
            | Self::StopService(_)
            | Self::ConfirmInactive { .. }
            | Self::Verify { .. } => true,
            Self::DetachRepository { .. }
            | Self::CopyRepository { .. }
            | Self::CarrySequences { .. }
            | Self::Site(_) => false,
        }
    }

    /// Whether it may be begun again when a crash left open how far it came. Every act of the
    /// engine's own checks first; a command of the site's own has to say so.
    pub const fn repeatable(&self) -> bool {
        match self {
            Self::Site(step) => step.repeatable || step.check.is_some(),
            _ => true,
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StartService(id) => write!(f, "start {id}"),
            Self::StopService(id) => write!(f, "stop {id}"),
            Self::ConfirmInactive { server, .. } => write!(f, "confirm that {server} is inactive"),
            Self::AwaitReplication { from, to } => {
                write!(f, "wait until {to}/repository has applied all of {from}/repository")
            }
            Self::DetachRepository { server } => {
                write!(f, "make {server}/repository independent")
            }
            Self::CopyRepository { from, to } => {
                write!(f, "bring {to}/repository up to date from {from}/repository")
            }
            Self::CarrySequences { from, to } => {
                write!(f, "carry the sequences of {from}/repository over to {to}/repository")
            }
            Self::Site(step) => match &step.server {
                Some(server) => write!(f, "site step {} on {server}", step.name),
                None => write!(f, "site step {}", step.name),
            },
            Self::Verify { services } => {
                f.write_str("verify that ")?;
                for (i, id) in services.iter().enumerate() {
                    write!(f, "{}{id}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(" serve")
            }
        }
    }
}

/// What a step's failure means for its plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// The plan stops.
    Stop,
    /// The plan goes on: a later step makes sure of what matters.
    GoOn,
}

/// One step of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What is done. Not flattened: a site step has a timeout and attempts of its own.
    pub act: Act,
    /// After how long one attempt is given up, in milliseconds.
    pub timeout_ms: u64,
    /// How often it is tried; at least 1.
    pub attempts: u32,
    /// How long to wait between two attempts, in milliseconds.
    pub retry_delay_ms: u64,
    /// What its failure means.
    pub on_failure: OnFailure,
}

/// The ordered steps that a decision needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Rises by one with each plan of a cluster.
    pub number: u64,
    /// The cluster it is for.
    pub cluster: ClusterName,
    /// What it is for.
    #[serde(flatten)]
    pub kind: PlanKind,
    /// The term in which it was decided; it travels with every step.
    pub term: Term,
    /// The side that is active before it.
    pub from: Side,
    /// The side that is active after it.
    pub to: Side,
    /// Who wanted it.
    pub ordered_by: OrderedBy,
    /// Why, for people.
    pub reason: String,
    /// When it was made.
    pub made: Timestamp,
    /// What is to be done, in order.
    pub steps: Vec<Step>,
}

/// What a site arranged for plans, from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrangements {
    /// How long a service may take to start until it serves, in milliseconds.
    pub start_timeout_ms: u64,
    /// How long a service may take to stop, in milliseconds.
    pub stop_timeout_ms: u64,
    /// How long a step on the repository may take, in milliseconds.
    pub repository_timeout_ms: u64,
    /// How often a step is tried; at least 1.
    pub attempts: u32,
    /// How long to wait between two attempts, in milliseconds.
    pub retry_delay_ms: u64,
    /// What is enough if the old side cannot be asked.
    pub proof: Proof,
    /// Whether the repository is replicated by Watchkeeper's steps (detach, carry sequences).
    pub replicated_repository: bool,
    /// Steps of the site's own, in order.
    pub site_steps: Vec<SiteStep>,
}

/// Everything a plan is made from.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The plan's number.
    pub number: u64,
    /// What it is for.
    pub kind: PlanKind,
    /// The term in which it was decided.
    pub term: Term,
    /// Who wanted it.
    pub ordered_by: OrderedBy,
    /// Why, for people.
    pub reason: String,
    /// The cluster.
    pub topology: &'a Topology,
    /// What the site arranged.
    pub arrangements: &'a Arrangements,
    /// The facts it was decided on.
    pub snapshot: &'a Snapshot,
}

impl Plan {
    /// Makes the plan. The facts decide only two things: a server that does not answer is not
    /// asked to stop its services, and a repository that does not serve is not waited for.
    pub fn make(request: Request<'_>) -> Self {
        let facts = request.snapshot.facts();
        let from = facts.cluster.phase.side();
        let to = if request.kind.changes_side() { from.other() } else { from };
        let steps = make::steps(&request, from, to);
        Self {
            number: request.number,
            cluster: request.topology.cluster().clone(),
            kind: request.kind,
            term: request.term,
            from,
            to,
            ordered_by: request.ordered_by,
            reason: request.reason,
            made: facts.at,
            steps,
        }
    }

    /// Whether the plan has services stopped on the server. One that did not answer when the plan was
    /// made is asked nothing; if it answers now, and its services run, the reason for the plan is gone.
    pub fn asks_to_stop(&self, server: &ServerName) -> bool {
        let stops = |act: &Act| matches!(act, Act::StopService(id) if id.server == *server);
        self.steps.iter().any(|step| stops(&step.act))
    }

    /// The first step by which the repository on the new side stops being a copy of that on the old
    /// side; none: the plan leaves the repositories as they are.
    pub fn takes_over(&self) -> Option<usize> {
        let takes =
            |act: &Act| matches!(act, Act::DetachRepository { .. } | Act::CarrySequences { .. });
        self.steps.iter().position(|step| takes(&step.act))
    }

    /// Whether the plan may no longer end as if it had never begun once the step at `index` is
    /// begun. A change of side has preparations that take nothing away from the active side: the
    /// site's own before anything is stopped, and bringing the repository across up to date. Fencing
    /// takes the side away, but only one that is to be left, and a policy that finds it so decides
    /// anew: a fence agent that does not answer now may do so in a minute.
    pub fn commits(&self, index: usize) -> bool {
        let Some(step) = self.steps.get(index) else { return false };
        if !self.kind.changes_side() {
            return step.act.has_effect();
        }
        match &step.act {
            Act::StartService(id) => id.service != Service::Repository,
            Act::CopyRepository { .. } | Act::ConfirmInactive { .. } => false,
            act => act.has_effect(),
        }
    }
}
