//! What fires, who was told of it, and what operators order about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use watchkeeper_core::alerting::{
    Acknowledgement, Alert, Cause, Fingerprint, GroupKey, Labels, Matcher, Notification, Silence,
    SilenceId, Subject, labels, matches_all,
};
use watchkeeper_core::event::{Event, Made};
use watchkeeper_core::model::{ClusterName, MonitorName, ReceiverName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::state::State as Fold;

use super::server::{ApiContext, Peer, Wrong};
use crate::clock;
use crate::errors::chain;
use crate::journal::Events;

/// The longest silence: what is to be silent for longer is a matter for the routes.
const LONGEST_SILENCE: u64 = 366 * 86_400_000;

/// Who raises the alert of a test.
const OPERATOR: &str = "operator";

/// What fires, and where it stands with telling people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertsReport {
    /// What fires.
    pub alerts: Vec<FiringReport>,
    /// The silences that hold, are to come, or were in the last days.
    pub silences: Vec<SilenceReport>,
    /// What is not delivered: what waits, and the dead letters.
    pub notifications: Vec<NotificationReport>,
}

/// An alert that fires.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FiringReport {
    /// Identifies it.
    pub fingerprint: Fingerprint,
    /// All its labels, as matchers see them.
    pub labels: Labels,
    /// One line for people.
    pub summary: String,
    /// Since when.
    pub since: Timestamp,
    /// Who takes care of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<Acknowledgement>,
    /// The silence that covers it now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<SilenceId>,
    /// Who was told, or is about to be.
    pub told: Vec<ReceiverName>,
}

/// A silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SilenceReport {
    /// What it is.
    #[serde(flatten)]
    pub silence: Silence,
    /// Whether it holds now.
    pub active: bool,
    /// How many of the alerts that fire it covers.
    pub covers: usize,
}

/// A notification that is not delivered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NotificationReport {
    /// Identifies it.
    pub id: u64,
    /// Where to.
    pub receiver: ReceiverName,
    /// Why it is told.
    pub cause: Cause,
    /// The names of its alerts; `-` before one that is over.
    pub alerts: Vec<String>,
    /// When it was queued.
    pub queued: Timestamp,
    /// How often it was tried.
    pub tries: u32,
    /// When it is tried next; none if it is dead.
    pub due: Option<Timestamp>,
    /// What went wrong the last time.
    pub problem: Option<String>,
    /// Whether another receiver was told in its place.
    pub escalated: bool,
}

