//! What a case gives as settings: values as they stand there, and texts from files of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::{Table, Value as Toml};
use watchkeeper_core::settings::{Given, MAX_TEXT_FILE};

use crate::file::texts;

/// The files that `{ file = "NAME" }` names.
pub(super) fn files(table: &Table, folder: &Path) -> Result<BTreeMap<String, PathBuf>, String> {
    let mut files = BTreeMap::new();
    for (key, value) in table {
        let Toml::Table(value) = value else { continue };
        let name = value.get("file").and_then(Toml::as_str).filter(|_| value.len() == 1);
        let Some(name) = name else {
            return Err(format!("settings.{key}: a text from a file is {{ file = \"NAME\" }}"));
        };
        files.insert(key.clone(), folder.join(name));
    }
    Ok(files)
}

/// The text of such a file.
fn text_of(key: &str, path: &Path) -> Result<Given, String> {
    let said = |problem: &dyn std::fmt::Display| {
        format!("settings.{key}: cannot read {}: {problem}", path.display())
    };
    let text = std::fs::read_to_string(path).map_err(|error| said(&error))?;
    if text.len() as u64 > MAX_TEXT_FILE {
        return Err(said(&format_args!("it is larger than {MAX_TEXT_FILE} bytes")));
    }
    Ok(Given::Text(text))
}

/// The settings that a case gives.
pub(super) fn read(
    table: Table,
    files: &BTreeMap<String, PathBuf>,
) -> Result<BTreeMap<String, Given>, String> {
    table
        .into_iter()
        .map(|(key, value)| {
            if let Some(path) = files.get(&key) {
                return Ok((key.clone(), text_of(&key, path)?));
            }
            let given = match value {
                Toml::Boolean(flag) => Given::Flag(flag),
                Toml::Integer(number) => Given::Integer(number),
                Toml::String(text) => Given::Text(text),
                list @ Toml::Array(_) => Given::Texts(
                    texts(&list)
                        .ok_or_else(|| format!("settings.{key} has to be a list of texts"))?,
                ),
                _ => return Err(format!("settings.{key} is nothing a setting can be")),
            };
            Ok((key, given))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str, folder: &Path) -> Result<BTreeMap<String, Given>, String> {
        let table: Table = text.parse().unwrap();
        let files = files(&table, folder)?;
        read(table, &files)
    }

    #[test]
    fn a_text_comes_from_a_file_beside_the_case() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.rego"), "package a\n").unwrap();
        let read = given("rules = { file = \"a.rego\" }\nn = 1", folder.path()).unwrap();
        assert_eq!(read["rules"], Given::Text("package a\n".to_owned()));
        assert_eq!(read["n"], Given::Integer(1));
    }

    #[test]
    fn a_file_that_cannot_be_read_and_a_key_too_many_are_told() {
        let folder = Path::new("/nowhere");
        let missing = given("rules = { file = \"a.rego\" }", folder).unwrap_err();
        assert!(missing.starts_with("settings.rules: cannot read /nowhere/a.rego: "), "{missing}");
        for wrong in ["{ flie = \"a\" }", "{ file = 1 }", "{ file = \"a\", mode = 1 }", "{}"] {
            let told = given(&format!("rules = {wrong}"), folder).unwrap_err();
            assert_eq!(told, "settings.rules: a text from a file is { file = \"NAME\" }");
        }
    }
}
