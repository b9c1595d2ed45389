//! The statements that the daemon sends, each answered from the state.
//!
//! No SQL is understood: a statement is one of [`STATEMENTS`] from its first word to its last, or an
//! error that names it. A daemon whose statements change is thus told at once that the stand-in
//! does not know them, rather than answered with something that only looks right.
#![expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "one shape for every cell and every answer keeps the table readable"
)]

use crate::replication::{CURRENT_LSN, Database, Replication, Subscription, TABLES};

/// A value as PostgreSQL's text format has it; none is NULL.
pub(crate) type Value = Option<String>;

/// What a session looks at.
pub(crate) struct Session<'a> {
    pub(crate) replication: &'a mut Replication,
    /// The server whose repository this is.
    pub(crate) server: usize,
    /// The servers by their addresses.
    pub(crate) addresses: Vec<(usize, String)>,
    /// The servers whose repository can be reached from this one.
    pub(crate) reachable: Vec<usize>,
    /// Whether it takes no writes.
    pub(crate) read_only: bool,
    /// Who receives from whom now, as (receiver, sender).
    pub(crate) streams: Vec<(usize, usize)>,
}

/// The answer to a statement that succeeded.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// How many columns, and the rows.
    Rows(usize, Vec<Vec<Value>>),
    /// Only a command tag.
    Done(&'static str),
    /// The same, and it is worth a line in the site's log.
    Changed(&'static str, String),
}

/// The answer to a statement that failed: SQLSTATE and message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

type Answered = Result<Answer, Failure>;

fn failure<T>(code: &'static str, message: impl Into<String>) -> Result<T, Failure> {
    Err(Failure { code, message: message.into() })
}

/// A statement with `{}` for what varies, and its answer. The first that fits counts.
type Statement = (&'static str, fn(&mut Session<'_>, &[&str]) -> Answered);

