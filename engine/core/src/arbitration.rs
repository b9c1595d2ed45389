//! From what the policies ask for to one decision.
//!
//! Policies are ordered. The first that proposes an action takes the action slot, any hold of any
//! policy or guard stops it, and all alerts are raised. A policy can only have what the
//! configuration grants it, and what it asks for about a service in maintenance does not take the slot
//! from what can be done. A policy that failed holds, unless the configuration lets it abstain:
//! acting fails closed. A policy in the shadow has no say; what would be decided if it had is for
//! people to see ([`in_shadow`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::alerting::Claimed;
use crate::guards::{self, Guard, GuardHold, Situation};
use crate::model::{PolicyName, ServerName};
use crate::plan::PlanKind;
use crate::policies::Mode;
use crate::proposal::{Action, AlertClaim, Evaluation, Grant, Opinion, Proposal, Severity};
use crate::snapshot::{Place, Snapshot};

/// What a policy's failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnPolicyFailure {
    /// No action of any policy while this one fails.
    Hold,
    /// The others decide without it.
    Abstain,
}

/// The terms on which a policy takes part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The policy.
    pub policy: PolicyName,
    /// What the configuration lets it have.
    pub grants: BTreeSet<Grant>,
    /// The servers that it may propose something for; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub servers: Option<BTreeSet<ServerName>>,
    /// What its failure means.
    pub on_failure: OnPolicyFailure,
    /// Whether it is obeyed.
    #[serde(default, skip_serializing_if = "Mode::is_default")]
    pub mode: Mode,
}

/// Why an action is not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "by")]
pub enum Hold {
    /// A policy holds.
    Policy {
        /// Which one.
        policy: PolicyName,
        /// Why.
        reason: String,
    },
    /// A policy failed.
    Failure {
        /// Which one.
        policy: PolicyName,
        /// How.
        reason: String,
    },
    /// A guard holds.
    Guard(GuardHold),
}

impl std::fmt::Display for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Policy { policy, reason } => write!(f, "policy {policy}: {reason}"),
            Self::Failure { policy, reason } => write!(f, "policy {policy} failed: {reason}"),
            Self::Guard(hold) => write!(f, "guard {}: {}", hold.guard, hold.reason),
        }
    }
}

/// A proposal that did not get the action slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    /// Who proposed it.
    pub policy: PolicyName,
    /// What.
    pub proposal: Proposal,
    /// Why not, for people.
    pub why: String,
}

/// The action that has the action slot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// Who proposed it.
    pub policy: PolicyName,
    /// What, and why.
    pub proposal: Proposal,
}

/// What came of one evaluation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// The action that has the slot, held or not.
    pub chosen: Option<Chosen>,
    /// Why it is not carried out; if empty, it is.
    pub holds: Vec<Hold>,
    /// Proposals that did not get the slot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
    /// Everything that is wrong at this moment, by whoever said so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<Claimed>,
    /// Sources that said nothing, so that what they said before still stands.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub silent: BTreeSet<String>,
}

impl Decision {
    /// Nothing was asked for: the decision beside an operator's order.
    pub const fn none() -> Self {
        Self {
            chosen: None,
            holds: Vec::new(),
            passed_over: Vec::new(),
            alerts: Vec::new(),
            silent: BTreeSet::new(),
        }
    }

    /// What is done, or held by whom, in a line for people.
    pub fn in_words(&self) -> String {
        let holds: Vec<String> = self.holds.iter().map(ToString::to_string).collect();
        match &self.chosen {
            None => "nothing is asked for".to_owned(),
            Some(Chosen { policy, proposal }) if holds.is_empty() => {
                format!("{}, as {policy} asks: {}", proposal.action, proposal.reason)
            }
            Some(Chosen { policy, proposal }) => format!(
                "{policy} asks to {}, held by {}: {}",
                proposal.action,
                holds.join("; "),
                proposal.reason
            ),
        }
    }

    /// What is to be carried out, if anything is.
    pub fn to_carry_out(&self) -> Option<&Chosen> {
        self.chosen.as_ref().filter(|_| self.holds.is_empty())
    }
}

/// The source of the engine's own alerts.
pub const ENGINE: &str = "engine";

/// Makes one decision. `standings` are in the order of the configuration, which is the order in
/// which the policies are heard. An opinion without a standing has no say at all; a standing
/// without an opinion is a failure like any other, because a policy that was not asked may be the
/// one that would have held.
pub fn decide(situation: &Situation<'_>, opinions: &[Opinion], standings: &[Standing]) -> Decision {
    let mut decision = Decision::none();
    for standing in standings {
        let outcome = opinions.iter().find(|one| one.policy == standing.policy);
        match (outcome.map(|one| &one.outcome), standing.mode) {
            (Some(Ok(evaluation)), Mode::Enforce) => {
                hear(&mut decision, evaluation, standing, situation.snapshot);
            }
            (Some(Err(failure)), Mode::Enforce) => {
                fail(&mut decision, &failure.to_string(), standing);
            }
            (None, Mode::Enforce) => fail(&mut decision, "it was not evaluated", standing),
            // Nothing hangs on it yet, but whoever tries it out wants to know.
            (Some(Err(failure)), Mode::Shadow) => {
                let failure = format!("{failure} (it is in the shadow)");
                let alert = failed_alert(&standing.policy, Severity::Warning, &failure);
                decision.alerts.push(alert);
            }
            (Some(Ok(_)) | None, Mode::Shadow) => {}
        }
    }
    if let Some(chosen) = &decision.chosen {
        let kind = plan_kind(&chosen.proposal.action);
        let holds = guards::check(situation, &kind);
        // While a plan is in flight, the policies go on asking for what is being done: that is no
        // news, and nobody is to be told.
        let busy = situation.phase.in_flight();
        if !busy {
            decision.alerts.extend(held_alert(chosen, &holds));
        }
        decision.holds.extend(holds.into_iter().map(Hold::Guard));
    }
    decision
}

