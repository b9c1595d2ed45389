//! What other policies would have decided, beside what was decided.
//!
//! Two decisions differ if something else is done or wanted. That an action is held by somebody else
//! is no difference: nothing is done either way, and when the hold is over, there is one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::history::{Moment, Source};
use crate::alerting::Claimed;
use crate::arbitration::{Chosen, Decision, ENGINE, Hold};
use crate::duty::DUTY;
use crate::model::{PolicyName, ServerName, Service, Timestamp};
use crate::proposal::{Action, Severity};

/// How exact a reconstructed time is, in milliseconds: a tick, and as much again for what probes
/// took and for runs out of turn. What differs for no longer, from a reconstructed moment on, is no
/// difference.
pub const RESOLUTION_MS: u64 = 2_000;

/// What a policy wants done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Which one.
    pub policy: PolicyName,
    /// What.
    #[serde(flatten)]
    pub action: Action,
    /// Why, in its words.
    pub reason: String,
}

impl Wish {
    fn of(chosen: &Chosen) -> Self {
        Self {
            policy: chosen.policy.clone(),
            action: chosen.proposal.action.clone(),
            reason: chosen.proposal.reason.clone(),
        }
    }
}

/// What a decision does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "does")]
pub enum Does {
    /// Nothing is asked for.
    Nothing,
    /// It is carried out.
    Acts(Wish),
    /// It is wanted, and held.
    Holds {
        /// What.
        #[serde(flatten)]
        wish: Wish,
        /// By whom, and why.
        by: Vec<Hold>,
    },
}

impl Does {
    /// What `decision` does.
    pub fn of(decision: &Decision) -> Self {
        match &decision.chosen {
            None => Self::Nothing,
            Some(chosen) if decision.holds.is_empty() => Self::Acts(Wish::of(chosen)),
            Some(chosen) => Self::Holds { wish: Wish::of(chosen), by: decision.holds.clone() },
        }
    }

    const fn wish(&self) -> Option<&Wish> {
        match self {
            Self::Nothing => None,
            Self::Acts(wish) | Self::Holds { wish, .. } => Some(wish),
        }
    }

    fn action(&self) -> Option<&Action> {
        self.wish().map(|wish| &wish.action)
    }
}

/// How the other policies would have decided differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// They would have acted where nothing was done.
    WouldAct,
    /// They would have done something else.
    WouldActElse,
    /// They would have asked for nothing where something was done.
    WouldNotAct,
    /// They would have held, or had held, what was done.
    WouldHold,
    /// They would have wanted something, held, where nothing was wanted.
    WouldWant,
    /// They would have wanted nothing where something was wanted and held.
    WouldNotWant,
    /// They would have wanted something else; both held.
    WouldWantElse,
}

impl Kind {
    /// How the first differs from the second.
    fn of(other: &Does, recorded: &Does) -> Option<Self> {
        let same = other.action() == recorded.action();
        match (other, recorded) {
            (Does::Nothing, Does::Nothing) => None,
            (Does::Acts(_), Does::Acts(_)) => (!same).then_some(Self::WouldActElse),
            (Does::Acts(_), _) => Some(Self::WouldAct),
            (Does::Nothing, Does::Acts(_)) => Some(Self::WouldNotAct),
            (Does::Holds { .. }, Does::Acts(_)) => Some(Self::WouldHold),
            (Does::Holds { .. }, Does::Nothing) => Some(Self::WouldWant),
            (Does::Nothing, Does::Holds { .. }) => Some(Self::WouldNotWant),
            (Does::Holds { .. }, Does::Holds { .. }) => (!same).then_some(Self::WouldWantElse),
        }
    }

    /// Whether the world would have gone another way from there.
    pub const fn changes_the_world(self) -> bool {
        matches!(self, Self::WouldAct | Self::WouldActElse | Self::WouldNotAct | Self::WouldHold)
    }
}

/// What was done in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Then {
    /// When.
    pub at: Timestamp,
    /// The evaluation's record.
    pub record: u64,
    /// What.
    #[serde(flatten)]
    pub wish: Wish,
}

/// A stretch of time in which the other policies would have decided in one and the same other way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Difference {
    /// From when.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Where its first moment comes from.
    pub source: Source,
    /// How they differ.
    pub kind: Kind,
    /// What the other policies would have done.
    pub other: Does,
    /// What was done.
    pub recorded: Does,
    /// The record that says so.
    pub record: u64,
    /// Which episode it is part of, counted from 1: from the first difference until nothing is
    /// asked for on either side.
    pub episode: u32,
    /// Whether an action that differs precedes it in its episode: in the world that would have
    /// come of that, it might not be there.
    pub after_another: bool,
    /// What was done first in that episode after it began.
    pub then: Option<Then>,
}

