//! The other side takes over: from the primary only, since there is no standby behind the
//! secondary, unless the site wants what release 16.20 did. Whether the standby is able to is for
//! the engine's guard to say: the vendor's monitor, too, tries and gives up.

use watchkeeper_sdk::policy::Evaluation;

use crate::view::View;

/// Proposes a failover if there may be one from this side. Says whether it did.
pub(crate) fn propose(view: &View<'_>, evaluation: &mut Evaluation, why: &str) -> bool {
    let side = view.cluster.active.name();
    if view.on_secondary() && !view.settings.failback {
        evaluation.note(format!("no failover from the {side}, although {why}"));
        return false;
    }
    evaluation.failover(format!("the {side} has failed: {why}"));
    true
}
