//! Who is told of which alerts, and in which groups.

use std::collections::{BTreeMap, BTreeSet};

use super::label::{Labels, Matcher, matches_all};
use super::told::GroupKey;
use super::{Alert, Fingerprint};
use crate::model::{ClusterName, ReceiverName};
use crate::proposal::Severity;

/// How the alerts of a route are put together. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grouping {
    /// Alerts with the same values of these labels are told together; none: each by itself.
    pub by: Option<Vec<String>>,
    /// How long a new group waits for further alerts before it is told.
    pub wait: u64,
    /// The least time between two notifications of a group.
    pub interval: u64,
    /// After how long without news a group is told again; none: never.
    pub repeat: Option<u64>,
}

impl Grouping {
    /// Each alert by itself, at once, and once.
    pub const ALONE: Self = Self { by: None, wait: 0, interval: 0, repeat: None };

    /// The labels that make the group of an alert.
    fn labels(&self, labels: &Labels, fingerprint: &Fingerprint) -> Labels {
        match &self.by {
            None => GroupKey::alone(fingerprint).labels,
            Some(names) => names
                .iter()
                .map(|name| (name.clone(), labels.get(name).cloned().unwrap_or_default()))
                .collect(),
        }
    }
}

/// A node of the tree of routes: it and everything below is for alerts that all its matchers match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The conditions; none: every alert.
    pub matchers: Vec<Matcher>,
    /// Who is told; none: nobody, unless a route below says so.
    pub receiver: Option<ReceiverName>,
    /// How alerts are put together.
    pub grouping: Grouping,
    /// Whether the routes after this one are looked at too.
    pub goes_on: bool,
    /// Routes for some of its alerts, looked at in their order.
    pub routes: Vec<Route>,
}

/// Alerts that match `target` are not told while another one fires that matches `source` and has the
/// same values of the labels `equal`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibition {
    /// What has to fire.
    pub source: Vec<Matcher>,
    /// What is not told then.
    pub target: Vec<Matcher>,
    /// Labels in which both are equal.
    pub equal: Vec<String>,
}

/// What a receiver hears of at the most, whatever the routes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// Nothing less severe.
    pub min_severity: Severity,
    /// Only these clusters, and the monitor itself; empty: all.
    pub clusters: BTreeSet<ClusterName>,
}

impl Filter {
    fn admits(&self, cluster: Option<&ClusterName>, alert: &Alert) -> bool {
        let here = cluster.is_none_or(|it| self.clusters.is_empty() || self.clusters.contains(it));
        here && alert.claim.severity >= self.min_severity
    }
}

/// Who is told instead when a receiver cannot be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Escalation {
    /// Who.
    pub to: ReceiverName,
    /// After how many milliseconds without delivery.
    pub after: u64,
}

/// Everything that the configuration says about who is told what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routing {
    /// The root of the routes. It takes every alert.
    pub root: Route,
    /// What is not told beside something else.
    pub inhibitions: Vec<Inhibition>,
    /// What each receiver hears of at the most. A receiver that is not in here is none.
    pub filters: BTreeMap<ReceiverName, Filter>,
    /// Who is told instead.
    pub escalations: BTreeMap<ReceiverName, Escalation>,
}

impl Default for Routing {
    /// Nobody is told anything.
    fn default() -> Self {
        Self::to_all(BTreeMap::new())
    }
}

/// A receiver that is to be told of an alert.
#[derive(Debug, Clone)]
pub struct Chosen<'a> {
    /// Who.
    pub receiver: &'a ReceiverName,
    /// The group in which the alert is told.
    pub group: GroupKey,
    /// How that group is told.
    pub grouping: &'a Grouping,
}

impl Routing {
    /// What is so without any routes: each receiver is told of every alert that its filter admits,
    /// each alert by itself, at once.
    pub fn to_all(filters: BTreeMap<ReceiverName, Filter>) -> Self {
        let one = |receiver: Option<&ReceiverName>, routes| Route {
            matchers: Vec::new(),
            receiver: receiver.cloned(),
            grouping: Grouping::ALONE,
            goes_on: true,
            routes,
        };
        let routes = filters.keys().map(|name| one(Some(name), Vec::new())).collect();
        let root = one(None, routes);
        Self { root, inhibitions: Vec::new(), filters, escalations: BTreeMap::new() }
    }

    /// Who is to be told of an alert, and in which group, in the order of the routes. A receiver to
    /// which several routes lead is told by the first of them.
    pub fn choose<'a>(
        &'a self,
        cluster: Option<&ClusterName>,
        alert: &Alert,
        labels: &Labels,
    ) -> Vec<Chosen<'a>> {
        let mut chosen: Vec<Chosen<'a>> = Vec::new();
        walk(&self.root, "", labels, &mut |route, path| {
            let Some(receiver) = &route.receiver else { return };
            let admitted =
                self.filters.get(receiver).is_some_and(|filter| filter.admits(cluster, alert));
            if admitted && chosen.iter().all(|one| one.receiver != receiver) {
                let labels = route.grouping.labels(labels, &alert.fingerprint);
                let group = GroupKey { route: path.to_owned(), labels };
                chosen.push(Chosen { receiver, group, grouping: &route.grouping });
            }
        });
        chosen
    }
}

/// Calls `found` with each route that takes an alert; false if none below and not this one either.
fn walk<'a>(
    route: &'a Route,
    above: &str,
    labels: &Labels,
    found: &mut dyn FnMut(&'a Route, &str),
) -> bool {
    if !matches_all(&route.matchers, labels) {
        return false;
    }
    let matchers: Vec<String> = route.matchers.iter().map(ToString::to_string).collect();
    let path = format!("{above}/{{{}}}", matchers.join(","));
    let mut taken = false;
    for below in &route.routes {
        let fits = walk(below, &path, labels, found);
        taken |= fits;
        if fits && !below.goes_on {
            break;
        }
    }
    if !taken {
        found(route, &path);
    }
    true
}
