//! The catalogue views and settings that monitors read.

use std::collections::BTreeMap;

use super::{Session, Value};
use crate::replication::lsn;

pub(super) type Row = BTreeMap<&'static str, Value>;

/// What `show` and `current_setting` answer.
pub(super) fn setting(name: &str) -> Option<&'static str> {
    Some(match name {
        "transaction_read_only" | "default_transaction_read_only" | "in_hot_standby" => "off",
        "server_version" => "15.8",
        "server_version_num" => "150008",
        "wal_level" => "logical",
        "client_encoding" | "server_encoding" => "UTF8",
        "standard_conforming_strings" | "integer_datetimes" => "on",
        _ => return None,
    })
}

/// The current time, RFC 3339, which PostgreSQL reads as well.
pub(super) fn now() -> String {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    watchkeeper_core::model::Timestamp(ms).to_string()
}

fn flag(yes: bool) -> Value {
    Some(if yes { "t" } else { "f" }.to_owned())
}

fn text(text: impl ToString) -> Value {
    Some(text.to_string())
}

/// A view's columns and its rows; none if there is no such view.
pub(super) fn view(session: &mut Session<'_>, name: &str) -> Option<(Vec<&'static str>, Vec<Row>)> {
    let streams = session.streams;
    let it = &mut *session.replication;
    let publishes = session.server == it.publisher;
    let subscribes = session.server == it.subscriber;
    let [sent, written, flushed, applied] = it.positions().map(lsn);
    let name_of = text(&it.subscription);
    let (row, present): (Vec<(&'static str, Value)>, bool) = match name {
        "pg_stat_replication" => (
            vec![
                ("pid", text(4201)),
                ("usename", text("dmuser")),
                ("application_name", name_of),
                ("client_addr", text(&session.peer)),
                ("state", text("streaming")),
                ("sent_lsn", Some(sent)),
                ("write_lsn", Some(written)),
                ("flush_lsn", Some(flushed)),
                ("replay_lsn", Some(applied)),
                ("write_lag", None),
                ("flush_lag", None),
                ("replay_lag", None),
                ("sync_state", text("async")),
                ("reply_time", Some(now())),
            ],
            publishes && streams,
        ),
        "pg_replication_slots" => (
            vec![
                ("slot_name", name_of),
                ("plugin", text("pgoutput")),
                ("slot_type", text("logical")),
                ("database", text("datamover")),
                ("temporary", flag(false)),
                ("active", flag(streams)),
                ("active_pid", if streams { text(4201) } else { None }),
                ("restart_lsn", Some(applied.clone())),
                ("confirmed_flush_lsn", Some(applied)),
                ("wal_status", text("reserved")),
            ],
            publishes,
        ),
        "pg_stat_subscription" => (
            vec![
                ("subid", text(16_400)),
                ("subname", name_of),
                ("pid", if streams { text(4202) } else { None }),
                ("relid", None),
                ("received_lsn", Some(written)),
                ("last_msg_send_time", Some(now())),
                ("last_msg_receipt_time", Some(now())),
                ("latest_end_lsn", Some(applied)),
                ("latest_end_time", Some(now())),
            ],
            subscribes,
        ),
        "pg_subscription" => (
            vec![
                ("oid", text(16_400)),
                ("subname", name_of.clone()),
                ("subenabled", flag(it.enabled)),
                ("subslotname", name_of),
            ],
            subscribes,
        ),
        "pg_stat_subscription_stats" => {
            // A failing worker is started again and again; every look finds one more failure.
            it.apply_errors += u64::from(it.broken && it.enabled);
            (
                vec![
                    ("subid", text(16_400)),
                    ("subname", name_of),
                    ("apply_error_count", text(it.apply_errors)),
                    ("sync_error_count", text(0)),
                ],
                subscribes,
            )
        }
        "pg_publication" => (vec![("pubname", name_of)], publishes),
        "pg_sequences" => return Some(sequences(session)),
        _ => return None,
    };
    let columns = row.iter().map(|(column, _)| *column).collect();
    Some((columns, present.then(|| row.into_iter().collect()).into_iter().collect()))
}

fn sequences(session: &Session<'_>) -> (Vec<&'static str>, Vec<Row>) {
    let columns = vec!["schemaname", "sequencename", "start_value", "increment_by", "last_value"];
    let of_server = session.replication.sequences.get(&session.server);
    let rows = of_server.into_iter().flatten().map(|(name, last)| {
        Row::from([
            ("schemaname", text("public")),
            ("sequencename", text(name)),
            ("start_value", text(1)),
            ("increment_by", text(1)),
            ("last_value", last.map(|value| value.to_string())),
        ])
    });
    (columns, rows.collect())
}
