//! A replay told for people.

use std::collections::BTreeMap;
use std::fmt;

use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::Action;
use watchkeeper_core::replay::{
    AlertDifference, Difference, Does, Kind, Source, Unwatched, Wish, Would,
};
use watchkeeper_core::settings::{self, Given};

use super::report::{Report, Tried};

/// A gap that is shorter is a restart, and not told.
const GAP: u64 = 60_000;

/// A difference in a line.
pub(super) fn headline(one: &Difference) -> String {
    let done = |does: &Does| match does {
        Does::Acts(wish) | Does::Holds { wish, .. } => active(&wish.action),
        Does::Nothing => "done nothing".to_owned(),
    };
    let what = match one.kind {
        Kind::WouldAct => format!("would have {}", done(&one.other)),
        Kind::WouldActElse => format!("would have {} instead", done(&one.other)),
        Kind::WouldNotAct => format!("would not have {}", done(&one.recorded)),
        Kind::WouldHold => format!("would not have {}, but held", done(&one.recorded)),
        Kind::WouldWant | Kind::WouldWantElse => {
            format!("would have wanted to {}, held", wished(&one.other))
        }
        Kind::WouldNotWant => format!("would not have wanted to {}", wished(&one.recorded)),
    };
    format!("{} {what}", one.at)
}

fn wished(does: &Does) -> String {
    match does {
        Does::Acts(wish) | Does::Holds { wish, .. } => wish.action.to_string(),
        Does::Nothing => "do nothing".to_owned(),
    }
}

/// `failed over`, as what somebody has done.
fn active(action: &Action) -> String {
    match action {
        Action::Rescue(id) => format!("rescued {id}"),
        Action::StopService(id) => format!("stopped {id}"),
        Action::Failover => "failed over".to_owned(),
    }
}

/// The same as what was done.
fn passive(action: &Action) -> String {
    match action {
        Action::Rescue(id) => format!("{id} was rescued"),
        Action::StopService(id) => format!("{id} was stopped"),
        Action::Failover => "the other side took over".to_owned(),
    }
}

fn source(source: Source) -> String {
    match source {
        Source::Recorded(seq) => format!("record {seq}"),
        Source::Reconstructed => "reconstructed".to_owned(),
    }
}

/// A time between two moments.
fn span(from: Timestamp, to: Timestamp) -> String {
    match to.since(from) {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms @ 1_000..120_000 => format!("{} s", ms / 1_000),
        ms @ 120_000..7_200_000 => format!("{} min", ms / 60_000),
        ms => format!("{} h", ms / 3_600_000),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}, from {} to {}", self.cluster, self.since, self.until)?;
        self.candidate.fmt(f)?;
        for other in &self.others {
            writeln!(f, "beside it {} {}", other.policy, other.revision)?;
        }
        writeln!(
            f,
            "asked at {} recorded moments, and at {} reconstructed ones in between",
            self.recorded, self.reconstructed
        )?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        self.fmt_exact(f)?;
        self.fmt_gaps(f)?;
        for failed in &self.failures {
            writeln!(
                f,
                "note: {} gave no answer {} times, first at {} ({}): {}",
                failed.policy,
                failed.times,
                failed.at,
                source(failed.source),
                failed.failure
            )?;
        }
        self.fmt_differences(f)?;
        self.fmt_alerts(f)
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.policy, self.revision)?;
        if !self.in_place_of.is_empty() {
            let before: Vec<String> = self.in_place_of.iter().map(ToString::to_string).collect();
            write!(f, " in the place of {}", before.join(", "))?;
        }
        let set: Vec<String> =
            self.set.iter().map(|(name, value)| format!("{name} = {}", plain(value))).collect();
        if set.is_empty() { writeln!(f) } else { writeln!(f, ", with {}", set.join(", ")) }
    }
}

/// A setting as the command line gave it.
fn plain(value: &Given) -> String {
    match value {
        Given::Flag(flag) => flag.to_string(),
        Given::Integer(number) => number.to_string(),
        Given::Text(text) if text.contains('\n') => {
            format!("a text of {} lines", text.lines().count())
        }
        Given::Text(text) => text.clone(),
        Given::Texts(texts) => texts.join(","),
    }
}

impl Report {
    fn fmt_exact(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.as_it_was > 0 {
            writeln!(
                f,
                "at {} of them every policy and setting is what it was, and nothing in between can \
                 differ",
                self.as_it_was
            )?;
        }
        if self.inexact.is_empty() {
            return Ok(());
        }
        let records: Vec<String> = self.inexact.iter().take(10).map(ToString::to_string).collect();
        writeln!(
            f,
            "note: {} of these came out differently all the same (record {}): this must not be; \
             please report it",
            self.inexact.len(),
            records.join(", ")
        )
    }

