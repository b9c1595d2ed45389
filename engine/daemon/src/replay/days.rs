//! A replay as a picture of days: where the cluster stood, what was done, what would have been.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{ClusterName, Side, Timestamp};
use watchkeeper_core::proposal::Action;
use watchkeeper_core::replay::{Difference, Does, Gap, Kind, Moment};
use watchkeeper_core::state::State;

pub(super) const DAY: u64 = 86_400_000;

/// So much time is one character.
const CELL: u64 = DAY / 48;

/// Where a cluster stood. What counts more stands further down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stand {
    /// Nobody was asking the policies.
    Unwatched,
    /// The primary was active.
    Primary,
    /// The secondary was active.
    Secondary,
    /// Maintenance mode was on.
    Maintenance,
    /// A plan was in flight.
    Busy,
    /// A change of side had stopped on the way.
    Operator,
}

impl Stand {
    const fn letter(self) -> char {
        match self {
            Self::Unwatched => ' ',
            Self::Primary => '.',
            Self::Secondary => ':',
            Self::Maintenance => 'm',
            Self::Busy => '>',
            Self::Operator => '?',
        }
    }

    /// What it means, for a legend.
    pub(super) const fn meaning(self) -> &'static str {
        match self {
            Self::Unwatched => "no policies were asked",
            Self::Primary => "primary active",
            Self::Secondary => "secondary active",
            Self::Maintenance => "maintenance",
            Self::Busy => "plan in flight",
            Self::Operator => "an operator is needed",
        }
    }
}

/// A moment that stands out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at: Timestamp,
    pub(super) until: Timestamp,
    pub(super) letter: char,
    pub(super) meaning: &'static str,
    /// The whole of it.
    pub(super) text: String,
}

/// What happened, and what would have, over the days.
#[derive(Debug)]
pub struct Days {
    cluster: ClusterName,
    pub(super) since: Timestamp,
    pub(super) until: Timestamp,
    /// From when on it stood so.
    stands: Vec<(Timestamp, Stand)>,
    pub(super) done: Vec<Mark>,
    pub(super) would: Vec<Mark>,
    gaps: Vec<Gap>,
}

impl Days {
    /// Of which nothing is known yet.
    pub(super) fn new(cluster: ClusterName, since: Timestamp, until: Timestamp) -> Self {
        let (stands, done, would, gaps) = Default::default();
        Self { cluster, since, until, stands, done, would, gaps }
    }

    /// Takes in where everything stands after a record.
    pub(super) fn stands(&mut self, at: Timestamp, state: &State) {
        let Some(cluster) = state.clusters.get(&self.cluster) else { return };
        let stand = match cluster.phase {
            Phase::NeedsOperator(_) => Stand::Operator,
            phase if phase.in_flight() => Stand::Busy,
            _ if cluster.maintenance.is_some() => Stand::Maintenance,
            phase if phase.side() == Side::Secondary => Stand::Secondary,
            _ => Stand::Primary,
        };
        if self.stands.last().map(|(_, stand)| *stand) != Some(stand) {
            self.stands.push((at, stand));
        }
    }

    /// Takes a recorded decision in.
    pub(super) fn decided(&mut self, moment: &Moment) {
        let Does::Acts(wish) = Does::of(&moment.recorded.evaluated.decision) else { return };
        let (letter, meaning) = match wish.action {
            Action::Failover => ('F', "failed over"),
            Action::Rescue(_) => ('r', "rescued"),
            Action::StopService(_) => ('s', "stopped a stray"),
        };
        let text = format!("{}: {}, {}", moment.at, wish.action, wish.reason);
        self.done.push(Mark { at: moment.at, until: moment.at, letter, meaning, text });
    }

