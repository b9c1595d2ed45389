//! The command line.
//!
//! What a person reads goes to standard output, what went wrong to standard error; with `--json`
//! standard output is JSON and nothing else. Exit codes are in [`exit`].

mod alerts;
mod check;
mod client;
mod dmcluster;
mod duty;
pub mod exit;
pub(crate) mod import;
mod init;
mod operate;
mod plugin;
mod policy;
mod project;
mod protection;
mod records;
mod rehearse;
mod replay;
mod status;
mod stopped;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use serde::Serialize;
use watchkeeper_core::guards::Guard;
use watchkeeper_core::model::{MonitorName, Side, Timestamp};
use watchkeeper_core::policies::Mode;

use crate::api::{OrderRequest, StatusReport};
use crate::explain::Story;
use crate::log::Log;
use crate::{config, daemon, terminal};
use client::{Client, ClientError};
use exit::Exit;

/// Where the configuration is if nothing else is said.
pub const DEFAULT_CONFIG: &str = "/etc/watchkeeper/watchkeeper.toml";

/// Watches Teradata Data Mover clusters, and fails over by rules that you write.
#[derive(Debug, Parser)]
#[command(name = "watchkeeper", version, about, after_help = exit::HELP, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,

    /// The configuration file
    #[arg(long, short, global = true, value_name = "FILE", env = "WATCHKEEPER_CONFIG", default_value = DEFAULT_CONFIG)]
    config: PathBuf,

    /// The daemon's socket; without it, the one that the configuration names
    #[arg(long, global = true, value_name = "PATH", env = "WATCHKEEPER_SOCKET")]
    socket: Option<PathBuf>,

    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon in the foreground
    #[command(
        after_help = "Example:\n  watchkeeper run --config /etc/watchkeeper/watchkeeper.toml"
    )]
    Run {
        /// Log lines as JSON
        #[arg(long)]
        log_json: bool,
    },
    /// Write a commented configuration for five servers to start from
    #[command(after_help = "Example:\n  watchkeeper init --dir /etc/watchkeeper")]
    Init(init::Init),
    /// Make a configuration of the failover.properties of Data Mover's own monitor
    #[command(after_help = import::HELP)]
    Import(import::Import),
    /// Find every mistake in the configuration; with --connect, try every probe once
    #[command(after_help = "Example:\n  watchkeeper check --connect --config watchkeeper.toml")]
    Check(check::Check),
    /// Show how every cluster stands
    #[command(after_help = status::HELP)]
    Status(status::Arguments),
    /// Tell why it acted, or why not, from the journal
    #[command(
        after_help = "Examples:\n  watchkeeper explain\n  watchkeeper explain --cluster prod --record 142"
    )]
    Explain {
        #[command(flatten)]
        cluster: Which,
        /// The evaluation's record in the journal; without it, the last one that wanted something
        #[arg(long, short)]
        record: Option<u64>,
    },
    /// Make the other side active, even if this one cannot be stopped in good order
    #[command(
        after_help = "Examples:\n  watchkeeper failover --dry-run --reason test\n  watchkeeper failover --reason 'DM1 is on fire' --override cooldown"
    )]
    Failover(Change),
    /// Make the secondary active, in good order
    #[command(after_help = "Example:\n  watchkeeper switchover --reason 'patching DM1'")]
    Switchover(Change),
    /// Make the primary active again, in good order
    #[command(after_help = "Example:\n  watchkeeper switchback --reason 'DM1 is repaired'")]
    Switchback(Change),
    /// Try every step of a change of side without its effects, and tell what it would find
    #[command(after_help = rehearse::HELP)]
    Rehearse(rehearse::Rehearse),
    /// Have the plan in flight stop before its next step
    #[command(after_help = stopped::ABORT)]
    Abort(stopped::Abort),
    /// Have a change of side that stopped on its way go on
    #[command(after_help = stopped::RESUME)]
    Resume(stopped::Resume),
    /// Give up a change of side that stopped on its way
    #[command(after_help = stopped::ABANDON)]
    Abandon(stopped::Abandon),
    /// Say which side is active, after having looked or made it so by hand
    #[command(
        after_help = "Example:\n  watchkeeper declare secondary --reason 'started DM2 by hand'"
    )]
    Declare {
        /// primary or secondary
        #[arg(value_parser = side)]
        side: Side,
        #[command(flatten)]
        cluster: Which,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// Observe and record, and take no action by itself: on a whole cluster, or on one service
    #[command(subcommand)]
    Maintenance(Maintenance),
    /// See what fires and who is told; silence, acknowledge, try receivers and dead letters again
    #[command(subcommand, after_help = alerts::HELP)]
    Alerts(alerts::Alerts),
    /// See which monitor may act, and say which one is to
    #[command(subcommand)]
    Duty(DutyCommand),
    /// Make policies, build and test them, look at them, and try them on recorded facts
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Make plugins, build and test them: what tells a site's own system of alerts
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// Read the journal
    #[command(subcommand)]
    Journal(records::Journal),
    /// Run recorded history through another policy, and tell what it would have decided
    #[command(after_help = replay::HELP)]
    Replay(replay::Replay),
    /// Put changed configuration, policies and plugins in force now
    #[command(
        after_help = "They are noticed without it as well.\n\nExample:\n  watchkeeper reload"
    )]
    Reload,
}