/// Whether something would have been told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Would {
    /// It would have been, and was not.
    Tell,
    /// It was, and would not have been.
    NotTell,
}

/// A stretch of time in which an alert would have been there, or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AlertDifference {
    /// From when.
    pub at: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Where its first moment comes from.
    pub source: Source,
    /// Whether it would have been there.
    pub would: Would,
    /// Who claims it.
    pub by: String,
    /// Its name.
    pub name: String,
    /// The server it is about.
    pub server: Option<ServerName>,
    /// The service it is about.
    pub service: Option<Service>,
    /// How bad it is.
    pub severity: Severity,
    /// Its text at the beginning.
    pub summary: String,
    /// As of a [`Difference`].
    pub after_another: bool,
}

/// The whole comparison.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// How the decisions differ, by time.
    pub differences: Vec<Difference>,
    /// How the alerts differ, by time.
    pub alerts: Vec<AlertDifference>,
    /// How many recorded moments were compared.
    pub recorded: u64,
    /// How many reconstructed moments were compared.
    pub reconstructed: u64,
    /// How many differences were too short to be told from what is not exact.
    pub too_short: u64,
}

type AlertKey = (String, String, Option<ServerName>, Option<Service>);

/// An alert that one side claims, and whether anybody who was asked said so.
type Claims = BTreeMap<AlertKey, (Severity, String)>;

/// The comparison in the making.
#[derive(Debug, Default)]
pub struct Comparison {
    done: Compared,
    open: Option<Difference>,
    /// The last moment's time.
    now: Timestamp,
    /// Until when what was so at the moment before is known to have been so: not over a gap.
    known: Timestamp,
    /// How many episodes there were.
    episodes: u32,
    episode: Option<Episode>,
    /// Of both sides at the last moment: what a silent source said before stands.
    claims: (Claims, Claims),
    open_alerts: BTreeMap<(Would, AlertKey), AlertDifference>,
}

/// An episode that has not ended.
#[derive(Debug, Clone, Copy)]
struct Episode {
    number: u32,
    /// Where its differences begin.
    first: usize,
    /// Whether there was an action that differs.
    parted: bool,
}

impl Comparison {
    /// Takes in what other policies would have decided at `moment`. Moments come in their order.
    pub fn take(&mut self, moment: &Moment, other: &Decision) {
        let before = std::mem::replace(&mut self.now, moment.at);
        // Somebody is asked each second while anything is known.
        self.known = if moment.at.since(before) > RESOLUTION_MS { before } else { moment.at };
        let recorded = &moment.recorded.evaluated.decision;
        match moment.source {
            Source::Recorded(_) => self.done.recorded += 1,
            Source::Reconstructed => self.done.reconstructed += 1,
        }
        // While a plan is in flight, nothing else is begun whatever is asked for.
        if moment.snapshot.facts().cluster.phase.in_flight() {
            self.close(false, false);
        } else {
            self.compare(moment, Does::of(other), Does::of(recorded));
        }
        self.compare_alerts(moment, other, recorded);
    }

    fn compare(&mut self, moment: &Moment, other: Does, recorded: Does) {
        let mut acted = false;
        if let (Source::Recorded(record), Does::Acts(wish)) = (moment.source, &recorded) {
            self.acted(&Then { at: moment.at, record, wish: wish.clone() });
            acted = true;
        }
        let kind = Kind::of(&other, &recorded);
        let goes_on = self.open.as_ref().is_some_and(|open| {
            Some(open.kind) == kind
                && open.other.action() == other.action()
                && open.recorded.action() == recorded.action()
        });
        if goes_on {
            return;
        }
        self.close(acted, kind.is_none());
        let calm = other == Does::Nothing && recorded == Does::Nothing;
        if calm {
            self.episode = None;
        }
        let Some(kind) = kind else { return };
        let episodes = &mut self.episodes;
        let first = self.done.differences.len();
        let episode = self.episode.get_or_insert_with(|| {
            *episodes += 1;
            Episode { number: *episodes, first, parted: false }
        });
        self.open = Some(Difference {
            at: moment.at,
            until: moment.at,
            source: moment.source,
            kind,
            other,
            recorded,
            record: moment.recorded.seq,
            episode: episode.number,
            after_another: episode.parted,
            then: None,
        });
    }

