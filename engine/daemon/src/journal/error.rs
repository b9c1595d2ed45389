//! What can go wrong with a journal, and what to do about it.

use std::path::PathBuf;
use std::sync::Arc;

use watchkeeper_core::state::ApplyError;

/// Why the journal cannot be opened, written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum JournalError {
    /// The file or its folder cannot be reached.
    #[error("cannot {what} {path}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The operating system's answer.
        source: Arc<std::io::Error>,
    },
    /// Another daemon has it.
    #[error("another daemon uses the journal {path}")]
    InUse {
        /// The journal.
        path: PathBuf,
    },
    /// A newer Watchkeeper wrote it.
    #[error("the journal {path} has format {found}; this program knows formats up to {known}")]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest known format.
        known: i64,
    },
    /// It could not be brought to this program's format.
    #[error("the journal {path} could not be brought from format {from} to {to}")]
    Migration {
        /// The journal.
        path: PathBuf,
        /// Its format.
        from: i64,
        /// The format wanted.
        to: i64,
        /// What went wrong; nothing was changed.
        source: Arc<rusqlite::Error>,
    },
    /// It is not what was written. Never the same as empty.
    #[error("the journal {path} is damaged{}", good(*.last_good))]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The last record that is as it was written; none: not known, or there is none.
        last_good: Option<u64>,
        /// How it is damaged.
        source: Damage,
    },
    /// Nothing was written: the disk is full, or failed.
    #[error("cannot write to the journal {path}")]
    Write {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// Nothing was written, because an earlier write failed and no retry has succeeded since.
    #[error("the journal {path} takes nothing in until a retry succeeds: {problem}")]
    Held {
        /// The journal.
        path: PathBuf,
        /// What went wrong.
        problem: String,
    },
    /// Nothing was written: the event contradicts what is recorded.
    #[error("the event does not fit the journal")]
    Misfit(#[source] Arc<ApplyError>),
    /// Nothing was written: the event could not be read back.
    #[error("the event has no form that can be read back")]
    Form(#[source] Arc<serde_json::Error>),
    /// It cannot be queried.
    #[error("cannot read the journal {path}")]
    Read {
        /// The journal.
        path: PathBuf,
        /// What SQLite said.
        source: Arc<rusqlite::Error>,
    },
    /// It has been closed.
    #[error("the journal has been closed")]
    Closed,
}

fn good(last: Option<u64>) -> String {
    last.map_or_else(String::new, |seq| format!("; the last good record is {seq}"))
}

/// How a journal is damaged.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Damage {
    /// The database is gone, and what stands beside it says that there was one.
    #[error("the file is gone; {written} records had been written")]
    Lost {
        /// How many there were.
        written: u64,
    },
    /// A file without content. A first start finds no file at all.
    #[error("the file is empty")]
    Empty,
    /// Something else has its name.
    #[error("the file is not a journal of Watchkeeper")]
    Foreign,
    /// The end of the file is missing.
    #[error("the file has {found} bytes and should have {expected}")]
    Truncated {
        /// Its length in bytes.
        found: u64,
        /// Its length in bytes, as its first page says.
        expected: u64,
    },
    /// SQLite cannot make sense of it.
    #[error("SQLite cannot read it")]
    Unreadable(#[source] Arc<rusqlite::Error>),
    /// Records are missing in the middle.
    #[error("record {expected} is missing, record {found} comes instead")]
    Missing {
        /// The record that should come.
        expected: u64,
        /// The record that came.
        found: u64,
    },
    /// A record, or one before it, is not as it was written.
    #[error("record {seq} was altered")]
    Altered {
        /// Which one.
        seq: u64,
    },
    /// A record is as it was written and cannot be read.
    #[error("record {seq} cannot be read")]
    Undecodable {
        /// Which one.
        seq: u64,
        /// Why.
        source: Arc<serde_json::Error>,
    },
    /// A record's columns do not hold what they should.
    #[error("record {seq} has no valid {column}")]
    Column {
        /// Which one.
        seq: u64,
        /// The column.
        column: &'static str,
    },
    /// A record contradicts those before it.
    #[error("record {seq} contradicts those before it")]
    Misfit {
        /// Which one.
        seq: u64,
        /// How.
        source: Arc<ApplyError>,
    },
    /// The last records are missing: the file with the suffix `-wal` was removed or damaged, or an
    /// older copy was put in place.
    #[error("the last records are missing: {written} had been written, {found} are there")]
    Tail {
        /// How many there were.
        written: u64,
        /// How many there are.
        found: u64,
    },
    /// The records are in order, and not those that were written here.
    #[error("another journal's records are in its place: record {seq} is not the one written here")]
    Replaced {
        /// The record at which it shows.
        seq: u64,
    },
    /// The file that says how far the journal goes cannot be read.
    #[error("{path}, which says how far the journal goes, is damaged")]
    Head {
        /// That file.
        path: PathBuf,
    },
    /// What the journal says of itself is missing.
    #[error("its entry {0:?} in the table meta is missing")]
    Meta(&'static str),
}

impl JournalError {
    /// What an administrator can do about it: a sentence or two.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::File { .. } => {
                "Check that the folder exists and that the daemon's user may write there."
            }
            Self::InUse { .. } => {
                "Only one daemon may run on a journal. Find the other one, or give this one a \
                 journal of its own."
            }
            Self::Newer { .. } => "Run the Watchkeeper that wrote it, or a newer one.",
            Self::Migration { .. } => {
                "Nothing was changed. Make room on the disk and start again, or run the \
                 Watchkeeper that wrote it."
            }
            Self::Damaged { source: Damage::Head { .. }, .. } => {
                "Run `watchkeeper journal verify`. If it names the record that you expect as the \
                 last, remove the .head file and start again."
            }
            Self::Damaged { .. } => {
                "Nothing is done while the journal is damaged. Restore it from a backup and remove \
                 the .head file beside it, or move journal, -wal, -shm and .head away to begin a \
                 new one. Then run `watchkeeper journal verify` and declare the active side."
            }
            Self::Write { .. } | Self::Held { .. } => {
                "Make room on the disk, or repair it. The daemon tries again by itself and holds \
                 all action until then."
            }
            Self::Misfit(_) | Self::Form(_) => {
                "This is a fault in Watchkeeper; please report it with the journal's last records."
            }
            Self::Read { .. } => "Run `watchkeeper journal verify`.",
            Self::Closed => "The daemon is stopping; ask again when it runs.",
        }
    }

    /// Whether it stands for a full or failing disk, so that a later retry may succeed.
    pub const fn passing(&self) -> bool {
        matches!(self, Self::Write { .. } | Self::Held { .. })
    }
}
