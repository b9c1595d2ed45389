//! A policy that is not asked again would have said the same: shown on invented histories, with the
//! real components.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper::cluster::{Hearing, Seat};
use watchkeeper_core::arbitration::{OnPolicyFailure, Standing};
use watchkeeper_core::facts::{FactBook, Observation, ProbeId, Reason, ReasonCode, Value};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{
    ClusterName, PolicyName, Role, Server, ServerName, Service, ServiceId, Side, Status, Timestamp,
    Topology,
};
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::{Grant, Opinion};
use watchkeeper_core::settings::{self, Given};
use watchkeeper_core::snapshot::{Background, Ending, Rescue, Snapshot};
use watchkeeper_core::state::Memory;
use watchkeeper_guests::guest_bytes;
use watchkeeper_wasm::{Host, HostConfig};

/// Numbers that are the same for the same seed (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn server(name: &str, role: Role, services: &[Service]) -> Server {
    Server { name: ServerName::new(name).unwrap(), role, services: services.to_vec() }
}

/// A cluster that goes on from moment to moment.
struct World {
    topology: Topology,
    probes: Vec<ProbeId>,
    book: FactBook,
    now: Timestamp,
    number: u64,
    phase: Phase,
    maintenance: bool,
    rescues: Vec<Rescue>,
}

impl World {
    fn new() -> Self {
        let servers = vec![
            server("dm1", Role::Primary, &Service::ALL),
            server("dm2", Role::Secondary, &Service::ALL),
            server("dm3", Role::Additional, &[Service::Agent]),
        ];
        let probe = |server: &Server, service: Option<Service>| ProbeId {
            server: server.name.clone(),
            service,
            name: Arc::from("status"),
        };
        let probes = servers
            .iter()
            .flat_map(|server| {
                let services = server.services.iter().copied().map(Some);
                std::iter::once(None).chain(services).map(|it| probe(server, it))
            })
            .collect();
        Self {
            topology: Topology::new(ClusterName::new("prod").unwrap(), servers).unwrap(),
            probes,
            book: FactBook::default(),
            now: Timestamp(1_700_000_000_000),
            number: 0,
            phase: Phase::Active(Side::Primary),
            maintenance: false,
            rescues: Vec::new(),
        }
    }

    fn see(&mut self, probe: usize, status: Status, lag: Option<i64>) {
        let (code, detail) = match status {
            Status::Up => (ReasonCode::Serving, "it serves"),
            Status::Down => (ReasonCode::Refused, "it refuses"),
            Status::Unknown => (ReasonCode::TimedOut, "no answer"),
        };
        let values = lag.map(|lag| (Arc::from("replay-lag-bytes"), Value::Integer(lag)));
        self.book.observe(Observation {
            probe: self.probes[probe].clone(),
            status,
            reason: Reason { code, detail: Arc::from(detail) },
            at: self.now,
            took_ms: 1,
            values: values.into_iter().collect(),
        });
    }

    /// What is meant to be where the probe looks.
    fn usual(&self, probe: usize) -> Status {
        let ProbeId { server, service, .. } = &self.probes[probe];
        let exclusive = service.is_some_and(Service::exclusive);
        if exclusive && server.as_str() == "dm2" { Status::Down } else { Status::Up }
    }

    /// Some time passes, and the agent on dm3 is seen to be up again, with another value each time.
    fn go_on_calmly(&mut self, dice: &mut Dice) {
        self.now = self.now.plus(dice.below(1_500));
        let agent = self.probes.len() - 1;
        if dice.one_in(3) {
            let value = i64::try_from(dice.below(1_000)).unwrap();
            self.see(agent, Status::Up, Some(value));
        }
    }

