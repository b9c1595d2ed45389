//! What policies ask for.
//!
//! A policy turns a snapshot into an [`Evaluation`]. Nothing in it is done because it was asked
//! for: arbitration decides, and only within what the configuration grants.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{PolicyName, ServerName, Service, ServiceId};

/// Something to be done to a cluster. At most one is done at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "action")]
pub enum Action {
    /// Start a stopped service again.
    Rescue(ServiceId),
    /// Stop a service that runs where it is not meant to.
    StopService(ServiceId),
    /// Make the other side active.
    Failover,
}

impl Action {
    /// The permission that it needs.
    pub const fn grant(&self) -> Grant {
        match self {
            Self::Rescue(_) => Grant::Rescue,
            Self::StopService(_) => Grant::StopService,
            Self::Failover => Grant::Failover,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rescue(id) => write!(f, "rescue {id}"),
            Self::StopService(id) => write!(f, "stop {id}"),
            Self::Failover => f.write_str("fail over"),
        }
    }
}

/// A permission that the configuration gives to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// May propose to start a stopped service again.
    Rescue,
    /// May propose to stop a stray service.
    StopService,
    /// May propose a failover.
    Failover,
    /// May hold what other policies propose.
    Hold,
    /// May raise alerts.
    Alert,
}

impl Grant {
    /// Every permission.
    pub const ALL: [Self; 5] =
        [Self::Rescue, Self::StopService, Self::Failover, Self::Hold, Self::Alert];

    /// The name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rescue => "rescue",
            Self::StopService => "stop-service",
            Self::Failover => "failover",
            Self::Hold => "hold",
            Self::Alert => "alert",
        }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// An action that a policy asks for, with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// What is to be done.
    #[serde(flatten)]
    pub action: Action,
    /// Why, for people.
    pub reason: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Somebody should look at it today.
    Warning,
    /// Somebody should look at it now.
    Critical,
}

impl Severity {
    /// Its name in the configuration, output and guests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that is wrong at this moment. A policy claims it in every evaluation for as long as
/// it holds; when it is claimed no longer, the alert is resolved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertClaim {
    /// What kind of trouble, in kebab case, such as `service-down`.
    pub name: String,
    /// How bad it is.
    pub severity: Severity,
    /// The server it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerName>,
    /// The service it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The site's code for it, such as a TVI code; empty if there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// One line for people. It may change while the alert stays the same.
    pub summary: String,
    /// Further labels. They are part of the alert's identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What one evaluation of a policy came to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Evaluation {
    /// The actions asked for, the most wanted first.
    #[serde(default)]
    pub proposals: Vec<Proposal>,
    /// Reasons why no action of any policy should be carried out now.
    #[serde(default)]
    pub holds: Vec<String>,
    /// What is wrong at this moment.
    #[serde(default)]
    pub alerts: Vec<AlertClaim>,
    /// What the policy wants to remember.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub state: Vec<u8>,
    /// After how many milliseconds to look again even if no fact has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_again_ms: Option<u64>,
    /// What the policy wants to have said about how it came to this.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// The digest and version of a loaded policy or plugin.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Revision {
    /// SHA-256 of the component's bytes, in lower-case hexadecimal.
    pub digest: String,
    /// The version that the component says it has.
    pub version: String,
}

impl Revision {
    /// The first 12 digits of the digest: enough to tell revisions apart in a table.
    pub fn short(&self) -> &str {
        self.digest.get(..12).unwrap_or(&self.digest)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.short())
    }
}

/// Why a guest gave no answer. Each is contained: it costs the guest its say, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// It ran into an instruction that ends it: a panic, an impossible access.
    Trap,
    /// It did not end in time.
    Deadline,
    /// It wanted more memory than it may have.
    Memory,
    /// It wanted a larger table, or more instances, than it may have.
    Table,
    /// Its calls were nested too deeply.
    Stack,
    /// What it gave back is larger than allowed.
    Result,
    /// It asked the host for more than one call may.
    HostCalls,
    /// It gave back something that makes no sense, such as a server that does not exist.
    Invalid,
    /// It said itself that it cannot answer.
    Refused,
    /// It could not be started.
    Instantiation,
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Trap => "trap",
            Self::Deadline => "deadline",
            Self::Memory => "memory limit",
            Self::Table => "table limit",
            Self::Stack => "stack overflow",
            Self::Result => "result too large",
            Self::HostCalls => "too many host calls",
            Self::Invalid => "invalid answer",
            Self::Refused => "refused",
            Self::Instantiation => "instantiation",
        })
    }
}

/// A guest's failure, as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, for people.
    pub detail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}

/// What a policy of a cluster said, or why it said nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opinion {
    /// The policy, as the configuration names it.
    pub policy: PolicyName,
    /// Which revision of it.
    pub revision: Revision,
    /// What it read.
    pub reads: std::collections::BTreeSet<crate::snapshot::Read>,
    /// What it came to.
    pub outcome: Result<Evaluation, Failure>,
}
