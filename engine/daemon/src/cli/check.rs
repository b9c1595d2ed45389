//! `watchkeeper check`: every mistake in the configuration, before the daemon meets it.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::exit::Exit;
use crate::config::problem::report;
use crate::config::{Level, Mode, Problem, load_as};

/// Where the configuration is unless the command line says otherwise.
pub const DEFAULT_CONFIG: &str = "/etc/watchkeeper/watchkeeper.toml";

/// Look for mistakes in the configuration.
#[derive(Debug, Args)]
pub struct Check {
    /// The configuration file.
    #[arg(long, default_value = DEFAULT_CONFIG)]
    pub config: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl Check {
    /// Prints what is wrong. Exit 0: nothing but warnings; 1: errors, or `out` cannot be written.
    pub fn run(&self, out: &mut dyn Write) -> Exit {
        let loaded = load_as(&self.config, Mode::Check);
        let (list, exit) = match &loaded {
            Ok(config) => (config.warnings(), Exit::Ok),
            Err(problems) => (problems.list(), Exit::Failed),
        };
        let text = if self.json { as_json(list) } else { report(list) };
        if writeln!(out, "{text}").is_err() { Exit::Failed } else { exit }
    }
}

fn as_json(list: &[Problem]) -> String {
    let count = |level| list.iter().filter(|problem| problem.level == level).count();
    let problems: Vec<_> = list
        .iter()
        .map(|problem| {
            json!({
                "level": problem.level.to_string(),
                "file": problem.at.file.to_string_lossy(),
                "line": (problem.at.line > 0).then_some(problem.at.line),
                "column": (problem.at.line > 0).then_some(problem.at.column),
                "message": problem.message,
                "help": problem.help,
            })
        })
        .collect();
    json!({
        "errors": count(Level::Error),
        "warnings": count(Level::Warning),
        "problems": problems,
    })
    .to_string()
}
