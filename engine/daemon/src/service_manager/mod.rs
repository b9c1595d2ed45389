//! What the service manager, systemd, is told: that the daemon is ready, reloads or stops, how
//! things stand, and that everything in it still turns.
//!
//! The service manager acts on it: a start or a reload is over when this says so, and a daemon
//! that falls silent is killed and started again. Without one, which is when `NOTIFY_SOCKET` is
//! not set, nothing here does anything.

mod notify;
mod status;
mod watchdog;

use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

pub use watchdog::MainLoop;

use crate::cluster::Clusters;
use crate::ledger::Ledger;
use notify::{Message, Notifier};
use watchdog::Watchdog;

/// The service manager that started this process, if one did and wants to be told.
#[derive(Debug)]
pub struct ServiceManager {
    notifier: Notifier,
    /// After how long without a ping it kills this process; none if it does not.
    silence: Option<Duration>,
}

impl ServiceManager {
    /// As the environment says.
    pub fn of_environment() -> Self {
        Self::of(|name| std::env::var_os(name), std::process::id())
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>, own_id: u32) -> Self {
        Self {
            notifier: Notifier::to(variable("NOTIFY_SOCKET")),
            silence: watchdog::silence(variable, own_id),
        }
    }

    /// The daemon does its work from now on.
    pub async fn ready(&self) {
        self.notifier.tell(&Message::Ready).await;
    }

    /// It takes a changed configuration over; [`ServiceManager::ready`] says that this is over.
    pub async fn reloading(&self) {
        self.notifier.tell(&Message::Reloading).await;
    }

    /// It ends, in good order.
    pub async fn stopping(&self) {
        self.notifier.tell(&Message::Stopping).await;
    }

    /// Keeps telling how things stand, and pings if that is wanted, until what is returned second
    /// is dropped. The main loop has to answer through what is returned first.
    pub fn keep_told(
        &self,
        ledger: &Arc<Ledger>,
        clusters: watch::Receiver<Clusters>,
    ) -> (MainLoop, JoinSet<()>) {
        let mut tasks = JoinSet::new();
        let (main_loop, watched) = watchdog::main_loop();
        if self.notifier.is_heard() {
            let (ledger, notifier) = (Arc::clone(ledger), self.notifier.clone());
            if let Some(silence) = self.silence {
                let journal = ledger.journal().clone();
                let watchdog = Watchdog::new(watched, clusters.clone(), journal);
                tasks.spawn(watchdog.run(silence / 2, notifier.clone()));
            }
            tasks.spawn(status::keep_told(notifier, ledger, clusters));
        }
        (main_loop, tasks)
    }
}
