//! What operators want done about the duty.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use watchkeeper_core::duty::peer::{Answer, Ask};
use watchkeeper_core::duty::{Change, Grantor, Standing, Tenure};
use watchkeeper_core::model::{ClusterName, Term};

use super::super::{Order, Wish};
use super::desk::Desk;
use super::link::Trouble;
use crate::errors::chain;

/// How long an operator waits for the duty to have passed.
const WAIT: Duration = Duration::from_secs(5);

/// How often the other monitor is asked for the duty while terms pass.
const ATTEMPTS: u32 = 3;

type Said = Result<String, String>;

/// Has a wish carried out, and says what was done.
pub(super) async fn carry_out(desk: &Desk, order: Order) {
    let Order { cluster, wish, by, reason, reply } = order;
    let standing = desk.ledger.cluster(&cluster).await.tenure.standing().clone();
    let said = match (wish, standing) {
        (Wish::Take { .. }, Standing::Held { term }) => {
            Ok(format!("{} has the duty already, in term {}", desk.me, term.0))
        }
        (Wish::Take { force: true }, _) => take(desk, &cluster, by, reason).await.map(|term| {
            format!(
                "taken without asking {peer}, in term {term}. WARNING: if {peer} still runs, both act \
                 until they hear each other; make sure now that it does not",
                peer = desk.peer,
                term = term.0
            )
        }),
        (Wish::Take { force: false } | Wish::Cancel, Standing::Offered { next, .. }) => {
            cancel(desk, cluster, next).await
        }
        (Wish::Take { force: false }, _) => request(desk, cluster, by, reason).await,
        (Wish::Give, Standing::Held { .. }) => give(desk, cluster, &by, &reason).await,
        (Wish::Give, standing) => {
            Err(format!("{} does not have the duty: it is {standing}", desk.me))
        }
        (Wish::Cancel, standing) => Err(format!("there is no offer: the duty is {standing}")),
    };
    // Nobody waits for it any more: it is so all the same.
    let _ = reply.send(said);
}

/// Records that an operator lets this monitor have the duty, whatever the other one says.
async fn take(
    desk: &Desk,
    cluster: &ClusterName,
    by: String,
    reason: String,
) -> Result<Term, String> {
    let mut taken = None;
    let recorded = desk.change(cluster, |_, tenure| {
        if matches!(tenure.standing(), Standing::Held { .. }) {
            return None;
        }
        let term = next(desk, cluster, tenure);
        taken = Some(term);
        Some(Change::Taken { term, grantor: Grantor::Operator { by, reason }, past: None })
    });
    recorded.await.map_err(|error| chain(&error))?;
    taken.ok_or_else(|| format!("{} has the duty already", desk.me))
}

/// A term that is greater than all that is known of.
fn next(desk: &Desk, cluster: &ClusterName, tenure: &Tenure) -> Term {
    let seen = desk.heard.borrow().report(cluster).seen.max(desk.in_force(cluster));
    tenure.next().max(Term(seen.0.saturating_add(1)))
}

/// Asks the other monitor for the duty. If a term has begun meanwhile that was not known of, or if
/// operators ask at both monitors at once, it is asked again: by the first monitor at once, so that
/// one of them is the earlier.
async fn request(desk: &Desk, cluster: ClusterName, by: String, reason: String) -> Said {
    let peer = &desk.peer;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 && !desk.first {
            sleep(desk.patience(1)).await;
        }
        let tenure = desk.ledger.cluster(&cluster).await.tenure;
        let next = next(desk, &cluster, &tenure);
        let (by, reason) = (by.clone(), reason.clone());
        let answer =
            desk.exchange(Ask::Request { cluster: cluster.clone(), next, by, reason }).await;
        let held = |standing: &Standing| match standing {
            Standing::Held { term } => Some(*term),
            _ => None,
        };
        match answer {
            Ok(Answer::Giving) => {
                return match reached(desk, &cluster, held).await {
                    Some(term) => Ok(format!("{peer} gave the duty, in term {}", term.0)),
                    None => Err(format!(
                        "{peer} gives the duty, and it has not arrived yet: see `watchkeeper duty \
                         status`"
                    )),
                };
            }
            Ok(Answer::Free { .. }) => {
                let tenure = desk.ledger.cluster(&cluster).await.tenure;
                if let Some(term) = held(tenure.standing()) {
                    return Ok(format!("taken, in term {}: {peer} does not have it", term.0));
                }
            }
            Ok(Answer::Refused { why }) => {
                let heard = desk.heard.borrow().clone();
                if !heard.watches.contains(&cluster) {
                    return Err(format!(
                        "{why}, so it cannot promise to leave the duty to {}: let both have the same \
                         [clusters], or take it with --force",
                        desk.me
                    ));
                }
                if heard.report(&cluster).seen < next {
                    return Err(format!("{peer} does not give it: {why}"));
                }
            }
            Ok(other) => return Err(format!("{peer} gives no answer to that: {other:?}")),
            Err(trouble) => return Err(unasked(desk, &trouble)),
        }
    }
    Err(format!(
        "the duty for {cluster} is being moved at {peer} at the same time: see `watchkeeper duty \
         status`, and try again"
    ))
}