#[derive(Debug, Args)]
struct Which {
    /// The cluster; may be left out if there is only one
    #[arg(long = "cluster", value_name = "NAME")]
    name: Option<String>,
}

#[derive(Debug, Args)]
struct Change {
    #[command(flatten)]
    cluster: Which,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
    /// A guard that is not to hold it: maintenance, freshness, cooldown, vantage, standby or storm
    #[arg(long = "override", value_name = "GUARD", value_parser = guard)]
    overrides: Vec<Guard>,
    /// Only show the plan, and what every guard says of it
    #[arg(long)]
    dry_run: bool,
    /// Do not wait for its end
    #[arg(long)]
    no_wait: bool,
}

#[derive(Debug, Subcommand)]
enum Maintenance {
    /// Switch it on
    #[command(
        after_help = "Examples:\n  watchkeeper maintenance on --reason 'patching' --for 2h\n  watchkeeper maintenance on --service dm1/daemon --reason 'a new version' --for 30m"
    )]
    On {
        #[command(flatten)]
        cluster: Which,
        /// Only for this service, such as dm1/daemon: it is neither judged nor touched
        #[arg(long, value_name = "SERVER/SERVICE")]
        service: Option<String>,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
        /// When it ends by itself, such as 30m or 2h
        #[arg(long = "for", value_name = "DURATION", value_parser = config::duration)]
        duration: Option<std::time::Duration>,
    },
    /// Switch it off
    #[command(
        after_help = "Examples:\n  watchkeeper maintenance off\n  watchkeeper maintenance off --service dm1/daemon"
    )]
    Off {
        #[command(flatten)]
        cluster: Which,
        /// Only that of this service, such as dm1/daemon
        #[arg(long, value_name = "SERVER/SERVICE")]
        service: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum DutyCommand {
    /// Show which monitor may act for each cluster, and why not this one
    #[command(after_help = "Example:\n  watchkeeper duty status")]
    Status,
    /// Let this monitor have it: the other one is asked to give it
    #[command(
        after_help = "Examples:\n  watchkeeper duty take --reason 'VP1 is to be patched'\n  watchkeeper duty take --force --reason 'VP1 burnt down: I have looked'"
    )]
    Take {
        #[command(flatten)]
        cluster: Which,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
        /// Even if the other monitor cannot be asked. Make sure first that it does not run
        #[arg(long)]
        force: bool,
    },
    /// Let the other monitor have it
    #[command(
        after_help = "Example:\n  watchkeeper duty give --reason 'this server is to be patched'"
    )]
    Give {
        #[command(flatten)]
        cluster: Which,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
    /// Make a key and a certificate for two monitors that share the duty
    #[command(
        after_help = "No daemon is needed, and no other certificate.\n\nExample:\n  watchkeeper duty keys --dir /etc/watchkeeper --name vp1"
    )]
    Keys {
        /// The folder to write NAME.key and NAME.pem to
        #[arg(long, default_value = "/etc/watchkeeper")]
        dir: PathBuf,
        /// The monitor's name, as its [monitor] has it
        #[arg(long, value_parser = monitor)]
        name: MonitorName,
    },
    /// Take an offer back that the other monitor has not accepted
    #[command(after_help = "Example:\n  watchkeeper duty cancel --reason 'VP2 does not come up'")]
    Cancel {
        #[command(flatten)]
        cluster: Which,
        /// Why, for the journal
        #[arg(long)]
        reason: String,
    },
}

