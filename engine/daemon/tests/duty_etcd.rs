//! The duty shared through a real etcd. Without etcd on this machine each test says so and ends.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use watchkeeper::config::duty::{DutyConfig, EtcdConfig, Mode};
use watchkeeper::duty::etcd::check;
use watchkeeper::duty::sights::Found;
use watchkeeper::duty::{Duties, DutyError, Keeper, View, Wish};
use watchkeeper::journal::{Journal, Query, Reader};
use watchkeeper::ledger::Ledger;
use watchkeeper::secret::Secret;
use watchkeeper_core::duty::{Change, Grantor};
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, MonitorName, PolicyName, ServerName, Term, Timestamp};
use watchkeeper_site::etcd::{Certificates, Etcd};

/// How long anything may take: far longer than a busy machine needs.
const LONG: Duration = Duration::from_secs(90);

/// A lease that a busy machine renews in time.
const LEASE: Duration = Duration::from_secs(6);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watchkeeper-etcd-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn config(etcd: &Etcd) -> EtcdConfig {
    EtcdConfig {
        endpoints: etcd.endpoints(),
        prefix: "/watchkeeper".to_owned(),
        lease: LEASE,
        ca: None,
        identity: None,
        login: None,
    }
}

fn cluster(number: usize) -> ClusterName {
    ClusterName::new(&format!("cluster{number}")).unwrap()
}

/// A monitor: a journal and the task that keeps the duty, on threads of their own, so that it can be
/// ended without a farewell.
struct Monitor {
    runtime: Runtime,
    keeper: Option<Keeper>,
    duties: Duties,
    ledger: Arc<Ledger>,
    journal: PathBuf,
    _clusters: watch::Sender<BTreeSet<ClusterName>>,
}

