//! Runs schedules of random faults on labs: one with its story, or many with what they came to.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "what it is for")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Parser;
use watchkeeper_lab::chaos::{Counts, Report, Schedule, run};

/// Runs random faults on labs of real servers, and checks what must never be. Needs root, and what the lab needs.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  lab-chaos --seed 4711\n  lab-chaos --seeds 200 --from 1 --labs 2 --json"
)]
struct Cli {
    /// Tell what happens with this seed
    #[arg(long, conflicts_with_all = ["seeds", "hours"])]
    seed: Option<u64>,
    /// Run so many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// So many labs at once
    #[arg(long, default_value_t = 2)]
    labs: usize,
    /// Begin no further schedule after so many hours
    #[arg(long)]
    hours: Option<f64>,
    /// Only show what would go wrong
    #[arg(long)]
    dry_run: bool,
    /// Print JSON, with every seed that failed
    #[arg(long)]
    json: bool,
}

#[derive(Default)]
struct Total {
    counts: Counts,
    failed: BTreeMap<u64, Vec<String>>,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    if cli.dry_run {
        let from = cli.seed.unwrap_or(cli.from);
        let seeds = if cli.seed.is_some() { 1 } else { cli.seeds };
        for schedule in (from..from.saturating_add(seeds)).map(Schedule::of) {
            println!("{schedule}");
            for moment in &schedule.moments {
                println!(
                    "{:>8.3} {}",
                    Duration::from_millis(moment.at).as_secs_f64(),
                    moment.fault
                );
            }
        }
        return ExitCode::SUCCESS;
    }
    if let Some(why) = watchkeeper_lab::unfit() {
        eprintln!("lab-chaos: {why}");
        return ExitCode::FAILURE;
    }
    watchkeeper_lab::labs_at_once(cli.labs);
    let begun = Instant::now();
    let total = if let Some(seed) = cli.seed { one(seed) } else { many(&cli, begun) };
    print(&cli, &total, begun.elapsed());
    ExitCode::from(u8::from(!total.failed.is_empty() || total.counts.schedules == 0))
}

/// The report of a seed. Whatever goes wrong with the lab itself fails it as well.
fn tried(seed: u64) -> Report {
    let came = catch_unwind(AssertUnwindSafe(|| run(seed)));
    let why = match came {
        Ok(Some(report)) => return report,
        Ok(None) => "no lab can be brought up".to_owned(),
        Err(panic) => {
            let said = panic.downcast_ref::<String>().cloned();
            said.or_else(|| panic.downcast_ref::<&str>().map(|it| (*it).to_owned()))
                .unwrap_or_default()
        }
    };
    let violations = vec![format!("the run ended early: {why}")];
    Report { seed, story: String::new(), violations, counts: Counts::default() }
}

fn one(seed: u64) -> Total {
    let report = tried(seed);
    println!("{}", report.story);
    let mut total = Total { counts: report.counts, ..Total::default() };
    if !report.violations.is_empty() {
        println!("{}", report.violations.join("\n"));
        total.failed.insert(seed, report.violations);
    }
    total
}

fn many(cli: &Cli, begun: Instant) -> Total {
    let (next, total) = (AtomicU64::new(0), Mutex::new(Total::default()));
    let limit = cli.hours.map(|hours| Duration::from_secs_f64(hours.max(0.0) * 3_600.0));
    std::thread::scope(|scope| {
        for _ in 0..cli.labs.max(1) {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= cli.seeds || limit.is_some_and(|limit| begun.elapsed() >= limit) {
                        return;
                    }
                    let report = tried(cli.from.saturating_add(number));
                    let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                    total.add(report);
                }
            });
        }
    });
    total.into_inner().unwrap_or_else(PoisonError::into_inner)
}

impl Total {
    fn add(&mut self, report: Report) {
        let Report { seed, story, violations, counts } = report;
        self.counts += counts;
        let seconds = Duration::from_millis(counts.ms).as_secs();
        if violations.is_empty() {
            let Counts { failovers, planned, faults, .. } = counts;
            eprintln!(
                "seed {seed}: well after {seconds} s, {faults} faults, {failovers} failovers, {planned} planned"
            );
        } else {
            eprintln!(
                "seed {seed}: FAILED (lab-chaos --seed {seed} runs it again)\n{story}{}",
                violations.join("\n")
            );
            self.failed.insert(seed, violations);
        }
    }
}

fn print(cli: &Cli, total: &Total, took: Duration) {
    let it = total.counts;
    if cli.json {
        let failed: serde_json::Map<_, _> =
            total.failed.iter().map(|(seed, why)| (seed.to_string(), why.clone().into())).collect();
        println!(
            "{}",
            serde_json::json!({
                "schedules": it.schedules, "faults": it.faults, "failovers": it.failovers, "planned": it.planned,
                "repairs": it.repairs, "fenced": it.fenced, "declared": it.declared, "looks": it.looks,
                "strays": it.strays, "deceived": it.deceived, "jobs": it.jobs, "carried": it.carried,
                "notifications": it.notifications, "doubled": it.doubled,
                "lab_ms": it.ms, "seconds": took.as_secs(), "failed": failed,
            })
        );
        return;
    }
    println!(
        "{} schedules in {} s: {} faults, {} failovers, {} planned changes, {} rescues and strays stopped, {} times \
         fenced, {} times declared by an operator; {} looks, {} pairs with strays, {} with deceived witnesses; {} jobs, {} of \
         them carried over by planned changes; {} notifications, {} of them twice; {} failed: {:?}",
        it.schedules,
        took.as_secs(),
        it.faults,
        it.failovers,
        it.planned,
        it.repairs,
        it.fenced,
        it.declared,
        it.looks,
        it.strays,
        it.deceived,
        it.jobs,
        it.carried,
        it.notifications,
        it.doubled,
        total.failed.len(),
        total.failed.keys().collect::<Vec<_>>()
    );
}
