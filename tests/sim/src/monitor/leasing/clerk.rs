//! Takes, keeps and gives the duty: does what `decide` says, and records it.

use std::time::Duration;

use watchkeeper_core::duty::lease::board::{Board, Holder};
use watchkeeper_core::duty::lease::decide::{Case, Move, decide};
use watchkeeper_core::duty::lease::hold::{Hold, Known};
use watchkeeper_core::duty::lease::keys::{Shared, Wanted};
use watchkeeper_core::duty::lease::{Entry, News, Op, Transacted, Transaction, take};
use watchkeeper_core::duty::{Change, DUTY, Grantor, Standing};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::Term;

use super::desk::Job;
use super::{Answer, Leasing, Part, Request, board_time};
use crate::monitor::{Monitor, Violation, Wish};

/// How long is waited after something failed, before it is tried again.
const AGAIN: u64 = 1_000;

/// How long this monitor leaves a duty alone that it has just given away.
const GIVEN: u64 = 2_000;

/// How often another monitor's word on where the cluster stands is recorded at the most.
const SHARED: u64 = 1_000;

/// How long is waited from one duty given for balance to the next.
const BETWEEN: u64 = 1_000;

/// How long a monitor that could not take the duty does not count among those who should have it.
const UNABLE: u64 = 600_000;

/// What is known of the cluster beside the journal and etcd.
#[derive(Debug, Default)]
pub(super) struct Tenancy {
    /// The term that is held.
    pub(super) held: Option<Term>,
    since: Option<u64>,
    not_before: Option<u64>,
    unable: Option<u64>,
    /// By whose word it was asked for the last time, if etcd has not answered.
    unanswered: Option<Grantor>,
    shared: Option<u64>,
}

/// What is under way: the number of the question, and what it is about.
#[derive(Debug)]
pub(super) enum Clerk {
    Idle,
    /// What changed without its being told is read.
    Reads {
        number: u64,
        keys: Vec<String>,
    },
    /// The duty is taken.
    Takes {
        number: u64,
        lease: u64,
        grantor: Grantor,
    },
    /// What could not be recorded is undone.
    Undoes {
        number: u64,
    },
    /// Etcd has refused a step: who has it is read.
    Looks {
        number: u64,
        term: Term,
    },
    /// An operator's wish is written; by force if so.
    Wants {
        number: u64,
        force: bool,
    },
    /// The desk gives the duty away.
    Releases,
}

impl Clerk {
    pub(super) const fn number(&self) -> Option<u64> {
        match self {
            Self::Idle | Self::Releases => None,
            Self::Reads { number, .. }
            | Self::Takes { number, .. }
            | Self::Undoes { number }
            | Self::Looks { number, .. }
            | Self::Wants { number, .. } => Some(*number),
        }
    }
}

impl Leasing {
    /// Whether this monitor can take the duty.
    pub(super) fn is_able(&self, now: u64) -> bool {
        self.tenancy.as_ref().and_then(|it| it.unable).is_none_or(|until| now >= until)
    }

    fn held(&self) -> Option<Term> {
        self.tenancy.as_ref().and_then(|it| it.held)
    }

    pub(super) fn attend_clerk(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        // A loss is followed by a look at who has it, and that by what it says.
        for _ in 0..4 {
            if !matches!(self.clerk, Clerk::Idle) || !(self.stirred || now >= self.pass_at) {
                break;
            }
            self.stirred = false;
            let next = self.pass(monitor, now, wishes)?;
            self.pass_at = next.unwrap_or(now + AGAIN);
        }
        if matches!(self.clerk, Clerk::Idle) {
            let at = if self.stirred { now + 1 } else { self.pass_at };
            self.wake(now, at, wishes);
        }
        Ok(())
    }

