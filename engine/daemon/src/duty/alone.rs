//! No other monitor is there: this one has the duty for every cluster that it watches.
//!
//! Each start is a term. A duty that was handed to another monitor, before the configuration said
//! that there is none, stays there until an operator says otherwise.

use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt as _};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use watchkeeper_core::duty::{Change, Grantor, Standing, Tenure};
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, Term};
use watchkeeper_core::state::State;

use super::{Fence, Office, Order, Remark, View, Views, Wish};
use crate::errors::chain;
use crate::ledger::Ledger;

pub(super) fn start(office: Office) -> (JoinHandle<()>, Arc<dyn Fence>) {
    let fence = Arc::new(Glance(office.views.subscribe()));
    (tokio::spawn(run(office)), fence)
}

/// The view is all there is to ask.
struct Glance(watch::Receiver<Views>);

impl Fence for Glance {
    fn admit<'a>(
        &'a self,
        cluster: &'a ClusterName,
        term: Term,
    ) -> BoxFuture<'a, Result<(), String>> {
        let held = self.0.borrow().get(cluster).map(|view| view.duty.clone());
        async move {
            match held {
                Some(Duty::Held(now)) if now == term => Ok(()),
                Some(Duty::Held(now)) => Err(format!("term {} is over, it is {}", term.0, now.0)),
                Some(Duty::NotHeld(why) | Duty::Uncertain(why)) => Err(why),
                None => Err(format!("{cluster} is no longer watched")),
            }
        }
        .boxed()
    }
}

async fn run(mut office: Office) {
    let mut news = office.ledger.news();
    loop {
        let clusters = office.clusters.borrow_and_update().clone();
        let views = office
            .ledger
            .with(|state| {
                clusters.iter().map(|name| (name.clone(), view(state, name))).collect::<Views>()
            })
            .await;
        office.views.send_if_modified(|known| {
            let differs = *known != views;
            *known = views;
            differs
        });
        tokio::select! {
            _ = office.stop.changed() => return,
            changed = office.clusters.changed() => if changed.is_err() { return },
            changed = news.changed() => if changed.is_err() { return },
            Some(order) = office.orders.recv() => {
                let beyond = office.remarks.borrow().get(&order.cluster).and_then(Remark::refused);
                obey(&office.ledger, order, beyond.unwrap_or_default()).await;
            }
        }
    }
}

fn view(state: &State, name: &ClusterName) -> View {
    let tenure = state.clusters.get(name).map(|cluster| &cluster.tenure);
    match tenure.map(Tenure::standing) {
        None | Some(Standing::None) => View::held(state.term),
        Some(Standing::Held { term }) => View::held(state.term.max(*term)),
        Some(standing @ (Standing::Offered { .. } | Standing::Elsewhere { .. })) => {
            View::not_held(format!(
                "the duty is {standing}, and [duty] names no monitor to share it with; if it is \
                 gone for good, `watchkeeper duty take`"
            ))
        }
    }
}

async fn obey(ledger: &Ledger, order: Order, beyond: Term) {
    let Order { cluster, wish, by, reason, reply } = order;
    let answer = match wish {
        Wish::Take { .. } => take(ledger, cluster, by, reason, beyond).await,
        Wish::Give | Wish::Cancel => {
            Err("there is no monitor to share the duty with; [duty] names one".to_owned())
        }
    };
    // Nobody waits for it any more: it is so all the same.
    let _ = reply.send(answer);
}

async fn take(
    ledger: &Ledger,
    cluster: ClusterName,
    by: String,
    reason: String,
    beyond: Term,
) -> Result<String, String> {
    let mut taken = None;
    let recorded = ledger.record_with(|state| {
        let seen = state.cluster(&cluster).tenure.next();
        let term = seen.max(Term(state.term.0.max(beyond.0).saturating_add(1)));
        taken = Some(term);
        let grantor = Grantor::Operator { by, reason };
        let change = Change::Taken { term, grantor, past: None };
        vec![(Some(cluster.clone()), Event::Duty(change))]
    });
    recorded.await.map_err(|error| chain(&error))?;
    Ok(format!("taken, in term {}", taken.unwrap_or_default().0))
}
