//! The logical replication of the repository, seen from either side.
//!
//! The active side knows how far the standby is behind; the standby knows whether its
//! subscription is enabled and its apply worker works. A worker that fails over and over runs for
//! a moment each time, so its error count matters as much as its presence.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::postgres::Pg;

/// Which side is asked, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplicationSide {
    /// The publisher.
    Active {
        /// The replication slot; none: all logical slots of the database, the worst counting.
        slot: Option<String>,
    },
    /// The subscriber.
    Standby {
        /// The subscription; none: all of the database, the worst counting.
        subscription: Option<String>,
    },
}

/// Looks at the replication from one side.
#[derive(Debug, Clone)]
pub struct Replication {
    /// The database on that side.
    pub pg: Pg,
    /// Which side.
    pub side: ReplicationSide,
    /// The apply errors counted at the last look; -1 before the first.
    seen_errors: Arc<AtomicI64>,
}

impl PartialEq for Replication {
    fn eq(&self, other: &Self) -> bool {
        self.pg == other.pg && self.side == other.side
    }
}

type Row = [Option<String>];

fn text(row: &Row, column: usize) -> Option<&str> {
    row.get(column).and_then(Option::as_deref)
}

fn integer(row: &Row, column: usize) -> Option<i64> {
    text(row, column).and_then(|text| text.parse().ok())
}

fn flag(row: &Row, column: usize) -> bool {
    text(row, column) == Some("t")
}

/// A text as an SQL literal.
fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Replication {
    /// Looks at `side` of the replication through `pg`.
    pub fn new(pg: Pg, side: ReplicationSide) -> Self {
        Self { pg, side, seen_errors: Arc::new(AtomicI64::new(-1)) }
    }

    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        match &self.side {
            ReplicationSide::Active { slot } => self.active(slot.as_deref(), deadline).await,
            ReplicationSide::Standby { subscription } => {
                self.standby(subscription.as_deref(), deadline).await
            }
        }
    }

    async fn active(&self, slot: Option<&str>, deadline: Instant) -> Finding {
        let filter = slot.map_or_else(
            // Those that PostgreSQL makes for the first copy of a table come and go.
            || r"s.slot_name not like 'pg\_%\_sync\_%'".to_owned(),
            |slot| format!("s.slot_name = {}", literal(slot)),
        );
        let query = format!(
            "select s.slot_name, s.active, r.pid is not null, r.state, \
             pg_wal_lsn_diff(pg_current_wal_lsn(), r.sent_lsn)::bigint, \
             pg_wal_lsn_diff(r.sent_lsn, r.write_lsn)::bigint, \
             pg_wal_lsn_diff(r.write_lsn, r.flush_lsn)::bigint, \
             pg_wal_lsn_diff(r.flush_lsn, r.replay_lsn)::bigint, \
             pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint, \
             (extract(epoch from r.replay_lag) * 1000)::bigint, \
             to_jsonb(s) ->> 'wal_status' \
             from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid \
             where s.slot_type = 'logical' and s.database = current_database() and {filter} \
             order by s.slot_name"
        );
        match self.pg.query_rows(&query, deadline).await {
            Ok(rows) => judge_active(&rows),
            Err(error) => Finding::from_pg(&error),
        }
    }

    async fn standby(&self, subscription: Option<&str>, deadline: Instant) -> Finding {
        let filter = subscription
            .map(|name| format!("and s.subname = {}", literal(name)))
            .unwrap_or_default();
        let query = format!(
            "select s.subname, s.subenabled, bool_or(w.pid is not null) \
             from pg_subscription s \
             left join pg_stat_subscription w on w.subid = s.oid and w.relid is null \
             where s.subdbid = (select oid from pg_database where datname = current_database()) \
             {filter} group by s.subname, s.subenabled order by s.subname"
        );
        let rows = match self.pg.query_rows(&query, deadline).await {
            Ok(rows) => rows,
            Err(error) => return Finding::from_pg(&error),
        };
        // PostgreSQL 15 and later count them; the first copy of a table fails in the other count.
        let query = format!(
            "select coalesce(sum(s.apply_error_count + s.sync_error_count), 0)::bigint \
             from pg_stat_subscription_stats s where true {filter}"
        );
        let errors = match self.pg.query_rows(&query, deadline).await {
            Ok(rows) => rows.first().and_then(|row| integer(row, 0)),
            Err(error) if error.sqlstate() == Some("42P01") => None,
            Err(error) => return Finding::from_pg(&error),
        };
        let before = errors.map(|errors| self.seen_errors.swap(errors, Ordering::SeqCst));
        let rising = matches!((before, errors), (Some(b), Some(e)) if b >= 0 && e > b);
        judge_standby(&rows, errors, rising)
    }
}

