//! What is to be told now: a function of what fires, who was told, the routes and the time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::label::{Labels, labels, matches_all};
use super::outbox::{Cause, Outbox, Subject};
use super::route::{Grouping, Routing};
use super::silence::Silences;
use super::told::{Ended, GroupKey, Told};
use super::{Alert, Fingerprint};
use crate::model::{ClusterName, ReceiverName, Timestamp};
use crate::proposal::Severity;

/// Most alerts in one notification. A larger group is told in several, all of its news and not
/// necessarily what is known already.
const MOST: usize = 200;

/// How long after its end an alert that nobody was told of is still told.
const OLD: u64 = 86_400_000;

/// Everything that it follows from.
#[derive(Debug)]
pub struct Scene<'a> {
    /// Who is to be told what.
    pub routing: &'a Routing,
    /// What fires, everywhere.
    pub firing: Vec<(Option<&'a ClusterName>, &'a Alert)>,
    /// Who was told what.
    pub told: &'a Told,
    /// What is still to be delivered.
    pub outbox: &'a Outbox,
    /// What nobody wants to hear.
    pub silences: &'a Silences,
    /// The time.
    pub now: Timestamp,
}

/// Something to be told to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Who.
    pub receiver: ReceiverName,
    /// The group.
    pub group: GroupKey,
    /// Why.
    pub cause: Cause,
    /// What; what is news comes first.
    pub alerts: Vec<Subject>,
    /// How many further alerts fire in the group and are not in here.
    pub more: u32,
    /// The undelivered notification in whose place it is told.
    pub escalates: Option<u64>,
    /// The alerts that are over, of which nobody else is to be told.
    pub settles: Vec<Fingerprint>,
}

/// An alert that is over and of which nobody, or nobody else, is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untold {
    /// Which.
    pub fingerprint: Fingerprint,
    /// What it was about.
    pub cluster: Option<ClusterName>,
    /// Why.
    pub why: String,
}

/// What is to be told now, and when to look again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Due {
    /// What is told, in this order.
    pub tellings: Vec<Telling>,
    /// What is told to nobody.
    pub untold: Vec<Untold>,
    /// The next moment at which something may be due that nothing else announces.
    pub next: Option<Timestamp>,
}

impl Due {
    fn look_at(&mut self, at: Timestamp) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

/// What is to be told now.
pub fn due(scene: &Scene<'_>) -> Due {
    let mut due = Due::default();
    escalate(scene, &mut due);
    let mut groups = Groups::default();
    let firing = scene.firing.iter().map(|(cluster, alert)| One::new(*cluster, alert, None));
    let firing: Vec<One<'_>> = firing.collect();
    let muting = Muting::of(scene, &firing);
    for one in &firing {
        let muted = muting.why(scene, one);
        groups.take_in(scene, one, muted.is_some());
    }
    let mut ended = BTreeMap::new();
    for one in scene.told.ended() {
        let subject = &one.subject;
        let one = One::new(subject.cluster.as_ref(), &subject.alert, Some(one));
        let old = subject.alert.ends_at.is_some_and(|at| scene.now >= at.plus(OLD));
        let old = old.then(|| "it has been over for more than a day".to_owned());
        let muted = old.or_else(|| muting.why(scene, &one));
        groups.take_in(scene, &one, muted.is_some());
        ended.insert(&subject.alert.fingerprint, (subject, muted));
    }
    if let Some(next) = scene.silences.next_change(scene.now) {
        due.look_at(next);
    }
    for ((receiver, group), members) in groups.in_order() {
        for waiting in members.tell(scene, receiver, group, &mut due) {
            ended.remove(&waiting);
        }
    }
    due.settle(ended);
    due
}

impl Due {
    /// Says of alerts that are over, and of which nothing has to wait, with which telling that is all;
    /// or why nobody is told.
    fn settle(&mut self, ended: BTreeMap<&Fingerprint, (&Subject, Option<String>)>) {
        let mut last = BTreeMap::new();
        for (index, telling) in self.tellings.iter().enumerate() {
            for subject in telling.alerts.iter().filter(|it| it.alert.ends_at.is_some()) {
                if telling.escalates.is_none() && ended.contains_key(&subject.alert.fingerprint) {
                    last.insert(subject.alert.fingerprint.clone(), index);
                }
            }
        }
        for (fingerprint, (subject, muted)) in ended {
            if let Some(telling) = last.get(fingerprint).and_then(|at| self.tellings.get_mut(*at)) {
                telling.settles.push(fingerprint.clone());
                continue;
            }
            self.untold.push(Untold {
                fingerprint: fingerprint.clone(),
                cluster: subject.cluster.clone(),
                why: muted
                    .unwrap_or_else(|| "no route leads to a receiver that wants it".to_owned()),
            });
        }
    }
}

/// Tells others what has not been delivered for too long.
fn escalate(scene: &Scene<'_>, due: &mut Due) {
    for entry in scene.outbox.entries().filter(|entry| !entry.escalated) {
        let Some(escalation) = scene.routing.escalations.get(&entry.receiver) else { continue };
        if !entry.dead && !is_over(entry.queued, escalation.after, scene.now) {
            due.look_at(entry.queued.plus(escalation.after));
            continue;
        }
        due.tellings.push(Telling {
            receiver: escalation.to.clone(),
            group: entry.group.clone(),
            cause: Cause::Escalated,
            alerts: entry.alerts.clone(),
            more: entry.more,
            escalates: Some(entry.id),
            settles: Vec::new(),
        });
    }
}

/// Whether `ms` have passed since. A moment in the future is none: the clock has been set back.
fn is_over(since: Timestamp, ms: u64, now: Timestamp) -> bool {
    now < since || now >= since.plus(ms)
}

/// An alert with what is often asked of it.
struct One<'a> {
    cluster: Option<&'a ClusterName>,
    alert: &'a Alert,
    labels: Labels,
    ended: Option<&'a Ended>,
}

