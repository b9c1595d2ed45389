//! As much SQL as a monitor speaks: one small expression evaluator over a handful of catalogue views.
//!
//! Statements are answered for what they say, not looked up by their text, so a monitor may choose
//! its columns, aliases and casts freely. What is not known is an error, never a guess: no grouping,
//! no sub-selects in FROM, and join conditions are not evaluated (each view has one row at most that
//! could match).

mod catalogue;
mod eval;
mod parse;

pub(crate) use parse::Token;

use crate::replication::Replication;

/// A value as PostgreSQL's text format has it; none is NULL.
pub(crate) type Value = Option<String>;

/// What a session looks at.
pub(crate) struct Session<'a> {
    pub(crate) replication: &'a mut Replication,
    /// The server whose repository this is.
    pub(crate) server: usize,
    /// The other side's address, as the publisher sees it.
    pub(crate) peer: String,
    /// Whether replication streams now.
    pub(crate) streams: bool,
}

/// The answer to a statement that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Columns and rows.
    Rows(Vec<String>, Vec<Vec<Value>>),
    /// Only a command tag.
    Done(&'static str),
}

/// The answer to a statement that failed: SQLSTATE and message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

pub(crate) fn failure<T>(code: &'static str, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { code, message: message.into() })
}

/// Splits what a client sent at once into its statements.
pub(crate) fn statements(text: &str) -> Result<Vec<parse::Tokens>, Failure> {
    let tokens = parse::tokens(text)?;
    let statements = tokens.split(parse::Token::is_end).filter(|one| !one.is_empty());
    Ok(statements.map(<[_]>::to_vec).collect())
}

/// Carries out one statement.
pub(crate) fn answer(
    session: &mut Session<'_>,
    statement: &[parse::Token],
) -> Result<Answer, Failure> {
    let words: Vec<&str> = statement.iter().map(parse::Token::word).collect();
    match words.as_slice() {
        ["select", ..] => {
            let select = parse::select(statement)?;
            eval::select(session, &select).map(|(columns, rows)| Answer::Rows(columns, rows))
        }
        ["show", name] => {
            let value = catalogue::setting(name);
            let Some(value) = value else {
                return failure(
                    "42704",
                    format!("unrecognized configuration parameter \"{name}\""),
                );
            };
            Ok(Answer::Rows(vec![(*name).to_owned()], vec![vec![Some(value.to_owned())]]))
        }
        ["set", _, ..] => Ok(Answer::Done("SET")),
        ["begin", ..] | ["start", "transaction", ..] => Ok(Answer::Done("BEGIN")),
        ["commit" | "end", ..] => Ok(Answer::Done("COMMIT")),
        ["rollback", ..] => Ok(Answer::Done("ROLLBACK")),
        ["alter", "subscription", name, order, ..] => alter(session, name, order),
        [first, ..] => failure("0A000", format!("the stand-in does not know {first:?}")),
        [] => failure("42601", "an empty statement"),
    }
}

