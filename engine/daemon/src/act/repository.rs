//! Taking the repository over, and bringing it back: PostgreSQL logical replication.
//!
//! Facts that these steps rest on (PostgreSQL's documentation, chapter Logical Replication): a
//! subscription that is disabled applies nothing any more and keeps its slot on the other side;
//! sequences are not replicated; a subscription can be dropped without its slot if the slot's name
//! is taken from it first.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::ServerName;

use super::{Equipment, Repository, done, failed, wait_for};
use crate::postgres::{Pg, PgError};

/// How far a sequence is moved on beyond all that is known to be used, when the side that counted
/// until now cannot be asked: it may have handed out numbers whose rows never arrived.
const GAP: i64 = 1_000;

/// How long the side that counted until now is given to tell its sequences: one query.
const OLD_SIDE_PATIENCE: Duration = Duration::from_secs(3);

fn parts<'a>(
    equipment: &'a Equipment,
    server: &ServerName,
) -> Result<(&'a Repository, &'a Pg), String> {
    let repository = equipment
        .repository
        .as_ref()
        .ok_or("the configuration has no [clusters.*.repository] any longer")?;
    let connection = repository
        .connections
        .get(server)
        .ok_or_else(|| format!("there is no connection to {server}/repository"))?;
    Ok((repository, connection))
}

/// What can go wrong in between, all of it for the journal.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("{0}")]
    Said(String),
    #[error("{0}")]
    Database(#[from] PgError),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

fn outcome(result: Result<Outcome, Trouble>) -> Outcome {
    result.unwrap_or_else(|trouble| failed(trouble.to_string()))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// The first column of the first row.
async fn scalar(pg: &Pg, sql: &str, deadline: Instant) -> Result<Option<String>, Trouble> {
    let rows = pg.query_rows(sql, deadline).await?;
    Ok(rows.into_iter().next().and_then(|row| row.into_iter().next()).flatten())
}

/// Whether the subscription is enabled; none: there is none of that name.
async fn enabled(pg: &Pg, subscription: &str, deadline: Instant) -> Result<Option<bool>, Trouble> {
    let sql =
        format!("select subenabled from pg_subscription where subname = {}", literal(subscription));
    Ok(scalar(pg, &sql, deadline).await?.map(|text| text == "t"))
}

pub(super) async fn detach(
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_detach(equipment, server, deadline).await)
}

async fn try_detach(
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (repository, pg) = parts(equipment, server)?;
    let name = &repository.subscription;
    match enabled(pg, name, deadline).await? {
        None => return Ok(done(format!("{server} has no subscription {name}"), false)),
        Some(false) => return Ok(done(format!("subscription {name} is disabled already"), false)),
        Some(true) => {}
    }
    pg.execute(&format!("alter subscription {} disable", identifier(name)), deadline).await?;
    match enabled(pg, name, deadline).await? {
        Some(true) => Ok(failed(format!("subscription {name} is still enabled"))),
        _ => Ok(done(format!("subscription {name} is disabled"), true)),
    }
}

pub(super) async fn await_replication(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_await(equipment, from, to, deadline).await)
}

async fn try_await(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (repository, pg) = parts(equipment, from)?;
    let begun = Instant::now();
    let written = scalar(pg, "select pg_current_wal_insert_lsn()", deadline)
        .await?
        .ok_or_else(|| format!("{from}/repository gives no WAL position"))?;
    // By the slot: the name of the application may be any, it stands in the connection string.
    let sql = format!(
        "select pg_wal_lsn_diff({}, r.replay_lsn)::bigint from pg_replication_slots s \
         join pg_stat_replication r on r.pid = s.active_pid \
         where s.slot_name = {} and r.state = 'streaming'",
        literal(&written),
        literal(&repository.subscription)
    );
    let applied = wait_for(deadline, || async {
        match scalar(pg, &sql, deadline).await {
            Ok(None) => Err(format!("{to}/repository is not receiving from {from}")),
            Ok(Some(lag)) => match lag.parse::<i64>() {
                Ok(lag) if lag <= 0 => Ok(()),
                _ => Err(format!("{to}/repository is still {lag} bytes behind")),
            },
            Err(trouble) => Err(trouble.to_string()),
        }
    })
    .await;
    Ok(match applied {
        Ok(()) => done(
            format!(
                "{to}/repository has applied all up to {written}, after {} ms",
                begun.elapsed().as_millis()
            ),
            false,
        ),
        Err(instead) => failed(instead),
    })
}

