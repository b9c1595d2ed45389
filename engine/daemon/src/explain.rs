//! Why it acted, or why not: the story of one evaluation, from the journal alone.
//!
//! A story is made of what was recorded and nothing else, so it can be told on another machine
//! from a copy of the journal, and it names exactly the facts that were read.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use watchkeeper_core::arbitration::Decision;
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::{Outcome, PlanEnding, Word};
use watchkeeper_core::model::{ClusterName, Timestamp};
use watchkeeper_core::plan::Plan;
use watchkeeper_core::proposal::{Failure, Revision};
use watchkeeper_core::snapshot::{Filter, Read, ServiceFacts, Snapshot, State};

/// The story of one evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// The cluster.
    pub cluster: ClusterName,
    /// The evaluation's record in the journal.
    pub record: u64,
    /// When it was made.
    pub at: Timestamp,
    /// Where the cluster stood.
    pub phase: String,
    /// What came of it.
    pub decision: Decision,
    /// What would have come of it if the policies in the shadow were obeyed; none: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_shadow: Option<String>,
    /// What each policy read and said.
    pub policies: Vec<Heard>,
    /// The plan that followed from it, and how it went.
    pub plan: Option<Carried>,
    /// Alerts that it raised or resolved, and what became of their notifications.
    pub told: Vec<String>,
}

/// What one policy read and said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heard {
    /// The policy.
    pub policy: String,
    /// Its revision.
    pub revision: Revision,
    /// The facts it read, one line each.
    pub facts: Vec<String>,
    /// What it proposed, one line each.
    pub proposals: Vec<String>,
    /// Why it holds, one line each.
    pub holds: Vec<String>,
    /// What it says about how it came to this.
    pub notes: Vec<String>,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
}

/// A plan, and how it went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// The plan.
    pub plan: Plan,
    /// Its attempts, in order.
    pub attempts: Vec<Attempt>,
    /// How it ended, if it has.
    pub ending: Option<PlanEnding>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What operators said of it meanwhile and afterwards, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<String>,
}

/// One attempt at a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The step, counted from 0.
    pub step: usize,
    /// Which attempt, counted from 1.
    pub attempt: u32,
    /// When it was begun.
    pub begun: Timestamp,
    /// When it ended, if it has.
    pub ended: Option<Timestamp>,
    /// How, if it has.
    pub outcome: Option<Outcome>,
}

/// Tells the story of the evaluation that is the first of `records`; the rest are the records of
/// the same cluster that followed. None if the first is no evaluation.
pub fn tell(records: &[Record]) -> Option<Story> {
    let (first, rest) = records.split_first()?;
    let Event::Evaluated(evaluated) = &first.event else { return None };
    let snapshot = &evaluated.snapshot;
    let policies = evaluated
        .opinions
        .iter()
        .map(|opinion| {
            let evaluation = opinion.outcome.as_ref().ok();
            Heard {
                policy: opinion.policy.to_string(),
                revision: opinion.revision.clone(),
                facts: opinion.reads.iter().flat_map(|read| facts(snapshot, read)).fold(
                    Vec::new(),
                    |mut all, line| {
                        if !all.contains(&line) {
                            all.push(line);
                        }
                        all
                    },
                ),
                proposals: evaluation.map_or_else(Vec::new, |it| {
                    it.proposals.iter().map(|p| format!("{}: {}", p.action, p.reason)).collect()
                }),
                holds: evaluation.map_or_else(Vec::new, |it| it.holds.clone()),
                notes: evaluation.map_or_else(Vec::new, |it| it.notes.clone()),
                failure: opinion.outcome.as_ref().err().cloned(),
            }
        })
        .collect();
    Some(Story {
        cluster: first.cluster.clone()?,
        record: first.seq,
        at: first.at,
        phase: snapshot.facts().cluster.phase.to_string(),
        decision: evaluated.decision.clone(),
        in_shadow: evaluated.in_shadow.as_ref().map(Decision::in_words),
        policies,
        plan: carried(first.at, rest),
        told: told(rest),
    })
}

/// Of several evaluations, oldest first, the one that most people ask about: the last in which
/// something was wanted, else the last.
pub fn most_telling(evaluations: &[Record]) -> Option<u64> {
    let wanted = evaluations.iter().rev().find(|record| match &record.event {
        Event::Evaluated(evaluated) => {
            evaluated.decision.chosen.is_some() || evaluated.opinions.is_empty()
        }
        _ => false,
    });
    wanted.or(evaluations.last()).map(|record| record.seq)
}