/// What would be decided if the policies in the shadow were obeyed too; none if nothing else would
/// be done or held.
pub fn in_shadow(
    situation: &Situation<'_>,
    opinions: &[Opinion],
    standings: &[Standing],
    decided: &Decision,
) -> Option<Decision> {
    if standings.iter().all(|standing| standing.mode == Mode::Enforce) {
        return None;
    }
    let obeyed: Vec<Standing> = standings
        .iter()
        .map(|standing| Standing { mode: Mode::Enforce, ..standing.clone() })
        .collect();
    let would = decide(situation, opinions, &obeyed);
    let same = would.chosen == decided.chosen && would.holds == decided.holds;
    (!same).then_some(would)
}

/// The plan that an action needs.
pub fn plan_kind(action: &Action) -> PlanKind {
    match action {
        Action::Rescue(id) => PlanKind::Rescue(id.clone()),
        Action::StopService(id) => PlanKind::Clear(id.clone()),
        Action::Failover => PlanKind::Failover,
    }
}

/// Acting fails closed: what the policy would have held is not known. What it said was wrong
/// before still stands.
fn fail(decision: &mut Decision, failure: &str, standing: &Standing) {
    let policy = &standing.policy;
    if standing.on_failure == OnPolicyFailure::Hold {
        decision.holds.push(Hold::Failure { policy: policy.clone(), reason: failure.to_owned() });
    }
    decision.silent.insert(policy.to_string());
    decision.alerts.push(failed_alert(policy, Severity::Critical, failure));
}

fn hear(
    decision: &mut Decision,
    evaluation: &Evaluation,
    standing: &Standing,
    snapshot: &Snapshot,
) {
    let policy = &standing.policy;
    for proposal in &evaluation.proposals {
        let grant = proposal.action.grant();
        let why = if !standing.grants.contains(&grant) {
            format!("the configuration does not grant {grant} to {policy}")
        } else if let Some(why) = out_of_reach(standing, &proposal.action, snapshot) {
            why
        } else if let Some(why) = left_alone(&proposal.action, snapshot) {
            why
        } else if let Some(chosen) = &decision.chosen {
            format!(
                "{} asks for something that comes first: {}",
                chosen.policy, chosen.proposal.action
            )
        } else {
            decision.chosen = Some(Chosen { policy: policy.clone(), proposal: proposal.clone() });
            continue;
        };
        decision.passed_over.push(PassedOver {
            policy: policy.clone(),
            proposal: proposal.clone(),
            why,
        });
    }
    if standing.grants.contains(&Grant::Hold) {
        decision.holds.extend(
            evaluation
                .holds
                .iter()
                .map(|reason| Hold::Policy { policy: policy.clone(), reason: reason.clone() }),
        );
    }
    if standing.grants.contains(&Grant::Alert) {
        decision.alerts.extend(
            evaluation
                .alerts
                .iter()
                .map(|claim| Claimed { source: policy.to_string(), claim: claim.clone() }),
        );
    }
}

/// Why the servers that `action` touches are not for this policy. A failover touches both sides.
fn out_of_reach(standing: &Standing, action: &Action, snapshot: &Snapshot) -> Option<String> {
    let servers = standing.servers.as_ref()?;
    let outside = match action {
        Action::Rescue(id) | Action::StopService(id) => {
            Some(&id.server).filter(|name| !servers.contains(*name))
        }
        Action::Failover => [Place::Active, Place::Standby]
            .into_iter()
            .filter_map(|place| snapshot.at(place))
            .map(|server| &server.name)
            .find(|name| !servers.contains(*name)),
    };
    let policy = &standing.policy;
    outside.map(|server| format!("the configuration gives {policy} no say over {server} (servers)"))
}

/// Why the service that `action` is about is not to be touched. Held in the action slot, it would
/// keep everything else from being done until its maintenance ends.
fn left_alone(action: &Action, snapshot: &Snapshot) -> Option<String> {
    match action {
        Action::Rescue(id) | Action::StopService(id) => {
            guards::service_in_maintenance(snapshot, id)
        }
        Action::Failover => None,
    }
}

fn engine_alert(name: &str, severity: Severity, summary: String, label: (&str, &str)) -> Claimed {
    Claimed {
        source: ENGINE.to_owned(),
        claim: AlertClaim {
            name: name.to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary,
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
        },
    }
}

fn failed_alert(policy: &PolicyName, severity: Severity, failure: &str) -> Claimed {
    engine_alert(
        "policy-failed",
        severity,
        format!("policy {policy} gave no answer: {failure}"),
        ("policy", policy.as_str()),
    )
}

/// An action that is wanted and held is for people to know, unless they asked for that themselves.
fn held_alert(chosen: &Chosen, holds: &[GuardHold]) -> Option<Claimed> {
    let telling: Vec<&GuardHold> = holds
        .iter()
        .filter(|hold| !matches!(hold.guard, Guard::Maintenance | Guard::Duty))
        .collect();
    let first = telling.first()?;
    let reasons: Vec<&str> = telling.iter().map(|hold| hold.reason.as_str()).collect();
    Some(engine_alert(
        "action-held",
        Severity::Critical,
        format!(
            "{} wants to {}, and is held: {}",
            chosen.policy,
            chosen.proposal.action,
            reasons.join("; ")
        ),
        ("guard", first.guard.as_str()),
    ))
}
