//! The daemon's own statements and repository steps against a stand-in site, which answers nothing
//! that it does not know word for word.
//!
//! What this does not cover: whether PostgreSQL itself understands the statements. tests/collect and
//! the lab ask a real one, as does the one test here about what the stand-in does not have.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs)]

#[path = "collect/support.rs"]
#[allow(
    dead_code,
    reason = "made for the probes' tests; a PostgreSQL and a deaf server are enough here"
)]
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use watchkeeper::act::{Equipment, Repository, Suspicions, carry_out};
use watchkeeper::collect::{
    Database, ProbeKind, ProbeSpec, Replication, ReplicationSide, run_once,
};
use watchkeeper::config::duty::{DutyConfig, Mode};
use watchkeeper::duty::Keeper;
use watchkeeper::journal::{Journal, Query};
use watchkeeper::ledger::Ledger;
use watchkeeper::postgres::{Pg, PgTarget, PgTls};
use watchkeeper::secret::Secret;
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::{Outcome, PlanEnding};
use watchkeeper_core::facts::{Observation, ProbeId, Value};
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{
    ClusterName, MonitorName, ServerName, Service, ServiceId, Side, Status, Term, Timestamp,
};
use watchkeeper_core::plan::{Act, OnFailure, OrderedBy, Plan, PlanKind, Step};
use watchkeeper_site::{Lags, Net, Site, SiteConfig};

/// Bounds everything that has to happen.
const SOON: Duration = Duration::from_secs(30);
const NAME: &str = "dm_repository";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watchkeeper-act-{}-{number}", std::process::id());
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

fn server(name: &str) -> ServerName {
    ServerName::new(name).unwrap()
}

fn cluster() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

fn pg(site: &Site, server: &str) -> Pg {
    Pg::new(PgTarget {
        host: site.address(server).unwrap().to_string(),
        port: site.config().ports.repository,
        dbname: "datamover".to_owned(),
        user: "dmuser".to_owned(),
        password: None,
        tls: PgTls::Off,
    })
}

/// A site, and a monitor of it that takes care of the repositories.
struct Bench {
    site: Site,
    ledger: Arc<Ledger>,
    keeper: Keeper,
    _clusters: watch::Sender<BTreeSet<ClusterName>>,
    equipment: Equipment,
    suspicions: Suspicions,
    _folder: Folder,
}

impl Bench {
    async fn new() -> Self {
        let site = Site::start(SiteConfig::new(Net::Unique)).await.unwrap();
        let folder = Folder::new();
        let monitor = MonitorName::new("vp1").unwrap();
        let (journal, state) =
            Journal::open(&folder.0.join("journal.db"), &monitor, Timestamp(1)).unwrap();
        let ledger = Arc::new(Ledger::new(journal, state).await.unwrap());
        let sides = ["dm1", "dm2"];
        let conninfo = |name: &str| {
            let host = site.address(name).unwrap();
            let text = format!("host={host} port=5432 user=dmuser password=hunter2");
            (server(name), Secret::new(text))
        };
        let equipment = Equipment {
            cluster: cluster(),
            servers: BTreeMap::new(),
            controls: BTreeMap::new(),
            probes: BTreeMap::new(),
            fences: BTreeMap::new(),
            marks: false,
            repository: Some(Repository {
                connections: sides.map(|name| (server(name), pg(&site, name))).into(),
                subscription: NAME.to_owned(),
                publication: NAME.to_owned(),
                replication: sides.map(conninfo).into(),
            }),
        };
        let clusters = watch::Sender::new([cluster()].into());
        let config = DutyConfig { mode: Mode::Alone, observe: Duration::ZERO };
        let monitor = MonitorName::new("vp1").unwrap();
        let keeper =
            Keeper::start(&config, monitor, Arc::clone(&ledger), clusters.subscribe()).await;
        let keeper = keeper.unwrap();
        while keeper.duties().of(&cluster()).duty != Duty::Held(Term(0)) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Self {
            site,
            ledger,
            keeper,
            _clusters: clusters,
            equipment,
            suspicions: Suspicions::default(),
            _folder: folder,
        }
    }

    /// Carries out one act, as a plan of its own; gives its last outcome.
    async fn act(&self, act: Act) -> Outcome {
        self.act_within(act, Duration::from_secs(10)).await
    }