/// Whether the evaluation is of the moment at which a plan that had stopped was taken up again, by what
/// followed it.
pub fn is_of_resumption(rest: &[Record]) -> bool {
    let before = |record: &&Record| !matches!(record.event, Event::Evaluated(_));
    rest.iter().take_while(before).any(|record| matches!(record.event, Event::PlanResumed { .. }))
}

/// The plan that was begun together with the evaluation, and its attempts.
fn carried(at: Timestamp, rest: &[Record]) -> Option<Carried> {
    let position = rest
        .iter()
        .take_while(|record| !matches!(record.event, Event::Evaluated(_)))
        .position(|record| matches!(record.event, Event::PlanBegun(_)))?;
    let (begun, after) = rest.get(position..)?.split_first()?;
    let Event::PlanBegun(plan) = &begun.event else { return None };
    debug_assert!(begun.at >= at, "a plan follows its decision");
    let mut carried = Carried {
        plan: plan.as_ref().clone(),
        attempts: Vec::new(),
        ending: None,
        ended: None,
        said: Vec::new(),
    };
    for record in after {
        match &record.event {
            Event::StepIntended { plan, step, attempt, .. } if *plan == carried.plan.number => {
                carried.attempts.push(Attempt {
                    step: *step,
                    attempt: *attempt,
                    begun: record.at,
                    ended: None,
                    outcome: None,
                });
            }
            Event::StepEnded { plan, outcome, .. } if *plan == carried.plan.number => {
                if let Some(last) = carried.attempts.last_mut() {
                    last.ended = Some(record.at);
                    last.outcome = Some(outcome.clone());
                }
            }
            Event::PlanEnded { plan, ending } if *plan == carried.plan.number => {
                carried.ending = Some(ending.clone());
                carried.ended = Some(record.at);
                // Unless an operator has it go on.
                if !matches!(ending, PlanEnding::Failed { .. }) {
                    break;
                }
            }
            Event::PlanResumed { plan, .. } if *plan == carried.plan.number => {
                carried.ending = None;
                carried.ended = None;
                carried.said.extend(said(record));
            }
            Event::PlanAborted { plan, .. } | Event::PlanAbandoned { plan, .. }
                if *plan == carried.plan.number =>
            {
                carried.said.extend(said(record));
            }
            Event::PlanBegun(_) => break,
            _ => {}
        }
    }
    Some(carried)
}

/// What an operator said of a plan, in a line.
fn said(record: &Record) -> Option<String> {
    let at = record.at;
    Some(match &record.event {
        Event::PlanAborted { by, reason, .. } => {
            format!("{at} {by} wanted no further step: {reason}")
        }
        Event::PlanResumed { word, by, reason, .. } => {
            let of_step = match word {
                Word::Unsaid => "",
                Word::Again => ", the step again",
                Word::Done => ", the step being done",
            };
            format!("{at} {by} had it go on{of_step}: {reason}")
        }
        Event::PlanAbandoned { side, why, by, reason, .. } => {
            let side = side.map_or_else(
                || "no side counts as active".to_owned(),
                |side| format!("the {side} counts as active"),
            );
            format!("{at} {by} gave it up: {reason}; {side}: {why}")
        }
        _ => return None,
    })
}

/// What was told because of it: the alerts up to the next evaluation, and what became of their
/// notifications at any time later.
fn told(rest: &[Record]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut news = BTreeSet::new();
    for record in rest.iter().take_while(|it| !matches!(it.event, Event::Evaluated(_))) {
        match &record.event {
            Event::AlertFired(alert) => {
                news.insert((&alert.fingerprint, false));
                lines.push(format!(
                    "{} {} alert {}: {}",
                    record.at, alert.claim.severity, alert.claim.name, alert.claim.summary
                ));
            }
            Event::AlertResolved { fingerprint, .. } => {
                news.insert((fingerprint, true));
                lines.push(format!("{} alert {fingerprint} is over", record.at));
            }
            _ => {}
        }
    }
    let mut notifications = Vec::new();
    for record in rest {
        let (id, what) = match &record.event {
            Event::NotificationQueued { id, receiver, alert } => {
                if news.contains(&(&alert.fingerprint, alert.ends_at.is_some())) {
                    notifications.push((*id, receiver.clone(), alert.claim.name.clone()));
                }
                continue;
            }
            Event::NotificationMade(made) => {
                let of_it = made.alerts.iter().filter(|it| {
                    it.news && news.contains(&(&it.alert.fingerprint, it.alert.ends_at.is_some()))
                });
                let names: Vec<&str> = of_it.map(|it| it.alert.claim.name.as_str()).collect();
                if !names.is_empty() {
                    notifications.push((made.id, made.receiver.clone(), names.join(", ")));
                }
                continue;
            }
            Event::AlertUntold { fingerprint, why } => {
                if news.contains(&(fingerprint, true)) {
                    lines.push(format!("{} nobody is told of {fingerprint}: {why}", record.at));
                }
                continue;
            }
            Event::NotificationDelivered { id, .. } => (*id, "delivered".to_owned()),
            Event::NotificationTried { id, problem, .. } => {
                (*id, format!("not delivered yet: {problem}"))
            }
            Event::NotificationDead { id, problem } => (*id, format!("given up: {problem}")),
            _ => continue,
        };
        if let Some((_, receiver, name)) = notifications.iter().find(|(queued, _, _)| *queued == id)
        {
            lines.push(format!("{} notification of {name} to {receiver}: {what}", record.at));
        }
    }
    lines
}

