//! The facts between two recorded evaluations.
//!
//! The journal holds of each probe what was news. In between it found the same again and again, at
//! its pace; that is put in here, so that what is confirmed often enough for other policies is so at
//! the time when it was. A recorded snapshot says how things really stood: the difference to it is
//! carried on until the next news.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::facts::{FactBook, Observation, ProbeId, Value};
use crate::lifecycle::Phase;
use crate::model::{Server, ServerName, Service, Status, Timestamp, Topology};
use crate::snapshot::{Background, Facts, Place, Snapshot, State, expected};

/// How often a probe looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one run to the next while all is well, in milliseconds.
    pub interval_ms: u64,
    /// The same while a failure is being confirmed.
    pub confirm_ms: u64,
}

/// How the monitor looks and asks: what no journal holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rhythm {
    /// How often policies are asked even if nothing has changed, in milliseconds; not 0.
    pub tick_ms: u64,
    /// How long after a plan everything may take to be seen anew, in milliseconds.
    pub settle_ms: u64,
    /// After how many equal findings in a row a failure is established, and looked at calmly.
    pub confirmations: u32,
    /// The paces of the probes.
    pub paces: BTreeMap<ProbeId, Pace>,
    /// The pace of a probe that has none.
    pub other: Pace,
}

/// A probe that goes on looking.
#[derive(Debug, Clone)]
struct Looking {
    pace: Pace,
    took_ms: u64,
    status: Status,
    equal: u32,
    next: Timestamp,
    /// Whether it finds something else than what is meant to be there.
    trouble: bool,
}

impl Looking {
    /// The time from the end of a run to the end of the next.
    fn period(&self, rhythm: &Rhythm) -> u64 {
        let Pace { interval_ms, confirm_ms } = self.pace;
        let confirms = self.status != Status::Up && self.equal <= rhythm.confirmations;
        let delay = if confirms { confirm_ms.min(interval_ms) } else { interval_ms };
        // A run that takes longer than its interval is followed by a short pause.
        delay.max(self.took_ms.saturating_add(delay / 10)).max(1)
    }
}

/// What a recorded snapshot says of something, beside what was rebuilt of it at that moment.
#[derive(Debug, Clone)]
struct Correction {
    recorded: State,
    rebuilt: State,
}

impl Correction {
    /// It holds until there is news of the thing.
    fn apply(&self, state: &mut State) {
        let (recorded, before) = (&self.recorded, &self.rebuilt);
        if (state.status, state.since) != (before.status, before.since) {
            return;
        }
        let more = state.confirmations.saturating_sub(before.confirmations);
        state.status = recorded.status;
        state.since = recorded.since;
        state.confirmations = recorded.confirmations.saturating_add(more);
        state.seen = state.seen.max(recorded.seen);
        if state.reason == before.reason {
            state.reason.clone_from(&recorded.reason);
        }
    }
}

type Thing = (ServerName, Option<Service>);
type Measured = (ServerName, Option<Service>, Arc<str>);

/// The facts as they are rebuilt.
#[derive(Debug, Clone)]
pub(super) struct Rebuilt {
    rhythm: Rhythm,
    book: FactBook,
    looking: BTreeMap<ProbeId, Looking>,
    /// The servers and services of the last recorded snapshot.
    topology: Option<Topology>,
    phase: Phase,
    corrections: BTreeMap<Thing, Correction>,
    /// The last value that is recorded of each measure.
    measured: BTreeMap<Measured, Value>,
}

impl Rebuilt {
    pub(super) fn new(rhythm: Rhythm, phase: Phase) -> Self {
        Self {
            rhythm,
            book: FactBook::default(),
            looking: BTreeMap::new(),
            topology: None,
            phase,
            corrections: BTreeMap::new(),
            measured: BTreeMap::new(),
        }
    }

    /// A monitor that starts knows nothing.
    pub(super) fn forget(&mut self) {
        self.book = FactBook::default();
        self.looking.clear();
        self.corrections.clear();
        self.measured.clear();
    }

    /// Takes news in.
    pub(super) fn observe(&mut self, seen: &Observation) {
        self.advance(seen.at);
        let probe = &seen.probe;
        if probe.asks_the_server() && !seen.reason.code.is_silence() {
            // Nobody goes on looking from elsewhere at a server that answers.
            self.looking.retain(|it, _| it.server != probe.server || it.witness().is_none());
        }
        for (name, value) in &seen.values {
            let key = (probe.server.clone(), probe.service, Arc::clone(name));
            self.measured.insert(key, value.clone());
        }
        let before = self.looking.get(probe);
        let equal = match before {
            Some(before) if before.status == seen.status => before.equal.saturating_add(1),
            _ => 1,
        };
        let mut looking = Looking {
            pace: self.rhythm.paces.get(probe).copied().unwrap_or(self.rhythm.other),
            took_ms: seen.took_ms,
            status: seen.status,
            equal,
            next: seen.at,
            trouble: self.is_trouble(probe, seen.status),
        };
        looking.next = seen.at.plus(looking.period(&self.rhythm));
        self.looking.insert(probe.clone(), looking);
        self.book.observe(seen.clone());
    }

