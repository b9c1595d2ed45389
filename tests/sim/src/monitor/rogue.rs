//! A policy that asks for anything at any time, fails now and then, and now and then wants nothing done: what
//! keeps it from harm are the guards alone.

use fastrand::Rng;
use watchkeeper_core::model::{Service, ServiceId};
use watchkeeper_core::plan::OrderedBy;
use watchkeeper_core::proposal::{Action, Evaluation, Failure, FailureKind, Proposal};

use super::Monitor;

/// Until when it speaks, in milliseconds: later everything has to become well.
const SPEAKS_UNTIL: u64 = 150_000;

impl Monitor {
    /// Whether it was not this policy that ordered a plan.
    pub fn is_judicious(&self, by: &OrderedBy) -> bool {
        !matches!(by, OrderedBy::Policy(policy) if *policy == self.site.rogue.0)
    }

    /// What it says in this evaluation.
    pub(super) fn rogue(&self, now: u64, seed: u64) -> Result<Evaluation, Failure> {
        let mut evaluation = Evaluation::default();
        if now >= SPEAKS_UNTIL {
            return Ok(evaluation);
        }
        let mut rng = Rng::with_seed(seed ^ (self.snapshots << 8) ^ self.number as u64);
        match rng.u32(0..60) {
            0 => {
                let detail = "it fails now and then".to_owned();
                return Err(Failure { kind: FailureKind::Trap, detail });
            }
            1 => evaluation.holds.push("it does not want to".to_owned()),
            2..12 => {
                let servers = self.site.topology.servers();
                let server = &servers[rng.usize(0..servers.len())];
                let service = Service::ALL[rng.usize(0..Service::ALL.len())];
                let id = ServiceId { server: server.name.clone(), service };
                let action = match rng.u32(0..3) {
                    0 => Action::Failover,
                    1 => Action::Rescue(id),
                    _ => Action::StopService(id),
                };
                evaluation.proposals.push(Proposal { action, reason: "it likes to".to_owned() });
            }
            _ => {}
        }
        Ok(evaluation)
    }
}
