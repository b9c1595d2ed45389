//! Plays a case: time passes, facts are seen, the policy is asked, its first proposal is carried
//! out. The text it makes has a block for each moment at which something changed.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use watchkeeper_core::facts::Value;
use watchkeeper_core::lifecycle::Trigger;
use watchkeeper_core::model::{Status, Timestamp};
use watchkeeper_core::proposal::{Action, AlertClaim, Evaluation, Severity};
use watchkeeper_core::snapshot::{Change, Ending, Rescue};

use crate::Evaluate;
use crate::file::{Case, Happening, Outcome};
use crate::world::{self, World};

/// How long actions take, in milliseconds.
const RESCUE: u64 = 2_000;
const STOP: u64 = 1_000;
const CHANGE: u64 = 10_000;

/// What is being carried out.
enum Work {
    Service(Action),
    Change(&'static str),
}

impl Work {
    fn name(&self) -> String {
        match self {
            Self::Service(action) => action.to_string(),
            Self::Change(kind) => (*kind).to_owned(),
        }
    }

    /// The word that a case can give an outcome for.
    fn kind(&self) -> &'static str {
        match self {
            Self::Service(Action::Rescue(_)) => "rescue",
            Self::Service(Action::StopService(_)) => "stop",
            Self::Service(Action::Failover) => "failover",
            Self::Change(kind) => kind,
        }
    }

    fn begins(&self) -> Trigger {
        match self.kind() {
            "rescue" => Trigger::RescueBegun,
            "stop" => Trigger::ClearingBegun,
            "switchover" => Trigger::SwitchoverBegun,
            "switchback" => Trigger::SwitchbackBegun,
            _ => Trigger::FailoverBegun,
        }
    }

    fn takes(&self) -> u64 {
        match self.kind() {
            "rescue" => RESCUE,
            "stop" => STOP,
            _ => CHANGE,
        }
    }
}

struct Flight {
    work: Work,
    outcome: Outcome,
    ends: Timestamp,
}

struct Player<'a> {
    case: &'a Case,
    world: World,
    outcomes: BTreeMap<String, Outcome>,
    flight: Option<Flight>,
    out: String,
    /// The lines of the present moment.
    block: Vec<String>,
    before: Evaluation,
    /// What is claimed now, how bad it is, and what is said of it.
    claims: BTreeMap<Claim, (Severity, String)>,
    state: Vec<u8>,
}

/// What makes an alert the same alert.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Claim(String);

impl Claim {
    fn of(alert: &AlertClaim) -> Self {
        let mut text = alert.name.clone();
        if let Some(server) = &alert.server {
            let _ = write!(text, " {server}");
            if let Some(service) = alert.service {
                let _ = write!(text, "/{service}");
            }
        }
        for (name, value) in &alert.labels {
            let _ = write!(text, " {name}={value}");
        }
        Self(text)
    }
}

/// Plays `case`, and says what comes of it.
pub(super) fn play(case: &Case, evaluate: &mut Evaluate<'_>) -> Result<String, String> {
    let mut world = World::calm(case.topology.clone(), case.active);
    world.phase = case.phase;
    world.maintenance = case.maintenance;
    let left_alone = case.in_maintenance.iter().map(|name| world.service(name));
    world.services_in_maintenance = left_alone.collect::<Result<_, _>>()?;
    let mut player = Player {
        case,
        world,
        outcomes: case.outcomes.clone(),
        flight: None,
        out: String::new(),
        block: Vec::new(),
        before: Evaluation::default(),
        claims: BTreeMap::new(),
        state: Vec::new(),
    };
    let _ = writeln!(player.out, "# {}", case.why);
    let mut moments = case.moments.iter().peekable();
    let mut time = 0;
    loop {
        player.land()?;
        if time == 0 {
            player.say("", &player.world.phase.to_string());
        }
        while let Some(moment) = moments.next_if(|moment| moment.time <= time) {
            for happening in &moment.happenings {
                player.happen(happening)?;
            }
        }
        player.world.probe();
        player.evaluate(evaluate)?;
        player.end_of_moment(time);
        if time >= case.until {
            break;
        }
        let next = (time + case.interval).min(case.until);
        player.world.now = player.world.now.plus(next - time);
        time = next;
    }
    let _ = writeln!(player.out, "{:<7} the end, {}", seconds(time), player.world.phase);
    Ok(player.out)
}