#[derive(Debug, Args)]
struct OnPolicy {
    /// The policy, as the configuration names it
    #[arg(value_name = "POLICY")]
    policy: String,
    #[command(flatten)]
    cluster: Which,
    /// Why, for the journal
    #[arg(long)]
    reason: String,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// List the policies in force
    #[command(after_help = "Example:\n  watchkeeper policy list")]
    List,
    /// Make a project of a new policy: in Rust, JavaScript or Python
    #[command(after_help = policy::NEW)]
    New(project::New),
    /// Build the component of a project
    #[command(after_help = policy::BUILD)]
    Build(project::Build),
    /// Play a policy's cases through its component, and compare
    #[command(after_help = policy::TEST)]
    Test(policy::Test),
    /// Show what a component says of itself, and whose signature it has
    #[command(after_help = "Example:\n  watchkeeper policy inspect policies/data-mover-ha.wasm")]
    Inspect(policy::Inspect),
    /// Say whether a policy's or plugin's file is signed by an accepted key, without running it
    #[command(after_help = policy::VERIFY)]
    Verify(policy::Verify),
    /// Obey a policy that was only asked and recorded until now
    #[command(
        after_help = "It stays so until the configuration says another `mode`.\n\nExample:\n  watchkeeper policy promote flap-guard --reason 'a good week in the shadow'"
    )]
    Promote(OnPolicy),
    /// Only ask and record a policy, and obey it no more
    #[command(
        after_help = "It stays so until the configuration says another `mode`.\n\nExample:\n  watchkeeper policy demote flap-guard --reason 'it holds too much'"
    )]
    Demote(OnPolicy),
    /// Go back to a policy's revision before the one in force
    #[command(
        after_help = "Its file is not used until it holds another revision. Again: one further back.\n\nExample:\n  watchkeeper policy rollback data-mover-ha --reason '1.3.0 holds every failover'"
    )]
    Rollback(OnPolicy),
    /// Use a policy's file again although its revision was taken back
    #[command(
        after_help = "Example:\n  watchkeeper policy retry data-mover-ha --reason 'the settings were wrong'"
    )]
    Retry(OnPolicy),
    /// Ask a component what it makes of a snapshot, without a daemon
    #[command(
        after_help = "Example:\n  watchkeeper journal snapshot --record 142 > s.json\n  watchkeeper policy evaluate new.wasm --snapshot s.json --set rescue-attempts=0"
    )]
    Evaluate {
        /// The component's file
        file: PathBuf,
        /// The snapshot's file, as `journal snapshot` writes it
        #[arg(long)]
        snapshot: PathBuf,
        #[command(flatten)]
        settings: policy::Set,
    },
}

fn monitor(text: &str) -> Result<MonitorName, String> {
    MonitorName::new(text).map_err(|error| error.to_string())
}

fn side(text: &str) -> Result<Side, String> {
    match text {
        "primary" => Ok(Side::Primary),
        "secondary" => Ok(Side::Secondary),
        _ => Err("it is primary or secondary".to_owned()),
    }
}

fn guard(text: &str) -> Result<Guard, String> {
    let all = [Guard::Maintenance, Guard::Freshness, Guard::Cooldown, Guard::Standby, Guard::Storm];
    all.into_iter().find(|guard| guard.as_str() == text).ok_or_else(|| {
        let names: Vec<&str> = all.iter().map(|guard| guard.as_str()).collect();
        format!("a guard that can be overridden is one of {}", names.join(", "))
    })
}

/// Prints to standard output, and nothing that acts on a terminal, whoever said it. Whoever has closed it does not
/// want to read on.
pub(crate) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(terminal::text(text).as_bytes());
}

/// Prints JSON to standard output.
pub(crate) fn print_json(value: &impl Serialize) {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    let _ = std::io::stdout().lock().write_all(terminal::json(&text).as_bytes());
}

/// Prints to standard error what belongs to the answer, but not to what is piped on.
pub(crate) fn print_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(terminal::text(text).as_bytes());
}

/// What went wrong, with all that caused it.
fn complaint(error: &dyn std::error::Error) -> String {
    format!("watchkeeper: {}\n", crate::errors::chain(error))
}

/// Says what went wrong, with all that caused it.
fn complain(error: &dyn std::error::Error) {
    print_error(&complaint(error));
}

