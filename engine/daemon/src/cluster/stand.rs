//! How things stand at the moment at which an operator orders something.

use std::sync::Arc;

use watchkeeper_core::arbitration::Decision;
use watchkeeper_core::event::{Evaluated, Event};
use watchkeeper_core::guards::{Duty, Situation};
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_core::state::ClusterState;

use super::{Setup, Watch, finished};
use crate::clock;

/// How things stand when an operator orders something.
pub(super) struct Stand {
    pub(super) setup: Arc<Setup>,
    pub(super) state: ClusterState,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) duty: Duty,
    fleet: Vec<Timestamp>,
}

impl Stand {
    pub(super) fn situation(&self) -> Situation<'_> {
        Situation {
            snapshot: &self.snapshot,
            phase: self.state.phase,
            duty: &self.duty,
            limits: &self.setup.limits,
            arrangements: &self.setup.arrangements,
            last_change: self.state.cooling_since,
            fleet_changes: &self.fleet,
        }
    }

    /// The record of what could be seen when the operator decided.
    pub(super) fn seen(&self) -> Event {
        Event::Evaluated(Box::new(Evaluated {
            snapshot: self.snapshot.as_ref().clone(),
            opinions: Vec::new(),
            decision: Decision::none(),
            in_shadow: None,
            basis: None,
        }))
    }
}

impl Watch {
    /// Looks how things stand.
    pub(super) async fn stand(&mut self) -> Stand {
        self.take_in_ended().await;
        let setup = Arc::clone(&self.setup.borrow());
        let state = self.ledger.cluster(&self.name).await;
        let snapshot = self.snapshot(&setup, &state, clock::now());
        let (duty, fleet) = (self.duties.of(&self.name).duty, self.fleet().await);
        Stand { setup, state, snapshot, duty, fleet }
    }

    /// A plan has just ended, and who gives the next order has seen that before this task has.
    async fn take_in_ended(&mut self) {
        if self.executor.is_some() && self.ledger.cluster(&self.name).await.progress.is_none() {
            let ending = finished(&mut self.executor).await;
            self.plan_ended(ending).await;
        }
    }
}