impl<'a> One<'a> {
    fn new(cluster: Option<&'a ClusterName>, alert: &'a Alert, ended: Option<&'a Ended>) -> Self {
        Self { cluster, alert, labels: labels(cluster, alert), ended }
    }

    fn subject(&self, news: bool) -> Subject {
        Subject { cluster: self.cluster.cloned(), alert: self.alert.clone(), news }
    }
}

/// Which alerts inhibit others: for each inhibition the values of its equal labels that sources have,
/// and which alerts these are.
struct Muting<'a>(Vec<BTreeMap<Vec<String>, BTreeSet<&'a Fingerprint>>>);

impl<'a> Muting<'a> {
    fn of(scene: &Scene<'_>, firing: &[One<'a>]) -> Self {
        let sources = |inhibition: &super::Inhibition| {
            let mut sources: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
            for one in firing.iter().filter(|one| matches_all(&inhibition.source, &one.labels)) {
                let values = values(&inhibition.equal, &one.labels);
                sources.entry(values).or_default().insert(&one.alert.fingerprint);
            }
            sources
        };
        Self(scene.routing.inhibitions.iter().map(sources).collect())
    }

    /// Why an alert is not told now.
    fn why(&self, scene: &Scene<'_>, one: &One<'_>) -> Option<String> {
        // What counts for an alert that is over is how it was at its end.
        let at = one.alert.ends_at.unwrap_or(scene.now);
        if let Some(silence) = scene.silences.covers(&one.labels, at) {
            let (id, by, comment) = (&silence.id, &silence.by, &silence.comment);
            return Some(format!("silence {id} of {by} covers it: {comment}"));
        }
        for (inhibition, sources) in scene.routing.inhibitions.iter().zip(&self.0) {
            if !matches_all(&inhibition.target, &one.labels) {
                continue;
            }
            let others = sources.get(&values(&inhibition.equal, &one.labels));
            let other = others.into_iter().flatten().find(|it| ***it != one.alert.fingerprint);
            // An alert that is of both kinds is not inhibited by its like.
            if let Some(other) = other
                && !matches_all(&inhibition.source, &one.labels)
            {
                return Some(format!("the alert {other} inhibits it"));
            }
        }
        None
    }
}

fn values(names: &[String], labels: &Labels) -> Vec<String> {
    names.iter().map(|name| labels.get(name).cloned().unwrap_or_default()).collect()
}

/// The worst first, and of those the oldest.
fn urgency(subject: &Subject) -> (Reverse<Severity>, Timestamp) {
    (Reverse(subject.alert.claim.severity), subject.alert.starts_at)
}

/// What one receiver is to know of one group.
#[derive(Default)]
struct Members {
    grouping: Option<Grouping>,
    news: Vec<Subject>,
    known: Vec<Subject>,
}

#[derive(Default)]
struct Groups(BTreeMap<(ReceiverName, GroupKey), Members>);

impl Groups {
    /// The worst first, and of those the oldest: a receiver may be slow.
    fn in_order(self) -> Vec<((ReceiverName, GroupKey), Members)> {
        let mut groups: Vec<_> = self.0.into_iter().collect();
        groups.sort_by_cached_key(|(_, members)| {
            members.news.iter().chain(&members.known).map(urgency).min()
        });
        groups
    }

    fn members(&mut self, receiver: &ReceiverName, group: &GroupKey) -> &mut Members {
        self.0.entry((receiver.clone(), group.clone())).or_default()
    }

