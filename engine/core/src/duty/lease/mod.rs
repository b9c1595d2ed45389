//! The duty as leases in etcd: what is asked of it, and what is made of the answers. Pure, so that every
//! fault of etcd and of the way there can be tried.
//!
//! Each monitor has one lease ([`span`] says for how long it is certain). On it hangs a key per cluster
//! that it has the duty for; the revision that made the key is the term. Whoever writes that key first
//! has the duty, until the key goes, with its lease or by hand ([`take`]). Before each step etcd is asked
//! whether the key is still the one of that term, and given what a successor has to know ([`hold`]); so
//! a monitor that was replaced is refused there, whatever it believes.
//!
//! | part | what it says |
//! |---|---|
//! | [`keys`] | what stands where |
//! | [`board`] | what stands in etcd, as far as it was heard of |
//! | [`span`] | whether a renewal counts, and until when |
//! | [`decide`] | what to do about a cluster |
//! | [`take`] | how the duty is taken |
//! | [`hold`] | how what is held is confirmed, shared and given away |
//!
//! Time is what has passed since some moment that the caller chooses, on a clock that only goes forward.

pub mod board;
pub mod decide;
pub mod hold;
pub mod keys;
pub mod span;
pub mod take;

/// A condition of a transaction: the key was last changed in this revision; 0: it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unchanged {
    /// The key.
    pub key: String,
    /// The revision.
    pub since: u64,
}

/// A part of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Reads a key.
    Get {
        /// Which.
        key: String,
    },
    /// Writes one.
    Put {
        /// Which.
        key: String,
        /// What.
        value: String,
        /// The lease with which it goes.
        lease: Option<u64>,
    },
    /// Removes one.
    Delete {
        /// Which.
        key: String,
    },
}

impl Op {
    /// Reads `key`.
    pub fn get(key: impl Into<String>) -> Self {
        Self::Get { key: key.into() }
    }
}

/// A transaction: `then` if all conditions are met, else `otherwise`, at once and whole.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Transaction {
    /// What has to be so.
    pub conditions: Vec<Unchanged>,
    /// What is done then.
    pub then: Vec<Op>,
    /// What is done if it is not so.
    pub otherwise: Vec<Op>,
}

/// What came of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transacted {
    /// Whether the conditions were met.
    pub met: bool,
    /// The revision; that of what it put, if it put anything.
    pub revision: u64,
    /// What its reads found, in their order.
    pub found: Vec<Option<Entry>>,
}

/// A key that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// Empty where only keys were asked for.
    pub value: Vec<u8>,
    /// The revision that changed it last.
    pub revision: u64,
    /// The lease with which it goes; 0: none.
    pub lease: u64,
}

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// It was written.
    Put(Entry),
    /// It was removed.
    Deleted {
        /// Its name.
        key: String,
        /// The revision that did it.
        revision: u64,
    },
}

impl News {
    /// What a read of `key` says, at `revision`.
    pub fn of(key: &str, entry: Option<Entry>, revision: u64) -> Self {
        entry.map_or_else(|| Self::Deleted { key: key.to_owned(), revision }, Self::Put)
    }
}

/// All keys of a range, without values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The revision at which it was read.
    pub revision: u64,
    /// The term of etcd's leader then.
    pub raft_term: u64,
    /// The keys.
    pub entries: Vec<Entry>,
}