/// Does what the command line says.
pub async fn main(cli: Cli) -> Exit {
    match cli.command {
        Command::Run { log_json } => run(&cli.config, log_json).await,
        Command::Init(ref arguments) => {
            arguments.run(&mut std::io::stdout().lock(), &mut std::io::stderr().lock())
        }
        Command::Import(ref arguments) => arguments.run(cli.json),
        Command::Check(ref arguments) => check::run(arguments, &cli.config, cli.json).await,
        Command::Policy(PolicyCommand::New(ref arguments)) => {
            offline(policy::new(arguments, cli.json))
        }
        Command::Policy(PolicyCommand::Build(ref arguments)) => {
            offline(policy::build(arguments, cli.json))
        }
        Command::Policy(PolicyCommand::Test(ref arguments)) => offline(arguments.run(cli.json)),
        Command::Policy(PolicyCommand::Inspect(ref arguments)) => {
            offline(arguments.run(&cli.config, cli.json))
        }
        Command::Policy(PolicyCommand::Verify(ref arguments)) => {
            offline(arguments.run(&cli.config, cli.json))
        }
        Command::Policy(PolicyCommand::Evaluate { ref file, ref snapshot, ref settings }) => {
            offline(policy::evaluate(file, snapshot, settings, cli.json))
        }
        Command::Plugin(ref command) => offline(command.run(cli.json).await),
        Command::Replay(ref arguments) => replay::run(arguments, &cli.config, cli.json),
        Command::Alerts(alerts::Alerts::Preview(ref arguments)) => {
            alerts::preview(arguments, &cli.config, cli.json)
        }
        Command::Alerts(alerts::Alerts::Route(ref arguments)) => {
            alerts::route(arguments, &cli.config, cli.json)
        }
        Command::Duty(DutyCommand::Keys { ref dir, ref name }) => {
            duty::make_keys(dir, name, cli.json)
        }
        Command::Journal(ref arguments) if arguments.file().is_some() => {
            records::offline(arguments, cli.json).await
        }
        _ => match ask(cli).await {
            Ok(exit) => exit,
            Err(error) => {
                complain(&error);
                match error {
                    ClientError::Unreachable { .. } => Exit::Unreachable,
                    ClientError::Refused(_) => Exit::Failed,
                }
            }
        },
    }
}

fn offline<E: std::error::Error + 'static>(result: Result<Exit, E>) -> Exit {
    result.unwrap_or_else(|error| {
        complain(&error);
        Exit::Failed
    })
}

async fn run(config: &Path, log_json: bool) -> Exit {
    let filter = tracing_subscriber::EnvFilter::try_from_env("WATCHKEEPER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info,russh=warn"));
    let mut log = match Log::to(std::io::stderr()) {
        Ok(log) => log,
        Err(error) => {
            complain(&error);
            return Exit::Failed;
        }
    };
    let lines = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || terminal::LogLines(lines.clone()));
    if log_json {
        subscriber.json().init();
    } else {
        subscriber.with_ansi(std::io::stderr().is_terminal()).init();
    }
    // As everything that the daemon says, what it says in a panic waits for nobody who reads it.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        match backtrace.status() {
            BacktraceStatus::Captured => tracing::error!("{panic}\n{backtrace}"),
            _ => tracing::error!("{panic}"),
        }
    }));
    let ended = daemon::run(config).await;
    let exit = match ended {
        Ok(()) => Exit::Ok,
        Err(error) => {
            // A log takes what it is given.
            let _ = log.write_all(terminal::text(&complaint(&error)).as_bytes());
            Exit::Failed
        }
    };
    log.flush();
    exit
}

/// The daemon's socket: the one given, else the one that the configuration names, else the usual
/// one. A configuration with mistakes is no reason not to reach a daemon that runs.
fn socket(cli: &Cli) -> PathBuf {
    cli.socket
        .clone()
        .or_else(|| config::load(&cli.config).ok().map(|config| config.monitor.socket))
        .unwrap_or_else(|| PathBuf::from("/run/watchkeeper/watchkeeper.sock"))
}

