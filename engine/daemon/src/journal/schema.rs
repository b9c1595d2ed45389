//! The database: its tables and views, how it is made, and how an older one is brought forward.
//!
//! docs/journal.md describes it for those who read it with `sqlite3`.

use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use watchkeeper_core::model::{MonitorName, Timestamp};

use super::beside;
use super::error::{Damage, JournalError};

/// `Wkpr` as a number: marks the file as a journal of Watchkeeper.
pub(super) const APPLICATION_ID: i64 = 0x576b_7072;

/// How long a connection waits for another one's lock. Only an administrator's own program, or a
/// checkpoint, can hold one.
const BUSY: Duration = Duration::from_secs(5);

const TABLES: &str = include_str!("schema.sql");

/// What brings a journal from format n + 1 to n + 2, by n. There is one format so far.
const MIGRATIONS: &[&str] = &[];

/// The newest format.
#[expect(clippy::cast_possible_wrap, reason = "there are few migrations")]
pub(super) const FORMAT: i64 = MIGRATIONS.len() as i64 + 1;

fn file_error<'a>(
    what: &'static str,
    path: &'a Path,
) -> impl FnOnce(std::io::Error) -> JournalError + use<'a> {
    move |source| JournalError::File { what, path: path.to_owned(), source: Arc::new(source) }
}

fn unreadable(path: &Path, error: rusqlite::Error) -> JournalError {
    damaged(path, None, Damage::Unreadable(Arc::new(error)))
}

pub(super) fn damaged(path: &Path, last_good: Option<u64>, source: Damage) -> JournalError {
    JournalError::Damaged { path: path.to_owned(), last_good, source }
}

/// Makes an empty journal. It appears under its name only when it is whole, so a crash leaves
/// either none or a good one.
pub(super) fn create(
    path: &Path,
    monitor: &MonitorName,
    now: Timestamp,
) -> Result<(), JournalError> {
    let draft = beside(path, ".new");
    match std::fs::remove_file(&draft) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(file_error("replace", &draft)(error));
        }
        _ => {}
    }
    write_tables(&draft, monitor, now)
        .map_err(|source| JournalError::Write { path: draft.clone(), source: Arc::new(source) })?;
    std::fs::rename(&draft, path).map_err(file_error("create", path))?;
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("keep", folder))
}

fn write_tables(draft: &Path, monitor: &MonitorName, now: Timestamp) -> rusqlite::Result<()> {
    let connection = Connection::open(draft)?;
    connection.execute_batch(&format!(
        "BEGIN; {TABLES} PRAGMA application_id = {APPLICATION_ID}; \
         PRAGMA user_version = {FORMAT}; COMMIT;"
    ))?;
    connection.execute(
        "INSERT INTO meta (key, value) VALUES ('schema_version', ?1), ('created', ?2), \
         ('monitor', ?3), ('id', lower(hex(randomblob(16))))",
        (FORMAT.to_string(), now.to_string(), monitor.as_str()),
    )?;
    write_ahead(&connection)?;
    connection.close().map_err(|(_, error)| error)
}

fn write_ahead(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(()))
}

/// Looks at the file before SQLite does, which would take an empty one for a new database.
pub(super) fn look(path: &Path) -> Result<(), JournalError> {
    let mut file = File::open(path).map_err(file_error("open", path))?;
    let found = file.metadata().map_err(file_error("open", path))?.len();
    if found == 0 {
        return Err(damaged(path, None, Damage::Empty));
    }
    let mut header = [0_u8; 100];
    let whole = file.read_exact(&mut header).is_ok();
    if !whole || !header.starts_with(b"SQLite format 3\0") {
        return Err(damaged(path, None, Damage::Foreign));
    }
    if i64::from(number(&header, 68)) != APPLICATION_ID {
        return Err(damaged(path, None, Damage::Foreign));
    }
    // The page size stands in two bytes, and 1 stands for 65,536.
    let page = match number(&header, 14) & 0xffff {
        1 => 65_536,
        size => size,
    };
    let expected = u64::from(page) * u64::from(number(&header, 28));
    // While there are newer pages in the other file, this one may be shorter.
    let newer = std::fs::metadata(beside(path, "-wal")).is_ok_and(|wal| wal.len() > 0);
    if found < expected && !newer {
        return Err(damaged(path, None, Damage::Truncated { found, expected }));
    }
    Ok(())
}

