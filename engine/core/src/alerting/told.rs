//! Who was told of what: the memory from which follows what is still to be told.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::alert::Fnv;
use super::label::Labels;
use super::outbox::{Notification, Subject};
use super::{Alert, Fingerprint};
use crate::model::{ReceiverName, Timestamp};
use crate::proposal::Severity;

/// Identifies a group of alerts that are told together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    /// The route that made it, as the matchers on the way to it.
    pub route: String,
    /// The labels that its alerts have in common; for an alert by itself its fingerprint.
    pub labels: Labels,
}

impl GroupKey {
    /// The group of an alert that is told by itself.
    pub fn alone(fingerprint: &Fingerprint) -> Self {
        let labels = [("fingerprint".to_owned(), fingerprint.to_string())].into();
        Self { route: "/{}".to_owned(), labels }
    }

    /// 16 hexadecimal digits that stand for it, for systems that want a short key. Each receiver's
    /// group has its own.
    pub fn digest(&self, receiver: &ReceiverName) -> String {
        let mut hash = Fnv::new();
        hash.field(receiver.as_str());
        hash.field(&self.route);
        for (name, value) in &self.labels {
            hash.field(name);
            hash.field(value);
        }
        format!("{:016x}", hash.finish())
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels: Vec<_> =
            self.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        write!(f, "{}:{{{}}}", self.route, labels.join(", "))
    }
}

/// What one receiver was told of one group: the form in which a successor gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldGroup {
    /// Who.
    pub receiver: ReceiverName,
    /// The group.
    pub group: GroupKey,
    /// When it was told last.
    pub at: Timestamp,
    /// The alerts that it was told fire, and not yet that they are over, with the worst severity told.
    pub alerts: BTreeMap<Fingerprint, Severity>,
    /// What the plugin wants to be given back with the next notification.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub memory: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Group {
    at: Timestamp,
    alerts: BTreeMap<Fingerprint, Severity>,
    memory: Vec<u8>,
    /// Its notifications that are not delivered yet, without dead ones.
    waiting: u32,
}

/// An alert that is over, until everybody who is to be told of that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) subject: Subject,
    /// Who was told that it is over.
    pub(super) told: BTreeSet<ReceiverName>,
}

/// Who was told of what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    groups: BTreeMap<(ReceiverName, GroupKey), Group>,
    /// In which group each receiver was told that an alert fires.
    by_alert: BTreeMap<Fingerprint, BTreeMap<ReceiverName, GroupKey>>,
    ended: BTreeMap<Fingerprint, Ended>,
}

impl Told {
    /// The receivers that know that this alert fires, each with the group in which it was told.
    pub fn of(
        &self,
        fingerprint: &Fingerprint,
    ) -> impl Iterator<Item = (&ReceiverName, &GroupKey)> {
        self.by_alert.get(fingerprint).into_iter().flatten()
    }

    /// The worst severity of this alert that the receiver was told.
    pub(super) fn severity(
        &self,
        receiver: &ReceiverName,
        group: &GroupKey,
        fingerprint: &Fingerprint,
    ) -> Option<Severity> {
        self.group(receiver, group)?.alerts.get(fingerprint).copied()
    }

    /// When the group was told last, if any alert is known to fire in it.
    pub(super) fn active_since(
        &self,
        receiver: &ReceiverName,
        group: &GroupKey,
    ) -> Option<Timestamp> {
        self.group(receiver, group).filter(|known| !known.alerts.is_empty()).map(|known| known.at)
    }

    /// How many alerts the receiver knows to fire in the group.
    pub(super) fn count(&self, receiver: &ReceiverName, group: &GroupKey) -> usize {
        self.group(receiver, group).map_or(0, |known| known.alerts.len())
    }

    /// Whether something of the group is still under way.
    pub(super) fn is_waiting(&self, receiver: &ReceiverName, group: &GroupKey) -> bool {
        self.group(receiver, group).is_some_and(|known| known.waiting > 0)
    }

    /// What the plugin wanted to be given back with the next notification of the group.
    pub fn memory(&self, receiver: &ReceiverName, group: &GroupKey) -> &[u8] {
        self.group(receiver, group).map_or(&[], |known| &known.memory)
    }

    fn group(&self, receiver: &ReceiverName, group: &GroupKey) -> Option<&Group> {
        self.groups.get(&(receiver.clone(), group.clone()))
    }

    pub(super) fn ended(&self) -> impl Iterator<Item = &Ended> {
        self.ended.values()
    }

    /// Whether this alert is over and somebody may still have to be told of it, or knows that it fires.
    pub fn has_ended(&self, subject: &Subject) -> bool {
        let known = self.ended.get(&subject.alert.fingerprint);
        known.is_some_and(|known| known.subject.alert.ends_at == subject.alert.ends_at)
    }

    /// Takes in that an alert is over.
    pub fn end(&mut self, subject: Subject) {
        let fingerprint = subject.alert.fingerprint.clone();
        self.ended.insert(fingerprint, Ended { subject, told: BTreeSet::new() });
    }

    /// Takes in that nobody else is to be told that this alert is over.
    pub fn settle(&mut self, fingerprint: &Fingerprint) {
        self.ended.remove(fingerprint);
    }

