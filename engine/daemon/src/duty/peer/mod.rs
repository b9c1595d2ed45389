//! Two monitors hand the duty to each other, over a connection that each is sure of.
//!
//! What is said and what is made of it is decided in [`watchkeeper_core::duty::peer`]. Here are the
//! [`link`] with its messages ([`wire`]); the [`desk`] that asks, answers and records; [`talk`],
//! which knows what is to be said when; [`wishes`], what operators want; [`outlook`], what the
//! rest of the daemon sees; and the task that gives the duty away when the active side has become
//! the other monitor's watch.
//!
//! Invariants:
//! - A monitor without an answer never takes the duty: it keeps what it has, and says so.
//! - A monitor that has just started does not act before the other one had the time to say that it
//!   has the duty by now.
//! - The other monitor, whatever it does, delays nothing but what is asked of it.

mod desk;
pub mod keys;
mod link;
mod outlook;
mod talk;
#[cfg(test)]
mod tests;
mod wire;
mod wishes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::post;
use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use watchkeeper_core::duty::Standing;
use watchkeeper_core::duty::peer::{Answer, Ask};
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, Term};

pub use link::LinkError;
pub(crate) use wire::{question, reply};

use self::desk::{Desk, Heard};
use self::link::Identity;
use self::outlook::{Handover, Here, Lasting};
use super::{Fence, Office, View, Views};
use crate::config::duty::PeerConfig;

/// How long a monitor that has just started waits at the least for the other one's first answer; it
/// also waits for the end of its first question.
const LISTEN_FIRST: Duration = Duration::from_secs(3);

/// Begins to share the duty with the other monitor.
pub(super) async fn start(
    config: &PeerConfig,
    office: Office,
) -> Result<(JoinHandle<()>, Arc<dyn Fence>), LinkError> {
    let identity = Identity::load(config)?;
    let dialer = identity.dialer(&config.address)?;
    let door = identity.listen(&config.listen).await?;
    let desk = Arc::new(Desk {
        me: office.monitor.clone(),
        peer: config.name.clone(),
        first: config.first,
        beat: config.beat,
        ledger: Arc::clone(&office.ledger),
        clusters: office.clusters.clone(),
        remarks: office.remarks.clone(),
        sights: office.sights.clone(),
        dialer,
        heard: watch::Sender::new(Heard::default()),
        stopping: AtomicBool::new(false),
    });
    let fence = Latch { views: office.views.subscribe(), desk: Arc::clone(&desk) };
    let router = Router::new()
        .route(wire::PATH, post(answer))
        .layer(DefaultBodyLimit::max(wire::MAX_BODY))
        .with_state(Arc::clone(&desk));
    let mut company = JoinSet::new();
    company.spawn(async move {
        if let Err(error) = axum::serve(door, router).await {
            tracing::error!(%error, "the other monitor is not answered any more");
        }
    });
    company.spawn(talk::talk(Arc::clone(&desk)));
    let keeper = Keeper {
        desk,
        office,
        give_on_stop: config.give_on_stop,
        started: Instant::now(),
        lasting: Lasting::default(),
        company,
    };
    Ok((tokio::spawn(keeper.run()), Arc::new(fence)))
}

/// Whether keys and certificates are there and fit, without talking to anybody.
pub fn check(config: &PeerConfig) -> Result<(), LinkError> {
    Identity::load(config)?.dialer(&config.address).map(|_| ())
}

async fn answer(Shared(desk): Shared<Arc<Desk>>, body: Bytes) -> Response {
    match desk.answer(&body).await {
        Ok(reply) => Json(reply).into_response(),
        Err(complaint) if complaint.passing => {
            (StatusCode::SERVICE_UNAVAILABLE, Json(complaint)).into_response()
        }
        Err(complaint) => (StatusCode::BAD_REQUEST, Json(complaint)).into_response(),
    }
}

/// The view and the journal agree on the term.
struct Latch {
    views: watch::Receiver<Views>,
    desk: Arc<Desk>,
}

impl Fence for Latch {
    /// What the journal holds is shared at once, and not waited for: the duty never goes to the
    /// other monitor without the past, except by an operator's force.
    fn admit<'a>(
        &'a self,
        cluster: &'a ClusterName,
        term: Term,
    ) -> BoxFuture<'a, Result<(), String>> {
        async move {
            match self.views.borrow().get(cluster).map(|view| &view.duty) {
                Some(Duty::Held(now)) if *now == term => {}
                Some(Duty::Held(now)) => {
                    return Err(format!("term {} is over, it is {}", term.0, now.0));
                }
                Some(Duty::NotHeld(why) | Duty::Uncertain(why)) => return Err(why.clone()),
                None => return Err(format!("{cluster} is no longer watched")),
            }
            let here = self.desk.ledger.cluster(cluster).await;
            match here.tenure.standing() {
                Standing::Held { term: now } if *now == term => Ok(()),
                standing => Err(format!("term {} is over: the duty is {standing}", term.0)),
            }
        }
        .boxed()
    }

    /// At most as long as the other monitor counts as well without having been heard: a failover does
    /// not wait for one that is gone.
    fn tell<'a>(&'a self, cluster: &'a ClusterName, term: Term) -> BoxFuture<'a, ()> {
        async move {
            let known = self.desk.ledger.cluster(cluster).await.version;
            let told = |heard: &Heard| heard.report(cluster).known >= Some((term, known));
            let mut heard = self.desk.heard.subscribe();
            let waiting = heard.wait_for(told);
            if timeout(self.desk.patience(1), waiting).await.is_err() {
                let peer = &self.desk.peer;
                tracing::warn!(%cluster, %peer, "a step begins that the other monitor has not heard of");
            }
        }
        .boxed()
    }
}

