//! Whether two sides were ever active at once, for another reason than one of those that are documented.
//!
//! What was seen ([`Seen`]) is held against what the monitors' journals say was intended, and against what was broken at
//! that time. A pair of processes of both sides is excused only if
//! - the later one was started by somebody else: a boot, a hand. It is a stray, and has to be gone at the end;
//! - the earlier one was started by somebody else, after the other side was confirmed inactive for the plan that the later
//!   one belongs to, or beside a rescue;
//! - witnesses were deceived: the plan went on because others found the old side gone, and each of them was cut off from it or lost packets
//!   on the way, or it stood still. Where fencing is the proof, and where the old side itself answered, nothing is.

use std::collections::BTreeMap;

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::plan::{Act, Plan, PlanKind};

use super::fault::Host;
use super::past::{Past, Written};
use super::sight::{By, Process, Seen};

/// For how long what witnesses found counts, and how long a look of theirs takes, in milliseconds: so old may be what a
/// confirmation rests on.
const TESTIMONY: u64 = 6_000 + 2_000;

/// How far a start may lie before the record that intends it: both are rounded.
const ROUNDED: u64 = 100;

/// Why a host could not be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blind {
    /// No packet from the first passed to the second.
    Cut(Host, Host),
    /// It stood still.
    Frozen(Host),
    /// Packets to and from it were lost now and then.
    Lossy(Host),
}

/// For how long something was so, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// What.
    pub what: Blind,
    /// From when.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

/// How an old side was confirmed inactive.
#[derive(Debug, Clone, PartialEq, Eq)]
enum How {
    /// It said so itself.
    Said,
    /// It was switched off.
    Fenced,
    /// These found it gone.
    Witnessed(Vec<String>),
}

#[derive(Debug, Clone)]
struct Confirmed {
    /// Whose plan of which number.
    plan: (Host, u64),
    server: String,
    how: How,
    intended: u64,
    ended: u64,
}

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// What must not be.
    pub violations: Vec<String>,
    /// How many pairs are excused because witnesses were deceived.
    pub deceived: usize,
    /// How many because somebody else started one of them.
    pub strays: usize,
}

enum Excuse {
    Stray,
    Deceived,
}

/// Judges what was seen.
pub fn judge(seen: &Seen, past: &Past, spans: &[Span]) -> Sides {
    let known = Known::of(past);
    let mut sides = Sides { violations: known.strange.clone(), ..Sides::default() };
    for ((one, other), at) in &seen.pairs {
        let (Some(one), Some(other)) = (seen.processes.get(*one), seen.processes.get(*other))
        else {
            continue;
        };
        let (earlier, later) = if one.start <= other.start { (one, other) } else { (other, one) };
        match known.excuse(earlier, later, spans) {
            Ok(Excuse::Stray) => sides.strays += 1,
            Ok(Excuse::Deceived) => sides.deceived += 1,
            Err(why) => sides.violations.push(format!(
                "both sides were active at {at}: {} ({:?}, {}) and {} ({:?}, {}): {why}",
                name(earlier),
                earlier.by,
                earlier.start,
                name(later),
                later.by,
                later.start
            )),
        }
    }
    sides
}

fn name(process: &Process) -> String {
    format!("{}/{}", process.host, process.service)
}

/// What the journals say of plans.
struct Known<'a> {
    past: &'a Past,
    /// Intended starts: the service's name, whose plan of which number, and when.
    starts: Vec<(String, (Host, u64), u64)>,
    confirmed: Vec<Confirmed>,
    /// What is said of a confirmation that is not understood here.
    strange: Vec<String>,
}

impl<'a> Known<'a> {
    fn of(past: &'a Past) -> Self {
        let mut known =
            Self { past, starts: Vec::new(), confirmed: Vec::new(), strange: Vec::new() };
        let mut intended = BTreeMap::new();
        for Written { monitor, at, event, .. } in past.records() {
            match event {
                Event::StepIntended { plan, step, attempt, .. } => {
                    intended.insert((*monitor, *plan, *step, *attempt), *at);
                    if let Some(Act::StartService(id)) = known.act(monitor, *plan, *step) {
                        known.starts.push((id.to_string(), (*monitor, *plan), *at));
                    }
                }
                Event::StepEnded { plan, step, attempt, outcome: Outcome::Done { detail, .. } } => {
                    if let Some(Act::ConfirmInactive { server, .. }) =
                        known.act(monitor, *plan, *step)
                    {
                        let began = intended.get(&(*monitor, *plan, *step, *attempt));
                        let Some(how) = how(detail) else {
                            known.strange.push(format!(
                                "it is not understood how plan {plan} of {monitor} was sure: {detail}"
                            ));
                            continue;
                        };
                        known.confirmed.push(Confirmed {
                            plan: (*monitor, *plan),
                            server: server.to_string(),
                            how,
                            intended: began.copied().unwrap_or(*at),
                            ended: *at,
                        });
                    }
                }
                _ => {}
            }
        }
        known
    }