    /// Takes in that an alert fires: what was still to be told of an earlier end of it is told with
    /// its next one.
    pub fn fires(&mut self, fingerprint: &Fingerprint) {
        self.ended.remove(fingerprint);
    }

    /// Takes in that a notification was queued.
    pub fn queued(&mut self, notification: &Notification, at: Timestamp) {
        let (receiver, group) = (&notification.receiver, &notification.group);
        // First, so that the group is not forgotten with its last alert.
        let known = self.groups.entry((receiver.clone(), group.clone())).or_default();
        known.at = at;
        known.waiting = known.waiting.saturating_add(1);
        for Subject { alert, .. } in &notification.alerts {
            if alert.ends_at.is_some() {
                self.knows_end(receiver, alert);
            } else {
                self.knows(receiver, group, alert);
            }
        }
    }

    fn knows(&mut self, receiver: &ReceiverName, group: &GroupKey, alert: &Alert) {
        let by_receiver = self.by_alert.entry(alert.fingerprint.clone()).or_default();
        // An alert stays in the group in which it was told first.
        let group = by_receiver.entry(receiver.clone()).or_insert_with(|| group.clone()).clone();
        let known = self.groups.entry((receiver.clone(), group)).or_default();
        let severity =
            known.alerts.entry(alert.fingerprint.clone()).or_insert(alert.claim.severity);
        *severity = alert.claim.severity.max(*severity);
    }

    fn knows_end(&mut self, receiver: &ReceiverName, alert: &Alert) {
        if let Some(ended) = self.ended.get_mut(&alert.fingerprint) {
            ended.told.insert(receiver.clone());
        }
        self.forget(receiver, &alert.fingerprint);
    }

    fn forget(&mut self, receiver: &ReceiverName, fingerprint: &Fingerprint) {
        let Some(by_receiver) = self.by_alert.get_mut(fingerprint) else { return };
        let Some(group) = by_receiver.remove(receiver) else { return };
        if by_receiver.is_empty() {
            self.by_alert.remove(fingerprint);
        }
        let key = (receiver.clone(), group);
        if let Some(known) = self.groups.get_mut(&key) {
            known.alerts.remove(fingerprint);
        }
        self.tidy(&key);
    }

    /// Takes in that a notification was delivered, with what the plugin wants to be given back; or
    /// that it is dead.
    pub fn done(&mut self, receiver: &ReceiverName, group: &GroupKey, memory: Option<&[u8]>) {
        let key = (receiver.clone(), group.clone());
        if let Some(known) = self.groups.get_mut(&key) {
            known.waiting = known.waiting.saturating_sub(1);
            if let Some(memory) = memory {
                known.memory = memory.to_vec();
            }
        }
        self.tidy(&key);
    }

    /// Takes in that a dead notification is tried again.
    pub fn again(&mut self, receiver: &ReceiverName, group: &GroupKey) {
        let key = (receiver.clone(), group.clone());
        let known = self.groups.entry(key).or_default();
        known.waiting = known.waiting.saturating_add(1);
    }

    fn tidy(&mut self, key: &(ReceiverName, GroupKey)) {
        let idle = |known: &Group| known.alerts.is_empty() && known.waiting == 0;
        if self.groups.get(key).is_some_and(idle) {
            self.groups.remove(key);
        }
    }

    /// Takes in who was told of alerts that another monitor raised, and is to be told of their end.
    pub fn adopt(&mut self, told: &ToldGroup) {
        for (fingerprint, severity) in &told.alerts {
            let by_receiver = self.by_alert.entry(fingerprint.clone()).or_default();
            let group =
                by_receiver.entry(told.receiver.clone()).or_insert_with(|| told.group.clone());
            let key = (told.receiver.clone(), group.clone());
            let known = self.groups.entry(key).or_default();
            known.at = known.at.max(told.at);
            known.memory.clone_from(&told.memory);
            known.alerts.insert(fingerprint.clone(), *severity);
        }
    }

    /// Another monitor says when this alert is over.
    pub fn disown(&mut self, fingerprint: &Fingerprint) {
        self.ended.remove(fingerprint);
        let receivers: Vec<_> =
            self.of(fingerprint).map(|(receiver, _)| receiver.clone()).collect();
        for receiver in receivers {
            self.forget(&receiver, fingerprint);
        }
    }

    /// What was told of these alerts, for a successor.
    pub fn about(&self, alerts: &BTreeSet<&Fingerprint>) -> Vec<ToldGroup> {
        let part = |(key, known): (&(ReceiverName, GroupKey), &Group)| {
            let (receiver, group) = key.clone();
            let alerts: BTreeMap<_, _> = known
                .alerts
                .iter()
                .filter(|(fingerprint, _)| alerts.contains(fingerprint))
                .map(|(fingerprint, severity)| (fingerprint.clone(), *severity))
                .collect();
            let memory = known.memory.clone();
            (!alerts.is_empty()).then_some(ToldGroup {
                receiver,
                group,
                at: known.at,
                alerts,
                memory,
            })
        };
        self.groups.iter().filter_map(part).collect()
    }
}
