//! What the engine itself claims about a cluster, and what makes two decisions the same.

use std::collections::BTreeSet;

use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::arbitration::{Chosen, Decision, ENGINE, Hold};
use watchkeeper_core::execution::Progress;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::lifecycle::{Phase, step};
use watchkeeper_core::model::{PolicyName, ServerName, Service, Side};
use watchkeeper_core::plan::Plan;
use watchkeeper_core::policies::RolledBack;
use watchkeeper_core::proposal::{Action, AlertClaim, Severity};
use watchkeeper_core::state::ClusterState;
use watchkeeper_core::stopped::Stopped;

use super::standby::CHECK;
use crate::net;

/// A decision without its texts, which may hold times and counts: two decisions with the same
/// signature say the same thing, and only the first is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    chosen: Option<(PolicyName, Action)>,
    holds: BTreeSet<(String, Option<Guard>)>,
    passed_over: Vec<(PolicyName, Action)>,
    alerts: BTreeSet<(String, String, Option<ServerName>, Option<Service>)>,
    silent: BTreeSet<String>,
    in_shadow: Option<Box<Signature>>,
}

impl Signature {
    pub(super) fn of(decision: &Decision, in_shadow: Option<&Decision>) -> Self {
        Self {
            in_shadow: in_shadow.map(|would| Box::new(Self::of(would, None))),
            chosen: decision
                .chosen
                .as_ref()
                .map(|chosen| (chosen.policy.clone(), chosen.proposal.action.clone())),
            holds: decision
                .holds
                .iter()
                .map(|hold| match hold {
                    Hold::Policy { policy, .. } | Hold::Failure { policy, .. } => {
                        (policy.to_string(), None)
                    }
                    Hold::Guard(hold) => (ENGINE.to_owned(), Some(hold.guard)),
                })
                .collect(),
            passed_over: decision
                .passed_over
                .iter()
                .map(|one| (one.policy.clone(), one.proposal.action.clone()))
                .collect(),
            alerts: decision
                .alerts
                .iter()
                .map(|Claimed { source, claim }| {
                    // Another check of the standby is another decision: what it rests on is recorded.
                    let check = claim.labels.get(CHECK).map(|check| format!(" {check}"));
                    let name = claim.name.clone() + check.as_deref().unwrap_or_default();
                    (source.clone(), name, claim.server.clone(), claim.service)
                })
                .collect(),
            silent: decision.silent.clone(),
        }
    }
}

/// What is done at this moment, in a line: the plan that begins, what is wanted and held by what,
/// or the plan in flight.
pub(super) fn doing(decision: &Decision, state: &ClusterState, begins: Option<&Plan>) -> String {
    let line = match (begins, &decision.chosen, &state.progress) {
        (Some(plan), ..) => {
            format!("Plan {} ({}) begins: {}.", plan.number, plan.kind, plan.reason)
        }
        (None, _, Some(progress)) => {
            let plan = progress.plan();
            format!("Plan {} ({}) is being carried out.", plan.number, plan.kind)
        }
        (None, Some(chosen), None) => {
            let holds: Vec<String> = decision.holds.iter().map(ToString::to_string).collect();
            let Chosen { policy, proposal } = chosen;
            format!("{policy} wants to {}, held by {}.", proposal.action, holds.join("; "))
        }
        (None, None, None) => "No action is under way.".to_owned(),
    };
    net::one_line(&line)
}

/// What is to be told about policies whose revision was taken back.
pub(super) fn of_policies(state: &ClusterState) -> impl Iterator<Item = Claimed> {
    state.policies.iter().filter_map(|(policy, known)| {
        let RolledBack { from, to, by, reason, .. } = known.rolled_back.as_ref()?;
        let summary = format!(
            "{by} took the revision {from} of policy {policy} back for {to}: {reason}. Its file is not \
             used until it holds another one; `watchkeeper policy retry {policy}` uses it again"
        );
        Some(Claimed {
            source: ENGINE.to_owned(),
            claim: AlertClaim {
                name: "policy-rolled-back".to_owned(),
                severity: Severity::Warning,
                server: None,
                service: None,
                code: String::new(),
                summary: net::one_line(&summary),
                labels: [("policy".to_owned(), policy.to_string())].into(),
            },
        })
    })
}

/// What is to be told about where the cluster stands, once the plan that begins now has begun: it is
/// told with its beginning, since it may be over before anybody looks again.
pub(super) fn of_phase(state: &ClusterState, begins: Option<&Plan>) -> Option<Claimed> {
    let plan = begins.or_else(|| state.progress.as_ref().map(Progress::plan));
    let reason = plan.map_or("", |plan| plan.reason.as_str());
    let next = begins.and_then(|plan| step(state.phase, plan.kind.trigger()).ok());
    let (name, severity, summary) = match next.unwrap_or(state.phase) {
        Phase::Active(_) | Phase::Rescuing(_) | Phase::Clearing(_) => return None,
        Phase::FailingOver(from) => (
            "failover",
            Severity::Critical,
            format!("failing over from {from} to {}: {reason}", from.other()),
        ),
        Phase::SwitchingOver => {
            ("switchover", Severity::Info, format!("switching over to the secondary: {reason}"))
        }
        Phase::SwitchingBack => {
            ("switchback", Severity::Info, format!("switching back to the primary: {reason}"))
        }
        Phase::NeedsOperator(side) => {
            ("needs-operator", Severity::Critical, needs_operator(side, state.stopped.as_ref()))
        }
    };
    Some(Claimed {
        source: ENGINE.to_owned(),
        claim: AlertClaim {
            name: name.to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary,
            labels: std::collections::BTreeMap::new(),
        },
    })
}

/// What happened, at which step, and how to go on.
fn needs_operator(side: Side, stopped: Option<&Stopped>) -> String {
    let Some(stopped) = stopped else {
        return format!(
            "a change of side from {side} was given up half-way; nothing is done until an operator has \
             looked and said which side is active: `watchkeeper declare`"
        );
    };
    let (step, why) = stopped.where_and_why();
    let plan = stopped.plan();
    // The line is cut at its end.
    net::one_line(&format!(
        "the {} from {side} (plan {}) stopped at step {} of {}, and nothing is done: look at \
         `watchkeeper status`, then `watchkeeper resume`, `abandon` or `declare`; {why}",
        plan.kind,
        plan.number,
        step + 1,
        plan.steps.len()
    ))
}

#[cfg(test)]
mod tests {
    use watchkeeper_core::proposal::Proposal;

    use super::*;

    #[test]
    fn what_is_wanted_is_told_with_what_holds_it() {
        let policy = |name: &str| PolicyName::new(name).unwrap();
        let state = ClusterState::default();
        let mut decision = Decision::none();
        assert_eq!(doing(&decision, &state, None), "No action is under way.");
        decision.chosen = Some(Chosen {
            policy: policy("data-mover-ha"),
            proposal: Proposal { action: Action::Failover, reason: "it is down".to_owned() },
        });
        let hold = Hold::Policy { policy: policy("flap-guard"), reason: "too often".to_owned() };
        decision.holds.push(hold);
        assert_eq!(
            doing(&decision, &state, None),
            "data-mover-ha wants to fail over, held by policy flap-guard: too often."
        );
    }
}
