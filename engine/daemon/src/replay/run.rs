//! The way through the history: each moment asked about, decided, compared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use watchkeeper_core::arbitration::{Decision, Standing as Terms, decide, in_shadow};
use watchkeeper_core::event::Record;
use watchkeeper_core::model::{ClusterName, PolicyName, Timestamp};
use watchkeeper_core::past::Memory;
use watchkeeper_core::proposal::{FailureKind, Opinion, Revision};
use watchkeeper_core::replay::{Comparison, Gap, History, Moment, Pace, Recorded, Rhythm, Source};
use watchkeeper_core::state::ApplyError;

use super::days::Days;
use super::report::{Failed, Other, Report, Tried};
use super::seats::{Candidate, Panel, revision};
use super::when::When;
use crate::cluster::{Hearing, SETTLE, Seat, TICK};
use crate::collect::CONFIRMATIONS;
use crate::config::cluster::ClusterConfig;
use crate::journal::{JournalError, Query, Reader};

/// How many records are read at once.
const PAGE: usize = 1_000;

/// The pace of a probe that is configured no more: that of one that the configuration says nothing
/// else of.
const OTHER_PACE: Pace = Pace { interval_ms: 1_000, confirm_ms: 200 };

/// What is to be replayed.
pub struct Question<'a> {
    /// The cluster, as configured.
    pub cluster: &'a ClusterConfig,
    /// Who is asked.
    pub panel: Panel,
    /// What is tried; it is in the panel.
    pub candidate: &'a Candidate,
    /// The journal.
    pub journal: &'a Reader,
    /// From when.
    pub since: When,
    /// Until when; none: the journal's last record.
    pub until: Option<When>,
    /// The present moment.
    pub now: Timestamp,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The journal cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its records contradict each other.
    #[error("the journal holds a record that does not fit the ones before it")]
    Misfit(#[from] ApplyError),
    /// There is nothing to replay.
    #[error("the journal holds no record")]
    Empty,
    /// The span is none.
    #[error("from {since} to {until} is no time: the journal's last record is of {last}")]
    Span {
        /// From when.
        since: Timestamp,
        /// Until when.
        until: Timestamp,
        /// When the last record was written.
        last: Timestamp,
    },
}

/// How far it has come.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// From when.
    pub since: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// The last moment.
    pub at: Timestamp,
}

/// What came of it.
#[derive(Debug)]
pub struct Replayed {
    /// For people and programs.
    pub report: Report,
    /// For a picture.
    pub days: Days,
}

/// Goes through the history once; `tell` hears how far it has come after each record and each
/// second that is reconstructed. Blocks for as long as it takes.
pub fn replay(
    question: Question<'_>,
    mut tell: impl FnMut(Standing),
) -> Result<Replayed, ReplayError> {
    let begun = Instant::now();
    let newest = Query { newest: true, limit: 1, ..Query::default() };
    let last = question.journal.read_now(&newest)?.last().ok_or(ReplayError::Empty)?.at;
    let until = question.until.map_or(last, |when| when.moment(last, question.now));
    let since = question.since.moment(until, question.now);
    if since >= until || since > last {
        return Err(ReplayError::Span { since, until, last });
    }
    let cluster = question.cluster.topology.cluster().clone();
    let history = History::new(
        cluster.clone(),
        rhythm(question.cluster),
        question.cluster.guards.clone(),
        question.cluster.arrangements.clone(),
    );
    let mut run = Run::new(question.panel, cluster, history, since, until);
    let mut query = Query { limit: PAGE, ..Query::default() };
    'history: loop {
        let records = question.journal.read_now(&query)?;
        let Some(newest) = records.last().map(|record| record.seq) else {
            run.finish(&mut tell);
            break;
        };
        query.after = newest;
        for record in records {
            if record.at > until {
                run.ask_before(&record, &mut tell);
                break 'history;
            }
            run.take(record, &mut tell)?;
        }
    }
    let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(run.end(question.candidate, question.cluster, took_ms))
}

/// How the monitor looks and asks.
fn rhythm(cluster: &ClusterConfig) -> Rhythm {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let pace = |probe: &crate::config::probe::ProbeConfig| Pace {
        interval_ms: ms(probe.interval),
        confirm_ms: ms(probe.confirm_interval),
    };
    Rhythm {
        tick_ms: ms(TICK),
        settle_ms: ms(SETTLE),
        confirmations: CONFIRMATIONS,
        paces: cluster.probes.iter().map(|probe| (probe.id.clone(), pace(probe))).collect(),
        other: OTHER_PACE,
    }
}

