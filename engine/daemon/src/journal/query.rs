//! Questions to the journal, answered beside the writer on a connection that can only read.
//!
//! Answers are decoded, not checked against the chain: that is done when the journal is opened and
//! by [`verify`](super::verify).

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use watchkeeper_core::event::Record;
use watchkeeper_core::model::{ClusterName, Timestamp};

use super::chain::Row;
use super::error::{Damage, JournalError};
use super::{fold, schema};

/// Which records are wanted. The default wants the first [`Query::LIMIT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// Only records after this number.
    pub after: u64,
    /// Only records up to this number, itself included.
    pub up_to: Option<u64>,
    /// Only records written at this moment or later.
    pub since: Option<Timestamp>,
    /// Only records written before this moment.
    pub until: Option<Timestamp>,
    /// Only records about this cluster.
    pub cluster: Option<ClusterName>,
    /// Only records of these kinds; empty: of all. The words are those of [`super::kind()`].
    pub kinds: Vec<String>,
    /// Take the newest records instead of the oldest. The answer is in the order of writing
    /// either way.
    pub newest: bool,
    /// At most so many.
    pub limit: usize,
}

impl Query {
    /// How many records an answer holds if nothing else is said.
    pub const LIMIT: usize = 10_000;
}

impl Default for Query {
    fn default() -> Self {
        Self {
            after: 0,
            up_to: None,
            since: None,
            until: None,
            cluster: None,
            kinds: Vec::new(),
            newest: false,
            limit: Self::LIMIT,
        }
    }
}

/// Answers questions to a journal, whether a daemon runs on it or not.
#[derive(Clone)]
pub struct Reader {
    path: PathBuf,
    connection: Arc<Mutex<Connection>>,
}

impl Reader {
    /// Opens the journal at `path` for reading. Blocks for as long as the disk takes.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        schema::look(path)?;
        let connection = schema::open_to_read(path)?;
        Ok(Self { path: path.to_owned(), connection: Arc::new(Mutex::new(connection)) })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The records that `query` wants, in the order of writing.
    pub async fn read(&self, query: Query) -> Result<Vec<Record>, JournalError> {
        let reader = self.clone();
        match tokio::task::spawn_blocking(move || reader.read_now(&query)).await {
            Ok(answer) => answer,
            Err(_) => Err(JournalError::Closed),
        }
    }

    /// As [`Reader::read`], for callers that may block.
    pub fn read_now(&self, query: &Query) -> Result<Vec<Record>, JournalError> {
        // A reader that panicked has left nothing half done.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        let mut records = select(&connection, query).map_err(|damage| match damage {
            Damage::Unreadable(source) => JournalError::Read { path: self.path.clone(), source },
            damage => schema::damaged(&self.path, None, damage),
        })?;
        if query.newest {
            records.reverse();
        }
        Ok(records)
    }
}

fn select(connection: &Connection, query: &Query) -> Result<Vec<Record>, Damage> {
    let (sql, values) = statement(query);
    let mut statement = connection.prepare_cached(&sql).map_err(fold::unreadable)?;
    let mut rows = statement.query(params_from_iter(values)).map_err(fold::unreadable)?;
    let mut records = Vec::new();
    while let Some(row) = rows.next().map_err(fold::unreadable)? {
        let seq = fold::unsigned(row, 0, 0, "seq")?;
        records.push(fold::record(Row {
            seq,
            at: "",
            at_ms: fold::unsigned(row, 1, seq, "at_ms")?,
            cluster: fold::text(row, 2, seq, "cluster")?,
            kind: "",
            body: fold::text(row, 3, seq, "body")?,
        })?);
    }
    Ok(records)
}

fn statement(query: &Query) -> (String, Vec<Value>) {
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let mut sql = "SELECT seq, at_ms, cluster, body FROM events WHERE seq > ?".to_owned();
    let mut values = vec![integer(query.after)];
    let bounds = [
        (" AND seq <= ?", query.up_to),
        (" AND at_ms >= ?", query.since.map(|at| at.0)),
        (" AND at_ms < ?", query.until.map(|at| at.0)),
    ];
    for (condition, bound) in bounds {
        if let Some(bound) = bound {
            sql.push_str(condition);
            values.push(integer(bound));
        }
    }
    if let Some(cluster) = &query.cluster {
        sql.push_str(" AND cluster = ?");
        values.push(Value::Text(cluster.as_str().to_owned()));
    }
    if !query.kinds.is_empty() {
        let places = vec!["?"; query.kinds.len()].join(", ");
        sql.push_str(" AND kind IN (");
        sql.push_str(&places);
        sql.push(')');
        values.extend(query.kinds.iter().cloned().map(Value::Text));
    }
    sql.push_str(if query.newest { " ORDER BY seq DESC" } else { " ORDER BY seq" });
    sql.push_str(" LIMIT ?");
    values.push(integer(query.limit as u64));
    (sql, values)
}
