//! What the journal promises: order, durability, the fold, and that damaged is not empty.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, clippy::unnecessary_wraps)]

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use watchkeeper::journal::{
    Damage, Events, Health, Journal, JournalError, Query, Reader, kind, verify,
};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::facts::{Observation, ProbeId, Reason, ReasonCode, Value};
use watchkeeper_core::model::{
    ClusterName, MonitorName, ServerName, Side, Status, Term, Timestamp,
};
use watchkeeper_core::state::State;

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watchkeeper-records-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn journal(&self) -> PathBuf {
        self.0.join("journal.db")
    }

    fn file(&self, suffix: &str) -> PathBuf {
        self.0.join(format!("journal.db{suffix}"))
    }

    /// The files of this moment: what a process that is killed now leaves behind.
    fn crash(&self) -> Self {
        let crashed = Self::new();
        for suffix in ["", "-wal", ".head"] {
            std::fs::copy(self.file(suffix), crashed.file(suffix)).unwrap();
        }
        crashed
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn try_open(path: &Path) -> Result<(Journal, State), JournalError> {
    Journal::open(path, &MonitorName::new("vp1").unwrap(), Timestamp(1))
}

fn open(path: &Path) -> (Journal, State) {
    try_open(path).unwrap()
}

fn prod() -> Option<ClusterName> {
    Some(ClusterName::new("prod").unwrap())
}

fn observed(took_ms: u64) -> Event {
    observed_with(took_ms, 0.5)
}

fn observed_with(took_ms: u64, load: f64) -> Event {
    let server = ServerName::new("dm1").unwrap();
    Event::Observed(Observation {
        probe: ProbeId { server, service: None, name: "ssh".into() },
        status: Status::Up,
        reason: Reason::new(ReasonCode::Serving, "the command answered within its time"),
        at: Timestamp(5),
        took_ms,
        values: [("load".into(), Value::Number(load))].into(),
    })
}

fn remembered(state: u8) -> Event {
    let policy = "data-mover-ha".parse().unwrap();
    Event::Remembered { policy, version: "1".into(), state: vec![state] }
}

fn numbers(records: &[Record]) -> Vec<u64> {
    records.iter().map(|record| record.seq).collect()
}

async fn fill(journal: &Journal, count: u64) {
    for n in 0..count {
        journal.append(Timestamp(n), vec![(prod(), observed(n))]).await.unwrap();
    }
}

#[tokio::test]
async fn a_reopened_journal_is_where_it_was() {
    let folder = Folder::new();
    let (journal, mut state) = open(&folder.journal());
    assert_eq!(state, State::default());
    let id = journal.id().to_owned();
    let started = Event::MonitorStarted { monitor: "vp1".parse().unwrap(), version: "1".into() };
    let events = vec![(None, started), (prod(), remembered(7)), (prod(), observed(3))];
    let records = journal.append(Timestamp(10), events.clone()).await.unwrap();
    assert_eq!(numbers(&records), [1, 2, 3]);
    for (record, (cluster, event)) in records.iter().zip(&events) {
        assert_eq!((record.at, &record.cluster, &record.event), (Timestamp(10), cluster, event));
        state.apply(record).unwrap();
    }
    journal.close().await;
    let closed = journal.append(Timestamp(11), vec![(None, observed(1))]).await;
    assert!(matches!(closed, Err(JournalError::Closed)));

    let (journal, again) = open(&folder.journal());
    assert_eq!(again, state);
    assert_eq!(journal.id(), id);
    assert_eq!(journal.read(Query::default()).await.unwrap(), records);
    assert_eq!(verify(&folder.journal()).unwrap().state, state);
}

#[tokio::test]
async fn what_was_answered_survives_a_crash() {
    let folder = Folder::new();
    let (journal, mut state) = open(&folder.journal());
    for n in 0..10 {
        for record in journal.append(Timestamp(n), vec![(prod(), observed(n))]).await.unwrap() {
            state.apply(&record).unwrap();
        }
        assert_eq!(open(&folder.crash().journal()).1, state);
    }
}

#[tokio::test]
async fn appends_at_the_same_time_each_stay_together() {
    let folder = Folder::new();
    let (journal, state) = open(&folder.journal());
    let mut follower = journal.follow(state.seq).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..100 {
        let journal = journal.clone();
        tasks.spawn(async move {
            let events: Events = (0..3).map(|i| (prod(), observed(n * 10 + i))).collect();
            journal.append(Timestamp(n), events).await.unwrap()
        });
    }
    let mut answered = tasks.join_all().await;
    answered.sort_by_key(|records| records[0].seq);
    let answered: Vec<_> = answered.into_iter().flatten().collect();
    assert_eq!(numbers(&answered), (1..=300).collect::<Vec<_>>());
    assert_eq!(follower.ready().await.unwrap(), answered);
    assert_eq!(journal.read(Query::default()).await.unwrap(), answered);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_alone() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    journal.append(Timestamp(1), vec![(prod(), remembered(1))]).await.unwrap();
    let step = Event::StepIntended { plan: 1, step: 0, attempt: 1, term: Term(0) };
    let misfit = vec![(prod(), remembered(2)), (prod(), step)];
    let (a, b, d) = tokio::join!(
        journal.append(Timestamp(2), misfit),
        journal.append(Timestamp(2), vec![(prod(), remembered(3))]),
        journal.append(Timestamp(2), vec![(prod(), remembered(4))]),
    );
    assert!(matches!(a, Err(JournalError::Misfit(_))), "{a:?}");
    assert_eq!((b.unwrap()[0].seq, d.unwrap()[0].seq), (2, 3));
    journal.close().await;
    let (_, state) = open(&folder.journal());
    assert_eq!(state.seq, 3);
    let cluster = state.cluster(&prod().unwrap());
    assert_eq!(cluster.memories.values().next().unwrap().state, vec![4]);
}

#[tokio::test]
async fn a_follower_misses_nothing_however_late_it_comes() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    let mut early = journal.follow(0).await.unwrap();
    // More batches than a follower's queue holds.
    fill(&journal, 1_100).await;
    let mut late = journal.follow(1_000).await.unwrap();
    fill(&journal, 1).await;
    assert_eq!(numbers(&early.ready().await.unwrap()), (1..=1_101).collect::<Vec<_>>());
    assert_eq!(numbers(&late.next().await.unwrap()), (1_001..=1_100).collect::<Vec<_>>());
    assert_eq!(numbers(&late.next().await.unwrap()), [1_101]);
    journal.close().await;
    assert!(matches!(late.next().await, Err(JournalError::Closed)));
}

