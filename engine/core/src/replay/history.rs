//! From records to the moments at which policies were asked.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rebuilt::{Rebuilt, Rhythm};
use crate::arbitration::{self, Decision, Standing};
use crate::duty::{Change, Standing as DutyIs};
use crate::event::{Basis, Evaluated, Event, Record};
use crate::guards::{Duty, Limits, Situation};
use crate::model::{ClusterName, Timestamp};
use crate::plan::Arrangements;
use crate::proposal::Opinion;
use crate::snapshot::{Background, Snapshot};
use crate::state::{ApplyError, ClusterState, State};

/// Where a moment comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "from", content = "record")]
pub enum Source {
    /// The record of that number, word for word.
    Recorded(u64),
    /// News and the probes' pace.
    Reconstructed,
}

/// A recorded evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The record's number.
    pub seq: u64,
    /// What was seen, said and decided.
    pub evaluated: Evaluated,
    /// What that rests on; none in records from before it was recorded.
    pub basis: Option<Arc<Basis>>,
}

/// A moment at which policies were asked, or would have been.
#[derive(Debug, Clone)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Where it comes from.
    pub source: Source,
    /// The facts.
    pub snapshot: Arc<Snapshot>,
    /// What was decided: at this moment, or at the recorded one before and not changed since.
    pub recorded: Arc<Recorded>,
}

/// Why nobody was asking the policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unwatched {
    /// The monitor had been stopped.
    Stopped,
    /// The monitor ended without a word, at some time after the gap's beginning.
    Ended,
    /// The duty was elsewhere, or being handed over.
    Elsewhere,
}

/// A time without moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Why.
    pub why: Unwatched,
}

/// Whether the policies are being asked.
#[derive(Debug, Clone, Copy)]
enum Watching {
    /// Nothing was recorded yet.
    NotBegun,
    /// From this moment on, at the latest.
    From(Timestamp),
    /// Not until the next recorded evaluation.
    Gap(Timestamp, Unwatched),
}

/// One cluster's history. Give it the records of the whole journal, from the first one on: before
/// each, ask for the moments [before](History::before) it until there are no more, or
/// [pass](History::pass) them over.
pub struct History {
    cluster: ClusterName,
    state: State,
    rebuilt: Rebuilt,
    tick_ms: u64,
    settle_ms: u64,
    /// What is in force where the records do not say it.
    given: (Limits, Arrangements),
    basis: Option<Arc<Basis>>,
    last: Option<Arc<Recorded>>,
    watching: Watching,
    gaps: Vec<Gap>,
    /// Until when the moments have been given.
    now: Timestamp,
    /// When the last record of any cluster was written: a proof that the monitor ran.
    alive: Timestamp,
    /// News that led to no recorded evaluation led to one that decided the same.
    news: Option<Timestamp>,
    tick: Timestamp,
    look_again: Option<Timestamp>,
    number: u64,
}

impl History {
    /// A history of which no record is known yet. Records from before a decision's basis was
    /// recorded are taken to rest on `limits` and `arrangements`.
    pub fn new(
        cluster: ClusterName,
        rhythm: Rhythm,
        limits: Limits,
        arrangements: Arrangements,
    ) -> Self {
        let (tick_ms, settle_ms) = (rhythm.tick_ms.max(1), rhythm.settle_ms);
        Self {
            cluster,
            state: State::default(),
            rebuilt: Rebuilt::new(rhythm, ClusterState::default().phase),
            tick_ms,
            settle_ms,
            given: (limits, arrangements),
            basis: None,
            last: None,
            watching: Watching::NotBegun,
            gaps: Vec::new(),
            now: Timestamp(0),
            alive: Timestamp(0),
            news: None,
            tick: Timestamp(0),
            look_again: None,
            number: 0,
        }
    }

    /// The next reconstructed moment that lies before `record`; none: it is the record's turn.
    pub fn before(&mut self, record: &Record) -> Option<Moment> {
        let end = self.horizon(record);
        self.until(end)
    }

    /// Passes over all moments that lie before `record`.
    pub fn pass(&mut self, record: &Record) {
        let end = self.horizon(record);
        self.pass_until(end);
    }

    /// Passes over all moments that lie before `end`.
    pub fn pass_until(&mut self, end: Timestamp) {
        if end <= self.now {
            return;
        }
        self.now = end;
        self.news = self.news.filter(|at| *at >= end);
        self.look_again = self.look_again.filter(|at| *at >= end);
        if self.tick < end {
            let missed = end.since(self.tick).div_ceil(self.tick_ms);
            self.tick = self.tick.plus(missed.saturating_mul(self.tick_ms));
        }
    }

