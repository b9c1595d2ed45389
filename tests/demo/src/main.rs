//! `watchkeeper-demo`: the main job in under a minute, told as it happens.
//!
//! The daemon, the policy data-mover-ha and the plugin webhook are the real ones; the Data Mover
//! site is a stand-in on loopback addresses (`tests/site` says what differs). Every step is waited
//! for, within a bound, and checked against what the site itself saw: a step that does not happen
//! ends the demo with exit status 1, so that it is a test as well.

mod episode;
mod error;
mod stage;
mod story;
mod teller;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use tokio::signal::unix::{Signal, SignalKind, signal};

use error::{DemoError, chain};
use stage::{Built, Stage};
use teller::Teller;

/// Watchkeeper's main job on a stand-in site, told as it happens
#[derive(Parser)]
struct Cli {
    /// The daemon's program; without it, the one beside this one
    #[arg(long, value_name = "FILE")]
    watchkeeper: Option<PathBuf>,
    /// The folder with the built policies/ and plugins/
    #[arg(long, value_name = "FOLDER", default_value = "target/guests")]
    guests: PathBuf,
    /// Leave everything running at the end, to be played with, until Ctrl-C
    #[arg(long)]
    stay: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = tokio::runtime::Runtime::new()
        .map_err(DemoError::from)
        .and_then(|runtime| runtime.block_on(run(cli)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nwatchkeeper-demo: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<(), DemoError> {
    let beside = || Ok::<_, DemoError>(std::env::current_exe()?.with_file_name("watchkeeper"));
    let watchkeeper = cli.watchkeeper.map_or_else(beside, |path| Ok(path.canonicalize()?))?;
    let built = Built { watchkeeper, guests: cli.guests };
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut teller = Teller::new();
    let mut stage = Stage::open(&built).await?;
    let told = tokio::select! {
        told = story::tell(&mut stage, &mut teller) => told,
        () = ended(&mut interrupt, &mut terminate) => Err(DemoError::Interrupted),
    };
    if let Err(error) = &told
        && !matches!(error, DemoError::Interrupted)
    {
        eprintln!("\n{}\nThe last lines of {}/daemon.log:", chain(error), stage.folder.display());
        eprint!("{}", stage.log());
    }
    if told.is_ok() && cli.stay {
        story::invite(&stage, &teller, &built.watchkeeper);
        ended(&mut interrupt, &mut terminate).await;
    }
    let folder = stage.folder.clone();
    let closed = stage.close().await;
    teller.say(&format!("The demo's folder is left for you: {}", folder.display()));
    told.and(closed)
}

async fn ended(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
