//! The duty through etcd: what the daemon's tasks do around `watchkeeper_core::duty::lease`, as one machine
//! that is told what time it is and what came.
//!
//! Each part has one question under way at the most, as a task that waits for its answer: [`session`]
//! keeps the lease, [`clerk`] takes and gives the duty, [`desk`] has it confirmed.

mod clerk;
mod desk;
mod session;

use std::collections::VecDeque;
use std::time::Duration;

use watchkeeper_core::duty::Standing;
use watchkeeper_core::duty::lease::board::Board;
use watchkeeper_core::duty::lease::hold::Hold;
use watchkeeper_core::duty::lease::keys::{Identity, Keys};
use watchkeeper_core::duty::lease::{Index, News};
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, Term};

use super::{Monitor, Violation, Wish};
use crate::deeds::Deed;
use crate::etcd::{Answer, Request};

/// How long a member is given to answer before the next is asked.
pub const PATIENCE: u64 = 1_000;

/// How many members are asked.
pub const MEMBERS: u32 = 3;

/// Which part asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Who keeps the lease.
    Session,
    /// Who takes and gives the duty.
    Clerk,
    /// Who has it confirmed.
    Desk,
    /// Nobody waits for the answer.
    Nobody,
}

/// A question to etcd.
#[derive(Debug, Clone)]
pub struct Call {
    /// Who asks.
    pub monitor: usize,
    /// In which of its lives.
    pub life: u32,
    /// Which part of it.
    pub part: Part,
    /// The question's number.
    pub number: u64,
    /// Of which member it is asked, from 0.
    pub member: u32,
    /// When.
    pub sent: u64,
    /// What is asked.
    pub request: Request,
}

/// What a monitor knows of etcd, and what it is about.
#[derive(Debug)]
pub struct Leasing {
    keys: Keys,
    me: Identity,
    cluster: ClusterName,
    monitor: usize,
    life: u32,
    calls: u64,
    /// When it has to be looked at again.
    alarm: Option<u64>,
    session: session::Session,
    lease: Option<u64>,
    until: u64,
    told_able: bool,
    /// What was there when the lease was renewed, if it was not compared yet, and not before.
    index: Option<(u64, Index)>,
    board: Board,
    /// The lease to which all that is known belongs.
    board_lease: Option<u64>,
    news: Vec<News>,
    /// Whether there is anything to be looked at.
    stirred: bool,
    pass_at: u64,
    clerk: clerk::Clerk,
    tenancy: Option<clerk::Tenancy>,
    last_given: Option<u64>,
    /// Operators want the duty here; by force if so.
    orders: VecDeque<bool>,
    lost: Option<Term>,
    hold: Option<Hold>,
    desk: desk::Desk,
    jobs: VecDeque<desk::Job>,
    herald_at: u64,
    /// Attempts that were not begun, since etcd did not confirm the duty.
    refused: Vec<Deed>,
}

impl Leasing {
    pub(super) fn new(me: Identity, cluster: ClusterName, monitor: usize, life: u32) -> Self {
        let keys = Keys::new("/wk");
        Self {
            board: Board::new(keys.clone()),
            keys,
            me,
            cluster,
            monitor,
            life,
            calls: 0,
            alarm: None,
            session: session::Session::Waits(0),
            lease: None,
            until: 0,
            told_able: true,
            index: None,
            board_lease: None,
            news: Vec::new(),
            stirred: true,
            pass_at: 0,
            clerk: clerk::Clerk::Idle,
            tenancy: None,
            last_given: None,
            orders: VecDeque::new(),
            lost: None,
            hold: None,
            desk: desk::Desk::Free,
            jobs: VecDeque::new(),
            herald_at: 0,
            refused: Vec::new(),
        }
    }

    /// The lease, if it certainly lasts now.
    fn certain(&self, now: u64) -> Option<u64> {
        self.lease.filter(|_| now < self.until)
    }

    /// What the cluster's task goes by.
    pub(super) fn duty(&self, now: u64, standing: &Standing) -> Duty {
        match (self.certain(now), self.held_now(now), standing) {
            (None, ..) => Duty::Uncertain("the lease is not confirmed".to_owned()),
            (_, Some(held), Standing::Held { term }) if *term == held => Duty::Held(held),
            _ => Duty::NotHeld(standing.to_string()),
        }
    }

    /// The term that is held, as far as this monitor can tell.
    fn held_now(&self, now: u64) -> Option<Term> {
        self.certain(now)
            .filter(|lease| self.board_lease == Some(*lease))
            .and(self.tenancy.as_ref()?.held)
    }

    fn call(&mut self, part: Part, request: Request, wishes: &mut Vec<Wish>) -> u64 {
        self.calls += 1;
        let (monitor, life, number) = (self.monitor, self.life, self.calls);
        let call = Call { monitor, life, part, number, member: 0, sent: 0, request };
        wishes.push(Wish::Call(Box::new(call)));
        number
    }