const STATEMENTS: [Statement; 31] = [
    ("set statement_timeout = {}", |_, _| Ok(Answer::Done("SET"))),
    ("select 1", |_, _| one(Some("1"))),
    ("select pg_is_in_recovery(), current_setting('transaction_read_only')", |session, _| {
        Ok(Answer::Rows(2, vec![vec![flag(false), session.read_only_setting()]]))
    }),
    (
        "select pg_is_in_recovery(), current_setting('transaction_read_only'), \
         current_setting('server_version')",
        |session, _| {
            let setting = session.read_only_setting();
            Ok(Answer::Rows(3, vec![vec![flag(false), setting, text("15.8")]]))
        },
    ),
    // The probes of the replication.
    (
        "select s.slot_name, s.active, r.pid is not null, r.state, \
         pg_wal_lsn_diff(pg_current_wal_lsn(), r.sent_lsn)::bigint, \
         pg_wal_lsn_diff(r.sent_lsn, r.write_lsn)::bigint, \
         pg_wal_lsn_diff(r.write_lsn, r.flush_lsn)::bigint, \
         pg_wal_lsn_diff(r.flush_lsn, r.replay_lsn)::bigint, \
         pg_wal_lsn_diff(pg_current_wal_lsn(), r.replay_lsn)::bigint, \
         (extract(epoch from r.replay_lag) * 1000)::bigint, to_jsonb(s) ->> 'wal_status' \
         from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid \
         where s.slot_type = 'logical' and s.database = current_database() and {} \
         order by s.slot_name",
        sending,
    ),
    (
        "select s.subname, s.subenabled, bool_or(w.pid is not null) from pg_subscription s \
         left join pg_stat_subscription w on w.subid = s.oid and w.relid is null \
         where s.subdbid = (select oid from pg_database where datname = current_database()) \
         {}group by s.subname, s.subenabled order by s.subname",
        receiving,
    ),
    (
        "select coalesce(sum(s.apply_error_count + s.sync_error_count), 0)::bigint \
         from pg_stat_subscription_stats s where true{}",
        errors,
    ),
    // What the steps of a plan look at and do.
    ("select subenabled from pg_subscription where subname = {}", |session, given| {
        let found = session.subscription(given).map(|it| vec![flag(it.enabled)]);
        Ok(Answer::Rows(1, found.into_iter().collect()))
    }),
    // What a rehearsal asks about rights: there is one user, who may do everything.
    (
        "select pg_has_role(subowner, 'MEMBER') from pg_subscription where subname = {}",
        |session, given| {
            let found = session.subscription(given).map(|_| vec![flag(true)]);
            Ok(Answer::Rows(1, found.into_iter().collect()))
        },
    ),
    (
        "select format('%I.%I', schemaname, sequencename) from pg_sequences where not \
         has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'UPDATE') order by 1",
        |_, _| Ok(Answer::Rows(1, vec![])),
    ),
    (
        "select count(*) from pg_stat_subscription where subname = {} and pid is not null",
        |session, given| {
            let here = session.receives() && session.subscription(given).is_some();
            one(Some(if here { "1" } else { "0" }))
        },
    ),
    // Its workers end at once by themselves.
    (
        "select pg_terminate_backend(w.pid) from pg_stat_subscription w \
         join pg_stat_activity a on a.pid = w.pid where w.subname = {} and w.relid is null \
         and (w.received_lsn is null or a.state = 'idle')",
        |_, _| Ok(Answer::Rows(1, vec![])),
    ),
    ("alter subscription {} disable", |session, given| session.enable(given, false)),
    ("alter subscription {} set (slot_name = none)", |session, given| {
        match session.subscription_or_error(given)? {
            it if it.enabled => failure("55000", "cannot set slot_name = NONE while enabled"),
            it => {
                it.slot = None;
                Ok(Answer::Done("ALTER SUBSCRIPTION"))
            }
        }
    }),
    ("alter subscription {} enable", |session, given| session.enable(given, true)),
    ("drop subscription {}", drop_subscription),
    (
        "create subscription {} connection {} publication {} with (copy_data = true)",
        create_subscription,
    ),
    ("select pg_current_wal_insert_lsn()", |_, _| one(Some(CURRENT_LSN))),
    (
        "select pg_wal_lsn_diff({}, r.replay_lsn)::bigint from pg_replication_slots s \
         join pg_stat_replication r on r.pid = s.active_pid \
         where s.slot_name = {} and r.state = 'streaming'",
        |session, given| {
            let lag = session.replication.lags.total();
            let named = given.last().is_some_and(|name| session.sends_to(name));
            Ok(Answer::Rows(1, Vec::from_iter(named.then(|| vec![text(lag)]))))
        },
    ),
    (
        "select format('%I.%I', schemaname, sequencename), last_value, increment_by < 0, \
         min_value, max_value, \
         has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'SELECT, USAGE') \
         from pg_sequences order by 1",
        sequences,
    ),
    ("select distinct format('%I.%I', sn.nspname, s.relname), {} order by 1, 2, 3", |_, _| {
        let owner = |(table, sequence, _): (&str, &str, i64)| {
            vec![public(sequence), public(table), text("id")]
        };
        Ok(Answer::Rows(3, TABLES.into_iter().map(owner).collect()))
    }),
    ("select max(id)::bigint from {}", |session, given| {
        let table = plain(given.first().copied().unwrap_or_default());
        match session.database()?.rows.get(&table) {
            Some(greatest) => Ok(Answer::Rows(1, vec![vec![greatest.map(|it| it.to_string())]])),
            None => failure("42P01", format!("relation \"{table}\" does not exist")),
        }
    }),
    ("select setval({}, {})", set_sequence),
    ("select 1 from pg_publication where pubname = {}", |session, given| {
        let name = plain(given.first().copied().unwrap_or_default());
        found(session.database()?.publications.contains(&name))
    }),
    ("create publication {} for all tables", |session, given| {
        let name = plain(given.first().copied().unwrap_or_default());
        let note = format!("publication {name} created");
        if session.database()?.publications.insert(name) {
            Ok(Answer::Changed("CREATE PUBLICATION", note))
        } else {
            failure("42710", "the publication exists already")
        }
    }),
    (
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots \
         where slot_name = {} and not active",
        |session, given| {
            let name = plain(given.first().copied().unwrap_or_default());
            let idle = !session.slot_in_use(&name) && session.database()?.slots.remove(&name);
            Ok(Answer::Rows(1, Vec::from_iter(idle.then(|| vec![text("")]))))
        },
    ),
    ("select 1 from pg_replication_slots where slot_name = {} and active", |session, given| {
        let name = plain(given.first().copied().unwrap_or_default());
        found(session.slot_in_use(&name))
    }),
    ("select 1 from pg_replication_slots where slot_name = {}", |session, given| {
        let name = plain(given.first().copied().unwrap_or_default());
        found(session.database()?.slots.contains(&name))
    }),
    (
        "select format('%I.%I', schemaname, tablename) from pg_publication_tables \
         where pubname = {} order by 1",
        |session, given| {
            let name = plain(given.first().copied().unwrap_or_default());
            let published = session.database()?.publications.contains(&name);
            let tables = TABLES.into_iter().filter(|_| published);
            Ok(Answer::Rows(1, tables.map(|(table, _, _)| vec![public(table)]).collect()))
        },
    ),
    ("truncate {}", |session, given| {
        let tables: Vec<_> =
            given.first().copied().unwrap_or_default().split(", ").map(plain).collect();
        let rows = &mut session.database()?.rows;
        if let Some(missing) = tables.iter().find(|table| !rows.contains_key(*table)) {
            return failure("42P01", format!("relation \"{missing}\" does not exist"));
        }
        for table in &tables {
            rows.insert(table.clone(), None);
        }
        Ok(Answer::Changed("TRUNCATE TABLE", format!("{} emptied", tables.join(" and "))))
    }),
    (
        "select count(*) filter (where srsubstate <> 'r') from pg_subscription_rel r \
         join pg_subscription s on s.oid = r.srsubid where s.subname = {}",
        |session, given| {
            let left = session
                .subscription(given)
                .map_or(0, |it| if it.copied { 0 } else { TABLES.len() });
            one(Some(&left.to_string()))
        },
    ),
];

