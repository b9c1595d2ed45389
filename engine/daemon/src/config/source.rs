//! The files as they are written: read within bounds, parsed, merged into one tree in which every
//! key and value knows its place.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::excerpt::{self, Line};
use super::problem::{Excerpt, Level, Location, Problem};

/// The largest file that is read, in bytes: a thousand clusters fit well.
const MAX_FILE: u64 = 4 << 20;

/// A part of a file: byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) file: usize,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value as it was written.
#[derive(Debug, Clone)]
pub(super) enum Value {
    Text(String),
    Integer(Option<i64>),
    Float(String),
    Flag(bool),
    Datetime(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys in the order in which they were written.
#[derive(Debug, Clone, Default)]
pub(super) struct Table {
    pub(super) entries: Vec<Entry>,
}

/// A key with its value.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

impl Table {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

impl Value {
    /// The type in words, never the value: it may be a secret.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Integer(_) => "a whole number",
            Self::Float(_) => "a decimal number",
            Self::Flag(_) => "true or false",
            Self::Datetime(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    pub(super) text: String,
    /// Where each line begins.
    lines: Vec<usize>,
    /// What is not to be shown.
    hidden: Vec<Place>,
}

/// The files, and what was found to be wrong so far.
#[derive(Debug, Default)]
pub(super) struct Sources {
    /// Whether these files hold nothing that has to be hidden, such as a configuration's secrets.
    pub(super) open: bool,
    pub(super) files: Vec<Source>,
    /// Files that these name, with their texts; without a text if there is something wrong with it.
    pub(super) beside: RefCell<Vec<(PathBuf, String)>>,
    pub(super) problems: RefCell<Vec<(Place, Problem)>>,
}

/// What is said about a place.
pub(super) struct Note {
    pub(super) level: Level,
    pub(super) message: String,
    pub(super) help: Vec<String>,
    /// The line is not shown from this offset on: what follows may be a secret.
    pub(super) hide_from: Option<usize>,
}

impl Sources {
    pub(super) fn error(&self, place: Place, message: impl Into<String>) {
        self.note(place, Note::error(message));
    }

    pub(super) fn warning(&self, place: Place, message: impl Into<String>, help: &str) {
        let mut note = Note::error(message).help(help);
        note.level = Level::Warning;
        self.note(place, note);
    }

    pub(super) fn note(&self, place: Place, note: Note) {
        let (at, excerpt) = self.show(place, note.hide_from);
        let problem =
            Problem { level: note.level, at, excerpt, message: note.message, help: note.help };
        self.problems.borrow_mut().push((place, problem));
    }

    /// Another file has been read, or should have been.
    pub(super) fn read_beside(&self, path: &Path, text: &str) {
        self.beside.borrow_mut().push((path.to_owned(), text.to_owned()));
    }

    pub(super) fn location(&self, place: Place) -> Location {
        self.show(place, None).0
    }

    /// Reads a file and adds it. Says what is wrong with it at `named`, or about it as a whole.
    pub(super) fn read(&mut self, path: &Path, named: Option<Place>) -> Option<Table> {
        let say = |sources: &Self, message: String| {
            let message = format!("cannot read {}: {message}", path.display());
            if let Some(place) = named {
                sources.error(place, message);
            } else {
                let place = Place { file: 0, start: 0, end: 0 };
                let mut problem = Problem::whole(path, message);
                if !path.exists() && !sources.open {
                    problem.help.push("`watchkeeper init` writes one to start from".to_owned());
                }
                sources.problems.borrow_mut().push((place, problem));
            }
        };
        let bytes = match read_bounded(path, MAX_FILE) {
            Ok(bytes) => bytes,
            Err(message) => {
                say(self, message);
                return None;
            }
        };
        let file = self.files.len();
        let (text, broken) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
        let lines = lines.collect();
        self.files.push(Source { path: path.to_owned(), text, lines, hidden: Vec::new() });
        if let Some(at) = broken {
            let place = Place { file, start: at, end: at + 1 };
            self.note_untold(
                place,
                Note::error("this is not UTF-8").help("save the file in UTF-8"),
            );
            return None;
        }
        let table = self.parse(file)?;
        if let Some(source) = self.files.get_mut(file).filter(|_| !self.open) {
            excerpt::conceal(&table, "", &mut source.hidden);
            source.hidden.sort_unstable();
        }
        Some(table)
    }

    fn parse(&self, file: usize) -> Option<Table> {
        let text = &self.files.get(file)?.text;
        let (root, mut errors) = DeTable::parse_recoverable(text);
        errors.sort_by_key(|error| error.span().map(|span| span.start));
        let (mut table_twice, mut last) = (None, None);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let place = Place { file, start: span.start, end: span.end };
            let line = self.location(place).line;
            if last.replace(line) == Some(line) {
                continue;
            }
            let message = error.message().lines().next().unwrap_or("not TOML");
            let mut note = Note::error(format!("this is not TOML: {message}"));
            if message == "duplicate key" {
                // Of a table that is there twice the keys are there twice too.
                if table_twice.is_some_and(|from| !has_header(text, from, place.start)) {
                    continue;
                }
                if self.line_of(place).1.trim_start().starts_with('[') {
                    table_twice = Some(place.end);
                }
                note = note.help("it is given further up already");
            }
            let open = message.contains("inline table") || message.contains("array");
            if open {
                note = note.help("a `{` or `[` further up may not be closed");
            }
            self.note_untold(place, note);
            if open {
                // What follows was read as a part of it.
                break;
            }
        }
        errors.is_empty().then(|| table(file, root.get_ref()))
    }

    /// Says something of a line that was not understood and may therefore hold anything.
    fn note_untold(&self, place: Place, note: Note) {
        let Some(source) = self.files.get(place.file) else { return };
        let (start, line) = self.line_of(place);
        if self.open {
            return self.note(place, note);
        }
        let from = excerpt::untold(source.text.get(..start).unwrap_or(""), line);
        let note = match from {
            Some(0) => note.help("the line is not shown: it may hold a secret"),
            _ => note,
        };
        self.note(place, Note { hide_from: from.map(|from| start + from), ..note });
    }

    /// The line that holds the beginning of the place, and where it begins.
    fn line_of(&self, place: Place) -> (usize, &str) {
        let Some(source) = self.files.get(place.file) else { return (0, "") };
        let number = source.line(place.start);
        let start = number.checked_sub(1).and_then(|i| source.lines.get(i)).map_or(0, |at| *at);
        let line = source.text.get(start..).unwrap_or("").split('\n').next().unwrap_or("");
        (start, line.trim_end_matches('\r'))
    }

    /// Puts `from` into `into`. Tables merge; everything else may be given once.
    pub(super) fn merge(&self, into: &mut Table, from: Table) {
        for entry in from.entries {
            let Some(old) = into.entries.iter_mut().find(|old| old.key == entry.key) else {
                into.entries.push(entry);
                continue;
            };
            let first = old.key_place;
            if let (Value::Table(old), Value::Table(new)) = (&mut old.node.value, entry.node.value)
            {
                self.merge(old, new);
            } else {
                let note = Note::error(format!("`{}` is given a second time", entry.key))
                    .help(&format!("it was first given at {}", self.location(first)));
                self.note(entry.key_place, note);
            }
        }
    }

    fn show(&self, place: Place, hide_from: Option<usize>) -> (Location, Option<Excerpt>) {
        let Some(source) = self.files.get(place.file) else {
            return (Location::whole(Path::new("?")), None);
        };
        if source.text.trim().is_empty() {
            return (Location::whole(&source.path), None);
        }
        let (start, text) = self.line_of(place);
        let end = start + text.len();
        let from = source.text.floor_char_boundary(place.start).clamp(start, end);
        let column = source.text.get(start..from).unwrap_or("").chars().count() + 1;
        let at = Location { file: source.path.clone(), line: source.line(place.start), column };
        let spans: Vec<Place> =
            source.hidden.iter().filter(|it| it.start < end && it.end > start).copied().collect();
        let line = Line { start, text, from, to: place.end.clamp(from, end) };
        let excerpt = excerpt::excerpt(&line, |at| {
            hide_from.is_some_and(|from| at >= from)
                || spans.iter().any(|span| (span.start..span.end).contains(&at))
        });
        (at, Some(excerpt))
    }
}

impl Source {
    /// The number, from 1, of the line that holds the offset.
    fn line(&self, at: usize) -> usize {
        self.lines.partition_point(|start| *start <= at)
    }
}

impl Note {
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self { level: Level::Error, message: message.into(), help: Vec::new(), hide_from: None }
    }

    pub(super) fn help(mut self, line: &str) -> Self {
        if !line.is_empty() {
            self.help.push(line.to_owned());
        }
        self
    }
}

/// Reads a regular file of at most `max` bytes; anything else could block or never end.
pub(super) fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>, String> {
    let plain = |error: std::io::Error| error.to_string();
    let meta = std::fs::metadata(path).map_err(plain)?;
    if !meta.is_file() {
        return Err("it is not a file".to_owned());
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .map_err(plain)?
        .take(max + 1)
        .read_to_end(&mut bytes)
        .map_err(plain)?;
    if bytes.len() as u64 > max {
        return Err(format!("it is larger than {max} bytes"));
    }
    Ok(bytes)
}

/// Whether a line between the offsets begins a table.
fn has_header(text: &str, from: usize, to: usize) -> bool {
    let between = text.get(from..to.max(from)).unwrap_or("");
    between.lines().skip(1).any(|line| line.trim_start().starts_with('['))
}

fn table(file: usize, from: &DeTable<'_>) -> Table {
    let mut entries: Vec<Entry> = from
        .iter()
        .map(|(key, value)| Entry {
            key: key.get_ref().clone().into_owned(),
            key_place: place(file, key.span()),
            node: node(file, value),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key_place);
    Table { entries }
}

fn place(file: usize, span: std::ops::Range<usize>) -> Place {
    Place { file, start: span.start, end: span.end }
}

fn node(file: usize, from: &Spanned<DeValue<'_>>) -> Node {
    let value = match from.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i64::from_str_radix(number.as_str(), number.radix()).ok())
        }
        DeValue::Float(number) => Value::Float(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Datetime(date) => Value::Datetime(date.to_string()),
        DeValue::Array(list) => Value::List(list.iter().map(|one| node(file, one)).collect()),
        DeValue::Table(inner) => Value::Table(table(file, inner)),
    };
    Node { place: place(file, from.span()), value }
}
