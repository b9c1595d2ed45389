//! The benchmarks: what the design promises in figures, measured in one run.
//!
//! Times on a shared machine say little, so what can be is a ratio of two that took turns. Nothing
//! here is a test: a target that is missed is printed as such, and the program ends well.

mod cases;
mod decision;
mod evaluation;
mod fleet;
mod floor;
mod measure;
mod rego;
mod report;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use watchkeeper_wasm::{Host, HostConfig};

use evaluation::Loaded;
use report::Report;

/// Why a run came to no result.
pub(crate) type Failed = Box<dyn std::error::Error + Send + Sync>;

/// Measures what the design promises in figures.
#[derive(Parser)]
struct Cli {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// How often each evaluation is measured
    #[arg(long, default_value_t = 20_000, value_name = "N")]
    calls: usize,
    /// How many changed facts are followed to their decisions
    #[arg(long, default_value_t = 200, value_name = "N")]
    changes: usize,
    /// The folder for the journal of that; the disk it is on is part of the measure
    #[arg(long, default_value = ".", value_name = "DIR")]
    dir: PathBuf,
    /// The component of data-mover-ha; without, it is built
    #[arg(long, value_name = "WASM")]
    policy: Option<PathBuf>,
}

fn main() -> ExitCode {
    match run(&Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("watchkeeper-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failed> {
    let path = cli.policy.clone().unwrap_or_else(|| watchkeeper_guests::guest("data-mover-ha"));
    let loaded = Loaded::new(Host::new(HostConfig::default())?, std::fs::read(&path)?)?;
    let mut report = Report::default();
    report.note(format!("instances come from a pool: {}", loaded.host.pooled()));
    evaluation::measure(&loaded, cli.calls.max(100), &mut report)?;
    fleet::measure(&loaded, &mut report)?;
    decision::measure(&loaded, cli.changes.max(10), &cli.dir, &mut report)?;
    report.print(cli.json);
    Ok(())
}
