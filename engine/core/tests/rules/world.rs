//! A cluster to try the rules on: dm1 and dm2 with everything, dm3 with an agent.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use watchkeeper_core::facts::{
    FactBook, Observation, ProbeId, Reason, ReasonCode, SEEN_FROM, Value,
};
use watchkeeper_core::guards::{Duty, Limits, Situation};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{
    ClusterName, PolicyName, Role, Server, ServerName, Service, ServiceId, Side, Status, Term,
    Timestamp, Topology,
};
use watchkeeper_core::plan::{
    Arrangements, OrderedBy, Plan, PlanKind, Point, Proof, Request, SiteStep,
};
use watchkeeper_core::snapshot::{Background, Snapshot};

/// When the facts are looked at.
pub(crate) const NOW: Timestamp = Timestamp(1_772_333_998_123);

pub(crate) fn name(server: &str) -> ServerName {
    ServerName::new(server).unwrap()
}

pub(crate) fn id(server: &str, service: Service) -> ServiceId {
    ServiceId { server: name(server), service }
}

pub(crate) fn policy(text: &str) -> PolicyName {
    PolicyName::new(text).unwrap()
}

pub(crate) fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// The kinds of plan there are, with services that make sense while the primary is active.
pub(crate) fn kinds() -> Vec<PlanKind> {
    vec![
        PlanKind::Rescue(id("dm1", Service::Daemon)),
        PlanKind::Clear(id("dm2", Service::Daemon)),
        PlanKind::Failover,
        PlanKind::Switchover,
        PlanKind::Switchback,
    ]
}

/// Everything that a plan and a decision are made from; a test changes what it is about.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) phase: Phase,
    /// The phase that the snapshot was taken in, if it is another.
    pub(crate) snapshot_phase: Option<Phase>,
    pub(crate) maintenance: bool,
    pub(crate) services_in_maintenance: Vec<ServiceId>,
    pub(crate) duty: Duty,
    pub(crate) limits: Limits,
    pub(crate) last_change: Option<Timestamp>,
    pub(crate) fleet_changes: Vec<Timestamp>,
    pub(crate) arrangements: Arrangements,
    pub(crate) servers: Vec<Server>,
    pub(crate) book: FactBook,
}

impl World {
    /// All is well, the primary is active, has been for an hour, and everything was probed a second ago.
    pub(crate) fn new() -> Self {
        let server = |server: &str, role, services: &[Service]| Server {
            name: name(server),
            role,
            services: services.to_vec(),
        };
        let mut world = Self {
            phase: Phase::Active(Side::Primary),
            snapshot_phase: None,
            maintenance: false,
            services_in_maintenance: vec![],
            duty: Duty::Held(Term(3)),
            limits: Limits {
                fresh_ms: 15_000,
                cooldown_ms: 600_000,
                max_lag_bytes: 1_000,
                storm_limit: 3,
                storm_window_ms: 600_000,
            },
            last_change: None,
            fleet_changes: vec![],
            arrangements: Arrangements {
                start_timeout_ms: 120_000,
                stop_timeout_ms: 60_000,
                repository_timeout_ms: 30_000,
                attempts: 2,
                retry_delay_ms: 2_000,
                proof: Proof::Witnesses(2),
                replicated_repository: true,
                site_steps: vec![],
            },
            servers: vec![
                server("dm1", Role::Primary, &Service::ALL),
                server("dm2", Role::Secondary, &Service::ALL),
                server("dm3", Role::Additional, &[Service::Agent]),
            ],
            book: FactBook::default(),
        };
        for server in ["dm1", "dm2", "dm3"] {
            world.saw_at(server, None, Status::Up, ReasonCode::Serving, 3_600_000);
            world.saw(server, None, Status::Up);
        }
        for service in Service::ALL {
            world.saw("dm1", Some(service), Status::Up);
            let standby = matches!(service, Service::Agent | Service::Repository);
            world.saw("dm2", Some(service), if standby { Status::Up } else { Status::Down });
        }
        world.saw("dm3", Some(Service::Agent), Status::Up);
        world
    }

