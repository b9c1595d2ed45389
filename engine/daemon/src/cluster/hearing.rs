//! Asking the policies, and not asking again what cannot have changed.
//!
//! A policy's answer follows from its revision, its settings, what it remembered, and the answers
//! that the snapshot gave to its questions, which are recorded. While all of these are the same, and
//! the time at which it wanted to look again has not come, its answer is the same too: then the last
//! one is taken, and no guest is run. A failure is always asked about again.
//!
//! Invariant: what is heard is what would be heard if every policy were asked every time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::model::PolicyName;
use watchkeeper_core::proposal::{Opinion, Revision};
use watchkeeper_core::settings::SettingValue;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_core::state::Memory;

use super::Seat;

/// An answer, and what it followed from.
#[derive(Debug)]
struct Answered {
    revision: Revision,
    settings: Arc<Vec<SettingValue>>,
    remembered: Vec<u8>,
    snapshot: Arc<Snapshot>,
    opinion: Opinion,
    /// When it wanted to look again.
    due: Option<Instant>,
}

/// What the policies of a cluster said last.
#[derive(Debug, Default)]
pub struct Hearing {
    answered: BTreeMap<PolicyName, Answered>,
    asked: u64,
}

/// What the policies say.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// The opinions, in the order of the seats.
    pub opinions: Vec<Opinion>,
    /// In how long the first of them wants to be asked again.
    pub look_again: Option<Duration>,
}

impl Hearing {
    /// What the policies make of `snapshot`. Blocks the thread while guests run.
    pub fn hear(
        &mut self,
        seats: &[Seat],
        snapshot: &Arc<Snapshot>,
        memories: &BTreeMap<PolicyName, Memory>,
        now: Instant,
    ) -> Heard {
        let mut heard = Heard { opinions: Vec::with_capacity(seats.len()), look_again: None };
        for seat in seats {
            let memory = memories.get(&seat.standing.policy);
            let (opinion, due) = self.one(seat, snapshot, memory, now);
            let left = due.map(|due| due.saturating_duration_since(now));
            heard.look_again = [heard.look_again, left].into_iter().flatten().min();
            heard.opinions.push(opinion);
        }
        heard
    }

    /// How often a guest was run.
    pub const fn asked(&self) -> u64 {
        self.asked
    }

    fn one(
        &mut self,
        seat: &Seat,
        snapshot: &Arc<Snapshot>,
        memory: Option<&Memory>,
        now: Instant,
    ) -> (Opinion, Option<Instant>) {
        let policy = &seat.standing.policy;
        if let Some(answered) = self.answered.get(policy)
            && answered.holds_for(seat, snapshot, memory, now)
        {
            return (answered.opinion.clone(), answered.due);
        }
        self.asked += 1;
        let opinion = seat.ask(snapshot, memory);
        let Ok(evaluation) = &opinion.outcome else {
            self.answered.remove(policy);
            return (opinion, None);
        };
        let due = evaluation.look_again_ms.map(|ms| now + Duration::from_millis(ms));
        let answered = Answered {
            revision: opinion.revision.clone(),
            settings: Arc::clone(&seat.settings),
            remembered: remembered(memory).to_vec(),
            snapshot: Arc::clone(snapshot),
            opinion: opinion.clone(),
            due,
        };
        self.answered.insert(policy.clone(), answered);
        (opinion, due)
    }
}

/// What a policy gets of what it wanted remembered.
pub(super) fn remembered(memory: Option<&Memory>) -> &[u8] {
    memory.map_or(&[][..], |memory| memory.state.as_slice())
}

impl Answered {
    fn holds_for(
        &self,
        seat: &Seat,
        snapshot: &Snapshot,
        memory: Option<&Memory>,
        now: Instant,
    ) -> bool {
        let same = seat.guest.as_ref().is_ok_and(|guest| *guest.revision() == self.revision)
            && (Arc::ptr_eq(&seat.settings, &self.settings) || seat.settings == self.settings)
            && remembered(memory) == self.remembered;
        same && self.due.is_none_or(|due| now < due)
            && snapshot.answers_like(&self.snapshot, &self.opinion.reads)
    }
}