struct Keeper {
    desk: Arc<Desk>,
    office: Office,
    give_on_stop: bool,
    started: Instant,
    lasting: Lasting,
    /// All that goes on beside this task, and ends with it.
    company: JoinSet<()>,
}

impl Keeper {
    async fn run(mut self) {
        let mut news = self.desk.ledger.news();
        let mut heard = self.desk.heard.subscribe();
        let mut beat = interval(self.desk.beat.min(LISTEN_FIRST / 4));
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.hand_over().await;
            self.publish().await;
            tokio::select! {
                _ = self.office.stop.changed() => break,
                changed = self.office.clusters.changed() => if changed.is_err() { break },
                changed = news.changed() => if changed.is_err() { break },
                _ = heard.changed() => {}
                _ = beat.tick() => {}
                Some(order) = self.office.orders.recv() => {
                    let desk = Arc::clone(&self.desk);
                    self.company.spawn(async move { wishes::carry_out(&desk, order).await });
                }
                Some(_) = self.company.join_next() => {}
            }
        }
        // Or the other one would give it back at once.
        self.desk.stopping.store(true, Ordering::SeqCst);
        if self.give_on_stop {
            self.farewell().await;
        }
        let over = || View::not_held("the daemon is stopping");
        let names = self.office.clusters.borrow().clone();
        self.office.views.send_replace(names.into_iter().map(|name| (name, over())).collect());
    }

    /// Whether this monitor has just started and has not heard the other one yet.
    fn waiting(&self) -> bool {
        let heard = self.desk.heard.borrow();
        let listened = self.started.elapsed();
        // A question that is still on its way may bring the news that a later term has begun.
        let asking = heard.trouble.is_none() && listened < 2 * link::PATIENCE;
        heard.reached.is_none() && (listened < LISTEN_FIRST || asking)
    }

    /// Every cluster that is watched, with where it stands.
    async fn all(&self) -> Vec<(ClusterName, Here)> {
        let names = self.office.clusters.borrow().clone();
        let look = |state: &_| {
            names
                .into_iter()
                .map(|name| {
                    let here = Here::of(state, &name);
                    (name, here)
                })
                .collect()
        };
        self.desk.ledger.with(look).await
    }

    async fn publish(&mut self) {
        let all = self.all().await;
        let (heard, waiting) = (self.desk.heard.borrow().clone(), self.waiting());
        let desk = &self.desk;
        self.lasting.retain(|name| all.iter().any(|(known, _)| known == name));
        let mut views = Views::new();
        for (name, here) in all {
            let view = outlook::view(desk, &name, &here, &heard, waiting, &mut self.lasting);
            views.insert(name, view);
        }
        self.office.views.send_if_modified(|known| {
            let differs = *known != views;
            *known = views;
            differs
        });
    }

    /// Offers what has become the other monitor's watch.
    async fn hand_over(&self) {
        if self.waiting() {
            return;
        }
        let heard = self.desk.heard.borrow().clone();
        for (name, here) in self.all().await {
            if outlook::handover(&self.desk, &name, &here, &heard) == Handover::Due {
                let why = format!("the active side is the watch of {}", self.desk.peer);
                self.offer(&name, &why, |here| {
                    outlook::handover(&self.desk, &name, here, &heard) == Handover::Due
                })
                .await;
            }
        }
    }

    /// Offers the duty if, at the moment at which that is recorded, it still `is_due`.
    async fn offer(&self, cluster: &ClusterName, why: &str, is_due: impl FnOnce(&Here) -> bool) {
        let recorded = self.desk.change(cluster, |state, _| {
            let due = is_due(&Here::of(state, cluster));
            due.then(|| self.desk.offer(state, cluster, false, why).ok()).flatten()
        });
        if let Err(error) = recorded.await {
            tracing::error!(%cluster, error = &error as &dyn std::error::Error, "the duty is kept");
        }
    }

    /// Gives away what can be, now that this monitor ends. What cannot be is kept: the duty is with
    /// this monitor when it is started again.
    async fn farewell(&mut self) {
        let mut given = Vec::new();
        for (name, here) in self.all().await {
            if here.may_go() {
                given.push(name);
            }
        }
        if given.is_empty() || self.desk.exchange(Ask::Greet).await.is_err() {
            return;
        }
        let (watches, stopping) = {
            let heard = self.desk.heard.borrow();
            (heard.watches.clone(), heard.stopping)
        };
        if stopping {
            return;
        }
        for name in given.into_iter().filter(|name| watches.contains(name)) {
            let why = format!("{} is being stopped", self.desk.me);
            self.offer(&name, &why, Here::may_go).await;
            let here = self.desk.ledger.cluster(&name).await;
            if let Standing::Offered { next, .. } = here.tenure.standing() {
                let past = Box::new(self.desk.ledger.with(|state| state.past(&name)).await);
                let ask = Ask::Offer { cluster: name.clone(), next: *next, past };
                // Asked again by whoever starts next.
                if let Ok(Answer::Refused { why }) = self.desk.exchange(ask).await {
                    tracing::warn!(cluster = %name, why, "the other monitor does not take the duty");
                    // It has just answered, so it can promise not to take it later either.
                    let _ = self.desk.exchange(Ask::Withdraw { cluster: name, next: *next }).await;
                }
            }
        }
    }
}
