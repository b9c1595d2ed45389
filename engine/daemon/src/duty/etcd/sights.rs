//! What each monitor sees, told to the others through etcd, as [`crate::duty::sights`] has it.
//!
//! Each writes what it sees to a key of its own, on its lease, every few seconds. The others' keys are read
//! only while a server is silent here. How old a value is cannot be told from it, so one counts when
//! it has been seen to change: it was written after the look before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};
use watchkeeper_core::duty::lease::keys::Keys;
use watchkeeper_core::duty::lease::{Op, Transaction};
use watchkeeper_core::model::MonitorName;

use super::client::Client;
use super::error::EtcdError;
use super::session::Session;
use crate::duty::sights::{Sights, Told};

/// How often it is written.
const TELL: Duration = Duration::from_secs(3);

/// How often it is read.
const LOOK: Duration = Duration::from_secs(1);

/// How long a value may be: a record of some 60 bytes for each server.
const MAX_VALUE: usize = 1 << 20;

/// Tells and hears for as long as this monitor runs.
pub(super) struct Sharing {
    pub(super) client: Arc<Client>,
    pub(super) keys: Keys,
    pub(super) me: MonitorName,
    pub(super) session: watch::Receiver<Session>,
    pub(super) sights: Sights,
}

impl Sharing {
    pub(super) async fn run(self) {
        tokio::join!(self.tell(), self.hear());
    }

    async fn tell(&self) {
        let key = self.keys.sights(&self.me);
        loop {
            let lease = self.session.borrow().certain();
            if let Some(lease) = lease {
                let told = self.sights.told(Instant::now(), |_| true);
                // Names and numbers always have a JSON form.
                let value = serde_json::to_string(&told).unwrap_or_default();
                let put = Op::Put { key: key.clone(), value, lease: Some(lease) };
                let write =
                    Transaction { conditions: Vec::new(), then: vec![put], otherwise: Vec::new() };
                if let Err(error) = self.client.transact(&write).await {
                    tracing::debug!(%error, "what is seen here is not told through etcd");
                }
            }
            sleep(TELL).await;
        }
    }

    async fn hear(&self) {
        loop {
            self.sights.wait_silent().await;
            let mut known = BTreeMap::new();
            let mut last = None;
            let listening = async {
                loop {
                    let begun = Instant::now();
                    match self.look(&mut known, last).await {
                        Ok(()) => last = Some(begun),
                        Err(error) => {
                            tracing::debug!(%error, "what other monitors see is not heard");
                        }
                    }
                    sleep(LOOK).await;
                }
            };
            // Looked anew whether anything is silent still.
            let _: Result<(), _> = tokio::time::timeout(4 * TELL, listening).await;
        }
    }

    /// Reads what was written since the look that began at `last`.
    async fn look(
        &self,
        known: &mut BTreeMap<MonitorName, u64>,
        last: Option<Instant>,
    ) -> Result<(), EtcdError> {
        let index = self.client.index(&self.keys.all_sights()).await?;
        for entry in index.entries {
            let Some(from) = self.keys.sees(&entry.key).filter(|from| *from != self.me) else {
                continue;
            };
            let before = known.insert(from.clone(), entry.revision);
            let (Some(at), true) = (last, before.is_some_and(|it| it < entry.revision)) else {
                continue;
            };
            let Some(entry) = self.client.read(&entry.key).await? else { continue };
            if entry.value.len() > MAX_VALUE {
                continue;
            }
            match serde_json::from_slice::<Told>(&entry.value) {
                Ok(told) => self.sights.heard(&from, &told, at),
                Err(_) => tracing::debug!(%from, "what it says that it sees is not understood"),
            }
        }
        Ok(())
    }
}