/// The way so far.
struct Run {
    panel: Panel,
    /// What the policies said last: who would say the same is not asked again.
    hearing: Hearing,
    begun: tokio::time::Instant,
    history: History,
    comparison: Comparison,
    days: Days,
    since: Timestamp,
    until: Timestamp,
    /// What the policies wanted remembered in this replay.
    memories: BTreeMap<PolicyName, Memory>,
    /// Whether every policy and setting is what it was at the last recorded moment: then nothing in
    /// between can differ.
    as_it_was: bool,
    counted_as_it_was: u64,
    inexact: Vec<u64>,
    /// Records from before a decision's basis was recorded.
    without_basis: u64,
    failures: BTreeMap<PolicyName, Failed>,
    /// The revisions that were in the panel's places, by policy, in their order.
    replaced: BTreeMap<PolicyName, Vec<Revision>>,
    /// Policies that were asked then, and have no place now.
    left_out: BTreeSet<PolicyName>,
    /// Policies that do not take over what another version remembered, with that version.
    refused: BTreeMap<PolicyName, String>,
}

impl Run {
    fn new(
        panel: Panel,
        cluster: ClusterName,
        history: History,
        since: Timestamp,
        until: Timestamp,
    ) -> Self {
        Self {
            panel,
            hearing: Hearing::default(),
            begun: tokio::time::Instant::now(),
            history,
            comparison: Comparison::default(),
            days: Days::new(cluster, since, until),
            since,
            until,
            memories: BTreeMap::new(),
            as_it_was: false,
            counted_as_it_was: 0,
            inexact: Vec::new(),
            without_basis: 0,
            failures: BTreeMap::new(),
            replaced: BTreeMap::new(),
            left_out: BTreeSet::new(),
            refused: BTreeMap::new(),
        }
    }

    fn take(&mut self, record: Record, tell: &mut impl FnMut(Standing)) -> Result<(), ApplyError> {
        let at = record.at;
        if at >= self.since {
            self.ask_before(&record, tell);
        }
        if let Some(moment) = self.history.take(record)? {
            self.as_it_was = self.is_as_it_was(&moment.recorded);
            if moment.at >= self.since {
                self.ask(&moment);
            }
        }
        self.days.stands(at, self.history.state());
        tell(self.standing(at));
        Ok(())
    }

    /// Asks at the reconstructed moments before `record`, unless nothing can differ there.
    fn ask_before(&mut self, record: &Record, tell: &mut impl FnMut(Standing)) {
        self.history.pass_until(self.since);
        if self.as_it_was {
            return self.history.pass(record);
        }
        while let Some(moment) = self.history.before(record) {
            if moment.at > self.until {
                return;
            }
            self.ask(&moment);
            tell(self.standing(moment.at));
        }
    }

    /// Asks at the moments after the last record.
    fn finish(&mut self, tell: &mut impl FnMut(Standing)) {
        self.history.pass_until(self.since);
        if self.as_it_was {
            return;
        }
        while let Some(moment) = self.history.until(self.until.plus(1)) {
            self.ask(&moment);
            tell(self.standing(moment.at));
        }
    }

    const fn standing(&self, at: Timestamp) -> Standing {
        Standing { since: self.since, until: self.until, at }
    }

    fn ask(&mut self, moment: &Moment) {
        self.remember(&moment.recorded);
        // No time passes here but the moments'.
        let now = self.begun + Duration::from_millis(moment.at.since(self.since));
        let heard = self.hearing.hear(&self.panel.seats, &moment.snapshot, &self.memories, now);
        let mut opinions = heard.opinions;
        for (seat, opinion) in self.panel.seats.iter().zip(&mut opinions) {
            let then = opinion_of(&moment.recorded, &seat.standing.policy);
            let then = then.filter(|it| is_recorded(moment) && by_chance(it));
            if let Some(then) = then.filter(|_| is_same(seat, &moment.recorded)) {
                opinion.clone_from(then);
            }
            if let Ok(evaluation) = &opinion.outcome {
                let (version, state) = (opinion.revision.version.clone(), evaluation.state.clone());
                self.memories.insert(opinion.policy.clone(), Memory { version, state });
            }
        }
        let standings = self.standings();
        let (decision, in_shadow) = self.history.situation(moment, |situation| {
            let decision = decide(situation, &opinions, &standings);
            let in_shadow = in_shadow(situation, &opinions, &standings, &decision);
            (decision, in_shadow)
        });
        if let Source::Recorded(seq) = moment.source {
            let evaluated = &moment.recorded.evaluated;
            let exact = evaluated.opinions == opinions
                && evaluated.in_shadow == in_shadow
                && fits(&evaluated.decision, &decision);
            self.note_recorded(&moment.recorded, seq, exact);
            self.days.decided(moment);
        }
        self.note_failures(moment, &opinions);
        self.comparison.take(moment, &decision);
        let again = heard.look_again.map(|left| left.as_millis().saturating_add(1));
        self.history.look_again(again.map(|ms| u64::try_from(ms).unwrap_or(u64::MAX)));
    }