#[tokio::test]
async fn questions_are_answered_by_range_cluster_and_kind() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    for n in 1..=10_u64 {
        let cluster = if n % 2 == 0 { prod() } else { None };
        let applied = Event::ConfigurationApplied { digest: n.to_string() };
        let event = if n % 5 == 0 { applied } else { observed(n) };
        journal.append(Timestamp(n * 100), vec![(cluster, event)]).await.unwrap();
    }
    let ask = async |query: Query| numbers(&journal.read(query).await.unwrap());
    let all = Query::default;
    assert_eq!(ask(Query { after: 7, up_to: Some(9), ..all() }).await, [8, 9]);
    let since = Query { since: Some(Timestamp(300)), until: Some(Timestamp(500)), ..all() };
    assert_eq!(ask(since).await, [3, 4]);
    assert_eq!(ask(Query { cluster: prod(), ..all() }).await, [2, 4, 6, 8, 10]);
    let kinds = vec!["configuration-applied".to_owned(), "alert-fired".to_owned()];
    assert_eq!(ask(Query { kinds, ..all() }).await, [5, 10]);
    assert_eq!(ask(Query { newest: true, limit: 2, ..all() }).await, [9, 10]);
    assert_eq!(ask(Query { limit: 2, ..all() }).await, [1, 2]);
    // A second program reads while the daemon runs.
    let reader = Reader::open(&folder.journal()).unwrap();
    assert_eq!(numbers(&reader.read_now(&Query { after: 9, ..all() }).unwrap()), [10]);
}

#[tokio::test]
async fn an_administrator_can_read_it_with_sqlite3_while_the_daemon_runs() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    let declared =
        Event::Declared { side: Side::Primary, by: "kim".into(), reason: "new site".into() };
    let events = vec![(prod(), observed(3)), (prod(), declared)];
    journal.append(Timestamp(1_772_333_998_123), events).await.unwrap();
    let sql = "SELECT server, probe, status, reason, took_ms FROM observations; \
               SELECT at, cluster, kind FROM events WHERE seq = 2; \
               SELECT count(*) FROM decisions, steps, alerts, notifications;";
    let output = std::process::Command::new("sqlite3")
        .arg("-readonly")
        .arg(folder.journal())
        .arg(sql)
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no sqlite3 here");
        return;
    };
    let expected = "dm1|ssh|up|serving|3\n2026-03-01T02:59:58.123Z|prod|declared\n0\n";
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected, "{output:?}");
    fill(&journal, 1).await;
}