impl Monitor {
    fn try_start(
        folder: &Path,
        name: &str,
        config: &EtcdConfig,
        clusters: usize,
    ) -> Result<Self, DutyError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let journal = folder.join("journal.db");
        std::fs::create_dir_all(folder).unwrap();
        let monitor = MonitorName::new(name).unwrap();
        let clusters = watch::Sender::new((0..clusters).map(cluster).collect());
        let (keeper, ledger) = runtime.block_on(async {
            // What a crash leaves behind lets go of it in a moment.
            let (opened, state) = wait("the journal", || {
                let opened = Journal::open(&journal, &monitor, Timestamp(1));
                opened.map_err(|error| error.to_string())
            });
            let ledger = Arc::new(Ledger::new(opened, state).await.unwrap());
            let started =
                Event::MonitorStarted { monitor: monitor.clone(), version: "test".to_owned() };
            ledger.record(vec![(None, started)]).await.unwrap();
            let mode = Mode::Etcd(config.clone());
            let config = DutyConfig { mode, observe: Duration::ZERO };
            let started =
                Keeper::start(&config, monitor, Arc::clone(&ledger), clusters.subscribe());
            (started.await, ledger)
        });
        let keeper = keeper?;
        let duties = keeper.duties();
        Ok(Self { runtime, keeper: Some(keeper), duties, ledger, journal, _clusters: clusters })
    }

    fn start(folder: &Path, name: &str, config: &EtcdConfig, clusters: usize) -> Self {
        Self::try_start(folder, name, config, clusters).unwrap()
    }

    /// Nothing of it goes on, and nobody is told: what a crash does.
    fn crash(self) {
        drop((self.keeper, self.ledger, self.duties));
        self.runtime.shutdown_timeout(Duration::from_secs(5));
    }

    /// Its end in good order.
    fn stop(mut self) {
        self.runtime.block_on(self.keeper.take().unwrap().end());
        self.crash();
    }

    fn view(&self, number: usize) -> View {
        self.duties.of(&cluster(number))
    }

    fn held(&self, number: usize) -> Option<Term> {
        match self.view(number).duty {
            Duty::Held(term) => Some(term),
            _ => None,
        }
    }

    fn wait_held(&self, number: usize) -> Term {
        wait("the duty is held", || {
            self.held(number).ok_or_else(|| format!("{:?}", self.view(number)))
        })
    }

    /// Waits until a claim of this name is made; gives its text.
    fn wait_claim(&self, name: &str) -> String {
        wait(name, || {
            let view = self.view(0);
            let claims = view.claims.iter().find(|it| it.claim.name == name);
            claims.map(|it| it.claim.summary.clone()).ok_or_else(|| format!("{view:?}"))
        })
    }

    fn admit(&self, number: usize, term: Term) -> Result<(), String> {
        self.runtime.block_on(self.duties.admit(&cluster(number), term))
    }

    fn order(&self, number: usize, wish: Wish) -> Result<String, String> {
        let (by, reason) = ("alice".to_owned(), "a test".to_owned());
        self.runtime.block_on(self.duties.order(cluster(number), wish, by, reason))
    }

    /// Something that a successor has to know.
    fn note(&self, number: usize, by: &str) {
        let (by, reason) = (by.to_owned(), "x".to_owned());
        self.record(number, Event::MaintenanceOn { by, reason, until: None, service: None });
    }

    fn record(&self, number: usize, event: Event) {
        self.runtime.block_on(self.ledger.record(vec![(Some(cluster(number)), event)])).unwrap();
    }

    /// Who noted something last.
    fn noted(&self, number: usize) -> Option<String> {
        let state = self.runtime.block_on(self.ledger.cluster(&cluster(number)));
        state.maintenance.map(|it| it.by)
    }

    /// The changes of the duty in its journal.
    fn changes(&self) -> Vec<Change> {
        let reader = Reader::open(&self.journal).unwrap();
        let records = reader.read_now(&Query { limit: 10_000, ..Query::default() }).unwrap();
        let change = |event| match event {
            Event::Duty(change) => Some(change),
            _ => None,
        };
        records.into_iter().filter_map(|record| change(record.event)).collect()
    }

    fn taken(&self) -> Vec<Term> {
        let term = |change: &Change| match change {
            Change::Taken { term, .. } => Some(*term),
            _ => None,
        };
        self.changes().iter().filter_map(term).collect()
    }
}

fn wait<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(instead) => assert!(begun.elapsed() < LONG, "{what} did not come: {instead}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn is(yes: bool, else_what: impl FnOnce() -> String) -> Result<(), String> {
    if yes { Ok(()) } else { Err(else_what()) }
}

macro_rules! etcd {
    ($folder:expr, $members:expr) => {
        match Etcd::start(&$folder.0, $members) {
            Some(etcd) => etcd,
            None => return,
        }
    };
}

#[test]
fn the_first_has_it_and_the_next_one_takes_it_over_with_the_past_when_that_one_is_gone() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    first.note(0, "before");
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config(&etcd), 1);
    wait("it hears of the first, and of where the cluster stands", || {
        let duty = second.view(0).duty;
        let said = matches!(&duty, Duty::NotHeld(why) if why.contains("vp1"));
        is(said && second.noted(0).as_deref() == Some("before"), || format!("{duty:?}"))
    });
    first.note(0, "at last");
    first.admit(0, term).unwrap();
    first.crash();
    let next = second.wait_held(0);
    assert!(next > term);
    assert_eq!(
        second.noted(0).as_deref(),
        Some("at last"),
        "what a step was admitted with is known"
    );
    let taken = second.changes().into_iter().find_map(|change| match change {
        Change::Taken { grantor, past, .. } => Some((grantor, past.is_some())),
        _ => None,
    });
    assert_eq!(taken, Some((Grantor::Lease, true)));
    second.admit(0, next).unwrap();
    assert!(second.admit(0, term).is_err(), "an older term");
}

