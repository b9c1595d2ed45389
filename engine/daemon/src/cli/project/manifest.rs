//! A project: its language, its name, and what its own files say of how it is built.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use watchkeeper_core::settings::is_kebab;

use super::{Kind, ProjectError, read};

/// A language that guests are written in here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Language {
    /// By cargo, for wasm32-wasip2.
    Rust,
    /// By componentize-qjs, from npm.
    Js,
    /// By componentize-py, from the Python package index.
    Python,
}

impl Language {
    /// Every language.
    #[cfg(test)]
    pub(super) const ALL: [Self; 3] = [Self::Rust, Self::Js, Self::Python];

    /// The file that a project of this language is known by.
    const fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Js => "package.json",
            Self::Python => "pyproject.toml",
        }
    }
}

/// A project.
#[derive(Debug)]
pub(in crate::cli) struct Project {
    /// Its folder.
    pub(super) root: PathBuf,
    /// Its name, by its manifest.
    pub(super) name: String,
    /// What it is to become.
    pub(super) kind: Kind,
    pub(super) made: Made,
}

/// How a project is built.
#[derive(Debug)]
pub(super) enum Made {
    Rust,
    Js,
    Python(Python),
}

/// What `[tool.watchkeeper]` in pyproject.toml says.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Python {
    /// The module that exports the guest.
    pub(super) module: String,
    /// The folders that modules are searched in.
    pub(super) path: Vec<String>,
    /// The folder of the contract.
    pub(super) wit: String,
}

impl Project {
    /// The project in `folder`.
    pub(in crate::cli) fn find(folder: &Path, kind: Kind) -> Result<Self, ProjectError> {
        let all = [Language::Rust, Language::Js, Language::Python];
        let language = all
            .into_iter()
            .find(|language| folder.join(language.manifest()).is_file())
            .ok_or_else(|| ProjectError::NoProject {
                folder: folder.to_owned(),
                kind: kind.word(),
            })?;
        let path = folder.join(language.manifest());
        let text = read(&path)?;
        let wrong = |problem: String| ProjectError::Project { path: path.clone(), problem };
        let (name, made) = match language {
            Language::Rust => (named(&toml(&text).map_err(&wrong)?, "package"), Made::Rust),
            Language::Js => {
                let json: serde_json::Value =
                    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))?;
                (json.get("name").and_then(|name| name.as_str()).map(str::to_owned), Made::Js)
            }
            Language::Python => {
                let table = toml(&text).map_err(&wrong)?;
                let ours = table.get("tool").and_then(|tool| tool.get("watchkeeper")).cloned();
                let ours = ours.ok_or_else(|| {
                    wrong("there is no [tool.watchkeeper] with module, path and wit".to_owned())
                })?;
                let ours: Python = ours
                    .try_into()
                    .map_err(|error| wrong(format!("[tool.watchkeeper]: {}", error.message())))?;
                (named(&table, "project"), Made::Python(ours))
            }
        };
        let name = name.ok_or_else(|| wrong("it has no name".to_owned()))?;
        if !is_kebab(&name) {
            return Err(wrong(format!("the name {name:?} is not in kebab case")));
        }
        Ok(Self { root: folder.to_owned(), name, kind, made })
    }

    /// Where everything goes that is made of it.
    pub(super) fn build(&self) -> PathBuf {
        self.root.join("build")
    }

    /// Where the component goes.
    pub(super) fn component(&self) -> PathBuf {
        self.build().join(format!("{}.wasm", self.name))
    }

    /// Where the examples are that its tests play.
    pub(in crate::cli) fn examples(&self) -> PathBuf {
        self.root.join(self.kind.examples())
    }
}

fn toml(text: &str) -> Result<toml::Table, String> {
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

fn named(table: &toml::Table, section: &str) -> Option<String> {
    Some(table.get(section)?.get("name")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(file: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), text).unwrap();
        Project::find(folder.path(), Kind::Policy).unwrap_err().to_string()
    }

    #[test]
    fn what_is_wrong_with_a_manifest_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = Project::find(folder.path(), Kind::Policy).unwrap_err().to_string();
        assert!(
            error.contains("there is no Cargo.toml, package.json or pyproject.toml"),
            "{error}"
        );
        assert!(problem("package.json", "{}").ends_with("package.json: it has no name"));
        assert!(problem("package.json", "{").contains("package.json: EOF"));
        assert!(problem("package.json", r#"{"name": "Two Words"}"#).contains("kebab case"));
        assert!(problem("Cargo.toml", "[package").contains("Cargo.toml: TOML"));
        let python = "[project]\nname = \"x\"\n";
        assert!(problem("pyproject.toml", python).contains("[tool.watchkeeper]"));
        let misspelt = format!("{python}[tool.watchkeeper]\nmodul = \"x\"\n");
        assert!(problem("pyproject.toml", &misspelt).contains("unknown field `modul`"));
    }
}
