//! What the clusters' tasks go by: what was made of the duty's keys, as long as the lease is certain.
//!
//! A task of its own that waits for nothing but time and news from within, so that at the moment at
//! which the lease is certain no more, no view says that anything is held.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use watchkeeper_core::duty::lease::span::margin;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::MonitorName;
use watchkeeper_core::proposal::Severity;

use super::session::{Session, Trouble};
use crate::duty::{View, Views, claim};

/// What is so if the lease is certain.
#[derive(Debug, Clone, Default)]
pub(super) struct Assumed {
    /// The lease.
    pub(super) lease: Option<u64>,
    pub(super) views: Views,
}

/// Publishes views until the inputs end.
pub(super) struct Publisher {
    pub(super) monitor: MonitorName,
    pub(super) lease: Duration,
    pub(super) session: watch::Receiver<Session>,
    pub(super) assumed: watch::Receiver<Assumed>,
    pub(super) views: watch::Sender<Views>,
}

impl Publisher {
    pub(super) async fn run(mut self) {
        // One text for the whole time, because each change of it is news.
        let mut uncertain: Option<String> = None;
        loop {
            let session = self.session.borrow_and_update().clone();
            let assumed = self.assumed.borrow_and_update().clone();
            let views = self.views(&session, assumed, &mut uncertain);
            self.publish(views);
            let ends = session.until;
            let waits = Instant::now() < ends;
            let ended = tokio::select! {
                changed = self.session.changed() => changed.is_err(),
                changed = self.assumed.changed() => changed.is_err(),
                () = sleep_until(ends), if waits => false,
            };
            if ended {
                let none = || View::not_held("the task that keeps the duty has ended");
                let views = self.views.borrow().keys().map(|name| (name.clone(), none())).collect();
                return self.publish(views);
            }
        }
    }

    fn publish(&self, views: Views) {
        self.views.send_if_modified(|known| {
            let differs = *known != views;
            *known = views;
            differs
        });
    }

    fn views(&self, session: &Session, assumed: Assumed, uncertain: &mut Option<String>) -> Views {
        let all = |view: &View| {
            assumed.views.keys().map(|name| (name.clone(), view.clone())).collect::<Views>()
        };
        if let Some(lease) = session.certain() {
            *uncertain = None;
            return if assumed.lease == Some(lease) {
                assumed.views
            } else {
                all(&View::not_held("the lease in etcd is new, and nothing is taken on it yet"))
            };
        }
        match &session.trouble {
            Some(Trouble::Conflict(journal)) => {
                *uncertain = None;
                let text = conflict(&self.monitor, journal);
                let claims = vec![claim("duty-conflict", Severity::Critical, text.clone())];
                all(&View { duty: Duty::NotHeld(text), claims })
            }
            None if Instant::now() < session.until => {
                all(&View::not_held("etcd has not been asked yet"))
            }
            trouble => {
                let text = uncertain.get_or_insert_with(|| self.doubt(session, trouble.as_ref()));
                let claims = vec![claim("duty-uncertain", Severity::Critical, text.clone())];
                all(&View { duty: Duty::Uncertain(text.clone()), claims })
            }
        }
    }

    /// What people are told while nothing is certain.
    fn doubt(&self, session: &Session, trouble: Option<&Trouble>) -> String {
        let since = match session.lease {
            Some(_) => {
                let silent = self.lease.saturating_sub(margin(self.lease));
                format!("for {:.1} s", silent.as_secs_f64())
            }
            None => "since this monitor asked for it".to_owned(),
        };
        let why = match trouble {
            Some(Trouble::Etcd(error)) => format!(" ({error})"),
            _ => String::new(),
        };
        format!(
            "etcd has not confirmed this monitor's lease {since}{why}; nothing is done; collecting, \
             recording and alerting go on"
        )
    }
}

/// What people are told about a second daemon of the same name.
pub(super) fn conflict(monitor: &MonitorName, journal: &str) -> String {
    format!(
        "another daemon that is named {monitor} runs, with the journal {journal}: this one takes no \
         duty until that one has ended; each monitor needs a name of its own in [monitor]"
    )
}