#[test]
fn kinds_are_the_words_of_the_json_form() {
    for event in
        [observed(1), remembered(1), Event::NotificationDelivered { id: 1, memory: Vec::new() }]
    {
        assert_eq!(serde_json::to_value(&event).unwrap()["event"], kind(&event));
    }
}

/// A closed journal of five records, after `hurt` has been at it.
async fn damage(hurt: impl FnOnce(&Folder)) -> (Damage, Option<u64>) {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    fill(&journal, 5).await;
    journal.close().await;
    drop(journal);
    hurt(&folder);
    let before = std::fs::read(folder.journal()).ok();
    let checked = verify(&folder.journal()).unwrap_err();
    let error = try_open(&folder.journal()).map(|_| ()).unwrap_err();
    assert!(std::fs::read(folder.journal()).ok() == before, "a damaged journal was changed");
    assert!(error.to_string().contains(folder.0.to_str().unwrap()), "{error}");
    assert!(error.advice().contains("watchkeeper journal verify"));
    match (error, checked) {
        (JournalError::Damaged { source, last_good, .. }, JournalError::Damaged { .. }) => {
            (source, last_good)
        }
        other => panic!("{other:?}"),
    }
}

fn sql(folder: &Folder, sql: &str) {
    rusqlite::Connection::open(folder.journal()).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn damaged_is_not_empty_and_says_how() {
    let hurt = damage(|f| std::fs::remove_file(f.journal()).unwrap()).await;
    assert!(matches!(hurt, (Damage::Lost { written: 5 }, None)), "{hurt:?}");
    let hurt = damage(|f| std::fs::write(f.journal(), "").unwrap()).await;
    assert!(matches!(hurt, (Damage::Empty, None)), "{hurt:?}");
    let hurt = damage(|f| std::fs::write(f.journal(), "x".repeat(20_000)).unwrap()).await;
    assert!(matches!(hurt, (Damage::Foreign, None)), "{hurt:?}");
    let hurt = damage(|f| sql(f, "PRAGMA application_id = 1")).await;
    assert!(matches!(hurt, (Damage::Foreign, None)), "{hurt:?}");
    let cut = |f: &Folder| {
        let file = std::fs::OpenOptions::new().write(true).open(f.journal()).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    };
    let hurt = damage(cut).await;
    assert!(matches!(hurt, (Damage::Truncated { .. }, None)), "{hurt:?}");
    let hurt = damage(|f| sql(f, "DELETE FROM events WHERE seq = 3")).await;
    assert!(matches!(hurt, (Damage::Missing { expected: 3, found: 4 }, Some(2))), "{hurt:?}");
    let hurt = damage(|f| sql(f, "DELETE FROM events WHERE seq >= 4")).await;
    assert!(matches!(hurt, (Damage::Tail { written: 5, found: 3 }, Some(3))), "{hurt:?}");
    for change in ["at = 'x'", "at_ms = 9", "cluster = NULL", "kind = 'x'", "body = '{}'"] {
        let hurt = damage(|f| sql(f, &format!("UPDATE events SET {change} WHERE seq = 4"))).await;
        assert!(matches!(hurt, (Damage::Altered { seq: 4 }, Some(3))), "{change}: {hurt:?}");
    }
    let hurt = damage(|f| std::fs::write(f.file(".head"), "x").unwrap()).await;
    assert!(matches!(hurt, (Damage::Head { .. }, _)), "{hurt:?}");
    let hurt = damage(|f| {
        // Zeros over everything behind the first page.
        let mut bytes = std::fs::read(f.journal()).unwrap();
        bytes[4096..].fill(0);
        std::fs::write(f.journal(), bytes).unwrap();
    })
    .await;
    assert!(matches!(hurt, (Damage::Unreadable(_), _)), "{hurt:?}");
}

#[tokio::test]
async fn another_journal_in_its_place_is_noticed() {
    let other = Folder::new();
    let (journal, _) = open(&other.journal());
    fill(&journal, 9).await;
    journal.close().await;
    let hurt = damage(|f| assert!(std::fs::copy(other.journal(), f.journal()).unwrap() > 0)).await;
    assert!(matches!(hurt, (Damage::Replaced { seq: 5 }, _)), "{hurt:?}");
}

#[tokio::test]
async fn a_removed_write_ahead_file_is_noticed() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    fill(&journal, 5).await;
    let crashed = folder.crash();
    std::fs::remove_file(crashed.file("-wal")).unwrap();
    let error = try_open(&crashed.journal()).map(|_| ()).unwrap_err();
    let JournalError::Damaged { source: Damage::Tail { written: 5, found: 0 }, .. } = error else {
        panic!("{error:?}");
    };
}

