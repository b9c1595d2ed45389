//! `watchkeeper policy test`: plays the cases of a policy through its component, in the host that the daemon uses.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use watchkeeper_cases::Mode;
use watchkeeper_core::proposal::{Evaluation, Grant};
use watchkeeper_core::settings::{self, Given};
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_wasm::{Host, Limits, LogLine, Policy};

use super::PolicyError;
use crate::cli::exit::Exit;
use crate::cli::project::{self, Kind, Outcome, Played, Project, Tools, told};
use crate::cli::{print, print_json};

/// What `policy test` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Test {
    /// The project's folder: it is built, and its cases are played
    #[arg(default_value = ".", conflicts_with = "component")]
    dir: PathBuf,
    /// Play the cases through this component, and build nothing
    #[arg(long, value_name = "FILE", requires = "cases")]
    component: Option<PathBuf>,
    /// The folder of cases; without it, `cases` in the project
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Only the cases whose names contain this
    #[arg(long = "case", value_name = "TEXT")]
    only: Option<String>,
    /// Write what comes of each case as what is expected. Read the difference
    #[arg(long)]
    update: bool,
    /// Show what the policy logs
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    tools: Tools,
}

pub(in crate::cli) const HELP: &str = "A case is a folder: case.toml says what happens when, expected.txt what is expected \
    to come of it; docs/policies.md shows one. In a difference, - is expected and + came.\n\nExamples:\n  \
    watchkeeper policy test\n  watchkeeper policy test --case rest-down --log\n  watchkeeper policy test --update\n  \
    watchkeeper policy test --component rest-keeper.wasm --cases cases";

/// A case must not fail because this machine is busy; how long evaluations took is told.
const CALL: Duration = Duration::from_secs(10);

/// What the cases showed of the policy.
#[derive(Debug, Default)]
struct Seen {
    grants: BTreeSet<Grant>,
    settings: BTreeSet<String>,
    /// How long each evaluation took.
    took: Vec<Duration>,
    /// What the policy logged in the case that is being played.
    log: Vec<LogLine>,
}

impl Test {
    /// Plays the cases.
    pub(in crate::cli) fn run(&self, json: bool) -> Result<Exit, PolicyError> {
        let limits = Limits { call: CALL, ..Limits::default() };
        let (built, folder) = match &self.component {
            Some(component) => {
                let built = project::load(component, None, limits, Host::load_policy)?;
                (built, self.cases.clone().unwrap_or_else(|| PathBuf::from("cases")))
            }
            None => {
                let project = Project::find(&self.dir, Kind::Policy)?;
                let shared = self.tools.shared.as_deref();
                let built = project::build(&project, shared, limits, Host::load_policy)?;
                let cases = self.cases.clone().unwrap_or_else(|| project.examples());
                (built, cases)
            }
        };
        let mut seen = Seen::default();
        let mut cases = Vec::new();
        for path in watchkeeper_cases::find(&folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
                let case = self.play(&path, name, &built.guest, &mut seen);
                if !json {
                    let log = self.log || matches!(case.result, Outcome::Broken { .. });
                    print(&told(&case, if log { &seen.log } else { &[] }));
                }
                cases.push(case);
            }
        }
        let missed = Missed::by(&built.guest, &seen);
        let (median, slowest) = seen.times();
        if json {
            print_json(&serde_json::json!({
                "component": built.path,
                "revision": built.guest.revision(),
                "cases": cases,
                "never-exercised": missed.grants,
                "never-given": missed.settings,
                "evaluations": seen.took.len(),
                "median-us": micros(median),
                "slowest-us": micros(slowest),
            }));
        } else {
            // Where only some were played, nothing is known of the others.
            let missed = if self.only.is_none() { missed.to_string() } else { String::new() };
            print(&format!("{missed}{}", summary(&cases, &seen)));
        }
        let failed = cases.is_empty() || project::failed(&cases) > 0;
        Ok(if failed { Exit::Failed } else { Exit::Ok })
    }

    fn play(&self, path: &Path, name: String, policy: &Policy, seen: &mut Seen) -> Played {
        seen.log.clear();
        let mode = if self.update { Mode::Update } else { Mode::Compare };
        let mut ask = |snapshot: &Arc<Snapshot>, given: &_, state: &[u8]| {
            seen.ask(policy, snapshot, given, state)
        };
        let result = watchkeeper_cases::settle(path, mode, &mut ask).into();
        Played { name, result }
    }
}

impl Seen {
    /// How long an evaluation took, in the middle and at most.
    fn times(&self) -> (Duration, Duration) {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
        (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
    }

    fn ask(
        &mut self,
        policy: &Policy,
        snapshot: &Arc<Snapshot>,
        given: &std::collections::BTreeMap<String, Given>,
        state: &[u8],
    ) -> Result<Evaluation, String> {
        self.settings.extend(given.keys().cloned());
        let settings =
            settings::check(&policy.description().settings, given).map_err(|problems| {
                problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            })?;
        let evaluated = policy.evaluate(snapshot, &settings, state);
        self.took.push(evaluated.took);
        self.log.extend(evaluated.log);
        let evaluation = evaluated.outcome.map_err(|failure| failure.to_string())?;
        self.grants.extend(evaluation.proposals.iter().map(|proposal| proposal.action.grant()));
        if !evaluation.holds.is_empty() {
            self.grants.insert(Grant::Hold);
        }
        if !evaluation.alerts.is_empty() {
            self.grants.insert(Grant::Alert);
        }
        Ok(evaluation)
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What the policy says it may do or be told, and no case has shown.
#[derive(Debug)]
struct Missed {
    grants: Vec<Grant>,
    settings: Vec<String>,
}

impl Missed {
    fn by(policy: &Policy, seen: &Seen) -> Self {
        let description = policy.description();
        let settings = description.settings.iter().map(|setting| setting.name.clone());
        Self {
            grants: description.needs.difference(&seen.grants).copied().collect(),
            settings: settings.filter(|name| !seen.settings.contains(name)).collect(),
        }
    }
}

impl std::fmt::Display for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for grant in &self.grants {
            let what = match grant {
                Grant::Rescue => "propose a rescue",
                Grant::StopService => "propose to stop a service",
                Grant::Failover => "propose a failover",
                Grant::Hold => "hold",
                Grant::Alert => "raise an alert",
            };
            writeln!(f, "never exercised: it may {what} (grant {grant}), and does so in no case")?;
        }
        if !self.settings.is_empty() {
            writeln!(f, "never exercised: no case gives {}", self.settings.join(", "))?;
        }
        Ok(())
    }
}

fn summary(cases: &[Played], seen: &Seen) -> String {
    let failed = project::failed(cases);
    let allowed = Limits::default().call;
    let (median, slowest) = seen.times();
    let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    format!(
        "{} evaluations, half of them within {}, the slowest in {}; a daemon allows {} ms by default\n\
         {} passed, {failed} failed\n",
        seen.took.len(),
        ms(median),
        ms(slowest),
        allowed.as_millis(),
        cases.len() - failed,
    )
}