    fn horizon(&self, record: &Record) -> Timestamp {
        match &record.event {
            // It is not known how long the one before ran on.
            Event::MonitorStarted { .. } => self.alive.plus(1).min(record.at),
            Event::Observed(seen) => seen.at.min(record.at),
            Event::Evaluated(it) => it.snapshot.facts().at.min(record.at),
            _ => record.at,
        }
    }

    /// The next reconstructed moment that lies before `end`.
    pub fn until(&mut self, end: Timestamp) -> Option<Moment> {
        let Watching::From(from) = self.watching else {
            self.pass_until(end);
            return None;
        };
        let recorded = self.last.clone()?;
        loop {
            let trouble = self.rebuilt.next_trouble();
            let next = [self.news, self.look_again, trouble].into_iter().flatten().min();
            let at = next.map_or(self.tick, |next| next.min(self.tick)).max(self.now);
            if at >= end {
                self.now = self.now.max(end);
                return None;
            }
            self.reach(at);
            if at < from {
                continue;
            }
            let state = self.state.clusters.get(&self.cluster);
            let snapshot = with_background(state, |background| {
                self.rebuilt.snapshot(self.number, at, background)
            })?;
            self.number = self.number.saturating_add(1);
            let source = Source::Reconstructed;
            return Some(Moment { at, source, snapshot: Arc::new(snapshot), recorded });
        }
    }

    fn reach(&mut self, at: Timestamp) {
        self.rebuilt.advance(at);
        self.news = self.news.filter(|due| *due > at);
        self.look_again = self.look_again.filter(|due| *due > at);
        if self.tick <= at {
            let passed = at.since(self.tick) / self.tick_ms + 1;
            self.tick = self.tick.plus(passed.saturating_mul(self.tick_ms));
        }
        self.now = at;
    }

    /// Policies that were asked at the last moment want to be asked again after so many
    /// milliseconds.
    pub fn look_again(&mut self, after_ms: Option<u64>) {
        self.look_again = after_ms.map(|ms| self.now.plus(ms.max(1)));
    }

