//! `dm-standin`: Data Mover's daemon, agent or REST, for the lab.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;
use watchkeeper_standin::agent::Chain;
use watchkeeper_standin::protocol::{Agent, Version};
use watchkeeper_standin::{agent, daemon, link, rest, tls};

/// Stand-ins for Data Mover's daemon, agent and REST: as much of them as a monitor can observe.
#[derive(Debug, Parser)]
#[command(name = "dm-standin", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Keeps the list of agents and enters jobs in the repository; ends without broker or repository
    Daemon(DaemonArgs),
    /// Announces itself through the first broker that answers, for ever
    Agent(AgentArgs),
    /// Answers GET /datamover/agents and POST /datamover/jobs
    Rest(RestArgs),
}

#[derive(Debug, Args)]
struct DaemonArgs {
    /// The name of this server, which the daemon's jobs carry
    #[arg(long)]
    host_name: String,
    /// The broker's STOMP address
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// The repository, as libpq writes it: "host=... port=... user=... dbname=..."
    #[arg(long)]
    repository: String,
    /// Milliseconds between two jobs that the daemon enters by itself; 0 for none
    #[arg(long, default_value_t = 1000)]
    job_every: u64,
}

#[derive(Debug, Args)]
struct AgentArgs {
    /// The agent's name, unique in the cluster
    #[arg(long)]
    name: String,
    /// The name of this server
    #[arg(long)]
    host_name: String,
    /// A broker's STOMP address; several are tried in turn
    #[arg(long, value_name = "HOST:PORT", required = true)]
    broker: Vec<String>,
    /// Tasks that it takes at a time
    #[arg(long, default_value_t = 5)]
    max_tasks: u32,
}

#[derive(Debug, Args)]
struct RestArgs {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:1443")]
    listen: String,
    /// The broker's STOMP address
    #[arg(long, value_name = "HOST:PORT")]
    broker: String,
    /// The server's certificate (PEM); without it, plain HTTP
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// The user that may call; without it everybody may
    #[arg(long, requires = "password_file")]
    user: Option<String>,
    /// A file whose first line is the user's password
    #[arg(long, requires = "user")]
    password_file: Option<PathBuf>,
    /// Milliseconds that the daemon's answer may take
    #[arg(long, default_value_t = 2000)]
    daemon_limit: u64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let cli = Cli::parse();
    let work = async {
        match cli.command {
            Command::Daemon(args) => run_daemon(args).await,
            Command::Agent(args) => run_agent(args).await,
            Command::Rest(args) => run_rest(args).await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        result = stopped() => result,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("dm-standin: {}", Chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// Returns when the process is asked to end.
async fn stopped() -> Result<(), Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!("asked to end");
    Ok(())
}

async fn run_daemon(args: DaemonArgs) -> Result<(), Box<dyn Error>> {
    let settings = daemon::Settings {
        host_name: args.host_name,
        broker: args.broker,
        repository: args.repository,
        job_every: Duration::from_millis(args.job_every),
    };
    match daemon::run(&settings).await? {}
}

async fn run_agent(args: AgentArgs) -> Result<(), Box<dyn Error>> {
    let agent = Agent {
        agent_name: args.name,
        agent_host_name: args.host_name,
        agent_version: Version { major: 20, minor: 1, maintenance: 0, efix: 0 },
        max_concurrent_tasks: args.max_tasks,
        current_task_count: 0,
    };
    agent::run(&agent, &args.broker).await;
    Ok(())
}

async fn run_rest(args: RestArgs) -> Result<(), Box<dyn Error>> {
    let credentials = match (&args.user, &args.password_file) {
        (Some(user), Some(file)) => {
            let password = tokio::fs::read_to_string(file).await;
            let password =
                password.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
            Some(rest::Credentials::new(user, password.lines().next().unwrap_or_default()))
        }
        _ => None,
    };
    let config = match (&args.cert, &args.key) {
        (Some(cert), Some(key)) => Some(tls::configuration(cert, key)?),
        _ => None,
    };
    let limit = Duration::from_millis(args.daemon_limit);
    let (daemon, asked) = link::Daemon::new(limit);
    let router = rest::router(daemon, credentials);
    let listener = TcpListener::bind(&args.listen).await;
    let listener =
        listener.map_err(|error| format!("cannot listen on {}: {error}", args.listen))?;
    let serve = async {
        match config {
            Some(config) => axum::serve(tls::TlsListener::new(listener, config)?, router).await,
            None => axum::serve(listener, router).await,
        }
    };
    tokio::select! {
        () = link::run(&args.broker, limit, asked) => Ok(()),
        result = serve => Ok(result?),
    }
}
