//! What a fault does, and how everything is put right in the end.

use watchkeeper_core::model::Service;

use super::Run;
use crate::faults::{self, AtSend, Fault};
use crate::monitor::Violation;
use crate::world::{Cause, Node, Power, Process};

impl Run {
    /// Something goes wrong, or is put right.
    pub(super) fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
        let now = self.world.now;
        match fault {
            Fault::Dies(server, service) => self.stops(server, service, false),
            Fault::Breaks(server, service) => self.stops(server, service, true),
            Fault::Mended(server, service) => {
                if let Some(unit) = self.world.machines[server].units.get_mut(&service) {
                    unit.broken = false;
                }
            }
            Fault::Off(server) => self.world.machines[server].power = Power::Off,
            Fault::On(server, boots) => {
                self.boot(server, boots);
                self.let_go();
            }
            Fault::Freezes(server) => {
                let machine = &mut self.world.machines[server];
                if machine.power == Power::On {
                    machine.power = Power::Frozen;
                }
            }
            Fault::Thaws(server) => {
                let machine = &mut self.world.machines[server];
                if machine.power == Power::Frozen {
                    machine.power = Power::On;
                    self.let_go();
                }
            }
            Fault::Unfenced(server) => self.world.machines[server].fences = false,
            Fault::Fenced(server) => self.world.machines[server].fences = true,
            Fault::Lacks(server, lack) => self.world.machines[server].lack = Some(lack),
            Fault::Whole(server) => self.world.machines[server].lack = None,
            Fault::Hangs(monitor, server) => {
                self.checks.holds.hung();
                self.hang.insert((monitor, server));
            }
            Fault::Looks(monitor, server) => {
                self.hang.remove(&(monitor, server));
            }
            Fault::Elsewhere => {
                self.checks.holds.elsewhere(now);
                for monitor in &mut self.monitors {
                    let at = monitor.clock(now);
                    monitor.fleet.push(at);
                }
            }
            Fault::Cut(from, to) => {
                self.world.cut.insert((from, to));
            }
            Fault::Joined(from, to) => {
                if let (Node::Monitor(number), Node::Server(server)) = (from, to) {
                    self.at_send[number].take_if(|it| *it == AtSend::Cut(server));
                }
                self.world.cut.remove(&(from, to));
                self.let_go();
            }
            Fault::Slow(ms) => self.slow = ms,
            Fault::ByHand(server, service) => {
                let machine = &mut self.world.machines[server];
                let on = machine.power == Power::On;
                if let Some(unit) = machine.units.get_mut(&service).filter(|_| on)
                    && !matches!(unit.process, Process::Running { .. })
                {
                    unit.process = Process::Running { cause: Cause::Others, since: now };
                }
            }
            Fault::NoQuorum => self.etcd.quorum = false,
            Fault::Quorum => self.etcd.quorum = true,
            Fault::Unheard => self.etcd.heard = false,
            Fault::Heard => self.etcd.heard = true,
            Fault::Elected(unaware, monitor) => self.etcd.elect(now, unaware, monitor),
            Fault::ForcedAtStep(number) => self.at_step = Some(number),
            _ => return self.befall_monitor(fault),
        }
        Ok(())
    }

    /// Something goes wrong with a monitor, or is put right.
    fn befall_monitor(&mut self, fault: Fault) -> Result<(), Violation> {
        let now = self.world.now;
        match fault {
            Fault::Killed(number) => {
                self.asleep[number] = None;
                if self.monitors[number].alive {
                    self.monitors[number].end()?;
                }
            }
            Fault::Started(number) => {
                self.at_write[number] = None;
                if !self.monitors[number].alive {
                    self.checks.starts(now, number);
                    self.monitors[number].start(now)?;
                }
            }
            Fault::KilledAtWrite(number, after) => self.at_write[number] = Some(after),
            Fault::Pauses(number) => self.sleep(number, Vec::new()),
            Fault::GoesOn(number) => {
                self.at_send[number].take_if(|it| *it == AtSend::Pauses);
                self.wake(number);
            }
            Fault::AtSend(number, what) => self.at_send[number] = Some(what),
            Fault::Full(number) => self.monitors[number].full = true,
            Fault::Freed(number) => self.monitors[number].full = false,
            Fault::Clock(number, ms) => {
                self.checks.holds.clock_set();
                self.monitors[number].skew = ms;
            }
            _ => return self.wish(fault),
        }
        Ok(())
    }

    /// What an operator wants.
    fn wish(&mut self, fault: Fault) -> Result<(), Violation> {
        match fault {
            Fault::Maintenance(on) => self.maintain(on)?,
            Fault::Ordered => {
                for number in 0..2 {
                    let life = self.monitors[number].life;
                    self.with(number, life, |it, now, wishes| it.order(now, wishes).map(drop))?;
                }
            }
            Fault::Wanted(number) | Fault::Forced(number) if self.setting.etcd => {
                let life = self.monitors[number].life;
                let force = matches!(fault, Fault::Forced(_));
                if force {
                    self.checks.holds.forced();
                }
                self.with(number, life, |it, now, wishes| it.wanted(now, force, wishes))?;
            }
            Fault::Cancelled(number) => {
                let life = self.monitors[number].life;
                self.with(number, life, |it, _, wishes| {
                    it.cancel(wishes);
                    Ok(())
                })?;
            }
            Fault::Wanted(number) => {
                let life = self.monitors[number].life;
                self.with(number, life, |it, _, wishes| {
                    it.take(wishes);
                    Ok(())
                })?;
            }
            // By force between two monitors: nobody is asked then, and who says so has made sure.
            _ => {}
        }
        Ok(())
    }

    /// An operator switches maintenance on or off at whichever monitor has the duty.
    pub(super) fn maintain(&mut self, on: bool) -> Result<(), Violation> {
        for number in 0..2 {
            let life = self.monitors[number].life;
            self.with(number, life, |it, now, _| it.maintain(now, on))?;
        }
        Ok(())
    }

    pub(super) fn stops(&mut self, server: usize, service: Service, broken: bool) {
        if let Some(unit) = self.world.machines[server].units.get_mut(&service) {
            unit.process = Process::Stopped;
            unit.broken |= broken;
        }
    }

    fn boot(&mut self, server: usize, boots: bool) {
        let now = self.world.now;
        let machine = &mut self.world.machines[server];
        if machine.power != Power::Off {
            return;
        }
        machine.power = Power::On;
        for unit in machine.units.values_mut() {
            let ran = matches!(unit.process, Process::Running { .. });
            unit.process = if ran && boots {
                Process::Running { cause: Cause::Others, since: now }
            } else {
                Process::Stopped
            };
        }
    }

    /// Nothing goes wrong any more, and what was broken is whole.
    pub(super) fn put_right(&mut self) -> Result<(), Violation> {
        self.say("all faults are over");
        self.world.cut.clear();
        self.let_go();
        self.slow = faults::QUICK;
        (self.etcd.quorum, self.etcd.heard) = (true, true);
        self.hang.clear();
        self.at_step = None;
        for number in 0..2 {
            self.monitors[number].full = false;
            (self.at_write[number], self.at_send[number]) = (None, None);
            self.fault(Fault::GoesOn(number))?;
            self.fault(Fault::Started(number))?;
        }
        for server in 0..3 {
            self.fault(Fault::On(server, true))?;
            self.fault(Fault::Thaws(server))?;
            self.fault(Fault::Fenced(server))?;
            self.fault(Fault::Whole(server))?;
            for unit in self.world.machines[server].units.values_mut() {
                unit.broken = false;
            }
        }
        Ok(())
    }
}
