//! A site that acts really change: what runs where, what the repositories hold, who can be reached. It
//! knows the truth, and keeps what broke it.

use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::model::{ServerName, Service, ServiceId, Side, Status};
use watchkeeper_core::plan::{Act, Plan, Proof};

use crate::world::{World, id, name};

/// The servers of the two sides.
pub(super) const SERVERS: [&str; 2] = ["dm1", "dm2"];

pub(super) fn server_of(side: Side) -> &'static str {
    match side {
        Side::Primary => SERVERS[0],
        Side::Secondary => SERVERS[1],
    }
}

/// The rows, whichever number they have, and the greatest number.
#[derive(Debug, Clone, Default)]
struct Table {
    rows: BTreeSet<u64>,
    greatest: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Site {
    running: BTreeSet<ServiceId>,
    /// Servers that the monitor cannot reach. They go on.
    cut: BTreeSet<ServerName>,
    /// Servers without power.
    off: BTreeSet<ServerName>,
    /// What each repository holds, and the number that its sequence has given last.
    tables: BTreeMap<ServerName, Table>,
    sequences: BTreeMap<ServerName, u64>,
    /// Which repository follows which.
    follows: Option<(ServerName, ServerName)>,
    /// How many rows clients were told are kept; they are counted from 0.
    acknowledged: u64,
    /// How often a step of the site's own took effect.
    pub(super) ran: BTreeMap<String, u32>,
    /// What must never be.
    pub(super) broken: Vec<String>,
}

impl Site {
    /// What `world` says of the primary's and the secondary's services.
    pub(super) fn of(world: &World, plan: &Plan) -> Self {
        let snapshot = world.snapshot();
        let mut site = Self::default();
        for one in &snapshot.facts().services {
            if one.state.status == Status::Up {
                site.running.insert(one.id.clone());
            }
        }
        for server in SERVERS {
            let facts = snapshot.server(server).unwrap();
            if facts.state.status != Status::Up {
                // What its services were last seen to do says nothing any more.
                site.off.insert(name(server));
                site.stop(&name(server));
            }
            site.tables.insert(name(server), Table::default());
            site.sequences.insert(name(server), 0);
        }
        let both = |side| name(server_of(side));
        site.follows = (plan.from == Side::Primary).then(|| (both(plan.from), both(plan.to)));
        site
    }

    /// The server hangs: nothing reaches it, and everything on it runs on.
    pub(super) fn hang(&mut self, server: &str) {
        self.off.remove(&name(server));
        self.cut.insert(name(server));
        self.running.extend(Service::ALL.map(|service| id(server, service)));
    }

    pub(super) fn cut(&mut self, act: &Act) {
        let servers = servers(act);
        let all = || SERVERS.map(name).to_vec();
        self.cut.extend(if servers.is_empty() { all() } else { servers });
    }

    pub(super) fn heal(&mut self) {
        self.cut.clear();
    }

    fn reach(&self, server: &ServerName) -> Result<(), String> {
        if self.cut.contains(server) || self.off.contains(server) {
            return Err(format!("{server} does not answer"));
        }
        Ok(())
    }

    pub(super) fn runs(&self, server: &str, service: Service) -> bool {
        self.running.contains(&id(server, service))
    }

    /// Whether anything that may run on one side only runs there.
    pub(super) fn is_active(&self, server: &str) -> bool {
        Service::ALL.into_iter().any(|it| it.exclusive() && self.runs(server, it))
    }

    /// Whether the repository on one server follows that on the other one.
    pub(super) fn follows(&self, to: &str, from: &str) -> bool {
        self.follows.as_ref() == Some(&(name(from), name(to)))
    }

    pub(super) fn cut_server(&mut self, server: &str) {
        self.cut.insert(name(server));
    }

    /// Somebody starts a side by hand, its power included, the other one being stopped.
    pub(super) fn start_by_hand(&mut self, server: &str) {
        self.off.remove(&name(server));
        self.running.extend(Service::ALL.map(|service| id(server, service)));
    }

    pub(super) fn stop_by_hand(&mut self, server: &str) {
        self.running.retain(|it| it.server != name(server) || !it.service.exclusive());
    }

    /// What is lost if this server's repository counts from now on.
    pub(super) fn lost(&self, server: &str) -> usize {
        let rows = &self.tables[&name(server)].rows;
        (0..self.acknowledged).filter(|row| !rows.contains(row)).count()
    }

    /// What a monitor that looks now finds, in `world`.
    pub(super) fn seen(&self, world: &mut World) {
        for server in SERVERS {
            let known = world.servers.iter().find(|it| it.name == name(server)).unwrap();
            let reached = self.reach(&name(server)).is_ok();
            for service in known.services.clone() {
                let status = match (reached, self.runs(server, service)) {
                    (false, _) => Status::Unknown,
                    (true, true) => Status::Up,
                    (true, false) => Status::Down,
                };
                world.saw(server, Some(service), status);
            }
            world.saw(server, None, if reached { Status::Up } else { Status::Unknown });
            if !reached {
                world.gone(server, 1_000);
            }
        }
    }

