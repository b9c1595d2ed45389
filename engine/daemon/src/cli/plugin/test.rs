//! `watchkeeper plugin test`: plays recorded conversations through a plugin's component, in the host that the daemon uses.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use watchkeeper_cases::{CaseError, EXPECTED, Mode};
use watchkeeper_wasm::{Host, Limits, Notifier};

use super::PluginError;
use super::play::{Seen, play};
use crate::cli::exit::Exit;
use crate::cli::project::{self, Built, Kind, Outcome, Played, Project, Tools, told};
use crate::cli::{print, print_json};

/// What `plugin test` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Test {
    /// The project's folder: it is built, and its conversations are played
    #[arg(default_value = ".", conflicts_with = "component")]
    dir: PathBuf,
    /// Play the conversations through this component, and build nothing
    #[arg(long, value_name = "FILE", requires = "conversations")]
    component: Option<PathBuf>,
    /// The folder of conversations; without it, `conversations` in the project
    #[arg(long, value_name = "DIR")]
    conversations: Option<PathBuf>,
    /// Only the conversations whose names contain this
    #[arg(long = "case", value_name = "TEXT")]
    only: Option<String>,
    /// Write what comes of each conversation as what is expected. Read the difference
    #[arg(long)]
    update: bool,
    /// Show what the plugin logs
    #[arg(long)]
    log: bool,
    #[command(flatten)]
    tools: Tools,
}

pub(super) const HELP: &str = "A conversation is a folder: conversation.toml says what is told and what the other side \
    answers, expected.txt what the plugin is expected to ask for and how it ends; docs/plugins.md shows one. In a difference, \
    - is expected and + came.\n\nExamples:\n  watchkeeper plugin test\n  watchkeeper plugin test --case busy --log\n  \
    watchkeeper plugin test --update\n  \
    watchkeeper plugin test --component chat.wasm --conversations conversations";

/// A conversation must not fail because this machine is busy; how long calls took is told.
const CALL: Duration = Duration::from_secs(10);

impl Test {
    /// Plays the conversations.
    pub(super) async fn run(&self, json: bool) -> Result<Exit, PluginError> {
        let (built, folder) = self.built()?;
        let (path, notifier) = (built.path, Arc::new(built.guest));
        let mut seen = Seen::default();
        let mut all = Vec::new();
        let found = watchkeeper_cases::find(&folder).map_err(|error| match error {
            CaseError::Empty(folder) => PluginError::Empty(folder),
            error => PluginError::Conversations(error),
        })?;
        for folder in found {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if self.only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
                continue;
            }
            seen.log.clear();
            let mode = if self.update { Mode::Update } else { Mode::Compare };
            let result = match play(&folder, &notifier, &mut seen).await {
                Ok(said) => watchkeeper_cases::compare(&folder.join(EXPECTED), said, mode).into(),
                Err(problem) => Outcome::Broken { problem },
            };
            let played = Played { name, result };
            if !json {
                let log = self.log || matches!(played.result, Outcome::Broken { .. });
                print(&told(&played, if log { &seen.log } else { &[] }));
            }
            all.push(played);
        }
        let never = never(&notifier, &seen);
        let failed = project::failed(&all);
        if json {
            let (median, slowest) = times(&seen.took);
            print_json(&serde_json::json!({
                "component": path,
                "revision": notifier.revision(),
                "conversations": all,
                "never-exercised": never,
                "calls": seen.took.len(),
                "median-us": u64::try_from(median.as_micros()).unwrap_or(u64::MAX),
                "slowest-us": u64::try_from(slowest.as_micros()).unwrap_or(u64::MAX),
            }));
        } else {
            // Where only some were played to their end, nothing is known of the others.
            let broken = |played: &Played| matches!(played.result, Outcome::Broken { .. });
            let whole = self.only.is_none() && !all.iter().any(broken);
            for one in never.iter().filter(|_| whole) {
                print(&format!("never exercised: {one}\n"));
            }
            print(&summary(all.len(), failed, &seen));
        }
        Ok(if all.is_empty() || failed > 0 { Exit::Failed } else { Exit::Ok })
    }

    /// The component, and the folder of conversations.
    fn built(&self) -> Result<(Built<Notifier>, PathBuf), PluginError> {
        let limits = Limits { call: CALL, ..Limits::default() };
        let folder = self.conversations.clone();
        if let Some(component) = &self.component {
            let built = project::load(component, None, limits, Host::load_notifier)?;
            return Ok((built, folder.unwrap_or_else(|| PathBuf::from(Kind::Plugin.examples()))));
        }
        let project = Project::find(&self.dir, Kind::Plugin)?;
        let shared = self.tools.shared.as_deref();
        let built = project::build(&project, shared, limits, Host::load_notifier)?;
        Ok((built, folder.unwrap_or_else(|| project.examples())))
    }
}

/// What no conversation has shown.
fn never(notifier: &Notifier, seen: &Seen) -> Vec<String> {
    let settings: Vec<&str> = notifier
        .description()
        .settings
        .iter()
        .map(|setting| setting.name.as_str())
        .filter(|name| !seen.settings.contains(*name))
        .collect();
    let mut never = Vec::new();
    if !settings.is_empty() {
        never.push(format!("no conversation gives {}", settings.join(", ")));
    }
    if !seen.over {
        never.push("in no conversation it is told that something is over".to_owned());
    }
    if !seen.undelivered {
        never.push(
            "in no conversation the other side refuses, is busy or does not answer".to_owned(),
        );
    }
    never
}

/// How long a call took, in the middle and at most.
fn times(took: &[Duration]) -> (Duration, Duration) {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
    (at(sorted.len() / 2), at(sorted.len().saturating_sub(1)))
}

fn summary(count: usize, failed: usize, seen: &Seen) -> String {
    let (median, slowest) = times(&seen.took);
    let ms = |duration: Duration| format!("{:.1} ms", duration.as_secs_f64() * 1e3);
    format!(
        "{} calls, half of them within {}, the slowest in {}; a daemon allows {} ms by default\n\
         {} passed, {failed} failed\n",
        seen.took.len(),
        ms(median),
        ms(slowest),
        Limits::default().call.as_millis(),
        count - failed,
    )
}