pub(super) async fn carry_sequences(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_carry(equipment, from, to, deadline).await)
}

/// A sequence's last value and its increment, by its quoted name.
type Sequences = BTreeMap<String, (Option<i64>, i64)>;

async fn sequences(pg: &Pg, deadline: Instant) -> Result<Sequences, Trouble> {
    let rows = pg
        .query_rows(
            "select format('%I.%I', schemaname, sequencename), last_value, increment_by \
             from pg_sequences order by 1",
            deadline,
        )
        .await?;
    let number = |text: Option<String>| text.and_then(|text| text.parse::<i64>().ok());
    Ok(rows
        .into_iter()
        .filter_map(|row| {
            let [name, last, increment] = <[Option<String>; 3]>::try_from(row).ok()?;
            Some((name?, (number(last), number(increment)?)))
        })
        .collect())
}

/// The column that each sequence numbers, as (sequence, table, column), all quoted.
async fn owners(pg: &Pg, deadline: Instant) -> Result<Vec<[String; 3]>, Trouble> {
    let rows = pg
        .query_rows(
            "select format('%I.%I', sn.nspname, s.relname), format('%I.%I', tn.nspname, t.relname), \
             format('%I', a.attname) from pg_depend d \
             join pg_class s on s.oid = d.objid and s.relkind = 'S' \
             join pg_namespace sn on sn.oid = s.relnamespace \
             join pg_class t on t.oid = d.refobjid \
             join pg_namespace tn on tn.oid = t.relnamespace \
             join pg_attribute a on a.attrelid = t.oid and a.attnum = d.refobjsubid \
             where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass \
             and d.deptype in ('a', 'i') and d.refobjsubid > 0 order by 1",
            deadline,
        )
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok())
        .collect())
}

async fn try_carry(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (_, target) = parts(equipment, to)?;
    let (_, source) = parts(equipment, from)?;
    let here = sequences(target, deadline).await?;
    // The old side is asked for as long as it takes it to answer on a bad day, and no longer: it
    // may be gone, and everybody waits.
    let patience = deadline.min(Instant::now() + OLD_SIDE_PATIENCE);
    let there = sequences(source, patience).await;
    let mut used: BTreeMap<String, i64> = BTreeMap::new();
    for [sequence, table, column] in owners(target, deadline).await? {
        let descending = here.get(&sequence).is_some_and(|(_, increment)| *increment < 0);
        let extreme = if descending { "min" } else { "max" };
        let sql = format!("select {extreme}({column})::bigint from {table}");
        if let Some(value) = scalar(target, &sql, deadline).await?
            && let Ok(value) = value.parse()
        {
            used.insert(sequence, value);
        }
    }
    let mut moved = 0;
    for (name, (last, increment)) in &here {
        let counted = match &there {
            Ok(there) => there.get(name).and_then(|(last, _)| *last),
            Err(_) => None,
        };
        let known = [counted, used.get(name).copied(), *last].into_iter().flatten();
        let Some(wanted) = (if *increment < 0 { known.min() } else { known.max() }) else {
            continue;
        };
        let wanted = match (&there, used.get(name)) {
            (Ok(_), _) => wanted,
            // It is beyond what is in use already: the gap was left when this was begun before.
            (Err(_), Some(used)) if wanted != *used => wanted,
            (Err(_), _) => wanted.saturating_add(GAP.saturating_mul(increment.signum())),
        };
        if Some(wanted) != *last {
            let sql = format!("select setval({}, {wanted})", literal(name));
            scalar(target, &sql, deadline).await?;
            moved += 1;
        }
    }
    let source = match there {
        Ok(_) => format!("as {from} counted them"),
        Err(error) => format!(
            "{from} could not be asked ({error}), so each is {GAP} beyond the last number in use"
        ),
    };
    Ok(done(format!("{moved} of {} sequences moved on, {source}", here.len()), moved > 0))
}

pub(super) async fn copy(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_copy(equipment, from, to, deadline).await)
}