    /// Looks at everything once; gives when to look again.
    fn pass(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        wishes: &mut Vec<Wish>,
    ) -> Result<Option<u64>, Violation> {
        for news in std::mem::take(&mut self.news) {
            self.board.take_in(news, board_time(now));
        }
        if self.board_lease != self.lease {
            self.board_lease = self.lease;
            self.board = Board::new(self.keys.clone());
            if let Some((from, _)) = &mut self.index {
                *from = now;
            }
            if let Some(term) = self.held() {
                self.lose(monitor, now, term, "the lease in etcd is over")?;
            }
        }
        if let Some((_, index)) = self.index.take_if(|(from, _)| now >= *from) {
            let keys = self.board.compare(&index, board_time(now));
            if !keys.is_empty() {
                self.index = Some((u64::MAX, index));
                self.read(keys, wishes);
                return Ok(None);
            }
        }
        if let Some(term) = self.lost.take()
            && self.held() == Some(term)
        {
            let get = Op::get(self.keys.duty(&self.cluster));
            let number =
                self.transact(Transaction { then: vec![get], ..Transaction::default() }, wishes);
            self.clerk = Clerk::Looks { number, term };
            return Ok(None);
        }
        let Some(lease) = self.certain(now) else { return Ok(None) };
        if let Some(force) = self.orders.pop_front() {
            let wanted = Wanted { monitor: self.me.monitor.clone() };
            let value = serde_json::to_string(&wanted).unwrap_or_default();
            let key = self.keys.wanted(&self.cluster);
            let then = vec![Op::Put { key, value, lease: Some(lease) }];
            let number = self.transact(Transaction { then, ..Transaction::default() }, wishes);
            self.clerk = Clerk::Wants { number, force };
            return Ok(None);
        }
        self.look(monitor, now, lease, wishes)
    }

    fn transact(&mut self, transaction: Transaction, wishes: &mut Vec<Wish>) -> u64 {
        self.call(Part::Clerk, Request::Transact(transaction), wishes)
    }

    fn read(&mut self, mut keys: Vec<String>, wishes: &mut Vec<Wish>) {
        let Some(key) = keys.pop() else {
            self.clerk = Clerk::Idle;
            return;
        };
        let then = vec![Op::get(key)];
        let number = self.transact(Transaction { then, ..Transaction::default() }, wishes);
        self.clerk = Clerk::Reads { number, keys };
    }

    fn look(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        lease: u64,
        wishes: &mut Vec<Wish>,
    ) -> Result<Option<u64>, Violation> {
        match self.next(monitor, now, lease) {
            Move::Hold(_) | Move::Conflict => {}
            Move::Wait(left) => {
                return Ok(Some(now + u64::try_from(left.as_millis()).unwrap_or(AGAIN).max(1)));
            }
            Move::Take { since } => {
                let wait = self.tenancy.as_ref().and_then(|it| it.not_before);
                if let Some(wait) = wait.filter(|wait| *wait > now) {
                    return Ok(Some(wait));
                }
                let tenancy = self.tenancy.get_or_insert_default();
                tenancy.unanswered.take_if(|_| since == 0);
                let grantor = tenancy.unanswered.clone().unwrap_or(Grantor::Lease);
                self.take(lease, since, grantor, wishes);
            }
            Move::Give { to } => {
                let free = self.last_given.map(|at| at + BETWEEN);
                if let Some(free) = free.filter(|free| *free > now) {
                    return Ok(Some(free));
                }
                self.last_given = Some(now);
                self.give(monitor, now, &format!("{to} should have it"))?;
            }
            Move::Lose => {
                let term = self.held().unwrap_or_default();
                self.lose(monitor, now, term, "etcd says that it is over")?;
                self.stirred = true;
            }
            Move::Leave => self.leave(monitor, now)?,
        }
        Ok(None)
    }

    fn next(&mut self, monitor: &Monitor, now: u64, lease: u64) -> Move {
        let here = monitor.here();
        let recorded = match here.tenure.standing() {
            Standing::Held { term } => Some(*term),
            _ => None,
        };
        let tenancy = self.tenancy.get_or_insert_with(|| Tenancy {
            // What an earlier incarnation had.
            held: recorded,
            since: recorded.map(|_| now),
            ..Tenancy::default()
        });
        let (held, since) = (tenancy.held, board_time(tenancy.since.unwrap_or(now)));
        let time = board_time(now);
        let holder = self.board.holder(&self.cluster);
        let free = time.saturating_sub(self.board.free_since(&self.cluster, time));
        let assigned = self.board.assigned(&self.cluster);
        let alive = assigned.and_then(|it| self.board.monitor(it)).map_or(time, |it| it.since);
        decide(&Case {
            me: &self.me,
            lease,
            held,
            holder: holder.as_ref(),
            assigned,
            wanted: assigned.is_some_and(|it| self.board.is_wanted(&self.cluster, it)),
            surplus: usize::from(held.is_some()) > self.board.share(),
            calm: time.saturating_sub(alive.max(since)),
            free: if holder.is_some() { Duration::ZERO } else { free },
            in_flight: here.progress.is_some() || here.phase.in_flight(),
        })
    }