/// Carries out one statement.
pub(crate) fn answer(session: &mut Session<'_>, statement: &str) -> Answered {
    let words: Vec<&str> = statement.trim_end_matches(';').split_whitespace().collect();
    let statement = words.join(" ");
    for (form, carry_out) in &STATEMENTS {
        if let Some(given) = fit(form, &statement) {
            return carry_out(session, &given);
        }
    }
    failure("0A000", format!("the stand-in does not know this statement: {statement}"))
}

/// What stands at each `{}` of the form; none if the statement is another one.
fn fit<'a>(form: &str, statement: &'a str) -> Option<Vec<&'a str>> {
    let mut fixed = form.split("{}");
    let mut rest = statement.strip_prefix(fixed.next()?)?;
    let mut given = Vec::new();
    let mut fixed = fixed.peekable();
    while let Some(next) = fixed.next() {
        let (found, after) = if fixed.peek().is_none() {
            (rest.strip_suffix(next)?, "")
        } else {
            rest.split_once(next)?
        };
        given.push(found);
        rest = after;
    }
    rest.is_empty().then_some(given)
}

/// A literal's or an identifier's text, without its schema.
fn plain(quoted: &str) -> String {
    let bare = quoted.trim().trim_matches(|c| c == '\'' || c == '"');
    bare.strip_prefix("public.").unwrap_or(bare).to_owned()
}

fn flag(yes: bool) -> Value {
    text(if yes { "t" } else { "f" })
}

fn text(text: impl ToString) -> Value {
    Some(text.to_string())
}

fn public(name: &str) -> Value {
    Some(format!("public.{name}"))
}

fn one(value: Option<&str>) -> Answered {
    Ok(Answer::Rows(1, vec![vec![value.map(str::to_owned)]]))
}

fn found(yes: bool) -> Answered {
    Ok(Answer::Rows(1, Vec::from_iter(yes.then(|| vec![text(1)]))))
}

