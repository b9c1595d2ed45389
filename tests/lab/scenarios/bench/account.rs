//! Where the time of a failover went, by the journal and the daemon's log.
//!
//! The journal has when the fault was first found, when it was found for the last time that was
//! needed, and when the plan began. The log has, for each step, how much of it was the engine's
//! own: not a command, a statement or a probe under way on a server, and not a service on its way
//! up or down.

use serde_json::Value;
use watchkeeper_lab::Monitor;

use crate::fault::Fault;
use crate::run::since;

/// The parts of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Stopping the old side, and being sure of it.
    Stop,
    /// Taking the repository over.
    Repository,
    /// Starting the new side.
    Start,
    /// Being sure of that.
    Verify,
}

impl Part {
    pub(crate) const ALL: [Self; 4] = [Self::Stop, Self::Repository, Self::Start, Self::Verify];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop, confirm",
            Self::Repository => "repository",
            Self::Start => "start",
            Self::Verify => "verify",
        }
    }

    /// By a step's act as the journal has it.
    fn of(act: &Value) -> Option<Self> {
        Some(match text(act, "/kind")? {
            "stop-service" | "confirm-inactive" => Self::Stop,
            "start-service" if text(act, "/service") != Some("repository") => Self::Start,
            "verify" => Self::Verify,
            _ => Self::Repository,
        })
    }
}

/// What the steps of one part took, in milliseconds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Took {
    pub(crate) all: f64,
    pub(crate) own: f64,
    /// What status commands and probes took only to make sure.
    pub(crate) looks: f64,
}

/// Where the time of one failover went, in milliseconds.
#[derive(Debug, Clone)]
pub(crate) struct Account {
    /// From the fault until it was found for the first time.
    pub(crate) detected: f64,
    /// From the fault until it was found as often as it has to be.
    pub(crate) confirmed: f64,
    /// How much later than the window allows that was, the last probe's own time left out.
    pub(crate) late: f64,
    /// From then until the plan began.
    pub(crate) decided: f64,
    parts: Vec<(Part, Took)>,
}

impl Account {
    pub(crate) fn part(&self, part: Part) -> Took {
        let found = self.parts.iter().find(|(one, _)| *one == part);
        found.map_or_else(Took::default, |(_, took)| *took)
    }

    /// The engine's own share.
    pub(crate) fn own(&self) -> f64 {
        self.late + self.decided + self.parts.iter().map(|(_, took)| took.own).sum::<f64>()
    }

    /// What it took to make sure, beside that.
    pub(crate) fn looks(&self) -> f64 {
        self.parts.iter().map(|(_, took)| took.looks).sum()
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str)
}

fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}

/// The account of the failover that followed the fault at `at`.
pub(crate) fn of(fault: Fault, monitor: &Monitor<'_>, at: u64) -> Result<Account, String> {
    let plans = monitor.journal("plan-begun");
    let [plan] = &plans[..] else { return Err(format!("{} plans instead of one", plans.len())) };
    let begun = number(plan, "/at").ok_or("a plan without a time")?;
    let observed = monitor.journal("observed");
    let finding = |record: &&Value| {
        number(record, "/at").is_some_and(|found| found >= at)
            && about(fault, record, "/event/probe")
            && text(record, "/event/status") != Some("up")
    };
    let first = observed.iter().find(finding).ok_or("the journal has no finding of the fault")?;
    let detected = number(first, "/event/at").ok_or("a finding without a time")?;
    // Without an answer, the time that a run takes is the window's; a status command has its own.
    let ran = number(first, "/event/took_ms").filter(|_| fault == Fault::Process).unwrap_or(0);
    let confirmed = confirmed(fault, monitor, begun)?;
    let late = since(at + ran, confirmed) - since(0, fault.window());
    Ok(Account {
        detected: since(at, detected),
        confirmed: since(at, confirmed),
        late: late.max(0.0),
        decided: since(confirmed, begun),
        parts: parts(plan, &monitor.log())?,
    })
}

/// Whether the probe at that place is one that finds the fault.
fn about(fault: Fault, value: &Value, probe: &str) -> bool {
    text(value, &format!("{probe}/server")) == Some("dm1")
        && text(value, &format!("{probe}/service")) == fault.found_by()
}

/// When the last finding that the decision needed was there, by what the decision was made on: the
/// server and each of its services have to be found gone, or the one service down. Of a service with
/// several probes that is known of the oldest finding, which is to the engine's disadvantage.
fn confirmed(fault: Fault, monitor: &Monitor<'_>, begun: u64) -> Result<u64, String> {
    let evaluated = monitor.journal("evaluated");
    let decision = evaluated.iter().rfind(|record| number(record, "/at") == Some(begun));
    let decision = decision.ok_or("the plan has no decision")?;
    let all = |key: &str| {
        let list = decision.pointer(&format!("/event/snapshot/{key}")).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let servers = all("servers").filter(|it| text(it, "/name") == Some("dm1"));
    let services = all("services").filter(|it| text(it, "/server") == Some("dm1"));
    let seen = |it: &Value| number(it, "/seen");
    let last = match fault {
        Fault::Process => {
            services.filter(|it| text(it, "/service") == fault.found_by()).filter_map(seen).max()
        }
        Fault::Host => servers.chain(services).filter_map(seen).max(),
    };
    last.ok_or_else(|| "the decision has no facts of dm1".to_owned())
}

fn parts(plan: &Value, log: &str) -> Result<Vec<(Part, Took)>, String> {
    let steps =
        plan.pointer("/event/steps").and_then(Value::as_array).ok_or("a plan without steps")?;
    let mut parts: Vec<(Part, Took)> = Part::ALL.map(|part| (part, Took::default())).into();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    for line in lines.filter(|line| text(line, "/fields/message") == Some("step ended")) {
        let step = number(&line, "/fields/step").and_then(|step| usize::try_from(step).ok());
        let act = step.and_then(|step| steps.get(step)?.get("act"));
        let part = act.and_then(Part::of).ok_or("a step that is not known")?;
        let ms = |key: &str| {
            let micros = line.pointer(&format!("/fields/{key}")).and_then(Value::as_f64);
            micros.unwrap_or(0.0) / 1_000.0
        };
        if let Some((_, took)) = parts.iter_mut().find(|(one, _)| *one == part) {
            took.all += ms("took_us");
            took.own += ms("own_us");
            took.looks += ms("looks_us");
        }
    }
    Ok(parts)
}
