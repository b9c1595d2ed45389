//! The vendor's behaviour, as an administrator of Teradata Data Mover knows it, as a policy.
//!
//! What is broken on the active side is started again first; only when that has failed, the other
//! side takes over. While the cluster runs on the secondary there is no further failover, and what
//! runs on the side that is not active is stopped. The rules stand in [`rules`], one screen each;
//! README.md says which fact about Data Mover each of them follows, and which cases show it.
//!
//! Invariants:
//! - Nothing is proposed that was not found so as many times in a row as the settings say.
//! - Nothing is remembered: the history in the snapshot is enough, so every decision can be
//!   understood from its snapshot alone.
//! - While a plan is in flight, or an operator is needed, nothing is proposed.

mod rules;
mod settings;
mod view;

pub use settings::Settings;

use rules::{agents, failover, reachability, replication, rescue, services, standing, strays};
use view::View;
use watchkeeper_sdk::policy::{Evaluation, Grants, Phase, Policy, Snapshot};

/// The policy.
#[derive(Debug)]
pub struct DataMoverHa;

impl Policy for DataMoverHa {
    type Settings = Settings;

    const NAME: &'static str = "data-mover-ha";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Rescue what is broken on the active side, fail over when that fails, as the vendor does.";
    const NEEDS: Grants =
        Grants::RESCUE.union(Grants::STOP_SERVICE).union(Grants::FAILOVER).union(Grants::ALERT);

    fn evaluate(snapshot: &Snapshot, settings: &Settings, _: &[u8]) -> Result<Evaluation, String> {
        let view = View::of(snapshot, settings);
        let mut evaluation = Evaluation::new();
        standing::judge(&view, &mut evaluation);
        // An operator ordered it and stops services on purpose: what is down now is no news.
        if matches!(view.cluster.phase, Phase::SwitchingOver | Phase::SwitchingBack) {
            return Ok(evaluation);
        }
        reachability::judge(&view, &mut evaluation);
        services::judge(&view, &mut evaluation);
        agents::judge(&view, &mut evaluation);
        strays::judge(&view, &mut evaluation);
        replication::judge(&view, &mut evaluation);
        if view.cluster.phase == Phase::Active {
            propose(&view, &mut evaluation);
        }
        Ok(evaluation)
    }
}

/// What to do about it, the most wanted first.
fn propose(view: &View<'_>, evaluation: &mut Evaluation) {
    // Looks as if somebody changed the side by hand: both repairing here and stopping there would
    // work against them.
    if strays::sides_swapped(view) {
        return;
    }
    // A server that does not answer cannot be repaired, and what runs across from it may be all
    // that is left: until it is confirmed, nothing is done; then the other side takes over.
    if reachability::silent(view) {
        if reachability::lost(view) {
            failover::propose(view, evaluation, "its server is lost");
        }
        return;
    }
    // What could not be started again is a reason to leave the side. Strays over there are then
    // no strays any more.
    if let Some(reason) = rescue::spent(view).or_else(|| agents::spent(view))
        && failover::propose(view, evaluation, &reason)
    {
        return;
    }
    // Repair what is broken, a service that others need before those. An exclusive service that
    // runs across from here is stopped first: it must never run twice.
    rescue::propose(view, evaluation);
    agents::propose_all(view, evaluation);
    // The remaining strays and single agents do no harm to what is served now: they come last.
    strays::propose(view, evaluation);
    agents::propose_single(view, evaluation);
}

watchkeeper_sdk::export_policy!(DataMoverHa);
