//! A change of side that stopped on the way: what is known of it, whether it may go on, and which side
//! counts if it is given up.
//!
//! There is no step back in a plan. What undoes a step can fail as that step did, and two half ways
//! are worse to judge than one. Where going back is safe it is no more than this: nothing of the old
//! side was taken over, and nothing runs on the new one. Then the old side counts as active again
//! ([`Stopped::left`]), and what was stopped there is started by rescues, under every guard.

use serde::{Deserialize, Serialize};

use crate::execution::{OutOfOrder, PlanEnding, Progress};
use crate::guards::{self, Check, Guard, Situation, Verdict};
use crate::lifecycle::step;
use crate::model::{Side, Status, Timestamp};
use crate::plan::{Act, Plan, PlanKind, Point, Step};
use crate::snapshot::{Place, ServiceFacts, Snapshot};

/// A change of side that stopped on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// How far it came.
    pub progress: Progress,
    /// When it stopped.
    pub at: Timestamp,
}

/// What a change of side leaves if it is given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The side that counts as active; none: an operator has to say.
    pub side: Option<Side>,
    /// Why, for people.
    pub why: String,
}

impl Stopped {
    /// The plan.
    pub const fn plan(&self) -> &Plan {
        self.progress.plan()
    }

    /// The step at which it stopped, counted from 0, and why.
    pub fn where_and_why(&self) -> (usize, String) {
        match self.progress.ending() {
            PlanEnding::Failed { step, detail } | PlanEnding::Refused { step, detail } => {
                (step, detail)
            }
            PlanEnding::Completed => (self.progress.index(), String::new()),
        }
    }

    /// What every guard says of taking it up again, in their order. It is the change of side that was
    /// begun and no other, so the cooldown and the storm brake have no say in it; and once something on
    /// the new side was begun, the standby is no longer as it has to be before.
    pub fn checks(&self, situation: &Situation<'_>) -> Vec<Check> {
        let kind = &self.plan().kind;
        let mut checks = guards::checks(situation, kind);
        for check in &mut checks {
            let reason = match check.guard {
                Guard::Lifecycle => self.out_of_place(situation),
                Guard::Standby if self.took_over() && *kind != PlanKind::Failover => {
                    self.outrun(situation)
                }
                Guard::Standby if self.began_to_start() || self.took_over() => None,
                Guard::Cooldown | Guard::Storm => None,
                _ => continue,
            };
            check.verdict = match (reason, check.guard) {
                (Some(reason), _) => Verdict::Holds { reason },
                (None, Guard::Lifecycle) => Verdict::Ok,
                (None, Guard::Standby) if *kind != PlanKind::Failover && self.took_over() => {
                    Verdict::Ok
                }
                (None, _) => Verdict::NotAsked,
            };
        }
        checks
    }

    fn out_of_place(&self, situation: &Situation<'_>) -> Option<String> {
        let trigger = self.plan().kind.resumed()?;
        if let Err(refused) = step(situation.phase, trigger) {
            return Some(refused.to_string());
        }
        let then = situation.snapshot.facts().cluster.phase;
        (then != situation.phase).then(|| {
            format!("the facts are from when the cluster was {then}, it is {} now", situation.phase)
        })
    }

    /// Whether somebody may have written to the old side since the plan stopped: what a planned change
    /// promises not to lose, and would, since the repository across receives nothing any more.
    fn outrun(&self, situation: &Situation<'_>) -> Option<String> {
        let found: Vec<String> = exclusive(situation.snapshot, Place::Active)
            .filter_map(|one| match one.state.status {
                Status::Up => Some(format!("{} runs", one.id)),
                Status::Unknown => Some(format!("{} is unknown", one.id)),
                Status::Down if one.state.since > self.at => Some(format!(
                    "{} may have run: it is seen stopped since {}",
                    one.id, one.state.since
                )),
                Status::Down => None,
            })
            .collect();
        (!found.is_empty()).then(|| {
            format!(
                "the repository was taken over, and what was written to the {} since {} would be lost: {}",
                self.plan().from,
                self.at,
                found.join(", ")
            )
        })
    }

