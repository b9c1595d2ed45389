//! Whether the standby could take over now, check by check.
//!
//! A failover is the wrong moment to find out that a unit was masked last month. So all that a change
//! of side rests on and that can be known beforehand is known all the time: it is shown, told when it
//! turns false, and asked by the guard ([`holds`]).
//!
//! Some of what is found makes a failover impossible or dangerous, and holds it: begun all the same, it
//! would stop on the way with nobody serving. The rest is told and holds nothing: a clock that is off or
//! a certificate that ends next week is no reason to stay without service. What was not measured holds
//! nothing either; what was found wrong holds until it was found right, since a look that fails now does
//! not make it right.

mod looked;
mod repository;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::facts::{ReasonCode, Value};
use crate::model::{ServerName, Service, Status};
use crate::snapshot::{Filter, Place, ServerFacts, Snapshot};

pub(crate) use looked::unstoppable;

/// What is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// The server can be logged in to.
    Reachable,
    /// It has every essential service that the active side has.
    Installed,
    /// Its services' start and status commands are there and may be run.
    Startable,
    /// So are the stop commands, on both sides.
    Stoppable,
    /// Nothing else listens on its services' ports.
    Ports,
    /// There is room on its file systems.
    Disk,
    /// There is memory left.
    Memory,
    /// Its repository serves.
    Repository,
    /// Its repository follows, and is near enough.
    Replication,
    /// Its repository takes writes.
    Writable,
    /// Its clock goes with the monitor's and the active side's.
    Clock,
    /// Its services are of the active side's versions.
    Versions,
    /// No certificate ends soon.
    Certificates,
}

impl Item {
    /// Every item, in the order in which they are shown: what explains others comes first.
    pub const ALL: [Self; 13] = [
        Self::Reachable,
        Self::Installed,
        Self::Startable,
        Self::Ports,
        Self::Disk,
        Self::Repository,
        Self::Replication,
        Self::Writable,
        Self::Stoppable,
        Self::Memory,
        Self::Clock,
        Self::Versions,
        Self::Certificates,
    ];

    /// The name in output and in the alert's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reachable => "reachable",
            Self::Installed => "installed",
            Self::Startable => "startable",
            Self::Stoppable => "stoppable",
            Self::Ports => "ports",
            Self::Disk => "disk",
            Self::Memory => "memory",
            Self::Repository => "repository",
            Self::Replication => "replication",
            Self::Writable => "writable",
            Self::Clock => "clock",
            Self::Versions => "versions",
            Self::Certificates => "certificates",
        }
    }

    /// What is so when it is ready, for people.
    pub const fn assures(self) -> &'static str {
        match self {
            Self::Reachable => "it can be logged in to",
            Self::Installed => "it has what the active side has",
            Self::Startable => "its services' commands are there and may be run",
            Self::Stoppable => "services can be stopped on both sides",
            Self::Ports => "nothing else listens on its services' ports",
            Self::Disk => "there is room on its file systems",
            Self::Memory => "there is memory left",
            Self::Repository => "its repository serves",
            Self::Replication => "its repository follows and is near enough",
            Self::Writable => "its repository takes writes",
            Self::Clock => "its clock is right",
            Self::Versions => "its versions are the active side's",
            Self::Certificates => "no certificate ends soon",
        }
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a check comes to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    /// It is so.
    Ready,
    /// It is not so.
    NotReady {
        /// Why, for people.
        reason: String,
        /// Whether it holds a failover.
        holds: bool,
    },
    /// It cannot be told, or cannot any more.
    Unknown {
        /// Why, for people.
        reason: String,
    },
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What is checked.
    pub item: Item,
    /// What it comes to.
    #[serde(flatten)]
    pub answer: Answer,
}

/// All checks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing speaks against it, as far as is known.
    Ready,
    /// It could take over, and not all is as it should be.
    Impaired,
    /// A failover would be held.
    NotReady,
}

/// Whether a standby could take over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    /// The standby's server.
    pub server: ServerName,
    /// All in one word.
    pub verdict: Verdict,
    /// Check by check, in the order of [`Item::ALL`]. What is not configured is left out.
    pub checks: Vec<Check>,
}

/// What is still good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// The replication lag up to which the standby may take over, in bytes.
    pub max_lag_bytes: u64,
    /// Less room than this is told.
    pub min_disk_bytes: u64,
    /// Less memory than this is told.
    pub min_memory_bytes: u64,
    /// A clock further off than this is told, in milliseconds.
    pub max_clock_ms: u64,
    /// A certificate that ends sooner than this is told, in milliseconds.
    pub certificate_ms: u64,
    /// What was looked at longer ago than this is not known any more, in milliseconds.
    pub stale_ms: u64,
}

/// A file system with less room than this counts as full, whatever is configured: a repository that
/// cannot write its log stops.
pub const FULL_BYTES: u64 = 64 << 20;

