//! What is wrong with a configuration, shown as a person needs it: the place, the line, a caret,
//! what was expected, and what was probably meant.
//!
//! Invariant: a problem shows no secret. The line is cut before a value that may be one.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::terminal;

/// Whether it has to be corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// The configuration is not accepted.
    Error,
    /// It is accepted, and probably not what was meant.
    Warning,
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

/// A place in a file, printed as `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Location {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1; 0 stands for the file as a whole.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Location {
    /// The file as a whole.
    pub fn whole(file: &Path) -> Self {
        Self { file: file.to_owned(), line: 0, column: 0 }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A file's name may hold control characters that would act on a terminal.
        for c in self.file.to_string_lossy().chars() {
            if terminal::acts(c) {
                write!(f, "{}", c.escape_default())?;
            } else {
                write!(f, "{c}")?;
            }
        }
        if self.line > 0 { write!(f, ":{}:{}", self.line, self.column) } else { Ok(()) }
    }
}

/// A line of a file with the part that is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, without control characters, cut where it is long or may hold a secret.
    pub text: String,
    /// How many characters stand before the part that is meant.
    pub before: usize,
    /// How many characters are meant; at least 1.
    pub width: usize,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Whether it has to be corrected.
    pub level: Level,
    /// Where.
    pub at: Location,
    /// The line; none for the file as a whole.
    pub excerpt: Option<Excerpt>,
    /// What is wrong.
    pub message: String,
    /// What to do, or what else belongs to it.
    pub help: Vec<String>,
}

impl Problem {
    /// An error about a file as a whole.
    pub fn whole(file: &Path, message: String) -> Self {
        Self {
            level: Level::Error,
            at: Location::whole(file),
            excerpt: None,
            message,
            help: Vec::new(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.level, self.message)?;
        writeln!(f, "  --> {}", self.at)?;
        let number = self.at.line.to_string();
        let margin = number.len();
        if let Some(excerpt) = &self.excerpt {
            writeln!(f, "{number} | {}", excerpt.text)?;
            writeln!(
                f,
                "{:margin$} | {:before$}{}",
                "",
                "",
                "^".repeat(excerpt.width.max(1)),
                before = excerpt.before
            )?;
        }
        for line in &self.help {
            writeln!(f, "{:margin$} = {line}", "")?;
        }
        Ok(())
    }
}

/// Everything that is wrong, in the order of the files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problems {
    list: Vec<Problem>,
    files: Vec<PathBuf>,
}

impl Problems {
    pub(super) fn new(list: Vec<Problem>, files: Vec<PathBuf>) -> Self {
        Self { list, files }
    }

    /// Each of them.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The files that were read, to watch them for their correction.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// How many of this level there are.
    pub fn count(&self, level: Level) -> usize {
        count(&self.list, level)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&report(&self.list))
    }
}

fn count(list: &[Problem], level: Level) -> usize {
    list.iter().filter(|problem| problem.level == level).count()
}

/// All of them, and how many there are.
pub fn report(list: &[Problem]) -> String {
    let mut text = String::new();
    for problem in list {
        text.push_str(&problem.to_string());
        text.push('\n');
    }
    let number =
        |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    text.push_str(&number(count(list, Level::Error), "error"));
    text.push_str(", ");
    text.push_str(&number(count(list, Level::Warning), "warning"));
    text
}
