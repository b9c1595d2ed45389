//! Telling people: says who is told of what, and works the outbox off.
//!
//! The outbox is part of the journal's fold, so what is queued survives a crash (invariant 6). An
//! attempt is made, then what came of it is recorded; a crash between the two makes the same
//! attempt again, with the same idempotency key.
//!
//! Invariants:
//! - A notification is delivered, or tried again, or dead and visible; never lost.
//! - Per receiver and group one is under way at a time, the oldest first.
//! - A slow or broken receiver delays no other.

mod attempt;
mod conversation;
mod dispatch;
mod grants;
mod mail;
mod raise;
mod rate;
mod receiver;
mod secrets;
mod unrecorded;

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use watchkeeper_core::alerting::Notification;
use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ClusterName, MonitorName, Timestamp};
use watchkeeper_core::state::{Post, State};

pub use attempt::{Carry, MAX_BODY, MAX_REQUESTS, Verdict, converse};
pub use conversation::{Notify, sample, told};
pub use dispatch::{DispatchError, Dispatcher};
pub use grants::Grants;
pub use raise::alert_events;
pub use receiver::{CommandGrant, ReceiverConfig, ReceiverError, Receivers};
pub use secrets::{NotGranted, Secrets};
pub use unrecorded::{UNRECORDED_EVERY, tell_unrecorded};

use crate::journal::{Follower, Health, Journal, JournalError};
use attempt::UnderWay;
use rate::Rates;
use receiver::Receiver;

/// Most attempts at one receiver at a time.
const PER_RECEIVER: usize = 4;

/// The longest pause that a receiver can ask for.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);

/// The longest sleep before the clock is looked at again: it may have been set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Reads the wall clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Works the outbox of a journal off until the journal is closed.
pub struct Deliverer {
    journal: Journal,
    monitor: MonitorName,
    receivers: watch::Receiver<Arc<Receivers>>,
    clock: Clock,
    follower: Follower,
    post: Post,
    under_way: UnderWay,
    rates: Rates,
    attempts: JoinSet<u64>,
}

impl Deliverer {
    /// Starts on a task of its own. `state` is the one that the journal gave when it was opened;
    /// `receivers` may be swapped at any time, and attempts under way end with the old ones. The
    /// task ends when the journal is closed, and aborting it aborts the attempts.
    pub async fn spawn(
        journal: Journal,
        state: &State,
        monitor: MonitorName,
        receivers: watch::Receiver<Arc<Receivers>>,
        clock: Clock,
    ) -> Result<tokio::task::JoinHandle<JournalError>, JournalError> {
        let follower = journal.follow(state.seq).await?;
        let deliverer = Self {
            journal,
            monitor,
            receivers,
            clock,
            follower,
            post: state.post.clone(),
            under_way: UnderWay::new(),
            rates: Rates::default(),
            attempts: JoinSet::new(),
        };
        Ok(tokio::spawn(deliverer.run()))
    }