    fn take_in(&mut self, scene: &Scene<'_>, one: &One<'_>, muted: bool) {
        let fingerprint = &one.alert.fingerprint;
        let told: BTreeMap<_, _> = scene.told.of(fingerprint).collect();
        for (receiver, group) in &told {
            let known = scene.told.severity(receiver, group, fingerprint);
            let worse = known.is_none_or(|known| one.alert.claim.severity > known);
            let members = self.members(receiver, group);
            // That it is over is told to everybody who knows of it, silence or not.
            if one.ended.is_some() || (worse && !muted) {
                members.news.push(one.subject(true));
            } else if !muted {
                members.known.push(one.subject(false));
            }
        }
        for chosen in scene.routing.choose(one.cluster, one.alert, &one.labels) {
            let group = told.get(chosen.receiver).copied().unwrap_or(&chosen.group);
            let members = self.members(chosen.receiver, group);
            members.grouping.get_or_insert_with(|| chosen.grouping.clone());
            let knows = told.contains_key(chosen.receiver)
                || one.ended.is_some_and(|ended| ended.told.contains(chosen.receiver));
            if !knows && !muted {
                members.news.push(one.subject(true));
            }
        }
    }
}

impl Members {
    /// Tells what is due; gives the alerts that are over and have to wait.
    fn tell(
        mut self,
        scene: &Scene<'_>,
        receiver: ReceiverName,
        group: GroupKey,
        due: &mut Due,
    ) -> Vec<Fingerprint> {
        let grouping = self.grouping.take().unwrap_or(Grouping::ALONE);
        let active = scene.told.active_since(&receiver, &group);
        if self.news.is_empty() {
            self.repeat(scene, (receiver, group), &grouping, due);
            return Vec::new();
        }
        let (since, wait) = match active {
            Some(at) => (at, grouping.interval),
            None => {
                let starts = self.news.iter().map(|it| it.alert.starts_at).min();
                (starts.unwrap_or(scene.now), grouping.wait)
            }
        };
        if !is_over(since, wait, scene.now) {
            due.look_at(since.plus(wait));
            let over = self.news.into_iter().filter(|it| it.alert.ends_at.is_some());
            return over.map(|it| it.alert.fingerprint).collect();
        }
        self.news.sort_by_key(urgency);
        self.known.sort_by_key(urgency);
        let mut firing = scene.told.count(&receiver, &group);
        let mut first = active.is_none();
        let mut news = self.news.into_iter().peekable();
        while news.peek().is_some() {
            let mut alerts: Vec<_> = news.by_ref().take(MOST).collect();
            for subject in &alerts {
                let knew = scene.told.severity(&receiver, &group, &subject.alert.fingerprint);
                match (knew.is_some(), subject.alert.ends_at.is_some()) {
                    (true, true) => firing = firing.saturating_sub(1),
                    (false, false) => firing += 1,
                    _ => {}
                }
            }
            let mut more = news.len();
            if more == 0 {
                let room = MOST.saturating_sub(alerts.len());
                more = self.known.len().saturating_sub(room);
                alerts.extend(self.known.drain(..).take(room));
            }
            let cause = match (first, firing) {
                (_, 0) if more == 0 => Cause::Over,
                (true, _) => Cause::First,
                (false, _) => Cause::News,
            };
            first = false;
            due.tellings.push(Telling {
                receiver: receiver.clone(),
                group: group.clone(),
                cause,
                alerts,
                more: u32::try_from(more).unwrap_or(u32::MAX),
                escalates: None,
                settles: Vec::new(),
            });
        }
        Vec::new()
    }

    /// Tells it again if there was no news for long, unless somebody has acknowledged all of it or
    /// has not even been told yet.
    fn repeat(
        mut self,
        scene: &Scene<'_>,
        (receiver, group): (ReceiverName, GroupKey),
        grouping: &Grouping,
        due: &mut Due,
    ) {
        let Some(repeat) = grouping.repeat else { return };
        let Some(at) = scene.told.active_since(&receiver, &group) else { return };
        self.known.retain(|it| it.alert.acknowledged.is_none());
        if self.known.is_empty() {
            return;
        }
        if !is_over(at, repeat, scene.now) {
            due.look_at(at.plus(repeat));
            return;
        }
        if scene.told.is_waiting(&receiver, &group) {
            return;
        }
        let more = self.known.len().saturating_sub(MOST);
        self.known.sort_by_key(urgency);
        self.known.truncate(MOST);
        due.tellings.push(Telling {
            receiver,
            group,
            cause: Cause::Repeat,
            alerts: self.known,
            more: u32::try_from(more).unwrap_or(u32::MAX),
            escalates: None,
            settles: Vec::new(),
        });
    }
}
