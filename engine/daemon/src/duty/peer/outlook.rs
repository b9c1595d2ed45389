//! Where the duty stands for one cluster, as the rest of the daemon and its operators see it.
//!
//! Nothing here acts: it is made of the tenure, of what was heard, and of how long each trouble has
//! lasted. Texts do not change while what they tell of does not, or people would be told again.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;
use watchkeeper_core::alerting::Claimed;
use watchkeeper_core::duty::peer::{belongs_here, conflict};
use watchkeeper_core::duty::{Standing, Tenure};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{ClusterName, MonitorName};
use watchkeeper_core::proposal::Severity;
use watchkeeper_core::state::State;

use super::super::{View, claim};
use super::desk::{Desk, Heard};
use super::link::Trouble;

/// After how many beats of silence the other monitor counts as unreachable.
const SILENT: u32 = 5;

/// Within how many beats the other monitor has to have been heard to be given the duty, and for how
/// many something may be as it should not before people are told.
pub(super) const PATIENCE: u32 = 3;

/// What is known here of one cluster.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) tenure: Tenure,
    phase: Phase,
    in_flight: bool,
    kept: bool,
}

impl Here {
    pub(super) fn of(state: &State, cluster: &ClusterName) -> Self {
        let known = state.clusters.get(cluster);
        let unknown = || Self {
            tenure: Tenure::default(),
            phase: watchkeeper_core::state::ClusterState::default().phase,
            in_flight: false,
            kept: false,
        };
        known.map_or_else(unknown, |known| Self {
            tenure: known.tenure.clone(),
            phase: known.phase,
            in_flight: known.progress.is_some(),
            kept: known.is_kept(),
        })
    }

    /// Whether the duty is here and nothing stands in the way of giving it away.
    pub(super) fn may_go(&self) -> bool {
        matches!(self.tenure.standing(), Standing::Held { .. })
            && !self.in_flight
            && !self.phase.in_flight()
    }
}

/// Whether the duty goes to the other monitor by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Handover {
    /// It is where it belongs, or not here.
    Stays,
    /// It is to go now.
    Due,
    /// It is to go, and cannot.
    Cannot(String),
}

/// Whether the duty is to go to the other monitor, whose watch the active side is.
pub(super) fn handover(desk: &Desk, cluster: &ClusterName, here: &Here, heard: &Heard) -> Handover {
    let Phase::Active(side) = here.phase else { return Handover::Stays };
    if !here.may_go() || here.kept || belongs_here(desk.first, side) {
        return Handover::Stays;
    }
    let peer = &desk.peer;
    if let Some(trouble) = &heard.trouble {
        return Handover::Cannot(trouble.to_string());
    }
    if let Some(why) = heard.complaint(desk.patience(SILENT)) {
        return Handover::Cannot(why.to_owned());
    }
    if heard.stopping {
        return Handover::Cannot(format!("{peer} is being stopped"));
    }
    if !desk.well(PATIENCE) {
        return Handover::Cannot(format!("{peer} does not answer"));
    }
    if !heard.watches.contains(cluster) {
        return Handover::Cannot(format!("{peer} does not watch {cluster}"));
    }
    Handover::Due
}

