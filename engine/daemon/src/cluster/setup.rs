//! What a cluster is watched with. Built fully and checked before it replaces the one before.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchkeeper_core::arbitration::Standing;
use watchkeeper_core::event::{Basis, Seated};
use watchkeeper_core::facts::ProbeId;
use watchkeeper_core::guards::{Duty, Limits};
use watchkeeper_core::model::Topology;
use watchkeeper_core::plan::Arrangements;
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::{Failure, FailureKind, Opinion, Revision};
use watchkeeper_core::settings::SettingValue;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_core::state::{ClusterState, Memory};
use watchkeeper_wasm::Policy;

use super::hearing::remembered;
use super::standby::StandbySetup;
use crate::act::Equipment;
use crate::collect::Collector;
use crate::revisions::Revisions;

/// The confirm interval of a probe that is no longer configured.
const LOST_PROBE: Duration = Duration::from_secs(1);

/// Everything a cluster is watched with.
pub struct Setup {
    /// Its servers and services.
    pub topology: Topology,
    /// What the site arranged for plans.
    pub arrangements: Arrangements,
    /// The guards' limits.
    pub limits: Limits,
    /// Its policies, in order.
    pub seats: Vec<Seat>,
    /// What plans are carried out with.
    pub equipment: Equipment,
    /// Its probes.
    pub probes: BTreeSet<ProbeId>,
    /// What runs them.
    pub collector: Arc<Mutex<Collector>>,
    /// Where the policies' last revisions are; none: they are not kept.
    pub revisions: Option<Arc<Revisions>>,
    /// After how many failures in a row a policy's revision is taken back; 0: never.
    pub rollback_after: u32,
    /// After how long a probe that finds nothing out is an alert; 0: never.
    pub unknown_after: Duration,
    /// When the standby counts as ready, and how it is looked at.
    pub standby: StandbySetup,
}

impl Setup {
    /// Whether `other` would watch, decide and act in the same way.
    pub fn is_like(&self, other: &Self) -> bool {
        self.topology == other.topology
            && self.arrangements == other.arrangements
            && self.limits == other.limits
            && self.equipment == other.equipment
            && self.probes == other.probes
            && self.rollback_after == other.rollback_after
            && self.unknown_after == other.unknown_after
            && self.standby == other.standby
            && self.seats.len() == other.seats.len()
            && self.seats.iter().zip(&other.seats).all(|(one, two)| one.is_like(two))
    }

    /// Has everything looked at now.
    pub(super) fn probe_all(&self) {
        self.collector.lock().unwrap_or_else(PoisonError::into_inner).probe_now(|_| true);
    }

    /// How often the probe looks while it confirms a failure.
    pub(super) fn confirm_interval(&self, probe: &ProbeId) -> Duration {
        let collector = self.collector.lock().unwrap_or_else(PoisonError::into_inner);
        collector.spec(probe).map_or(LOST_PROBE, |spec| spec.confirm_interval)
    }

    /// What its decisions rest on while the duty and the policies' standings are as given.
    pub(super) fn basis(&self, duty: Duty, standings: &[Standing]) -> Basis {
        let seated = |(seat, standing): (&Seat, &Standing)| Seated {
            standing: standing.clone(),
            settings: seat.settings.to_vec(),
        };
        Basis {
            duty,
            limits: self.limits.clone(),
            arrangements: self.arrangements.clone(),
            policies: self.seats.iter().zip(standings).map(seated).collect(),
        }
    }

    /// The policies' standings, each in the mode that counts now.
    pub(super) fn standings(&self, state: &ClusterState) -> Vec<Standing> {
        let standing = |seat: &Seat| Standing { mode: seat.mode(state), ..seat.standing.clone() };
        self.seats.iter().map(standing).collect()
    }
}

/// A policy with the terms on which it takes part.
#[derive(Debug, Clone)]
pub struct Seat {
    /// Its name, grants, and what its failure means.
    pub standing: Standing,
    /// Its settings, complete and in the order of its description.
    pub settings: Arc<Vec<SettingValue>>,
    /// The policy; or why there is none, which counts as its failure.
    pub guest: Result<Arc<Policy>, String>,
}

impl Seat {
    /// The mode that counts: what an operator said, or else the configuration.
    pub fn mode(&self, state: &ClusterState) -> Mode {
        let configured = self.standing.mode;
        let known = state.policies.get(&self.standing.policy);
        known.map_or(configured, |policy| policy.mode(configured))
    }

    fn is_like(&self, other: &Self) -> bool {
        self.standing == other.standing
            && self.settings == other.settings
            && match (&self.guest, &other.guest) {
                (Ok(one), Ok(two)) => one.revision() == two.revision(),
                (Err(one), Err(two)) => one == two,
                _ => false,
            }
    }

    /// Asks it, with what it wanted remembered.
    pub fn ask(&self, snapshot: &Arc<Snapshot>, memory: Option<&Memory>) -> Opinion {
        let guest = match &self.guest {
            Ok(guest) => guest,
            Err(problem) => {
                return self
                    .failed(Failure { kind: FailureKind::Instantiation, detail: problem.clone() });
            }
        };
        let state = remembered(memory);
        let evaluated = guest.evaluate(snapshot, &self.settings, state);
        for line in &evaluated.log {
            tracing::debug!(target: "guest", policy = %self.standing.policy, level = ?line.level, "{}", line.text);
        }
        if evaluated.dropped_lines > 0 {
            tracing::warn!(target: "guest", policy = %self.standing.policy, dropped = evaluated.dropped_lines, "log lines over the limit were dropped");
        }
        Opinion {
            policy: self.standing.policy.clone(),
            revision: guest.revision().clone(),
            reads: evaluated.reads,
            outcome: evaluated.outcome,
        }
    }

    /// The opinion of a policy that could not be asked.
    pub fn failed(&self, failure: Failure) -> Opinion {
        let revision = self.guest.as_ref().map_or_else(
            |_| Revision { digest: String::new(), version: "none".to_owned() },
            |guest| guest.revision().clone(),
        );
        Opinion {
            policy: self.standing.policy.clone(),
            revision,
            reads: BTreeSet::default(),
            outcome: Err(failure),
        }
    }
}
