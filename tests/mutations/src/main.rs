//! Breaks what keeps two sides from being active, one piece at a time, in a copy of the tree, and writes down
//! which of the simulation, the model and the core's own tests notice.

mod breaks;
mod report;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Breaks what keeps two sides from being active, and writes down who notices.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only breaks whose names contain this
    #[arg(long)]
    only: Option<String>,
    /// How many runs are simulated for each
    #[arg(long, default_value_t = 3_000)]
    seeds: u64,
    /// Leave the core's own tests out
    #[arg(long)]
    without_tests: bool,
    /// Where the copy is made and built
    #[arg(long, default_value = "target/mutations")]
    tree: PathBuf,
    /// The page that gets the table of all breaks, between its markers
    #[arg(long, conflicts_with = "only")]
    page: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}

/// Tries all that are wanted. False: one was noticed by nobody.
fn run(arguments: &Arguments) -> Result<bool, String> {
    let repository = breaks::repository();
    let all = breaks::all()?;
    let tree = trial::Tree::copy(&repository, &arguments.tree)?;
    tree.check(arguments.seeds, !arguments.without_tests)?;
    let mut rows = Vec::new();
    for one in
        all.iter().filter(|one| arguments.only.as_ref().is_none_or(|only| one.name.contains(only)))
    {
        let noticed = tree.try_out(one, arguments.seeds, !arguments.without_tests)?;
        println!("{}", report::row(one, &noticed));
        rows.push((one, noticed));
    }
    if let Some(page) = &arguments.page {
        report::write(page, &rows)?;
    }
    Ok(rows.iter().all(|(_, noticed)| noticed.by_any()))
}