/// The name that a filter of a probe asks for, if it asks for one.
fn wanted(filter: &str, column: &str) -> Option<String> {
    filter.split_once(column)?.1.trim().strip_prefix('=').map(plain)
}

impl Session<'_> {
    fn database(&mut self) -> Result<&mut Database, Failure> {
        let database = self.replication.databases.get_mut(&self.server);
        database.ok_or(Failure { code: "3D000", message: "there is no database here".to_owned() })
    }

    /// The subscription of that name.
    fn subscription(&mut self, given: &[&str]) -> Option<&mut Subscription> {
        let name = plain(given.first()?);
        self.database().ok()?.subscription.as_mut().filter(|it| it.name == name)
    }

    fn subscription_or_error(&mut self, given: &[&str]) -> Result<&mut Subscription, Failure> {
        self.subscription(given).ok_or_else(|| Failure {
            code: "42704",
            message: format!("subscription {} does not exist", given.join(" ")),
        })
    }

    fn enable(&mut self, given: &[&str], enabled: bool) -> Answered {
        self.subscription_or_error(given)?.enabled = enabled;
        let note = format!("subscription {}", if enabled { "enabled" } else { "disabled" });
        Ok(Answer::Changed("ALTER SUBSCRIPTION", note))
    }

    fn read_only_setting(&self) -> Value {
        text(if self.read_only { "on" } else { "off" })
    }

    fn receives(&self) -> bool {
        self.streams.iter().any(|(to, _)| *to == self.server)
    }

    /// Whether the subscription or slot of that name is served from here now.
    fn slot_in_use(&self, name: &str) -> bool {
        self.streams.iter().filter(|(_, from)| *from == self.server).any(|(to, _)| {
            let receiver = self.replication.databases.get(to);
            let subscription = receiver.and_then(|it| it.subscription.as_ref());
            subscription.is_some_and(|it| it.slot.as_deref() == Some(name))
        })
    }

    fn sends_to(&self, literal: &str) -> bool {
        self.slot_in_use(&plain(literal))
    }
}

fn sending(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let slot = given.first().and_then(|filter| wanted(filter, "s.slot_name"));
    let slots = session.database()?.slots.clone();
    let lags = session.replication.lags;
    let rows = slots.into_iter().filter(|name| slot.as_ref().is_none_or(|slot| slot == name));
    let rows = rows.map(|name| {
        let active = session.slot_in_use(&name);
        let mut row = vec![text(name), flag(active), flag(active)];
        row.push(active.then(|| "streaming".to_owned()));
        for lag in [lags.sending, lags.receiving, lags.write, lags.replay, lags.total()] {
            row.push(active.then(|| lag.to_string()));
        }
        // Nothing is written here, so no change has a delay that could be measured.
        row.extend([None, text("reserved")]);
        row
    });
    Ok(Answer::Rows(11, rows.collect()))
}

fn receiving(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let name = given.first().and_then(|filter| wanted(filter, "s.subname"));
    let receives = session.receives();
    let found = session.database()?.subscription.as_ref();
    let found = found.filter(|it| name.as_ref().is_none_or(|name| *name == it.name));
    let row = found.map(|it| vec![text(&it.name), flag(it.enabled), flag(receives)]);
    Ok(Answer::Rows(3, row.into_iter().collect()))
}

fn errors(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let name = given.first().and_then(|filter| wanted(filter, "s.subname"));
    let found = session.database()?.subscription.as_ref();
    let found = found.filter(|it| name.as_ref().is_none_or(|name| *name == it.name));
    let Some(enabled) = found.map(|it| it.enabled) else { return one(Some("0")) };
    // A failing worker is started again and again; every look finds one more failure.
    let it = &mut *session.replication;
    it.apply_errors += u64::from(it.broken && enabled);
    one(Some(&it.apply_errors.to_string()))
}

