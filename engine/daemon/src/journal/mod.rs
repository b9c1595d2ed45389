//! What was seen, decided, intended and done, kept so that a crash at any point loses nothing.
//!
//! The journal is an SQLite database (docs/journal.md) to which events are added and in which
//! nothing is ever changed. The [`State`] is the fold of its records, and there is no other.
//!
//! Invariants:
//! - An event whose append has been answered survives the process and the machine.
//! - Damaged is never taken for empty: a journal opens as what was written, or not at all
//!   (invariant 8).
//! - One daemon at a time writes; any number of programs may read.

mod chain;
mod error;
mod fold;
mod follow;
mod head;
mod kind;
mod query;
mod schema;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use watchkeeper_core::event::Record;
use watchkeeper_core::model::{MonitorName, Timestamp};
use watchkeeper_core::state::State;

pub use error::{Damage, JournalError};
pub use follow::Follower;
pub use kind::{KINDS, kind};
pub use query::{Query, Reader};
pub use writer::{Events, Health};

use writer::{Append, Request, Writer};

/// How many appends may wait for the disk before the next one has to wait to be taken in.
const WAITING: usize = 1_024;

/// How many batches a follower may lie behind before it has to read them from the journal.
const FOLLOWED: usize = 1_024;

fn beside(journal: &Path, suffix: &str) -> PathBuf {
    let mut name = journal.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// The journal of a running daemon. Cheap to clone; closes with the last clone.
#[derive(Clone)]
pub struct Journal {
    id: Arc<str>,
    requests: mpsc::Sender<Request>,
    health: watch::Receiver<Health>,
    written: broadcast::WeakSender<Arc<[Record]>>,
    reader: Reader,
}

impl Journal {
    /// Opens the journal at `path`, or begins it if there never was one, and folds its records.
    ///
    /// `monitor` and `now` are noted in a new journal. Blocks for as long as reading takes, about
    /// a second for 200,000 records. Fails if another daemon has it, and if anything in it is not
    /// as it was written.
    pub fn open(
        path: &Path,
        monitor: &MonitorName,
        now: Timestamp,
    ) -> Result<(Self, State), JournalError> {
        let lock = lock(path)?;
        let head = find_head(path)?;
        if !exists(path)? {
            match head {
                head::Found::Nothing if !exists(&beside(path, "-wal"))? => {
                    schema::create(path, monitor, now)?;
                }
                head::Found::Head(head) => {
                    let written = head.seq;
                    return Err(schema::damaged(path, None, Damage::Lost { written }));
                }
                _ => return Err(schema::damaged(path, None, Damage::Lost { written: 0 })),
            }
        }
        schema::look(path)?;
        // On a connection that cannot write, so that a damaged journal stays as it was found.
        let reading = schema::open_to_read(path)?;
        let id = schema::meta(&reading, path, "id")?;
        let fold::Folded { state, link } = fold::fold(&reading, path, &head)?;
        let connection = schema::open(path)?;
        drop(reading);
        let head = head::Writer::new(path, state.seq, &link).map_err(|source| {
            let path = head::path_of(path);
            JournalError::File { what: "write", path, source: Arc::new(source) }
        })?;
        let reader = Reader::open(path)?;
        let (requests, waiting) = mpsc::channel(WAITING);
        let (health, watched) = watch::channel(Health::Writing);
        let (written, _) = broadcast::channel(FOLLOWED);
        let journal = Self {
            id: Arc::from(id),
            requests,
            health: watched,
            written: written.downgrade(),
            reader,
        };
        let (path, folded) = (path.to_owned(), state.clone());
        let writer = Writer { path, connection, state, link, head, health, written, lock };
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || writer.run(waiting))
            .map_err(|source| JournalError::File {
            what: "start a thread for",
            path: journal.reader.path().to_owned(),
            source: Arc::new(source),
        })?;
        Ok((journal, folded))
    }

    /// The journal's own identity: 32 hexadecimal digits, made when it began.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Adds events, all at the moment `at`, all or none. They are on the disk when this returns.
    ///
    /// A caller that goes away while it waits does not take its events back.
    pub async fn append(&self, at: Timestamp, events: Events) -> Result<Vec<Record>, JournalError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Append(Append { at, events, answer })).await?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// Tries to write again after a failure. Harmless if there was none.
    pub async fn retry(&self) -> Result<(), JournalError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Retry(answer)).await?;
        answered.await.map_err(|_| JournalError::Closed)?
    }

    /// Returns when the thread that writes has come round to it, whether anything can be written or
    /// not: it is not stuck then.
    pub async fn ping(&self) -> Result<(), JournalError> {
        let (answer, answered) = oneshot::channel();
        self.send(Request::Ping(answer)).await?;
        answered.await.map_err(|_| JournalError::Closed)
    }

    /// Whether it takes events in; the receiver hears of each change.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.health.clone()
    }

    /// The records that `query` wants, in the order of writing.
    pub async fn read(&self, query: Query) -> Result<Vec<Record>, JournalError> {
        self.reader.read(query).await
    }

    /// Every record after the one numbered `after`, as they are written. A daemon begins with the
    /// `seq` of the state that [`Journal::open`] gave it.
    pub async fn follow(&self, after: u64) -> Result<Follower, JournalError> {
        let written = self.written.upgrade().ok_or(JournalError::Closed)?.subscribe();
        // Asked after subscribing, so that nothing falls between the two.
        let newest = Query { newest: true, limit: 1, ..Query::default() };
        let newest = self.read(newest).await?.last().map_or(0, |record| record.seq);
        Ok(Follower::new(after, newest, self.reader.clone(), written))
    }

    /// Closes the journal: what has been taken in is written, what is sent later is refused. When
    /// this returns, another daemon can open it.
    pub async fn close(&self) {
        let (answer, answered) = oneshot::channel();
        if self.send(Request::Close(answer)).await.is_ok() {
            // An error says that it was closed already.
            let _ = answered.await;
        }
    }

    async fn send(&self, request: Request) -> Result<(), JournalError> {
        self.requests.send(request).await.map_err(|_| JournalError::Closed)
    }
}