    /// Some time passes, and something is seen, as before or otherwise.
    fn go_on(&mut self, dice: &mut Dice) {
        self.now = self.now.plus(dice.below(1_500));
        for probe in 0..self.probes.len() {
            if dice.one_in(3) {
                let status = match dice.below(60) {
                    0 => Status::Down,
                    1 => Status::Unknown,
                    _ => self.usual(probe),
                };
                let lag = dice.one_in(4).then(|| i64::try_from(dice.below(3)).unwrap());
                self.see(probe, status, lag);
            }
        }
        match dice.below(80) {
            0 => self.maintenance = !self.maintenance,
            1 => self.phase = Phase::Active(Side::Secondary),
            2 => self.phase = Phase::Active(Side::Primary),
            3 => self.phase = Phase::Rescuing(Side::Primary),
            4 => self.rescues.push(Rescue {
                id: ServiceId { server: ServerName::new("dm1").unwrap(), service: Service::Daemon },
                begun: self.now,
                ending: Ending::Succeeded,
            }),
            _ => {}
        }
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        self.number += 1;
        Arc::new(Snapshot::take(
            self.number,
            self.now,
            &self.topology,
            &self.book,
            &Background {
                phase: self.phase,
                active_since: Timestamp(5),
                maintenance: self.maintenance,
                services_in_maintenance: &[],
                rescues: &self.rescues,
                changes: &[],
            },
        ))
    }
}

fn seat(host: &Host, package: &str, given: &[(&str, &str)]) -> Seat {
    let policy = Arc::new(host.load_policy(&guest_bytes(package)).unwrap());
    let given: BTreeMap<String, Given> = given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Given::Text((*value).to_owned())))
        .collect();
    let settings = settings::check(&policy.description().settings, &given).unwrap();
    Seat {
        standing: Standing {
            policy: PolicyName::new(package).unwrap(),
            grants: Grant::ALL.into_iter().collect(),
            servers: None,
            on_failure: OnPolicyFailure::Hold,
            mode: Mode::Enforce,
        },
        settings: Arc::new(settings),
        guest: Ok(policy),
    }
}

fn remember(memories: &mut BTreeMap<PolicyName, Memory>, opinions: &[Opinion]) {
    for opinion in opinions {
        let Ok(evaluation) = &opinion.outcome else { continue };
        let memory =
            Memory { version: opinion.revision.version.clone(), state: evaluation.state.clone() };
        memories.insert(opinion.policy.clone(), memory);
    }
}

/// How many of the guests that would be run were run, of how many.
fn compare(
    seats: &[Seat],
    seeds: std::ops::Range<u64>,
    steps: u64,
    go_on: fn(&mut World, &mut Dice),
) -> (u64, u64) {
    let (mut run, mut all) = (0, 0);
    for seed in seeds {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let (mut world, mut hearing) = (World::new(), Hearing::default());
        for probe in 0..world.probes.len() {
            world.see(probe, world.usual(probe), None);
        }
        let mut memories = BTreeMap::new();
        let began = (Instant::now(), world.now);
        for step in 0..steps {
            go_on(&mut world, &mut dice);
            let snapshot = world.snapshot();
            let now = began.0 + Duration::from_millis(world.now.since(began.1));
            let heard = hearing.hear(seats, &snapshot, &memories, now);
            let asked = Hearing::default().hear(seats, &snapshot, &memories, now);
            assert_eq!(heard.opinions, asked.opinions, "seed {seed}, step {step}");
            remember(&mut memories, &asked.opinions);
            all += seats.len() as u64;
        }
        run += hearing.asked();
    }
    (run, all)
}

#[test]
fn who_is_not_asked_again_would_have_said_the_same() {
    let host = Host::new(HostConfig::default()).unwrap();
    let seats = [seat(&host, "vantage-quorum", &[]), seat(&host, "data-mover-ha", &[])];
    let (run, all) = compare(&seats, 1..21, 250, World::go_on);
    assert!(run < all && run > all / 100, "{run} of {all} were run");
    // An agent that is up is none of what they ask for, however often that is seen and whatever is
    // measured of it.
    let (run, _) = compare(&seats, 1..4, 250, World::go_on_calmly);
    assert_eq!(run, 6, "both once at the beginning of each");
}

/// Time, numbers and randomness are never the same, and neither is a memory that grows.
#[test]
fn who_asks_for_what_always_changes_is_always_asked() {
    let host = Host::new(HostConfig::default()).unwrap();
    for misdeed in ["world", "nothing"] {
        let seats = [seat(&host, "guest-hostile", &[("misbehave", misdeed)])];
        let (run, all) = compare(&seats, 1..3, 100, World::go_on_calmly);
        assert_eq!(run, all, "{misdeed}");
    }
}