    async fn act_within(&self, act: Act, limit: Duration) -> Outcome {
        let state = self.ledger.cluster(&cluster()).await;
        let number = state.next_plan;
        let agent = ServiceId { server: server("dm3"), service: Service::Agent };
        let plan = Plan {
            number,
            cluster: cluster(),
            kind: PlanKind::Rescue(agent),
            term: Term(1),
            from: Side::Primary,
            to: Side::Primary,
            ordered_by: OrderedBy::Operator("the test".to_owned()),
            reason: "to see".to_owned(),
            made: Timestamp(1),
            steps: vec![Step {
                act,
                timeout_ms: u64::try_from(limit.as_millis()).unwrap(),
                attempts: 1,
                retry_delay_ms: 0,
                on_failure: OnFailure::Stop,
            }],
        };
        let begun = vec![(Some(cluster()), Event::PlanBegun(Box::new(plan)))];
        self.ledger.record(begun).await.unwrap();
        let (cluster, duties) = (cluster(), self.keeper.duties());
        let carried = carry_out(&self.ledger, &cluster, &self.equipment, &self.suspicions, &duties);
        let ending = timeout(SOON, carried).await.unwrap().unwrap().unwrap();
        let outcome = self.outcome(number).await;
        let completed = matches!(ending, PlanEnding::Completed);
        assert_eq!(completed, matches!(outcome, Outcome::Done { .. }), "{ending:?} {outcome:?}");
        assert!(!outcome.detail().contains("hunter2"), "{outcome:?}");
        outcome
    }

    /// What the journal holds of the plan's step.
    async fn outcome(&self, number: u64) -> Outcome {
        let records = self.ledger.journal().read(Query::default()).await.unwrap();
        let ended = records.into_iter().filter_map(|record| match record.event {
            Event::StepEnded { plan, outcome, .. } if plan == number => Some(outcome),
            _ => None,
        });
        ended.last().unwrap()
    }
}

#[track_caller]
fn done(outcome: &Outcome, expected: bool) {
    let Outcome::Done { changed, .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(*changed, expected, "{outcome:?}");
}

#[track_caller]
fn failed(outcome: &Outcome, says: &str) {
    let Outcome::Failed { detail } = outcome else { panic!("{outcome:?}") };
    assert!(detail.contains(says), "{detail}");
}

async fn look(kind: ProbeKind) -> Observation {
    let spec = ProbeSpec {
        id: ProbeId { server: server("dm1"), service: None, name: "it".into() },
        kind,
        interval: Duration::from_secs(1),
        confirm_interval: Duration::from_secs(1),
        timeout: Duration::from_secs(10),
    };
    timeout(SOON, run_once(&spec)).await.unwrap()
}

async fn look_at(site: &Site, name: &str, seen_from: ReplicationSide) -> Observation {
    look(ProbeKind::Replication(Replication::new(pg(site, name), seen_from))).await
}

fn detach(name: &str) -> Act {
    Act::DetachRepository { server: server(name) }
}

fn carry(from: &str, to: &str) -> Act {
    Act::CarrySequences { from: server(from), to: server(to) }
}

fn wait_for(from: &str, to: &str) -> Act {
    Act::AwaitReplication { from: server(from), to: server(to) }
}

fn copy(from: &str, to: &str) -> Act {
    Act::CopyRepository { from: server(from), to: server(to) }
}

#[tokio::test]
async fn the_probes_understand_both_sides() {
    let site = Site::start(SiteConfig::new(Net::Unique)).await.unwrap();
    let probe = Database { pg: pg(&site, "dm1"), query: None, writable: true };
    let seen = look(ProbeKind::Database(probe)).await;
    assert_eq!(seen.status, Status::Up, "{seen:?}");
    assert_eq!(seen.values.get("read-only"), Some(&Value::Flag(false)));

    site.set_replication_lags(Lags { sending: 1, receiving: 2, write: 3, replay: 4 });
    for named in [Some(NAME.to_owned()), None] {
        let active = || ReplicationSide::Active { slot: named.clone() };
        let standby = || ReplicationSide::Standby { subscription: named.clone() };
        let seen = look_at(&site, "dm1", active()).await;
        assert_eq!(seen.status, Status::Up, "{seen:?}");
        for (value, bytes) in [
            ("sending-lag-bytes", 1),
            ("receiving-lag-bytes", 2),
            ("write-lag-bytes", 3),
            ("replay-lag-bytes", 4),
            ("lag-bytes", 10),
        ] {
            assert_eq!(seen.values.get(value), Some(&Value::Integer(bytes)), "{value}");
        }
        let seen = look_at(&site, "dm2", standby()).await;
        assert_eq!(seen.status, Status::Up, "{seen:?}");
        assert_eq!(seen.values.get("apply-errors"), Some(&Value::Integer(0)));
        // Asked the wrong way round, neither has anything.
        assert_eq!(look_at(&site, "dm2", active()).await.status, Status::Down);
        assert_eq!(look_at(&site, "dm1", standby()).await.status, Status::Down);
    }
    let other = ReplicationSide::Standby { subscription: Some("other".to_owned()) };
    assert_eq!(look_at(&site, "dm2", other).await.values["configured"], Value::Flag(false));

    site.break_replication(true);
    let seen = look_at(&site, "dm1", ReplicationSide::Active { slot: None }).await;
    assert_eq!(seen.status, Status::Down, "{seen:?}");
    assert_eq!(seen.values["connected"], Value::Flag(false));
    let seen = look_at(&site, "dm2", ReplicationSide::Standby { subscription: None }).await;
    assert_eq!(seen.status, Status::Down, "{seen:?}");
    assert_ne!(seen.values["apply-errors"], Value::Integer(0));
}

#[tokio::test]
async fn a_detached_repository_receives_nothing_and_is_detached_once() {
    let bench = Bench::new().await;
    done(&bench.act(detach("dm2")).await, true);
    assert_eq!(bench.site.subscription("dm2"), Some(false));
    assert_eq!(bench.site.receives_from("dm2"), None);
    done(&bench.act(detach("dm2")).await, false);
    done(&bench.act(detach("dm1")).await, false);
    bench.site.kill("dm2", Service::Repository).await.unwrap();
    failed(&bench.act(detach("dm2")).await, "no connection to PostgreSQL: ");
}

#[tokio::test]
async fn the_standby_is_waited_for_until_it_has_all() {
    let bench = Bench::new().await;
    let Bench { site, .. } = &bench;
    site.set_replication_lag(4_096);
    // Long enough for a busy machine to look at least once.
    let act = bench.act_within(wait_for("dm1", "dm2"), Duration::from_secs(3)).await;
    failed(&act, "dm2/repository is still 4096 bytes behind");
    let waiting = bench.act(wait_for("dm1", "dm2"));
    // Not for the result, which is the same if it is quicker: to let it look more than once.
    let catching_up = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        site.set_replication_lag(0);
    };
    done(&tokio::join!(waiting, catching_up).0, false);
    done(&bench.act(detach("dm2")).await, true);
    let act = bench.act_within(wait_for("dm1", "dm2"), Duration::from_secs(3)).await;
    failed(&act, "is not receiving from dm1");
}

