//! A site-wide outage: very many alerts at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use watchkeeper::config::Tree;
use watchkeeper::deliver::{Deliverer, Dispatcher, Notify, Receivers, alert_events};
use watchkeeper::journal::Journal;
use watchkeeper::ledger::Ledger;
use watchkeeper_core::alerting::{Changes, Fingerprint, Grouping, Route};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ClusterName, ReceiverName};
use watchkeeper_wasm::notifier::{Next, Notification, Response};

use crate::support::{Folder, alert, eventually, http, now, receiver};

/// Counts the alerts that it is told of.
#[derive(Default)]
struct Counter {
    alerts: AtomicUsize,
    notifications: AtomicUsize,
    first: OnceLock<Instant>,
}

struct Counting(Arc<Counter>);

impl Notify for Counting {
    fn identity(&self) -> String {
        "counting".to_owned()
    }

    fn start(&self, told: &Notification) -> Result<Next, String> {
        self.0.first.get_or_init(Instant::now);
        let news = told.alerts.iter().filter(|alert| alert.news).count();
        self.0.alerts.fetch_add(news, Ordering::SeqCst);
        self.0.notifications.fetch_add(1, Ordering::SeqCst);
        Ok(Next::Delivered(Vec::new()))
    }

    fn resume(&self, _: &[u8], _: &Response) -> Result<Next, String> {
        Err("nothing was sent".to_owned())
    }
}

fn by_cluster() -> Tree {
    let root = Route {
        matchers: Vec::new(),
        receiver: Some(ReceiverName::new("ops").unwrap()),
        grouping: Grouping {
            by: Some(vec!["cluster".to_owned()]),
            wait: 100,
            interval: 1_000,
            repeat: None,
        },
        goes_on: false,
        routes: Vec::new(),
    };
    Tree { root: Some(root), ..Tree::default() }
}

struct Flood {
    counter: Arc<Counter>,
    ledger: Arc<Ledger>,
    _folder: Folder,
    _swap: watch::Sender<Arc<Receivers>>,
}

impl Flood {
    async fn new() -> Self {
        let folder = Folder::new();
        let monitor = "vp1".parse().unwrap();
        let (journal, state) =
            Journal::open(&folder.0.join("journal.db"), &monitor, now()).unwrap();
        let counter = Arc::new(Counter::default());
        let mut ops = receiver("ops", http("127.0.0.1:1".parse().unwrap()), "example.com");
        ops.notifier = Arc::new(Counting(Arc::clone(&counter)));
        let swap =
            watch::Sender::new(Arc::new(Receivers::new(vec![ops], Some(by_cluster())).unwrap()));
        let ledger = Arc::new(Ledger::new(journal.clone(), state.clone()).await.unwrap());
        let (seen, clock) = (swap.subscribe(), Arc::new(now));
        Deliverer::spawn(journal, &state, monitor, seen, clock).await.unwrap();
        let (routes, clock) = (swap.subscribe(), Arc::new(now));
        Dispatcher::spawn(Arc::clone(&ledger), state, routes, clock).await.unwrap();
        Self { counter, ledger, _folder: folder, _swap: swap }
    }

    /// Each cluster raises so many alerts, in an append of its own.
    async fn raise(&self, clusters: usize, each: usize) {
        for cluster in 0..clusters {
            let name = ClusterName::new(&format!("c{cluster}")).unwrap();
            let fired = (0..each).map(|number| {
                let mut one = alert(&format!("a{number}"), now());
                one.fingerprint = Fingerprint::of(Some(&name), "engine", &one.claim);
                one
            });
            let changes = Changes { fired: fired.collect(), resolved: Vec::new() };
            self.ledger.record(alert_events(Some(&name), &changes, "")).await.unwrap();
        }
    }

    fn told(&self) -> usize {
        self.counter.alerts.load(Ordering::SeqCst)
    }
}

/// All are told, each once, a cluster's together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_alerts_at_once_are_told_in_their_groups() {
    let flood = Flood::new().await;
    flood.raise(100, 10).await;
    eventually("all are told", || flood.told() >= 1_000).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let notifications = flood.counter.notifications.load(Ordering::SeqCst);
    assert_eq!(flood.told(), 1_000);
    assert!((100..=200).contains(&notifications), "{notifications} notifications");
}

/// `CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo test --workspace --exclude watchkeeper-bench --test deliver ten_thousand -- --ignored
/// --nocapture`: what all else depends on is optimised anyway, so only this workspace is compiled anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, not a test"]
async fn ten_thousand_alerts_at_once() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = text.lines().find(|line| line.starts_with("VmRSS")).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
    };
    let flood = Arc::new(Flood::new().await);
    let (before, begun) = (resident(), Instant::now());
    // What any evaluation does when it has something to record.
    let others = tokio::spawn({
        let flood = Arc::clone(&flood);
        async move {
            let mut took = Vec::new();
            while flood.told() < 10_000 {
                let version = "1".to_owned();
                let event = Event::MonitorStarted { monitor: "vp1".parse().unwrap(), version };
                let begun = Instant::now();
                flood.ledger.record(vec![(None, event)]).await.unwrap();
                took.push(begun.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            took
        }
    });
    flood.raise(1_000, 10).await;
    let raised = begun.elapsed();
    let wait = async {
        while flood.told() < 10_000 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_mins(5), wait).await.unwrap();
    let first = *flood.counter.first.get().unwrap() - begun;
    let last = begun.elapsed();
    let mut took = others.await.unwrap();
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() - 1) * percent / 100];
    println!(
        "10,000 alerts of 1,000 clusters: recorded within {raised:?}, first told after {first:?}, last after \
         {last:?}, in {} notifications; {} MiB more resident; {} records of others meanwhile: median {:?}, 99 % \
         {:?}, longest {:?}",
        flood.counter.notifications.load(Ordering::SeqCst),
        resident() - before,
        took.len(),
        at(50),
        at(99),
        at(100)
    );
}