#[tokio::test]
async fn a_second_daemon_and_a_newer_format_are_refused() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    let second = try_open(&folder.journal()).map(|_| ());
    assert!(matches!(second, Err(JournalError::InUse { .. })), "{second:?}");
    journal.close().await;
    drop(journal);
    sql(&folder, "PRAGMA user_version = 99");
    let newer = try_open(&folder.journal()).map(|_| ());
    assert!(matches!(newer, Err(JournalError::Newer { found: 99, .. })), "{newer:?}");
}

/// The disk is real and full: a tmpfs of one megabyte, mounted where only this test sees it.
#[tokio::test]
async fn a_full_disk_stops_the_journal_until_there_is_room() {
    const MOUNT: &str = "mount -t tmpfs -o size=1m none \"$WATCHKEEPER_SMALL_DISK\" && exec \"$0\" \
                         --exact a_full_disk_stops_the_journal_until_there_is_room --nocapture";
    let Some(small) = std::env::var_os("WATCHKEEPER_SMALL_DISK") else {
        let folder = Folder::new();
        let output = std::process::Command::new("unshare")
            .args(["--map-root-user", "--mount", "sh", "-c", MOUNT])
            .arg(std::env::current_exe().unwrap())
            .env("WATCHKEEPER_SMALL_DISK", &folder.0)
            .output();
        match output {
            Ok(output) if output.status.success() => {
                assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"), "{output:?}");
            }
            Ok(output) if String::from_utf8_lossy(&output.stdout).is_empty() => {
                eprintln!("skipped: no file system can be mounted here: {output:?}");
            }
            other => panic!("{other:?}"),
        }
        return;
    };
    let path = PathBuf::from(small).join("journal.db");
    let (journal, mut state) = open(&path);
    let ballast = path.with_file_name("ballast");
    std::fs::write(&ballast, vec![0; 600 * 1024]).unwrap();
    let big = Event::ConfigurationRejected { problems: vec!["x".repeat(20_000)] };
    let mut health = journal.health();
    let error = loop {
        match journal.append(Timestamp(1), vec![(None, big.clone()), (None, big.clone())]).await {
            Ok(records) => records.iter().for_each(|record| state.apply(record).unwrap()),
            Err(error) => break error,
        }
        assert!(state.seq < 1_000, "the disk does not get full");
    };
    assert!(matches!(error, JournalError::Write { .. }), "{error:?}");
    assert!(matches!(&*health.borrow_and_update(), Health::Failed { .. }));
    let held = journal.append(Timestamp(2), vec![(None, observed(1))]).await;
    assert!(matches!(held, Err(JournalError::Held { .. })), "{held:?}");
    assert!(journal.retry().await.is_err());
    assert_eq!(verify(&path).unwrap().state, state, "something was half written");
    std::fs::remove_file(ballast).unwrap();
    journal.retry().await.unwrap();
    assert_eq!(*health.borrow_and_update(), Health::Writing);
    let records = journal.append(Timestamp(3), vec![(None, observed(1))]).await.unwrap();
    assert_eq!(records[0].seq, state.seq + 1);
    state.apply(&records[0]).unwrap();
    journal.close().await;
    drop(journal);
    assert_eq!(open(&path).1, state);
}

/// Prints how fast a journal opens; run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "a measurement, not a test"]
async fn opening_speed() {
    let folder = Folder::new();
    let (journal, _) = open(&folder.journal());
    for n in 0..200 {
        let events = (0..1_000).map(|i| (prod(), observed(i))).collect();
        journal.append(Timestamp(n), events).await.unwrap();
    }
    journal.close().await;
    let bytes = std::fs::metadata(folder.journal()).unwrap().len();
    let begin = std::time::Instant::now();
    let (_, state) = open(&folder.journal());
    let took = begin.elapsed();
    println!("{} records of {} bytes opened in {took:?}", state.seq, bytes / state.seq);
}
