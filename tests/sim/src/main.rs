//! Runs seeds: one with its story, or many with what they came to.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use watchkeeper_sim::checks::Counts;
use watchkeeper_sim::run::run;

/// Tries the engine's decisions on simulated time, network and servers.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  watchkeeper-sim --seed 4711\n  watchkeeper-sim --seeds 100000 --from 1"
)]
struct Arguments {
    /// Tell what happens with this seed
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// Run so many seeds
    #[arg(long, default_value_t = 2_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Stop after so many that failed
    #[arg(long, default_value_t = 5)]
    failures: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(seed) = arguments.seed {
        let report = run(seed, true);
        let _ = writeln!(std::io::stdout().lock(), "{}", report.story.trim_end());
        return ExitCode::from(u8::from(report.violation.is_some()));
    }
    many(&arguments)
}

fn many(arguments: &Arguments) -> ExitCode {
    let begun = Instant::now();
    let next = AtomicU64::new(0);
    let total = Mutex::new((Counts::default(), Vec::new(), 0_u64));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= arguments.seeds {
                        return;
                    }
                    let seed = arguments.from + number;
                    let report = run(seed, false);
                    let Ok(mut total) = total.lock() else { return };
                    total.0 = total.0.and(report.counts);
                    total.2 += 1;
                    if let Some(violation) = report.violation {
                        let _ = writeln!(std::io::stdout().lock(), "seed {seed}: {violation}");
                        total.1.push(seed);
                    }
                    if total.1.len() >= arguments.failures {
                        return;
                    }
                    if total.2.is_multiple_of(10_000) {
                        let took = begun.elapsed().as_secs();
                        let (done, all) = (total.2, arguments.seeds);
                        let _ = writeln!(std::io::stderr().lock(), "{done} of {all}, {took} s");
                    }
                }
            });
        }
    });
    let Ok((counts, failed, done)) = total.into_inner() else { return ExitCode::FAILURE };
    let _ = writeln!(
        std::io::stdout().lock(),
        "{done} seeds in {:.1} s: {} events, {} faults, {} starts of monitors, {} changes of side, {} \
         handovers of the duty, {} judged by an operator, {} times fenced, {} needless failovers, {} times deceived \
         witnesses; {} failed",
        begun.elapsed().as_secs_f64(),
        counts.events,
        counts.faults,
        counts.starts,
        counts.changes,
        counts.handovers,
        counts.operators,
        counts.fenced,
        counts.needless,
        counts.deceived,
        failed.len()
    );
    ExitCode::from(u8::from(!failed.is_empty()))
}