    /// To be looked at again then.
    fn wake(&mut self, now: u64, at: u64, wishes: &mut Vec<Wish>) {
        if self.alarm.is_none_or(|alarm| at < alarm || alarm <= now) {
            self.alarm = Some(at);
            wishes.push(Wish::Alarm(at.saturating_sub(now)));
        }
    }

    /// Does what there is to do.
    fn attend(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        self.attend_session(now, wishes);
        self.attend_clerk(monitor, now, wishes)?;
        self.attend_desk(monitor, now, wishes)
    }

    fn answered(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        call: &Call,
        answer: Option<Answer>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        match call.part {
            Part::Session => self.session_answered(now, call.number, answer, wishes),
            Part::Clerk => self.clerk_answered(monitor, now, call.number, answer, wishes)?,
            Part::Desk => self.desk_answered(monitor, now, call.number, answer, wishes)?,
            Part::Nobody => {}
        }
        self.attend(monitor, now, wishes)
    }
}

/// The board's time.
const fn board_time(now: u64) -> Duration {
    Duration::from_millis(now)
}

impl Monitor {
    /// Lets the machine do what `act` says, and takes in what came of it.
    fn leasing(
        &mut self,
        now: u64,
        wishes: &mut Vec<Wish>,
        act: impl FnOnce(&mut Leasing, &mut Self, &mut Vec<Wish>) -> Result<(), Violation>,
    ) -> Result<(), Violation> {
        let Some(mut leasing) = self.leasing.take() else { return Ok(()) };
        act(&mut leasing, self, wishes)?;
        let refused = std::mem::take(&mut leasing.refused);
        self.leasing = Some(leasing);
        for deed in refused {
            let detail = "the duty was not certain".to_owned();
            self.not_begun(now, &deed, Outcome::NotBegun { detail })?;
        }
        let held = match self.duty(now) {
            Duty::Held(term) => Some(term),
            _ => None,
        };
        if held == self.held { Ok(()) } else { self.look(now, wishes) }
    }

    /// An attempt was refused before it began: recorded, if that is still for this monitor to say.
    fn not_begun(&mut self, now: u64, deed: &Deed, outcome: Outcome) -> Result<(), Violation> {
        if !self.is_under_way(deed) {
            return Ok(());
        }
        self.under_way = None;
        if self.here().tenure.admits(deed.term).is_err() {
            return Ok(());
        }
        let Deed { plan, step, attempt, .. } = *deed;
        let ended = watchkeeper_core::event::Event::StepEnded { plan, step, attempt, outcome };
        self.record(now, vec![ended]).map(drop)
    }

    /// Does what there is to do about the lease and the duty.
    pub fn attend(&mut self, now: u64, wishes: &mut Vec<Wish>) -> Result<(), Violation> {
        if self.leasing.is_none() {
            return Ok(());
        }
        self.leasing(now, wishes, |it, monitor, wishes| it.attend(monitor, now, wishes))
    }

    /// An answer of etcd's has come; none: there is none.
    pub fn answered(
        &mut self,
        now: u64,
        call: &Call,
        answer: Option<Answer>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        self.leasing(now, wishes, |it, monitor, wishes| {
            it.answered(monitor, now, call, answer, wishes)
        })
    }

    /// The term that it takes for its own by its lease.
    pub fn leased(&self, now: u64) -> Option<Term> {
        self.leasing.as_ref().filter(|_| self.alive)?.held_now(now)
    }

    /// Whether it still waits for the answer of that member.
    pub fn waits_for(&self, call: &Call) -> bool {
        self.leasing.as_ref().is_some_and(|it| it.waits_for(call.part, call.number))
    }

    /// Etcd tells what has changed.
    pub fn told(
        &mut self,
        now: u64,
        news: Vec<News>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        self.leasing(now, wishes, |it, monitor, wishes| {
            it.news.extend(news);
            it.stirred = true;
            it.attend(monitor, now, wishes)
        })
    }

    /// An operator wants the duty here.
    pub fn wanted(
        &mut self,
        now: u64,
        force: bool,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        self.leasing(now, wishes, |it, monitor, wishes| {
            if it.certain(now).is_some() {
                it.orders.push_back(force);
                it.stirred = true;
            }
            it.attend(monitor, now, wishes)
        })
    }

    /// An attempt waits for etcd to confirm that it may be begun.
    pub(super) fn confirm_first(&mut self, deed: Deed) -> Option<Deed> {
        let Some(leasing) = &mut self.leasing else { return Some(deed) };
        leasing.jobs.push_back(desk::Job::Confirm(Box::new(deed)));
        None
    }
}

impl Leasing {
    fn waits_for(&self, part: Part, number: u64) -> bool {
        match part {
            Part::Session => self.session.number() == Some(number),
            Part::Clerk => self.clerk.number() == Some(number),
            Part::Desk => self.desk.number() == Some(number),
            Part::Nobody => false,
        }
    }
}