fn number(header: &[u8; 100], at: usize) -> u32 {
    header.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Opens the journal for the one who writes, and brings it to the newest format.
pub(super) fn open(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection =
        Connection::open_with_flags(path, flags).map_err(|error| unreadable(path, error))?;
    connection.busy_timeout(BUSY).map_err(|error| unreadable(path, error))?;
    migrate(&mut connection, path, MIGRATIONS)?;
    prepare(&connection).map_err(|error| unreadable(path, error))?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    write_ahead(connection)?;
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // Gives the room back that a burst took in the file with the suffix -wal: 16 MiB.
    connection.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))
}

/// Opens the journal for one who only reads.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| unreadable(path, error))?;
    connection.busy_timeout(BUSY).map_err(|error| unreadable(path, error))?;
    let found = format(&connection).map_err(|error| unreadable(path, error))?;
    newer(path, found, FORMAT)?;
    Ok(connection)
}

fn format(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

const fn known(found: i64, newest: i64) -> bool {
    found >= 1 && found <= newest
}

fn newer(path: &Path, found: i64, newest: i64) -> Result<(), JournalError> {
    if known(found, newest) {
        return Ok(());
    }
    if found < 1 {
        return Err(damaged(path, None, Damage::Foreign));
    }
    Err(JournalError::Newer { path: path.to_owned(), found, known: newest })
}

#[expect(clippy::cast_possible_wrap, reason = "there are few migrations")]
fn migrate(
    connection: &mut Connection,
    path: &Path,
    migrations: &[&str],
) -> Result<(), JournalError> {
    let from = format(connection).map_err(|error| unreadable(path, error))?;
    let to = migrations.len() as i64 + 1;
    newer(path, from, to)?;
    let first = usize::try_from(from - 1).unwrap_or_default();
    let mut run = || {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for migration in migrations.iter().skip(first) {
            transaction.execute_batch(migration)?;
        }
        transaction.pragma_update(None, "user_version", to)?;
        transaction
            .execute("UPDATE meta SET value = ?1 WHERE key = 'schema_version'", [to.to_string()])?;
        transaction.commit()
    };
    if from == to {
        return Ok(());
    }
    run().map_err(|source| JournalError::Migration {
        path: path.to_owned(),
        from,
        to,
        source: Arc::new(source),
    })
}

/// What the journal says of itself under `key`.
pub(super) fn meta(
    connection: &Connection,
    path: &Path,
    key: &'static str,
) -> Result<String, JournalError> {
    match connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)) {
        Ok(value) => Ok(value),
        Err(rusqlite::Error::QueryReturnedNoRows) => Err(damaged(path, None, Damage::Meta(key))),
        Err(error) => Err(unreadable(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_journal_is_brought_forward_or_left_as_it_was() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        connection.execute_batch("INSERT INTO meta VALUES ('schema_version', '1')").unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let path = Path::new("j");
        let second = "ALTER TABLE meta ADD COLUMN remark TEXT";

        let bad = migrate(&mut connection, path, &[second, "nonsense"]);
        assert!(matches!(bad, Err(JournalError::Migration { from: 1, to: 3, .. })), "{bad:?}");
        assert_eq!(format(&connection).unwrap(), 1);

        migrate(&mut connection, path, &[second]).unwrap();
        assert_eq!(format(&connection).unwrap(), 2);
        assert_eq!(meta(&connection, path, "schema_version").unwrap(), "2");

        let newer = migrate(&mut connection, path, &[]);
        assert!(matches!(newer, Err(JournalError::Newer { found: 2, known: 1, .. })), "{newer:?}");
    }
}
