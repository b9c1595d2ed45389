//! What a step's command does when it arrives, and what comes of it.

use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::{ServerName, Service, ServiceId, Term};
use watchkeeper_core::plan::{Act, Proof};

use crate::world::{Cause, Lack, Node, Power, Process, World};

/// An attempt at a step, on its way.
#[derive(Debug, Clone)]
pub struct Deed {
    /// The monitor whose it is.
    pub monitor: usize,
    /// How often that monitor was started before: one that ended hears nothing any more.
    pub life: u32,
    /// The plan's number.
    pub plan: u64,
    /// The step, counted from 0.
    pub step: usize,
    /// The attempt, counted from 1.
    pub attempt: u32,
    /// The term in which it was decided.
    pub term: Term,
    /// What is to be done.
    pub act: Act,
    /// When whoever asked gives up.
    pub until: u64,
}

/// What comes of a deed that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Came {
    /// This, now.
    Of(Outcome),
    /// A service begins to start or to stop, and is watched until it has: this many milliseconds.
    After {
        /// How long.
        ms: u64,
        /// The number of the start.
        number: u64,
    },
    /// Nothing comes back.
    Nothing,
}

/// The number of a server of the simulated site.
pub fn number(server: &ServerName) -> usize {
    match server.as_str() {
        "dm1" => 0,
        "dm2" => 1,
        _ => 2,
    }
}

/// Where a deed is carried out.
pub fn place(act: &Act) -> Option<usize> {
    match act {
        Act::StartService(id) | Act::StopService(id) => Some(number(&id.server)),
        Act::ConfirmInactive { server, .. } | Act::DetachRepository { server } => {
            Some(number(server))
        }
        Act::AwaitReplication { to, .. }
        | Act::CopyRepository { to, .. }
        | Act::CarrySequences { to, .. } => Some(number(to)),
        Act::Verify { services } => services.first().map(|id| number(&id.server)),
        Act::Site(_) => None,
    }
}

fn done(detail: &str, changed: bool) -> Came {
    Came::Of(Outcome::Done { detail: detail.to_owned(), changed })
}

fn failed(detail: impl Into<String>) -> Came {
    Came::Of(Outcome::Failed { detail: detail.into() })
}

/// What other servers say of `about`, asked by `monitor`: how many find it gone, and whether one
/// finds it alive.
pub fn testimony(world: &World, monitor: usize, about: usize) -> (u32, bool) {
    let mut gone = 0;
    for witness in (0..world.machines.len()).filter(|witness| *witness != about) {
        let asked = world.both_ways(Node::Monitor(monitor), Node::Server(witness));
        if !asked || world.machines[witness].power != Power::On {
            continue;
        }
        let way = world.both_ways(Node::Server(witness), Node::Server(about));
        // A machine that is on answers, be it with a refusal.
        if way && world.machines[about].power == Power::On {
            return (gone, true);
        }
        gone += 1;
    }
    (gone, false)
}

impl World {
    /// A deed arrives where it is carried out. `ms` says how long a start takes here, if it works.
    pub fn arrive(&mut self, deed: &Deed, ms: u64) -> Came {
        let Some(server) = place(&deed.act) else { return done("", true) };
        let reached = self.both_ways(Node::Monitor(deed.monitor), Node::Server(server));
        let machine = &mut self.machines[server];
        if machine.power != Power::On {
            return Came::Nothing;
        }
        if machine.lack == Some(Lack::Login) {
            return failed("it does not let the monitor in");
        }
        // The server's own shell compares terms before it does anything.
        let (term, owner) = machine.mark;
        if term > deed.term || (term == deed.term && owner != deed.monitor) {
            return failed(format!("term {} is in force", term.0));
        }
        machine.mark = (deed.term, deed.monitor);
        let came = self.carry_out(deed, server, ms);
        // Whatever was done is done, whether or not it can be told.
        if reached || matches!(came, Came::After { .. }) { came } else { Came::Nothing }
    }