    /// What each policy gets of what it wanted remembered: what is the same as then, what it
    /// remembered then; any other, what it remembered in this replay, and at first what there was.
    fn remember(&mut self, recorded: &Recorded) {
        for seat in &self.panel.seats {
            let policy = &seat.standing.policy;
            if !is_same(seat, recorded) && self.memories.contains_key(policy) {
                continue;
            }
            let memory = self.history.here().and_then(|here| here.memories.get(policy));
            match memory.map(|memory| brought(seat, memory)) {
                Some(Ok(memory)) => drop(self.memories.insert(policy.clone(), memory)),
                Some(Err(version)) => {
                    self.memories.remove(policy);
                    self.refused.insert(policy.clone(), version);
                }
                None => drop(self.memories.remove(policy)),
            }
        }
    }

    /// The policies' terms, each in the mode that counted then; the candidate is obeyed.
    fn standings(&self) -> Vec<Terms> {
        let here = self.history.here();
        let mode = |seat: &Seat| match here {
            Some(here) if seat.standing.policy != self.panel.candidate => seat.mode(here),
            _ => seat.standing.mode,
        };
        let seats = self.panel.seats.iter();
        seats.map(|seat| Terms { mode: mode(seat), ..seat.standing.clone() }).collect()
    }

    fn note_recorded(&mut self, recorded: &Recorded, seq: u64, exact: bool) {
        self.without_basis += u64::from(recorded.basis.is_none());
        if self.as_it_was {
            self.counted_as_it_was += 1;
            if !exact {
                self.inexact.push(seq);
            }
        }
        for opinion in &recorded.evaluated.opinions {
            let seat = self.panel.seats.iter().find(|it| it.standing.policy == opinion.policy);
            match seat {
                None => drop(self.left_out.insert(opinion.policy.clone())),
                Some(seat) if revision(seat) != Some(&opinion.revision) => {
                    let known = self.replaced.entry(opinion.policy.clone()).or_default();
                    if !known.contains(&opinion.revision) {
                        known.push(opinion.revision.clone());
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn note_failures(&mut self, moment: &Moment, opinions: &[Opinion]) {
        for opinion in opinions {
            let Err(failure) = &opinion.outcome else { continue };
            let first = || Failed {
                policy: opinion.policy.clone(),
                times: 0,
                at: moment.at,
                source: moment.source,
                failure: failure.clone(),
            };
            self.failures.entry(opinion.policy.clone()).or_insert_with(first).times += 1;
        }
    }

    /// Whether the panel is what was asked at that moment, with the same settings on the same terms.
    fn is_as_it_was(&self, recorded: &Recorded) -> bool {
        let opinions = &recorded.evaluated.opinions;
        let seats = &self.panel.seats;
        let terms = recorded.basis.as_ref().is_none_or(|basis| {
            let then = basis.policies.iter().map(|it| &it.standing);
            then.eq(&self.standings())
        });
        terms
            && opinions.len() == seats.len()
            && opinions
                .iter()
                .zip(seats)
                .all(|(then, now)| then.policy == now.standing.policy && is_same(now, recorded))
    }

    fn end(self, candidate: &Candidate, cluster: &ClusterConfig, took_ms: u64) -> Replayed {
        let mut notes = self.notes(cluster);
        let compared = self.comparison.end();
        if compared.recorded + compared.reconstructed == 0 {
            let note = if self.as_it_was {
                "nothing was recorded in this time, and every policy and setting is what it was: \
                 nothing can differ"
            } else {
                "no moment of this time is known: nothing was compared"
            };
            notes.push(note.to_owned());
        }
        let mut gaps: Vec<Gap> = self.history.gaps().to_vec();
        if let Some((from, why)) = self.history.open_gap() {
            gaps.push(Gap { from, until: self.until, why });
        }
        gaps.retain(|gap| gap.until > self.since && gap.from < self.until);
        let unloaded = || Revision { digest: String::new(), version: "none".to_owned() };
        let of = |seat: &Seat| revision(seat).cloned().unwrap_or_else(unloaded);
        let name = self.panel.candidate.clone();
        let tried = Tried {
            file: candidate.file.clone(),
            revision: self.panel.candidate().map_or_else(unloaded, of),
            set: candidate.settings.clone(),
            in_place_of: self.replaced.get(&name).cloned().unwrap_or_default(),
            policy: name,
        };
        let others = self.panel.seats.iter().filter(|it| it.standing.policy != tried.policy);
        let others = others
            .map(|seat| Other { policy: seat.standing.policy.clone(), revision: of(seat) })
            .collect();
        let mut days = self.days;
        days.differ(&compared.differences, &gaps);
        let report = Report {
            cluster: cluster.topology.cluster().clone(),
            since: self.since,
            until: self.until,
            candidate: tried,
            others,
            recorded: compared.recorded,
            reconstructed: compared.reconstructed,
            as_it_was: self.counted_as_it_was,
            inexact: self.inexact,
            differences: compared.differences,
            alerts: compared.alerts,
            too_short: compared.too_short,
            failures: self.failures.into_values().collect(),
            gaps,
            notes,
            took_ms,
        };
        Replayed { report, days }
    }

    /// What is not in force although its file holds it.
    fn taken_back(&self) -> impl Iterator<Item = String> {
        let here = self.history.here();
        self.panel.seats.iter().filter_map(move |seat| {
            let back = here?.policies.get(&seat.standing.policy)?.rolled_back.as_ref()?;
            (Some(&back.from) == revision(seat)).then(|| {
                format!(
                    "the revision {} of {} was taken back; in force is {}",
                    back.from, seat.standing.policy, back.to
                )
            })
        })
    }

    fn notes(&self, cluster: &ClusterConfig) -> Vec<String> {
        let mut notes = self.panel.notes.clone();
        for (policy, revisions) in &self.replaced {
            if *policy == self.panel.candidate {
                continue;
            }
            let revisions: Vec<String> = revisions.iter().map(ToString::to_string).collect();
            notes.push(format!(
                "{policy} is asked as it is configured now; recorded is {}: a difference may be its",
                revisions.join(", ")
            ));
        }
        for policy in &self.left_out {
            notes.push(format!(
                "{policy} was asked then and is configured no more: a difference may come of that"
            ));
        }
        for (policy, version) in &self.refused {
            notes.push(format!(
                "{policy} does not take over the state of version {version}, so it would not be put in \
                 force; here it began with none"
            ));
        }
        notes.extend(self.taken_back());
        if self.without_basis > 0 {
            notes.push(format!(
                "{} of the recorded decisions are from before their basis was recorded: the limits of \
                 guards, the arrangements for plans, the duty, grants and settings are taken from the \
                 present configuration of {}",
                self.without_basis,
                cluster.topology.cluster()
            ));
        }
        notes
    }
}

const fn is_recorded(moment: &Moment) -> bool {
    matches!(moment.source, Source::Recorded(_))
}

fn opinion_of<'a>(recorded: &'a Recorded, policy: &PolicyName) -> Option<&'a Opinion> {
    recorded.evaluated.opinions.iter().find(|opinion| opinion.policy == *policy)
}

/// Whether the policy in that seat is the one that was asked then, with the same settings.
fn is_same(seat: &Seat, recorded: &Recorded) -> bool {
    let policy = &seat.standing.policy;
    let seated = recorded.basis.as_ref().map(|basis| {
        basis.policies.iter().find(|it| it.standing.policy == *policy).map(|it| &it.settings)
    });
    let settings = seated.is_none_or(|settings| settings == Some(&*seat.settings));
    let then = opinion_of(recorded, policy).map(|opinion| &opinion.revision);
    settings && then.is_some() && then == revision(seat)
}

/// Whether the policy failed for a reason that lay in the machine and not in the facts.
const fn by_chance(opinion: &Opinion) -> bool {
    match &opinion.outcome {
        Ok(_) => false,
        Err(failure) => matches!(failure.kind, FailureKind::Deadline | FailureKind::Instantiation),
    }
}

/// What was remembered, brought to the version of the policy in that seat; else the version that it
/// does not take over.
fn brought(seat: &Seat, memory: &Memory) -> Result<Memory, String> {
    let Ok(guest) = &seat.guest else { return Ok(memory.clone()) };
    let version = &guest.revision().version;
    if memory.version == *version {
        return Ok(memory.clone());
    }
    match guest.migrate(&memory.version, &memory.state).outcome {
        Ok(state) => Ok(Memory { version: version.clone(), state }),
        Err(_) => Err(memory.version.clone()),
    }
}

/// Whether `decided` is what was recorded, but for what the engine adds of the duty and of where the
/// cluster stands.
fn fits(recorded: &Decision, decided: &Decision) -> bool {
    recorded.alerts.starts_with(&decided.alerts)
        && Decision { alerts: Vec::new(), ..recorded.clone() }
            == Decision { alerts: Vec::new(), ..decided.clone() }
}
