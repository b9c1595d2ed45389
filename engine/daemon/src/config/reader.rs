//! Takes the keys off a table one by one, notes what is wrong, and in the end complains about
//! the keys that nobody took.
//!
//! Where something is wrong, a value that is acceptable goes on in its place, so that the rest
//! is checked too. It never gets out: a configuration with an error is not handed over.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use watchkeeper_core::model::NameError;

use super::checked::Settings;
use super::keys::{self, Key, Kind, Presence, Section, expected};
use super::settings;
use super::source::{Entry, Note, Place, Sources, Table, Value};
use super::units::{duration, nearest, size};

/// A value with the place to complain about.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

pub(super) struct Reader<'a> {
    pub(super) sources: &'a Sources,
    table: &'a Table,
    section: &'static Section,
    /// The path as the file has it, such as `clusters.prod.guards`.
    pub(super) path: String,
    /// Where the table is named.
    pub(super) place: Place,
    taken: RefCell<Vec<&'static str>>,
    /// It stands for something that is no table: nothing is missing in it.
    void: bool,
}

static EMPTY: Table = Table { entries: Vec::new() };
static NO_SECTION: Section = Section { path: "?", keys: &[] };

impl<'a> Reader<'a> {
    pub(super) fn new(
        sources: &'a Sources,
        table: &'a Table,
        section: &str,
        path: String,
        place: Place,
    ) -> Self {
        let section = keys::section(section).unwrap_or(&NO_SECTION);
        Self { sources, table, section, path, place, taken: RefCell::default(), void: false }
    }

    fn full(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn take(&self, name: &str) -> (Option<&'a Entry>, Option<&'static Key>) {
        let key = self.section.key(name);
        debug_assert!(key.is_some(), "{name} is not among the keys of {}", self.section.path);
        let Some(key) = key else { return (None, None) };
        self.taken.borrow_mut().push(key.name);
        let entry = self.table.get(name);
        let missing = entry.is_none() && key.presence == Presence::Required;
        if missing && !self.void && !self.misspelt(name) {
            let title = self.title();
            let note = Note::error(format!("{title} needs the key `{name}`")).help(key.doc);
            self.sources.note(self.place, note);
        }
        (entry, Some(key))
    }

    /// The table as the file writes it.
    fn title(&self) -> String {
        match (self.path.as_str(), self.section.path.ends_with("[]")) {
            ("", _) => "the file".to_owned(),
            (path, true) => format!("[[{path}]]"),
            (path, false) => format!("[{path}]"),
        }
    }

    /// Whether an unknown key is there that was probably meant to be this one: it is complained
    /// about as an unknown key, and that is enough.
    pub(super) fn misspelt(&self, name: &str) -> bool {
        let known = || self.section.keys.iter().map(|key| key.name);
        self.table.entries.iter().any(|entry| {
            self.section.key(&entry.key).is_none() && nearest(&entry.key, known()).contains(&name)
        })
    }

    /// Whether the key holds a table without anything in it.
    pub(super) fn nothing_in(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(
            |entry| matches!(&entry.node.value, Value::Table(table) if table.entries.is_empty()),
        )
    }

    /// All names in the table under a key, also of what is no table.
    pub(super) fn names(&self, name: &str) -> Vec<String> {
        match self.table.get(name).map(|entry| &entry.node.value) {
            Some(Value::Table(table)) => {
                table.entries.iter().map(|entry| entry.key.clone()).collect()
            }
            _ => Vec::new(),
        }
    }

    /// Whether the key holds more than an empty list.
    pub(super) fn texts_given(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(|entry| match &entry.node.value {
            Value::List(list) => !list.is_empty(),
            _ => true,
        })
    }

    /// Whether there can be such a key here.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.section.key(name).is_some()
    }