    /// Takes in what would have been different, and when nobody was asked.
    pub(super) fn differ(&mut self, differences: &[Difference], gaps: &[Gap]) {
        self.gaps = gaps.to_vec();
        for one in differences.iter().filter(|one| !one.after_another) {
            let (letter, meaning) = match one.kind {
                Kind::WouldAct | Kind::WouldActElse => ('!', "would have acted"),
                Kind::WouldNotAct => ('x', "would not have acted"),
                Kind::WouldHold => ('h', "would have held"),
                Kind::WouldWant | Kind::WouldNotWant | Kind::WouldWantElse => {
                    ('~', "would have wanted something else, held")
                }
            };
            let text = super::story::headline(one);
            self.would.push(Mark { at: one.at, until: one.until, letter, meaning, text });
        }
    }

    /// The first moments of the days, in UTC.
    pub(super) fn days(&self) -> impl Iterator<Item = Timestamp> + use<> {
        (self.since.0 / DAY..=self.until.0.saturating_sub(1) / DAY).map(|day| Timestamp(day * DAY))
    }

    /// Where it stood within a time, piece by piece.
    pub(super) fn pieces(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<(Timestamp, Timestamp, Stand)> {
        let (from, to) = (from.max(self.since), to.min(self.until));
        let mut pieces = Vec::new();
        let ends = self.stands.iter().skip(1).map(|(at, _)| *at).chain([self.until]);
        let spans = self.stands.iter().zip(ends).map(|((begin, stand), end)| (*begin, end, *stand));
        let gaps = self.gaps.iter().map(|gap| (gap.from, gap.until, Stand::Unwatched));
        for (begin, end, stand) in spans.chain(gaps) {
            let (begin, end) = (begin.max(from), end.min(to));
            if begin < end {
                pieces.push((begin, end, stand));
            }
        }
        pieces
    }

    fn stand(&self, from: Timestamp, to: Timestamp) -> Stand {
        let pieces = self.pieces(from, to);
        let covered = |piece: &&(Timestamp, Timestamp, Stand)| {
            piece.2 == Stand::Unwatched
                && piece.0 <= from.max(self.since)
                && piece.1 >= to.min(self.until)
        };
        if pieces.iter().any(|piece| covered(&piece)) {
            return Stand::Unwatched;
        }
        pieces.into_iter().map(|(_, _, stand)| stand).max().unwrap_or(Stand::Unwatched)
    }
}

/// The days as lines of characters, and what the characters mean. A day of which something would
/// have been different has a second line.
impl std::fmt::Display for Days {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut meanings: BTreeSet<(char, &'static str)> = BTreeSet::new();
        let mut lines = String::new();
        for day in self.days() {
            let (mut was, mut would) = (String::new(), String::new());
            for cell in 0..DAY / CELL {
                let (from, to) = (day.plus(cell * CELL), day.plus((cell + 1) * CELL));
                let mut mark = |marks: &[Mark]| {
                    let found = marks.iter().find(|it| it.at >= from && it.at < to)?;
                    meanings.insert((found.letter, found.meaning));
                    Some(found.letter)
                };
                let done = mark(&self.done);
                would.push(mark(&self.would).unwrap_or(' '));
                was.push(done.unwrap_or_else(|| {
                    let stand = self.stand(from, to);
                    if stand != Stand::Unwatched {
                        meanings.insert((stand.letter(), stand.meaning()));
                    }
                    stand.letter()
                }));
            }
            let date = day.to_string();
            let date = date.get(..10).unwrap_or_default();
            let _ = writeln!(lines, "{date}  {}", was.trim_end());
            if !would.trim().is_empty() {
                let _ = writeln!(lines, "{:>10}  {}", "differs", would.trim_end());
            }
        }
        writeln!(f, "{:>10}  0     3     6     9     12    15    18    21", "UTC")?;
        f.write_str(&lines)?;
        let meanings: Vec<String> =
            meanings.iter().map(|(letter, meaning)| format!("{letter} {meaning}")).collect();
        writeln!(f, "{:>10}  {}", "", meanings.join("   "))
    }
}