/// Turns the replication round, so that `to` receives from `from`: what `to` held is replaced.
/// Each part looks first whether it is so already, so the whole can be begun again.
async fn try_copy(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (repository, source) = parts(equipment, from)?;
    let (_, target) = parts(equipment, to)?;
    let conninfo = repository
        .replication
        .get(from)
        .ok_or_else(|| format!("there is no replication-connection to {from}"))?;
    let (subscription, publication) = (&repository.subscription, &repository.publication);

    publish(source, publication, deadline).await?;
    unsubscribe(source, subscription, deadline).await?;
    drop_idle_slot(target, subscription, deadline).await?;
    let mut changed = false;
    if enabled(target, subscription, deadline).await? != Some(true)
        || !receives_from(target, source, subscription, deadline).await?
    {
        unsubscribe(target, subscription, deadline).await?;
        drop_idle_slot(source, subscription, deadline).await?;
        empty_published_tables(source, target, publication, deadline).await?;
        let sql = format!(
            "create subscription {} connection {} publication {} with (copy_data = true)",
            identifier(subscription),
            literal(conninfo.expose()),
            identifier(publication)
        );
        target.execute(&sql, deadline).await.map_err(|error| {
            // The statement holds the connection string: only the code may be told.
            let code = error.sqlstate().unwrap_or("no code").to_owned();
            format!("create subscription on {to} was refused (SQLSTATE {code})")
        })?;
        changed = true;
    }
    let copied = wait_for(deadline, || async {
        let sql = format!(
            "select count(*) filter (where srsubstate <> 'r') from pg_subscription_rel r \
             join pg_subscription s on s.oid = r.srsubid where s.subname = {}",
            literal(subscription)
        );
        match scalar(target, &sql, deadline).await {
            Ok(Some(left)) if left == "0" => Ok(()),
            Ok(left) => Err(format!("{} tables are still being copied", left.unwrap_or_default())),
            Err(trouble) => Err(trouble.to_string()),
        }
    })
    .await;
    Ok(match copied {
        Ok(()) => {
            done(format!("{to}/repository holds all of {from}/repository, and follows it"), changed)
        }
        Err(instead) => failed(instead),
    })
}

async fn publish(source: &Pg, publication: &str, deadline: Instant) -> Result<(), Trouble> {
    let sql = format!("select 1 from pg_publication where pubname = {}", literal(publication));
    if scalar(source, &sql, deadline).await?.is_none() {
        let sql = format!("create publication {} for all tables", identifier(publication));
        source.execute(&sql, deadline).await?;
    }
    Ok(())
}

/// Drops a subscription without asking the other side for its slot, which may be gone.
async fn unsubscribe(pg: &Pg, subscription: &str, deadline: Instant) -> Result<(), Trouble> {
    if enabled(pg, subscription, deadline).await?.is_some() {
        let name = identifier(subscription);
        pg.execute(&format!("alter subscription {name} disable"), deadline).await?;
        pg.execute(&format!("alter subscription {name} set (slot_name = none)"), deadline).await?;
        pg.execute(&format!("drop subscription {name}"), deadline).await?;
    }
    Ok(())
}

/// Drops the slot of a subscription that no longer exists; one that is in use is left alone.
async fn drop_idle_slot(pg: &Pg, subscription: &str, deadline: Instant) -> Result<(), Trouble> {
    let sql = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
         where slot_name = {} and not active",
        literal(subscription)
    );
    pg.query_rows(&sql, deadline).await?;
    Ok(())
}

/// Whether the slot of the subscription on `target` is in use on `source`.
async fn receives_from(
    target: &Pg,
    source: &Pg,
    subscription: &str,
    deadline: Instant,
) -> Result<bool, Trouble> {
    if enabled(target, subscription, deadline).await? != Some(true) {
        return Ok(false);
    }
    let sql = format!(
        "select 1 from pg_replication_slots where slot_name = {} and active",
        literal(subscription)
    );
    Ok(scalar(source, &sql, deadline).await?.is_some())
}

async fn empty_published_tables(
    source: &Pg,
    target: &Pg,
    publication: &str,
    deadline: Instant,
) -> Result<(), Trouble> {
    let sql = format!(
        "select format('%I.%I', schemaname, tablename) from pg_publication_tables \
         where pubname = {} order by 1",
        literal(publication)
    );
    let tables: Vec<String> =
        source.query_rows(&sql, deadline).await?.into_iter().flatten().flatten().collect();
    if !tables.is_empty() {
        target.execute(&format!("truncate {}", tables.join(", ")), deadline).await?;
    }
    Ok(())
}
