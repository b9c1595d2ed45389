//! A connection that is kept: made on demand, shared, and made anew after a loss.
//!
//! However many callers ask at once, there is one attempt to connect, and all of them learn its
//! outcome. A caller whose deadline passes stops waiting; the attempt goes on for the others.
//! After a failure the next attempt waits a little, so that a dead host is not hammered, but never
//! longer than [`LONGEST_REST`], so that a confirming probe meets the host and not a memory of it.
//!
//! Whoever drives a connection holds its [`Beacon`]. When the connection ends, for whatever
//! reason, the beacon is dropped and the loss is news at once ([`Kept::losses`]).

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

/// How long the first attempt after a failure waits; each further failure doubles it.
const FIRST_REST: Duration = Duration::from_millis(50);
/// The longest an attempt waits.
pub(crate) const LONGEST_REST: Duration = Duration::from_secs(1);
/// A connection that ends sooner than this counts as a failure to connect.
const PROVEN: Duration = Duration::from_secs(1);

/// How a connection is made.
pub(crate) trait Connector: Send + Sync + 'static {
    /// What is kept.
    type Connection: Send + Sync + 'static;
    /// Why there is none; cloned to every caller that waited.
    type Error: Clone + Send + Sync + 'static;

    /// Makes one attempt, bounded in time by itself. Whatever drives the connection keeps `beacon`
    /// until the connection ends.
    fn connect(
        &self,
        beacon: Beacon,
    ) -> impl Future<Output = Result<Self::Connection, Self::Error>> + Send;

    /// The error of a caller whose deadline passed while an attempt was under way.
    fn out_of_time(&self) -> Self::Error;
}

/// Held by what drives a connection; dropped when the connection ends.
pub(crate) struct Beacon {
    alive: Arc<AtomicBool>,
    owner: Weak<dyn Lost>,
}

trait Lost: Send + Sync {
    fn lost(&self, alive: &Arc<AtomicBool>);
}

impl Drop for Beacon {
    fn drop(&mut self) {
        self.alive.store(false, Ordering::SeqCst);
        if let Some(owner) = self.owner.upgrade() {
            owner.lost(&self.alive);
        }
    }
}

/// A connection that was alive when it was handed out.
pub(crate) struct Live<C> {
    pub(crate) connection: C,
    alive: Arc<AtomicBool>,
    since: Instant,
}

type Outcome<C> = Result<Arc<Live<<C as Connector>::Connection>>, <C as Connector>::Error>;

enum Phase<C: Connector> {
    Idle,
    Connecting(watch::Receiver<Option<Outcome<C>>>),
    Live(Arc<Live<C::Connection>>),
}

struct State<C: Connector> {
    phase: Phase<C>,
    failures: u32,
    not_before: Option<Instant>,
    last_error: Option<C::Error>,
}

impl<C: Connector> State<C> {
    fn failed(&mut self) {
        let rest = FIRST_REST.saturating_mul(1 << self.failures.min(5)).min(LONGEST_REST);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Some(Instant::now() + rest);
    }
}

struct Shared<C: Connector> {
    connector: C,
    state: Mutex<State<C>>,
    losses: watch::Sender<u64>,
}

impl<C: Connector> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One attempt, after the rest that earlier failures ask for.
    async fn attempt(self: Arc<Self>, result: watch::Sender<Option<Outcome<C>>>) {
        let not_before = self.lock().not_before.take();
        if let Some(not_before) = not_before {
            sleep_until(not_before).await;
        }
        let alive = Arc::new(AtomicBool::new(true));
        let weak = Arc::downgrade(&self);
        let beacon = Beacon { alive: alive.clone(), owner: weak };
        let outcome = self.connector.connect(beacon).await;
        let outcome = outcome.map(|connection| {
            Arc::new(Live { connection, alive: alive.clone(), since: Instant::now() })
        });
        {
            let mut state = self.lock();
            match &outcome {
                Ok(live) => {
                    state.last_error = None;
                    state.phase = Phase::Live(live.clone());
                }
                Err(error) => {
                    state.last_error = Some(error.clone());
                    state.phase = Phase::Idle;
                    state.failed();
                }
            }
        }
        if outcome.is_ok() && !alive.load(Ordering::SeqCst) {
            // It ended before it was known here, so the beacon's drop found nothing to end.
            self.lost(&alive);
        }
        result.send_replace(Some(outcome));
    }
}

impl<C: Connector> Lost for Shared<C> {
    fn lost(&self, alive: &Arc<AtomicBool>) {
        {
            let mut state = self.lock();
            let since = match &state.phase {
                Phase::Live(live) if Arc::ptr_eq(&live.alive, alive) => live.since,
                _ => return,
            };
            state.phase = Phase::Idle;
            if since.elapsed() < PROVEN {
                state.failed();
            } else {
                state.failures = 0;
            }
        }
        self.losses.send_modify(|count| *count += 1);
    }
}

/// See the module's text.
pub(crate) struct Kept<C: Connector> {
    shared: Arc<Shared<C>>,
}

impl<C: Connector> Kept<C> {
    pub(crate) fn new(connector: C) -> Self {
        let state = State { phase: Phase::Idle, failures: 0, not_before: None, last_error: None };
        let shared = Shared { connector, state: Mutex::new(state), losses: watch::channel(0).0 };
        Self { shared: Arc::new(shared) }
    }