    /// Clients enter a row wherever a daemon and its repository serve; it is kept as soon as it is there.
    pub(super) fn clients(&mut self) {
        for server in SERVERS {
            if !(self.runs(server, Service::Daemon) && self.runs(server, Service::Repository)) {
                continue;
            }
            let here = name(server);
            let number = self.sequences[&here] + 1;
            let table = self.tables.get_mut(&here).unwrap();
            if number <= table.greatest {
                self.broken.push(format!("number {number} was given twice on {server}"));
            }
            // Whoever follows has it later, once somebody has waited for it.
            table.rows.insert(self.acknowledged);
            table.greatest = number;
            self.acknowledged += 1;
            self.sequences.insert(here, number);
        }
    }

    fn stop(&mut self, server: &ServerName) {
        self.running.retain(|it| it.server != *server);
    }

    fn start(&mut self, id: &ServiceId) {
        self.running.insert(id.clone());
        let across = SERVERS.into_iter().find(|it| name(it) != id.server).unwrap();
        if id.service.exclusive() && self.is_active(across) {
            self.broken.push(format!("{id} was started while {across} is active"));
        }
    }

    /// The act reaches the site: as whoever carries it out does it, which looks first.
    pub(super) fn perform(&mut self, act: &Act, plan: &Plan) -> Result<(), String> {
        if let Act::ConfirmInactive { server, services, proof } = act {
            return self.confirm(server, services, *proof, plan);
        }
        if let Act::CarrySequences { from, to } = act {
            self.reach(to)?;
            let known = self.reach(from).map_or(0, |()| self.sequences[from]);
            self.sequences.insert(to.clone(), known.max(self.tables[to].greatest));
            return Ok(());
        }
        for server in servers(act) {
            self.reach(&server)?;
        }
        match act {
            Act::StartService(id) => self.start(id),
            Act::StopService(id) => {
                self.running.remove(id);
            }
            Act::AwaitReplication { from, to } => {
                let follows = self.follows.as_ref() == Some(&(from.clone(), to.clone()));
                if !follows {
                    return Err(format!("{to} is not receiving from {from}"));
                }
                self.tables.insert(to.clone(), self.tables[from].clone());
            }
            Act::DetachRepository { server } => {
                self.follows.take_if(|(_, to)| to == server);
            }
            Act::CopyRepository { from, to } => {
                self.tables.insert(to.clone(), self.tables[from].clone());
                self.follows = Some((from.clone(), to.clone()));
            }
            Act::Site(step) => {
                let ran = self.ran.entry(step.name.clone()).or_default();
                if step.check.is_none() || *ran == 0 {
                    *ran += 1;
                }
            }
            Act::Verify { services } => {
                if let Some(down) = services.iter().find(|id| !self.running.contains(id)) {
                    return Err(format!("{down} does not serve"));
                }
            }
            // This model has no picture of it.
            _ => {}
        }
        Ok(())
    }

    fn confirm(
        &mut self,
        server: &ServerName,
        services: &[Service],
        proof: Proof,
        plan: &Plan,
    ) -> Result<(), String> {
        let reached = self.reach(server);
        let runs = services.iter().any(|service| self.runs(server.as_str(), *service));
        let shoot = match proof {
            Proof::Fence { .. } => reached.is_err() || (runs && plan.asks_to_stop(server)),
            _ => false,
        };
        if shoot {
            self.off.insert(server.clone());
            self.stop(server);
            return Ok(());
        }
        match (reached, proof) {
            (Ok(()), _) if runs => Err(format!("{server} is active still")),
            (Ok(()), _) | (Err(_), Proof::Nothing) => Ok(()),
            // Others find it gone only if it is.
            (Err(_), Proof::Witnesses(_)) if self.off.contains(server) => Ok(()),
            (Err(why), _) => Err(why),
        }
    }
}

#[allow(
    clippy::match_wildcard_for_single_variants,
    reason = "an act to come is tried without a change here"
)]
fn servers(act: &Act) -> Vec<ServerName> {
    match act {
        Act::StartService(id) | Act::StopService(id) => vec![id.server.clone()],
        Act::ConfirmInactive { server, .. } | Act::DetachRepository { server } => {
            vec![server.clone()]
        }
        Act::AwaitReplication { from, to }
        | Act::CopyRepository { from, to }
        | Act::CarrySequences { from, to } => vec![from.clone(), to.clone()],
        Act::Verify { services } => services.iter().map(|id| id.server.clone()).collect(),
        // A site's own, and acts to come: they are tried without a new test.
        _ => Vec::new(),
    }
}
