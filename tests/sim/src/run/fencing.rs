//! How a server is switched off that was not confirmed stopped.

use watchkeeper_core::execution::Outcome;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::plan::{Act, Proof};

use super::{Happening, Run};
use crate::deeds::{self, Deed};
use crate::world::Node;

impl Run {
    /// Has the fence agents begin, if the attempt is a confirmation that wants it, and the monitor may
    /// still act. Says whether the attempt is theirs now. A server that has answered is fenced only if
    /// it did not do as it was asked.
    pub(super) fn fences_instead(&mut self, deed: &Deed, answered: bool) -> bool {
        let Act::ConfirmInactive { server, proof: Proof::Fence { .. }, .. } = &deed.act else {
            return false;
        };
        if !self.waits(deed) {
            return false;
        }
        if answered && !self.checks.asks_to_stop(deed.monitor, deed.plan, server) {
            return false;
        }
        let attempt = Some((deed.life, deed.plan, deed.step, deed.attempt));
        if self.fencing[deed.monitor] == attempt {
            return true;
        }
        let duty = self.monitors[deed.monitor].duty(self.world.now);
        if duty != Duty::Held(deed.term) {
            return false;
        }
        self.fencing[deed.monitor] = attempt;
        let takes = self.rng.u64(100..5_000);
        self.after(takes, Happening::Fenced(Box::new(deed.clone())));
        true
    }

    /// The fence agents have ended: of a monitor that has ended meanwhile, too.
    pub(super) fn fenced(&mut self, deed: Box<Deed>) {
        let Act::ConfirmInactive { server, .. } = &deed.act else { return };
        let server = deeds::number(server);
        let outcome = self.world.fence(server);
        if matches!(outcome, Outcome::Done { .. }) {
            self.say(&format!("{} is switched off", Node::Server(server)));
            self.checks.is_fenced(self.world.now, deed.monitor, deed.plan);
        }
        self.after(0, Happening::FenceEnded { deed, outcome });
    }
}