/// What is not as it should be, and since when.
#[derive(Debug, Default)]
pub(super) struct Lasting(BTreeMap<(ClusterName, &'static str), Instant>);

impl Lasting {
    /// Whether it has been so for this long.
    fn lasts(
        &mut self,
        cluster: &ClusterName,
        what: &'static str,
        is: bool,
        long: Duration,
    ) -> bool {
        let key = (cluster.clone(), what);
        if !is {
            self.0.remove(&key);
            return false;
        }
        self.0.entry(key).or_insert_with(Instant::now).elapsed() >= long
    }

    /// Forgets clusters that are no longer watched.
    pub(super) fn retain(&mut self, watched: impl Fn(&ClusterName) -> bool) {
        self.0.retain(|(cluster, _), _| watched(cluster));
    }
}

/// What the cluster's task goes by. `waiting` says that this monitor has just started and the
/// other one has not answered yet.
pub(super) fn view(
    desk: &Desk,
    cluster: &ClusterName,
    here: &Here,
    heard: &Heard,
    waiting: bool,
    lasting: &mut Lasting,
) -> View {
    let mut view = duty(&desk.peer, here.tenure.standing(), waiting);
    view.claims = claims(desk, cluster, here, heard, lasting);
    view
}

fn duty(peer: &MonitorName, standing: &Standing, waiting: bool) -> View {
    match standing {
        Standing::Held { term } if !waiting => View::held(*term),
        Standing::Held { .. } => View::not_held(format!(
            "this monitor has just started, and first asks {peer} whether it has the duty by now"
        )),
        Standing::None => View::not_held(format!(
            "no monitor has been given the duty yet: this one and {peer} have to hear each other \
             first"
        )),
        Standing::Offered { to, .. } => {
            View::not_held(format!("it is offered to {to}, which has not said yet that it has it"))
        }
        Standing::Elsewhere { term, holder: Some(holder) } => {
            View::not_held(format!("{holder} has it, in term {}", term.0))
        }
        Standing::Elsewhere { term, holder: None } => {
            View::not_held(format!("it was left after term {}", term.0))
        }
    }
}

fn claims(
    desk: &Desk,
    cluster: &ClusterName,
    here: &Here,
    heard: &Heard,
    lasting: &mut Lasting,
) -> Vec<Claimed> {
    let (peer, standing) = (&desk.peer, here.tenure.standing());
    let beats = |count| desk.beat.saturating_mul(count);
    let mut claims = Vec::new();
    let mut raise = |name, severity, summary| claims.push(claim(name, severity, summary));

    let refused = match &heard.trouble {
        Some(Trouble::Refused(why)) => Some(why.as_str()),
        _ => heard.complaint(desk.patience(SILENT)),
    };
    if let Some(why) = refused {
        let summary = format!("the duty is not shared with {peer}: {why}");
        raise("peer-refused", Severity::Critical, summary);
    }
    let silent = refused.is_none() && !desk.well(SILENT);
    if lasting.lasts(cluster, "silent", silent, beats(SILENT)) {
        let why = heard.trouble.as_ref().map_or_else(String::new, |it| format!(" ({it})"));
        let summary = format!("{peer} cannot be reached{why}; {}", if_it_is_gone(peer, standing));
        raise("peer-unreachable", Severity::Warning, summary);
    }
    let nobody = *standing == Standing::None;
    if lasting.lasts(cluster, "nobody", nobody, beats(SILENT)) {
        let summary = format!(
            "no monitor acts for {cluster}: the duty was never given to one. It is once this monitor \
             and {peer} hear each other; if there is no {peer} yet, `watchkeeper duty take --force` \
             on the monitor that is to begin"
        );
        raise("duty-not-granted", Severity::Critical, summary);
    }
    let pending = matches!(standing, Standing::Offered { .. });
    if lasting.lasts(cluster, "pending", pending, beats(PATIENCE)) {
        let summary = format!(
            "no monitor acts for {cluster}: the duty is offered to {peer}, which has not said that it \
             has it. `watchkeeper duty cancel` takes the offer back if {peer} can be asked; if {peer} \
             is gone for good, `watchkeeper duty take --force` here"
        );
        raise("duty-pending", Severity::Critical, summary);
    }
    let cannot = match handover(desk, cluster, here, heard) {
        Handover::Cannot(why) => Some(why),
        Handover::Stays | Handover::Due => None,
    };
    if lasting.lasts(cluster, "not-handed-over", cannot.is_some(), beats(PATIENCE)) {
        let summary = format!(
            "this monitor keeps the duty for {cluster}, which is {peer}'s watch now: {}",
            cannot.unwrap_or_default()
        );
        raise("duty-not-handed-over", Severity::Warning, summary);
    }
    let foreign = heard.reached.is_some() && !heard.watches.contains(cluster);
    if lasting.lasts(cluster, "foreign", foreign, beats(PATIENCE)) {
        let summary = format!(
            "{peer} does not watch {cluster}, so nobody takes over if this monitor is lost: let both \
             have the same [clusters]"
        );
        raise("duty-not-shared", Severity::Warning, summary);
    }
    let at_odds = heard
        .reports
        .get(cluster)
        .and_then(|report| conflict(&here.tenure, report, &desk.me))
        .filter(|_| heard.reached.is_some());
    if lasting.lasts(cluster, "conflict", at_odds.is_some(), beats(PATIENCE)) {
        raise("duty-conflict", Severity::Critical, at_odds.unwrap_or_default());
    }
    if heard.skewed {
        let summary = format!(
            "the clocks of this monitor and {peer} are more than 2 s apart: times in the journal, \
             cooldowns and maintenance are off by as much after a handover; let both follow the same \
             time server"
        );
        raise("clock-differs", Severity::Warning, summary);
    }
    claims
}

/// What it means that the other monitor cannot be reached, and what can be done.
fn if_it_is_gone(peer: &MonitorName, standing: &Standing) -> String {
    match standing {
        Standing::Held { .. } => {
            "this monitor has the duty and goes on, and nobody takes over if it is lost".to_owned()
        }
        Standing::Elsewhere { holder: Some(holder), .. } if holder == peer => format!(
            "it has the duty, and this monitor cannot see whether it goes on. If it is gone for good, \
             and only then, `watchkeeper duty take --force` here"
        ),
        _ => "look at its daemon, its server and the network between".to_owned(),
    }
}