/// What was found of one item.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// What makes a failover impossible or dangerous.
    holds: Vec<String>,
    /// What is to be told and holds nothing.
    mild: Vec<String>,
    /// What cannot be told.
    unknown: Vec<String>,
}

impl Found {
    fn answer(self) -> Answer {
        let holds = !self.holds.is_empty();
        let wrong: Vec<String> = self.holds.into_iter().chain(self.mild).collect();
        if !wrong.is_empty() {
            Answer::NotReady { reason: wrong.join("; "), holds }
        } else if !self.unknown.is_empty() {
            Answer::Unknown { reason: self.unknown.join("; ") }
        } else {
            Answer::Ready
        }
    }
}

impl Readiness {
    /// Checks the standby; none if there is none.
    pub fn of(snapshot: &Snapshot, bounds: &Bounds) -> Option<Self> {
        let standby = snapshot.at(Place::Standby)?;
        let checks: Vec<Check> = Item::ALL
            .into_iter()
            .filter_map(|item| {
                let found = match item {
                    Item::Reachable => reachable(snapshot, standby),
                    Item::Installed => installed(snapshot, standby),
                    Item::Repository => repository::serves(snapshot, standby)?,
                    Item::Replication => {
                        repository::follows(snapshot, standby, bounds.max_lag_bytes)?
                    }
                    _ => looked::item(snapshot, standby, item, bounds)?,
                };
                Some(Check { item, answer: found.answer() })
            })
            .collect();
        let verdict = checks.iter().fold(Verdict::Ready, |verdict, check| match check.answer {
            Answer::NotReady { holds: true, .. } => Verdict::NotReady,
            Answer::NotReady { .. } if verdict == Verdict::Ready => Verdict::Impaired,
            _ => verdict,
        });
        Some(Self { server: standby.name.clone(), verdict, checks })
    }

    /// What is not ready, with the reason and whether it holds a failover.
    pub fn not_ready(&self) -> impl Iterator<Item = (Item, &str, bool)> {
        self.checks.iter().filter_map(|check| match &check.answer {
            Answer::NotReady { reason, holds } => Some((check.item, reason.as_str(), *holds)),
            Answer::Ready | Answer::Unknown { .. } => None,
        })
    }
}

/// All that makes a change of side to this standby impossible or dangerous. Without a limit of lag its
/// repository is not asked for: a switchback starts it and brings it up to date itself.
pub(crate) fn holds(
    snapshot: &Snapshot,
    standby: &ServerFacts,
    max_lag_bytes: Option<u64>,
) -> Vec<String> {
    let mut found = vec![reachable(snapshot, standby), installed(snapshot, standby)];
    if let Some(max_lag_bytes) = max_lag_bytes {
        found.extend(repository::serves(snapshot, standby));
        found.extend(repository::follows(snapshot, standby, max_lag_bytes));
    }
    found.extend(looked::holding(snapshot, standby));
    found.into_iter().flat_map(|found| found.holds).collect()
}

/// A server without a probe of its own has to have shown by a service that it answers.
fn reachable(snapshot: &Snapshot, standby: &ServerFacts) -> Found {
    let state = &standby.state;
    let mut found = Found::default();
    if state.reason.code == ReasonCode::NotProbed {
        if !answers(snapshot) {
            found.holds.push(format!("nothing shows that {} answers", standby.name));
        }
    } else if state.status != Status::Up {
        let what = format!("{} is {}: {}", standby.name, state.status, state.reason.detail);
        found.holds.push(what);
    }
    found
}

/// Whether a service of the standby was found up, or down by the server's own word.
fn answers(snapshot: &Snapshot) -> bool {
    let on_standby = Filter { place: Some(Place::Standby), ..Filter::default() };
    snapshot.services(on_standby).into_iter().any(|one| {
        one.state.status == Status::Up
            || matches!(
                one.state.reason.code,
                ReasonCode::NotRunning | ReasonCode::Refused | ReasonCode::Unhealthy
            )
    })
}

fn installed(snapshot: &Snapshot, standby: &ServerFacts) -> Found {
    let wanted = Filter { place: Some(Place::Active), expected: Some(true), ..Filter::default() };
    let mut found = Found::default();
    for one in snapshot.services(wanted) {
        let service = one.id.service;
        if service.essential() && snapshot.service(standby.name.as_str(), service).is_none() {
            found.holds.push(format!("{}/{service} is not configured", standby.name));
        }
    }
    found
}

/// What a probe of the repository's replication measured last; none: nothing, or no yes or no.
pub(crate) fn flag(snapshot: &Snapshot, server: &ServerFacts, name: &str) -> Option<bool> {
    match snapshot.measure(server.name.as_str(), Some(Service::Repository), name)?.value {
        Value::Flag(flag) => Some(flag),
        _ => None,
    }
}