/// Offers the duty to the other monitor, as an operator wants.
async fn give(desk: &Desk, cluster: ClusterName, by: &str, reason: &str) -> Said {
    let peer = &desk.peer;
    if let Err(trouble) = desk.exchange(Ask::Greet).await {
        return Err(format!("{peer} cannot be asked: {trouble}; this monitor keeps the duty"));
    }
    if !desk.heard.borrow().watches.contains(&cluster) {
        return Err(format!("{peer} does not watch {cluster}; this monitor keeps the duty"));
    }
    let mut refused = None;
    let why = format!("{by} wants {peer} to have it: {reason}");
    let recorded = desk.change(&cluster, |state, _| {
        desk.offer(state, &cluster, true, &why).map_err(|why| refused = Some(why)).ok()
    });
    recorded.await.map_err(|error| chain(&error))?;
    if let Some(why) = refused {
        return Err(why);
    }
    let arrived = reached(desk, &cluster, |it| match it {
        Standing::Elsewhere { term, .. } => Some(*term),
        _ => None,
    });
    match arrived.await {
        Some(term) => Ok(format!("{peer} has the duty, in term {}", term.0)),
        None => Err(format!(
            "the duty is offered to {peer}, which has not said yet that it has it; `watchkeeper duty \
             cancel` takes the offer back"
        )),
    }
}

/// Takes an offer back, if the other monitor promises not to accept it any more.
async fn cancel(desk: &Desk, cluster: ClusterName, next: Term) -> Said {
    let peer = &desk.peer;
    match desk.exchange(Ask::Withdraw { cluster: cluster.clone(), next }).await {
        Ok(Answer::Withdrawn) => {
            let term = desk.ledger.cluster(&cluster).await.tenure.seen();
            Ok(format!("the offer is taken back; {} has the duty, in term {}", desk.me, term.0))
        }
        Ok(Answer::Accepted { term }) => {
            Err(format!("{peer} has accepted it already, in term {}", term.0))
        }
        Ok(Answer::Refused { why }) => Err(format!("{peer} does not agree: {why}")),
        Ok(other) => Err(format!("{peer} gives no answer to that: {other:?}")),
        Err(trouble) => Err(unasked(desk, &trouble)),
    }
}

fn unasked(desk: &Desk, trouble: &Trouble) -> String {
    let (me, peer) = (&desk.me, &desk.peer);
    format!(
        "{peer} cannot be asked: {trouble}. Nothing was done: if {peer} runs and has the duty, both \
         would act. Make sure that its daemon does not run and will not start by itself; then \
         `watchkeeper duty take --force` lets {me} have the duty"
    )
}

/// Waits until the duty stands so.
async fn reached<T>(
    desk: &Desk,
    cluster: &ClusterName,
    fits: impl Fn(&Standing) -> Option<T>,
) -> Option<T> {
    let mut news = desk.ledger.news();
    let deadline = Instant::now() + WAIT;
    loop {
        let now = desk.ledger.cluster(cluster).await;
        if let Some(found) = fits(now.tenure.standing()) {
            return Some(found);
        }
        timeout_at(deadline, news.changed()).await.ok()?.ok()?;
    }
}
