//! A thousand clusters at one tick: what it saves not to ask a policy again of whose questions none
//! has another answer.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;

use tokio::time::Instant;
use watchkeeper::cluster::{Hearing, Seat};
use watchkeeper_core::arbitration::{OnPolicyFailure, Standing};
use watchkeeper_core::model::PolicyName;
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::Grant;
use watchkeeper_core::snapshot::Snapshot;

use crate::Failed;
use crate::cases::CALM;
use crate::evaluation::Loaded;
use crate::measure::{Subject, in_turns};
use crate::report::{Report, Target};

const CLUSTERS: usize = 1_000;

/// Of how many clusters one is seen anew by a tick: probes run every ten seconds, ticks each.
const SEEN_ANEW: usize = 10;

/// Measures ticks over calm clusters.
pub(crate) fn measure(loaded: &Loaded, report: &mut Report) -> Result<(), Failed> {
    let seats = [Seat {
        standing: Standing {
            policy: PolicyName::new("data-mover-ha")?,
            grants: Grant::ALL.into_iter().collect(),
            servers: None,
            on_failure: OnPolicyFailure::Hold,
            mode: Mode::Enforce,
        },
        settings: Arc::new(loaded.settings.clone()),
        guest: Ok(Arc::clone(&loaded.policy)),
    }];
    // The same facts, seen once and once more: the counts and times behind them differ.
    let before = CALM.snapshot()?;
    let after = CALM.seen_once_more()?;
    let memories = BTreeMap::new();
    let mut kept: Vec<Hearing> = (0..CLUSTERS).map(|_| Hearing::default()).collect();
    let mut shown: Vec<Arc<Snapshot>> = vec![Arc::clone(&before); CLUSTERS];
    let mut tick = 0;
    let mut asked_again = 0;
    let series = in_turns(
        20,
        &mut [
            Subject::new("every policy asked", || {
                for _ in 0..CLUSTERS {
                    let heard = Hearing::default().hear(&seats, &before, &memories, Instant::now());
                    black_box(heard);
                }
                Ok(())
            }),
            Subject::new("asked if an answer changed", || {
                tick += 1;
                for (i, (hearing, snapshot)) in kept.iter_mut().zip(&mut shown).enumerate() {
                    if i % SEEN_ANEW == tick % SEEN_ANEW {
                        let other = if Arc::ptr_eq(snapshot, &before) { &after } else { &before };
                        *snapshot = Arc::clone(other);
                    }
                    let asked = hearing.asked();
                    black_box(hearing.hear(&seats, snapshot, &memories, Instant::now()));
                    asked_again += hearing.asked() - asked;
                }
                Ok(())
            }),
        ],
    )?;
    let [all, changed] = &series[..] else { return Err("two were measured".into()) };
    let gain = all.median().as_secs_f64() / changed.median().as_secs_f64();
    let what = "1,000 calm clusters, a tenth seen anew: asking all over asking what changed";
    report.target(Target::at_least(what.to_owned(), gain, 3.0, ""));
    report.note(format!("guests run in {tick} ticks of 1,000 clusters: {asked_again}"));
    report.series("1,000 clusters", series);
    Ok(())
}