    /// Lets the probes look until `now`.
    pub(super) fn advance(&mut self, now: Timestamp) {
        for (probe, looking) in &mut self.looking {
            let (mut times, mut last) = (0_u32, looking.next);
            while looking.next <= now {
                times += 1;
                last = looking.next;
                looking.equal = looking.equal.saturating_add(1);
                let period = looking.period(&self.rhythm);
                looking.next = last.plus(period);
                // From here on each run is like the one before.
                if looking.status == Status::Up || looking.equal > self.rhythm.confirmations {
                    let more = now.since(looking.next).checked_div(period).unwrap_or(0);
                    if looking.next <= now && more > 0 {
                        let more = u32::try_from(more).unwrap_or(u32::MAX);
                        times = times.saturating_add(more);
                        looking.equal = looking.equal.saturating_add(more);
                        last = last.plus(period.saturating_mul(u64::from(more)));
                        looking.next = last.plus(period);
                    }
                }
            }
            self.book.repeat(probe, times, last);
        }
    }

    /// When trouble is seen again next.
    pub(super) fn next_trouble(&self) -> Option<Timestamp> {
        self.looking.values().filter(|it| it.trouble).map(|it| it.next).min()
    }

    /// The cluster stands elsewhere now: what is meant to run where may be another.
    pub(super) fn stands(&mut self, phase: Phase) {
        if self.phase != phase {
            self.phase = phase;
            self.judge_anew();
        }
    }

    fn judge_anew(&mut self) {
        let mut looking = std::mem::take(&mut self.looking);
        for (probe, one) in &mut looking {
            one.trouble = self.is_trouble(probe, one.status);
        }
        self.looking = looking;
    }

    fn is_trouble(&self, probe: &ProbeId, status: Status) -> bool {
        let up = status == Status::Up;
        let Some(service) = probe.service else { return !up && probe.has_say() };
        let server = self.topology.as_ref().and_then(|it| it.server(&probe.server));
        let Some(server) = server else { return false };
        let active = self.phase.side();
        up != expected(service, Place::of(server.role, active), active)
    }

    /// Learns from a recorded snapshot how things stood.
    pub(super) fn learn(&mut self, snapshot: &Snapshot, background: &Background<'_>) {
        let facts = snapshot.facts();
        self.advance(facts.at);
        self.topology = topology(facts).or(self.topology.take());
        self.judge_anew();
        for measure in &facts.measures {
            let key = (measure.server.clone(), measure.service, Arc::clone(&measure.name));
            self.measured.insert(key, measure.value.clone());
        }
        self.corrections.clear();
        let Some(rebuilt) = self.gather(facts.number, facts.at, background) else { return };
        let rebuilt: BTreeMap<Thing, State> = things(&rebuilt).collect();
        for (thing, recorded) in things(facts) {
            if let Some(rebuilt) = rebuilt.get(&thing).filter(|it| **it != recorded) {
                let correction = Correction { recorded, rebuilt: rebuilt.clone() };
                self.corrections.insert(thing, correction);
            }
        }
    }

    /// A snapshot of what is rebuilt; none before there was a recorded one.
    pub(super) fn snapshot(
        &self,
        number: u64,
        at: Timestamp,
        background: &Background<'_>,
    ) -> Option<Snapshot> {
        let mut facts = self.gather(number, at, background)?;
        if !self.corrections.is_empty() {
            for server in &mut facts.servers {
                self.correct(&server.name, None, &mut server.state);
            }
            for service in &mut facts.services {
                self.correct(&service.id.server, Some(service.id.service), &mut service.state);
            }
        }
        for measure in &mut facts.measures {
            let key = (measure.server.clone(), measure.service, Arc::clone(&measure.name));
            if let Some(value) = self.measured.get(&key) {
                measure.value = value.clone();
            }
        }
        Some(facts.into())
    }

    fn correct(&self, server: &ServerName, service: Option<Service>, state: &mut State) {
        if let Some(correction) = self.corrections.get(&(server.clone(), service)) {
            correction.apply(state);
        }
    }

    fn gather(&self, number: u64, at: Timestamp, background: &Background<'_>) -> Option<Facts> {
        let topology = self.topology.as_ref()?;
        Some(Facts::gather(number, at, topology, &self.book, background))
    }
}

/// The cluster that a snapshot is of.
fn topology(facts: &Facts) -> Option<Topology> {
    let servers = facts.servers.iter().map(|server| Server {
        name: server.name.clone(),
        role: server.role,
        services: facts
            .services
            .iter()
            .filter(|it| it.id.server == server.name)
            .map(|it| it.id.service)
            .collect(),
    });
    Topology::new(facts.cluster.name.clone(), servers.collect()).ok()
}

fn things(facts: &Facts) -> impl Iterator<Item = (Thing, State)> {
    let servers = facts.servers.iter().map(|it| ((it.name.clone(), None), it.state.clone()));
    let services = facts.services.iter().map(|it| {
        let thing = (it.id.server.clone(), Some(it.id.service));
        (thing, it.state.clone())
    });
    servers.chain(services)
}
