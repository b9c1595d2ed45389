//! Telling people that nothing can be recorded.
//!
//! The outbox is in the journal, so it is of no use when the journal is what fails. Acting fails
//! closed then; telling fails open: this goes to the receivers at once, in memory, and after a
//! restart perhaps again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use watchkeeper_core::alerting::{Alert, Cause, Fingerprint, GroupKey, Notification, Subject};
use watchkeeper_core::arbitration::ENGINE;
use watchkeeper_core::model::{MonitorName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};

use super::attempt::{self, Verdict};
use super::receiver::{Receiver, Receivers};
use super::{Clock, conversation};

/// How often people are told while it lasts, and how soon after one word the next can follow: a
/// journal that comes and goes must not flood them.
pub const UNRECORDED_EVERY: Duration = Duration::from_hours(1);

/// Tells every receiver when `trouble` says why nothing can be recorded, again each time `every`
/// has passed, and once when it is over. Between any two words lies at the least `every`. Ends
/// when `trouble` does.
pub async fn tell_unrecorded(
    mut trouble: watch::Receiver<Option<String>>,
    receivers: watch::Receiver<Arc<Receivers>>,
    monitor: MonitorName,
    clock: Clock,
    every: Duration,
) {
    // Since when it lasts, according to what was told.
    let mut told: Option<Timestamp> = None;
    loop {
        if told.is_none() && trouble.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let next = Instant::now() + every;
        let now = clock();
        let problem = trouble.borrow_and_update().clone();
        let alert = alert(problem.as_deref(), told.unwrap_or(now), now);
        told = problem.map(|_| alert.starts_at);
        let receivers = Arc::clone(&receivers.borrow());
        let mut telling = JoinSet::new();
        for receiver in receivers.ready.values().cloned() {
            let notification = Notification {
                id: now.0,
                receiver: receiver.config.name.clone(),
                group: GroupKey::alone(&alert.fingerprint),
                cause: if alert.ends_at.is_some() { Cause::Over } else { Cause::First },
                alerts: vec![Subject { cluster: None, alert: alert.clone(), news: true }],
                more: 0,
                queued: now,
                tries: 0,
                due: now,
                problem: None,
                dead: false,
                escalated: false,
            };
            let journal = format!("{monitor}-unrecorded");
            let told = conversation::told(&notification, &[], &monitor, &journal);
            telling.spawn(async move { tell(&receiver, told).await });
        }
        // What has not arrived by then is told anew, or is out of date.
        let _ = timeout_at(next, async { while telling.join_next().await.is_some() {} }).await;
        telling.abort_all();
        if trouble.has_changed().is_err() {
            return;
        }
        sleep_until(next).await;
    }
}

/// Tries until the receiver has it or refuses it.
async fn tell(receiver: &Arc<Receiver>, told: watchkeeper_wasm::notifier::Notification) {
    let (name, config) = (&receiver.config.name, &receiver.config);
    let mut pause = config.first_backoff.max(Duration::from_millis(1));
    loop {
        match attempt::attempt(receiver, told.clone()).await {
            Verdict::Delivered { .. } => return,
            Verdict::Dead { reason } => {
                tracing::error!(receiver = %name, reason, "refuses to hear that nothing can be recorded");
                return;
            }
            Verdict::Failed { after, reason } => {
                tracing::error!(receiver = %name, reason, "could not be told that nothing can be recorded");
                sleep(after.map_or(pause, |after| pause.max(Duration::from_millis(after)))).await;
                pause = pause.saturating_mul(2).min(config.max_backoff);
            }
        }
    }
}

fn alert(problem: Option<&str>, since: Timestamp, now: Timestamp) -> Alert {
    let claim = AlertClaim {
        name: "journal-unwritable".to_owned(),
        severity: Severity::Critical,
        server: None,
        service: None,
        code: String::new(),
        summary: match problem {
            Some(problem) => format!("nothing can be recorded: {problem}"),
            None => "what happens is recorded again".to_owned(),
        },
        labels: BTreeMap::new(),
    };
    Alert {
        fingerprint: Fingerprint::of(None, ENGINE, &claim),
        source: ENGINE.to_owned(),
        claim,
        details: match problem {
            Some(_) => {
                "Watchkeeper goes on watching and does nothing until it can record again: no \
                        rescue, no failover. Other alerts wait for the journal as well."
            }
            None => "Watchkeeper acts again.",
        }
        .to_owned(),
        starts_at: since,
        ends_at: problem.is_none().then_some(now),
        acknowledged: None,
    }
}
