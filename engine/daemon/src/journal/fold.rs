//! From the records to the state, checking every one on the way.
//!
//! Invariant 8 stands here: what comes out is the fold of exactly the records that were written,
//! or an error that names the first one that is not.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{ClusterName, Timestamp};
use watchkeeper_core::state::State;

use super::chain::{self, Link, Row};
use super::error::{Damage, JournalError};
use super::head::{Found, Head, path_of};
use super::schema::{damaged, meta};

/// Where a journal stands.
pub(super) struct Folded {
    pub(super) state: State,
    pub(super) link: Link,
}

/// Reads all records of the journal at `path` and folds them.
pub(super) fn fold(
    connection: &Connection,
    path: &Path,
    head: &Found,
) -> Result<Folded, JournalError> {
    let head = match head {
        Found::Nothing => None,
        Found::Head(head) => Some(head),
        Found::Damaged => {
            return Err(damaged(path, None, Damage::Head { path: path_of(path) }));
        }
    };
    let mut link = chain::beginning(&meta(connection, path, "id")?);
    let mut state = State::default();
    match head {
        Some(Head { seq: 0, link: written }) if *written != chain::hex(&link) => {
            return Err(damaged(path, None, Damage::Replaced { seq: 0 }));
        }
        _ => {}
    }
    match records(connection, &mut state, &mut link, head) {
        Ok(()) => {}
        Err(damage) => {
            return Err(damaged(path, Some(last_good(&damage, state.seq)), damage));
        }
    }
    match head {
        Some(head) if head.seq > state.seq => {
            let damage = Damage::Tail { written: head.seq, found: state.seq };
            Err(damaged(path, Some(state.seq), damage))
        }
        _ => Ok(Folded { state, link }),
    }
}

/// A record that did not fit has been counted already.
fn last_good(damage: &Damage, counted: u64) -> u64 {
    match damage {
        Damage::Misfit { seq, .. } => seq.saturating_sub(1),
        _ => counted,
    }
}

fn records(
    connection: &Connection,
    state: &mut State,
    link: &mut Link,
    head: Option<&Head>,
) -> Result<(), Damage> {
    let sql = "SELECT seq, at, at_ms, cluster, kind, body, chain FROM events ORDER BY seq";
    let mut statement = connection.prepare(sql).map_err(unreadable)?;
    let mut rows = statement.query([]).map_err(unreadable)?;
    while let Some(row) = rows.next().map_err(unreadable)? {
        let expected = state.seq + 1;
        let found = unsigned(row, 0, expected, "seq")?;
        if found != expected {
            return Err(Damage::Missing { expected, found });
        }
        let columns = Row {
            seq: found,
            at: text(row, 1, found, "at")?,
            at_ms: unsigned(row, 2, found, "at_ms")?,
            cluster: text(row, 3, found, "cluster")?,
            kind: text(row, 4, found, "kind")?,
            body: text(row, 5, found, "body")?,
        };
        let next = chain::link(link, columns);
        if row.get_ref(6).map_err(unreadable)?.as_blob().ok() != Some(next.as_slice()) {
            return Err(Damage::Altered { seq: found });
        }
        if head.is_some_and(|head| head.seq == found && head.link != chain::hex(&next)) {
            return Err(Damage::Replaced { seq: found });
        }
        let record = record(columns)?;
        state
            .apply(&record)
            .map_err(|source| Damage::Misfit { seq: found, source: Arc::new(source) })?;
        *link = next;
    }
    Ok(())
}

/// Decodes one row.
pub(super) fn record(row: Row<'_>) -> Result<Record, Damage> {
    let seq = row.seq;
    let cluster = match row.cluster {
        "" => None,
        name => {
            let name = ClusterName::new(name);
            Some(name.map_err(|_| Damage::Column { seq, column: "cluster" })?)
        }
    };
    let event = serde_json::from_str::<Event>(row.body)
        .map_err(|source| Damage::Undecodable { seq, source: Arc::new(source) })?;
    Ok(Record { seq, at: Timestamp(row.at_ms), cluster, event })
}

pub(super) fn unreadable(error: rusqlite::Error) -> Damage {
    Damage::Unreadable(Arc::new(error))
}

pub(super) fn unsigned(
    row: &rusqlite::Row<'_>,
    index: usize,
    seq: u64,
    column: &'static str,
) -> Result<u64, Damage> {
    match row.get_ref(index).map_err(unreadable)? {
        ValueRef::Integer(number) => {
            u64::try_from(number).map_err(|_| Damage::Column { seq, column })
        }
        _ => Err(Damage::Column { seq, column }),
    }
}

pub(super) fn text<'a>(
    row: &'a rusqlite::Row<'_>,
    index: usize,
    seq: u64,
    column: &'static str,
) -> Result<&'a str, Damage> {
    match row.get_ref(index).map_err(unreadable)? {
        ValueRef::Text(bytes) => {
            std::str::from_utf8(bytes).map_err(|_| Damage::Column { seq, column })
        }
        ValueRef::Null if column == "cluster" => Ok(""),
        _ => Err(Damage::Column { seq, column }),
    }
}
