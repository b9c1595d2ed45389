//! What is given to guests: values as they stand in the file, and texts from files of their own.

use std::path::{Path, PathBuf};

use watchkeeper_core::settings::{Given, MAX_TEXT_FILE};

use super::checked::Settings;
use super::source::{Entry, Node, Note, Sources, Table, Value, read_bounded};
use super::units::nearest;

/// The only key of a table that names a text's file.
const FILE: &str = "file";

/// Reads a table of settings.
pub(super) fn read(sources: &Sources, table: &Table) -> Settings {
    let mut settings = Settings::default();
    for one in &table.entries {
        let given = match &one.node.value {
            Value::Table(table) => {
                let Some((path, text)) = from_file(sources, one, table) else { continue };
                settings.files.insert(one.key.clone(), path);
                Given::Text(text)
            }
            _ => match written(&one.node) {
                Some(given) => given,
                None => {
                    let message = format!(
                        "a setting is a text, a whole number, true, false or a list of texts, not {}",
                        one.node.value.word()
                    );
                    sources.error(one.node.place, message);
                    continue;
                }
            },
        };
        settings.values.insert(one.key.clone(), given);
        settings.places.insert(one.key.clone(), sources.location(one.node.place));
    }
    settings
}

/// A value that stands in the file itself.
fn written(node: &Node) -> Option<Given> {
    Some(match &node.value {
        Value::Text(text) => Given::Text(text.clone()),
        Value::Integer(Some(number)) => Given::Integer(*number),
        Value::Flag(flag) => Given::Flag(*flag),
        Value::List(list) => Given::Texts(
            list.iter()
                .map(|one| match &one.value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                })
                .collect::<Option<_>>()?,
        ),
        _ => return None,
    })
}

/// The text of `{ file = "NAME" }`, with the path it was read from, relative to the file that names it.
fn from_file(sources: &Sources, setting: &Entry, table: &Table) -> Option<(PathBuf, String)> {
    for entry in table.entries.iter().filter(|entry| entry.key != FILE) {
        let message = format!(
            "unknown key `{}` in setting `{}`: a text from a file is {{ file = \"NAME\" }}",
            entry.key, setting.key
        );
        let mut note = Note::error(message);
        if !nearest(&entry.key, [FILE].into_iter()).is_empty() {
            note = note.help("did you mean `file`?");
        }
        sources.note(entry.key_place, note);
    }
    let Some(named) = table.get(FILE) else {
        if table.entries.is_empty() {
            let message = format!(
                "setting `{}` is an empty table: a text from a file is {{ file = \"NAME\" }}",
                setting.key
            );
            sources.error(setting.node.place, message);
        }
        return None;
    };
    let place = named.node.place;
    let Value::Text(name) = &named.node.value else {
        let word = named.node.value.word();
        sources.error(
            place,
            format!("`file` of setting `{}` has to be a text, not {word}", setting.key),
        );
        return None;
    };
    let base = sources.files.get(place.file).and_then(|file| file.path.parent());
    let path = base.unwrap_or(Path::new("")).join(name);
    match read_bounded(&path, MAX_TEXT_FILE).map(String::from_utf8) {
        Ok(Ok(text)) => {
            sources.read_beside(&path, &text);
            return Some((path, text));
        }
        Ok(Err(error)) => {
            let whole = error.as_bytes().get(..error.utf8_error().valid_up_to());
            let whole = String::from_utf8_lossy(whole.unwrap_or_default());
            let line = 1 + whole.matches('\n').count();
            let message = format!("{} is not UTF-8 (line {line})", path.display());
            sources.note(place, Note::error(message).help("save the file in UTF-8"));
        }
        Err(error) => sources.error(place, format!("cannot read {}: {error}", path.display())),
    }
    // Its correction is to be noticed.
    sources.read_beside(&path, "");
    None
}