fn alter(session: &mut Session<'_>, name: &str, order: &str) -> Result<Answer, Failure> {
    let replication = &mut *session.replication;
    if replication.subscriber != session.server || replication.subscription != name {
        return failure("42704", format!("subscription \"{name}\" does not exist"));
    }
    match order {
        "enable" => replication.enabled = true,
        "disable" => replication.enabled = false,
        "refresh" | "set" | "skip" => {}
        _ => return failure("0A000", format!("the stand-in cannot {order:?} a subscription")),
    }
    Ok(Answer::Done("ALTER SUBSCRIPTION"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replication::Lags;

    fn ask(replication: &mut Replication, server: usize, text: &str) -> Result<String, Failure> {
        let streams = replication.enabled && !replication.broken;
        let mut session = Session { replication, server, peer: "127.0.71.2".to_owned(), streams };
        let mut last = String::new();
        for statement in statements(text)? {
            last = match answer(&mut session, &statement)? {
                Answer::Done(tag) => tag.to_owned(),
                Answer::Rows(columns, rows) => {
                    let mut lines = vec![columns.join("|")];
                    for row in rows {
                        let cells: Vec<_> =
                            row.iter().map(|v| v.as_deref().unwrap_or("NULL")).collect();
                        lines.push(cells.join("|"));
                    }
                    lines.join("/")
                }
            };
        }
        Ok(last)
    }

    #[test]
    fn knows_what_monitors_ask() {
        let mut it = Replication::new("dm_repository", 0, 1);
        it.lags = Lags { replay: 4096, ..Lags::default() };
        for (server, question, expected) in [
            (0, "SELECT 1", "?column?/1"),
            (0, "select 1 as one, 'it''s' s;", "one|s/1|it's"),
            (0, "select pg_is_in_recovery()", "pg_is_in_recovery/f"),
            (0, "select not pg_is_in_recovery() and 2 > 1 as ok", "ok/t"),
            (0, "show transaction_read_only", "transaction_read_only/off"),
            (0, "select current_setting('transaction_read_only') = 'off' w", "w/t"),
            (
                0,
                "select application_name, pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint \
                 as lag from pg_catalog.pg_stat_replication r where r.state = 'streaming'",
                "application_name|lag/dm_repository|4096",
            ),
            (
                0,
                "select max(pg_current_wal_lsn() - replay_lsn) from pg_stat_replication",
                "max/4096",
            ),
            (
                0,
                "select slot_name, active from pg_replication_slots",
                "slot_name|active/dm_repository|t",
            ),
            (0, "select count(*) from pg_replication_slots where not active", "count/0"),
            (1, "select count(*) from pg_stat_replication", "count/0"),
            (
                1,
                "select s.subname, s.subenabled, st.pid is not null from pg_subscription s \
                 left join pg_stat_subscription st on st.subid = s.oid order by 1",
                "subname|subenabled|?column?/dm_repository|t|t",
            ),
            (
                0,
                "select sequencename, last_value from pg_sequences",
                "sequencename|last_value/job_id_seq|1042/task_id_seq|9001",
            ),
            (1, "select coalesce(max(last_value), 0) from pg_sequences", "coalesce/0"),
            (1, "select setval('public.job_id_seq', 2042, true)", "setval/2042"),
            (1, "select setval('\"public\".\"job_id_seq\"', (select 7))", "setval/7"),
            (1, "select nextval('job_id_seq')", "nextval/8"),
            (
                0,
                "select exists(select 1 from pg_stat_replication), (select count(*) from pg_subscription)",
                "exists|count/t|0",
            ),
            (
                0,
                "select format('%I.%I', schemaname, sequencename) || '!' as n from pg_sequences limit 1",
                "n/public.job_id_seq!",
            ),
            (0, "set statement_timeout = 5; begin; commit", "COMMIT"),
            (1, "alter subscription dm_repository disable", "ALTER SUBSCRIPTION"),
            (1, "select subenabled from pg_subscription", "subenabled/f"),
            (0, "select count(*), bool_or(active) from pg_replication_slots", "count|bool_or/1|f"),
        ] {
            assert_eq!(ask(&mut it, server, question).as_deref(), Ok(expected), "{question}");
        }
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        let mut it = Replication::new("dm_repository", 0, 1);
        for (question, code) in [
            ("select nosuch()", "42883"),
            ("select nosuch from pg_sequences", "42703"),
            ("select 1 from nosuch", "42P01"),
            ("drop table jobs", "0A000"),
            ("select 'open", "42601"),
            ("select (1", "42601"),
            ("select setval('nosuch', 1)", "42P01"),
            ("alter subscription other disable", "42704"),
            ("select 1 from pg_sequences group by 1", "0A000"),
        ] {
            let answer = ask(&mut it, 0, question);
            assert_eq!(answer.map_err(|failure| failure.code), Err(code), "{question}");
        }
        // Depth is bounded: nothing a client sends can exhaust the stack.
        let deep = format!("select {}1{}", "(".repeat(400), ")".repeat(400));
        assert_eq!(ask(&mut it, 0, &deep).map_err(|failure| failure.code), Err("54001"));
        let long = format!("select 1{}", "+1".repeat(10_000));
        assert_eq!(ask(&mut it, 0, &long).map_err(|failure| failure.code), Err("54001"));
    }
}
