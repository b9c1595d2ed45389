//! Says who is told of what, and puts it into the outbox.
//!
//! What is due follows from the journal's fold, the routes and the time
//! ([`due()`]). This task looks when an alert, a silence or a delivery is
//! recorded, when the routes change, and when the time comes that the last look gave. A crash between an
//! alert and its notification loses nothing: the next start looks first.
//!
//! It keeps a fold of its own: with very many alerts a look takes its time, and nobody who wants to
//! record something is to wait for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use watchkeeper_core::alerting::{Due, Subject, Telling, due};
use watchkeeper_core::event::{Event, Record, of_due};
use watchkeeper_core::state::{ApplyError, State};

use super::{Clock, LONGEST_SLEEP, Receivers};
use crate::journal::{Follower, JournalError};
use crate::ledger::{Ledger, LedgerError};

/// The least time between two looks: many alerts at once are looked at together.
const PACE: Duration = Duration::from_millis(20);

/// How long is waited after something could not be recorded.
const AGAIN: Duration = Duration::from_secs(1);

/// Why nobody can be told of anything new any more.
#[derive(Debug, thiserror::Error)]
pub enum DispatchError {
    /// The journal was closed, or cannot be read.
    #[error("the journal can no longer be followed")]
    Journal(#[from] JournalError),
    /// The daemon is stopping, or this program has an error of its own.
    #[error("a look at the alerts was broken off")]
    Stopped,
    /// An error of this program's own; the ledger stops for it too.
    #[error("the journal holds a record that does not fit the ones before it")]
    Apply(#[from] ApplyError),
}

/// Says who is told of what, until the journal is closed.
pub struct Dispatcher {
    ledger: Arc<Ledger>,
    receivers: watch::Receiver<Arc<Receivers>>,
    clock: Clock,
    follower: Follower,
    state: State,
}

impl Dispatcher {
    /// Starts on a task of its own, with a look at once. `state` is one that the journal gave when it was
    /// opened; `receivers` may be swapped at any time.
    pub async fn spawn(
        ledger: Arc<Ledger>,
        state: State,
        receivers: watch::Receiver<Arc<Receivers>>,
        clock: Clock,
    ) -> Result<tokio::task::JoinHandle<DispatchError>, JournalError> {
        let follower = ledger.journal().follow(state.seq).await?;
        let dispatcher = Self { ledger, receivers, clock, follower, state };
        Ok(tokio::spawn(async move {
            let error = dispatcher.run().await;
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "nobody is told of new alerts any more"
            );
            error
        }))
    }

    async fn run(mut self) -> DispatchError {
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error) => return error,
            };
            sleep(PACE).await;
            tokio::select! {
                news = news(&mut self.follower, &mut self.state) => if let Err(error) = news {
                    return error;
                },
                changed = self.receivers.changed() => {
                    // Nobody changes them any more: they stay as they are.
                    if changed.is_err() {
                        sleep(pause).await;
                    }
                }
                () = sleep(pause) => {}
            }
        }
    }

    /// Records what is due; gives when to look again at the latest.
    async fn look(&mut self) -> Result<Duration, DispatchError> {
        let ready = self.follower.ready().await?;
        take_in(&mut self.state, &ready)?;
        let receivers = Arc::clone(&self.receivers.borrow_and_update());
        let now = (self.clock)();
        let state = std::mem::take(&mut self.state);
        let looked = tokio::task::spawn_blocking(move || {
            let due = due(&state.scene(receivers.routing(), now));
            (state, due)
        });
        let (state, due) = looked.await.map_err(|_| DispatchError::Stopped)?;
        self.state = state;
        let next = due.next;
        if due.tellings.is_empty() && due.untold.is_empty() {
            let wait = next.map(|at| Duration::from_millis(at.since(now)));
            return Ok(wait.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP));
        }
        let written = self.ledger.record_with(|state| {
            let next_id = state.post.outbox.next_id();
            of_due(still_so(due, state), next_id)
        });
        match written.await {
            // Until it is taken in here, it would be told again.
            Ok(records) => self.catch_up(records.last().map_or(0, |record| record.seq)).await?,
            Err(error) => {
                told_later(&error);
                return Ok(AGAIN);
            }
        }
        Ok(Duration::ZERO)
    }

    async fn catch_up(&mut self, seq: u64) -> Result<(), DispatchError> {
        while self.state.seq < seq {
            let records = self.follower.next().await?;
            take_in(&mut self.state, &records)?;
        }
        Ok(())
    }
}

fn told_later(error: &LedgerError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "nobody can be told of alerts while nothing can be recorded"
    );
}

fn take_in(state: &mut State, records: &[Record]) -> Result<(), ApplyError> {
    // What the state had already when it was handed over.
    let known = state.seq;
    records.iter().filter(|record| record.seq > known).try_for_each(|record| state.apply(record))
}

/// Waits for a record from which something may follow.
async fn news(follower: &mut Follower, state: &mut State) -> Result<(), DispatchError> {
    loop {
        let records = follower.next().await?;
        take_in(state, &records)?;
        if records.iter().any(|record| concerns(&record.event)) {
            return Ok(());
        }
    }
}

/// Leaves out what has changed since the look: it is looked at again, because of that change.
fn still_so(due: Due, state: &State) -> Due {
    let (fires, ended) =
        (|it: &Subject| fires(it, state), |it: &Subject| state.post.told.has_ended(it));
    let is_so = |it: &Subject| if it.alert.ends_at.is_some() { ended(it) } else { fires(it) };
    let stands = |telling: &Telling| match telling.escalates {
        Some(id) => state.post.outbox.get(id).is_some_and(|entry| !entry.escalated),
        None => telling.alerts.iter().all(is_so),
    };
    let tellings = due.tellings.into_iter().filter(stands).collect();
    Due { tellings, ..due }
}

fn fires(subject: &Subject, state: &State) -> bool {
    let book = match &subject.cluster {
        Some(name) => state.clusters.get(name).map(|cluster| &cluster.alerts),
        None => Some(&state.alerts),
    };
    let known = book.and_then(|book| book.get(&subject.alert.fingerprint));
    known.is_some_and(|known| known.starts_at == subject.alert.starts_at)
}

/// Whether something to be told may follow from it.
const fn concerns(event: &Event) -> bool {
    matches!(
        event,
        Event::AlertFired(_)
            | Event::AlertResolved { .. }
            | Event::AlertAcknowledged { .. }
            | Event::SilenceSet(_)
            | Event::SilenceEnded { .. }
            | Event::NotificationDelivered { .. }
            | Event::NotificationDead { .. }
            | Event::NotificationDiscarded { .. }
            | Event::Duty(_)
    )
}
