//! A monitor that stands still, as one does whose machine is moved or whose process is stopped: it goes on later
//! where it was, as if nothing had been, and what has come for it meanwhile is there.

use super::{Happening, Run};
use crate::faults::AtSend;
use crate::world::Node;

impl Happening {
    /// The monitor that has to run for this to happen. What it does by itself is left out: it does nothing then.
    const fn needs(&self) -> Option<usize> {
        match self {
            Self::Found { monitor, .. }
            | Self::Testified { monitor, .. }
            | Self::Wake { monitor, .. }
            | Self::Unanswered { monitor, .. }
            | Self::News { monitor, .. }
            | Self::Alarm { monitor, .. }
            | Self::Wishes { monitor, .. } => Some(*monitor),
            Self::Came { deed, .. } | Self::GivenUp(deed) | Self::FenceEnded { deed, .. } => {
                Some(deed.monitor)
            }
            Self::Question(question) => Some(1 - question.from),
            Self::Reply(reply) => Some(reply.question.from),
            Self::FromEtcd { call, .. } | Self::Silent(call) => Some(call.monitor),
            Self::Fault(_)
            | Self::Probe { .. }
            | Self::Testifies { .. }
            | Self::Tick(_)
            | Self::Beat(_)
            | Self::Command(_)
            | Self::Up { .. }
            | Self::Fenced(_)
            | Self::AtEtcd(_)
            | Self::Leases
            | Self::Rows
            | Self::Operator => None,
        }
    }
}

impl Run {
    /// What is to happen now; none: the monitor that it is for stands still, and it is kept for it.
    pub(super) fn unless_asleep(&mut self, happening: Happening) -> Option<Happening> {
        let waiting = happening.needs().and_then(|number| self.asleep[number].as_mut());
        let Some(waiting) = waiting else { return Some(happening) };
        waiting.push(happening);
        None
    }

    /// A monitor stands still, with this still to do.
    pub(super) fn sleep(&mut self, number: usize, left: Vec<Happening>) {
        if self.monitors[number].alive && self.asleep[number].is_none() {
            self.asleep[number] = Some(left);
        }
    }

    /// It goes on.
    pub(super) fn wake(&mut self, number: usize) {
        for happening in self.asleep[number].take().unwrap_or_default() {
            self.after(0, happening);
        }
    }

    /// Whether a monitor is to stand still just before its next command.
    pub(super) fn pauses_here(&mut self, number: usize) -> bool {
        let pauses = self.at_send[number].take_if(|it| *it == AtSend::Pauses).is_some();
        if pauses {
            self.say(&format!("{} stands still, a command in its hands", Node::Monitor(number)));
        }
        pauses
    }
}
