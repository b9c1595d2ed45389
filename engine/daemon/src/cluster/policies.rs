//! What becomes of a cluster's policies: obeyed or only watched, and in which revision.
//!
//! What is decided here is recorded, and nothing else: modes count from the next evaluation on, and
//! whoever puts files in force reads from the journal which revision it is to be.

use std::collections::BTreeMap;

use watchkeeper_core::event::Event;
use watchkeeper_core::model::PolicyName;
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::{Opinion, Revision};
use watchkeeper_core::state::ClusterState;

use super::order::{Answer, Refusal};
use super::{Seat, Setup, Watch};
use crate::config::nearest;

/// Who takes back what fails too often.
const BY: &str = "watchkeeper";

/// What an operator wants of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyWish {
    /// It is to be obeyed, or only asked.
    Mode(Mode),
    /// Its revision before the one in force is to come back.
    Rollback,
    /// Its file is to be used again, although what it holds was taken back.
    Retry,
}

/// An operator's wish.
#[derive(Debug, Clone)]
pub struct PolicyOrder {
    /// The policy, as the operator wrote it.
    pub policy: String,
    /// What is wanted.
    pub wish: PolicyWish,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// How often each policy's revision failed in a row.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<PolicyName, (Revision, u32)>);

impl Failures {
    /// Counts what the policies said; gives what is to be recorded about those that failed too often,
    /// if there is a revision that can be gone back to.
    pub(super) fn count(
        &mut self,
        opinions: &[Opinion],
        setup: &Setup,
        state: &ClusterState,
    ) -> Vec<Event> {
        opinions.iter().filter_map(|opinion| self.take_in(opinion, setup, state)).collect()
    }

    fn take_in(&mut self, opinion: &Opinion, setup: &Setup, state: &ClusterState) -> Option<Event> {
        let Err(failure) = &opinion.outcome else {
            self.0.remove(&opinion.policy);
            return None;
        };
        let (revision, failures) =
            self.0.entry(opinion.policy.clone()).or_insert_with(|| (opinion.revision.clone(), 0));
        if *revision != opinion.revision {
            (*revision, *failures) = (opinion.revision.clone(), 0);
        }
        *failures = failures.saturating_add(1);
        let limit = setup.rollback_after;
        if limit == 0 || *failures < limit {
            return None;
        }
        let seat = setup.seat(opinion.policy.as_str())?;
        let (from, to) = setup.way_back(seat, state).ok()?;
        let reason = format!("it gave no answer {failures} times in a row: {failure}");
        tracing::error!(policy = %opinion.policy, %from, %to, reason, "a policy is taken back");
        self.0.remove(&opinion.policy);
        let (policy, by) = (opinion.policy.clone(), BY.to_owned());
        Some(Event::PolicyRolledBack { policy, from, to, by, reason })
    }
}

impl Setup {
    fn seat(&self, policy: &str) -> Option<&Seat> {
        self.seats.iter().find(|seat| seat.standing.policy.as_str() == policy)
    }

    /// The revision in force, and the one before it; or why there is no way back.
    fn way_back(&self, seat: &Seat, state: &ClusterState) -> Result<(Revision, Revision), String> {
        let policy = &seat.standing.policy;
        let none = || format!("there is no earlier revision of {policy} to go back to");
        let from = seat.guest.as_ref().map_err(|_| format!("nothing of {policy} is in force"))?;
        let from = from.revision();
        let known = state.policies.get(policy).ok_or_else(none)?;
        if known.rolled_back.as_ref().is_some_and(|back| back.from == *from) {
            return Err(format!("{policy} is being taken back already"));
        }
        let to = known.before(from).ok_or_else(none)?;
        let revisions = self.revisions.as_ref().filter(|it| it.has(to));
        let kept = revisions.ok_or_else(|| format!("the revision {to} of {policy} is not kept"));
        kept.map(|_| (from.clone(), to.clone()))
    }
}

impl Watch {
    pub(super) async fn policy(&self, order: PolicyOrder) -> Result<Answer, Refusal> {
        let PolicyOrder { policy, wish, by, reason } = order;
        let setup = std::sync::Arc::clone(&self.setup.borrow());
        let seat =
            setup.seat(&policy).ok_or_else(|| Refusal::Impossible(unknown(&policy, &setup)))?;
        let state = self.ledger.cluster(&self.name).await;
        let policy = seat.standing.policy.clone();
        let event = match wish {
            PolicyWish::Mode(mode) if seat.mode(&state) == mode => {
                let what = match mode {
                    Mode::Enforce => "obeyed already",
                    Mode::Shadow => "in the shadow already",
                };
                return Err(Refusal::Impossible(format!("{policy} is {what}")));
            }
            PolicyWish::Mode(mode) => {
                let configured = seat.standing.mode;
                Event::PolicyModeSet { policy, mode, configured, by, reason }
            }
            PolicyWish::Rollback => {
                let (from, to) = setup.way_back(seat, &state).map_err(Refusal::Impossible)?;
                Event::PolicyRolledBack { policy, from, to, by, reason }
            }
            PolicyWish::Retry => {
                if state.policies.get(&policy).is_none_or(|known| known.rolled_back.is_none()) {
                    let why = format!("no revision of {policy} was taken back");
                    return Err(Refusal::Impossible(why));
                }
                Event::PolicyRetried { policy, by, reason }
            }
        };
        let answer = self.note(event).await;
        if let (Ok(_), Some(revisions)) = (&answer, &setup.revisions) {
            revisions.want();
        }
        answer
    }
}

fn unknown(policy: &str, setup: &Setup) -> String {
    let names = || setup.seats.iter().map(|seat| seat.standing.policy.as_str());
    let near = nearest(policy, names());
    let shown = if near.is_empty() { names().collect() } else { near };
    format!("there is no policy {policy:?}; there is {}", shown.join(", "))
}