#[test]
fn a_check_asks_etcd_if_it_is_to() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let runtime = Runtime::new().unwrap();
    let check = |config: &EtcdConfig, connect| runtime.block_on(check(config, connect));
    check(&config(&etcd), true).unwrap();
    let nowhere = EtcdConfig { endpoints: vec!["http://127.0.0.1:1".to_owned()], ..config(&etcd) };
    check(&nowhere, false).unwrap();
    let refused = check(&nowhere, true).unwrap_err();
    assert!(refused.contains("127.0.0.1:1"), "{refused}");
    assert!(refused.contains("the duty cannot be shared through etcd"), "{refused}");
}

#[test]
fn who_cannot_take_it_is_not_given_it_again_and_again() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    // It has seen terms that etcd will not reach.
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config(&etcd), 0);
    for number in 0..2 {
        second.record(number, Event::Duty(Change::Declined { term: Term(u64::MAX / 2) }));
    }
    second.stop();
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 2);
    // Or the other one tries its share while it is free, and that is not given to it any more.
    first.wait_held(0);
    first.wait_held(1);
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config(&etcd), 2);
    // Each of both is given away for balance, once, and taken again.
    let taken = || first.taken().len();
    wait("it takes back what is not taken", || is(taken() == 4, || format!("{}", taken())));
    std::thread::sleep(Duration::from_secs(14));
    assert_eq!(taken(), 4);
    assert!(second.taken().is_empty());
    assert!(first.held(0).is_some() && first.held(1).is_some());
}

#[test]
fn what_one_monitor_sees_of_a_server_another_hears() {
    let folder = Folder::new();
    let Some(etcd) = Etcd::start(&folder.0, 1) else { return };
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config(&etcd), 1);
    let dm1 = ServerName::new("dm1").unwrap();
    let sees = |monitor: &Monitor, found| {
        let servers = [(dm1.clone(), (found, Instant::now().into()))].into();
        monitor.duties.sights().saw(&cluster(0), servers);
    };
    let hears =
        |monitor: &Monitor| monitor.duties.sights().of(&cluster(0), &dm1, Instant::now().into());
    let begun = Instant::now();
    sees(&first, Found::Alive);
    sees(&second, Found::Silent);
    let (from, found, at) = wait("what vp1 sees", || {
        sees(&first, Found::Alive);
        hears(&second).pop().ok_or_else(String::new)
    });
    assert_eq!((from.as_str(), found), ("vp1", Found::Alive));
    assert!(at.into_std() >= begun, "it seems older than it is");
    let (from, found, _) = wait("what vp2 sees", || hears(&first).pop().ok_or_else(String::new));
    assert_eq!((from.as_str(), found), ("vp2", Found::Silent));
}

#[test]
fn a_stop_in_good_order_passes_it_on_at_once() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    // A lease that would last longer than this test waits.
    let config = EtcdConfig { lease: 3 * LONG, ..config(&etcd) };
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config, 2);
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config, 2);
    first.wait_held(0);
    first.note(0, "it");
    first.stop();
    second.wait_held(0);
    second.wait_held(1);
    assert_eq!(second.noted(0).as_deref(), Some("it"));
}

#[test]
fn a_restart_takes_its_own_key_over_and_does_not_wait_for_its_lease() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let config = EtcdConfig { lease: 3 * LONG, ..config(&etcd) };
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config, 1);
    let term = first.wait_held(0);
    first.note(0, "it");
    first.crash();
    let again = Monitor::start(&folder.0.join("a"), "vp1", &config, 1);
    let next = again.wait_held(0);
    assert!(next > term, "a term of its own");
    let last = again.changes().pop();
    assert!(matches!(last, Some(Change::Taken { past: None, .. })), "it knows by itself: {last:?}");
    again.admit(0, next).unwrap();
}

#[test]
fn a_second_daemon_of_the_same_name_is_named_and_takes_nothing() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    let second = Monitor::start(&folder.0.join("b"), "vp1", &config(&etcd), 1);
    let said = second.wait_claim("duty-conflict");
    assert!(said.contains("vp1") && said.contains(first.ledger.journal().id()), "{said}");
    first.admit(0, term).unwrap();
    assert!(second.changes().is_empty());
    first.stop();
    second.wait_held(0);
}