    /// The same after a change of side.
    pub(crate) fn on_secondary() -> Self {
        let mut world = Self::new();
        world.phase = Phase::Active(Side::Secondary);
        for service in Service::ALL.into_iter().filter(|service| service.exclusive()) {
            world.saw("dm1", Some(service), Status::Down);
            world.saw("dm2", Some(service), Status::Up);
        }
        world
    }

    pub(crate) fn with_site_steps(mut self) -> Self {
        self.arrangements.site_steps = site_steps();
        self
    }

    /// The server does not answer, as its own probe and those of its services say.
    pub(crate) fn lose(&mut self, server: &str) {
        let found = self.servers.iter().find(|one| one.name == name(server)).unwrap();
        for service in found.services.clone() {
            self.saw_at(server, Some(service), Status::Unknown, ReasonCode::TimedOut, 1_000);
        }
        self.saw_at(server, None, Status::Unknown, ReasonCode::TimedOut, 1_000);
        self.gone(server, 1_000);
    }

    /// Every other server finds nothing of this one.
    pub(crate) fn gone(&mut self, server: &str, ago_ms: u64) {
        let servers = self.servers.iter().map(|it| it.name.to_string());
        for witness in servers.filter(|it| it != server).collect::<Vec<_>>() {
            self.testified(server, &witness, "gone", ago_ms);
        }
    }

    pub(crate) fn saw(&mut self, server: &str, service: Option<Service>, status: Status) {
        let code = match status {
            Status::Up => ReasonCode::Serving,
            Status::Down => ReasonCode::NotRunning,
            Status::Unknown => ReasonCode::TimedOut,
        };
        self.saw_at(server, service, status, code, 1_000);
    }

    pub(crate) fn saw_at(
        &mut self,
        server: &str,
        service: Option<Service>,
        status: Status,
        code: ReasonCode,
        ago_ms: u64,
    ) {
        self.saw_when(server, service, status, code, Timestamp(NOW.0 - ago_ms));
    }

    pub(crate) fn saw_when(
        &mut self,
        server: &str,
        service: Option<Service>,
        status: Status,
        code: ReasonCode,
        at: Timestamp,
    ) {
        self.book.observe(Observation {
            probe: ProbeId { server: name(server), service, name: Arc::from("ssh") },
            status,
            reason: Reason::new(code, format!("seen {status}")),
            at,
            took_ms: 20,
            values: BTreeMap::new(),
        });
    }

    pub(crate) fn measured(&mut self, server: &str, measure: &str, value: Value) {
        self.book.observe(Observation {
            probe: ProbeId {
                server: name(server),
                service: Some(Service::Repository),
                name: Arc::from("replication"),
            },
            status: Status::Up,
            reason: Reason::new(ReasonCode::Serving, "streaming"),
            at: Timestamp(NOW.0 - 1_000),
            took_ms: 20,
            values: BTreeMap::from([(Arc::from(measure), value)]),
        });
    }

    /// What another server finds of this one.
    pub(crate) fn testified(&mut self, server: &str, witness: &str, word: &str, ago_ms: u64) {
        let value = (Arc::from(format!("{SEEN_FROM}{witness}")), Value::Text(word.into()));
        self.book.observe(Observation {
            probe: ProbeId::testimony(&name(server), witness),
            status: if word == "alive" { Status::Up } else { Status::Down },
            reason: Reason::new(ReasonCode::Serving, format!("{witness} looked")),
            at: Timestamp(NOW.0 - ago_ms),
            took_ms: 20,
            values: BTreeMap::from([value]),
        });
    }

    /// Forgets all that was seen of a service, or of the server itself.
    pub(crate) fn never_probed(&mut self, server: &str, service: Option<Service>) {
        let server = name(server);
        self.book.retain(|probe| probe.server != server || probe.service != service);
    }

