//! How things stand, in the one line that the service manager shows.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use watchkeeper_core::alerting::AlertBook;
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::ClusterName;
use watchkeeper_core::state::{ClusterState, State};

use super::notify::{Message, Notifier};
use crate::cluster::Clusters;
use crate::ledger::Ledger;

/// The shortest time between two lines: nobody reads faster.
const PAUSE: Duration = Duration::from_secs(1);

/// How many clusters are named.
const NAMED: usize = 8;

/// Tells of each change, until the clusters' sender is gone.
pub(super) async fn keep_told(
    notifier: Notifier,
    ledger: Arc<Ledger>,
    mut clusters: watch::Receiver<Clusters>,
) {
    let (mut news, mut trouble) = (ledger.news(), ledger.trouble());
    let mut told = String::new();
    loop {
        news.mark_unchanged();
        let watched: Vec<ClusterName> = clusters.borrow_and_update().keys().cloned().collect();
        let problem = trouble.borrow_and_update().clone();
        let line = ledger.with(|state| line(state, &watched, problem.as_deref())).await;
        if line != told {
            notifier.tell(&Message::Status(line.clone())).await;
            told = line;
        }
        sleep(PAUSE).await;
        let changed = tokio::select! {
            changed = news.changed() => changed,
            changed = trouble.changed() => changed,
            changed = clusters.changed() => changed,
        };
        if changed.is_err() {
            return;
        }
    }
}

/// What is wrong with the monitor itself first, then the clusters: those first that are not as
/// they should be.
fn line(state: &State, watched: &[ClusterName], trouble: Option<&str>) -> String {
    let mut parts = Vec::new();
    parts.extend(trouble.map(|problem| format!("NOTHING IS DONE: {problem}")));
    parts.extend(alerts(&state.alerts).map(|alerts| format!("monitor {alerts}")));
    let mut clusters: Vec<(bool, &ClusterName, ClusterState)> = watched
        .iter()
        .map(|name| {
            let cluster = state.cluster(name);
            (is_calm(&cluster), name, cluster)
        })
        .collect();
    clusters.sort_by_key(|(calm, name, _)| (*calm, *name));
    parts.extend(clusters.iter().take(NAMED).map(|(_, name, cluster)| one(name, cluster)));
    let rest = clusters.get(NAMED..).unwrap_or_default();
    if rest.iter().any(|(calm, ..)| !calm) {
        parts.push(format!("and {} more clusters", rest.len()));
    } else if !rest.is_empty() {
        parts.push(format!("and {} more, all calm", rest.len()));
    }
    if clusters.is_empty() {
        parts.push("no cluster is watched".to_owned());
    }
    parts.join("; ")
}

fn is_calm(cluster: &ClusterState) -> bool {
    matches!(cluster.phase, Phase::Active(_))
        && cluster.progress.is_none()
        && cluster.maintenance.is_none()
        && cluster.alerts.firing().next().is_none()
}

fn one(name: &ClusterName, cluster: &ClusterState) -> String {
    let mut text = format!("{name} {}", cluster.phase);
    if let Some(progress) = &cluster.progress {
        let steps = progress.plan().steps.len();
        let _ = write!(text, ", step {} of {steps}", (progress.index() + 1).min(steps));
    }
    if cluster.maintenance.is_some() {
        text.push_str(", maintenance mode");
    }
    if let Some(alerts) = alerts(&cluster.alerts) {
        let _ = write!(text, ", {alerts}");
    }
    text
}

/// What fires, by name; none if nothing does.
fn alerts(book: &AlertBook) -> Option<String> {
    let names: BTreeSet<&str> = book.firing().map(|alert| alert.claim.name.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("alerts: {}", names.join(", ")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use watchkeeper_core::alerting::{Alert, Fingerprint};
    use watchkeeper_core::arbitration::ENGINE;
    use watchkeeper_core::model::{Side, Timestamp};
    use watchkeeper_core::proposal::{AlertClaim, Severity};
    use watchkeeper_core::state::Maintenance;

    use super::*;

    fn name(number: usize) -> ClusterName {
        ClusterName::new(&format!("c{number:02}")).unwrap()
    }

    fn fire(book: &mut AlertBook, name: &str, summary: &str) {
        let claim = AlertClaim {
            name: name.to_owned(),
            severity: Severity::Warning,
            server: None,
            service: None,
            code: String::new(),
            summary: summary.to_owned(),
            labels: BTreeMap::new(),
        };
        let fingerprint = Fingerprint::of(None, ENGINE, &claim);
        let starts_at = Timestamp(1);
        let details = String::new();
        let source = ENGINE.to_owned();
        let (ends_at, acknowledged) = (None, None);
        book.fire(Alert { fingerprint, source, claim, details, starts_at, ends_at, acknowledged });
    }

    #[test]
    fn what_is_wrong_comes_first() {
        let watched = [name(1), name(2)];
        let mut state = State::default();
        assert_eq!(line(&state, &[], None), "no cluster is watched");
        assert_eq!(line(&state, &watched, None), "c01 active on primary; c02 active on primary");

        let mut troubled = state.cluster(&name(2));
        troubled.phase = Phase::NeedsOperator(Side::Primary);
        troubled.maintenance = Some(Maintenance {
            by: "me".to_owned(),
            reason: "patching".to_owned(),
            since: Timestamp(1),
            until: None,
        });
        fire(&mut troubled.alerts, "service-down", "one");
        fire(&mut troubled.alerts, "needs-operator", "another");
        state.clusters.insert(name(2), troubled);
        fire(&mut state.alerts, "configuration-rejected", "nonsense");
        assert_eq!(
            line(&state, &watched, Some("the disk is full")),
            "NOTHING IS DONE: the disk is full; monitor alerts: configuration-rejected; \
             c02 in need of an operator, primary before, maintenance mode, \
             alerts: needs-operator, service-down; c01 active on primary"
        );
    }

    #[test]
    fn many_clusters_are_counted() {
        let watched: Vec<ClusterName> = (0..20).map(name).collect();
        let mut state = State::default();
        let calm = line(&state, &watched, None);
        assert!(calm.ends_with("; c07 active on primary; and 12 more, all calm"), "{calm}");
        for cluster in &watched {
            let switching = ClusterState { phase: Phase::SwitchingOver, ..ClusterState::default() };
            state.clusters.insert(cluster.clone(), switching);
        }
        let busy = line(&state, &watched, None);
        assert!(busy.ends_with("; and 12 more clusters"), "{busy}");
    }
}
