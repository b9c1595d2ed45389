//! The files as they are written: read within bounds, parsed, merged into one tree in which every
//! key and value knows its place.

use std::cell::RefCell;
use std::io::Read;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Excerpt, Level, Location, Problem};

/// The largest file that is read, in bytes: a thousand clusters fit well.
const MAX_FILE: u64 = 4 << 20;
/// How many characters of a line are shown.
const MAX_LINE: usize = 160;

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
}

/// The files, and what was found to be wrong so far.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub(super) files: Vec<Source>,
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
                sources.problems.borrow_mut().push((place, Problem::whole(path, message)));
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
        self.files.push(Source { path: path.to_owned(), text });
        if let Some(at) = broken {
            let place = Place { file, start: at, end: at + 1 };
            let note = Note::error("this is not UTF-8").help("save the file in UTF-8");
            self.note(place, note);
            return None;
        }
        self.parse(file)
    }

    fn parse(&self, file: usize) -> Option<Table> {
        let text = &self.files.get(file)?.text;
        let (root, errors) = DeTable::parse_recoverable(text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let place = Place { file, start: span.start, end: span.end };
            let line = line_around(text, place.start);
            let lower = line.1.to_lowercase();
            let telling = ["pass", "secret", "token", "key", "url"];
            let hide_from = telling
                .iter()
                .any(|word| lower.contains(word))
                .then(|| line.1.find('=').map(|at| line.0 + at + 1))
                .flatten();
            let message = error.message().lines().next().unwrap_or("not TOML").to_owned();
            let note = Note::error(format!("this is not TOML: {message}"));
            self.note(place, Note { hide_from, ..note });
        }
        errors.is_empty().then(|| table(file, root.get_ref()))
    }

    /// Puts `from` into `into`. Tables merge; everything else may be given once.
    pub(super) fn merge(&self, into: &mut Table, from: Table) {
        for entry in from.entries {
            let Some(old) = into.entries.iter_mut().find(|old| old.key == entry.key) else {
                into.entries.push(entry);
                continue;
            };
            match (&mut old.node.value, entry.node.value) {
                (Value::Table(old), Value::Table(new)) => self.merge(old, new),
                _ => {
                    let first = self.location(old.key_place);
                    let note = Note::error(format!("`{}` is given a second time", entry.key))
                        .help(&format!("it was first given at {first}"));
                    self.note(
                        entry.key_place,
                        Note { hide_from: Some(entry.key_place.end), ..note },
                    );
                }
            }
        }
    }

    fn show(&self, place: Place, hide_from: Option<usize>) -> (Location, Option<Excerpt>) {
        let Some(source) = self.files.get(place.file) else {
            return (Location::whole(Path::new("?")), None);
        };
        let text = &source.text;
        let start = floor(text, place.start);
        let number = text.get(..start).unwrap_or("").matches('\n').count() + 1;
        let (line_start, line) = line_around(text, start);
        let column = text.get(line_start..start).unwrap_or("").chars().count() + 1;
        let at = Location { file: source.path.clone(), line: number, column };
        if place.start == place.end && text.is_empty() {
            return (Location::whole(&source.path), None);
        }
        let line_end = line_start + line.len();
        let end = floor(text, place.end).clamp(start, line_end.max(start));
        let visible =
            hide_from.map_or(line_end, |from| floor(text, from).clamp(start, line_end.max(start)));
        let clean = |from: usize, to: usize| -> String {
            text.get(from..to)
                .unwrap_or("")
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect()
        };
        let mut shown = clean(line_start, visible.min(line_end));
        if visible < line_end {
            shown.push('…');
        }
        let width = clean(start, end.min(visible)).chars().count().max(1);
        let (mut before, mut cut) = (column - 1, 0);
        if before + width > MAX_LINE {
            cut = before.saturating_sub(20);
            before -= cut;
        }
        let shown: String = shown.chars().skip(cut).take(MAX_LINE).collect();
        let width = width.min(MAX_LINE.saturating_sub(before).max(1));
        (at, Some(Excerpt { text: shown.trim_end().to_owned(), before, width }))
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

fn floor(text: &str, at: usize) -> usize {
    text.floor_char_boundary(at.min(text.len()))
}

/// The line that holds the offset, and where it begins.
fn line_around(text: &str, at: usize) -> (usize, &str) {
    let at = floor(text, at);
    let start = text.get(..at).and_then(|head| head.rfind('\n')).map_or(0, |end| end + 1);
    let line = text.get(start..).unwrap_or("");
    (start, line.split('\n').next().unwrap_or("").trim_end_matches('\r'))
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
