//! What an operator does who looks now and then, and whether everything is well in the end.

use watchkeeper_core::guards::Duty;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::snapshot::{Place, expected};

use super::{RECOVERY, Run};
use crate::faults::Fault;
use crate::monitor::{Monitor, Violation};
use crate::world::{Node, Power, World};

impl Run {
    /// The monitor that may act, if there is one.
    fn holder(&self) -> Option<&Monitor> {
        let now = self.world.now;
        self.monitors.iter().find(|it| it.alive && matches!(it.duty(now), Duty::Held(_)))
    }

    /// What an operator does who looks now and then: switches on what was fenced, and judges where a
    /// change of side was left.
    pub(super) fn operate(&mut self) -> Result<(), Violation> {
        for server in 0..self.world.machines.len() {
            if self.world.machines[server].power == Power::Off {
                self.say(&format!("an operator switches {} on", Node::Server(server)));
                self.fault(Fault::On(server, true))?;
            }
        }
        self.maintain(false)?;
        if !self.holder().is_some_and(Monitor::asks_for_an_operator) {
            return Ok(());
        }
        let serves = |server: usize| self.world.machines[server].serves(Service::Daemon);
        let side = if serves(1) && !serves(0) { Side::Secondary } else { Side::Primary };
        let across = World::of_side(side.other());
        for service in Service::ALL.into_iter().filter(|service| service.exclusive()) {
            self.stops(across, service, false);
        }
        for number in 0..2 {
            let life = self.monitors[number].life;
            self.with(number, life, |it, now, _| it.declare(now, side))?;
        }
        Ok(())
    }

    /// Whether a side's server serves with all it needs.
    pub(super) fn serves_wholly(&self, side: Side) -> bool {
        let machine = &self.world.machines[World::of_side(side)];
        let mut essential = Service::ALL.into_iter().filter(|it| it.essential());
        essential.all(|it| !expected(it, Place::Active, side) || machine.serves(it))
    }

    /// Whether one side serves with all it needs, the other does not, and a monitor knows it.
    pub(super) fn is_well(&self) -> bool {
        let Some(holder) = self.holder() else { return false };
        let here = holder.here();
        let Phase::Active(active) = here.phase else { return false };
        let off = &self.world.machines[World::of_side(active.other())];
        let mut essential = Service::ALL.into_iter().filter(|it| it.essential());
        let quiet = essential.all(|it| !(it.exclusive() && off.runs(it)));
        self.serves_wholly(active) && quiet
    }

    pub(super) fn what_is_not_well(&self) -> Violation {
        let states: Vec<String> = self
            .monitors
            .iter()
            .enumerate()
            .map(|(number, it)| {
                let here = it.here();
                let (phase, standing) = (here.phase, here.tenure.standing().clone());
                format!("{}: {phase}, the duty is {standing}", Node::Monitor(number))
            })
            .collect();
        let runs = |server: usize| {
            let machine = &self.world.machines[server];
            let running: Vec<_> = Service::ALL
                .into_iter()
                .filter(|service| machine.runs(*service))
                .map(Service::as_str)
                .collect();
            format!("{}: {}", Node::Server(server), running.join(" "))
        };
        let servers: Vec<String> = (0..2).map(runs).collect();
        format!(
            "it is not well {} s after the last fault ({:?}): {}; {}",
            RECOVERY / 1000,
            self.setting,
            states.join("; "),
            servers.join("; ")
        )
    }
}
