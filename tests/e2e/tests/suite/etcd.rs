//! Two monitors that share the duty through a real etcd. Without etcd on this machine each test says
//! so and ends.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};
use watchkeeper::api::StatusReport;
use watchkeeper::journal::{Query, Reader};
use watchkeeper_core::duty::Change;
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::{Service, Timestamp};
use watchkeeper_core::plan::Act;
use watchkeeper_site::etcd::Etcd;

use crate::harness::{Daemon, LONG, World, cluster};

/// A lease that a busy machine renews in time.
const LEASE: &str = "6s";

/// Two monitors, and the etcd between them. VP1 has the duty.
struct Two {
    world: World,
    second: Daemon,
    etcd: Etcd,
}

impl Two {
    async fn start() -> Option<Self> {
        Self::start_with(LEASE).await
    }

    async fn start_with(lease: &str) -> Option<Self> {
        let mut world = World::prepare_with(|site| {
            site.start_delay = Duration::from_millis(300);
        })
        .await;
        let folder = world.path("etcd");
        std::fs::create_dir_all(&folder).unwrap();
        let etcd = tokio::task::spawn_blocking(move || Etcd::start(&folder, 1)).await.unwrap()?;
        world.config.setting("rescue-attempts", 0);
        world.config.set("duty.observe", "0s");
        world.config.set("duty.etcd.endpoints", etcd.endpoints());
        world.config.set("duty.etcd.lease", lease);
        world.run().await;
        world.wait_for("VP1 has the duty", |status| cluster(status).duty.held).await;
        let second = second(&world);
        let two = Self { world, second, etcd };
        two.wait_second("VP2 watches", |status| {
            let cluster = cluster(status);
            cluster.evaluations > 0
                && cluster.duty.holder.as_ref().is_some_and(|it| it.as_str() == "vp1")
        })
        .await;
        Some(two)
    }

    /// Waits until VP2's status is as `wanted`.
    async fn wait_second(&self, what: &str, wanted: impl Fn(&StatusReport) -> bool) {
        let begun = Instant::now();
        loop {
            let status = self.second.status().await.filter(|it| !it.clusters.is_empty());
            if status.as_ref().is_some_and(&wanted) {
                return;
            }
            let log = || std::fs::read_to_string(self.world.path("second.log")).unwrap_or_default();
            assert!(begun.elapsed() < LONG, "{what} did not come: {status:#?}\n{}", log());
            sleep(Duration::from_millis(25)).await;
        }
    }

    /// Everything in VP2's journal.
    fn second_journal(&self) -> Vec<Record> {
        let reader = Reader::open(&self.world.path("second/journal.db")).unwrap();
        reader.read_now(&Query { limit: 10_000, ..Query::default() }).unwrap()
    }

    /// VP2 has completed what VP1 began, once, and the sides were never active at once.
    async fn assert_completed_once(&self) {
        self.wait_second("the end of the failover", |status| {
            cluster(status).phase == "active on secondary"
        })
        .await;
        self.world.assert_secondary_serves().await;
        self.world.assert_never_both();
        for service in [Service::Activemq, Service::Daemon, Service::Rest] {
            assert_eq!(self.world.site.starts("dm2", service), 1, "{service}");
            assert!(!self.world.site.is_running("dm1", service), "{service}");
        }
        let (first, second) = (self.world.journal(), self.second_journal());
        let changes = |journal: &[Record]| {
            let begun = journal.iter().filter(|record| match &record.event {
                Event::PlanBegun(plan) => plan.kind.changes_side(),
                _ => false,
            });
            begun.count()
        };
        assert_eq!((changes(&first), changes(&second)), (1, 0), "VP2 went on with VP1's plan");
        let endings = |journal: &[Record]| -> Vec<PlanEnding> {
            let ending = |record: &Record| match &record.event {
                Event::PlanEnded { ending, .. } => Some(ending.clone()),
                _ => None,
            };
            journal.iter().filter_map(ending).collect()
        };
        assert_eq!(endings(&first), []);
        assert_eq!(endings(&second), [PlanEnding::Completed]);
        let taken = second.iter().any(|record| match &record.event {
            Event::Duty(Change::Taken { past: Some(past), .. }) => past.progress.is_some(),
            _ => false,
        });
        assert!(taken, "with the plan in flight");
    }
}

/// A second daemon on the same site: VP2, with a folder of its own for what it keeps.
fn second(world: &World) -> Daemon {
    let mut config = world.config.clone();
    config.set("monitor.name", "vp2").set("monitor.state-dir", "second");
    config.set("monitor.socket", "second.sock").set("guests.cache", "second-cache");
    let path: PathBuf = world.path("second.toml");
    config.write(&path);
    let (socket, log) = (world.path("second.sock"), world.path("second.log"));
    Daemon::start(&path, &socket, &log, &world.filter, &[])
}

