//! The conversation with a notifier, in the types of its world in `sdk/wit/notifier`.

use watchkeeper_core::alerting::{self, Cause, GroupKey, Subject};
use watchkeeper_core::model::{ClusterName, MonitorName, ReceiverName, ServerName, Service};
use watchkeeper_wasm::notifier::{Alert, AlertStatus, Next, Notification, Response};

/// A notifier with its settings. Calls block; the engine makes them on a thread for that.
pub trait Notify: Send + Sync {
    /// The same for the same plugin with the same settings.
    fn identity(&self) -> String;
    /// Begins. An error is a failure of the plugin, and the delivery is tried again.
    fn start(&self, notification: &Notification) -> Result<Next, String>;
    /// Goes on after a response.
    fn resume(&self, state: &[u8], response: &Response) -> Result<Next, String>;
}

/// What a notifier gets to see of `notification`. The idempotency key is made of the journal's
/// identity and the notification's number, so that it stays the same over a restart. `memory` is what
/// was given with the notification before.
pub fn told(
    notification: &alerting::Notification,
    memory: &[u8],
    monitor: &MonitorName,
    journal: &str,
) -> Notification {
    let firing = notification.alerts.iter().any(|it| it.alert.ends_at.is_none());
    let over = match notification.cause {
        Cause::Over => true,
        Cause::Escalated => !firing,
        Cause::First | Cause::News | Cause::Repeat => false,
    };
    Notification {
        idempotency_key: format!("{journal}-{}", notification.id),
        group_key: notification.group.digest(&notification.receiver),
        group_labels: notification.group.labels.clone().into_iter().collect(),
        cause: notification.cause.into(),
        status: if over { AlertStatus::Resolved } else { AlertStatus::Firing },
        alerts: notification.alerts.iter().map(alert).collect(),
        more: notification.more,
        memory: match notification.cause {
            Cause::First => Vec::new(),
            _ => memory.to_vec(),
        },
        queued_at: notification.queued.0,
        monitor: monitor.as_str().to_owned(),
    }
}

/// What a notifier would get to see of one alert by itself.
pub fn sample(receiver: &ReceiverName, subject: Subject, monitor: &MonitorName) -> Notification {
    let over = subject.alert.ends_at.is_some();
    let queued = subject.alert.starts_at;
    let notification = alerting::Notification {
        id: 0,
        receiver: receiver.clone(),
        group: GroupKey::alone(&subject.alert.fingerprint),
        cause: if over { Cause::Over } else { Cause::First },
        alerts: vec![subject],
        more: 0,
        queued,
        tries: 0,
        due: queued,
        problem: None,
        dead: false,
        escalated: false,
    };
    told(&notification, &[], monitor, "preview")
}

fn alert(subject: &Subject) -> Alert {
    let alert = &subject.alert;
    let claim = &alert.claim;
    let cluster = subject.cluster.as_ref().map_or("", ClusterName::as_str).to_owned();
    let more = match cluster.as_str() {
        "" => "`watchkeeper status` says more.".to_owned(),
        name => format!("`watchkeeper explain --cluster {name}` says more."),
    };
    let details = match alert.details.as_str() {
        "" => more,
        details => format!("{details}\n{more}"),
    };
    Alert {
        fingerprint: alert.fingerprint.to_string(),
        status: match alert.ends_at {
            Some(_) => AlertStatus::Resolved,
            None => AlertStatus::Firing,
        },
        news: subject.news,
        name: claim.name.clone(),
        severity: claim.severity.into(),
        cluster,
        server: claim.server.as_ref().map_or("", ServerName::as_str).to_owned(),
        service: claim.service.map_or("", Service::as_str).to_owned(),
        code: claim.code.clone(),
        summary: claim.summary.clone(),
        details,
        source: alert.source.clone(),
        labels: claim.labels.clone().into_iter().collect(),
        starts_at: alert.starts_at.0,
        ends_at: alert.ends_at.map(|at| at.0),
        acknowledged_by: alert.acknowledged.as_ref().map(|it| it.by.clone()).unwrap_or_default(),
    }
}
