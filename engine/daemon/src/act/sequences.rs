//! Carrying the repository's sequences over, which replication leaves out: without it the first
//! insert on the new side takes a number that a row has already.
//!
//! Invariant: a sequence only ever moves on, never back, and a lost old side never makes this
//! fail: what it counted is then made up for from the rows that arrived.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::model::ServerName;

use super::leave::Leave;
use super::repository::{Trouble, literal, outcome, parts, scalar};
use super::suspicion::Suspicions;
use super::{Equipment, done};
use crate::errors::chain;
use crate::postgres::Pg;

/// How far a sequence is moved on beyond all that is known to be used, when the side that counted
/// until now cannot be asked: it may have handed out numbers whose rows never arrived.
const GAP: i64 = 1_000;

/// How long the side that counted until now is given to tell its sequences: one query. One that is
/// known to be silent is not asked.
const OLD_SIDE_PATIENCE: Duration = Duration::from_secs(3);

pub(super) async fn carry(
    equipment: &Equipment,
    suspicions: &Suspicions,
    leave: &Leave<'_>,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Outcome {
    outcome(try_carry(equipment, suspicions, leave, from, to, deadline).await)
}

/// What a server says of a sequence.
struct Sequence {
    /// The last number that it gave; none: it gave none yet.
    last: Option<i64>,
    descending: bool,
    least: i64,
    greatest: i64,
}

impl Sequence {
    /// The furthest of these numbers in the direction in which it counts.
    fn furthest(&self, numbers: impl IntoIterator<Item = Option<i64>>) -> Option<i64> {
        let numbers = numbers.into_iter().flatten();
        if self.descending { numbers.min() } else { numbers.max() }
    }

    /// Where it has to stand so that it gives nothing that was given before; none: it may stay.
    /// `counted` is what the old side says, if it could be asked, and `used` the furthest number
    /// that stands in a row. Giving the same figures again gives none.
    fn target(&self, counted: Result<Option<i64>, ()>, used: Option<i64>) -> Option<i64> {
        let gap = if self.descending { -GAP } else { GAP };
        let wanted = match (counted, used) {
            (Ok(counted), used) => self.furthest([counted, used, self.last])?,
            (Err(()), Some(used)) => self.furthest([Some(used.saturating_add(gap)), self.last])?,
            // No row tells whether the gap was left already; leaving it twice does no harm.
            (Err(()), None) => self.last?.saturating_add(gap),
        };
        // Rows may hold numbers that it never gave, and that it does not come to either.
        let before_it = if self.descending { wanted > self.greatest } else { wanted < self.least };
        let wanted = wanted.clamp(self.least, self.greatest);
        (!before_it && Some(wanted) != self.last).then_some(wanted)
    }
}

/// The sequences by their quoted names.
type Sequences = BTreeMap<String, Sequence>;

async fn sequences(pg: &Pg, deadline: Instant) -> Result<Sequences, Trouble> {
    // To a user who may not read it a sequence looks as if it had never been used.
    let rows = pg
        .query_rows(
            "select format('%I.%I', schemaname, sequencename), last_value, increment_by < 0, \
             min_value, max_value, \
             has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'SELECT, USAGE') \
             from pg_sequences order by 1",
            deadline,
        )
        .await?;
    let mut sequences = Sequences::new();
    for row in rows {
        let [Some(name), last, Some(falling), Some(min), Some(max), Some(readable)] =
            <[Option<String>; 6]>::try_from(row).unwrap_or_default()
        else {
            return Err(Trouble::Said("pg_sequences cannot be understood".to_owned()));
        };
        if readable != "t" {
            return Err(Trouble::Said(format!("the sequence {name} may not be read")));
        }
        let number = |text: String| {
            text.parse::<i64>().map_err(|_| format!("the sequence {name} holds {text:?}"))
        };
        let sequence = Sequence {
            last: last.map(number).transpose()?,
            descending: falling == "t",
            least: number(min)?,
            greatest: number(max)?,
        };
        sequences.insert(name, sequence);
    }
    Ok(sequences)
}

/// How many sequences may be read on `server`.
pub(super) async fn may_read(
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> Result<usize, Trouble> {
    let (_, pg) = parts(equipment, server)?;
    let soon = deadline.min(Instant::now() + OLD_SIDE_PATIENCE);
    Ok(sequences(pg, soon).await?.len())
}

/// How many sequences there are on `server`; an error if one may not be read or moved on.
pub(super) async fn may_carry(
    equipment: &Equipment,
    server: &ServerName,
    deadline: Instant,
) -> Result<usize, Trouble> {
    let (_, pg) = parts(equipment, server)?;
    let found = sequences(pg, deadline).await?;
    let fixed = "select format('%I.%I', schemaname, sequencename) from pg_sequences where not \
                 has_sequence_privilege(format('%I.%I', schemaname, sequencename), 'UPDATE') order by 1";
    match scalar(pg, fixed, deadline).await? {
        Some(name) => Err(Trouble::Said(format!("the sequence {name} may not be moved on"))),
        None => Ok(found.len()),
    }
}

/// The columns that each sequence numbers, as (sequence, table, column), all quoted: those it
/// belongs to, and those that take it as their default.
async fn owners(pg: &Pg, deadline: Instant) -> Result<Vec<[String; 3]>, Trouble> {
    let rows = pg
        .query_rows(
            "select distinct format('%I.%I', sn.nspname, s.relname), \
             format('%I.%I', tn.nspname, t.relname), format('%I', a.attname) \
             from (select d.objid as sequence, d.refobjid as owner, d.refobjsubid as place \
             from pg_depend d where d.classid = 'pg_class'::regclass \
             and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') \
             union all select d.refobjid, f.adrelid, f.adnum from pg_depend d \
             join pg_attrdef f on f.oid = d.objid where d.classid = 'pg_attrdef'::regclass \
             and d.refclassid = 'pg_class'::regclass) o \
             join pg_class s on s.oid = o.sequence and s.relkind = 'S' \
             join pg_namespace sn on sn.oid = s.relnamespace \
             join pg_class t on t.oid = o.owner and t.relkind in ('r', 'p') \
             join pg_namespace tn on tn.oid = t.relnamespace \
             join pg_attribute a on a.attrelid = t.oid and a.attnum = o.place \
             where a.atttypid in ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) \
             order by 1, 2, 3",
            deadline,
        )
        .await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| row.into_iter().collect::<Option<Vec<_>>>()?.try_into().ok())
        .collect())
}

