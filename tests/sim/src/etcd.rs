//! The etcd that monitors share the duty through: keys with revisions, leases that end, transactions that
//! happen whole or not at all, in one order.

use std::collections::BTreeMap;
use std::time::Duration;

use watchkeeper_core::duty::lease::{Entry, Index, News, Op, Transacted, Transaction};

/// How long a lease lasts after it was renewed, in milliseconds.
pub const LEASE: u64 = 5_000;

/// What is asked of it.
#[derive(Debug, Clone)]
pub enum Request {
    /// A new lease.
    Grant,
    /// A lease is to go on.
    KeepAlive(u64),
    /// A lease is to end.
    Revoke(u64),
    /// All keys, without values.
    Index,
    /// A transaction.
    Transact(Transaction),
}

/// What it answers.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A lease.
    Granted(u64),
    /// For how long a lease goes on, none if there is no such; and the term of who says so.
    Kept(Option<Duration>, u64),
    /// It has ended.
    Revoked,
    /// All keys.
    Index(Index),
    /// What came of a transaction.
    Transacted(Transacted),
    /// The lease that was to be written on is over.
    NoLease,
}

/// The time for which a key was there in one revision.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// Until when; none: it still is.
    pub until: Option<u64>,
    /// It ended by being written over, not by being removed.
    pub replaced: bool,
}

/// A leader that was voted out.
#[derive(Debug, Clone, Copy)]
struct Unaware {
    /// Until when it does not know.
    until: u64,
    /// Whose connections it has.
    monitor: usize,
}

/// An etcd of several members, as seen from outside.
#[derive(Debug, Clone)]
pub struct Etcd {
    /// Whether most of its members are there.
    pub quorum: bool,
    /// Whether its answers arrive.
    pub heard: bool,
    revision: u64,
    raft_term: u64,
    /// The leader that was voted out and does not know.
    unaware: Option<Unaware>,
    next_lease: u64,
    /// The end of each lease.
    leases: BTreeMap<u64, u64>,
    keys: BTreeMap<String, Entry>,
    /// For how long each revision of the duty's key was there.
    pub duties: BTreeMap<u64, Span>,
    news: Vec<News>,
}

impl Default for Etcd {
    fn default() -> Self {
        Self {
            quorum: true,
            heard: true,
            revision: 1,
            raft_term: 1,
            unaware: None,
            next_lease: 0,
            leases: BTreeMap::new(),
            keys: BTreeMap::new(),
            duties: BTreeMap::new(),
            news: Vec::new(),
        }
    }
}

fn is_duty(key: &str) -> bool {
    key.ends_with("/duty")
}

impl Etcd {
    /// What changed since this was asked last.
    pub fn news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Another member leads from now on. The one before it is cut off from the others and does not know for so
    /// many milliseconds. It is the one that this monitor has its connections to.
    pub const fn elect(&mut self, now: u64, unaware: u64, monitor: usize) {
        self.raft_term += 1;
        self.unaware = Some(Unaware { until: now + unaware, monitor });
    }

    /// Whether a monitor is connected to a leader that was voted out and does not know.
    pub fn misleads(&self, now: u64, monitor: usize) -> bool {
        self.unaware.is_some_and(|it| it.monitor == monitor && now < it.until)
    }

    /// Ends the leases whose time is over.
    pub fn expire(&mut self, now: u64) {
        if !self.quorum {
            return;
        }
        let over: Vec<u64> =
            self.leases.iter().filter(|(_, until)| **until <= now).map(|(id, _)| *id).collect();
        for lease in over {
            self.revoke(now, lease);
        }
    }

    fn revoke(&mut self, now: u64, lease: u64) {
        self.leases.remove(&lease);
        let keys: Vec<String> =
            self.keys.values().filter(|it| it.lease == lease).map(|it| it.key.clone()).collect();
        if keys.is_empty() {
            return;
        }
        self.revision += 1;
        for key in keys {
            self.delete(now, &key);
        }
    }

    /// Carries out what is asked; none: nobody answers.
    pub fn ask(&mut self, now: u64, monitor: usize, request: &Request) -> Option<Answer> {
        self.expire(now);
        if let Request::KeepAlive(_) = request
            && self.misleads(now, monitor)
        {
            // Who was voted out says so, and the others know nothing of it. What they have ended, it has not heard.
            return Some(Answer::Kept(Some(Duration::from_millis(LEASE)), self.raft_term - 1));
        }
        if !self.quorum {
            return None;
        }
        Some(match request {
            Request::Grant => {
                self.next_lease += 1;
                self.leases.insert(self.next_lease, now + LEASE);
                Answer::Granted(self.next_lease)
            }
            Request::KeepAlive(lease) => {
                let ttl = self.leases.get_mut(lease).map(|until| {
                    *until = now + LEASE;
                    Duration::from_millis(LEASE)
                });
                Answer::Kept(ttl, self.raft_term)
            }
            Request::Revoke(lease) => {
                self.revoke(now, *lease);
                Answer::Revoked
            }
            Request::Index => Answer::Index(Index {
                revision: self.revision,
                raft_term: self.raft_term,
                entries: self
                    .keys
                    .values()
                    .map(|it| Entry { key: it.key.clone(), value: Vec::new(), ..*it })
                    .collect(),
            }),
            Request::Transact(transaction) => self.transact(now, transaction),
        })
    }

    fn transact(&mut self, now: u64, transaction: &Transaction) -> Answer {
        let revision = |key: &str| self.keys.get(key).map_or(0, |it| it.revision);
        let met = transaction.conditions.iter().all(|it| revision(&it.key) == it.since);
        let ops = if met { &transaction.then } else { &transaction.otherwise };
        let lost = |op: &Op| match op {
            Op::Put { lease: Some(lease), .. } => !self.leases.contains_key(lease),
            _ => false,
        };
        if ops.iter().any(lost) {
            return Answer::NoLease;
        }
        let changes = ops.iter().any(|op| match op {
            Op::Put { .. } => true,
            Op::Delete { key } => self.keys.contains_key(key),
            Op::Get { .. } => false,
        });
        self.revision += u64::from(changes);
        let mut found = Vec::new();
        for op in ops {
            match op {
                Op::Get { key } => found.push(self.keys.get(key).cloned()),
                Op::Put { key, value, lease } => self.put(now, key, value, lease.unwrap_or(0)),
                Op::Delete { key } => self.delete(now, key),
            }
        }
        Answer::Transacted(Transacted { met, revision: self.revision, found })
    }

    fn put(&mut self, now: u64, key: &str, value: &str, lease: u64) {
        let (key, value) = (key.to_owned(), value.as_bytes().to_vec());
        let entry = Entry { key: key.clone(), value, revision: self.revision, lease };
        self.news.push(News::Put(entry.clone()));
        if is_duty(&key) {
            self.close(now, &key, true);
            self.duties.insert(self.revision, Span { until: None, replaced: false });
        }
        self.keys.insert(key, entry);
    }

    fn delete(&mut self, now: u64, key: &str) {
        if is_duty(key) {
            self.close(now, key, false);
        }
        if self.keys.remove(key).is_some() {
            self.news.push(News::Deleted { key: key.to_owned(), revision: self.revision });
        }
    }

    fn close(&mut self, now: u64, key: &str, replaced: bool) {
        let Some(entry) = self.keys.get(key) else { return };
        if let Some(span) = self.duties.get_mut(&entry.revision) {
            *span = Span { until: Some(now), replaced };
        }
    }
}
