//! Says who is told of what, and puts it into the outbox.
//!
//! What is due follows from the journal's fold, the routes and the time
//! ([`watchkeeper_core::alerting::due`]). This task looks when an alert, a silence or a delivery is
//! recorded, when the routes change, and when the time comes that the last look gave. A crash between an
//! alert and its notification loses nothing: the next start looks first.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use watchkeeper_core::alerting::due;
use watchkeeper_core::event::{Event, of_due};

use super::{Clock, LONGEST_SLEEP, Receivers};
use crate::journal::{Follower, JournalError};
use crate::ledger::{Ledger, LedgerError};

/// The least time between two looks: many alerts at once are looked at together.
const PACE: Duration = Duration::from_millis(20);

/// How long is waited after something could not be recorded.
const AGAIN: Duration = Duration::from_secs(1);

/// Says who is told of what, until the journal is closed.
pub struct Dispatcher {
    ledger: Arc<Ledger>,
    receivers: watch::Receiver<Arc<Receivers>>,
    clock: Clock,
    follower: Follower,
}

impl Dispatcher {
    /// Starts on a task of its own, with a look at once. `receivers` may be swapped at any time.
    pub async fn spawn(
        ledger: Arc<Ledger>,
        receivers: watch::Receiver<Arc<Receivers>>,
        clock: Clock,
    ) -> Result<tokio::task::JoinHandle<JournalError>, JournalError> {
        let seq = ledger.with(|state| state.seq).await;
        let follower = ledger.journal().follow(seq).await?;
        let dispatcher = Self { ledger, receivers, clock, follower };
        Ok(tokio::spawn(dispatcher.run()))
    }

    async fn run(mut self) -> JournalError {
        loop {
            let pause = match self.look().await {
                Ok(pause) => pause,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "nobody can be told of alerts while nothing can be recorded"
                    );
                    AGAIN
                }
            };
            sleep(PACE).await;
            tokio::select! {
                news = news(&mut self.follower) => if let Err(error) = news { return error },
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
    async fn look(&mut self) -> Result<Duration, LedgerError> {
        let receivers = Arc::clone(&self.receivers.borrow_and_update());
        let now = (self.clock)();
        let mut next = None;
        self.ledger
            .record_with(|state| {
                let due = due(&state.scene(receivers.routing(), now));
                next = due.next;
                of_due(due, state.post.outbox.next_id())
            })
            .await?;
        let wait = next.map(|at| Duration::from_millis(at.since(now)));
        Ok(wait.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP))
    }
}

/// Waits for a record from which something may follow.
async fn news(follower: &mut Follower) -> Result<(), JournalError> {
    loop {
        let records = follower.next().await?;
        if records.iter().any(|record| concerns(&record.event)) {
            return Ok(());
        }
    }
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
