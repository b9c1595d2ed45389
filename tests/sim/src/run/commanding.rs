//! The way of a command: out, to its server, what it does there, and back; or held up on it.

use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::Service;
use watchkeeper_core::plan::Act;

use super::{Happening, Run};
use crate::deeds::{self, Came, Deed};
use crate::faults::AtSend;
use crate::monitor::Violation;
use crate::world::{Node, Power, Process};

impl Run {
    /// Whether the monitor still waits for what comes of it.
    pub(super) fn waits(&self, deed: &Deed) -> bool {
        let monitor = &self.monitors[deed.monitor];
        monitor.alive && monitor.life == deed.life && monitor.is_under_way(deed)
    }

    /// A command is at its server; or held up, if its way is cut or the server stands still.
    pub(super) fn arrive(&mut self, deed: Box<Deed>) -> Result<(), Violation> {
        let (from, to) = (Node::Monitor(deed.monitor), deeds::place(&deed.act).map(Node::Server));
        if to.is_some_and(|to| !self.world.open(from, to)) || self.is_frozen(&deed) {
            self.held_up.push(*deed);
            return Ok(());
        }
        let takes = self.rng.u64(50..3_000);
        if matches!(deed.act, Act::DetachRepository { .. }) {
            self.checks.detached(&self.world, deed.monitor, deed.plan)?;
        }
        match self.world.arrive(&deed, takes) {
            Came::Of(outcome) => {
                if matches!(outcome, Outcome::Done { .. }) {
                    self.checks.answers(self.world.now, &deed);
                } else {
                    self.say(&format!(
                        "a command of {from} comes to nothing: {}",
                        outcome.detail()
                    ));
                }
                let way = self.way();
                self.after(way, Happening::Came { deed, outcome });
            }
            Came::After { ms, number } => {
                if let Act::StartService(id) = &deed.act {
                    let (server, service) = (deeds::number(&id.server), id.service);
                    self.after(ms, Happening::Up { server, service, number, deed });
                }
            }
            Came::Nothing => {}
        }
        Ok(())
    }

    /// A service that was being started runs, unless something came in between.
    pub(super) fn up(
        &mut self,
        server: usize,
        service: Service,
        number: u64,
        deed: Box<Deed>,
    ) -> Result<(), Violation> {
        let (power, now) = (self.world.machines[server].power, self.world.now);
        let Some(unit) = self.world.machines[server].units.get_mut(&service) else {
            return Ok(());
        };
        let Process::Starting { cause, number: last } = unit.process else { return Ok(()) };
        if last != number {
            return Ok(());
        }
        if power == Power::Off {
            unit.process = Process::Stopped;
            return Ok(());
        }
        if power == Power::Frozen {
            self.after(1_000, Happening::Up { server, service, number, deed });
            return Ok(());
        }
        unit.process = Process::Running { cause, since: now };
        self.say(&format!("{}/{service} runs", Node::Server(server)));
        self.checks.runs(&self.world, server, service, cause)?;
        if self.world.both_ways(Node::Monitor(deed.monitor), Node::Server(server)) {
            let way = self.way();
            let outcome = Outcome::Done { detail: "it serves".to_owned(), changed: true };
            self.after(way, Happening::Came { deed, outcome });
        }
        Ok(())
    }

    pub(super) fn came(&mut self, deed: &Deed, outcome: Outcome) -> Result<(), Violation> {
        if matches!(outcome, Outcome::Failed { .. }) && self.fences_instead(deed, true) {
            return Ok(());
        }
        self.with(deed.monitor, deed.life, |it, now, wishes| it.came(now, deed, outcome, wishes))
    }

    /// Nobody waits for the answer any more.
    pub(super) fn given_up(&mut self, deed: &Deed) -> Result<(), Violation> {
        let outcome = match &deed.act {
            Act::ConfirmInactive { server, proof, .. } => {
                if self.fences_instead(deed, false) {
                    return Ok(());
                }
                let server = deeds::number(server);
                match self.world.proves(deed.monitor, server, *proof) {
                    Came::Of(outcome) => outcome,
                    Came::After { .. } | Came::Nothing => return Ok(()),
                }
            }
            _ => Outcome::Failed { detail: "no answer in time".to_owned() },
        };
        self.came(deed, outcome)
    }

    /// What was held up goes on where the way is free again and the server does not stand still. Whoever gives an attempt up, or ends, resets
    /// its connection, and nothing is sent any more.
    pub(super) fn let_go(&mut self) {
        for deed in std::mem::take(&mut self.held_up) {
            let from = Node::Monitor(deed.monitor);
            if !self.waits(&deed) {
                continue;
            }
            let open = |to| self.world.open(from, Node::Server(to));
            if deeds::place(&deed.act).is_none_or(open) && !self.is_frozen(&deed) {
                let way = self.way();
                self.after(way, Happening::Command(Box::new(deed)));
            } else {
                self.held_up.push(deed);
            }
        }
    }

    /// The way is cut while the command is on it, if that is to be.
    pub(super) fn cuts_off(&mut self, deed: &Deed) {
        let Some(server) = deeds::place(&deed.act) else { return };
        let cut = self.at_send[deed.monitor].take_if(|it| *it == AtSend::Cut(server));
        if cut.is_some() {
            let (from, to) = (Node::Monitor(deed.monitor), Node::Server(server));
            self.say(&format!("the way from {from} to {to} is cut, a command on it"));
            self.world.cut.insert((from, to));
        }
    }

    /// Whether the server of a command stands still: what is sent to it arrives when it goes on.
    fn is_frozen(&self, deed: &Deed) -> bool {
        deeds::place(&deed.act)
            .is_some_and(|server| self.world.machines[server].power == Power::Frozen)
    }
}