fn sequences(session: &mut Session<'_>, _: &[&str]) -> Answered {
    let rows = session.database()?.sequences.iter().map(|(name, last)| {
        let last = last.map(|value| value.to_string());
        vec![public(name), last, flag(false), text(1), text(i64::MAX), flag(true)]
    });
    Ok(Answer::Rows(6, rows.collect()))
}

fn set_sequence(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let [name, value] = given else { return failure("42601", "setval takes two arguments") };
    let name = plain(name);
    let Ok(number) = value.parse::<i64>() else { return failure("22P02", "not a number") };
    if number < 1 {
        return failure("22003", format!("value {number} is out of bounds for \"{name}\""));
    }
    let Some(last) = session.database()?.sequences.get_mut(&name) else {
        return failure("42P01", format!("relation \"{name}\" does not exist"));
    };
    *last = Some(number);
    one(Some(value))
}

fn drop_subscription(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let it = session.subscription_or_error(given)?.clone();
    if let Some(slot) = &it.slot {
        let reachable = session.reachable.contains(&it.from);
        match session.replication.databases.get_mut(&it.from) {
            Some(sender) if reachable => sender.slots.remove(slot),
            _ => return failure("08006", "could not connect to publisher"),
        };
    }
    session.database()?.subscription = None;
    Ok(Answer::Changed("DROP SUBSCRIPTION", format!("subscription {} dropped", it.name)))
}

fn create_subscription(session: &mut Session<'_>, given: &[&str]) -> Answered {
    let [name, connection, publication] = given else { return failure("42601", "not understood") };
    let (name, publication) = (plain(name), plain(publication));
    if session.database()?.subscription.is_some() {
        return failure("42710", format!("subscription \"{name}\" already exists"));
    }
    let connection = plain(connection);
    let mut settings = connection.split(' ').filter_map(|pair| pair.split_once('='));
    // Quoted as libpq wants it, and once more as SQL does.
    let host = settings.find(|(key, _)| *key == "host").map(|(_, host)| host.trim_matches('\''));
    let known = session.addresses.iter().find(|(_, address)| Some(address.as_str()) == host);
    let from = known.map(|(server, _)| *server).filter(|it| session.reachable.contains(it));
    let sender = from.and_then(|from| Some((from, session.replication.databases.get_mut(&from)?)));
    let Some((from, sender)) = sender else {
        return failure("08006", "could not connect to the publisher");
    };
    if !sender.slots.insert(name.clone()) {
        return failure("42710", format!("replication slot \"{name}\" already exists"));
    }
    // Without its publication nothing is ever copied, and into a table with rows the copy fails
    // over and over, as with PostgreSQL.
    let published = sender.publications.contains(&publication);
    let rows = sender.rows.clone();
    let note = format!("subscription {name} created");
    let database = session.database()?;
    let copied = published && database.rows.values().all(Option::is_none);
    if copied {
        database.rows = rows;
    }
    let slot = Some(name.clone());
    database.subscription = Some(Subscription { name, enabled: true, from, slot, copied });
    Ok(Answer::Changed("CREATE SUBSCRIPTION", note))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_fits_from_its_first_word_to_its_last() {
        for (form, statement, expected) in [
            ("select 1", "select 1", Some(vec![])),
            ("select 1", "select 12", None),
            ("a {} b", "a x b", Some(vec!["x"])),
            ("a {} b", "a x b c", None),
            ("a {} b {}", "a x b y b", Some(vec!["x", "y b"])),
            ("a{} b", "a b", Some(vec![""])),
            ("a {} b", "c x b", None),
        ] {
            assert_eq!(fit(form, statement), expected, "{form} / {statement}");
        }
    }

    #[test]
    fn names_lose_their_quotes_and_their_schema() {
        for quoted in ["'job'", "\"job\"", "public.job", "'public.job'"] {
            assert_eq!(plain(quoted), "job", "{quoted}");
        }
        assert_eq!(wanted("s.slot_name = 'dm'", "s.slot_name").as_deref(), Some("dm"));
        assert_eq!(wanted("s.slot_name not like 'x'", "s.slot_name"), None);
    }
}