/// What an operator orders about alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "order", deny_unknown_fields)]
pub enum AlertOrder {
    /// Somebody takes care of an alert: it is not told again and again.
    Acknowledge {
        /// Which; the first digits are enough if they are only one's.
        fingerprint: String,
        /// What they say.
        #[serde(default)]
        comment: String,
    },
    /// Alerts are not told for a time.
    Silence {
        /// All of them have to match.
        matchers: Vec<String>,
        /// From when; none: now.
        #[serde(default)]
        starts_at: Option<Timestamp>,
        /// Until when.
        ends_at: Timestamp,
        /// Why.
        comment: String,
    },
    /// A silence ends now.
    EndSilence {
        /// Which.
        id: String,
    },
    /// Dead letters are tried again.
    Retry {
        /// Which; empty: all.
        #[serde(default)]
        ids: Vec<u64>,
    },
    /// Dead letters are thrown away.
    Discard {
        /// Which.
        ids: Vec<u64>,
    },
    /// A receiver is told of an alert that begins and is over, to see whether it arrives.
    Test {
        /// Which.
        receiver: String,
        /// How bad the alert is said to be.
        severity: Severity,
    },
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertReply {
    /// In words.
    pub said: String,
    /// The notifications that it is about, for those who want to see what becomes of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<u64>,
}

/// `GET /v1/alerts`
pub(super) async fn list(State(context): State<Arc<ApiContext>>) -> Json<AlertsReport> {
    let now = clock::now();
    Json(context.ledger.with(|state| report(state, now)).await)
}

fn report(state: &Fold, now: Timestamp) -> AlertsReport {
    let firing = firing(state);
    let silence = |silence: &Silence| SilenceReport {
        active: silence.is_active(now),
        covers: firing.iter().filter(|it| matches_all(&silence.matchers, &it.labels)).count(),
        silence: silence.clone(),
    };
    AlertsReport {
        silences: state.silences.iter().map(silence).collect(),
        notifications: state.post.outbox.entries().map(notification).collect(),
        alerts: firing
            .into_iter()
            .map(|mut it| {
                it.silence = state.silences.covers(&it.labels, now).map(|it| it.id.clone());
                it
            })
            .collect(),
    }
}

fn firing(state: &Fold) -> Vec<FiringReport> {
    let one = |cluster: Option<&ClusterName>, alert: &Alert| FiringReport {
        fingerprint: alert.fingerprint.clone(),
        labels: labels(cluster, alert),
        summary: alert.claim.summary.clone(),
        since: alert.starts_at,
        acknowledged: alert.acknowledged.clone(),
        silence: None,
        told: state
            .post
            .told
            .of(&alert.fingerprint)
            .map(|(receiver, _)| receiver.clone())
            .collect(),
    };
    let own = state.alerts.firing().map(|alert| one(None, alert));
    let of_clusters = state.clusters.iter().flat_map(|(name, cluster)| {
        cluster.alerts.firing().map(move |alert| one(Some(name), alert))
    });
    own.chain(of_clusters).collect()
}

fn notification(entry: &Notification) -> NotificationReport {
    let name = |it: &Subject| match it.alert.ends_at {
        Some(_) => format!("-{}", it.alert.claim.name),
        None => it.alert.claim.name.clone(),
    };
    NotificationReport {
        id: entry.id,
        receiver: entry.receiver.clone(),
        cause: entry.cause,
        alerts: entry.alerts.iter().map(name).collect(),
        queued: entry.queued,
        tries: entry.tries,
        due: (!entry.dead).then_some(entry.due),
        problem: entry.problem.clone(),
        escalated: entry.escalated,
    }
}

/// `POST /v1/alerts/orders`
pub(super) async fn order(
    State(context): State<Arc<ApiContext>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    body: Result<Json<AlertOrder>, JsonRejection>,
) -> Result<Json<AlertReply>, Wrong> {
    let Json(order) = body.map_err(|error| Wrong(StatusCode::BAD_REQUEST, error.body_text()))?;
    let (by, now) = (peer.name(), clock::now());
    let known: Vec<ReceiverName> =
        context.receivers.borrow().iter().map(|it| it.name.clone()).collect();
    let mut outcome = Err(String::new());
    let written = context.ledger.record_with(|state| {
        let desk = Desk { state, monitor: &context.monitor, known: &known, by, now };
        match desk.carry_out(order) {
            Ok((events, reply)) => {
                outcome = Ok(reply);
                events
            }
            Err(why) => {
                outcome = Err(why);
                Vec::new()
            }
        }
    });
    let written = written.await;
    let reply = outcome.map_err(|why| Wrong(StatusCode::UNPROCESSABLE_ENTITY, why))?;
    written.map_err(|error| Wrong(StatusCode::SERVICE_UNAVAILABLE, chain(&error)))?;
    Ok(Json(reply))
}

/// Where an order is turned into what is recorded of it.
struct Desk<'a> {
    state: &'a Fold,
    monitor: &'a str,
    known: &'a [ReceiverName],
    by: String,
    now: Timestamp,
}

type Outcome = Result<(Events, AlertReply), String>;

fn said(events: Events, said: String) -> (Events, AlertReply) {
    (events, AlertReply { said, notifications: Vec::new() })
}

