//! Where the cluster stands is itself worth telling: half a change of side, or running without a
//! standby to fall back on.

use watchkeeper_sdk::policy::{Alert, Evaluation, Phase};

use crate::view::View;

pub(crate) fn judge(view: &View<'_>, evaluation: &mut Evaluation) {
    if view.cluster.phase == Phase::NeedsOperator {
        evaluation.alert(
            Alert::critical("needs-operator").code(&view.settings.code_needs_operator).summary(
                "a change of side did not end well: an operator has to say which side is active",
            ),
        );
    }
    if view.on_secondary() && view.cluster.phase != Phase::SwitchingBack {
        let then = if view.settings.failback {
            "the repositories are not synchronised; if the secondary fails, the primary takes over"
        } else {
            "the repositories are not synchronised, and there is no further failover"
        };
        evaluation.alert(
            Alert::warning("running-on-secondary")
                .code(&view.settings.code_running_on_secondary)
                .summary(format!("the cluster runs on the secondary: {then}")),
        );
    }
}
