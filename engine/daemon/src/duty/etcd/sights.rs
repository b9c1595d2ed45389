//! What each monitor sees, told to the others through etcd, as [`crate::duty::sights`] has it.
//!
//! Each writes what it sees to a key of its own, on its lease, every few seconds. The others hear of it by the watch on all
//! keys ([`super::follow`]), which tells what is written as it is: a value that was there before is not told.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use watchkeeper_core::duty::lease::keys::Keys;
use watchkeeper_core::duty::lease::{Entry, Op, Transaction};
use watchkeeper_core::model::MonitorName;

use super::client::Client;
use super::session::Session;
use crate::duty::sights::{Sights, Told};

/// How often it is written.
const TELL: Duration = Duration::from_secs(3);

/// How long a value may be: a record of some 60 bytes for each server.
const MAX_VALUE: usize = 1 << 20;

/// What this monitor sees, and takes in of the others.
#[derive(Clone)]
pub(super) struct Sharing {
    pub(super) keys: Keys,
    pub(super) me: MonitorName,
    pub(super) sights: Sights,
}

impl Sharing {
    /// Tells what this monitor sees, for ever.
    pub(super) async fn tell(self, client: Arc<Client>, session: watch::Receiver<Session>) {
        let key = self.keys.sights(&self.me);
        loop {
            let lease = session.borrow().certain();
            if let Some(lease) = lease {
                let told = self.sights.told(Instant::now(), |_| true);
                // Names and numbers always have a JSON form.
                let value = serde_json::to_string(&told).unwrap_or_default();
                let put = Op::Put { key: key.clone(), value, lease: Some(lease) };
                let write = Transaction { then: vec![put], ..Transaction::default() };
                if let Err(error) = client.transact(&write).await {
                    tracing::debug!(%error, "what is seen here is not told through etcd");
                }
            }
            sleep(TELL).await;
        }
    }

    /// Takes in what another monitor has just written; false: it is something else.
    pub(super) fn hear(&self, entry: &Entry) -> bool {
        let Some(from) = self.keys.sees(&entry.key) else { return false };
        if from == self.me || entry.value.len() > MAX_VALUE {
            return true;
        }
        match serde_json::from_slice::<Told>(&entry.value) {
            Ok(told) => self.sights.heard(&from, &told, Instant::now()),
            Err(_) => tracing::debug!(%from, "what it says that it sees is not understood"),
        }
        true
    }
}