async fn ask(cli: Cli) -> Result<Exit, ClientError> {
    let client = Client::new(&socket(&cli))?;
    let json = cli.json;
    match cli.command {
        Command::Status(arguments) => status::ask(&client, &arguments, json).await,
        Command::Explain { cluster, record } => {
            let cluster = operate::which(&client, cluster.name.as_deref()).await?;
            let query = record.map_or_else(String::new, |record| format!("?record={record}"));
            let story: Story =
                client.get(&format!("/v1/clusters/{cluster}/explain{query}")).await?;
            if json {
                print_json(&story);
            } else {
                print(&story.to_string());
            }
            Ok(Exit::Ok)
        }
        Command::Failover(Change { cluster, reason, overrides, dry_run, no_wait }) => {
            let request = OrderRequest::Failover { reason, overrides, dry_run };
            order(&client, &cluster, &request, !no_wait, json).await
        }
        Command::Switchover(Change { cluster, reason, overrides, dry_run, no_wait }) => {
            let request = OrderRequest::Switchover { reason, overrides, dry_run };
            order(&client, &cluster, &request, !no_wait, json).await
        }
        Command::Switchback(Change { cluster, reason, overrides, dry_run, no_wait }) => {
            let request = OrderRequest::Switchback { reason, overrides, dry_run };
            order(&client, &cluster, &request, !no_wait, json).await
        }
        Command::Rehearse(arguments) => rehearse::ask(&client, &arguments, json).await,
        Command::Abort(arguments) => stopped::abort(&client, arguments, json).await,
        Command::Resume(arguments) => stopped::resume(&client, arguments, json).await,
        Command::Abandon(arguments) => stopped::abandon(&client, arguments, json).await,
        Command::Declare { side, cluster, reason } => {
            let request = OrderRequest::Declare { side, reason };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Maintenance(maintenance) => {
            let (cluster, request) = match maintenance {
                Maintenance::On { cluster, service, reason, duration } => {
                    let until = duration.map(until);
                    (cluster, OrderRequest::MaintenanceOn { reason, until, service })
                }
                Maintenance::Off { cluster, service } => {
                    (cluster, OrderRequest::MaintenanceOff { service })
                }
            };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Alerts(command) => alerts::ask(&client, command, json).await,
        Command::Duty(command) => duty::ask(&client, command, json).await,
        Command::Policy(PolicyCommand::Promote(OnPolicy { policy, cluster, reason })) => {
            let request = OrderRequest::PolicyMode { policy, mode: Mode::Enforce, reason };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Policy(PolicyCommand::Demote(OnPolicy { policy, cluster, reason })) => {
            let request = OrderRequest::PolicyMode { policy, mode: Mode::Shadow, reason };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Policy(PolicyCommand::Rollback(OnPolicy { policy, cluster, reason })) => {
            let request = OrderRequest::PolicyRollback { policy, reason };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Policy(PolicyCommand::Retry(OnPolicy { policy, cluster, reason })) => {
            let request = OrderRequest::PolicyRetry { policy, reason };
            order(&client, &cluster, &request, false, json).await
        }
        Command::Policy(_) => {
            let report: StatusReport = client.get("/v1/status").await?;
            list_policies(&report, json);
            Ok(Exit::Ok)
        }
        Command::Journal(arguments) => records::ask(&client, &arguments, json).await,
        _ => {
            let changes: Vec<String> = client.post("/v1/reload", &()).await?;
            if json {
                print_json(&changes);
            } else if changes.is_empty() {
                print("nothing has changed\n");
            } else {
                print(&format!("in force:\n  {}\n", changes.join("\n  ")));
            }
            Ok(Exit::Ok)
        }
    }
}

fn until(duration: std::time::Duration) -> Timestamp {
    crate::clock::now().plus(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

async fn order(
    client: &Client,
    cluster: &Which,
    request: &OrderRequest,
    wait: bool,
    json: bool,
) -> Result<Exit, ClientError> {
    let cluster = operate::which(client, cluster.name.as_deref()).await?;
    operate::order(client, &cluster, request, wait, json).await
}

fn list_policies(report: &StatusReport, json: bool) {
    if json {
        let all: Vec<_> = report
            .clusters
            .iter()
            .map(|cluster| serde_json::json!({"cluster": cluster.name, "policies": cluster.policies}))
            .collect();
        return print_json(&all);
    }
    for cluster in &report.clusters {
        for policy in &cluster.policies {
            let revision = policy
                .revision
                .as_ref()
                .map_or_else(|| "not loaded".to_owned(), ToString::to_string);
            let (name, mode) = (&policy.name, policy.mode);
            print(&format!("{}  {name}  {mode}  {revision}  {}\n", cluster.name, policy.summary));
            if let Some(earlier) = &policy.earlier {
                print(&format!("    a rollback leads to {earlier}\n"));
            }
            if let Some(back) = &policy.rolled_back {
                print(&format!(
                    "    {} was taken back by {}: {}\n",
                    back.from, back.by, back.reason
                ));
            }
            if let Some(problem) = &policy.problem {
                print(&format!("    {problem}\n"));
            }
        }
    }
}
