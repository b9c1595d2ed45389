//! `watchkeeper replay`: recorded history through another policy, without a daemon.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use watchkeeper_core::model::ClusterName;

use super::exit::Exit;
use super::policy::PolicyError;
use super::{complain, policy, print, print_error, print_json};
use crate::clock;
use crate::config::cluster::ClusterConfig;
use crate::config::{self, Config, Mode, Problems};
use crate::journal::{JournalError, Reader};
use crate::replay::{
    Candidate, Panel, Question, ReplayError, Replayed, SeatsError, Standing, When, replay, speed,
    svg,
};

/// What `--help` says below the options.
pub(super) const HELP: &str = "It reads only: a journal that a daemon writes to, or a copy of one. \
The other policies, and the candidate's settings but for --set, are the configuration's. What is told \
as a record was decided on exactly these facts; what is told as reconstructed is known to about two \
seconds. After an action that nobody took, the recorded world goes on: see docs/replay.md.

Examples:
  watchkeeper replay --policy new.wasm --since 30d
  watchkeeper replay --policy policies/data-mover-ha.wasm --set rescue-attempts=0 --plot days.svg
  watchkeeper replay --policy new.wasm --file copy.db --since 2026-11-01 --until 2026-11-04 --json";

/// How often the progress is told.
const TELL: Duration = Duration::from_millis(250);

/// What to replay.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// The candidate's file
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// The configured policy whose place it takes; without it, the one of its file's or its own name
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    settings: policy::Set,
    /// The cluster; may be left out if there is only one
    #[arg(long, value_name = "NAME")]
    cluster: Option<String>,
    /// From when: a time back from the end, such as 30d or 24h, or a moment
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: When,
    /// Until when: a moment, or now; without it, the journal's last record
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// A journal's file; without it, that of the daemon with this configuration
    #[arg(long, value_name = "JOURNAL")]
    file: Option<PathBuf>,
    /// Write a picture of the days to this file, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error("{0}")]
    Configuration(Problems),
    #[error("there is no cluster {name:?}; there is {}", known.join(", "))]
    NoCluster { name: String, known: Vec<String> },
    #[error("say which cluster is meant with --cluster: {}", known.join(", "))]
    WhichCluster { known: Vec<String> },
    #[error(transparent)]
    Settings(#[from] PolicyError),
    #[error(transparent)]
    Seats(#[from] SeatsError),
    #[error(transparent)]
    Journal(JournalError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot write {path}")]
    Plot { path: PathBuf, source: std::io::Error },
}

/// Replays, and tells what came of it.
pub(super) fn run(arguments: &Replay, config: &Path, json: bool) -> Exit {
    match answer(arguments, config) {
        Ok(Replayed { report, days }) => {
            if json {
                print_json(&report);
            } else {
                print(&format!("{days}\n{report}"));
                print_error(&speed(&report));
            }
            // What is not exact is a defect, and must not pass for an answer.
            if report.inexact.is_empty() { Exit::Ok } else { Exit::Failed }
        }
        Err(problem) => {
            complain(&problem);
            if let Problem::Journal(error) | Problem::Replay(ReplayError::Journal(error)) = &problem
            {
                print_error(&format!("{}\n", error.advice()));
            }
            Exit::Failed
        }
    }
}

fn answer(arguments: &Replay, path: &Path) -> Result<Replayed, Problem> {
    // What only the daemon's environment has, such as secrets, is not needed.
    let config = config::load_as(path, Mode::Check).map_err(Problem::Configuration)?;
    let cluster = cluster(&config, arguments.cluster.as_deref())?;
    let given = arguments.settings.read()?;
    let candidate = Candidate {
        file: arguments.policy.clone(),
        name: arguments.name.clone(),
        settings: given.values,
        files: given.files,
    };
    let panel = Panel::of(&config.guests, cluster, &candidate)?;
    let file = arguments.file.clone();
    let file = file.unwrap_or_else(|| config.monitor.state_dir.join("journal.db"));
    let journal = Reader::open(&file).map_err(Problem::Journal)?;
    let mut progress = Progress::begin();
    let replayed = replay(
        Question {
            cluster,
            panel,
            candidate: &candidate,
            journal: &journal,
            since: arguments.since,
            until: arguments.until,
            now: clock::now(),
        },
        |standing| progress.tell(standing),
    );
    progress.end();
    let replayed = replayed?;
    if let Some(path) = &arguments.plot {
        std::fs::write(path, svg(&replayed.report, &replayed.days))
            .map_err(|source| Problem::Plot { path: path.clone(), source })?;
    }
    Ok(replayed)
}

fn cluster<'a>(config: &'a Config, named: Option<&str>) -> Result<&'a ClusterConfig, Problem> {
    let known = || config.clusters.iter().map(|it| it.topology.cluster().to_string()).collect();
    match (named, config.clusters.as_slice()) {
        (Some(name), _) => {
            let found = ClusterName::new(name).ok().and_then(|name| config.cluster(&name));
            found.ok_or_else(|| Problem::NoCluster { name: name.to_owned(), known: known() })
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(Problem::WhichCluster { known: known() }),
    }
}

/// How far it has come, in one line of a terminal.
struct Progress {
    shown: bool,
    next: Option<Instant>,
}

impl Progress {
    /// Nothing is told where nobody looks.
    fn begin() -> Self {
        let watched = std::io::stderr().is_terminal();
        Self { shown: false, next: watched.then(|| Instant::now() + TELL) }
    }

    fn tell(&mut self, standing: Standing) {
        let Some(next) = self.next else { return };
        let now = Instant::now();
        if now < next {
            return;
        }
        let Standing { since, until, at } = standing;
        let percent = at.since(since).saturating_mul(100) / until.since(since).max(1);
        let line = format!("\r{at}  {:>3} %", percent.min(100));
        let _ = std::io::stderr().lock().write_all(line.as_bytes());
        (self.shown, self.next) = (true, Some(now + TELL));
    }

    fn end(self) {
        if self.shown {
            // The line goes, and with it nothing that anybody needs.
            let _ = std::io::stderr().lock().write_all(b"\r\x1b[K");
        }
    }
}