/// The furthest number of each sequence that stands in a row on `pg`.
async fn used(
    pg: &Pg,
    sequences: &Sequences,
    deadline: Instant,
) -> Result<BTreeMap<String, i64>, Trouble> {
    let mut used = BTreeMap::new();
    for [name, table, column] in owners(pg, deadline).await? {
        let Some(sequence) = sequences.get(&name) else { continue };
        let furthest = if sequence.descending { "min" } else { "max" };
        let sql = format!("select {furthest}({column})::bigint from {table}");
        let found = scalar(pg, &sql, deadline).await?.and_then(|text| text.parse().ok());
        if let Some(value) = sequence.furthest([found, used.get(&name).copied()]) {
            used.insert(name, value);
        }
    }
    Ok(used)
}

/// What the side that counted until now says, if it can be asked.
async fn counted(
    pg: &Pg,
    suspicions: &Suspicions,
    server: &ServerName,
    deadline: Instant,
) -> Result<Sequences, Trouble> {
    let now = Instant::now();
    match suspicions.silence(server, now) {
        Some(silence) => Err(Trouble::Said(silence)),
        // As long as it takes it to answer on a bad day, and no longer: it may be gone, and
        // everybody waits.
        None => sequences(pg, deadline.min(now + OLD_SIDE_PATIENCE)).await,
    }
}

async fn try_carry(
    equipment: &Equipment,
    suspicions: &Suspicions,
    leave: &Leave<'_>,
    from: &ServerName,
    to: &ServerName,
    deadline: Instant,
) -> Result<Outcome, Trouble> {
    let (_, target) = parts(equipment, to)?;
    let (_, source) = parts(equipment, from)?;
    let (here, there) =
        tokio::join!(sequences(target, deadline), counted(source, suspicions, from, deadline));
    let here = here?;
    let used = used(target, &here, deadline).await?;
    let mut moved = 0;
    for (name, sequence) in &here {
        let counted = match &there {
            Ok(there) => Ok(there.get(name).and_then(|there| there.last)),
            Err(_) => Err(()),
        };
        if let Some(wanted) = sequence.target(counted, used.get(name).copied()) {
            let sql = format!("select setval({}, {wanted})", literal(name));
            leave.ask().await?;
            scalar(target, &sql, deadline).await?;
            moved += 1;
        }
    }
    let source = match there {
        Ok(_) => format!("as {from} counted them"),
        Err(trouble) => format!(
            "{from} could not be asked ({}), so each is {GAP} beyond the last number in use",
            chain(&trouble)
        ),
    };
    Ok(done(format!("{moved} of {} sequences moved on, {source}", here.len()), moved > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(last: Option<i64>) -> Sequence {
        Sequence { last, descending: false, least: 1, greatest: 5_000 }
    }

    #[test]
    fn the_old_sides_word_counts_if_it_is_the_furthest() {
        for (last, counted, used, expected) in [
            (None, Some(7), None, Some(7)),
            (None, Some(7), Some(9), Some(9)),
            // It was ahead, or was carried over before.
            (Some(9), Some(7), Some(8), None),
            (Some(7), Some(7), Some(7), None),
            // Nothing was ever counted, and no row says otherwise.
            (None, None, None, None),
            // A row that was put in by hand, below all that the sequence gives.
            (None, None, Some(-3), None),
            (None, Some(4_999), Some(9_000), Some(5_000)),
        ] {
            let found = sequence(last).target(Ok(counted), used);
            assert_eq!(found, expected, "{last:?} {counted:?} {used:?}");
        }
    }

    #[test]
    fn a_silent_old_side_is_made_up_for_once() {
        for (last, used, expected) in [
            (None, Some(7), Some(7 + GAP)),
            (Some(7 + GAP), Some(7), None),
            // A row more than then is no gap.
            (Some(8), Some(7), Some(7 + GAP)),
            (Some(8), None, Some(8 + GAP)),
            (None, None, None),
            (None, Some(4_900), Some(5_000)),
            (Some(5_000), Some(4_900), None),
        ] {
            let found = sequence(last).target(Err(()), used);
            assert_eq!(found, expected, "{last:?} {used:?}");
        }
    }

    #[test]
    fn one_that_counts_down_is_moved_down() {
        let down = |last| Sequence { last, descending: true, least: -5_000, greatest: -1 };
        assert_eq!(down(None).target(Ok(Some(-7)), Some(-9)), Some(-9));
        assert_eq!(down(Some(-9)).target(Ok(Some(-7)), None), None);
        assert_eq!(down(None).target(Err(()), Some(-9)), Some(-9 - GAP));
        assert_eq!(down(None).target(Err(()), Some(-4_500)), Some(-5_000));
        assert_eq!(down(None).target(Ok(None), Some(3)), None);
    }
}
