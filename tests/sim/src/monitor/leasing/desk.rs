//! Has the duty confirmed before each step, and shares where the cluster stands.

use watchkeeper_core::duty::lease::Op;
use watchkeeper_core::duty::lease::hold::{Confirmation, Hold, Known};

use super::clerk::Clerk;
use super::{Answer, Leasing, Part, Request};
use crate::deeds::Deed;
use crate::monitor::{Monitor, Violation, Wish};

/// How often a change that no step waits for is written at the most.
const EVERY: u64 = 200;

/// How long is waited before etcd is asked again.
const AGAIN: u64 = 50;

/// What is to be asked.
#[derive(Debug)]
pub(super) enum Job {
    /// Whether an attempt may be begun.
    Confirm(Box<Deed>),
    /// Nothing but that the state is written.
    Share,
    /// That the duty's key goes, and the state is this.
    Release(Hold, Box<Known>),
}

/// What is under way.
#[derive(Debug)]
pub(super) enum Desk {
    Free,
    /// With the version of what was written.
    Asked {
        number: u64,
        job: Job,
        version: u64,
    },
    Rests {
        until: u64,
        job: Job,
    },
}

impl Desk {
    pub(super) const fn number(&self) -> Option<u64> {
        match self {
            Self::Asked { number, .. } => Some(*number),
            Self::Free | Self::Rests { .. } => None,
        }
    }
}

impl Leasing {
    pub(super) fn attend_desk(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        match std::mem::replace(&mut self.desk, Desk::Free) {
            Desk::Rests { until, job } if now >= until => self.ask(monitor, now, job, wishes)?,
            Desk::Rests { until, job } => {
                self.desk = Desk::Rests { until, job };
                self.wake(now, until, wishes);
            }
            Desk::Free => {}
            asked @ Desk::Asked { .. } => self.desk = asked,
        }
        while matches!(self.desk, Desk::Free) {
            let Some(job) = self.jobs.pop_front().or_else(|| self.share(monitor, now, wishes))
            else {
                return Ok(());
            };
            self.ask(monitor, now, job, wishes)?;
        }
        Ok(())
    }

    /// The state is to be written, if etcd does not know it and was not just told.
    fn share(&mut self, monitor: &Monitor, now: u64, wishes: &mut Vec<Wish>) -> Option<Job> {
        let hold = self.hold.as_ref()?;
        if hold.version() == Some(monitor.here().version) {
            return None;
        }
        if now < self.herald_at {
            self.wake(now, self.herald_at, wishes);
            return None;
        }
        self.herald_at = now + EVERY;
        Some(Job::Share)
    }

    /// Whether the lease that the duty hangs on is certain.
    fn is_certain(&self, now: u64, hold: &Hold) -> bool {
        self.certain(now) == Some(hold.lease())
    }

    fn ask(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        job: Job,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        let hold = match &job {
            Job::Release(hold, _) => hold,
            Job::Confirm(deed) => {
                let hold = self.hold.as_ref().filter(|it| it.term() == deed.term);
                let Some(hold) = hold.filter(|it| self.is_certain(now, it)) else {
                    self.give_up(job);
                    return Ok(());
                };
                hold
            }
            Job::Share => {
                let Some(hold) = self.hold.as_ref().filter(|it| self.is_certain(now, it)) else {
                    return Ok(());
                };
                hold
            }
        };
        let delete = [Op::Delete { key: self.keys.duty(&self.cluster) }];
        let asked = match &job {
            Job::Release(_, known) => {
                let version = known.version;
                hold.confirm(&self.keys, &self.cluster, &self.me, known, &delete)
                    .map(|it| (version, it))
            }
            Job::Confirm(_) | Job::Share => {
                let known = monitor.known();
                hold.confirm(&self.keys, &self.cluster, &self.me, &known, &[])
                    .map(|it| (known.version, it))
            }
        };
        let (version, transaction) = asked.map_err(|error| error.to_string())?;
        let number = self.call(Part::Desk, Request::Transact(transaction), wishes);
        self.desk = Desk::Asked { number, job, version };
        Ok(())
    }

    /// It is not confirmed, and not asked for any more.
    fn give_up(&mut self, job: Job) {
        match job {
            Job::Confirm(deed) => self.refused.push(*deed),
            Job::Share => {}
            // The key stays until the lease is over.
            Job::Release(..) => self.released(),
        }
    }

    fn released(&mut self) {
        if matches!(self.clerk, Clerk::Releases) {
            self.clerk = Clerk::Idle;
            self.stirred = true;
        }
    }

    pub(super) fn desk_answered(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        number: u64,
        answer: Option<Answer>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        if self.desk.number() != Some(number) {
            return Ok(());
        }
        let desk = std::mem::replace(&mut self.desk, Desk::Free);
        let Desk::Asked { mut job, version, .. } = desk else { return Ok(()) };
        let Some(Answer::Transacted(answer)) = answer else {
            let certain = match &job {
                Job::Release(hold, _) => self.is_certain(now, hold),
                Job::Confirm(_) | Job::Share => {
                    self.hold.as_ref().is_some_and(|it| self.is_certain(now, it))
                }
            };
            if certain {
                let until = now + AGAIN;
                self.desk = Desk::Rests { until, job };
                self.wake(now, until, wishes);
            } else {
                self.give_up(job);
            }
            return Ok(());
        };
        let hold = match &mut job {
            Job::Release(hold, _) => Some(hold),
            Job::Confirm(_) | Job::Share => self.hold.as_mut(),
        };
        let Some(hold) = hold else {
            // It ended meanwhile.
            self.give_up(job);
            return Ok(());
        };
        let term = hold.term();
        match (hold.conclude(version, &answer), job) {
            (Confirmation::Confirmed, Job::Confirm(deed)) => {
                let certain = self.hold.as_ref().is_some_and(|it| self.is_certain(now, it));
                if certain && deed.term == term {
                    wishes.push(Wish::Do(deed));
                } else {
                    self.refused.push(*deed);
                }
            }
            (Confirmation::Confirmed, Job::Share) => {}
            (Confirmation::Confirmed, Job::Release(..)) => {
                let key = self.keys.duty(&self.cluster);
                let gone = watchkeeper_core::duty::lease::News::Deleted { key, revision: term.0 };
                self.board.take_in(gone, super::board_time(now));
                self.released();
            }
            (Confirmation::Again, job) => self.ask(monitor, now, job, wishes)?,
            (Confirmation::Over, job) => {
                if !matches!(job, Job::Release(..)) {
                    self.lost = Some(term);
                    self.stirred = true;
                }
                self.give_up(job);
            }
        }
        Ok(())
    }
}