#[test]
fn who_has_lost_the_key_is_refused_by_etcd_whatever_it_believes() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    first.admit(0, term).unwrap();
    let key = "/watchkeeper/clusters/cluster0/duty";
    assert_eq!(etcd.ctl(&["del", key]), "1");
    let refused = first.admit(0, term).unwrap_err();
    assert!(refused.contains(&format!("{}", term.0)), "{refused}");
    // Nobody else is there: it is taken again, in a new term.
    wait("a new term", || is(first.held(0).is_some_and(|it| it > term), String::new));
    assert!(first.admit(0, term).is_err());
}

#[test]
fn without_etcd_nothing_is_held_and_with_it_it_goes_on() {
    let folder = Folder::new();
    let mut etcd = etcd!(folder, 1);
    // Its tenth is how late this test may notice.
    let lease = 3 * LEASE;
    let config = EtcdConfig { lease, ..config(&etcd) };
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config, 1);
    let term = first.wait_held(0);
    let began = Instant::now();
    etcd.kill(0);
    wait("doubt", || {
        let duty = first.view(0).duty;
        is(matches!(duty, Duty::Uncertain(_)), || format!("{duty:?}"))
    });
    assert!(began.elapsed() < lease, "before the lease is over: {:?}", began.elapsed());
    let said = first.wait_claim("duty-uncertain");
    assert!(said.contains(&etcd.endpoints()[0]) && said.contains("nothing is done"), "{said}");
    assert!(first.admit(0, term).is_err());
    etcd.launch(0);
    etcd.wait_ready();
    // After a restart of etcd the lease may still be there; then the term is the old one.
    let next = first.wait_held(0);
    assert!(next >= term);
    first.admit(0, next).unwrap();
    assert!(first.view(0).claims.is_empty());
    assert_eq!(*first.taken().last().unwrap(), next);
}

#[test]
fn a_lease_that_is_gone_is_followed_by_a_new_one_and_a_new_term() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    let leases = etcd.ctl(&["lease", "list"]);
    let lease = leases.lines().last().unwrap().to_owned();
    etcd.ctl(&["lease", "revoke", &lease]);
    let next = wait("a new term", || first.held(0).filter(|it| *it > term).ok_or_else(String::new));
    let left =
        first.changes().iter().any(|it| matches!(it, Change::Left { term: it, .. } if *it == term));
    assert!(left, "{:?}", first.changes());
    first.admit(0, next).unwrap();
}

#[test]
fn without_etcd_at_the_start_it_doubts_and_takes_the_duty_when_etcd_comes() {
    let folder = Folder::new();
    let mut etcd = etcd!(folder, 1);
    etcd.kill(0);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    first.wait_claim("duty-uncertain");
    etcd.launch(0);
    first.wait_held(0);
}

#[test]
fn three_share_and_what_one_leaves_goes_to_the_others() {
    const CLUSTERS: usize = 12;
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let config = config(&etcd);
    let monitor = |name: &str| Monitor::start(&folder.0.join(name), name, &config, CLUSTERS);
    let mut monitors = vec![monitor("vp1")];
    wait("all are held", || {
        is((0..CLUSTERS).all(|it| monitors[0].held(it).is_some()), String::new)
    });
    monitors.extend([monitor("vp2"), monitor("vp3")]);
    let held = |monitors: &[Monitor]| -> Vec<usize> {
        let own = |it: &Monitor| (0..CLUSTERS).filter(|number| it.held(*number).is_some()).count();
        monitors.iter().map(own).collect()
    };
    wait("balance", || {
        let held = held(&monitors);
        is(held == [4, 4, 4], || format!("{held:?}"))
    });
    monitors.pop().unwrap().crash();
    wait("two have all", || {
        let held = held(&monitors);
        is(held.iter().sum::<usize>() == CLUSTERS, || format!("{held:?}"))
    });
    let mut terms: Vec<Term> = monitors.iter().flat_map(Monitor::taken).collect();
    let all = terms.len();
    terms.sort_unstable();
    terms.dedup();
    assert_eq!(terms.len(), all, "no term was granted twice");
}

