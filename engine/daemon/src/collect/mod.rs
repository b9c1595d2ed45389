//! Looking at servers.
//!
//! A probe completes a protocol exchange within its deadline and ends in a [`Finding`]: up, down
//! or unknown, with the reason. What counts as proof is the same everywhere:
//!
//! - a refused connection is down: the host answers that nobody listens;
//! - a port that accepts a new connection and then says nothing, ends it, or speaks something
//!   else is down;
//! - a timeout on the way, a missing route, a name that does not resolve, and silence on a kept
//!   connection are unknown: they cannot be told from a cut between here and there;
//! - whatever fails on this side (credentials, host keys, certificates, a missing plugin) is
//!   unknown;
//! - where SSH is only the means, trouble with SSH is unknown.
//!
//! The [`Collector`] runs each probe in a task of its own.

mod collector;
mod command;
mod database;
mod entrances;
mod fence;
mod finding;
mod http;
mod jolokia;
mod openwire;
mod readiness;
mod replication;
mod resources;
mod rest;
mod schedule;
mod service;
mod tcp;

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use watchkeeper_core::facts::{Observation, ProbeId, ReasonCode, Value};
use watchkeeper_core::model::Status;

pub use self::collector::Collector;
pub use self::command::{Command, Where};
pub use self::database::Database;
pub(crate) use self::entrances::{findings, greeting};
pub use self::finding::Finding;
pub use self::http::{Http, HttpAsk, HttpSettings, HttpSettingsError, MAX_BODY};
pub use self::jolokia::Jolokia;
pub use self::openwire::OpenWire;
pub(crate) use self::readiness::{Can, Found as Looked, ask_repository};
pub use self::readiness::{Controlled, Readiness};
pub use self::replication::{Replication, ReplicationSide};
pub use self::resources::{Disk, Resources};
pub use self::rest::{DataMoverRest, RestSubject};
pub(crate) use self::schedule::CONFIRMATIONS;
pub use self::service::{ServerLogin, ServiceState};
pub use self::tcp::Tcp;

use crate::fence::Agent;
use crate::ssh::Ssh;
use crate::{clock, share};

/// What a probe does.
#[derive(Debug, Clone, PartialEq)]
pub enum ProbeKind {
    /// A service's status command over SSH.
    ServiceState(ServiceState),
    /// The SSH login itself.
    ServerLogin(ServerLogin),
    /// A port.
    Tcp(Tcp),
    /// A page.
    Http(Http),
    /// Data Mover's REST interface.
    DataMoverRest(DataMoverRest),
    /// A query.
    Database(Database),
    /// The repository's replication.
    Replication(Replication),
    /// ActiveMQ's greeting.
    OpenWire(OpenWire),
    /// ActiveMQ's own opinion.
    Jolokia(Jolokia),
    /// A command with the Nagios convention.
    Command(Command),
    /// What feeds a server's power.
    Fence(Agent),
    /// File systems and memory.
    Resources(Resources),
    /// What a change of side would need.
    Readiness(Readiness),
}

impl ProbeKind {
    async fn run(&self, deadline: Instant) -> Finding {
        match self {
            Self::ServiceState(probe) => probe.run(deadline).await,
            Self::ServerLogin(probe) => probe.run(deadline).await,
            Self::Tcp(probe) => probe.run(deadline).await,
            Self::Http(probe) => probe.run(deadline).await,
            Self::DataMoverRest(probe) => probe.run(deadline).await,
            Self::Database(probe) => probe.run(deadline).await,
            Self::Replication(probe) => probe.run(deadline).await,
            Self::OpenWire(probe) => probe.run(deadline).await,
            Self::Jolokia(probe) => probe.run(deadline).await,
            Self::Command(probe) => probe.run(deadline).await,
            Self::Fence(agent) => fence::look(agent, deadline).await,
            Self::Resources(probe) => probe.run(deadline).await,
            Self::Readiness(probe) => probe.run(deadline).await,
        }
    }

    /// Whether how long it takes is how long what it looks at takes to answer: it completes an exchange
    /// with that, from making a connection (or on the kept one) to the answer's end. What a port's
    /// acceptance, a command or a view beside the service takes says little of it.
    const fn times_an_exchange(&self) -> bool {
        match self {
            Self::ServerLogin(_)
            | Self::Http(_)
            | Self::DataMoverRest(_)
            | Self::Database(_)
            | Self::OpenWire(_) => true,
            Self::ServiceState(_)
            | Self::Tcp(_)
            | Self::Replication(_)
            | Self::Jolokia(_)
            | Self::Command(_)
            | Self::Fence(_)
            | Self::Resources(_)
            | Self::Readiness(_) => false,
        }
    }

    /// Whether it is no more than that status command.
    pub(crate) fn runs(&self, command: &str) -> bool {
        matches!(self, Self::ServiceState(probe) if probe.command == command)
    }

    /// Counts the losses of the kept connection it looks through, if it has one.
    fn losses(&self) -> Option<watch::Receiver<u64>> {
        let ssh = |ssh: &Ssh| Some(ssh.losses());
        match self {
            Self::ServiceState(probe) => ssh(&probe.ssh),
            Self::ServerLogin(probe) => ssh(&probe.ssh),
            Self::Command(Command { run: Where::There { ssh: way, .. } }) => ssh(way),
            Self::Database(probe) => Some(probe.pg.losses()),
            Self::Replication(probe) => Some(probe.pg.losses()),
            _ => None,
        }
    }
}

/// A probe as configured.
#[derive(Debug, Clone, PartialEq)]
pub struct ProbeSpec {
    /// Its name.
    pub id: ProbeId,
    /// What it does.
    pub kind: ProbeKind,
    /// How often it runs in calm times, from start to start.
    pub interval: Duration,
    /// How often it runs while a failure is being confirmed.
    pub confirm_interval: Duration,
    /// How long one run may take.
    pub timeout: Duration,
}

/// What a probe may take beyond its timeout before it is given up from outside. Probes keep their
/// deadlines themselves; this is for one that does not.
const GRACE: Duration = Duration::from_millis(500);

/// Ends a task that nobody waits for any more.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Runs a probe once, whatever its schedule. Always ends within its timeout and a little.
pub async fn run_once(spec: &ProbeSpec) -> Observation {
    let _others = share::others();
    let started = Instant::now();
    let deadline = started + spec.timeout;
    let (kind, timed) = (spec.kind.clone(), spec.kind.times_an_exchange());
    // In a task of its own, so that a defect in one probe ends that probe only.
    let mut task = AbortOnDrop(tokio::spawn(async move { kind.run(deadline).await }));
    let finding = match timeout_at(deadline + GRACE, &mut task.0).await {
        Ok(Ok(finding)) => finding,
        Ok(Err(error)) => {
            let detail = format!("the probe failed by a defect of the monitor: {error}");
            Finding::unknown(ReasonCode::Monitor, &detail)
        }
        Err(_) => Finding::unknown(ReasonCode::TimedOut, "the probe did not end in time"),
    };
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let finding = if timed && finding.status == Status::Up {
        let latency = i64::try_from(took_ms).unwrap_or(i64::MAX);
        finding.with("latency-ms", Value::Integer(latency))
    } else {
        finding
    };
    Observation {
        probe: spec.id.clone(),
        status: finding.status,
        reason: finding.reason,
        at: clock::now(),
        took_ms,
        values: finding.values,
    }
}
