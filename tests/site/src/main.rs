//! `watchkeeper-site`: runs a stand-in site for the demo, and tells a running one what to do.
//!
//! Exit status: 0 done, 1 the site said no or could not run, 2 wrong usage.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, Subcommand};
use watchkeeper_site::config::Tls;
use watchkeeper_site::{Net, Site, SiteConfig, SiteError, control};

#[derive(Parser)]
#[command(about = "A stand-in Data Mover site on loopback", after_help = control::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a site until it is told to quit; prints `ready` once everything serves
    Run {
        /// Where `known_hosts`, `id_ed25519`, site.env and control.sock are put
        #[arg(long)]
        dir: PathBuf,
        /// The first three bytes of every address
        #[arg(long, default_value = "127.0.71", value_parser = net)]
        net: [u8; 3],
        /// From a service's launch to its readiness
        #[arg(long, default_value_t = 50, value_name = "MS")]
        start_delay: u64,
        /// Serve REST as HTTPS with this certificate (PEM)
        #[arg(long, requires = "key")]
        cert: Option<PathBuf>,
        /// The certificate's private key (PEM)
        #[arg(long, requires = "cert")]
        key: Option<PathBuf>,
    },
    /// Tell a running site what to do; see below
    Ctl {
        /// The folder that the site was started with
        #[arg(long)]
        dir: PathBuf,
        /// What to do
        #[arg(required = true, trailing_var_arg = true)]
        line: Vec<String>,
    },
}

fn net(text: &str) -> Result<[u8; 3], String> {
    let bytes: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    match bytes.as_deref() {
        Ok([127, second, third]) => Ok([127, *second, *third]),
        _ => Err("three bytes are needed, such as 127.0.71, and the first must be 127".to_owned()),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    runtime.block_on(async {
        match cli.command {
            Command::Run { dir, net, start_delay, cert, key } => {
                let mut config = SiteConfig::new(Net::Fixed(net));
                config.start_delay = Duration::from_millis(start_delay);
                match run(config, dir, cert.zip(key)).await {
                    Ok(()) => ExitCode::SUCCESS,
                    Err(error) => fail(&error),
                }
            }
            Command::Ctl { dir, line } => match control::ask(&dir, &line.join(" ")).await {
                Ok(Ok(text)) => {
                    print!("{text}");
                    println!("ok");
                    ExitCode::SUCCESS
                }
                Ok(Err(refused)) => {
                    println!("error: {refused}");
                    ExitCode::FAILURE
                }
                Err(error) => fail(&error),
            },
        }
    })
}

async fn run(
    mut config: SiteConfig,
    dir: PathBuf,
    tls: Option<(PathBuf, PathBuf)>,
) -> Result<(), SiteError> {
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).map_err(|error| SiteError::File(path, error))
    };
    if let Some((cert, key)) = tls {
        config.tls = Some(Tls { certificate: read(cert)?, key: read(key)? });
    }
    std::fs::create_dir_all(&dir).map_err(|error| SiteError::File(dir.clone(), error))?;
    config.host_keys = Some(dir.clone());
    let site = Arc::new(Site::start(config).await?);
    site.write_access(&dir)?;
    let serving = control::serve(Arc::clone(&site), &dir, control::listen(&dir)?);
    println!("ready");
    tokio::select! {
        served = serving => served,
        _ = tokio::signal::ctrl_c() => Ok(()),
    }
}

/// The error and its causes, one line.
fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    eprintln!("watchkeeper-site: {text}");
    ExitCode::FAILURE
}