    /// Which side counts as active if it is given up now: one that is known to, or none.
    pub fn left(&self, snapshot: &Snapshot, fresh_ms: u64) -> Left {
        let Plan { from, to, .. } = self.plan();
        let (from, to) = (*from, *to);
        let fresh = |one: &ServiceFacts| {
            one.state.confirmations > 0 && snapshot.facts().at.since(one.state.seen) <= fresh_ms
        };
        let all = |place, status| {
            exclusive(snapshot, place).all(|one| one.state.status == status && fresh(one))
        };
        if self.was_verified() {
            let stands = all(Place::Standby, Status::Up) && all(Place::Active, Status::Down);
            return if stands {
                let why = format!(
                    "the {to} was verified, what runs on one side only runs there, and is stopped on the {from}"
                );
                Left { side: Some(to), why }
            } else {
                let why = format!(
                    "the {to} was verified, but it is not seen now that all runs there and nothing on the {from}"
                );
                Left { side: None, why }
            };
        }
        if let Some(step) = self.leaves_the_old_side() {
            let why = format!("\"{}\" was begun, which is not taken back", step.act);
            return Left { side: None, why };
        }
        if !self.began_to_start() {
            let why = format!(
                "nothing was begun on the {to}; what was stopped on the {from} is started again by rescues"
            );
            return Left { side: Some(from), why };
        }
        if all(Place::Standby, Status::Down) {
            let why = format!(
                "nothing that runs on one side only is seen to run on the {to}, and no repository was taken over; \
                 what was stopped on the {from} is started again by rescues"
            );
            return Left { side: Some(from), why };
        }
        let why = format!(
            "services were begun to be started on the {to}, and they are not all seen stopped"
        );
        Left { side: None, why }
    }

    /// Checks what the plan alone can say of a side that is to count as active after it.
    pub(crate) fn check_left(&self, side: Side) -> Result<(), OutOfOrder> {
        let plan = self.plan();
        let possible = if side == plan.to {
            self.was_verified()
        } else {
            self.leaves_the_old_side().is_none() && !self.was_verified()
        };
        if possible {
            return Ok(());
        }
        let problem = format!("it was given up for the {side}, which it had not left so");
        Err(OutOfOrder { plan: plan.number, problem })
    }

    fn begun(&self) -> impl Iterator<Item = &Step> {
        let steps = self.plan().steps.iter().enumerate();
        steps.filter(|(index, _)| self.progress.was_begun(*index)).map(|(_, step)| step)
    }

    /// The first step that was begun and that the old side cannot simply be active again after: its
    /// repository was left behind, or a site's own step may have moved what leads there.
    fn leaves_the_old_side(&self) -> Option<&Step> {
        self.begun().find(|step| match &step.act {
            Act::DetachRepository { .. } | Act::CarrySequences { .. } => true,
            Act::Site(site) => site.point != Point::BeforeStop,
            _ => false,
        })
    }

    fn took_over(&self) -> bool {
        self.plan().takes_over().is_some_and(|index| self.progress.was_begun(index))
    }

    /// Whether a service that runs on one side only was begun to be started on the new one.
    fn began_to_start(&self) -> bool {
        self.begun().any(|step| match &step.act {
            Act::StartService(id) => id.service.exclusive(),
            _ => false,
        })
    }

    /// Whether the new side was found to serve, and the plan stopped behind that.
    fn was_verified(&self) -> bool {
        let verify = |step: &Step| matches!(step.act, Act::Verify { .. });
        let verified = self.plan().steps.iter().position(verify);
        verified.is_some_and(|index| self.progress.has_passed(index))
    }
}

fn exclusive(snapshot: &Snapshot, place: Place) -> impl Iterator<Item = &ServiceFacts> {
    let services = snapshot.facts().services.iter();
    services.filter(move |one| one.place == place && one.id.service.exclusive())
}
