//! `watchkeeper policy new` and `plugin new`: a project that builds, with helpers, examples to test it by, and a page to read.

use std::path::PathBuf;

use watchkeeper_core::settings::is_kebab;

use super::manifest::Language;
use super::{Kind, ProjectError, files, write};
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};

/// What `new` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct New {
    /// Its name, in kebab case
    #[arg(value_parser = name)]
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The project's folder; without it, one with that name
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// The longest name of a guest, in bytes.
const MAX_NAME: usize = 64;

/// Words that are no module's or package's name in one of the languages.
const TAKEN: [&str; 5] = ["policy", "plugin", "notifier", "watchkeeper", "watchkeeper-sdk"];

fn name(text: &str) -> Result<String, String> {
    if TAKEN.contains(&text) {
        return Err("the tools of some language have a use of their own for that name".to_owned());
    }
    if !is_kebab(text) || text.len() > MAX_NAME {
        return Err(format!(
            "a name is in kebab case, such as rest-keeper, of at most {MAX_NAME} letters"
        ));
    }
    Ok(text.to_owned())
}

impl New {
    /// Writes the project. `does` says, for people, what the template does.
    pub(in crate::cli) fn run(
        &self,
        kind: Kind,
        does: &str,
        json: bool,
    ) -> Result<Exit, ProjectError> {
        let root = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let free = std::fs::read_dir(&root).map_or(!root.exists(), |mut all| all.next().is_none());
        if !free {
            return Err(ProjectError::Taken(root));
        }
        let files = files::of(kind, self.lang, &self.name);
        for (path, text) in &files {
            write(&root.join(path), text)?;
        }
        if json {
            let paths: Vec<&PathBuf> = files.iter().map(|file| &file.0).collect();
            print_json(&serde_json::json!({"name": self.name, "dir": root, "files": paths}));
        } else {
            let (root, word) = (root.display(), kind.word());
            print(&format!(
                "{root} is a {word} that {does}. Next:\n  \
                 cd {root}\n  watchkeeper {word} build\n  watchkeeper {word} test\n\
                 README.md says where everything is.\n"
            ));
        }
        Ok(Exit::Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_some_tool_would_trip_over_are_refused() {
        for wrong in ["", "Rest", "rest_keeper", "-rest", "policy", "watchkeeper"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
        assert!(name(&"a".repeat(65)).is_err());
        assert!(name("rest-keeper-2").is_ok());
    }
}
