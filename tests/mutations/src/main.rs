//! Breaks what keeps two sides from being active, one piece at a time, in a copy of the tree, and writes down
//! which of the simulation, the model and the core's own tests notice.

mod breaks;
mod report;
mod trial;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::breaks::Break;
use crate::report::Page;

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
    /// The page that gets the table, between its markers: each row when it is known, and the others stay
    #[arg(long)]
    page: Option<PathBuf>,
    /// Only breaks that have no row in the page
    #[arg(long, requires = "page")]
    missing: bool,
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
    let mut page = arguments.page.as_deref().map(Page::read).transpose()?;
    let wanted = |one: &&Break| {
        let named = arguments.only.as_ref().is_none_or(|only| one.name.contains(only));
        let known = page.as_ref().is_some_and(|page| page.has(one));
        named && !(arguments.missing && known)
    };
    let mut unnoticed = false;
    for one in all.iter().filter(wanted).collect::<Vec<_>>() {
        let noticed = tree.try_out(one, arguments.seeds, !arguments.without_tests)?;
        println!("{}", report::row(one, &noticed));
        unnoticed |= !noticed.by_any();
        if let Some(page) = &mut page {
            page.put(&all, one, &noticed)?;
        }
    }
    Ok(!unnoticed)
}
