//! How long a failover takes, on the lab's real services, beside Redis Sentinel in the same run.
//!
//! Each run has a lab of its own and one fault, which befalls dm1's daemon and a Redis master on
//! dm1 at the same moment. Sentinel's window is set to Watchkeeper's, and of both only what they
//! take beyond it is compared. What is not the engine's doing is told apart by the daemon's own log
//! ([`account`]). Nothing here is a test: a target that is missed is printed as such.

#![allow(clippy::panic, reason = "whatever goes wrong ends the benchmark")]

mod account;
mod fault;
mod report;
mod run;
mod sentinel;

use std::process::ExitCode;

use clap::Parser;

use fault::Fault;
use report::Report;

/// Measures how long a failover takes, beside Redis Sentinel. Needs root, and what the lab needs.
#[derive(Parser)]
#[command(after_help = "Example: failover-bench --runs 10 --fault host --json")]
struct Cli {
    /// Runs of each fault
    #[arg(long, default_value_t = 10, value_name = "N")]
    runs: u32,
    /// Only this fault
    #[arg(long, value_enum)]
    fault: Option<Fault>,
    /// Print JSON, with every run
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if let Some(why) = watchkeeper_lab::unfit() {
        eprintln!("failover-bench: {why}");
        return ExitCode::FAILURE;
    }
    watchkeeper_lab::optimise();
    let mut report = Report::new(sentinel::installed());
    for fault in Fault::ALL {
        if cli.fault.is_some_and(|only| only != fault) {
            continue;
        }
        for number in 0..cli.runs {
            eprintln!("{fault}: run {} of {}", number + 1, cli.runs);
            if let Some(run) = run::run(fault, number) {
                eprintln!("{}", run.line());
                report.add(fault, run);
            }
        }
    }
    report.print(cli.json);
    ExitCode::SUCCESS
}