fn starts(act: &Act) -> bool {
    matches!(act, Act::StartService(id) if id.service == Service::Activemq)
}

/// VP2 goes on where VP1 stood, with VP1's plan.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp1_killed_in_a_failover_is_followed_by_vp2_with_the_same_plan() {
    let Some(mut two) = Two::start().await else { return };
    two.world.break_service("dm1", Service::Daemon).await;
    two.world.wait_intended("a start", starts).await;
    two.world.kill9().await;
    two.assert_completed_once().await;
}

/// A monitor that is stopped where it is, and comes back after it was replaced, does nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp1_that_comes_back_after_it_was_replaced_does_nothing() {
    let Some(mut two) = Two::start().await else { return };
    two.world.break_service("dm1", Service::Daemon).await;
    two.world.wait_intended("a start", starts).await;
    two.world.daemon().signal(Signal::SIGSTOP);
    two.assert_completed_once().await;
    two.world.daemon().signal(Signal::SIGCONT);
    two.world
        .wait_for("VP1 knows that VP2 has it", |status| {
            let cluster = cluster(status);
            !cluster.duty.held
                && cluster.duty.holder.as_ref().is_some_and(|it| it.as_str() == "vp2")
        })
        .await;
    two.world.let_pass(5).await;
    two.assert_completed_once().await;
}

/// Stopped in good order in the middle of a plan, VP1 leaves the rest to VP2, at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp1_stopped_in_a_failover_hands_the_rest_over() {
    let Some(mut two) = Two::start().await else { return };
    two.world.break_service("dm1", Service::Daemon).await;
    two.world.wait_intended("a start", starts).await;
    two.world.stop().await;
    two.assert_completed_once().await;
}

/// Without etcd nobody acts and people are told; with it, what was due is done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_etcd_nothing_is_done_and_people_are_told() {
    let Some(mut two) = Two::start().await else { return };
    two.etcd.kill(0);
    two.world.wait_alert("duty-uncertain").await;
    two.world.wait_taken("duty-uncertain", "firing").await;
    two.world.break_service("dm1", Service::Daemon).await;
    two.world.wait_for("it is seen", |status| !cluster(status).alerts.is_empty()).await;
    two.world.let_pass(10).await;
    two.world.assert_nothing_started_on_secondary();
    assert!(two.world.changes().is_empty());
    two.etcd.launch(0);
    two.world.wait_no_alert("duty-uncertain").await;
    two.wait_second("either of them fails over", |status| {
        cluster(status).phase == "active on secondary"
    })
    .await;
    two.world.assert_secondary_serves().await;
    two.world.assert_never_both();
}

/// How long the duty takes to pass from a monitor that is killed to the record of its being taken by
/// the other: ten times. The figures are for docs/benchmarks.md.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement, of about two minutes"]
async fn how_long_a_takeover_takes() {
    const RUNS: u64 = 10;
    let Some(mut two) = Two::start_with("5s").await else { return };
    let mut took = Vec::new();
    for run in 0..RUNS {
        // So that each run meets the lease at another age.
        sleep(Duration::from_millis(1_000 + run * 170)).await;
        let killed = watchkeeper::clock::now();
        let journal = if run % 2 == 0 {
            two.world.kill9().await;
            two.world.path("second/journal.db")
        } else {
            two.second.signal(Signal::SIGKILL);
            two.world.journal_path()
        };
        let taken = taken_since(&journal, killed).await;
        took.push(taken.0 - killed.0);
        if run % 2 == 0 {
            two.world.run().await;
            two.world.wait_for("VP1 is back", |status| is_at(status, "vp2")).await;
        } else {
            two.second = second(&two.world);
            two.wait_second("VP2 is back", |status| is_at(status, "vp1")).await;
        }
    }
    took.sort_unstable();
    println!("kill -9 to the record that it is taken, lease 5 s, in milliseconds: {took:?}");
}

fn is_at(status: &StatusReport, monitor: &str) -> bool {
    cluster(status).duty.holder.as_ref().is_some_and(|it| it.as_str() == monitor)
}

/// When a journal's monitor took the duty, after `since`.
async fn taken_since(journal: &Path, since: Timestamp) -> Timestamp {
    let begun = Instant::now();
    let taken = |record: &Record| {
        record.at >= since && matches!(record.event, Event::Duty(Change::Taken { .. }))
    };
    loop {
        let reader = Reader::open(journal).unwrap();
        let records = reader.read_now(&Query { limit: 10_000, ..Query::default() }).unwrap();
        if let Some(record) = records.iter().find(|record| taken(record)) {
            return record.at;
        }
        assert!(begun.elapsed() < LONG, "it is not taken");
        sleep(Duration::from_millis(50)).await;
    }
}