#[tokio::test]
async fn sequences_go_on_where_the_old_side_stopped() {
    let bench = Bench::new().await;
    let Bench { site, .. } = &bench;
    // Numbers that were given out, and whose rows are gone or never were.
    site.set_sequence("dm1", "job_id_seq", 2_000).unwrap();
    done(&bench.act(detach("dm2")).await, true);
    assert!(site.insert_job("dm2").is_err(), "this is what it is for");
    done(&bench.act(carry("dm1", "dm2")).await, true);
    assert_eq!(site.sequence("dm2", "job_id_seq"), Some(2_000));
    assert_eq!(site.sequence("dm2", "task_id_seq"), Some(9_001));
    assert_eq!(site.insert_job("dm2").unwrap(), 2_001);
    // Begun again it moves nothing, and never back.
    done(&bench.act(carry("dm1", "dm2")).await, false);
    assert_eq!(site.sequence("dm2", "job_id_seq"), Some(2_001));
}

#[tokio::test]
async fn a_worker_that_cannot_reach_the_lost_side_is_not_waited_for() {
    let Some(postgres) = support::Postgres::start(&[], |_| ()).await else { return };
    let lost = support::Stub::start(support::Manner::Silent).await;
    let pg = postgres.pg();
    let create = format!(
        "create subscription {NAME} connection 'host=127.0.0.1 port={} dbname=x user=x' \
         publication {NAME} with (connect = false)",
        lost.port
    );
    pg.execute(&create, support::soon()).await.unwrap();
    pg.execute(&format!("alter subscription {NAME} enable"), support::soon()).await.unwrap();
    support::until("the worker connects", async || lost.count() > 0).await;
    let mut bench = Bench::new().await;
    bench.equipment.repository.as_mut().unwrap().connections.insert(server("dm2"), pg);
    done(&bench.act_within(detach("dm2"), SOON).await, true);
    done(&bench.act_within(detach("dm2"), SOON).await, false);
}