    fn take(&mut self, lease: u64, since: u64, grantor: Grantor, wishes: &mut Vec<Wish>) {
        let asked = take::take(&self.keys, &self.cluster, &self.me, lease, since);
        let number = self.transact(asked, wishes);
        self.clerk = Clerk::Takes { number, lease, grantor };
    }

    /// Etcd has answered whether the duty is this monitor's.
    fn took(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        lease: u64,
        grantor: Grantor,
        answer: Transacted,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        let duty = self.keys.duty(&self.cluster);
        let Transacted { met, revision, found } = answer;
        let found = found.into_iter().next().flatten();
        if !met {
            self.board.take_in(News::of(&duty, found, revision), board_time(now));
            let holder = self.board.holder(&self.cluster).and_then(|it| it.identity);
            if let Some(tenancy) = &mut self.tenancy {
                tenancy.unanswered = (holder.as_ref() == Some(&self.me)).then_some(grantor);
            }
            return Ok(());
        }
        let value = take::written(&self.me).into_bytes();
        let entry = Entry { key: duty, value, revision, lease };
        self.board.take_in(News::Put(entry), board_time(now));
        let term = Term(revision);
        let shared = take::shared(found.as_ref()).map_err(|error| error.to_string())?;
        let version = monitor.here().version;
        let change = take::taken(&self.me, version, term, grantor, shared);
        let recorded = monitor.change_if_it_fits(now, change)?;
        let tenancy = self.tenancy.get_or_insert_default();
        if !recorded {
            tenancy.not_before = Some(now + AGAIN);
            tenancy.unable = Some(now + UNABLE);
            let number = self.transact(take::undo(&self.keys, &self.cluster, term), wishes);
            self.clerk = Clerk::Undoes { number };
            return Ok(());
        }
        let shared = tenancy.shared;
        let (held, since) = (Some(term), Some(now));
        *tenancy = Tenancy { held, since, shared, ..Tenancy::default() };
        self.hold = Some(Hold::begin(term, lease, found.as_ref()));
        Ok(())
    }

    fn lose(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        term: Term,
        why: &str,
    ) -> Result<(), Violation> {
        self.hold = None;
        if let Some(tenancy) = &mut self.tenancy {
            (tenancy.held, tenancy.since) = (None, None);
        }
        let why = why.to_owned();
        monitor.change_if_it_fits(now, Change::Left { term, holder: None, why }).map(drop)
    }

    /// Another monitor has it: notes that, and where the cluster stands by its word.
    fn leave(&mut self, monitor: &mut Monitor, now: u64) -> Result<(), Violation> {
        let Some(Holder { identity, revision, .. }) = self.board.holder(&self.cluster) else {
            return Ok(());
        };
        let holder = identity.map(|it| it.monitor);
        let here = monitor.here();
        let known = match here.tenure.standing() {
            Standing::Elsewhere { term, holder: known } => term.0 == revision && *known == holder,
            _ => false,
        };
        let left_over = holder.is_some() && here.alerts.firing().any(|it| it.source != DUTY);
        if !known || left_over {
            let why = "it holds the lease in etcd".to_owned();
            let left = Change::Left { term: Term(revision), holder, why };
            monitor.change_if_it_fits(now, left)?;
        }
        let heard = self.tenancy.as_ref().and_then(|it| it.shared);
        if heard.is_some_and(|at| now < at + SHARED) {
            return Ok(());
        }
        let state = self.board.state(&self.cluster);
        let shared = state.and_then(|it| serde_json::from_slice::<Shared>(&it.value).ok());
        if let Some(Shared { term, version, by, past }) = shared
            && by != self.me
            && monitor.here().tenure.known().is_none_or(|known| (term, version) > known)
        {
            monitor.change_if_it_fits(now, Change::Shared { term, version, past })?;
            self.tenancy.get_or_insert_default().shared = Some(now);
        }
        Ok(())
    }

