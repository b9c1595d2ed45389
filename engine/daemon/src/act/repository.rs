//! Taking the repository over, and bringing it back: PostgreSQL logical replication.
//!
//! Facts that these steps rest on (PostgreSQL's documentation, chapter Logical Replication): a
//! subscription that is disabled applies nothing any more once its worker has ended, and keeps its
//! slot on the other side; sequences are not replicated; a subscription can be dropped without its
//! slot if the slot's name is taken from it first; a slot can be dropped once nobody receives from
//! it. And from its source (worker.c, `maybe_reread_subscription`): a worker looks whether its
//! subscription is still enabled before it begins to apply a transaction, and else once a second.

use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::ServerName;

use super::leave::Leave;
use super::{Equipment, Repository, done, failed, wait_for};
use crate::errors::chain;
use crate::postgres::{Pg, PgError};

/// How long a slot whose subscription was just dropped may stay in use: the sending side sees the
/// end of the connection within milliseconds.
const SLOT_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn parts<'a>(
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
pub(super) enum Trouble {
    #[error("{0}")]
    Said(String),
    #[error(transparent)]
    Database(#[from] PgError),
}

impl From<String> for Trouble {
    fn from(text: String) -> Self {
        Self::Said(text)
    }
}

pub(super) fn outcome(result: Result<Outcome, Trouble>) -> Outcome {
    result.unwrap_or_else(|trouble| failed(chain(&trouble)))
}

pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn identifier(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

/// Changes something in a repository, if this monitor may still act.
async fn change(pg: &Pg, leave: &Leave<'_>, sql: &str, deadline: Instant) -> Result<(), Trouble> {
    leave.ask().await?;
    Ok(pg.execute(sql, deadline).await?)
}

/// The first column of the first row.
pub(super) async fn scalar(
    pg: &Pg,
    sql: &str,
    deadline: Instant,
) -> Result<Option<String>, Trouble> {
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
    leave: &Leave<'_>,
    server: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_detach(equipment, leave, server, deadline).await)
}

async fn try_detach(
    equipment: &Equipment,
    leave: &Leave<'_>,
    server: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (repository, pg) = parts(equipment, server)?;
    let name = &repository.subscription;
    let Some(changed) = enabled(pg, name, deadline).await? else {
        return Ok(done(format!("{server} has no subscription {name}"), false));
    };
    if changed {
        let sql = format!("alter subscription {} disable", identifier(name));
        change(pg, leave, &sql, deadline).await?;
    }
    // The worker notices later, and may be in the middle of a transaction. Not so while it connects,
    // which it may do for minutes if the other side is gone, and not so between two transactions, of
    // which it begins no other: then it is ended. Whoever may not see its state sees none.
    let ended = format!(
        "select pg_terminate_backend(w.pid) from pg_stat_subscription w \
         join pg_stat_activity a on a.pid = w.pid where w.subname = {} and w.relid is null \
         and (w.received_lsn is null or a.state = 'idle')",
        literal(name)
    );
    let workers = format!(
        "select count(*) from pg_stat_subscription where subname = {} and pid is not null",
        literal(name)
    );
    let detached = wait_for(deadline, || async {
        let state = async {
            let enabled = enabled(pg, name, deadline).await?;
            if enabled != Some(true) {
                // Without the right to, it is waited for like any other.
                let _ = pg.query_rows(&ended, deadline).await;
            }
            Ok::<_, Trouble>((enabled, scalar(pg, &workers, deadline).await?))
        };
        match state.await {
            Ok((Some(true), _)) => Err(format!("subscription {name} is still enabled")),
            Ok((_, Some(left))) if left == "0" => Ok(()),
            Ok(_) => Err(format!("the worker of the subscription {name} still runs")),
            Err(trouble) => Err(chain(&trouble)),
        }
    })
    .await;
    Ok(match detached {
        Ok(()) if changed => done(format!("subscription {name} is disabled"), true),
        Ok(()) => done(format!("subscription {name} is disabled already"), false),
        Err(instead) => failed(instead),
    })
}

pub(super) async fn await_replication(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_await(equipment, from, to, deadline).await)
}

/// All that is written on `from` now, and the query for how many bytes of it are not applied yet: no row
/// if nobody receives.
async fn lag_query(
    equipment: &Equipment,
    from: &ServerName,
    deadline: Instant,
) -> Result<(String, String), Trouble> {
    let (repository, pg) = parts(equipment, from)?;
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
    Ok((written, sql))
}

/// How many bytes written on `from` are not applied yet; none: nobody receives.
pub(super) async fn behind(
    equipment: &Equipment,
    from: &ServerName,
    deadline: Instant,
) -> Result<Option<i64>, Trouble> {
    let (_, pg) = parts(equipment, from)?;
    let (_, sql) = lag_query(equipment, from, deadline).await?;
    Ok(scalar(pg, &sql, deadline).await?.and_then(|text| text.parse().ok()))
}