impl Desk<'_> {
    fn carry_out(self, order: AlertOrder) -> Outcome {
        match order {
            AlertOrder::Acknowledge { fingerprint, comment } => {
                self.acknowledge(&fingerprint, comment)
            }
            AlertOrder::Silence { matchers, starts_at, ends_at, comment } => {
                self.silence(&matchers, starts_at, ends_at, comment)
            }
            AlertOrder::EndSilence { id } => self.end_silence(&id),
            AlertOrder::Retry { ids } => {
                self.dead(&ids, "tried again", |id, by| Event::NotificationRetried { id, by })
            }
            AlertOrder::Discard { ids } if ids.is_empty() => {
                Err("say which dead letters are to be thrown away".to_owned())
            }
            AlertOrder::Discard { ids } => {
                self.dead(&ids, "thrown away", |id, by| Event::NotificationDiscarded { id, by })
            }
            AlertOrder::Test { receiver, severity } => self.test(&receiver, severity),
        }
    }

    fn acknowledge(self, digits: &str, comment: String) -> Outcome {
        let all = firing(self.state);
        let meant: Vec<_> =
            all.iter().filter(|it| it.fingerprint.as_str().starts_with(digits)).collect();
        let [alert] = meant.as_slice() else {
            return Err(match (digits, meant.len()) {
                ("", _) => {
                    "say which alert is meant: `watchkeeper alerts list` shows them".to_owned()
                }
                (_, 0) => format!(
                    "no alert fires whose fingerprint begins with {digits}: `watchkeeper alerts list` \
                     shows those that do"
                ),
                (_, many) => format!("{many} alerts fire whose fingerprints begin with {digits}"),
            });
        };
        let fingerprint = alert.fingerprint.clone();
        let cluster = self.state.alert(&fingerprint).and_then(|(cluster, _)| cluster.cloned());
        let text = format!("{} takes care of {}", self.by, alert.summary);
        let event = Event::AlertAcknowledged { fingerprint, by: self.by, comment };
        Ok(said(vec![(cluster, event)], text))
    }

    fn silence(
        self,
        texts: &[String],
        starts_at: Option<Timestamp>,
        ends_at: Timestamp,
        comment: String,
    ) -> Outcome {
        let matchers = texts
            .iter()
            .map(|text| text.parse::<Matcher>())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        if matchers.iter().all(Matcher::matches_nothing_given) {
            return Err("a silence needs a matcher that does not fit everything, such as \
                        cluster=\"prod\""
                .to_owned());
        }
        let starts_at = starts_at.unwrap_or(self.now).max(self.now);
        if ends_at <= starts_at {
            return Err("it would end before it begins".to_owned());
        }
        if ends_at.since(starts_at) > LONGEST_SILENCE {
            return Err(
                "a silence lasts a year at the most; routes leave alerts out for good".to_owned()
            );
        }
        if comment.trim().is_empty() {
            return Err(
                "say why in a comment: whoever looks for a missing alert will read it".to_owned()
            );
        }
        let monitor = MonitorName::new(self.monitor).map_err(|error| error.to_string())?;
        let id = SilenceId::new(&monitor, self.state.seq + 1);
        let silence =
            Silence { id: id.clone(), matchers, starts_at, ends_at, by: self.by, comment };
        let covers = firing(self.state)
            .iter()
            .filter(|it| matches_all(&silence.matchers, &it.labels))
            .count();
        let text =
            format!("silence {id} until {ends_at} covers {covers} of the alerts that fire now");
        Ok(said(vec![(None, Event::SilenceSet(silence))], text))
    }

    fn end_silence(self, id: &str) -> Outcome {
        let id = SilenceId::of(id);
        match self.state.silences.get(&id) {
            None => Err(format!(
                "there is no silence {id}: `watchkeeper alerts silences` shows those that there are"
            )),
            Some(silence) if silence.ends_at <= self.now => {
                Err(format!("silence {id} was over at {}", silence.ends_at))
            }
            Some(_) => {
                let text = format!("silence {id} is over");
                Ok(said(vec![(None, Event::SilenceEnded { id, by: self.by })], text))
            }
        }
    }

    fn dead(self, ids: &[u64], done: &str, event: impl Fn(u64, String) -> Event) -> Outcome {
        let dead: BTreeMap<u64, &Notification> = self
            .state
            .post
            .outbox
            .entries()
            .filter(|entry| entry.dead)
            .map(|entry| (entry.id, entry))
            .collect();
        if let Some(id) = ids.iter().find(|id| !dead.contains_key(id)) {
            return Err(format!(
                "{id} is no dead letter: `watchkeeper alerts outbox` shows those that there are"
            ));
        }
        let meant: Vec<u64> =
            if ids.is_empty() { dead.keys().copied().collect() } else { ids.to_vec() };
        let events = meant.iter().map(|id| (None, event(*id, self.by.clone()))).collect();
        let said = format!("{} {done}", meant.len());
        Ok((events, AlertReply { said, notifications: meant }))
    }

    fn test(self, receiver: &str, severity: Severity) -> Outcome {
        let Some(receiver) = self.known.iter().find(|known| known.as_str() == receiver) else {
            let known: Vec<&str> = self.known.iter().map(ReceiverName::as_str).collect();
            return Err(match known.as_slice() {
                [] => format!("there is no receiver {receiver:?}, and no other one that works"),
                known => {
                    format!("there is no receiver {receiver:?}; there is {}", known.join(", "))
                }
            });
        };
        let claim = AlertClaim {
            name: "test".to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary: format!("{} tries whether notifications arrive: nothing is wrong", self.by),
            labels: [("test".to_owned(), self.state.seq.to_string())].into(),
        };
        let fingerprint = Fingerprint::of(None, OPERATOR, &claim);
        let alert = Alert {
            fingerprint: fingerprint.clone(),
            source: OPERATOR.to_owned(),
            claim,
            details: "It is over at once.".to_owned(),
            starts_at: self.now,
            ends_at: None,
            acknowledged: None,
        };
        let first = self.state.post.outbox.next_id();
        let made = |id, cause, alert| {
            Event::NotificationMade(Box::new(Made {
                id,
                receiver: receiver.clone(),
                group: GroupKey::alone(&fingerprint),
                cause,
                alerts: vec![Subject { cluster: None, alert, news: true }],
                more: 0,
                escalates: None,
                settles: Vec::new(),
            }))
        };
        let over = Alert { ends_at: Some(self.now), ..alert.clone() };
        let events = [made(first, Cause::First, alert), made(first + 1, Cause::Over, over)];
        let said = format!("{receiver} is told that a test begins, and that it is over");
        let events = events.into_iter().map(|event| (None, event)).collect();
        Ok((events, AlertReply { said, notifications: vec![first, first + 1] }))
    }
}