/// What [`verify`] found in a journal that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The number of the last record, which is also how many there are.
    pub records: u64,
    /// Where everything stands after it.
    pub state: State,
}

/// Checks every record of the journal at `path` without changing anything, whether a daemon runs
/// on it or not. Blocks for as long as reading takes.
pub fn verify(path: &Path) -> Result<Verified, JournalError> {
    // Before the records: those that are written meanwhile are no contradiction then.
    let head = find_head(path)?;
    if let (head::Found::Head(head), false) = (&head, exists(path)?) {
        return Err(schema::damaged(path, None, Damage::Lost { written: head.seq }));
    }
    schema::look(path)?;
    let connection = schema::open_to_read(path)?;
    let state = fold::fold(&connection, path, &head)?.state;
    Ok(Verified { records: state.seq, state })
}

fn find_head(path: &Path) -> Result<head::Found, JournalError> {
    head::find(path).map_err(|source| {
        let path = head::path_of(path);
        JournalError::File { what: "read", path, source: Arc::new(source) }
    })
}

/// Like `Path::exists`, but a folder that cannot be looked into is an error and not a first start.
fn exists(path: &Path) -> Result<bool, JournalError> {
    path.try_exists().map_err(|source| JournalError::File {
        what: "look for",
        path: path.to_owned(),
        source: Arc::new(source),
    })
}

/// The lock is on a file of its own, so that SQLite's locks, which readers share, stay as they are.
/// The operating system gives it back whenever the process ends.
fn lock(journal: &Path) -> Result<File, JournalError> {
    let path = beside(journal, ".lock");
    let failed =
        |source| JournalError::File { what: "lock", path: path.clone(), source: Arc::new(source) };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(JournalError::InUse { path: journal.to_owned() }),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::WouldBlock => {
            Err(JournalError::InUse { path: journal.to_owned() })
        }
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