    /// Whether the key is there at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.table.get(name).is_some()
    }

    /// Takes a key that has been complained about.
    pub(super) fn ignore(&self, name: &str) {
        self.taken.borrow_mut().extend(self.section.key(name).map(|key| key.name));
    }

    /// Takes every key that there is.
    pub(super) fn ignore_known(&self) {
        self.taken.borrow_mut().extend(self.section.keys.iter().map(|key| key.name));
    }

    /// The place of the key's value, or of the table.
    pub(super) fn place_of(&self, name: &str) -> Place {
        self.table.get(name).map_or(self.place, |entry| entry.node.place)
    }

    /// Complains about the value of a key without showing it.
    fn wrong(&self, entry: &Entry, kind: Kind) {
        let message = self.not_expected(&entry.key, kind, &entry.node.value);
        self.complain(entry, message);
    }

    fn not_expected(&self, name: &str, kind: Kind, value: &Value) -> String {
        format!("`{}` has to be {}, not {}", self.full(name), expected(kind), value.word())
    }

    fn complain(&self, entry: &Entry, message: String) {
        self.sources.error(entry.node.place, message);
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&Value, Kind) -> Option<T>) -> Option<At<T>> {
        let (entry, key) = self.take(name);
        let key = key?;
        if let Some(entry) = entry {
            if let Some(value) = parse(&entry.node.value, key.kind) {
                return Some(At { value, place: entry.node.place });
            }
            match (&entry.node.value, key.kind) {
                (Value::Text(text), Kind::Duration(..) | Kind::Size(..)) => {
                    let message = format!(
                        "`{}` has to be {}; {text:?} is not",
                        self.full(name),
                        expected(key.kind)
                    );
                    self.complain(entry, message);
                }
                (Value::Integer(_), Kind::Integer(..)) => {
                    let message = format!("`{}` has to be {}", self.full(name), expected(key.kind));
                    self.complain(entry, message);
                }
                _ => self.wrong(entry, key.kind),
            }
            return None;
        }
        let Presence::Default(text) = key.presence else { return None };
        let value = default_value(key.kind, text);
        parse(&value, key.kind).map(|value| At { value, place: self.place })
    }

    pub(super) fn text(&self, name: &str) -> Option<At<String>> {
        let found = self.parsed(name, |value, _| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        let wrong = match found.value.as_str() {
            "" => "is empty",
            text if text.contains(['\0', '\n']) => "has to be on one line",
            _ => return Some(found),
        };
        self.sources.error(found.place, format!("`{}` {wrong}", self.full(name)));
        None
    }

    /// A text that may have several lines, and nothing in it.
    pub(super) fn long_text(&self, name: &str) -> Option<String> {
        let found = self.parsed(name, |value, _| match value {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        })?;
        Some(found.value)
    }

    /// A table of texts, whose keys are names.
    pub(super) fn map(&self, name: &str) -> Vec<(String, String)> {
        self.entries(name).into_iter().map(|(key, text)| (key.value, text.value)).collect()
    }

    /// The same, with where each stands.
    pub(super) fn entries(&self, name: &str) -> Vec<(At<String>, At<String>)> {
        let (Some(entry), Some(key)) = self.take(name) else { return Vec::new() };
        let Value::Table(table) = &entry.node.value else {
            self.wrong(entry, key.kind);
            return Vec::new();
        };
        let mut map = Vec::new();
        for one in &table.entries {
            if let Value::Text(text) = &one.node.value {
                let key = At { value: one.key.clone(), place: one.key_place };
                map.push((key, At { value: text.clone(), place: one.node.place }));
            } else {
                let path = format!("{}.{}", self.full(name), one.key);
                let word = one.node.value.word();
                self.complain(one, format!("`{path}` has to be a text in quotes, not {word}"));
            }
        }
        map
    }

    pub(super) fn name<T>(
        &self,
        name: &str,
        make: impl Fn(&str) -> Result<T, NameError>,
    ) -> Option<At<T>> {
        let text = self.text(name)?;
        match make(&text.value) {
            Ok(value) => Some(At { value, place: text.place }),
            Err(error) => {
                self.sources
                    .error(text.place, format!("`{}` is not a name: {error}", self.full(name)));
                None
            }
        }
    }

    pub(super) fn choice(&self, name: &str) -> Option<At<String>> {
        let text = self.text(name)?;
        let Some(Kind::Choice(words)) = self.section.key(name).map(|key| key.kind) else {
            return Some(text);
        };
        if words.contains(&text.value.as_str()) {
            return Some(text);
        }
        let message = format!("`{}` cannot be {:?}", self.full(name), text.value);
        self.unknown(text.place, message, &text.value, words.iter().copied(), None);
        None
    }

    /// Complains about a word that is not known, with the nearest that is.
    pub(super) fn unknown<'w>(
        &self,
        place: Place,
        message: String,
        word: &str,
        known: impl Iterator<Item = &'w str> + Clone,
        hide_from: Option<usize>,
    ) {
        let all = |words: &[&str], last: &str| {
            let words: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
            match words.split_last() {
                Some((end, rest)) if !rest.is_empty() => format!("{}{last}{end}", rest.join(", ")),
                _ => words.join(""),
            }
        };
        let close = nearest(word, known.clone());
        let known: Vec<&str> = known.take(12).collect();
        let help = vec![match (close.len(), known.len()) {
            (1..=3, _) => format!("did you mean {}?", all(&close, " or ")),
            (_, 0) => "there are none".to_owned(),
            (_, 1) => format!("there is {}", all(&known, ", ")),
            _ => format!("there are {}", all(&known, ", ")),
        }];
        self.sources.note(place, Note { help, hide_from, ..Note::error(message) });
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.parsed(name, |value, _| match value {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        })
        .map(|at| at.value)
    }

    pub(super) fn integer(&self, name: &str) -> Option<u64> {
        self.parsed(name, |value, kind| match (value, kind) {
            (Value::Integer(Some(number)), Kind::Integer(min, max)) => {
                u64::try_from(*number).ok().filter(|number| (min..=max).contains(number))
            }
            _ => None,
        })
        .map(|at| at.value)
    }

    pub(super) fn port(&self, name: &str) -> Option<u16> {
        self.integer(name).and_then(|number| u16::try_from(number).ok())
    }

    pub(super) fn small(&self, name: &str) -> u32 {
        self.integer(name).and_then(|number| u32::try_from(number).ok()).unwrap_or(1)
    }

    pub(super) fn duration(&self, name: &str) -> Option<Duration> {
        self.parsed(name, |value, kind| match (value, kind) {
            (Value::Text(text), Kind::Duration(min, max)) => {
                duration(text).ok().filter(|time| (min..=max).contains(&millis(*time)))
            }
            _ => None,
        })
        .map(|at| at.value)
    }

    pub(super) fn ms(&self, name: &str) -> u64 {
        self.duration(name).map_or(1, millis)
    }

    pub(super) fn size(&self, name: &str) -> u64 {
        self.parsed(name, |value, kind| match (value, kind) {
            (Value::Text(text), Kind::Size(min, max)) => {
                size(text).filter(|bytes| (min..=max).contains(bytes))
            }
            _ => None,
        })
        .map_or(1, |at| at.value)
    }

    /// A path, relative to the file that names it.
    pub(super) fn path(&self, name: &str) -> Option<At<PathBuf>> {
        let text = self.text(name)?;
        // A default is relative to the main file, whichever file has the rest of the table.
        let file = if self.has(name) { text.place.file } else { 0 };
        let base = self.sources.files.get(file).and_then(|file| file.path.parent());
        let value = base.unwrap_or(Path::new("")).join(&text.value);
        Some(At { value, place: text.place })
    }

    /// A file that has to be there.
    pub(super) fn file(&self, name: &str) -> Option<PathBuf> {
        let path = self.path(name)?;
        match std::fs::metadata(&path.value) {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => {
                self.sources.error(path.place, format!("{} is not a file", path.value.display()));
            }
            Err(error) => {
                self.sources
                    .error(path.place, format!("cannot read {}: {error}", path.value.display()));
            }
        }
        Some(path.value)
    }

    pub(super) fn texts(&self, name: &str) -> Option<Vec<At<String>>> {
        let (entry, key) = self.take(name);
        let (entry, key) = (entry?, key?);
        let Value::List(list) = &entry.node.value else {
            self.wrong(entry, key.kind);
            return None;
        };
        let mut texts: Vec<At<String>> = Vec::new();
        for node in list {
            match &node.value {
                Value::Text(text)
                    if key.kind != Kind::Argv && texts.iter().any(|old| old.value == *text) =>
                {
                    self.sources.error(node.place, format!("`{}` has this twice", self.full(name)));
                }
                Value::Text(text) if !text.is_empty() && !text.contains('\0') => {
                    texts.push(At { value: text.clone(), place: node.place });
                }
                other => {
                    let message = match other {
                        Value::Text(_) => format!("`{}` has an empty text", self.full(name)),
                        _ => self.not_expected(name, key.kind, other),
                    };
                    self.sources.error(node.place, message);
                }
            }
        }
        if key.kind == Kind::Argv && texts.is_empty() {
            self.complain(entry, format!("`{}` names no program", self.full(name)));
        }
        Some(texts)
    }

    pub(super) fn integers(&self, name: &str) -> Vec<u16> {
        let (Some(entry), Some(key)) = self.take(name) else { return Vec::new() };
        let (Value::List(list), Kind::Integers(min, max)) = (&entry.node.value, key.kind) else {
            self.wrong(entry, key.kind);
            return Vec::new();
        };
        let mut numbers = Vec::new();
        for node in list {
            match &node.value {
                Value::Integer(Some(number)) => match u64::try_from(*number) {
                    Ok(number) if (min..=max).contains(&number) => {
                        numbers.extend(u16::try_from(number).ok());
                    }
                    _ => self.complain(
                        entry,
                        format!("`{}` has to be {}", self.full(name), expected(key.kind)),
                    ),
                },
                _ => self.wrong(entry, key.kind),
            }
        }
        numbers
    }

    /// What is given to a guest.
    pub(super) fn settings(&self, name: &str) -> Settings {
        let (Some(entry), Some(key)) = self.take(name) else { return Settings::default() };
        let Value::Table(table) = &entry.node.value else {
            self.wrong(entry, key.kind);
            return Settings::default();
        };
        settings::read(self.sources, table)
    }

    /// The table under a key, empty if it is not there.
    pub(super) fn table(&self, name: &str) -> Reader<'a> {
        let section = join(self.section.path, name);
        let path = self.full(name);
        let (Some(entry), Some(key)) = self.take(name) else {
            return Self::new(self.sources, &EMPTY, &section, path, self.place);
        };
        let (table, void) = if let Value::Table(table) = &entry.node.value {
            (table, false)
        } else {
            self.wrong(entry, key.kind);
            (&EMPTY, true)
        };
        Self { void, ..Self::new(self.sources, table, &section, path, entry.key_place) }
    }

    /// The tables under a key whose own keys are names.
    pub(super) fn named(&self, name: &str) -> Vec<(At<String>, Reader<'a>)> {
        let (Some(entry), Some(key)) = self.take(name) else { return Vec::new() };
        let Value::Table(table) = &entry.node.value else {
            self.wrong(entry, key.kind);
            return Vec::new();
        };
        let section = join(&join(self.section.path, name), "*");
        let mut list = Vec::new();
        for one in &table.entries {
            let path = format!("{}.{}", self.full(name), one.key);
            if let Value::Table(inner) = &one.node.value {
                let reader = Self::new(self.sources, inner, &section, path, one.key_place);
                list.push((At { value: one.key.clone(), place: one.key_place }, reader));
            } else {
                let message = format!("`{path}` has to be a table, not {}", one.node.value.word());
                let keys = keys::section(&section).map_or(&[][..], |section| section.keys);
                let keys: Vec<String> = keys.iter().map(|key| format!("`{}`", key.name)).collect();
                let note = Note::error(message).help(&format!("its keys are {}", keys.join(", ")));
                self.sources.note(one.node.place, note);
            }
        }
        list
    }

    /// The list of tables under a key.
    pub(super) fn tables(&self, name: &str) -> Vec<Reader<'a>> {
        let (Some(entry), Some(key)) = self.take(name) else { return Vec::new() };
        let section = format!("{}[]", join(self.section.path, name));
        let Value::List(list) = &entry.node.value else {
            self.wrong(entry, key.kind);
            return Vec::new();
        };
        let mut readers = Vec::new();
        for node in list {
            if let Value::Table(table) = &node.value {
                readers.push(Self::new(self.sources, table, &section, self.full(name), node.place));
            } else {
                self.wrong(entry, key.kind);
            }
        }
        readers
    }

    /// Complains about the keys that nobody took.
    pub(super) fn finish(&self) {
        let taken = self.taken.borrow();
        for entry in &self.table.entries {
            if taken.contains(&entry.key.as_str()) {
                continue;
            }
            let message = format!("unknown key `{}` in {}", entry.key, self.title());
            let known = self.section.keys.iter().map(|key| key.name);
            self.unknown(entry.key_place, message, &entry.key, known, None);
        }
    }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn default_value(kind: Kind, text: &str) -> Value {
    match kind {
        Kind::Flag => Value::Flag(text == "true"),
        Kind::Integer(..) => Value::Integer(text.parse().ok()),
        _ => Value::Text(text.to_owned()),
    }
}

/// Loaded secrets by name; one that could not be loaded is there all the same.
pub(super) type Secrets = BTreeMap<String, crate::secret::Secret>;
