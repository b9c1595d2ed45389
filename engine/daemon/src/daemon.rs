//! The daemon: the only module that knows all the others.
//!
//! It starts in the order of what depends on what (configuration, journal, guests, clusters,
//! socket), goes on until it is told to stop, and stops in the opposite order. A step of a plan
//! that is under way at that moment is left as intended in the journal: whoever starts next checks
//! it and goes on.

use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::event::Event;
use watchkeeper_core::state::State;
use watchkeeper_wasm::{Host, HostError};

use crate::api::{self, ApiContext, Listening, ReloadRequest};
use crate::clock;
use crate::config::{self, Config, Problems};
use crate::deliver::{self, Deliverer, Dispatcher};
use crate::duty::{DutyError, Keeper};
use crate::journal::{Journal, JournalError};
use crate::ledger::{Ledger, LedgerError};
use crate::revisions::Revisions;
use crate::service_manager::{MainLoop, ServiceManager};
use crate::tls;
use crate::watched::{self, Files};
use crate::wiring::reload::Reloader;
use crate::wiring::{self, Shelf};

/// Why the daemon cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The configuration has mistakes.
    #[error("{0}")]
    Configuration(Problems),
    /// A folder cannot be made.
    #[error("cannot make the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The journal cannot be used. Nothing is done without one.
    #[error("the journal cannot be used, so nothing is done: {}", source.advice())]
    Journal {
        /// Why.
        source: JournalError,
    },
    /// The start could not be recorded.
    #[error("the start could not be recorded")]
    Record(#[from] LedgerError),
    /// The duty cannot be kept as configured.
    #[error("the duty cannot be kept as [duty] says")]
    Duty(#[from] DutyError),
    /// Guests cannot be run.
    #[error("policies and plugins cannot be run")]
    Host(#[from] HostError),
    /// Nobody could ask.
    #[error("cannot listen on {path}")]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refuses signals.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(path: &Path) -> Result<(), DaemonError> {
    tls::install_provider();
    let manager = ServiceManager::of_environment();
    let config = config::load(path).map_err(DaemonError::Configuration)?;
    let (journal, state) = open_journal(&config)?;
    let journal_error = |source| DaemonError::Journal { source };
    let receivers = watch::Sender::default();
    let opened = state.clone();
    let told = receivers.subscribe();
    let (routes, known) = (told.clone(), told.clone());
    let ledger = Arc::new(Ledger::new(journal.clone(), state).await.map_err(journal_error)?);
    let monitor = config.monitor.name.clone();
    let unrecorded = tokio::spawn(deliver::tell_unrecorded(
        ledger.trouble(),
        receivers.subscribe(),
        monitor.clone(),
        Arc::new(clock::now),
        deliver::UNRECORDED_EVERY,
    ));
    let started = Event::MonitorStarted {
        monitor: monitor.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    ledger.record(vec![(None, started)]).await?;

    let revisions = Arc::new(Revisions::new(&config.monitor.state_dir));
    let cache = config.guests.cache.clone();
    let host = Arc::new(Host::new(wiring::host_config(&config.guests, Some(cache)))?);
    let shelf = Shelf::new(host, Some(Arc::clone(&revisions)));
    let socket = config.monitor.socket.clone();
    let group = config.monitor.socket_group.clone();
    let names = watch::Sender::default();
    let keeper =
        Keeper::start(&config.duty, monitor.clone(), Arc::clone(&ledger), names.subscribe())
            .await?;
    let duties = keeper.duties();
    let mut reloader = Reloader::new(
        path.to_owned(),
        config,
        Arc::clone(&ledger),
        shelf,
        receivers,
        names,
        duties.clone(),
    );
    // What cannot be used is alerted on; what can is in force.
    let _ = reloader.reload().await;
    // Not before the receivers are known: what waits for one that is not there is given up.
    let deliverer =
        Deliverer::spawn(journal.clone(), &opened, monitor.clone(), told, Arc::new(clock::now))
            .await
            .map_err(journal_error)?;
    let clock = Arc::new(clock::now);
    let dispatcher = Dispatcher::spawn(Arc::clone(&ledger), opened, routes, clock)
        .await
        .map_err(journal_error)?;

    let listening = Listening::on(&socket, group.as_deref())
        .await
        .map_err(|source| DaemonError::Socket { path: socket.clone(), source })?;
    let stop = watch::Sender::new(false);
    let (reload, requests) = mpsc::channel(4);
    let context = Arc::new(ApiContext {
        monitor: monitor.to_string(),
        started: clock::now(),
        ledger: Arc::clone(&ledger),
        clusters: reloader.clusters(),
        duties,
        receivers: known,
        reload,
    });
    let server = tokio::spawn(api::serve(listening, context, stop.subscribe()));
    tracing::info!(%monitor, socket = %socket.display(), "watching");

    manager.ready().await;
    let (main_loop, telling) = manager.keep_told(&ledger, reloader.clusters());

    let result = attend(&mut reloader, requests, &revisions, main_loop, &manager).await;

    drop(telling);
    manager.stopping().await;
    stop.send_replace(true);
    reloader.stop().await;
    keeper.end().await;
    // Requests that are being answered get a moment.
    let _ = tokio::time::timeout(Duration::from_secs(2), server).await;
    let _ = std::fs::remove_file(&socket);
    dispatcher.abort();
    deliverer.abort();
    unrecorded.abort();
    ledger.record(vec![(None, Event::MonitorStopped { monitor })]).await?;
    journal.close().await;
    tracing::info!("stopped");
    result
}

fn open_journal(config: &Config) -> Result<(Journal, State), DaemonError> {
    let dir = &config.monitor.state_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o750)
        .create(dir)
        .map_err(|source| DaemonError::Folder { path: dir.clone(), source })?;
    Journal::open(&dir.join("journal.db"), &config.monitor.name, clock::now())
        .map_err(|source| DaemonError::Journal { source })
}

/// Waits for changes of files, for requests, and for the end.
async fn attend(
    reloader: &mut Reloader,
    mut requests: mpsc::Receiver<ReloadRequest>,
    revisions: &Revisions,
    mut main_loop: MainLoop,
    manager: &ServiceManager,
) -> Result<(), DaemonError> {
    let signals = |kind| signal(kind).map_err(DaemonError::Signals);
    let mut terminate = signals(SignalKind::terminate())?;
    let mut interrupt = signals(SignalKind::interrupt())?;
    let mut hangup = signals(SignalKind::hangup())?;
    let mut files = Files::watch(reloader.config());
    let mut next_poll = Instant::now() + watched::POLL;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            Some(answer) = main_loop.questions.recv() => {
                // Who asked may have stopped waiting.
                let _ = answer.send(());
                continue;
            }
            _ = hangup.recv() => {
                manager.reloading().await;
                let _ = main_loop.reload(reloader.reload()).await;
                manager.ready().await;
            }
            () = revisions.wanted() => drop(main_loop.reload(reloader.reload()).await),
            () = files.changed() => drop(main_loop.reload(reloader.reload()).await),
            () = sleep_until(next_poll) => drop(main_loop.reload(reloader.reload()).await),
            request = requests.recv() => {
                manager.reloading().await;
                let result = main_loop.reload(reloader.reload()).await;
                manager.ready().await;
                if let Some(request) = request {
                    // Nobody waits any more: it is in force all the same.
                    let _ = request.send(result);
                }
                files.follow(reloader.config());
                continue;
            }
        }
        files.follow(reloader.config());
        next_poll = Instant::now() + watched::POLL;
    }
}
