//! Whether PostgreSQL answers a query, and accepts writes where it should.

use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::net::address;
use crate::postgres::Pg;

/// Runs a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Database {
    /// The database.
    pub pg: Pg,
    /// What to ask; none: `select 1`. The first column of the first row must be there and neither
    /// empty nor false.
    pub query: Option<String>,
    /// Whether it must also accept writes: neither a server in recovery nor one that is
    /// set to read-only is up then.
    pub writable: bool,
}

impl Database {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let address = address(&self.pg.target().host, self.pg.target().port);
        let query = self.query.as_deref().unwrap_or("select 1");
        let rows = match self.pg.query_rows(query, deadline).await {
            Ok(rows) => rows,
            Err(error) => return Finding::from_pg(&error),
        };
        let first = rows.first().and_then(|row| row.first()).and_then(Option::as_deref);
        if !first.is_some_and(is_true) {
            let detail = format!(
                "{address} answers, and the query says no: {}",
                first.map_or("nothing", |text| if text.is_empty() {
                    "an empty text"
                } else {
                    text
                })
            );
            return Finding::down(ReasonCode::Unhealthy, &detail);
        }
        let up = Finding::up(ReasonCode::Serving, &format!("{address} answered a query"));
        if !self.writable {
            return up;
        }
        let state = "select pg_is_in_recovery(), current_setting('transaction_read_only')";
        let rows = match self.pg.query_rows(state, deadline).await {
            Ok(rows) => rows,
            Err(error) => return Finding::from_pg(&error),
        };
        let flag = |column: usize| {
            let value = rows.first().and_then(|row| row.get(column)).and_then(Option::as_deref);
            value.is_some_and(is_true)
        };
        let (recovering, read_only) = (flag(0), flag(1));
        let finding = if recovering {
            let detail = format!("{address} is in recovery and accepts no writes");
            Finding::down(ReasonCode::Unhealthy, &detail)
        } else if read_only {
            Finding::down(ReasonCode::Unhealthy, &format!("{address} is set to read-only"))
        } else {
            up
        };
        finding
            .with("in-recovery", Value::Flag(recovering))
            .with("read-only", Value::Flag(read_only))
    }
}

/// PostgreSQL's texts for true, and everything that is not a text for false.
fn is_true(text: &str) -> bool {
    !matches!(text, "" | "f" | "false" | "off" | "no" | "0")
}
