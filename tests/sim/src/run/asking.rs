//! The ways to etcd and back.

use super::{Happening, Run, leasing};
use crate::etcd::Answer;
use crate::monitor::Violation;
use crate::monitor::leasing::{Call, Part};
use crate::world::Node;

impl Run {
    /// A question goes out to one of etcd's members, and is given up after a while.
    pub(super) fn call(&mut self, mut call: Box<Call>) {
        call.sent = self.world.now;
        let waits = call.part != Part::Nobody;
        if self.world.open(Node::Monitor(call.monitor), Node::Etcd) {
            let way = self.way();
            self.after(way, Happening::AtEtcd(call.clone()));
        }
        if waits {
            self.after(leasing::PATIENCE, Happening::Silent(call));
        }
    }

    /// It has arrived: whatever is done is done, whether or not the answer gets back in time.
    pub(super) fn at_etcd(&mut self, call: Box<Call>) {
        let answer = self.etcd.ask(self.world.now, call.monitor, &call.request);
        self.tell_news();
        let back = self.etcd.heard && self.world.open(Node::Etcd, Node::Monitor(call.monitor));
        let Some(answer) = answer.filter(|_| back) else { return };
        let way = self.way();
        if self.world.now + way < call.sent + leasing::PATIENCE {
            self.after(way, Happening::FromEtcd { call, answer });
        }
    }

    pub(super) fn etcd_answers(
        &mut self,
        call: &Call,
        answer: Option<Answer>,
    ) -> Result<(), Violation> {
        self.with(call.monitor, call.life, |it, now, wishes| it.answered(now, call, answer, wishes))
    }

    /// A member has not answered in time: the next one is asked the same.
    pub(super) fn silent(&mut self, mut call: Box<Call>) -> Result<(), Violation> {
        let monitor = &self.monitors[call.monitor];
        if monitor.life != call.life || !monitor.waits_for(&call) {
            return Ok(());
        }
        call.member += 1;
        if call.member < leasing::MEMBERS {
            self.call(call);
            return Ok(());
        }
        self.etcd_answers(&call, None)
    }

    /// Etcd tells everybody who can hear it what has changed.
    pub(super) fn tell_news(&mut self) {
        let news = self.etcd.news();
        if news.is_empty() || !self.etcd.heard {
            return;
        }
        for monitor in 0..2 {
            let told = self.world.open(Node::Etcd, Node::Monitor(monitor))
                && !self.etcd.misleads(self.world.now, monitor);
            if told && self.monitors[monitor].alive {
                let (way, life) = (self.way(), self.monitors[monitor].life);
                self.after(way, Happening::News { monitor, life, news: news.clone() });
            }
        }
    }
}