/// What a question found, one line each.
fn facts(snapshot: &Snapshot, read: &Read) -> Vec<String> {
    match read {
        Read::Cluster => {
            let cluster = &snapshot.facts().cluster;
            let maintenance = if cluster.maintenance { ", in maintenance" } else { "" };
            vec![format!("{} is {}{maintenance}", cluster.name, cluster.phase)]
        }
        // No fact.
        Read::Number => Vec::new(),
        Read::Time => vec![format!("the time is {}", snapshot.facts().at)],
        Read::Servers => {
            let servers = &snapshot.facts().servers;
            servers.iter().map(|it| server(it.name.as_str(), &it.state)).collect()
        }
        Read::Server(name) => snapshot
            .server(name)
            .map(|it| server(it.name.as_str(), &it.state))
            .into_iter()
            .collect(),
        Read::Service(name, kind) => {
            snapshot.service(name, *kind).map(service).into_iter().collect()
        }
        Read::Services(filter) => snapshot.services(*filter).into_iter().map(service).collect(),
        Read::Count(filter) => {
            let counts = snapshot.count(*filter);
            vec![format!(
                "{}: {} up, {} down, {} unknown",
                described(*filter),
                counts.up,
                counts.down,
                counts.unknown
            )]
        }
        Read::Measure(at, kind, name) => {
            snapshot.measure(at, *kind, name).map(measure).into_iter().collect()
        }
        Read::Measures(name) => snapshot.measures(name).into_iter().map(measure).collect(),
        Read::Rescues => {
            let rescues = &snapshot.facts().rescues;
            rescues
                .iter()
                .map(|it| format!("rescue of {} at {}: {}", it.id, it.begun, it.ending))
                .collect()
        }
        Read::Changes => {
            let changes = &snapshot.facts().changes;
            changes
                .iter()
                .map(|it| {
                    format!("change from {} to {} at {}: {}", it.from, it.to, it.begun, it.ending)
                })
                .collect()
        }
    }
}

fn server(name: &str, state: &State) -> String {
    line(name, state)
}

fn service(facts: &ServiceFacts) -> String {
    let maintenance = if facts.maintenance { ", in maintenance" } else { "" };
    format!("{}{maintenance}", line(&facts.id.to_string(), &facts.state))
}

fn line(what: &str, state: &State) -> String {
    format!(
        "{what} is {} ({}), since {}, seen so {} times in a row",
        state.status, state.reason.detail, state.since, state.confirmations
    )
}

fn measure(measure: &watchkeeper_core::snapshot::Measure) -> String {
    use watchkeeper_core::facts::Value;
    let of = match measure.service {
        Some(service) => format!("{}/{service}", measure.server),
        None => measure.server.to_string(),
    };
    match &measure.value {
        Value::Flag(value) => format!("{of} {} = {value}", measure.name),
        Value::Integer(value) => format!("{of} {} = {value}", measure.name),
        Value::Number(value) => format!("{of} {} = {value}", measure.name),
        Value::Text(value) => format!("{of} {} = {value}", measure.name),
    }
}

fn described(filter: Filter) -> String {
    let mut text = match filter.service {
        Some(service) => format!("{service} services"),
        None => "services".to_owned(),
    };
    if let Some(place) = filter.place {
        let _ = write!(text, " at {}", format!("{place:?}").to_lowercase());
    }
    match filter.expected {
        Some(true) => text.push_str(" that are meant to run"),
        Some(false) => text.push_str(" that are not meant to run"),
        None => {}
    }
    text
}