    pub(crate) fn uninstall(&mut self, server: &str, service: Service) {
        for one in &mut self.servers {
            if one.name.as_str() == server {
                one.services.retain(|installed| *installed != service);
            }
        }
        self.never_probed(server, Some(service));
    }

    pub(crate) fn topology(&self) -> Topology {
        Topology::new(cluster(), self.servers.clone()).unwrap()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let background = Background {
            phase: self.snapshot_phase.unwrap_or(self.phase),
            active_since: Timestamp(NOW.0 - 86_400_000),
            maintenance: self.maintenance,
            services_in_maintenance: &self.services_in_maintenance,
            rescues: &[],
            changes: &[],
        };
        Snapshot::take(7, NOW, &self.topology(), &self.book, &background)
    }

    pub(crate) fn situation<'a>(&'a self, snapshot: &'a Snapshot) -> Situation<'a> {
        Situation {
            snapshot,
            phase: self.phase,
            duty: &self.duty,
            limits: &self.limits,
            arrangements: &self.arrangements,
            last_change: self.last_change,
            fleet_changes: &self.fleet_changes,
        }
    }

    pub(crate) fn plan(&self, kind: PlanKind) -> Plan {
        self.plan_number(1, kind)
    }

    pub(crate) fn plan_number(&self, number: u64, kind: PlanKind) -> Plan {
        let ordered_by = match kind {
            PlanKind::Switchover | PlanKind::Switchback => OrderedBy::Operator("ada".to_owned()),
            _ => OrderedBy::Policy(policy("data-mover-ha")),
        };
        Plan::make(Request {
            number,
            kind,
            term: Term(3),
            ordered_by,
            reason: "a test wants it".to_owned(),
            topology: &self.topology(),
            arrangements: &self.arrangements,
            snapshot: &self.snapshot(),
        })
    }
}

/// A step at each point, of each sort: not repeatable, optional, repeatable by its check.
pub(crate) fn site_steps() -> Vec<SiteStep> {
    let step = |name: &str, point| SiteStep {
        name: name.to_owned(),
        point,
        server: None,
        command: format!("/usr/local/bin/{name} {{from}} {{to}}"),
        check: None,
        rehearse: None,
        repeatable: false,
        timeout_ms: 5_000,
        attempts: 3,
        optional: false,
    };
    vec![
        SiteStep { optional: true, ..step("open-ticket", Point::BeforeStop) },
        SiteStep { repeatable: true, ..step("drain-jobs", Point::BeforeStop) },
        SiteStep { server: Some(name("dm3")), ..step("move-address", Point::BeforeStart) },
        SiteStep { check: Some("dig".to_owned()), ..step("change-dns", Point::AfterStart) },
    ]
}

/// Compares `text` with the golden file of that name. `UPDATE_GOLDEN=1` rewrites it.
pub(crate) fn golden(file: &str, text: &str) {
    compare(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file), text);
}

/// Compares `text` with the content of `path`, or rewrites it.
pub(crate) fn compare(path: &Path, text: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        std::fs::write(path, text).unwrap();
        return;
    }
    let wanted = std::fs::read_to_string(path).unwrap_or_default();
    if let Some((line, (want, have))) = wanted
        .lines()
        .chain(std::iter::repeat("(end)"))
        .zip(text.lines().chain(std::iter::repeat("(end)")))
        .take(wanted.lines().count().max(text.lines().count()))
        .enumerate()
        .find(|(_, (want, have))| want != have)
    {
        panic!(
            "{} differs in line {}:\n- {want}\n+ {have}\nUPDATE_GOLDEN=1 rewrites it; read the \
             difference",
            path.display(),
            line + 1
        );
    }
    assert_eq!(wanted, text, "{} differs in its line ends", path.display());
}

/// A small generator of repeatable choices (xorshift64*): a failure names its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let limit = u64::try_from(limit).unwrap();
        usize::try_from((self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit).unwrap()
    }

    pub(crate) fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}
