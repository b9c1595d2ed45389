//! What the site of a run is like.

use std::sync::Arc;

use watchkeeper_core::arbitration::{OnPolicyFailure, Standing};
use watchkeeper_core::guards::Limits;
use watchkeeper_core::model::{ClusterName, MonitorName, PolicyName, Topology};
use watchkeeper_core::plan::Arrangements;
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::Grant;
use watchkeeper_core::state::ClusterState;

use crate::checks::holds::{FRESH, STORM};
use crate::setting::Setting;

/// What never changes in a run.
#[derive(Debug)]
pub struct Site {
    /// The cluster.
    pub topology: Topology,
    /// What was arranged for plans.
    pub arrangements: Arrangements,
    pub(super) limits: Limits,
    pub(super) seats: Vec<Standing>,
    pub(super) names: [MonitorName; 2],
    pub(super) policy: PolicyName,
    /// The policy that asks for anything, and its seed if it sits there.
    pub(super) rogue: (PolicyName, Option<u64>),
    pub(super) unknown: ClusterState,
    pub(super) settings: data_mover_ha::Settings,
    /// Whether the duty is shared through etcd.
    pub(super) etcd: bool,
    /// The name of every probe.
    pub probe: Arc<str>,
    /// What there is to say of what was found.
    pub nothing: Arc<str>,
}

fn seat(policy: &PolicyName) -> Standing {
    Standing {
        policy: policy.clone(),
        grants: Grant::ALL.into_iter().collect(),
        servers: None,
        on_failure: OnPolicyFailure::Hold,
        mode: Mode::Enforce,
    }
}

impl Site {
    /// The site of a run.
    ///
    /// # Panics
    /// Never: the names are names.
    #[expect(clippy::unwrap_used, reason = "constants that every test shows to be names")]
    pub fn new(setting: Setting) -> Self {
        let [policy, rogue] = ["data-mover-ha", "rogue"].map(|name| PolicyName::new(name).unwrap());
        Self {
            topology: watchkeeper_cases::world::five_servers(),
            arrangements: Arrangements {
                start_timeout_ms: 30_000,
                stop_timeout_ms: 20_000,
                repository_timeout_ms: 20_000,
                attempts: 2,
                retry_delay_ms: 1_000,
                proof: setting.proof,
                replicated_repository: true,
                site_steps: Vec::new(),
            },
            limits: Limits {
                fresh_ms: FRESH,
                cooldown_ms: setting.cooldown_ms,
                max_lag_bytes: 64 << 20,
                storm_limit: setting.storm_limit,
                storm_window_ms: STORM,
            },
            seats: setting.rogue.map(|_| seat(&rogue)).into_iter().chain([seat(&policy)]).collect(),
            names: ["vp1", "vp2"].map(|name| MonitorName::new(name).unwrap()),
            policy,
            rogue: (rogue, setting.rogue),
            unknown: ClusterState::default(),
            settings: data_mover_ha::Settings { failback: setting.failback, ..Default::default() },
            etcd: setting.etcd,
            probe: "state".into(),
            nothing: "".into(),
        }
    }

    pub(super) fn cluster(&self) -> &ClusterName {
        self.topology.cluster()
    }
}