impl fmt::Display for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, {} (record {} of the journal)", self.cluster, self.at, self.record)?;
        writeln!(f, "The cluster was {}.", self.phase)?;
        self.fmt_decision(f)?;
        for heard in &self.policies {
            heard.fmt_heard(f)?;
        }
        if let Some(carried) = &self.plan {
            carried.fmt_carried(f)?;
        }
        list(f, "Told", &self.told)
    }
}

fn list(f: &mut fmt::Formatter<'_>, title: &str, lines: &[String]) -> fmt::Result {
    if lines.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{title}")?;
    lines.iter().try_for_each(|line| writeln!(f, "  {line}"))
}

impl Story {
    fn fmt_decision(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = &self.decision;
        match &decision.chosen {
            Some(chosen) if decision.holds.is_empty() => writeln!(
                f,
                "\nDecision: {}, as {} asked: {}",
                chosen.proposal.action, chosen.policy, chosen.proposal.reason
            )?,
            Some(chosen) => writeln!(
                f,
                "\nDecision: nothing is done. {} asked to {}: {}",
                chosen.policy, chosen.proposal.action, chosen.proposal.reason
            )?,
            None if self
                .plan
                .as_ref()
                .is_some_and(|it| self.policies.is_empty() && it.plan.number > 0) =>
            {
                writeln!(f, "\nDecision: an operator's order")?;
            }
            None => writeln!(f, "\nDecision: nothing is done; no policy asked for an action")?,
        }
        let holds: Vec<String> = decision.holds.iter().map(ToString::to_string).collect();
        list(f, "Held by", &holds)?;
        let passed: Vec<String> = decision
            .passed_over
            .iter()
            .map(|it| format!("{} asked to {}: {}", it.policy, it.proposal.action, it.why))
            .collect();
        list(f, "Passed over", &passed)?;
        let would = self.in_shadow.iter().cloned().collect::<Vec<_>>();
        list(f, "If the policies in the shadow were obeyed", &would)
    }
}

impl Heard {
    fn fmt_heard(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\nPolicy {} {}", self.policy, self.revision)?;
        if let Some(failure) = &self.failure {
            writeln!(f, "  gave no answer: {failure}")?;
        }
        for (word, lines) in [
            ("asked to", &self.proposals),
            ("holds:", &self.holds),
            ("says:", &self.notes),
            ("read:", &self.facts),
        ] {
            for line in lines {
                writeln!(f, "  {word} {line}")?;
            }
        }
        Ok(())
    }
}

impl Carried {
    fn fmt_carried(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = &self.plan;
        writeln!(
            f,
            "\nPlan {}: {}, ordered by {}, term {}",
            plan.number, plan.kind, plan.ordered_by, plan.term.0
        )?;
        writeln!(f, "  because {}", plan.reason)?;
        for (i, step) in plan.steps.iter().enumerate() {
            let attempts = self.attempts.iter().filter(|attempt| attempt.step == i);
            let mut tried = false;
            for (before, attempt) in attempts.enumerate() {
                tried = true;
                let (word, detail) = match &attempt.outcome {
                    Some(Outcome::Done { detail, .. }) => ("done", detail.as_str()),
                    Some(Outcome::Failed { detail }) => ("failed", detail.as_str()),
                    Some(Outcome::NotBegun { detail }) => ("not begun", detail.as_str()),
                    Some(Outcome::Uncertain { detail }) => ("uncertain", detail.as_str()),
                    None => ("under way", ""),
                };
                let took = attempt.ended.map_or(0, |ended| ended.since(attempt.begun));
                let again =
                    if before > 0 { format!(" (attempt {})", before + 1) } else { String::new() };
                writeln!(f, "  {:>2}. {}{again}: {word}, {took} ms; {detail}", i + 1, step.act)?;
            }
            if !tried {
                writeln!(f, "  {:>2}. {}: not begun", i + 1, step.act)?;
            }
        }
        self.said.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        match (&self.ending, self.ended) {
            (Some(PlanEnding::Completed), Some(at)) => {
                writeln!(f, "  completed after {} ms", at.since(plan.made))
            }
            (Some(PlanEnding::Refused { detail, .. }), _) => {
                writeln!(f, "  ended before anything was changed: {detail}")
            }
            (Some(PlanEnding::Failed { detail, .. }), _) => writeln!(f, "  stopped: {detail}"),
            _ => writeln!(f, "  still in flight"),
        }
    }
}