#[tokio::test]
async fn sequences_of_a_lost_side_are_made_up_for() {
    let bench = Bench::new().await;
    let Bench { site, .. } = &bench;
    // The standby's own, from a time when it was active.
    site.set_sequence("dm2", "task_id_seq", 9_002).unwrap();
    // Connected before, as in life.
    done(&bench.act(wait_for("dm1", "dm2")).await, false);
    site.crash_server("dm1").await.unwrap();
    done(&bench.act(detach("dm2")).await, true);
    let outcome = bench.act_within(carry("dm1", "dm2"), Duration::from_secs(20)).await;
    done(&outcome, true);
    assert!(outcome.detail().contains("dm1 could not be asked"), "{outcome:?}");
    assert_eq!(site.sequence("dm2", "job_id_seq"), Some(2_042));
    assert_eq!(site.sequence("dm2", "task_id_seq"), Some(10_001));
    done(&bench.act_within(carry("dm1", "dm2"), Duration::from_secs(20)).await, false);
    assert_eq!(site.insert_job("dm2").unwrap(), 2_043);
}

#[tokio::test]
async fn a_side_that_is_known_to_be_silent_is_not_asked() {
    let bench = Bench::new().await;
    let Bench { site, suspicions, .. } = &bench;
    done(&bench.act(detach("dm2")).await, true);
    suspicions.silent(&server("dm1"), Instant::now(), SOON, "no answer in time".into());
    let outcome = bench.act(carry("dm1", "dm2")).await;
    done(&outcome, true);
    // It would have answered.
    let words = "dm1 could not be asked (dm1 does not answer: no answer in time)";
    assert!(outcome.detail().contains(words), "{outcome:?}");
    assert_eq!(site.sequence("dm2", "job_id_seq"), Some(2_042));
    suspicions.answered(&server("dm1"), Instant::now());
    let outcome = bench.act(carry("dm1", "dm2")).await;
    assert!(outcome.detail().contains("as dm1 counted them"), "{outcome:?}");
}

#[tokio::test]
async fn the_replication_is_turned_round_and_back() {
    let bench = Bench::new().await;
    let Bench { site, .. } = &bench;
    done(&bench.act(detach("dm2")).await, true);
    done(&bench.act(carry("dm1", "dm2")).await, true);
    let job = site.insert_job("dm2").unwrap();
    assert!(site.greatest("dm1", "job").unwrap() < job);

    done(&bench.act(copy("dm2", "dm1")).await, true);
    assert_eq!(site.greatest("dm1", "job"), Some(job));
    assert_eq!(site.receives_from("dm1").as_deref(), Some("dm2"));
    assert_eq!(site.subscription("dm2"), None);
    assert_eq!(site.slots("dm1"), [""; 0], "one left behind would hold the log back");
    assert_eq!(site.slots("dm2"), [NAME]);
    // Begun again it changes nothing, so what was copied is not copied again.
    done(&bench.act(copy("dm2", "dm1")).await, false);

    let job = site.insert_job("dm2").unwrap();
    assert_eq!(site.greatest("dm1", "job"), Some(job), "it follows");
    done(&bench.act(wait_for("dm2", "dm1")).await, false);
    done(&bench.act(detach("dm1")).await, true);
    done(&bench.act(carry("dm2", "dm1")).await, true);
    assert_eq!(site.insert_job("dm1").unwrap(), job + 1);

    done(&bench.act(copy("dm1", "dm2")).await, true);
    assert_eq!(site.receives_from("dm2").as_deref(), Some("dm1"));
    assert_eq!(site.greatest("dm2", "job"), Some(job + 1));
    assert_eq!((site.slots("dm1"), site.slots("dm2")), (vec![NAME.to_owned()], vec![]));
    done(&bench.act(wait_for("dm1", "dm2")).await, false);
}

#[tokio::test]
async fn a_copy_from_a_side_that_is_not_reached_says_so_and_can_be_begun_again() {
    let bench = Bench::new().await;
    let Bench { site, .. } = &bench;
    done(&bench.act(detach("dm2")).await, true);
    site.cut("dm1", Some("dm2")).unwrap();
    failed(&bench.act(copy("dm2", "dm1")).await, "(SQLSTATE 08006)");
    site.heal("dm1", Some("dm2")).unwrap();
    done(&bench.act(copy("dm2", "dm1")).await, true);
    assert_eq!(site.receives_from("dm1").as_deref(), Some("dm2"));
    assert_eq!(site.greatest("dm1", "job"), Some(1_042));
}
