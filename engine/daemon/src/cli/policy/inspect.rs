//! `watchkeeper policy inspect` and `evaluate`: look at a policy, and try it on recorded facts, without a daemon.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchkeeper_core::proposal::Grant;
use watchkeeper_core::settings::{self, SettingKind};
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_wasm::{Host, HostConfig, Policy};

use super::PolicyError;
use super::given::Set;
use super::sealed::{Keys, Sealed};
use crate::cli::exit::Exit;
use crate::cli::{print, print_json};

fn load(path: &Path) -> Result<Policy, PolicyError> {
    let bytes = std::fs::read(path)
        .map_err(|source| PolicyError::Read { path: path.to_owned(), source })?;
    Host::new(HostConfig::default())?
        .load_policy(&bytes)
        .map_err(|source| PolicyError::Load { path: path.to_owned(), source: Box::new(source) })
}

/// What `policy inspect` is asked.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Inspect {
    /// The component's file
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
}

impl Inspect {
    /// Shows what a policy says of itself, and its signature.
    pub(in crate::cli) fn run(&self, config: &Path, json: bool) -> Result<Exit, PolicyError> {
        let sealed = Sealed::look(&self.file, &self.keys.read(config)?)?;
        Ok(inspect(&load(&self.file)?, &sealed, json))
    }
}

fn inspect(policy: &Policy, sealed: &Sealed, json: bool) -> Exit {
    let (description, revision) = (policy.description(), policy.revision());
    if json {
        print_json(&serde_json::json!({
            "name": description.name,
            "version": revision.version,
            "digest": revision.digest,
            "summary": description.summary,
            "needs": description.needs,
            "settings": description.settings,
            "signature": sealed,
        }));
        return Exit::Ok;
    }
    let needs: Vec<&str> = description.needs.iter().map(|grant: &Grant| grant.as_str()).collect();
    let mut out = format!(
        "{} {}\n{}\ndigest: {}\nsignature: {sealed}\nneeds the grants: {}\n",
        description.name,
        revision.version,
        description.summary,
        revision.digest,
        needs.join(", ")
    );
    if !description.settings.is_empty() {
        out.push_str("settings:\n");
    }
    for setting in &description.settings {
        let _ =
            writeln!(out, "  {} = {}\n      {}", setting.name, default(&setting.kind), setting.doc);
    }
    print(&out);
    Exit::Ok
}

fn default(kind: &SettingKind) -> String {
    match kind {
        SettingKind::Flag(value) => format!("{value}  (true or false)"),
        SettingKind::Integer(it) => format!("{}  ({} to {})", it.default, it.min, it.max),
        SettingKind::Duration(it) => {
            format!("\"{}ms\"  ({} ms to {} ms)", it.default, it.min, it.max)
        }
        SettingKind::Text(value) => format!("{value:?}"),
        SettingKind::Choice { default, options } => {
            format!("{default:?}  ({})", options.join(", "))
        }
        SettingKind::Texts(values) => format!("{values:?}"),
    }
}

/// Asks a policy what it makes of a snapshot in a file.
pub(in crate::cli) fn evaluate(
    path: &Path,
    snapshot: &Path,
    given: &Set,
    json: bool,
) -> Result<Exit, PolicyError> {
    let policy = load(path)?;
    let text = std::fs::read_to_string(snapshot)
        .map_err(|source| PolicyError::Read { path: snapshot.to_owned(), source })?;
    let snapshot: Snapshot = serde_json::from_str(&text)
        .map_err(|source| PolicyError::Snapshot { path: snapshot.to_owned(), source })?;
    let given = given.read()?;
    let schema = &policy.description().settings;
    let settings = settings::check(schema, &given.values).map_err(|problems| {
        let all: Vec<String> = problems.iter().map(ToString::to_string).collect();
        PolicyError::Settings(all.join("; "))
    })?;
    let evaluated = policy.evaluate(&Arc::new(snapshot), &settings, &[]);
    if json {
        print_json(&serde_json::json!({
            "revision": policy.revision(),
            "took-us": u64::try_from(evaluated.took.as_micros()).unwrap_or(u64::MAX),
            "reads": evaluated.reads,
            "outcome": evaluated.outcome,
        }));
    } else {
        print(&given.name_files(&story(&evaluated)));
    }
    Ok(if evaluated.outcome.is_ok() { Exit::Ok } else { Exit::Failed })
}

fn story(evaluated: &watchkeeper_wasm::Evaluated) -> String {
    let mut out = String::new();
    match &evaluated.outcome {
        Err(failure) => {
            let _ = writeln!(out, "gave no answer: {failure}");
        }
        Ok(evaluation) => {
            for proposal in &evaluation.proposals {
                let _ = writeln!(out, "proposes to {}: {}", proposal.action, proposal.reason);
            }
            for hold in &evaluation.holds {
                let _ = writeln!(out, "holds: {hold}");
            }
            for alert in &evaluation.alerts {
                let _ = writeln!(out, "{} alert {}: {}", alert.severity, alert.name, alert.summary);
            }
            for note in &evaluation.notes {
                let _ = writeln!(out, "says: {note}");
            }
            if let Some(ms) = evaluation.look_again_ms {
                let _ = writeln!(out, "looks again after {ms} ms");
            }
            if evaluation.proposals.is_empty() {
                out.push_str("proposes nothing\n");
            }
        }
    }
    let _ = writeln!(
        out,
        "it asked {} questions and took {} us",
        evaluated.reads.len(),
        evaluated.took.as_micros()
    );
    out
}
