//! Keeps the lease.

use std::collections::BTreeSet;
use std::time::Duration;

use watchkeeper_core::duty::lease::Index;
use watchkeeper_core::duty::lease::keys::Alive;
use watchkeeper_core::duty::lease::span::{self, Renewed};

use super::{Answer, Leasing, Part, Request, Wish};
use crate::etcd::LEASE;

/// How long is waited before something that failed is tried again.
const AGAIN: u64 = 100;

/// How long is waited after another daemon of this name was found.
const CONFLICT: u64 = 1_000;

const CONFIGURED: Duration = Duration::from_millis(LEASE);

/// What is under way about the lease: the number of the question, and what it is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum Session {
    /// Nothing until then; then a lease is asked for.
    Waits(u64),
    Grants {
        number: u64,
        asked: u64,
    },
    /// The own key is written: for the first time, with the moment at which the lease was asked for.
    Announces {
        number: u64,
        lease: u64,
        asked: Option<u64>,
        able: bool,
    },
    Reads {
        number: u64,
        lease: u64,
        asked: u64,
    },
    Keeps {
        lease: u64,
        due: u64,
    },
    Renews {
        number: u64,
        lease: u64,
        asked: u64,
    },
    Compares {
        number: u64,
        lease: u64,
        asked: u64,
        ttl: Duration,
        raft_term: u64,
    },
}

impl Session {
    pub(super) const fn number(&self) -> Option<u64> {
        match *self {
            Self::Waits(_) | Self::Keeps { .. } => None,
            Self::Grants { number, .. }
            | Self::Announces { number, .. }
            | Self::Reads { number, .. }
            | Self::Renews { number, .. }
            | Self::Compares { number, .. } => Some(number),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Leasing {
    pub(super) fn attend_session(&mut self, now: u64, wishes: &mut Vec<Wish>) {
        let able = self.is_able(now);
        match self.session {
            Session::Waits(until) if now >= until => {
                let number = self.call(Part::Session, Request::Grant, wishes);
                self.session = Session::Grants { number, asked: now };
            }
            Session::Keeps { lease, .. } if able != self.told_able => {
                self.announce(now, lease, None, 0, wishes);
            }
            Session::Keeps { lease, due } if now >= due => {
                let number = self.call(Part::Session, Request::KeepAlive(lease), wishes);
                self.session = Session::Renews { number, lease, asked: now };
            }
            Session::Waits(at) | Session::Keeps { due: at, .. } => self.wake(now, at, wishes),
            _ => {}
        }
    }

    fn announce(
        &mut self,
        now: u64,
        lease: u64,
        asked: Option<u64>,
        since: u64,
        wishes: &mut Vec<Wish>,
    ) {
        let able = self.is_able(now);
        let clusters = if able { BTreeSet::from([self.cluster.clone()]) } else { BTreeSet::new() };
        let alive = Alive { journal: self.me.journal.clone(), clusters };
        let put = span::announce(&self.keys, &self.me, &alive, lease, since);
        let number = self.call(Part::Session, Request::Transact(put), wishes);
        self.session = Session::Announces { number, lease, asked, able };
    }

    fn opens_later(&mut self, at: u64, lease: Option<u64>, wishes: &mut Vec<Wish>) {
        if let Some(lease) = lease {
            // It ends by itself as well.
            self.call(Part::Nobody, Request::Revoke(lease), wishes);
        }
        if self.lease.take().is_some() {
            self.stirred = true;
        }
        self.session = Session::Waits(at);
    }

    fn confirmed(&mut self, now: u64, lease: u64, asked: u64, ttl: Duration, index: Index) {
        self.until = asked + millis(span::certain_for(ttl, CONFIGURED));
        self.lease = Some(lease);
        self.index = Some((now, index));
        self.stirred = true;
        let due = now + millis(span::renewed_every(CONFIGURED));
        self.session = Session::Keeps { lease, due };
    }

    pub(super) fn session_answered(
        &mut self,
        now: u64,
        number: u64,
        answer: Option<Answer>,
        wishes: &mut Vec<Wish>,
    ) {
        if self.session.number() != Some(number) {
            return;
        }
        match (self.session, answer) {
            (Session::Grants { asked, .. }, Some(Answer::Granted(lease))) => {
                self.announce(now, lease, Some(asked), 0, wishes);
            }
            (Session::Announces { lease, asked, able, .. }, Some(Answer::Transacted(answer))) => {
                if answer.met {
                    self.told_able = able;
                    match asked {
                        Some(asked) => {
                            let number = self.call(Part::Session, Request::Index, wishes);
                            self.session = Session::Reads { number, lease, asked };
                        }
                        None => self.session = Session::Keeps { lease, due: now },
                    }
                    return;
                }
                let found = answer.found.first().and_then(Option::as_ref);
                match span::announce_after(&self.me, found) {
                    Ok(since) => self.announce(now, lease, asked, since, wishes),
                    Err(_) => self.opens_later(now + CONFLICT, Some(lease), wishes),
                }
            }
            (Session::Reads { lease, asked, .. }, Some(Answer::Index(index))) => {
                self.confirmed(now, lease, asked, CONFIGURED, index);
            }
            (Session::Renews { lease, asked, .. }, Some(Answer::Kept(Some(ttl), raft_term))) => {
                let number = self.call(Part::Session, Request::Index, wishes);
                self.session = Session::Compares { number, lease, asked, ttl, raft_term };
            }
            (Session::Renews { .. }, Some(Answer::Kept(None, _)))
            | (Session::Announces { asked: None, .. }, Some(Answer::NoLease)) => {
                self.opens_later(now, None, wishes);
            }
            (
                Session::Compares { lease, asked, ttl, raft_term, .. },
                Some(Answer::Index(index)),
            ) => match span::renewed(raft_term, &index, &self.keys, &self.me, lease) {
                Renewed::Confirmed => self.confirmed(now, lease, asked, ttl, index),
                Renewed::Unclear => self.session = Session::Keeps { lease, due: now },
                Renewed::Displaced => self.opens_later(now, Some(lease), wishes),
            },
            // Nobody has answered, or etcd says that it cannot be.
            (
                Session::Announces { lease, asked: None, .. }
                | Session::Renews { lease, .. }
                | Session::Compares { lease, .. },
                _,
            ) => {
                self.session = Session::Keeps { lease, due: now + AGAIN };
            }
            (Session::Announces { lease, .. }, _) => {
                self.opens_later(now + AGAIN, Some(lease), wishes);
            }
            (Session::Grants { .. } | Session::Reads { .. }, _) => {
                self.opens_later(now + AGAIN, None, wishes);
            }
            (Session::Waits(_) | Session::Keeps { .. }, _) => {}
        }
    }
}
