//! Whose time a step took: a server's, while a command, a statement or a probe was under way there or
//! a service was coming up or going down, or the engine's own. What it took to make sure, by status
//! commands and probes, is told apart from what it took to act.
//!
//! For the log and for measurements alone: nothing is decided by it. Where it is not measured, it
//! costs nothing and changes nothing.

use std::cell::Cell;
use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    static MEASURED: Share;
}

/// What others took of the time so far.
struct Share {
    /// How many of them are at work at this moment.
    at_work: Cell<u32>,
    /// Since when at least one is.
    since: Cell<Instant>,
    took: Cell<Took>,
}

/// What of a step's time was not the engine's own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Took {
    /// All of it.
    pub(crate) others: Duration,
    /// What of it was only to make sure; looks at the same time count more than once.
    pub(crate) looks: Duration,
}

/// Measures how long others were at work in `doing`, however many at the same time.
pub(crate) async fn measured<T>(doing: impl Future<Output = T>) -> (T, Took) {
    let share = Share {
        at_work: Cell::new(0),
        since: Cell::new(Instant::now()),
        took: Cell::new(Took::default()),
    };
    let measuring = async {
        let result = doing.await;
        (result, MEASURED.with(|share| share.took.get()))
    };
    MEASURED.scope(share, measuring).await
}

/// Another is at work until this is dropped.
pub(crate) fn others() -> Others {
    let _ = MEASURED.try_with(|share| {
        if share.at_work.get() == 0 {
            share.since.set(Instant::now());
        }
        share.at_work.set(share.at_work.get() + 1);
    });
    Others(())
}

/// See [`others`].
#[must_use = "it measures until it is dropped"]
pub(crate) struct Others(());

impl Drop for Others {
    fn drop(&mut self) {
        let _ = MEASURED.try_with(|share| {
            share.at_work.set(share.at_work.get().saturating_sub(1));
            if share.at_work.get() == 0 {
                add(share, |took| took.others += share.since.get().elapsed());
            }
        });
    }
}

/// A service was coming up or going down for so long, as it turned out.
pub(crate) fn waited(time: Duration) {
    let _ = MEASURED.try_with(|share| add(share, |took| took.others += time));
}

/// Others have been at work for so long only to make sure.
pub(crate) fn looked(time: Duration) {
    let _ = MEASURED.try_with(|share| add(share, |took| took.looks += time));
}

fn add(share: &Share, add: impl FnOnce(&mut Took)) {
    let mut took = share.took.get();
    add(&mut took);
    share.took.set(took);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    const MS: Duration = Duration::from_millis(1);

    async fn work(ms: u32) {
        let _others = others();
        sleep(ms * MS).await;
    }

    #[tokio::test]
    async fn what_others_do_at_the_same_time_counts_once() {
        let begun = Instant::now();
        let ((), took) = measured(async {
            tokio::join!(work(50), work(100));
            tokio::join!(work(50), work(100));
            looked(5 * MS);
        })
        .await;
        // Counted twice it would be 300 ms, and no longer than all of it on a slow machine alone.
        assert!(took.others >= 200 * MS && took.others <= begun.elapsed(), "{took:?}");
        assert_eq!(took.looks, 5 * MS);
    }

    #[tokio::test]
    async fn a_pause_counts_where_it_is_measured_and_is_harmless_elsewhere() {
        let ((), took) = measured(async { waited(100 * MS) }).await;
        assert_eq!(took, Took { others: 100 * MS, looks: Duration::ZERO });
        waited(MS);
        looked(MS);
        work(1).await;
    }
}