    /// Gives the duty away: records that first, and in etcd the key goes as the state is written.
    fn give(&mut self, monitor: &mut Monitor, now: u64, why: &str) -> Result<(), Violation> {
        let (Some(term), Some(mut hold)) = (self.held(), self.hold.clone()) else { return Ok(()) };
        let known: Known = monitor.known();
        let left = Change::Left { term, holder: None, why: why.to_owned() };
        if monitor.here().progress.is_some() || !monitor.change_if_it_fits(now, left)? {
            return Ok(());
        }
        self.hold = None;
        if let Some(tenancy) = &mut self.tenancy {
            (tenancy.held, tenancy.since) = (None, None);
            tenancy.not_before = Some(now + GIVEN);
        }
        hold.write_again();
        self.jobs.push_back(Job::Release(hold, Box::new(known)));
        self.clerk = Clerk::Releases;
        Ok(())
    }

    pub(super) fn clerk_answered(
        &mut self,
        monitor: &mut Monitor,
        now: u64,
        number: u64,
        answer: Option<Answer>,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        if self.clerk.number() != Some(number) {
            return Ok(());
        }
        self.stirred = true;
        let answer = match answer {
            Some(Answer::Transacted(answer)) => Some(answer),
            _ => None,
        };
        match (std::mem::replace(&mut self.clerk, Clerk::Idle), answer) {
            (Clerk::Reads { keys, .. }, Some(answer)) => {
                if let Some(entry) = answer.found.into_iter().next().flatten() {
                    self.board.take_in(News::Put(entry), board_time(now));
                }
                if keys.is_empty() {
                    self.index = self.index.take().filter(|(from, _)| *from < u64::MAX);
                }
                self.read(keys, wishes);
            }
            // To be read again.
            (Clerk::Reads { .. }, None) => {
                if let Some((from, _)) = &mut self.index {
                    *from = now + AGAIN;
                }
            }
            (Clerk::Takes { lease, grantor, .. }, Some(answer)) => {
                self.took(monitor, now, lease, grantor, answer, wishes)?;
            }
            (Clerk::Looks { term, .. }, answer) => {
                if let Some(answer) = answer {
                    let key = self.keys.duty(&self.cluster);
                    let entry = answer.found.into_iter().next().flatten();
                    self.board.take_in(News::of(&key, entry, term.0), board_time(now));
                }
                self.lose(monitor, now, term, "etcd has refused a step of it")?;
            }
            (Clerk::Wants { force, .. }, Some(_)) => self.ordered(now, force, wishes),
            // Tried again at the next look.
            (Clerk::Takes { grantor, .. }, None) => {
                if let Some(tenancy) = &mut self.tenancy {
                    tenancy.unanswered = Some(grantor);
                }
                self.stirred = false;
                self.pass_at = now + AGAIN;
            }
            (Clerk::Wants { .. } | Clerk::Undoes { .. }, _) => {
                self.stirred = false;
                self.pass_at = now + AGAIN;
            }
            (idle @ (Clerk::Idle | Clerk::Releases), _) => self.clerk = idle,
        }
        Ok(())
    }

    /// An operator's wish is written: the duty is taken, if it is free or by force.
    fn ordered(&mut self, now: u64, force: bool, wishes: &mut Vec<Wish>) {
        let Some(lease) = self.certain(now).filter(|_| self.held().is_none()) else { return };
        let holder = self.board.holder(&self.cluster);
        let own = holder.as_ref().and_then(|it| it.identity.as_ref()) == Some(&self.me);
        if holder.is_some() && !force && !own {
            return;
        }
        let since = holder.map_or(0, |it| it.revision);
        let grantor = Grantor::Operator { by: "ada".to_owned(), reason: "wanted".to_owned() };
        self.take(lease, since, grantor, wishes);
    }
}

impl Monitor {
    /// What a successor would have to know now.
    pub(super) fn known(&self) -> Known {
        let cluster = self.site.cluster();
        Known { version: self.here().version, past: self.state.past(cluster) }
    }

    /// Records a change of the duty if it fits what is known, and the disk takes it.
    pub(super) fn change_if_it_fits(
        &mut self,
        now: u64,
        change: Change,
    ) -> Result<bool, Violation> {
        let mut tenure = self.here().tenure.clone();
        if tenure.apply(&change).is_err() {
            return Ok(false);
        }
        self.record(now, vec![Event::Duty(change)])
    }
}