    fn fmt_gaps(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for gap in self.gaps.iter().filter(|gap| gap.until.since(gap.from) >= GAP) {
            let why = match gap.why {
                Unwatched::Stopped => "the monitor was stopped",
                Unwatched::Ended => "the monitor ended at some time after that without a word",
                Unwatched::Elsewhere => "the duty was elsewhere",
            };
            writeln!(f, "nothing is known from {} to {}: {why}", gap.from, gap.until)?;
        }
        Ok(())
    }

    fn fmt_differences(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told: Vec<&Difference> =
            self.differences.iter().filter(|one| !one.after_another).collect();
        if told.is_empty() {
            return writeln!(f, "\nno decision differs");
        }
        for (i, one) in told.iter().enumerate() {
            writeln!(f, "\n{}. {} ({})", i + 1, headline(one), source(one.source))?;
            fmt_other(f, one)?;
            fmt_recorded(f, one)?;
            let after = self.differences.iter().filter(|other| {
                other.after_another && other.episode == one.episode && other.at >= one.at
            });
            if one.kind.changes_the_world() {
                writeln!(f, "   what would have come of that cannot be known")?;
                let (count, last) = after.fold((0, one.until), |(count, last), other| {
                    (count + 1, last.max(other.until))
                });
                if count > 0 {
                    writeln!(
                        f,
                        "   in the recorded world {count} more differences followed until {last} \
                         (--json has them)"
                    )?;
                }
            }
        }
        Ok(())
    }

    fn fmt_alerts(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (would, title) in [
            (Would::Tell, "alerts that there would have been beside those that there were"),
            (Would::NotTell, "alerts that there would not have been"),
        ] {
            let ones: Vec<&AlertDifference> =
                self.alerts.iter().filter(|one| one.would == would && !one.after_another).collect();
            if ones.is_empty() {
                continue;
            }
            writeln!(f, "\n{title}")?;
            let mut groups: BTreeMap<_, Vec<&AlertDifference>> = BTreeMap::new();
            for one in ones {
                groups.entry((&one.by, &one.name, &one.server, one.service)).or_default().push(one);
            }
            for ones in groups.values() {
                fmt_alert_group(f, ones)?;
            }
        }
        Ok(())
    }
}

fn fmt_alert_group(f: &mut fmt::Formatter<'_>, ones: &[&AlertDifference]) -> fmt::Result {
    let Some(first) = ones.first() else { return Ok(()) };
    let total: u64 = ones.iter().map(|one| one.until.since(one.at)).sum();
    let times = if ones.len() == 1 { String::new() } else { format!("{} times, ", ones.len()) };
    writeln!(
        f,
        "  {} {} of {}: {times}first at {} ({}), in all for {}: {}",
        first.severity,
        first.name,
        first.by,
        first.at,
        source(first.source),
        span(Timestamp(0), Timestamp(total)),
        first.summary
    )
}

fn because(wish: &Wish) -> String {
    format!("{}: {}", wish.policy, wish.reason)
}

fn fmt_other(f: &mut fmt::Formatter<'_>, one: &Difference) -> fmt::Result {
    match &one.other {
        Does::Nothing => writeln!(f, "   it would have asked for nothing"),
        Does::Acts(wish) => writeln!(f, "   because {}", because(wish)),
        Does::Holds { wish, by } => {
            for hold in by {
                writeln!(f, "   held by {hold}")?;
            }
            writeln!(f, "   it was to {}, because {}", wish.action, because(wish))
        }
    }
}

fn fmt_recorded(f: &mut fmt::Formatter<'_>, one: &Difference) -> fmt::Result {
    match &one.recorded {
        Does::Nothing => writeln!(f, "   nothing was asked for")?,
        Does::Acts(wish) => {
            writeln!(f, "   {}, because {}", passive(&wish.action), because(wish))?;
        }
        Does::Holds { wish, by } => {
            let by: Vec<String> = by.iter().map(ToString::to_string).collect();
            writeln!(f, "   to {} was wanted, and held by {}", wish.action, by.join("; "))?;
        }
    }
    let Some(then) = &one.then else { return Ok(()) };
    let same = |wish: &Wish| matches!(&one.other, Does::Acts(other) if other.action == wish.action);
    let word = if same(&then.wish) { " all the same" } else { "" };
    writeln!(
        f,
        "   {} later {}{word} (record {}), because {}",
        span(one.at, then.at),
        passive(&then.wish.action),
        then.record,
        because(&then.wish)
    )
}

/// How much faster than the time itself it was.
pub fn speed(report: &Report) -> String {
    let (time, took) = (report.until.since(report.since), report.took_ms.max(1));
    let length = settings::duration_text(i64::try_from(time / 1_000 * 1_000).unwrap_or(i64::MAX));
    format!("{length} in {} ms: {} times as fast as they were\n", report.took_ms, time / took)
}
