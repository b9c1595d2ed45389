//! What probes find, as the collectors of the daemon would.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchkeeper_core::facts::{
    Observation, ProbeId, READINESS, REPLICATION, Reason, ReasonCode, SEEN_FROM, Value,
};
use watchkeeper_core::model::{Service, Status};

use super::{Happening, Run, TIMEOUT};
use crate::checks::holds::Told;
use crate::monitor::Violation;
use crate::world::{Lack, Node, Power, World};

impl Run {
    /// What the probes of a monitor find of a server, and when they have found it.
    pub(super) fn probe(&mut self, number: usize, server: usize) {
        let monitor = &self.monitors[number];
        let asleep = self.asleep[number].is_some();
        if !monitor.alive || asleep || self.hang.contains(&(number, server)) {
            return;
        }
        let life = monitor.life;
        let machine = &self.world.machines[server];
        let answers = self.world.both_ways(Node::Monitor(number), Node::Server(server))
            && machine.power == Power::On;
        let way = if answers { self.rng.u64(1..=self.slow.min(TIMEOUT)) * 2 } else { TIMEOUT };
        let silent = !answers || way >= TIMEOUT;
        let way = way.min(TIMEOUT);
        let at = monitor.clock(self.world.now + way);
        let site = Arc::clone(&self.site);
        let Some(configured) = site.topology.servers().get(server) else { return };
        let lack = machine.lack;
        let refused = |service: Option<Service>| match lack {
            Some(Lack::Login) => service.is_none(),
            Some(Lack::Credentials) => service == Some(Service::Repository),
            _ => false,
        };
        let observation = |service: Option<Service>, up: bool| {
            let (status, code) = match (silent, up) {
                (true, _) => (Status::Unknown, ReasonCode::TimedOut),
                (false, _) if refused(service) => (Status::Unknown, ReasonCode::Denied),
                (false, true) => (Status::Up, ReasonCode::Running),
                (false, false) => (Status::Down, ReasonCode::NotRunning),
            };
            let name = Arc::clone(&site.probe);
            let probe = ProbeId { server: configured.name.clone(), service, name };
            let reason = Reason::new(code, Arc::clone(&site.nothing));
            Observation { probe, status, reason, at, took_ms: way, values: BTreeMap::new() }
        };
        let mut found = vec![observation(None, true)];
        for service in &configured.services {
            found.push(observation(Some(*service), machine.runs(*service)));
        }
        if !silent && self.lacks && lack != Some(Lack::Login) {
            let mut looked = observation(None, true);
            looked.probe.name = Arc::from(READINESS);
            let left = if lack == Some(Lack::Room) { 0 } else { 1 << 40 };
            looked.values = [
                (Arc::from("startable-daemon"), Value::Flag(lack != Some(Lack::Unit))),
                (Arc::from("disk-left-bytes"), Value::Integer(left)),
            ]
            .into();
            found.push(looked);
        }
        if !silent && machine.runs(Service::Repository) && server < 2 {
            let other = &self.world.machines[1 - server];
            let mut replication = observation(Some(Service::Repository), true);
            replication.probe.name = Arc::from(REPLICATION);
            let behind = machine.rows.saturating_sub(other.rows);
            let behind = i64::try_from(behind).unwrap_or(i64::MAX);
            replication.values = [
                (Arc::from("replay-lag-bytes"), Value::Integer(behind)),
                (Arc::from("subscription-enabled"), Value::Flag(machine.follows)),
            ]
            .into();
            found.push(replication);
        }
        let active = World::of_side(self.monitors[number].here().phase.side());
        let told = Box::new(Told {
            at: self.world.now + way,
            silent,
            lets_in: !silent && lack != Some(Lack::Login),
            lacks: if silent { Some("does not answer") } else { self.lacking(server) },
            runs: Service::ALL.into_iter().filter(|it| !silent && machine.runs(*it)).collect(),
        });
        self.after(way, Happening::Found { monitor: number, life, server, found, told });
        if silent && server == active {
            // Each of the others is asked then, and takes its time.
            for by in (0..self.world.machines.len()).filter(|by| *by != server) {
                let takes = way + self.rng.u64(0..TIMEOUT);
                let (monitor, about) = (number, server);
                self.after(takes, Happening::Testifies { monitor, life, about, by });
            }
        }
    }

    /// A monitor is told what its probes have found of a server.
    pub(super) fn found(
        &mut self,
        monitor: usize,
        life: u32,
        server: usize,
        found: Vec<Observation>,
        told: Told,
    ) -> Result<(), Violation> {
        if self.lives(monitor, life) {
            self.checks.holds.told(monitor, server, told);
        }
        self.with(monitor, life, |it, now, wishes| it.see(now, found, wishes))
    }

    /// A monitor is told what one server finds of another.
    pub(super) fn testified(
        &mut self,
        monitor: usize,
        life: u32,
        (about, by): (usize, usize),
        at: u64,
        found: Observation,
    ) -> Result<(), Violation> {
        if self.lives(monitor, life) {
            let alive = found.status == Status::Up;
            self.checks.holds.testified(at, monitor, about, by, alive);
        }
        self.with(monitor, life, |it, now, wishes| it.see(now, vec![found], wishes))
    }

    /// Why a server that answers could not take over.
    fn lacking(&self, server: usize) -> Option<&'static str> {
        let machine = &self.world.machines[server];
        match machine.lack {
            Some(Lack::Login) => Some("lets nobody in"),
            Some(Lack::Credentials) => Some("has a repository that lets nobody in"),
            Some(Lack::Room) => Some("has no room left"),
            Some(Lack::Unit) => Some("cannot start the daemon"),
            None if !machine.runs(Service::Repository) => Some("has no repository that serves"),
            None if !machine.follows => Some("has a repository that does not follow"),
            None => None,
        }
    }

    /// A server says what it finds of another one, which is silent to a monitor, if it can be asked.
    pub(super) fn testifies(&mut self, number: usize, life: u32, about: usize, by: usize) {
        let (world, site) = (&self.world, &self.site);
        let servers = site.topology.servers();
        let (Some(suspect), Some(witness)) = (servers.get(about), servers.get(by)) else { return };
        let asked = world.both_ways(Node::Monitor(number), Node::Server(by))
            && world.machines[by].power == Power::On;
        if !asked {
            return;
        }
        let way = world.both_ways(Node::Server(by), Node::Server(about));
        let (status, what) = match world.machines[about].power {
            Power::On if way => (Status::Up, "alive"),
            // Its kernel accepts connections, and nothing speaks.
            Power::Frozen if way => (Status::Unknown, "hung"),
            _ => (Status::Down, "gone"),
        };
        let value = (Arc::from(format!("{SEEN_FROM}{}", witness.name)), Value::Text(what.into()));
        let found = Box::new(Observation {
            probe: ProbeId::testimony(&suspect.name, &witness.name),
            status,
            reason: Reason::new(ReasonCode::TimedOut, Arc::clone(&site.nothing)),
            at: self.monitors[number].clock(world.now),
            took_ms: 0,
            values: [value].into(),
        });
        let (monitor, at) = (number, world.now);
        self.after(0, Happening::Testified { monitor, life, about, by, at, found });
    }
}