#[test]
fn operators_move_it_and_it_stays_there() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    let refused = first.order(0, Wish::Give).unwrap_err();
    assert!(refused.contains("no other monitor"), "{refused}");
    let second = Monitor::start(&folder.0.join("b"), "vp2", &config(&etcd), 1);
    wait("it is there", || {
        is(matches!(second.view(0).duty, Duty::NotHeld(ref it) if it.contains("vp1")), String::new)
    });
    let said = second.order(0, Wish::Take { force: false }).unwrap();
    assert!(said.contains("vp1 has given it away"), "{said}");
    let moved = second.wait_held(0);
    assert!(moved > term && first.held(0).is_none());
    assert!(second.order(0, Wish::Cancel).is_err());
    let said = second.order(0, Wish::Give).unwrap();
    assert!(said.contains("vp1"), "{said}");
    let back = first.wait_held(0);
    let said = second.order(0, Wish::Take { force: true }).unwrap();
    assert!(said.contains("taken"), "{said}");
    assert!(first.admit(0, back).is_err());
    let by_force = second.changes().into_iter().rev().find_map(|change| match change {
        Change::Taken { grantor, .. } => Some(grantor),
        _ => None,
    });
    assert!(matches!(by_force, Some(Grantor::Operator { by, .. }) if by == "alice"));
}

/// On the way to etcd: hands everything on, but no answer to a question about `key` while it is `deaf`. What is asked
/// is done, and its connection ends.
struct Way {
    deaf: Arc<AtomicBool>,
    endpoint: String,
}

impl Way {
    fn to(etcd: &Etcd, key: &str) -> Self {
        let deaf = Arc::new(AtomicBool::new(false));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let behind = etcd.endpoints().remove(0).replace("http://", "");
        let (ear, key) = (Arc::clone(&deaf), STANDARD.encode(key));
        std::thread::spawn(move || {
            for near in listener.incoming() {
                let (near, far) = (near.unwrap(), TcpStream::connect(&behind).unwrap());
                let lost = Arc::new(AtomicBool::new(false));
                let (key, ear, seen) = (key.clone(), Arc::clone(&ear), Arc::clone(&lost));
                let asks = (near.try_clone().unwrap(), far.try_clone().unwrap());
                std::thread::spawn(move || {
                    pass(asks.0, asks.1, |asked| {
                        let asked = String::from_utf8_lossy(asked);
                        if ear.load(Ordering::SeqCst) && asked.contains(&key) {
                            seen.store(true, Ordering::SeqCst);
                        }
                        true
                    });
                });
                std::thread::spawn(move || pass(far, near, |_| !lost.load(Ordering::SeqCst)));
            }
        });
        Self { deaf, endpoint }
    }
}

/// Hands on what comes, until it ends or is not `wanted`.
fn pass(mut from: TcpStream, mut to: TcpStream, wanted: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 16_384];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if !wanted(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    for end in [from, to] {
        // It may have ended already.
        let _ = end.shutdown(Shutdown::Both);
    }
}