    /// The recorded world acted.
    fn acted(&mut self, then: &Then) {
        let Some(episode) = self.episode else { return };
        let known = self.done.differences.get_mut(episode.first..).unwrap_or_default();
        for difference in known.iter_mut().chain(&mut self.open) {
            difference.then.get_or_insert_with(|| then.clone());
        }
    }

    /// Ends the open difference. A short one from a reconstructed moment on comes to nothing if the
    /// recorded world has `acted` now, since at that moment both are compared exactly; or if it would
    /// have changed nothing, and both want the same now.
    fn close(&mut self, acted: bool, same: bool) {
        let Some(mut difference) = self.open.take() else { return };
        difference.until = self.known;
        if difference.source == Source::Reconstructed
            && self.known.since(difference.at) <= RESOLUTION_MS
            && (acted || (same && !difference.kind.changes_the_world()))
        {
            self.done.too_short += 1;
            return;
        }
        if let Some(episode) = &mut self.episode {
            episode.parted |= difference.kind.changes_the_world();
        }
        self.done.differences.push(difference);
    }

    fn compare_alerts(&mut self, moment: &Moment, other: &Decision, recorded: &Decision) {
        let other = claims(other, &self.claims.0);
        let recorded = claims(recorded, &self.claims.1);
        let parted = self.open.as_ref().is_some_and(|open| open.kind.changes_the_world())
            || self.episode.is_some_and(|it| it.parted);
        let only = |would, ones: &Claims, others: &Claims| {
            let lacking = |key: &&AlertKey| !others.contains_key(*key);
            ones.keys().filter(lacking).map(|key| (would, key.clone())).collect::<BTreeSet<_>>()
        };
        let mut differ = only(Would::Tell, &other, &recorded);
        differ.append(&mut only(Would::NotTell, &recorded, &other));
        let over = |key: &(Would, AlertKey)| !differ.contains(key);
        let over: Vec<_> = self.open_alerts.keys().filter(|key| over(key)).cloned().collect();
        for key in over {
            self.close_alert(&key);
        }
        for (would, key) in differ {
            if self.open_alerts.contains_key(&(would, key.clone())) {
                continue;
            }
            let side = if would == Would::Tell { &other } else { &recorded };
            let Some((severity, summary)) = side.get(&key) else { continue };
            let (by, name, server, service) = key.clone();
            let difference = AlertDifference {
                at: moment.at,
                until: moment.at,
                source: moment.source,
                would,
                by,
                name,
                server,
                service,
                severity: *severity,
                summary: summary.clone(),
                after_another: parted,
            };
            self.open_alerts.insert((would, key), difference);
        }
        self.claims = (other, recorded);
    }

    fn close_alert(&mut self, key: &(Would, AlertKey)) {
        let Some(mut difference) = self.open_alerts.remove(key) else { return };
        difference.until = self.known;
        if difference.source == Source::Reconstructed
            && self.known.since(difference.at) <= RESOLUTION_MS
        {
            self.done.too_short += 1;
        } else {
            self.done.alerts.push(difference);
        }
    }

    /// What has been compared, once there are no more moments.
    pub fn end(mut self) -> Compared {
        self.close(false, false);
        let keys: Vec<_> = self.open_alerts.keys().cloned().collect();
        for key in keys {
            self.close_alert(&key);
        }
        self.done.alerts.sort_by_key(|it| it.at);
        self.done
    }
}

/// What is claimed to be wrong, but for what the engine says of where the cluster stands and of
/// the duty, which is the recorded world's.
fn claims(decision: &Decision, before: &Claims) -> Claims {
    let of_the_world = |one: &Claimed| {
        one.source == DUTY
            || (one.source == ENGINE
                && !matches!(one.claim.name.as_str(), "policy-failed" | "action-held"))
    };
    let mut claims: Claims = decision
        .alerts
        .iter()
        .filter(|one| !of_the_world(one))
        .map(|Claimed { source, claim }| {
            let key = (source.clone(), claim.name.clone(), claim.server.clone(), claim.service);
            (key, (claim.severity, claim.summary.clone()))
        })
        .collect();
    let silent = before.iter().filter(|((source, ..), _)| decision.silent.contains(source));
    claims.extend(silent.map(|(key, value)| (key.clone(), value.clone())));
    claims
}