impl Player<'_> {
    fn say(&mut self, what: &str, line: &str) {
        let pad = if what.is_empty() { "" } else { " " };
        self.block.push(format!("{what}{pad}{line}"));
    }

    fn happen(&mut self, happening: &Happening) -> Result<(), String> {
        match happening {
            Happening::All(server, status) => {
                self.world.set_all(server, *status);
                self.say("", &format!("{server} and everything on it: {status}"));
            }
            Happening::One(server, service, status) => {
                self.world.set(server, *service, *status)?;
                match service {
                    Some(service) => self.say("", &format!("{server}/{service}: {status}")),
                    None => self.say("", &format!("{server} itself: {status}")),
                }
            }
            Happening::Measure(server, service, name, value) => {
                self.world.measure(server, *service, name, value.clone());
                let value = match value {
                    Value::Flag(value) => value.to_string(),
                    Value::Integer(value) => value.to_string(),
                    Value::Number(value) => value.to_string(),
                    Value::Text(value) => value.as_ref().to_owned(),
                };
                let of = service.map_or_else(String::new, |service| format!("/{service}"));
                self.say("", &format!("{server}{of} {name}: {value}"));
            }
            Happening::Seen(server, witness, found) => {
                self.world.seen(server, witness, *found);
                let line = match found {
                    Some(found) => format!("{server} seen from {witness}: {}", found.word()),
                    None => format!("{witness} no longer looks at {server}"),
                };
                self.say("", &line);
            }
            Happening::Outcome(action, outcome) => {
                self.outcomes.insert(action.clone(), *outcome);
            }
            Happening::Maintenance(on) => {
                self.world.maintenance = *on;
                self.say("maintenance", if *on { "on" } else { "off" });
            }
            Happening::InMaintenance(names) => {
                let ids = names.iter().map(|name| self.world.service(name));
                self.world.services_in_maintenance = ids.collect::<Result<_, _>>()?;
                let which = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
                self.say("in maintenance:", &which);
            }
            Happening::Declare(side) => {
                self.world.step(Trigger::OperatorDeclares(*side))?;
                self.say("operator", &format!("declares the {side} active"));
            }
            Happening::Order(kind) => {
                let kind = match kind.as_str() {
                    "switchover" => "switchover",
                    "switchback" => "switchback",
                    "failover" => "failover",
                    _ => return Err(format!("nobody can order {kind:?}")),
                };
                // As in the engine: a failover is unplanned, whoever wants it.
                self.begin(Work::Change(kind), kind != "failover")?;
            }
        }
        Ok(())
    }

    /// What comes of `work`: by its whole name, else by its kind.
    fn outcome(&self, work: &Work) -> Outcome {
        let find = |key: &str| self.outcomes.get(key).copied();
        find(&work.name()).or_else(|| find(work.kind())).unwrap_or(Outcome::Succeeds)
    }

    fn begin(&mut self, work: Work, planned: bool) -> Result<(), String> {
        let outcome = self.outcome(&work);
        let name = work.name();
        if outcome == Outcome::Held {
            self.say("held", &name);
            return Ok(());
        }
        let from = self.world.phase.side();
        self.world.step(work.begins())?;
        self.say("begins", &name);
        let begun = self.world.now;
        match &work {
            Work::Service(Action::Rescue(id)) => {
                let id = id.clone();
                self.world.rescues.push(Rescue { id, begun, ending: Ending::UnderWay });
            }
            Work::Service(Action::StopService(_)) => {}
            Work::Service(Action::Failover) | Work::Change(_) => {
                let ending = Ending::UnderWay;
                let to = from.other();
                self.world.changes.push(Change { from, to, planned, begun, ending });
            }
        }
        let ends = begun.plus(work.takes());
        self.flight = Some(Flight { work, outcome, ends });
        Ok(())
    }

    /// Ends what is being carried out, if it is time.
    fn land(&mut self) -> Result<(), String> {
        let due =
            |flight: &Flight| flight.outcome != Outcome::Hangs && flight.ends <= self.world.now;
        if !self.flight.as_ref().is_some_and(due) {
            return Ok(());
        }
        let Some(Flight { work, outcome, .. }) = self.flight.take() else { return Ok(()) };
        let succeeds = outcome == Outcome::Succeeds;
        let ending = if succeeds { Ending::Succeeded } else { Ending::Failed };
        match &work {
            Work::Service(Action::Rescue(id)) => {
                if let Some(last) = self.world.rescues.last_mut() {
                    last.ending = ending;
                }
                if succeeds {
                    self.world.set(&id.server, Some(id.service), Status::Up)?;
                }
                self.world.step(Trigger::RescueEnded)?;
            }
            Work::Service(Action::StopService(id)) => {
                if succeeds {
                    self.world.set(&id.server, Some(id.service), Status::Down)?;
                }
                self.world.step(Trigger::ClearingEnded)?;
            }
            Work::Service(Action::Failover) | Work::Change(_) => {
                if let Some(last) = self.world.changes.last_mut() {
                    last.ending = ending;
                }
                self.world.step(match outcome {
                    Outcome::Succeeds => Trigger::ChangeCompleted,
                    Outcome::Refused => Trigger::ChangeRefused,
                    _ => Trigger::ChangeFailed,
                })?;
            }
        }
        let how = match outcome {
            Outcome::Succeeds => "succeeded",
            Outcome::Refused => "was refused",
            _ => "failed",
        };
        self.say("", &format!("{} {how}; {}", work.name(), self.world.phase));
        Ok(())
    }

    fn evaluate(&mut self, evaluate: &mut Evaluate<'_>) -> Result<(), String> {
        let snapshot = Arc::new(self.world.snapshot());
        let evaluation = match evaluate(&snapshot, &self.case.settings, &self.state) {
            Ok(evaluation) => evaluation,
            Err(problem) => return Err(format!("the policy cannot answer: {problem}")),
        };
        self.state.clone_from(&evaluation.state);
        self.tell_proposals(&evaluation);
        self.tell_alerts(&evaluation);
        if !self.block.is_empty() {
            for note in &evaluation.notes {
                self.block.push(format!("note {note}"));
            }
            if let Some(ms) = evaluation.look_again_ms {
                self.block.push(format!("looks again after {}", seconds(ms)));
            }
        }
        let first = evaluation
            .proposals
            .iter()
            .map(|proposal| proposal.action.clone())
            .find(|action| !self.is_left_alone(action));
        let free = !self.world.phase.in_flight() && evaluation.holds.is_empty();
        // Asked for again and again, an action that is held is told once.
        let news = self.before.proposals != evaluation.proposals;
        self.before = evaluation;
        if let Some(action) = first
            && free
        {
            let work = Work::Service(action);
            if self.world.maintenance {
                if news {
                    self.say("held", "maintenance mode is on");
                }
            } else if news || self.outcome(&work) != Outcome::Held {
                self.begin(work, false)?;
            }
        }
        Ok(())
    }

    /// Whether the engine passes `action` over, since its service is in maintenance.
    fn is_left_alone(&self, action: &Action) -> bool {
        match action {
            Action::Rescue(id) | Action::StopService(id) => {
                self.world.services_in_maintenance.contains(id)
            }
            Action::Failover => false,
        }
    }

    fn tell_proposals(&mut self, evaluation: &Evaluation) {
        if self.before.proposals != evaluation.proposals {
            for proposal in &evaluation.proposals {
                self.say("proposes", &format!("{}: {}", proposal.action, proposal.reason));
            }
            if evaluation.proposals.is_empty() && !self.world.phase.in_flight() {
                self.say("proposes", "nothing");
            }
        }
        if self.before.holds != evaluation.holds {
            for hold in &evaluation.holds {
                self.say("holds", hold);
            }
            if evaluation.holds.is_empty() {
                self.say("holds", "nothing");
            }
        }
    }

    fn tell_alerts(&mut self, evaluation: &Evaluation) {
        let now: BTreeMap<Claim, (Severity, String)> = evaluation
            .alerts
            .iter()
            .map(|alert| (Claim::of(alert), (alert.severity, alert.summary.clone())))
            .collect();
        for alert in &evaluation.alerts {
            let claim = Claim::of(alert);
            let what = match self.claims.get(&claim) {
                None => "raises",
                before if before != now.get(&claim) => "changes",
                Some(_) => continue,
            };
            let code = match alert.code.as_str() {
                "" => String::new(),
                code => format!(" [{code}]"),
            };
            let line = format!("{} {}{code}: {}", alert.severity, claim.0, alert.summary);
            self.say(what, &line);
        }
        let gone: Vec<String> = self
            .claims
            .keys()
            .filter(|claim| !now.contains_key(claim))
            .map(|claim| claim.0.clone())
            .collect();
        for claim in gone {
            self.say("resolves", &claim);
        }
        self.claims = now;
    }

    fn end_of_moment(&mut self, time: u64) {
        for (i, line) in self.block.drain(..).enumerate() {
            let when = if i == 0 { seconds(time) } else { String::new() };
            let _ = writeln!(self.out, "{when:<7} {line}");
        }
    }
}

fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(world::SECOND) {
        format!("{}s", ms / world::SECOND)
    } else {
        format!("{ms}ms")
    }
}