/// Whoever gave the word, and whatever became of etcd's answer: the journal says whose word it was.
#[test]
fn a_take_by_force_is_the_operator_s_word_also_if_etcd_s_answer_is_lost() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    let way = Way::to(&etcd, "/watchkeeper/clusters/cluster0/duty");
    let through = EtcdConfig { endpoints: vec![way.endpoint.clone()], ..config(&etcd) };
    let second = Monitor::start(&folder.0.join("b"), "vp2", &through, 1);
    wait("it is there", || {
        is(matches!(second.view(0).duty, Duty::NotHeld(ref it) if it.contains("vp1")), String::new)
    });
    way.deaf.store(true, Ordering::SeqCst);
    let said = second.order(0, Wish::Take { force: true }).unwrap_err();
    assert!(said.contains("may be taken or not"), "{said}");
    wait("etcd has carried it out", || {
        is(first.held(0).is_none(), || format!("{:?}", first.view(0)))
    });
    way.deaf.store(false, Ordering::SeqCst);
    assert!(second.wait_held(0) > term);
    let granted = second.changes().into_iter().find_map(|change| match change {
        Change::Taken { grantor, .. } => Some(grantor),
        _ => None,
    });
    assert!(matches!(&granted, Some(Grantor::Operator { by, .. }) if by == "alice"), "{granted:?}");
}

#[test]
fn what_is_too_large_for_etcd_is_named_and_no_step_is_begun() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let term = first.wait_held(0);
    let remember = |bytes| Event::Remembered {
        policy: PolicyName::new("hoarder").unwrap(),
        version: "1".to_owned(),
        state: vec![0; bytes],
    };
    first.record(0, remember(1 << 20));
    let refused = first.admit(0, term).unwrap_err();
    assert!(refused.contains("large"), "{refused}");
    let said = first.wait_claim("duty-unshared");
    assert!(said.contains("what hoarder remembers"), "{said}");
    first.record(0, remember(10));
    first.admit(0, term).unwrap();
    wait("no claim", || is(first.view(0).claims.is_empty(), || format!("{:?}", first.view(0))));
}

#[test]
fn an_etcd_whose_revisions_are_behind_the_journal_grants_nothing() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let held = first.wait_held(0);
    let later = Term(1_000_000);
    let left = Change::Left { term: later, holder: None, why: "a later term was seen".to_owned() };
    first.record(0, Event::Duty(left));
    first.crash();
    let again = Monitor::start(&folder.0.join("a"), "vp1", &config(&etcd), 1);
    let said = again.wait_claim("duty-out-of-term");
    assert!(said.contains("1000000") && said.contains("set up anew"), "{said}");
    assert!(again.admit(0, held).is_err());
}

#[test]
fn a_leader_of_etcd_that_dies_is_ridden_out() {
    let folder = Folder::new();
    let mut etcd = etcd!(folder, 3);
    let config = EtcdConfig { lease: Duration::from_secs(10), ..config(&etcd) };
    let first = Monitor::start(&folder.0.join("a"), "vp1", &config, 1);
    let term = first.wait_held(0);
    etcd.kill(etcd.leader());
    // Asked at once: it is answered as soon as there is a leader again.
    first.admit(0, term).unwrap();
    assert_eq!(first.held(0), Some(term));
}

#[test]
fn a_member_that_is_none_is_passed_over_and_named() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    let garbage = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", garbage.local_addr().unwrap());
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        while let Ok((mut stream, _)) = garbage.accept() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n{\"a\":]");
        }
    });
    let only = EtcdConfig { endpoints: vec![address.clone()], ..config(&etcd) };
    let lost = Monitor::start(&folder.0.join("a"), "vp1", &only, 1);
    let said = lost.wait_claim("duty-uncertain");
    assert!(said.contains(&address), "{said}");
    let both = [vec![address], etcd.endpoints()].concat();
    let config = EtcdConfig { endpoints: both, ..config(&etcd) };
    Monitor::start(&folder.0.join("b"), "vp2", &config, 1).wait_held(0);
}

