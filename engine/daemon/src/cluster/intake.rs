//! What probes, witnesses and other monitors find, taken in as facts: what is news, what is due for the
//! journal, and whether anything has to be decided anew.

use std::sync::Arc;

use tokio::time::Instant;
use watchkeeper_core::facts::Observation;
use watchkeeper_core::model::{Server, Status};
use watchkeeper_core::snapshot::{Place, expected};

use super::Watch;

impl Watch {
    /// Takes one observation and all that wait behind it in; true if an evaluation is due now.
    pub(super) fn take_in(&mut self, first: Observation) -> bool {
        let mut due = self.settling.is_some();
        let setup = Arc::clone(&self.setup.borrow());
        let active = setup.topology.on(self.view.borrow().state.phase.side()).name.clone();
        let mut next = Some(first);
        while let Some(observation) = next {
            let pace = || setup.confirm_interval(&observation.probe);
            self.suspects.take_in(&observation, &active, &setup.equipment, pace);
            let trouble = self.is_trouble(&observation);
            if self.book.observe(observation.clone()) {
                self.unrecorded.push(observation);
                due = true;
            }
            // Each repetition of trouble confirms it.
            due |= trouble;
            next = self.observations.try_recv().ok();
        }
        due
    }

    /// Takes in what other monitors see of the active side's server, if it is silent here.
    pub(super) fn hear_monitors(&mut self, active: &Server) {
        let seen = self.duties.sights().of(&self.name, &active.name, Instant::now());
        for testimony in self.suspects.monitors(&active.name, seen) {
            self.take_in_testimony(testimony);
        }
    }

    /// Takes in what witnesses find. An evaluation is always due then: a policy may hold until as
    /// many have looked as it wants, and nobody is to wait longer than that.
    pub(super) fn take_in_testimonies(&mut self, first: Observation) {
        let mut next = Some(first);
        while let Some(testimony) = next {
            self.take_in_testimony(testimony);
            next = self.suspects.waiting();
        }
    }

    fn take_in_testimony(&mut self, testimony: Observation) {
        let news = self.book.observe(testimony.clone());
        if self.suspects.records(&testimony, news) {
            self.unrecorded.push(testimony);
        }
    }

    /// Whether it says something else than what is meant to be where it looks.
    fn is_trouble(&self, observation: &Observation) -> bool {
        let probe = &observation.probe;
        let up = observation.status == Status::Up;
        let Some(service) = probe.service else { return !up && probe.has_say() };
        let setup = self.setup.borrow();
        let Some(server) = setup.topology.server(&probe.server) else { return false };
        let active = self.view.borrow().state.phase.side();
        up != expected(service, Place::of(server.role, active), active)
    }
}
