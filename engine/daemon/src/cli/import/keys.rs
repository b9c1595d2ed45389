//! Every key of the file: what it claims, what became of it, and what is wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::properties::{Properties, Property};
use super::reading::{Reading, reading};
use super::reasons::{Doubt, Left};
use super::report::{Outcome, Row, shown};
use super::site::{Finding, Settled, Sourced};
use super::values::BadValue;
use super::words::Meaning;
use crate::config::{Level, Location, Problem};

/// The keys of a file.
pub(super) struct Keys<'a> {
    properties: &'a Properties,
    list: Vec<Key<'a>>,
}

struct Key<'a> {
    property: &'a Property,
    /// As it may be shown.
    shown: Option<String>,
    /// Whether a word of it is known.
    known: bool,
    reading: Reading,
}

impl<'a> Keys<'a> {
    /// Reads each of them.
    pub(super) fn of(properties: &'a Properties) -> Self {
        let key = |property: &'a Property| {
            let meaning = Meaning::of(&property.key);
            Key {
                property,
                shown: shown(property, &meaning),
                known: meaning.known > 0,
                reading: reading(property, &meaning),
            }
        };
        Self { properties, list: properties.list.iter().map(key).collect() }
    }

    /// What all of them claim, in the order of the file.
    pub(super) fn claims(&self) -> Vec<Sourced> {
        let mut claims = Vec::new();
        for key in &self.list {
            if let Reading::Claims(list, _) = &key.reading {
                let line = key.property.line;
                claims.extend(list.iter().map(|claim| Sourced { line, claim: claim.clone() }));
            }
        }
        claims
    }

    /// The lines that are understood with doubts only.
    pub(super) fn guessed(&self, settled: &Settled) -> BTreeSet<usize> {
        let doubted =
            |key: &&Key<'_>| matches!(&key.reading, Reading::Claims(_, it) if !it.is_empty());
        let own = self.list.iter().filter(doubted).map(|key| key.property.line);
        own.chain(settled.doubts.iter().map(|(line, _)| *line)).collect()
    }

    /// What became of each.
    pub(super) fn rows(&self, settled: &Settled) -> Vec<Row> {
        let row = |key: &Key<'_>| Row {
            line: key.property.line,
            key: key.shown.clone(),
            outcome: key.outcome(settled),
        };
        self.list.iter().map(row).collect()
    }

    /// What is wrong with the file, in the order of its lines.
    pub(super) fn problems(&self, settled: &Settled, file: &Path) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for bad in &self.properties.bad {
            problems.push(Problem {
                level: Level::Error,
                at: Location { file: file.to_owned(), line: bad.line, column: bad.column },
                excerpt: None,
                message: "`\\u` is not followed by the four digits of a character".to_owned(),
                help: vec!["a backslash itself is written `\\\\`".to_owned()],
            });
        }
        let mut first: BTreeMap<&str, &Key<'_>> = BTreeMap::new();
        let mut again = BTreeSet::new();
        for key in &self.list {
            problems.extend(key.problem(file));
            if let Some(earlier) = first.get(key.property.key.as_str()) {
                problems.push(key.again(earlier, file));
                again.insert(key.property.line);
            } else {
                first.insert(&key.property.key, key);
            }
        }
        if self.list.is_empty() && problems.is_empty() {
            return vec![Problem::whole(file, "there is no key in this file".to_owned())];
        }
        for finding in &settled.findings {
            // That a key disagrees with itself has been said.
            let said = finding.line.is_some_and(|line| again.contains(&line));
            if !(said && finding.error) {
                problems.push(self.found(finding, file));
            }
        }
        problems.sort_by_key(|problem| problem.at.line);
        problems
    }

    fn found(&self, finding: &Finding, file: &Path) -> Problem {
        let key = self.list.iter().find(|key| Some(key.property.line) == finding.line);
        Problem {
            level: if finding.error { Level::Error } else { Level::Warning },
            at: key.map_or_else(|| Location::whole(file), |key| key.at(file)),
            excerpt: None,
            message: finding.message.clone(),
            help: vec![finding.help.clone()],
        }
    }
}

impl Key<'_> {
    fn at(&self, file: &Path) -> Location {
        let Property { line, column, .. } = *self.property;
        Location { file: file.to_owned(), line, column }
    }

    fn name(&self) -> String {
        self.shown.as_ref().map_or_else(|| "this key".to_owned(), |key| format!("`{key}`"))
    }

    fn outcome(&self, settled: &Settled) -> Outcome {
        let (claims, own) = match &self.reading {
            Reading::Claims(claims, doubts) => (claims, doubts),
            Reading::Left(left) => return Outcome::Left { why: left.why().to_owned() },
            Reading::Bad(_) => return Outcome::Left { why: Left::Bad.why().to_owned() },
        };
        let became: Vec<String> = claims.iter().map(|claim| settled.site.became(claim)).collect();
        let became = became.join("; ");
        let of_line = settled.doubts.iter().filter(|(line, _)| *line == self.property.line);
        let mut doubts: Vec<&Doubt> = Vec::new();
        for doubt in own.iter().chain(of_line.map(|(_, doubt)| doubt)) {
            if !doubts.contains(&doubt) {
                doubts.push(doubt);
            }
        }
        if doubts.is_empty() {
            return Outcome::Understood { became };
        }
        Outcome::Guessed {
            became,
            why: doubts.iter().map(|doubt| doubt.why()).collect(),
            check: doubts.iter().map(|doubt| doubt.check()).collect(),
        }
    }

    /// What is wrong with the value.
    fn problem(&self, file: &Path) -> Option<Problem> {
        let (level, message, help) = match &self.reading {
            Reading::Bad(bad) => (Level::Error, format!("{}: {bad}", self.name()), help(*bad)),
            Reading::Left(Left::Empty) if self.known => {
                (Level::Warning, format!("{} has no value", self.name()), None)
            }
            _ => return None,
        };
        let help = help.map(str::to_owned).into_iter().collect();
        Some(Problem { level, at: self.at(file), excerpt: None, message, help })
    }

    /// The same key as an earlier one: wrong if it matters which of them counts.
    fn again(&self, earlier: &Self, file: &Path) -> Problem {
        let matters = !matches!(self.reading, Reading::Left(_));
        let other = self.property.value != earlier.property.value;
        let line = earlier.property.line;
        Problem {
            level: if matters && other { Level::Error } else { Level::Warning },
            at: self.at(file),
            excerpt: None,
            message: format!(
                "{} is given a second time{}; it was first given on line {line}",
                self.name(),
                if other { ", with another value" } else { "" },
            ),
            help: if other {
                vec!["Data Mover takes the last one; keep the right one only".to_owned()]
            } else {
                Vec::new()
            },
        }
    }
}

const fn help(bad: BadValue) -> Option<&'static str> {
    Some(match bad {
        BadValue::HostCharacter('#' | '!') => "a comment stands on a line of its own",
        BadValue::HostCharacter('"' | '\'') => "values stand without quotes in such a file",
        BadValue::HostCharacter('<' | '$' | '{') => "put the host there",
        BadValue::Loopback => "give the name or address by which the other servers reach it",
        BadValue::Several => "only agents are a list",
        _ => return None,
    })
}