#[test]
fn logins_are_used_and_a_wrong_one_is_named_without_its_password() {
    let folder = Folder::new();
    let etcd = etcd!(folder, 1);
    for words in [
        "user add root:rootsecret",
        "role add watchkeeper",
        "role grant-permission watchkeeper readwrite --prefix=true /watchkeeper/",
        "user add wk:hunter2hunter2",
        "user grant-role wk watchkeeper",
        "user grant-role root root",
        "auth enable",
    ] {
        etcd.ctl(&words.split(' ').collect::<Vec<_>>());
    }
    let login = |password: &str| Some(("wk".to_owned(), Secret::new(password)));
    let wrong = EtcdConfig { login: login("wrongwrong"), ..config(&etcd) };
    let without = EtcdConfig { login: None, ..config(&etcd) };
    for (name, config) in [("a", wrong), ("b", without)] {
        let monitor = Monitor::start(&folder.0.join(name), "vp1", &config, 1);
        let said = monitor.wait_claim("duty-uncertain");
        assert!(said.contains("refuses the login") && !said.contains("wrongwrong"), "{said}");
        monitor.crash();
    }
    let right = EtcdConfig { login: login("hunter2hunter2"), ..config(&etcd) };
    let first = Monitor::start(&folder.0.join("c"), "vp1", &right, 1);
    let term = first.wait_held(0);
    first.admit(0, term).unwrap();
    let second = Monitor::start(&folder.0.join("d"), "vp2", &right, 1);
    wait("the other is seen", || {
        is(matches!(second.view(0).duty, Duty::NotHeld(ref it) if it.contains("vp1")), String::new)
    });
    first.stop();
    second.wait_held(0);
}

/// An authority, and a certificate of it for 127.0.0.1.
fn certificates(folder: &Path, name: &str) -> Certificates {
    let file = |what: &str| folder.join(format!("{name}.{what}"));
    let openssl = |words: &[&str]| {
        let output = Command::new("openssl").args(words).output().expect("openssl");
        assert!(output.status.success(), "{output:?}");
    };
    let text = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let (ca, ca_key) = (file("ca.pem"), file("ca.key"));
    let (certificate, key, request) = (file("pem"), file("key"), file("csr"));
    let new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority = ["req", "-x509", "-subj", "/CN=ca", "-days", "2", "-keyout"];
    openssl(&[&authority[..], &[&text(&ca_key), "-out", &text(&ca)], &new].concat());
    let asked = ["req", "-subj", "/CN=etcd", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout"];
    openssl(&[&asked[..], &[&text(&key), "-out", &text(&request)], &new].concat());
    openssl(&[
        "x509",
        "-req",
        "-in",
        &text(&request),
        "-CA",
        &text(&ca),
        "-CAkey",
        &text(&ca_key),
        "-CAcreateserial",
        "-days",
        "2",
        "-copy_extensions",
        "copyall",
        "-out",
        &text(&certificate),
    ]);
    Certificates { certificate, key, ca, ask_clients: true }
}

#[test]
fn certificates_are_shown_and_checked() {
    let folder = Folder::new();
    let (own, other) = (certificates(&folder.0, "own"), certificates(&folder.0, "other"));
    let Some(etcd) = Etcd::start_with(&folder.0, 1, Some(own.clone())) else { return };
    let identity = Some((own.certificate.clone(), own.key.clone()));
    let good = EtcdConfig { ca: Some(own.ca), identity, ..config(&etcd) };
    let strange = EtcdConfig { ca: Some(other.ca), ..good.clone() };
    let nameless = EtcdConfig { identity: None, ..good.clone() };
    for (name, config) in [("a", strange), ("b", nameless)] {
        let monitor = Monitor::start(&folder.0.join(name), "vp1", &config, 1);
        let said = monitor.wait_claim("duty-uncertain");
        assert!(said.contains("certificate") || said.contains("does not answer"), "{said}");
    }
    let first = Monitor::start(&folder.0.join("c"), "vp1", &good, 1);
    let term = first.wait_held(0);
    first.admit(0, term).unwrap();
    let missing = EtcdConfig { ca: Some(folder.0.join("missing.pem")), ..good };
    let refused = Monitor::try_start(&folder.0.join("d"), "vp1", &missing, 1).err().unwrap();
    let said = watchkeeper::errors::chain(&refused);
    assert!(said.contains("missing.pem"), "{said}");
}
