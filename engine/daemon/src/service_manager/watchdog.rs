//! Pings for the service manager, which say that everything in the daemon still turns.
//!
//! A timer alone would go on pinging beside a daemon that hangs. So each ping is the end of a
//! round of questions: to the main loop, to the task of each cluster, and to the thread that
//! writes the journal, each over the way on which it gets its work. Only when all have answered is
//! there a ping. One that is stuck, or is gone, stops them, and the service manager starts a new
//! daemon, which goes on with what the journal says.
//!
//! A journal that cannot be written is no reason: its thread says so and answers. That is told by
//! an alert, and a new daemon would not find more room on the disk.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::pin::Pin;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use super::notify::{Message, Notifier};
use crate::cluster::{Clusters, Handle, Order};
use crate::journal::Journal;

/// How long the main loop may reload before it counts as stuck. Compiling many large guests that
/// are not in the cache takes minutes.
const LONGEST_RELOAD: Duration = Duration::from_mins(10);

/// How soon everybody is asked again after one was found gone, which a cluster that is no longer
/// watched may be for a moment.
const AGAIN: Duration = Duration::from_secs(1);

/// After how long without a ping the service manager kills this process, by `WATCHDOG_USEC`;
/// none if it does not, or if another process is meant.
pub(super) fn silence(
    variable: impl Fn(&str) -> Option<OsString>,
    own_id: u32,
) -> Option<Duration> {
    let number = |name| variable(name).map(|text| text.to_str().and_then(|it| it.parse().ok()));
    let own = number("WATCHDOG_PID").is_none_or(|id| id == Some(u64::from(own_id)));
    match number("WATCHDOG_USEC")? {
        Some(us @ 1..) if own => Some(Duration::from_micros(us)),
        Some(_) => None,
        None => {
            tracing::warn!("WATCHDOG_USEC is no number of microseconds: no pings are sent");
            None
        }
    }
}

/// An answer that says nothing but that there is one.
pub(crate) type Answer = oneshot::Sender<()>;

/// The main loop's end: it has to answer what comes out of `questions` whenever it waits, and to
/// say when it reloads.
#[derive(Debug)]
pub struct MainLoop {
    /// To be answered at once.
    pub(crate) questions: mpsc::Receiver<Answer>,
    /// Since when it reloads.
    reloading: watch::Sender<Option<Instant>>,
}

impl MainLoop {
    /// Does `work`, during which nothing can be answered.
    pub(crate) async fn reload<T>(&self, work: impl Future<Output = T>) -> T {
        self.reloading.send_replace(Some(Instant::now()));
        let result = work.await;
        self.reloading.send_replace(None);
        result
    }
}

/// The watchdog's end of the same.
#[derive(Debug)]
pub(super) struct Watched {
    questions: mpsc::Sender<Answer>,
    reloading: watch::Receiver<Option<Instant>>,
}

/// The two ends.
pub(super) fn main_loop() -> (MainLoop, Watched) {
    let (asks, questions) = mpsc::channel(1);
    let (reloading, reloads) = watch::channel(None);
    (MainLoop { questions, reloading }, Watched { questions: asks, reloading: reloads })
}

/// Who has to answer.
pub(super) struct Watchdog {
    main_loop: Watched,
    clusters: watch::Receiver<Clusters>,
    journal: Journal,
}

/// One that is asked, and whether it answers: false if it is gone.
struct Asked {
    name: String,
    answers: Pin<Box<dyn Future<Output = bool> + Send>>,
}

impl Asked {
    fn new(name: impl Into<String>, answers: impl Future<Output = bool> + Send + 'static) -> Self {
        Self { name: name.into(), answers: Box::pin(answers) }
    }
}

impl Watchdog {
    pub(super) const fn new(
        main_loop: Watched,
        clusters: watch::Receiver<Clusters>,
        journal: Journal,
    ) -> Self {
        Self { main_loop, clusters, journal }
    }

    /// Pings for as long as everything turns: every `every`, which is to be half of what the
    /// service manager waits. So each may be busy for as long as that.
    pub(super) async fn run(self, every: Duration, notifier: Notifier) {
        let mut due = interval(every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            due.tick().await;
            while let Err(gone) = all_answer(self.ask(), every).await {
                tracing::error!(%gone, "it has ended unexpectedly; no ping to the service manager");
                sleep(AGAIN).await;
            }
            notifier.tell(&Message::Ping).await;
        }
    }

    /// Everybody who is there now.
    fn ask(&self) -> Vec<Asked> {
        let journal = self.journal.clone();
        let clusters = self.clusters.borrow().clone();
        let mut asked = vec![
            Asked::new("the main loop", main_loop_answers(&self.main_loop)),
            Asked::new("the journal", async move { journal.ping().await.is_ok() }),
        ];
        asked.extend(clusters.into_values().map(|(handle, _)| {
            Asked::new(format!("cluster {}", handle.name), cluster_answers(handle))
        }));
        asked
    }
}

fn main_loop_answers(main_loop: &Watched) -> impl Future<Output = bool> + use<> {
    let questions = main_loop.questions.clone();
    let mut reloading = main_loop.reloading.clone();
    async move {
        let recently =
            |since: &Option<Instant>| since.is_some_and(|since| since.elapsed() < LONGEST_RELOAD);
        tokio::select! {
            answered = answered(|answer| questions.send(answer)) => answered,
            Ok(_) = reloading.wait_for(recently) => true,
        }
    }
}

async fn cluster_answers(handle: Handle) -> bool {
    answered(async |answer| handle.orders.send(Order::Ping(answer)).await).await
}