    async fn run(mut self) -> JournalError {
        loop {
            let pause = self.begin_due();
            tokio::select! {
                records = self.follower.next() => match records {
                    Ok(records) => records.iter().for_each(|record| self.post.apply(record)),
                    Err(error) => return error,
                },
                Some(ended) = self.attempts.join_next() => {
                    // Its outcome is recorded, and taken in first, so that it is not repeated.
                    match self.follower.ready().await {
                        Ok(records) => records.iter().for_each(|record| self.post.apply(record)),
                        Err(error) => return error,
                    }
                    match ended {
                        Ok(id) => drop(self.under_way.remove(&id)),
                        // A task that panicked does not say which it was.
                        Err(_) if self.attempts.is_empty() => self.under_way.clear(),
                        Err(_) => {}
                    }
                }
                Ok(()) = self.receivers.changed() => drop(self.receivers.borrow_and_update()),
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Begins what is due and says how long nothing else will be.
    fn begin_due(&mut self) -> Duration {
        let now = (self.clock)();
        let mut pause = LONGEST_SLEEP;
        let mut due = Vec::new();
        for entry in self.post.outbox.heads() {
            if self.under_way.contains_key(&entry.id) {
                continue;
            }
            let wait = entry.due.since(now);
            // Nothing is put off for longer than this: the clock has been set back.
            if wait > 0 && u128::from(wait) <= 2 * LONGEST_PAUSE.as_millis() {
                pause = pause.min(Duration::from_millis(wait));
            } else {
                due.push(entry.clone());
            }
        }
        for entry in due {
            let busy = self.under_way.values().filter(|name| **name == entry.receiver).count();
            if busy >= PER_RECEIVER {
                continue;
            }
            let receiver = self.receivers.borrow().ready.get(&entry.receiver).cloned();
            let limit = receiver.as_ref().and_then(|it| it.config.rate_limit);
            match self.rates.take(&entry.receiver, limit, Instant::now()) {
                None => self.begin(entry, receiver),
                Some(wait) => pause = pause.min(wait),
            }
        }
        pause
    }

    fn begin(&mut self, entry: Notification, receiver: Option<Arc<Receiver>>) {
        self.under_way.insert(entry.id, entry.receiver.clone());
        let memory = self.post.told.memory(&entry.receiver, &entry.group);
        let told = conversation::told(&entry, memory, &self.monitor, self.journal.id());
        let (journal, clock) = (self.journal.clone(), Arc::clone(&self.clock));
        self.attempts.spawn(async move {
            let event = match &receiver {
                Some(receiver) => {
                    let verdict = attempt::attempt(receiver, told).await;
                    outcome(&entry, verdict, &receiver.config, journal.id(), clock())
                }
                None => Event::NotificationDead {
                    id: entry.id,
                    problem: format!("there is no receiver {} any more", entry.receiver),
                },
            };
            record(&journal, &clock, &entry, event).await;
            entry.id
        });
    }
}

/// Records what came of an attempt. While the journal takes nothing in it waits, so that what has
/// been delivered is not delivered again.
async fn record(journal: &Journal, clock: &Clock, entry: &Notification, event: Event) {
    let mut health = journal.health();
    loop {
        let events = vec![(about(entry), event.clone())];
        match journal.append(clock(), events).await {
            Ok(_) => return,
            Err(error) if error.passing() => {
                if health.wait_for(|health| *health == Health::Writing).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                let id = entry.id;
                tracing::error!(id, %error, "the outcome of a delivery cannot be recorded");
                return;
            }
        }
    }
}

/// The cluster that all of it is about.
fn about(entry: &Notification) -> Option<ClusterName> {
    let first = entry.alerts.first()?.cluster.as_ref()?;
    entry.alerts.iter().all(|it| it.cluster.as_ref() == Some(first)).then(|| first.clone())
}

fn outcome(
    entry: &Notification,
    verdict: Verdict,
    config: &ReceiverConfig,
    journal: &str,
    now: Timestamp,
) -> Event {
    let id = entry.id;
    match verdict {
        Verdict::Delivered { memory } => Event::NotificationDelivered { id, memory },
        Verdict::Dead { reason } => Event::NotificationDead { id, problem: reason },
        Verdict::Failed { after, reason } => {
            let age = u128::from(now.since(entry.queued));
            if age >= config.give_up_after.as_millis() {
                let tries = entry.tries + 1;
                let problem = format!("given up after {tries} attempts; the last: {reason}");
                return Event::NotificationDead { id, problem };
            }
            let pause = pause(entry, after, config, journal);
            Event::NotificationTried { id, problem: reason, again: now.plus(pause) }
        }
    }
}

/// Milliseconds until the next attempt: twice as long each time, and up to a quarter longer than
/// that by a number that is the same at every replay, so that many do not come back at once.
fn pause(entry: &Notification, after: Option<u64>, config: &ReceiverConfig, journal: &str) -> u64 {
    let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let doubled = ms(config.first_backoff).max(1).saturating_mul(1 << entry.tries.min(30));
    let own = doubled.min(ms(config.max_backoff));
    let base = after.map_or(own, |after| after.max(ms(config.first_backoff)));
    let base = base.min(ms(LONGEST_PAUSE));
    let digest = Sha256::digest(format!("{journal}-{}-{}", entry.id, entry.tries));
    let chance = digest.first().copied().map_or(0, u64::from);
    base.saturating_add(base / 4 * chance / 255)
}
