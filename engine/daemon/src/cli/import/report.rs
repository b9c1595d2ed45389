//! What is said of each key: for people as a table, for programs as JSON.
//!
//! Invariant: no value is shown but those that something was made of. A key is shown only if it
//! reads as one, since a value that is broken over two lines looks like a key.

use std::fmt::Write as _;

use serde::Serialize;

use super::properties::Property;
use super::words::Meaning;

/// Longer keys are cut.
const LONGEST: usize = 60;

/// What became of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "outcome")]
pub(super) enum Outcome {
    /// It says what it means.
    Understood {
        /// What was made of it.
        became: String,
    },
    /// It was taken to mean something.
    Guessed {
        /// What was made of it.
        became: String,
        /// What makes it a guess.
        why: Vec<String>,
        /// What a person should look at.
        check: Vec<String>,
    },
    /// Nothing was made of it.
    Left {
        /// Why, and what to do instead.
        why: String,
    },
}

/// A key, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Row {
    /// Its line.
    pub(super) line: usize,
    /// The key; none: it may be a part of a value.
    pub(super) key: Option<String>,
    /// What became of it.
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// The key, if it can be shown.
pub(super) fn shown(property: &Property, meaning: &Meaning) -> Option<String> {
    let key = property.key.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | ' ');
    let named = (meaning.known > 0 && meaning.unknown == 0) || dotted(property);
    if !named || !key.chars().all(plain) {
        return None;
    }
    let mut cut: String = key.chars().take(LONGEST).collect();
    if cut.len() < key.len() {
        cut.push_str("...");
    }
    Some(cut)
}

/// Whether it reads as the name of a property, though not all of its words are known: such as
/// `frob.nicator`, with a value.
fn dotted(property: &Property) -> bool {
    let part = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_lowercase())
            && part.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'))
    };
    property.separated
        && !property.value.is_empty()
        && property.key.contains('.')
        && property.key.split('.').all(part)
}

/// The table: a section for each kind of outcome, in each the order of the file.
pub(super) fn table(file: &str, rows: &[Row]) -> String {
    let mut text = String::new();
    let count = |wanted: fn(&Outcome) -> bool| rows.iter().filter(|it| wanted(&it.outcome)).count();
    let understood = count(|it| matches!(it, Outcome::Understood { .. }));
    let guessed = count(|it| matches!(it, Outcome::Guessed { .. }));
    let _ = writeln!(
        text,
        "{file}: {} key{}: {understood} understood, {guessed} guessed, {} left out",
        rows.len(),
        if rows.len() == 1 { "" } else { "s" },
        rows.len() - understood - guessed,
    );
    let width = rows.iter().map(|row| name(row).len()).max().unwrap_or(0);
    section(&mut text, "understood", rows, |text, row| {
        let Outcome::Understood { became } = &row.outcome else { return };
        let _ = writeln!(text, "  {:>4}  {:<width$}  {became}", row.line, name(row));
    });
    section(&mut text, "guessed: look at each", rows, |text, row| {
        let Outcome::Guessed { became, why, check } = &row.outcome else { return };
        let _ = writeln!(text, "  {:>4}  {:<width$}  {became}", row.line, name(row));
        for (why, check) in why.iter().zip(check) {
            let _ = writeln!(text, "        {:<width$}  why: {why}", "");
            let _ = writeln!(text, "        {:<width$}  check {check}", "");
        }
    });
    section(&mut text, "left out: not used", rows, |text, row| {
        let Outcome::Left { why } = &row.outcome else { return };
        let _ = writeln!(text, "  {:>4}  {:<width$}  {why}", row.line, name(row));
    });
    text
}

fn section(text: &mut String, title: &str, rows: &[Row], write: impl Fn(&mut String, &Row)) {
    let mut inner = String::new();
    for row in rows {
        write(&mut inner, row);
    }
    if !inner.is_empty() {
        let _ = write!(text, "\n{title}\n{inner}");
    }
}

fn name(row: &Row) -> &str {
    row.key.as_deref().unwrap_or("(not shown)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str, value: &str, separated: bool) -> Option<String> {
        let (key, value) = (key.to_owned(), value.to_owned());
        let property = Property { key, value, line: 1, column: 1, separated };
        shown(&property, &Meaning::of(&property.key))
    }

    #[test]
    fn what_may_be_the_rest_of_a_value_is_not_shown() {
        assert_eq!(key("primary.daemon.host", "", true), Some("primary.daemon.host".to_owned()));
        assert_eq!(key("frob.nicator", "x", true), Some("frob.nicator".to_owned()));
        for (text, value, separated) in [
            ("hunter2", "", false),
            ("jms.broker.pwdhunter2", "", false),
            ("hunter2nineprimary.daemon.host", "dm1", true),
            ("hunter.two", "", true),
            ("aGVsbG8", "", true),
            ("hunter.two", "three", false),
            ("Hunter2.x", "y", true),
            ("host\u{1b}[31m", "x", true),
            ("", "x", true),
        ] {
            assert_eq!(key(text, value, separated), None, "{text}");
        }
        assert_eq!(key(&"host.".repeat(1_000), "x", true).map(|it| it.len()), Some(LONGEST + 3));
    }
}