    fn carry_out(&mut self, deed: &Deed, server: usize, ms: u64) -> Came {
        match &deed.act {
            Act::StartService(id) => self.start(deed, server, id, ms),
            Act::StopService(id) => self.stop(server, id.service),
            Act::ConfirmInactive { services, .. } => {
                let running = services.iter().find(|it| self.machines[server].runs(**it));
                match running {
                    Some(service) => failed(format!("{service} still runs")),
                    None => done("it says so itself", false),
                }
            }
            Act::AwaitReplication { from, to } => {
                let (from, to) = (number(from), number(to));
                if !self.machines[from].serves(Service::Repository) {
                    failed("the sender does not serve")
                } else if self.machines[to].rows >= self.machines[from].rows {
                    done("it has applied all", false)
                } else {
                    failed("it is behind")
                }
            }
            Act::DetachRepository { .. } => {
                self.machines[server].follows = false;
                done("", true)
            }
            Act::CopyRepository { from, .. } => {
                let from = number(from);
                let way = self.both_ways(Node::Server(from), Node::Server(server));
                let both = self.machines[from].serves(Service::Repository)
                    && self.machines[server].serves(Service::Repository);
                if !way || !both {
                    return failed("the repositories do not reach each other");
                }
                self.machines[server].rows = self.machines[from].rows;
                self.machines[server].follows = true;
                done("", true)
            }
            Act::CarrySequences { .. } => {
                if self.machines[server].serves(Service::Repository) {
                    done("", true)
                } else {
                    failed("the repository does not serve")
                }
            }
            Act::Verify { services } => {
                match services.iter().find(|id| !self.machines[server].serves(id.service)) {
                    Some(id) => failed(format!("{id} does not serve")),
                    None => done("", false),
                }
            }
            Act::Site(_) => done("", true),
        }
    }

    fn start(&mut self, deed: &Deed, server: usize, id: &ServiceId, ms: u64) -> Came {
        self.starts += 1;
        let number = self.starts;
        let lack = self.machines[server].lack;
        let Some(unit) = self.machines[server].units.get_mut(&id.service) else {
            return failed("it is not installed");
        };
        match unit.process {
            Process::Running { .. } => done("it serves already", false),
            _ if unit.broken => failed("it does not come up"),
            _ if lack == Some(Lack::Unit) && id.service == Service::Daemon => {
                failed("its command is not there")
            }
            _ if lack == Some(Lack::Room) => failed("no space left on device"),
            Process::Stopped | Process::Starting { .. } => {
                let cause = Cause::Step { monitor: deed.monitor, plan: deed.plan };
                unit.process = Process::Starting { cause, number };
                Came::After { ms, number }
            }
        }
    }

    fn stop(&mut self, server: usize, service: Service) -> Came {
        match self.machines[server].units.get_mut(&service) {
            None => failed("it is not installed"),
            Some(unit) => {
                let changed = unit.process != Process::Stopped;
                unit.process = Process::Stopped;
                done("", changed)
            }
        }
    }

    /// A fence agent switches a server off, if it works.
    pub fn fence(&mut self, server: usize) -> Outcome {
        let machine = &mut self.machines[server];
        if !machine.fences {
            return Outcome::Failed { detail: "its fence agents fail".to_owned() };
        }
        machine.power = Power::Off;
        Outcome::Done { detail: "it is switched off".to_owned(), changed: true }
    }

    /// Whether what is known of the server beside its own word is proof that it does not act.
    pub fn proves(&self, monitor: usize, server: usize, proof: Proof) -> Came {
        match proof {
            Proof::Nothing => done("no proof is wanted", false),
            Proof::Fence { .. } => Came::Nothing,
            Proof::Operator => failed("an operator has to make sure"),
            Proof::Witnesses(needed) => match testimony(self, monitor, server) {
                (_, true) => failed("a witness finds it alive"),
                (gone, false) if gone >= needed => done("witnesses find it gone", false),
                (gone, false) => failed(format!("{gone} of {needed} witnesses find it gone")),
            },
        }
    }
}
