//! What this monitor has to say by itself, and when.
//!
//! Once a beat at the least, and at once, or nearly so, when there is news: an offer, or a past that
//! the other monitor does not know yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use watchkeeper_core::duty::Standing;
use watchkeeper_core::duty::peer::Ask;
use watchkeeper_core::model::{ClusterName, Term};

use super::desk::Desk;

/// How long it is silent at least after it has said something.
const BREATH: Duration = Duration::from_millis(200);

/// What was asked last about each cluster, and when: what is not answered well is asked again a
/// beat later.
type Asked = BTreeMap<ClusterName, (Term, u64, Instant)>;

/// Talks for as long as this monitor runs.
pub(super) async fn talk(desk: Arc<Desk>) {
    let mut news = desk.ledger.news();
    let mut asked = Asked::new();
    let breath = BREATH.min(desk.beat);
    loop {
        let next_beat = Instant::now() + desk.beat;
        let mut asks = due(&desk, &mut asked).await;
        if asks.is_empty() {
            asks.push(Ask::Greet);
        }
        let mut answered = true;
        for ask in asks {
            answered = desk.exchange(ask).await.is_ok();
            if !answered {
                break;
            }
        }
        if !answered {
            sleep_until(next_beat).await;
            continue;
        }
        loop {
            sleep(breath).await;
            tokio::select! {
                () = sleep_until(next_beat) => break,
                changed = news.changed() => if changed.is_err() { return },
            }
            if anything_due(&desk, &asked).await {
                break;
            }
        }
    }
}

async fn anything_due(desk: &Desk, asked: &Asked) -> bool {
    !due(desk, &mut asked.clone()).await.is_empty()
}

/// What is to be asked now. Offers come first: nobody acts meanwhile.
async fn due(desk: &Desk, asked: &mut Asked) -> Vec<Ask> {
    let clusters = desk.clusters.borrow().clone();
    let heard = desk.heard.borrow().clone();
    let now = Instant::now();
    let (mut offers, mut shares) = (Vec::new(), Vec::new());
    desk.ledger
        .with(|state| {
            for name in clusters.iter().filter(|name| heard.watches.contains(*name)) {
                let Some(cluster) = state.clusters.get(name) else { continue };
                let (subject, offered) = match cluster.tenure.standing() {
                    Standing::Offered { next, .. } => ((*next, 0), true),
                    Standing::Held { term } => ((*term, cluster.version), false),
                    Standing::None | Standing::Elsewhere { .. } => continue,
                };
                let report = heard.report(name);
                let theirs =
                    matches!(report.standing, Standing::Held { .. } | Standing::Offered { .. });
                if !offered && (theirs || report.known >= Some(subject)) {
                    continue;
                }
                let ((term, version), previous) = (subject, asked.get(name));
                let again = previous.is_none_or(|(last, number, at)| {
                    (*last, *number) != subject || now.duration_since(*at) >= desk.beat
                });
                if !again {
                    continue;
                }
                asked.insert(name.clone(), (term, version, now));
                let (cluster, past) = (name.clone(), Box::new(state.past(name)));
                if offered {
                    offers.push(Ask::Offer { cluster, next: term, past });
                } else {
                    shares.push(Ask::Share { cluster, term, version, past });
                }
            }
        })
        .await;
    offers.append(&mut shares);
    offers
}
