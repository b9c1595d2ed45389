//! `watchkeeper abort`, `resume`, `abandon`: a plan that is to stop, and one that stopped on its way.

use std::fmt::Write as _;

use clap::Args;
use watchkeeper_core::execution::Word;
use watchkeeper_core::guards::Guard;

use super::client::{Client, ClientError};
use super::exit::Exit;
use super::{Which, guard, order};
use crate::api::{OrderRequest, StoppedReport};

/// What `abort --help` says behind the options.
pub(super) const ABORT: &str = "\
An attempt at a step that is under way comes to its end, which the step's timeout bounds; nothing
after it is begun. Before anything was touched the change ends as if it had never begun; later it
has stopped on its way: see `resume` and `abandon`. What a policy wants, it wants again: hold it
with `watchkeeper maintenance on`.

Example:
  watchkeeper abort --reason 'the wrong cluster'";

/// What `resume --help` says behind the options.
pub(super) const RESUME: &str = "\
It goes on at the step where it stopped, after making sure anew of what may be so no longer: what
was to be stopped is stopped, and the old side is inactive. The guards and the duty are asked anew.
If nobody knows whether a site step took effect, say so with --step.

Examples:
  watchkeeper resume --reason 'DM2 has room on its disk again'
  watchkeeper resume --step done --reason 'the address was moved by hand'";

/// What `abandon --help` says behind the options.
pub(super) const ABANDON: &str = "\
No step is taken back. If it is known which side counts as active then, it does, and what is missing
there is started by the policies; if not, say it with `watchkeeper declare`. `watchkeeper status`
shows beforehand which it would be.

Example:
  watchkeeper abandon --reason 'DM2 needs a new disk first'";

#[derive(Debug, Args)]
pub(super) struct Abort {
    #[command(flatten)]
    cluster: Which,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// Do not wait for its end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    cluster: Which,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// What became of the step at which it stopped: done (took effect; go on behind it) or again (did not)
    #[arg(long, value_name = "WORD", value_parser = word)]
    step: Option<Word>,
    /// A guard that is not to hold it: maintenance, freshness, vantage or standby
    #[arg(long = "override", value_name = "GUARD", value_parser = guard)]
    overrides: Vec<Guard>,
    /// Do not wait for its end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Args)]
pub(super) struct Abandon {
    #[command(flatten)]
    cluster: Which,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
}

fn word(text: &str) -> Result<Word, String> {
    match text {
        "done" => Ok(Word::Done),
        "again" => Ok(Word::Again),
        _ => Err("it is done or again".to_owned()),
    }
}

pub(super) async fn abort(
    client: &Client,
    arguments: Abort,
    json: bool,
) -> Result<Exit, ClientError> {
    let Abort { cluster, reason, no_wait } = arguments;
    order(client, &cluster, &OrderRequest::Abort { reason }, !no_wait, json).await
}

pub(super) async fn resume(
    client: &Client,
    arguments: Resume,
    json: bool,
) -> Result<Exit, ClientError> {
    let Resume { cluster, reason, step, overrides, no_wait } = arguments;
    let step = step.unwrap_or_default();
    let request = OrderRequest::Resume { reason, step, overrides };
    order(client, &cluster, &request, !no_wait, json).await
}

pub(super) async fn abandon(
    client: &Client,
    arguments: Abandon,
    json: bool,
) -> Result<Exit, ClientError> {
    let Abandon { cluster, reason } = arguments;
    order(client, &cluster, &OrderRequest::Abandon { reason }, false, json).await
}

/// Where a change of side stopped, what was not done, and how to go on.
pub(super) fn ways(stopped: &StoppedReport, cluster: &str) -> String {
    let StoppedReport { number, kind, at, step, steps, act, why, left, .. } = stopped;
    let mut out =
        format!("plan {number} ({kind}) STOPPED at step {step} of {steps} ({act}), {at}: {why}\n");
    if !stopped.begun {
        out.push_str("  that step was not begun\n");
    }
    let after: Vec<&str> = left.iter().map(String::as_str).filter(|it| it != act).collect();
    if !after.is_empty() {
        let _ = writeln!(out, "  not begun: {}", after.join("; "));
    }
    let _ = writeln!(out, "  what was done: watchkeeper explain --cluster {cluster}");
    let word = if stopped.needs_word { "--step done|again " } else { "" };
    let _ = writeln!(out, "  to go on: watchkeeper resume --cluster {cluster} {word}--reason ...");
    let then = stopped.if_abandoned.map_or_else(
        || "no side counts as active then, and you have to declare one".to_owned(),
        |side| format!("the {side} counts as active then"),
    );
    let _ = writeln!(
        out,
        "  to give it up: watchkeeper abandon --cluster {cluster} --reason ... ({then}: {})",
        stopped.if_abandoned_why
    );
    let _ = writeln!(
        out,
        "  if you know which side is active: watchkeeper declare SIDE --cluster {cluster} --reason ..."
    );
    out
}
