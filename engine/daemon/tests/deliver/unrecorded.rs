//! People are told when nothing can be recorded.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use watchkeeper::deliver::{Notify, ReceiverConfig, Receivers, tell_unrecorded};
use watchkeeper::journal::Journal;
use watchkeeper::ledger::Ledger;
use watchkeeper_core::event::Event;
use watchkeeper_wasm::notifier::{AlertStatus, Next, Notification, Response, Retry};

use crate::support::{Folder, eventually, http, now, receiver};

type Heard = Arc<Mutex<Vec<(Instant, Notification)>>>;

/// Notes what it is told, after it has failed as often as it is meant to.
struct Listener {
    heard: Heard,
    fails: Mutex<u32>,
}

impl Notify for Listener {
    fn identity(&self) -> String {
        "listener".to_owned()
    }

    fn start(&self, told: &Notification) -> Result<Next, String> {
        let mut fails = self.fails.lock().unwrap();
        if *fails > 0 {
            *fails -= 1;
            return Ok(Next::Retry(Retry { after: None, reason: "not now".to_owned() }));
        }
        self.heard.lock().unwrap().push((Instant::now(), told.clone()));
        Ok(Next::Delivered(Vec::new()))
    }

    fn resume(&self, _: &[u8], _: &Response) -> Result<Next, String> {
        Err("nothing was sent".to_owned())
    }
}

fn listener(name: &str, fails: u32) -> (ReceiverConfig, Heard) {
    let heard = Heard::default();
    let mut config = receiver(name, http("127.0.0.1:1".parse().unwrap()), "example.com");
    config.notifier = Arc::new(Listener { heard: Arc::clone(&heard), fails: Mutex::new(fails) });
    (config, heard)
}

fn tell(
    trouble: watch::Receiver<Option<String>>,
    configs: Vec<ReceiverConfig>,
    every: Duration,
) -> tokio::task::JoinHandle<()> {
    let receivers = Arc::new(Receivers::new(configs, None).unwrap());
    let receivers = watch::Sender::new(receivers).subscribe();
    let monitor = "vp1".parse().unwrap();
    tokio::spawn(tell_unrecorded(trouble, receivers, monitor, Arc::new(now), every))
}

#[tokio::test]
async fn everyone_is_told_past_the_outbox_now_and_then_and_when_it_is_over() {
    let every = Duration::from_millis(100);
    let trouble = watch::Sender::new(None);
    let ((steady, first), (shaky, second)) = (listener("steady", 0), listener("shaky", 2));
    let task = tell(trouble.subscribe(), vec![steady, shaky], every);
    let told = |heard: &Heard| heard.lock().unwrap().len();
    let begun = Instant::now();
    // It comes and goes, much faster than people are to be told.
    for _ in 0..100 {
        trouble.send_replace(Some("the disk is full".to_owned()));
        tokio::task::yield_now().await;
        trouble.send_replace(None);
    }
    trouble.send_replace(Some("the disk is full".to_owned()));
    eventually("it is told again and again", || told(&first) >= 3 && told(&second) >= 2).await;
    trouble.send_replace(None);
    let over = |heard: &Heard| {
        heard.lock().unwrap().last().is_some_and(|(_, it)| it.status == AlertStatus::Resolved)
    };
    eventually("the end is told", || over(&first) && over(&second)).await;
    let heard = first.lock().unwrap().clone();
    // Late is possible on a busy machine, early is not.
    let (last, words) = (heard.last().unwrap().0, u32::try_from(heard.len()).unwrap());
    assert!(last - begun >= every * (words - 1), "{words} words in {:?}", last - begun);
    for pair in heard.windows(2) {
        assert_ne!(pair[0].1.idempotency_key, pair[1].1.idempotency_key);
        assert_eq!(pair[0].1.group_key, pair[1].1.group_key);
    }
    let alert = &heard[heard.len() - 2].1.alerts[0];
    assert_eq!((alert.name.as_str(), alert.status), ("journal-unwritable", AlertStatus::Firing));
    assert_eq!(alert.summary, "nothing can be recorded: the disk is full");
    assert!(alert.details.contains("no rescue, no failover"), "{alert:?}");
    drop(trouble);
    tokio::time::timeout(Duration::from_secs(20), task).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_ledger_that_cannot_record_has_people_told_and_says_when_it_can_again() {
    let folder = Folder::new();
    let path = folder.0.join("journal.db");
    let monitor: watchkeeper_core::model::MonitorName = "vp1".parse().unwrap();
    let (journal, state) = Journal::open(&path, &monitor, now()).unwrap();
    let ledger = Ledger::new(journal.clone(), state).await.unwrap();
    let (config, heard) = listener("ops", 0);
    let task = tell(ledger.trouble(), vec![config], Duration::from_hours(1));
    let started = || {
        let event = Event::MonitorStarted { monitor: monitor.clone(), version: "1".to_owned() };
        vec![(None, event)]
    };
    ledger.record(started()).await.unwrap();
    assert_eq!(*ledger.trouble().borrow(), None);
    // Another program holds the file for longer than the journal waits for it.
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    ledger.record(started()).await.unwrap_err();
    eventually("it is told", || heard.lock().unwrap().len() == 1).await;
    let (_, alert) = heard.lock().unwrap()[0].clone();
    assert_eq!(alert.status, AlertStatus::Firing);
    assert!(alert.alerts[0].summary.contains("the journal could not be written"), "{alert:?}");
    other.execute_batch("ROLLBACK").unwrap();
    // Nothing need be recorded to find that out.
    ledger.record(vec![]).await.unwrap();
    assert_eq!(*ledger.trouble().borrow(), None);
    task.abort();
    journal.close().await;
}
