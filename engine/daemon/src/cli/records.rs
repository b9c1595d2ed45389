//! `watchkeeper journal`: read it, through the daemon or from a file.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::ClusterName;

use super::client::{Client, ClientError};
use super::exit::Exit;
use super::{complain, print, print_json};
use crate::journal::{self, JournalError, Query, Reader};

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub(super) enum Journal {
    /// Show its last records
    #[command(
        after_help = "Examples:\n  watchkeeper journal show --limit 20\n  watchkeeper journal show --kind step-ended --file copy-of-journal.db"
    )]
    Show {
        #[command(flatten)]
        from: From,
        /// Only records after this one, oldest first
        #[arg(long)]
        after: Option<u64>,
        /// At most this many
        #[arg(long, default_value_t = 50)]
        limit: usize,
        /// Only about this cluster
        #[arg(long)]
        cluster: Option<ClusterName>,
        /// Only of this kind, such as evaluated, plan-begun or step-ended
        #[arg(long, value_parser = PossibleValuesParser::new(journal::KINDS))]
        kind: Option<String>,
    },
    /// Write the facts of an evaluation as JSON, for `policy evaluate`
    #[command(after_help = "Example:\n  watchkeeper journal snapshot --record 142 > snapshot.json")]
    Snapshot {
        #[command(flatten)]
        from: From,
        /// The evaluation's record
        #[arg(long)]
        record: u64,
    },
    /// Check that nothing in it is missing or altered
    #[command(
        after_help = "Example:\n  watchkeeper journal verify --file /var/lib/watchkeeper/journal.db"
    )]
    Verify {
        /// The journal's file
        #[arg(long)]
        file: PathBuf,
    },
}

/// Where to read from.
#[derive(Debug, Args)]
pub(super) struct From {
    /// A journal's file, read without the daemon
    #[arg(long)]
    file: Option<PathBuf>,
}

impl Journal {
    /// The file to read, if it is not the daemon that is asked.
    pub(super) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Show { from, .. } | Self::Snapshot { from, .. } => from.file.as_ref(),
            Self::Verify { file } => Some(file),
        }
    }
}

/// Reads through the daemon.
pub(super) async fn ask(
    client: &Client,
    arguments: &Journal,
    json: bool,
) -> Result<Exit, ClientError> {
    let path = match arguments {
        Journal::Show { after, limit, cluster, kind, .. } => {
            let mut path = match after {
                Some(after) => format!("/v1/journal?after={after}&limit={limit}"),
                None => format!("/v1/journal?last=true&limit={limit}"),
            };
            if let Some(cluster) = cluster {
                let _ = write!(path, "&cluster={cluster}");
            }
            if let Some(kind) = kind {
                let _ = write!(path, "&kind={kind}");
            }
            path
        }
        Journal::Snapshot { record, .. } => {
            format!("/v1/journal?after={}&limit=1", record.saturating_sub(1))
        }
        Journal::Verify { .. } => return Ok(Exit::Failed),
    };
    let records: Vec<Record> = client.get(&path).await?;
    Ok(show(arguments, &records, json))
}

/// Reads from a file.
pub(super) async fn offline(arguments: &Journal, json: bool) -> Exit {
    match read(arguments).await {
        Ok(Read::Records(records)) => show(arguments, &records, json),
        Ok(Read::Verified(verified)) => {
            if json {
                print_json(&serde_json::json!({"whole": true, "records": verified.records}));
            } else {
                print(&format!("whole: {} records, none missing or altered\n", verified.records));
            }
            Exit::Ok
        }
        Err(error) => {
            complain(&error);
            print(&format!("{}\n", error.advice()));
            Exit::Failed
        }
    }
}

enum Read {
    Records(Vec<Record>),
    Verified(journal::Verified),
}

async fn read(arguments: &Journal) -> Result<Read, JournalError> {
    match arguments {
        Journal::Verify { file } => Ok(Read::Verified(journal::verify(file)?)),
        Journal::Show { from, after, limit, cluster, kind } => {
            let file = from.file.clone().unwrap_or_default();
            let query = Query {
                after: after.unwrap_or(0),
                newest: after.is_none(),
                limit: *limit,
                cluster: cluster.clone(),
                kinds: kind.iter().cloned().collect(),
                ..Query::default()
            };
            Ok(Read::Records(Reader::open(&file)?.read(query).await?))
        }
        Journal::Snapshot { from, record } => {
            let file = from.file.clone().unwrap_or_default();
            let query = Query { after: record.saturating_sub(1), limit: 1, ..Query::default() };
            Ok(Read::Records(Reader::open(&file)?.read(query).await?))
        }
    }
}

fn show(arguments: &Journal, records: &[Record], json: bool) -> Exit {
    if let Journal::Snapshot { record, .. } = arguments {
        let found = records.iter().find(|it| it.seq == *record).map(|it| &it.event);
        let Some(Event::Evaluated(evaluated)) = found else {
            complain(&ClientError::Refused(format!(
                "record {record} is no evaluation; `watchkeeper journal show --kind evaluated` \
                 lists them"
            )));
            return Exit::Failed;
        };
        print_json(&evaluated.snapshot);
        return Exit::Ok;
    }
    if json {
        print_json(&records);
        return Exit::Ok;
    }
    if records.is_empty() {
        print("no record fits\n");
    }
    for record in records {
        let cluster = record.cluster.as_ref().map_or("-", |name| name.as_str());
        print(&format!("{:>6} {} {cluster:<10} {}\n", record.seq, record.at, line(&record.event)));
    }
    Exit::Ok
}

/// One event in one line.
fn line(event: &Event) -> String {
    match event {
        Event::Observed(it) => format!("{} is {}: {}", it.probe, it.status, it.reason.detail),
        Event::Evaluated(it) => match &it.decision.chosen {
            Some(chosen) if it.decision.holds.is_empty() => {
                format!("evaluated: {}, {}", chosen.proposal.action, chosen.proposal.reason)
            }
            Some(chosen) => format!(
                "evaluated: {} is wanted and held: {}",
                chosen.proposal.action,
                it.decision.holds.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
            ),
            None => match it.decision.passed_over.first() {
                Some(passed) => {
                    format!("evaluated: {} is passed over: {}", passed.proposal.action, passed.why)
                }
                None => "evaluated: nothing is asked for".to_owned(),
            },
        },
        Event::PlanBegun(plan) => {
            format!("plan {} begins: {}, {}", plan.number, plan.kind, plan.reason)
        }
        Event::StepIntended { plan, step, attempt, .. } => {
            format!("plan {plan}, step {}: attempt {attempt} begins", step + 1)
        }
        Event::StepEnded { plan, step, outcome, .. } => {
            format!("plan {plan}, step {}: {}", step + 1, outcome.detail())
        }
        Event::AlertFired(alert) => {
            format!("{} alert {}: {}", alert.claim.severity, alert.claim.name, alert.claim.summary)
        }
        other => {
            let kind = journal::kind(other);
            let mut value = serde_json::to_value(other).unwrap_or_default();
            if let Some(fields) = value.as_object_mut() {
                fields.remove("event");
            }
            format!("{kind} {value}")
        }
    }
}