    pub(crate) fn connector(&self) -> &C {
        &self.shared.connector
    }

    /// Rises by one whenever an established connection ends without having been asked to.
    pub(crate) fn losses(&self) -> watch::Receiver<u64> {
        self.shared.losses.subscribe()
    }

    /// The connection, and whether it was made for this call: what a connection made just now
    /// does not answer is said by its peer; an older one may have been cut on the way.
    pub(crate) async fn get(
        &self,
        deadline: Instant,
    ) -> Result<(Arc<Live<C::Connection>>, bool), C::Error> {
        let mut waiting = {
            let mut state = self.shared.lock();
            match &state.phase {
                Phase::Live(live) if live.alive.load(Ordering::SeqCst) => {
                    return Ok((live.clone(), false));
                }
                Phase::Connecting(waiting) => waiting.clone(),
                Phase::Live(_) | Phase::Idle => {
                    let (sender, receiver) = watch::channel(None);
                    state.phase = Phase::Connecting(receiver.clone());
                    tokio::spawn(self.shared.clone().attempt(sender));
                    receiver
                }
            }
        };
        let outcome = timeout_at(deadline, waiting.wait_for(Option::is_some)).await;
        match outcome {
            Ok(Ok(outcome)) => match outcome.as_ref() {
                Some(outcome) => outcome.clone().map(|live| (live, true)),
                None => Err(self.shared.connector.out_of_time()),
            },
            // The attempt was given up, which only a panic or the runtime's end can cause: let
            // the next caller start one.
            Ok(Err(_)) => {
                let mut state = self.shared.lock();
                if matches!(state.phase, Phase::Connecting(_)) {
                    state.phase = Phase::Idle;
                }
                Err(self.shared.connector.out_of_time())
            }
            Err(_) => {
                let last = self.shared.lock().last_error.clone();
                Err(last.unwrap_or_else(|| self.shared.connector.out_of_time()))
            }
        }
    }

    /// Forgets a connection that is no longer trusted; the next caller makes a new one.
    pub(crate) fn discard(&self, live: &Arc<Live<C::Connection>>) {
        let mut state = self.shared.lock();
        if matches!(&state.phase, Phase::Live(current) if Arc::ptr_eq(current, live)) {
            state.phase = Phase::Idle;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    /// Fails as often as told; then connects to nothing, and hands its beacons out.
    struct Fake {
        failures: AtomicU32,
        attempts: AtomicU32,
        beacons: Mutex<Vec<Beacon>>,
    }

    impl Connector for Fake {
        type Connection = u32;
        type Error = &'static str;

        async fn connect(&self, beacon: Beacon) -> Result<u32, &'static str> {
            tokio::time::sleep(Duration::from_millis(5)).await;
            let attempt = self.attempts.fetch_add(1, Ordering::SeqCst) + 1;
            if attempt <= self.failures.load(Ordering::SeqCst) {
                return Err("refused");
            }
            self.beacons.lock().unwrap().push(beacon);
            Ok(attempt)
        }

        fn out_of_time(&self) -> &'static str {
            "out of time"
        }
    }

    fn kept(failures: u32) -> Kept<Fake> {
        Kept::new(Fake {
            failures: AtomicU32::new(failures),
            attempts: AtomicU32::new(0),
            beacons: Mutex::default(),
        })
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(10)
    }

    #[tokio::test]
    async fn many_callers_share_one_attempt_and_one_connection() {
        let kept = kept(0);
        let all = tokio::join!(kept.get(soon()), kept.get(soon()), kept.get(soon()));
        let numbers = [all.0, all.1, all.2].map(|live| live.unwrap().0.connection);
        assert_eq!(numbers, [1, 1, 1]);
        let (live, fresh) = kept.get(soon()).await.unwrap();
        assert_eq!((live.connection, fresh), (1, false));
    }

    #[tokio::test]
    async fn a_loss_is_news_and_the_next_caller_gets_a_new_connection() {
        let kept = kept(0);
        let mut losses = kept.losses();
        kept.get(soon()).await.unwrap();
        kept.connector().beacons.lock().unwrap().clear();
        losses.changed().await.unwrap();
        assert_eq!(*losses.borrow(), 1);
        let (live, fresh) = kept.get(soon()).await.unwrap();
        assert_eq!((live.connection, fresh), (2, true));
    }

    #[tokio::test]
    async fn a_failure_is_told_and_the_next_attempt_is_a_real_one() {
        let kept = kept(2);
        assert_eq!(kept.get(soon()).await.err(), Some("refused"));
        assert_eq!(kept.get(soon()).await.err(), Some("refused"));
        assert_eq!(kept.get(soon()).await.map(|live| live.0.connection).ok(), Some(3));
    }

    #[tokio::test]
    async fn a_caller_out_of_time_does_not_spoil_the_attempt() {
        let kept = kept(0);
        assert_eq!(kept.get(Instant::now()).await.err(), Some("out of time"));
        let (live, _) = kept.get(soon()).await.unwrap();
        assert_eq!(live.connection, 1, "the first attempt went on");
    }

    #[tokio::test]
    async fn a_discarded_connection_is_replaced_without_being_news() {
        let kept = kept(0);
        let (live, _) = kept.get(soon()).await.unwrap();
        kept.discard(&live);
        assert_eq!(kept.get(soon()).await.unwrap().0.connection, 2);
        assert_eq!(*kept.losses().borrow(), 0);
    }
}