    fn act(&self, monitor: Host, plan: u64, step: usize) -> Option<&'a Act> {
        self.past.plan(monitor, plan)?.0.steps.get(step).map(|step| &step.act)
    }

    /// The plan that started a process, and when it was begun.
    fn plan_of(&self, process: &Process) -> Option<(&'a Plan, u64)> {
        let service = name(process);
        let before = |at: u64| at <= process.start + ROUNDED;
        let starts = self.starts.iter().filter(|(id, _, at)| *id == service && before(*at));
        let (_, (monitor, plan), _) = starts.max_by_key(|(_, _, at)| *at)?;
        self.past.plan(monitor, *plan)
    }

    /// Why both may have been alive at once.
    fn excuse(&self, earlier: &Process, later: &Process, spans: &[Span]) -> Result<Excuse, String> {
        if later.by == By::Others {
            return Ok(Excuse::Stray);
        }
        let plan = self.plan_of(later);
        if earlier.by == By::Others && self.is_stray(earlier, plan) {
            return Ok(Excuse::Stray);
        }
        let mut seen_by = None;
        for confirmed in &self.confirmed {
            let about = |process: &Process| confirmed.server == process.host;
            // It ran on, and nobody saw it; or it stood still, and went on with what it was told before.
            let ran_on = about(earlier) && earlier.start <= confirmed.ended;
            let went_on = about(later) && plan.is_some_and(|(_, begun)| begun <= confirmed.ended);
            if !ran_on && !went_on {
                continue;
            }
            match deceived(confirmed, spans) {
                Ok(true) => return Ok(Excuse::Deceived),
                Ok(false) => {}
                Err(witness) => seen_by = Some(witness),
            }
        }
        let plan = plan.map_or_else(
            || "no plan is known to have started it".to_owned(),
            |(plan, _)| {
                format!("the later one was started by plan {}, a {}", plan.number, plan.kind)
            },
        );
        Err(match seen_by {
            Some(witness) => {
                format!("{plan}; {witness} said that the other was gone, and could see it")
            }
            None => plan,
        })
    }

    /// Whether one that somebody else started came after the other side was found inactive, or beside what does not
    /// wait for what it cannot see.
    fn is_stray(&self, process: &Process, plan: Option<(&Plan, u64)>) -> bool {
        let Some((plan, _)) = plan else { return false };
        let about = |it: &&Confirmed| {
            self.past.plan(it.plan.0, it.plan.1).is_some_and(|(it, _)| it == plan)
        };
        let mine = self.confirmed.iter().filter(|it| it.server == process.host).filter(about);
        let Some(confirmed) = mine.max_by_key(|it| it.ended) else {
            return matches!(plan.kind, PlanKind::Rescue(_));
        };
        let leeway = if matches!(confirmed.how, How::Witnessed(_)) { TESTIMONY } else { 0 };
        process.start + leeway + ROUNDED >= confirmed.intended
    }
}

/// By what the engine says of it; none: in words that are not known here, and then nothing is excused.
fn how(detail: &str) -> Option<How> {
    if let Some(said) = detail.strip_suffix(" find it gone as well") {
        let names = said.rsplit("; ").next().unwrap_or(said);
        return Some(How::Witnessed(names.split(", ").map(ToOwned::to_owned).collect()));
    }
    if detail.ends_with(" are stopped") {
        return Some(How::Said);
    }
    let fenced = [" was switched off by ", " is off already, says "];
    fenced.iter().any(|words| detail.contains(words)).then_some(How::Fenced)
}

/// Whether a confirmation rests on witnesses who could not see. The error names one who could.
fn deceived(confirmed: &Confirmed, spans: &[Span]) -> Result<bool, String> {
    let How::Witnessed(witnesses) = &confirmed.how else { return Ok(false) };
    let during =
        |span: &&Span| span.from <= confirmed.ended && span.until + TESTIMONY >= confirmed.intended;
    for witness in witnesses {
        let blind = spans.iter().filter(during).any(|span| match span.what {
            Blind::Cut(from, to) => {
                let of = [from, to];
                of.contains(&witness.as_str()) && of.contains(&confirmed.server.as_str())
            }
            Blind::Frozen(host) => host == confirmed.server,
            Blind::Lossy(host) => host == confirmed.server || host == witness,
        });
        if !blind {
            return Err(witness.clone());
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests;