pub(super) fn judge_active(rows: &[Vec<Option<String>>]) -> Finding {
    let configured = |finding: Finding, flag| finding.with("configured", Value::Flag(flag));
    if rows.is_empty() {
        let detail = "the replication is not configured: there is no such logical slot";
        let finding = Finding::down(ReasonCode::Unhealthy, detail);
        return configured(finding, false)
            .with("connected", Value::Flag(false))
            .with("slot-active", Value::Flag(false));
    }
    let name = |row: &Row| text(row, 0).unwrap_or_default().to_owned();
    let idle = rows.iter().find(|row| !flag(row, 1) || !flag(row, 2));
    let lost = rows.iter().find(|row| text(row, 10) == Some("lost"));
    let hidden = rows.iter().find(|row| flag(row, 2) && text(row, 3).is_none());
    let other = rows.iter().find(|row| !matches!(text(row, 3), Some("streaming" | "catchup")));
    let mut finding = if let Some(row) = lost {
        let detail = format!(
            "the replication is not configured any more: the slot {} lost the log it needs",
            name(row)
        );
        Finding::down(ReasonCode::Unhealthy, &detail)
    } else if let Some(row) = idle {
        let detail = format!("the standby is not connected to the slot {}", name(row));
        Finding::down(ReasonCode::Unhealthy, &detail)
    } else if hidden.is_some() {
        let detail = "the user may not see the replication's state; grant it pg_monitor";
        Finding::unknown(ReasonCode::Denied, detail)
    } else if let Some(row) = other {
        let state = text(row, 3).unwrap_or_default();
        let detail = format!("the standby of the slot {} is connected, but {state}", name(row));
        Finding::down(ReasonCode::Unhealthy, &detail)
    } else {
        Finding::up(ReasonCode::Serving, "changes are streamed to the standby")
    };
    finding = configured(finding, true)
        .with("connected", Value::Flag(rows.iter().all(|row| flag(row, 2))))
        .with("slot-active", Value::Flag(rows.iter().all(|row| flag(row, 1))));
    for (column, value) in [
        (4, "sending-lag-bytes"),
        (5, "receiving-lag-bytes"),
        (6, "write-lag-bytes"),
        (7, "replay-lag-bytes"),
        (8, "lag-bytes"),
        (9, "replay-lag-ms"),
    ] {
        if let Some(worst) = rows.iter().filter_map(|row| integer(row, column)).max() {
            finding = finding.with(value, Value::Integer(worst.max(0)));
        }
    }
    finding
}

pub(super) fn judge_standby(
    rows: &[Vec<Option<String>>],
    errors: Option<i64>,
    rising: bool,
) -> Finding {
    let name = |row: &Row| text(row, 0).unwrap_or_default().to_owned();
    let disabled = rows.iter().find(|row| !flag(row, 1));
    let idle = rows.iter().find(|row| !flag(row, 2));
    let mut finding = if rows.is_empty() {
        let detail = "the replication is not configured: there is no such subscription";
        Finding::down(ReasonCode::Unhealthy, detail)
    } else if let Some(row) = disabled {
        let detail = format!("the subscription {} is disabled", name(row));
        Finding::down(ReasonCode::Unhealthy, &detail)
    } else if rising {
        let detail = "the apply worker is failing: the server's log says at what";
        Finding::down(ReasonCode::Unhealthy, detail)
    } else if let Some(row) = idle {
        let detail = format!("the apply worker of the subscription {} does not run", name(row));
        Finding::down(ReasonCode::Unhealthy, &detail)
    } else {
        Finding::up(ReasonCode::Serving, "the subscription is enabled and its worker runs")
    };
    finding = finding
        .with("configured", Value::Flag(!rows.is_empty()))
        .with("subscription-enabled", Value::Flag(!rows.is_empty() && disabled.is_none()))
        .with("worker-running", Value::Flag(!rows.is_empty() && idle.is_none()));
    match errors {
        Some(errors) => finding.with("apply-errors", Value::Integer(errors)),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchkeeper_core::model::Status;

    fn row(cells: &[&str]) -> Vec<Option<String>> {
        cells.iter().map(|cell| (*cell != "-").then(|| (*cell).to_owned())).collect()
    }

    #[test]
    fn the_active_side_names_what_is_wrong_and_reports_the_worst_lag() {
        let good = ["a", "t", "t", "streaming", "1", "2", "3", "4", "10", "5", "reserved"];
        let worse = ["b", "t", "t", "catchup", "9", "0", "0", "-4", "9", "-", "-"];
        let both = judge_active(&[row(&good), row(&worse)]);
        assert_eq!(both.status, Status::Up);
        assert_eq!(both.values.get("sending-lag-bytes"), Some(&Value::Integer(9)));
        assert_eq!(both.values.get("replay-lag-bytes"), Some(&Value::Integer(4)));
        assert_eq!(both.values.get("replay-lag-ms"), Some(&Value::Integer(5)));

        let idle = ["c", "f", "f", "-", "-", "-", "-", "-", "-", "-", "-"];
        for (rows, status, says) in [
            (vec![], Status::Down, "not configured"),
            (vec![row(&good), row(&idle)], Status::Down, "not connected to the slot c"),
            (
                vec![row(&["d", "t", "t", "-", "-", "-", "-", "-", "-", "-", "-"])],
                Status::Unknown,
                "pg_monitor",
            ),
            (
                vec![row(&["e", "f", "f", "-", "-", "-", "-", "-", "-", "-", "lost"])],
                Status::Down,
                "lost the log",
            ),
        ] {
            let finding = judge_active(&rows);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.reason.detail.contains(says), "{finding:?}");
        }
    }

    #[test]
    fn the_standby_names_what_is_wrong() {
        for (rows, rising, status, says) in [
            (vec![row(&["s", "t", "t"])], false, Status::Up, "enabled"),
            (vec![], false, Status::Down, "not configured"),
            (vec![row(&["s", "f", "f"])], false, Status::Down, "s is disabled"),
            (vec![row(&["s", "t", "t"])], true, Status::Down, "failing"),
            (vec![row(&["s", "t", "f"])], false, Status::Down, "does not run"),
        ] {
            let finding = judge_standby(&rows, Some(3), rising);
            assert_eq!(finding.status, status, "{finding:?}");
            assert!(finding.reason.detail.contains(says), "{finding:?}");
            assert_eq!(finding.values.get("apply-errors"), Some(&Value::Integer(3)));
        }
    }

    #[test]
    fn names_become_literals() {
        assert_eq!(literal("it's"), "'it''s'");
    }
}