    /// Takes a record in. If it is an evaluation of the policies, that is the next moment.
    pub fn take(&mut self, record: Record) -> Result<Option<Moment>, ApplyError> {
        self.pass(&record);
        self.state.apply(&record)?;
        let here = record.cluster.as_ref() == Some(&self.cluster);
        let at = record.at;
        self.note_gaps(&record, here);
        self.alive = self.alive.max(at);
        if !here {
            return Ok(None);
        }
        if let Some(cluster) = self.state.clusters.get(&self.cluster) {
            self.rebuilt.stands(cluster.phase);
        }
        match record.event {
            Event::Observed(seen) => {
                self.rebuilt.observe(&seen);
                self.news = Some(at.max(seen.at));
                Ok(None)
            }
            Event::Evaluated(evaluated) => Ok(self.evaluated(record.seq, *evaluated)),
            Event::PlanEnded { .. } => {
                // Everything is looked at anew before the policies are asked again.
                if let Watching::From(from) = self.watching {
                    self.watching = Watching::From(from.max(at.plus(self.settle_ms)));
                }
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn note_gaps(&mut self, record: &Record, here: bool) {
        match &record.event {
            Event::MonitorStopped { .. } => self.unwatched(record.at, Unwatched::Stopped),
            Event::MonitorStarted { .. } => {
                self.unwatched(self.alive, Unwatched::Ended);
                self.rebuilt.forget();
                self.news = None;
            }
            Event::Duty(_) if here => {
                let standing =
                    self.state.clusters.get(&self.cluster).map(|it| it.tenure.standing());
                // Whoever has just got it looks first.
                let taken = matches!(&record.event, Event::Duty(Change::Taken { .. }));
                if taken
                    || matches!(standing, Some(DutyIs::Offered { .. } | DutyIs::Elsewhere { .. }))
                {
                    self.unwatched(record.at, Unwatched::Elsewhere);
                }
            }
            _ => {}
        }
    }

    fn unwatched(&mut self, from: Timestamp, why: Unwatched) {
        if let Watching::From(_) = self.watching {
            self.watching = Watching::Gap(from, why);
        }
    }

    fn evaluated(&mut self, seq: u64, mut evaluated: Evaluated) -> Option<Moment> {
        if let Some(basis) = evaluated.basis.take() {
            self.basis = Some(Arc::from(basis));
        }
        let facts = evaluated.snapshot.facts();
        let at = facts.at;
        if self.is_order(&evaluated) {
            return None;
        }
        self.number = self.number.max(facts.number.saturating_add(1));
        self.news = None;
        self.look_again = None;
        self.now = self.now.max(at);
        match self.watching {
            Watching::From(_) => {}
            Watching::NotBegun => self.tick = at.plus(self.tick_ms),
            Watching::Gap(from, why) => {
                self.gaps.push(Gap { from, until: at, why });
                self.tick = at.plus(self.tick_ms);
            }
        }
        self.watching = Watching::From(at);
        if self.tick <= at {
            let passed = at.since(self.tick) / self.tick_ms + 1;
            self.tick = self.tick.plus(passed.saturating_mul(self.tick_ms));
        }
        let state = self.state.clusters.get(&self.cluster);
        with_background(state, |background| self.rebuilt.learn(&evaluated.snapshot, background));
        let snapshot = Arc::new(evaluated.snapshot.clone());
        let recorded = Arc::new(Recorded { seq, evaluated, basis: self.basis.clone() });
        self.last = Some(Arc::clone(&recorded));
        Some(Moment { at, source: Source::Recorded(seq), snapshot, recorded })
    }

    /// An operator's order is recorded as an evaluation that no policy was asked for. Without
    /// policies, an evaluation looks the same, and is one.
    fn is_order(&self, evaluated: &Evaluated) -> bool {
        let any = match (&self.basis, &self.last) {
            (Some(basis), _) => !basis.policies.is_empty(),
            (None, Some(last)) => !last.evaluated.opinions.is_empty(),
            (None, None) => false,
        };
        any && evaluated.opinions.is_empty()
    }

    /// Looks at the situation in which it was decided at `moment`, the last one that was given.
    pub fn situation<T>(&self, moment: &Moment, look: impl FnOnce(&Situation<'_>) -> T) -> T {
        let default = ClusterState::default();
        let state = self.state.clusters.get(&self.cluster).unwrap_or(&default);
        let basis = moment.recorded.basis.as_deref();
        let term = match state.tenure.standing() {
            DutyIs::Held { term } => *term,
            _ => self.state.term,
        };
        let unrecorded = Duty::Held(term);
        let fleet = self.state.fleet_changes(&self.cluster);
        look(&Situation {
            snapshot: &moment.snapshot,
            phase: moment.snapshot.facts().cluster.phase,
            duty: basis.map_or(&unrecorded, |it| &it.duty),
            limits: basis.map_or(&self.given.0, |it| &it.limits),
            arrangements: basis.map_or(&self.given.1, |it| &it.arrangements),
            last_change: state.cooling_since,
            fleet_changes: &fleet,
        })
    }

    /// Decides as it would have been decided at `moment`, the last one that was given: in its
    /// situation, by the engine's own arbitration and guards.
    pub fn decide(
        &self,
        moment: &Moment,
        opinions: &[Opinion],
        standings: &[Standing],
    ) -> Decision {
        self.situation(moment, |situation| arbitration::decide(situation, opinions, standings))
    }

    /// What is recorded of the cluster, folded; none: nothing.
    pub fn here(&self) -> Option<&ClusterState> {
        self.state.clusters.get(&self.cluster)
    }

    /// What is recorded, folded.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// When the last record was written.
    pub const fn last_record(&self) -> Timestamp {
        self.alive
    }

    /// The times without moments, oldest first; those that have ended.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// The time without moments that has not ended.
    pub const fn open_gap(&self) -> Option<(Timestamp, Unwatched)> {
        match self.watching {
            Watching::Gap(from, why) => Some((from, why)),
            Watching::NotBegun | Watching::From(_) => None,
        }
    }
}

/// What the fold adds to the facts of the probes.
fn with_background<T>(state: Option<&ClusterState>, look: impl FnOnce(&Background<'_>) -> T) -> T {
    let default = ClusterState::default();
    let state = state.unwrap_or(&default);
    let in_maintenance: Vec<_> = state.services_in_maintenance.keys().cloned().collect();
    let (rescues, changes): (Vec<_>, Vec<_>) =
        (state.rescues.iter().cloned().collect(), state.changes.iter().cloned().collect());
    look(&Background {
        phase: state.phase,
        active_since: state.active_since,
        maintenance: state.maintenance.is_some(),
        services_in_maintenance: &in_maintenance,
        rescues: &rescues,
        changes: &changes,
    })
}