/// Whether the subscription on `server` may be disabled by this login; none: there is none of that name.
pub(super) async fn may_detach(
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> Result<Option<bool>, Trouble> {
    let (repository, pg) = parts(equipment, server)?;
    let sql = format!(
        "select pg_has_role(subowner, 'MEMBER') from pg_subscription where subname = {}",
        literal(&repository.subscription)
    );
    Ok(scalar(pg, &sql, deadline).await?.map(|text| text == "t"))
}

async fn try_await(
    equipment: &Equipment,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (_, pg) = parts(equipment, from)?;
    let begun = Instant::now();
    let (written, sql) = lag_query(equipment, from, deadline).await?;
    let applied = wait_for(deadline, || async {
        match scalar(pg, &sql, deadline).await {
            Ok(None) => Err(format!("{to}/repository is not receiving from {from}")),
            Ok(Some(lag)) => match lag.parse::<i64>() {
                Ok(lag) if lag <= 0 => Ok(()),
                _ => Err(format!("{to}/repository is still {lag} bytes behind")),
            },
            Err(trouble) => Err(chain(&trouble)),
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

pub(super) async fn copy(
    equipment: &Equipment,
    leave: &Leave<'_>,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_copy(equipment, leave, from, to, deadline).await)
}

/// Turns the replication round, so that `to` receives from `from`: what `to` held is replaced.
/// Each part looks first whether it is so already, so the whole can be begun again.
async fn try_copy(
    equipment: &Equipment,
    leave: &Leave<'_>,
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

    publish(source, leave, publication, deadline).await?;
    unsubscribe(source, leave, subscription, deadline).await?;
    // Left behind, it would hold the log on the target back for ever; in use, it is not that one.
    drop_slot(target, leave, subscription, deadline).await?;
    let mut changed = false;
    if enabled(target, subscription, deadline).await? != Some(true)
        || !receives_from(target, source, subscription, deadline).await?
    {
        unsubscribe(target, leave, subscription, deadline).await?;
        if !drop_slot(source, leave, subscription, deadline).await? {
            return Ok(failed(format!("{from}: the slot {subscription} is in use by another")));
        }
        empty_published_tables(source, target, leave, publication, deadline).await?;
        let sql = format!(
            "create subscription {} connection {} publication {} with (copy_data = true)",
            identifier(subscription),
            literal(conninfo.expose()),
            identifier(publication)
        );
        leave.ask().await?;
        target.execute(&sql, deadline).await.map_err(|error| match error {
            // The statement holds the connection string: none of the server's words may be told.
            PgError::Rejected { sqlstate, .. } => {
                format!("create subscription on {to} was rejected (SQLSTATE {sqlstate})")
            }
            PgError::NotServing { .. } => format!("{to}/repository does not serve"),
            PgError::Denied { .. } => format!("the login to {to}/repository is refused"),
            error => format!("create subscription on {to}: {}", chain(&error)),
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
            Err(trouble) => Err(chain(&trouble)),
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

async fn publish(
    source: &Pg,
    leave: &Leave<'_>,
    publication: &str,
    deadline: Instant,
) -> Result<(), Trouble> {
    let sql = format!("select 1 from pg_publication where pubname = {}", literal(publication));
    if scalar(source, &sql, deadline).await?.is_none() {
        let sql = format!("create publication {} for all tables", identifier(publication));
        change(source, leave, &sql, deadline).await?;
    }
    Ok(())
}

/// Drops a subscription without asking the other side for its slot, which may be gone.
async fn unsubscribe(
    pg: &Pg,
    leave: &Leave<'_>,
    subscription: &str,
    deadline: Instant,
) -> Result<(), Trouble> {
    if enabled(pg, subscription, deadline).await?.is_some() {
        let name = identifier(subscription);
        for sql in [
            format!("alter subscription {name} disable"),
            format!("alter subscription {name} set (slot_name = none)"),
            format!("drop subscription {name}"),
        ] {
            change(pg, leave, &sql, deadline).await?;
        }
    }
    Ok(())
}

/// Drops the slot of a subscription that no longer exists, and says whether it is gone; one that
/// stays in use is left alone.
async fn drop_slot(
    pg: &Pg,
    leave: &Leave<'_>,
    subscription: &str,
    deadline: Instant,
) -> Result<bool, Trouble> {
    let name = literal(subscription);
    let idle = format!(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
         where slot_name = {name} and not active"
    );
    let left = format!("select 1 from pg_replication_slots where slot_name = {name}");
    let patience = deadline.min(Instant::now() + SLOT_PATIENCE);
    let gone = wait_for(patience, || async {
        leave.ask().await.map_err(|why| Some(Trouble::Said(why)))?;
        // Somebody may have begun to use it in between: that is no reason to stop looking.
        let dropped = pg.query_rows(&idle, deadline).await;
        match (scalar(pg, &left, deadline).await, dropped) {
            (Ok(None), _) => Ok(()),
            (Ok(Some(_)), Ok(_)) => Err(None),
            (Ok(Some(_)), Err(error)) => {
                Err((error.sqlstate() != Some("55006")).then_some(Trouble::from(error)))
            }
            (Err(trouble), _) => Err(Some(trouble)),
        }
    })
    .await;
    match gone {
        Ok(()) => Ok(true),
        Err(None) => Ok(false),
        Err(Some(trouble)) => Err(trouble),
    }
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
    leave: &Leave<'_>,
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
        change(target, leave, &format!("truncate {}", tables.join(", ")), deadline).await?;
    }
    Ok(())
}
