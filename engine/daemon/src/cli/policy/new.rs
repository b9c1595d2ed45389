//! `watchkeeper policy new`: a project that builds, with helpers, cases and a page to read.

use std::path::PathBuf;

use watchkeeper_core::settings::is_kebab;

use super::project::Language;
use super::{PolicyError, files, write};
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};

/// What `policy new` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct New {
    /// The policy's name, in kebab case
    #[arg(value_parser = name)]
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// The project's folder; without it, one with the policy's name
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(in crate::cli) const HELP: &str = "Nothing is fetched: the helpers and the contract are written beside the policy. \
    What the language's own tools need, `policy build` fetches.\n\nExamples:\n  \
    watchkeeper policy new rest-keeper\n  watchkeeper policy new agent-quorum --lang js\n  \
    watchkeeper policy new job-window --lang python --dir ~/policies/job-window";

/// The longest name of a policy, in bytes.
const MAX_NAME: usize = 64;

/// Words that are no module's or package's name in one of the languages.
const TAKEN: [&str; 3] = ["policy", "watchkeeper", "watchkeeper-sdk"];

fn name(text: &str) -> Result<String, String> {
    if TAKEN.contains(&text) {
        return Err("the tools of some language have a use of their own for that name".to_owned());
    }
    if !is_kebab(text) || text.len() > MAX_NAME {
        return Err(format!(
            "a policy's name is in kebab case, such as rest-keeper, of at most {MAX_NAME} letters"
        ));
    }
    Ok(text.to_owned())
}

impl New {
    /// Writes the project.
    pub(in crate::cli) fn run(&self, json: bool) -> Result<Exit, PolicyError> {
        let root = self.dir.clone().unwrap_or_else(|| PathBuf::from(&self.name));
        let free = std::fs::read_dir(&root).map_or(!root.exists(), |mut all| all.next().is_none());
        if !free {
            return Err(PolicyError::Taken(root));
        }
        let files = files::of(self.lang, &self.name);
        for (path, text) in &files {
            write(&root.join(path), text)?;
        }
        if json {
            let paths: Vec<&PathBuf> = files.iter().map(|file| &file.0).collect();
            print_json(&serde_json::json!({"name": self.name, "dir": root, "files": paths}));
        } else {
            let root = root.display();
            print(&format!(
                "{root} is a policy that starts REST again. Next:\n  \
                 cd {root}\n  watchkeeper policy build\n  watchkeeper policy test\n\
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