/// Whether what is sent the other end of an answer gives one.
async fn answered<E>(ask: impl AsyncFnOnce(Answer) -> Result<(), E>) -> bool {
    let (answer, answered) = oneshot::channel();
    ask(answer).await.is_ok() && answered.await.is_ok()
}

/// Returns when all have answered, or with the name of the first that is gone. Each `patience`
/// that goes by before is logged with the names of those that are awaited.
async fn all_answer(asked: Vec<Asked>, patience: Duration) -> Result<(), String> {
    let mut awaited: BTreeSet<String> = asked.iter().map(|one| one.name.clone()).collect();
    let mut answers: FuturesUnordered<_> =
        asked.into_iter().map(|one| async { (one.answers.await, one.name) }).collect();
    loop {
        match timeout(patience, answers.next()).await {
            Ok(Some((true, name))) => drop(awaited.remove(&name)),
            Ok(Some((false, gone))) => return Err(gone),
            Ok(None) => return Ok(()),
            Err(_) => {
                tracing::error!(
                    ?awaited,
                    "no answer; without a ping the service manager starts the daemon again"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use watchkeeper_core::model::{ClusterName, MonitorName};

    use super::*;
    use crate::clock;
    use crate::cluster::ClusterView;

    /// What is stuck never answers, so no time is too short to see that; what turns answers long
    /// before the longer one is over.
    const SOON: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_mins(1);

    fn wanted(usec: Option<&str>, pid: Option<&str>) -> Option<Duration> {
        let variable = |name: &str| match name {
            "WATCHDOG_USEC" => usec.map(OsString::from),
            "WATCHDOG_PID" => pid.map(OsString::from),
            _ => None,
        };
        silence(variable, 7)
    }

    #[test]
    fn pings_are_sent_if_this_process_is_to_send_them() {
        let minute = Some(Duration::from_mins(1));
        assert_eq!(wanted(Some("60000000"), Some("7")), minute);
        assert_eq!(wanted(Some("60000000"), None), minute);
        for (usec, pid) in [(None, None), (Some("0"), None), (Some("a while"), None)] {
            assert_eq!(wanted(usec, pid), None, "{usec:?} {pid:?}");
        }
        for other in ["8", "", "seven"] {
            assert_eq!(wanted(Some("60000000"), Some(other)), None, "{other:?}");
        }
    }

    fn turns(name: &str) -> Asked {
        Asked::new(name, async { true })
    }

    #[tokio::test]
    async fn one_that_is_stuck_keeps_the_ping_back_and_one_that_is_gone_is_named() {
        let round = |other| all_answer(vec![turns("a"), other, turns("c")], SOON);
        assert_eq!(round(turns("b")).await, Ok(()));
        assert_eq!(round(Asked::new("b", async { false })).await, Err("b".to_owned()));
        let stuck = Asked::new("b", std::future::pending());
        assert!(timeout(3 * SOON, round(stuck)).await.is_err());
    }

    #[tokio::test]
    async fn the_main_loop_answers_or_reloads_but_not_for_ever() {
        let (mut main_loop, watched) = main_loop();
        let asked = main_loop_answers(&watched);
        let answer = async { main_loop.questions.recv().await.unwrap().send(()).unwrap() };
        assert!(tokio::join!(asked, answer).0);

        assert!(timeout(SOON, main_loop_answers(&watched)).await.is_err());
        main_loop.reload(async { assert!(main_loop_answers(&watched).await) }).await;
        assert!(timeout(SOON, main_loop_answers(&watched)).await.is_err());

        let long_ago = Instant::now().checked_sub(LONGEST_RELOAD);
        main_loop.reloading.send_replace(Some(long_ago.unwrap()));
        assert!(timeout(SOON, main_loop_answers(&watched)).await.is_err());

        drop(main_loop);
        assert!(!main_loop_answers(&watched).await);
    }

    #[tokio::test]
    async fn a_cluster_is_asked_on_the_way_of_its_orders() {
        let (orders, mut task) = mpsc::channel(1);
        let view = watch::Sender::new(Arc::new(ClusterView::default()));
        let name = ClusterName::new("prod").unwrap();
        let handle = Handle { name, orders, view: view.subscribe() };
        let turn = async {
            let Some(Order::Ping(answer)) = task.recv().await else { panic!("no question") };
            answer.send(()).unwrap();
        };
        assert!(tokio::join!(cluster_answers(handle.clone()), turn).0);
        assert!(timeout(SOON, cluster_answers(handle.clone())).await.is_err());
        drop(task);
        assert!(!cluster_answers(handle).await, "its task has ended");
    }

    #[tokio::test]
    async fn a_journal_that_is_closed_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let monitor = MonitorName::new("vp1").unwrap();
        let path = folder.path().join("journal.db");
        let (journal, _) = Journal::open(&path, &monitor, clock::now()).unwrap();
        let (mut main_loop, watched) = main_loop();
        let clusters = watch::Sender::new(Clusters::new());
        let watchdog = Watchdog::new(watched, clusters.subscribe(), journal.clone());
        let answering = tokio::spawn(async move {
            while let Some(answer) = main_loop.questions.recv().await {
                let _ = answer.send(());
            }
        });
        assert_eq!(timeout(LONG, all_answer(watchdog.ask(), LONG)).await, Ok(Ok(())));
        journal.close().await;
        let gone = timeout(LONG, all_answer(watchdog.ask(), LONG)).await;
        assert_eq!(gone, Ok(Err("the journal".to_owned())));
        answering.abort();
    }
}
