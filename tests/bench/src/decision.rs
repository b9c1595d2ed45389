//! From a changed fact to its decision in the journal: the daemon's own task for a cluster, with the
//! real policy and a real journal on the disk.
//!
//! The clock starts when an observation is handed to the task, as a probe does, and stops when a
//! follower of the journal sees the evaluation, which is then on the disk. The task is given no probes
//! of its own, and maintenance mode is on: a failover is decided and held, and not carried out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use watchkeeper::act::Equipment;
use watchkeeper::clock;
use watchkeeper::cluster::{Seat, Setup, StandbySetup, Watch};
use watchkeeper::collect::Collector;
use watchkeeper::config::duty::{DutyConfig, Mode};
use watchkeeper::duty::Keeper;
use watchkeeper::journal::{Follower, Journal};
use watchkeeper::ledger::Ledger;
use watchkeeper_core::arbitration::{OnPolicyFailure, Standing};
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Limits;
use watchkeeper_core::model::{MonitorName, PolicyName, ServerName, Service, Status, Topology};
use watchkeeper_core::plan::{Arrangements, Proof};
use watchkeeper_core::policies::Mode as PolicyMode;
use watchkeeper_core::proposal::Grant;
use watchkeeper_core::settings::{self, Given};

use crate::Failed;
use crate::cases::{CALM, observation};
use crate::evaluation::Loaded;
use crate::measure::Series;
use crate::report::{Report, Target};

/// The pause between two changes, so that each meets a daemon at rest.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a decision may be waited for before the run is given up.
const LIMIT: Duration = Duration::from_secs(20);

/// Measures `changes` changes with a journal in `dir`.
pub(crate) fn measure(
    loaded: &Loaded,
    changes: usize,
    dir: &Path,
    report: &mut Report,
) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let dir = tempfile::tempdir_in(dir)?;
    let times = runtime.block_on(run(loaded, changes, &dir.path().join("journal.db")))?;
    let series = Series::new("observation to journalled decision", times)?;
    let millis = series.median().as_secs_f64() * 1e3;
    report.target(Target::at_most("changed fact to decision".to_owned(), millis, 5.0, " ms"));
    report.series("daemon", vec![series, syncs(&dir.path().join("plain"), changes)?]);
    Ok(())
}

/// What the disk alone takes: 4 KiB appended to a file and synchronised.
fn syncs(path: &Path, writes: usize) -> Result<Series, Failed> {
    use std::io::Write as _;
    let mut file = std::fs::File::create(path)?;
    let mut times = Vec::with_capacity(writes);
    for _ in 0..writes {
        let begun = Instant::now();
        file.write_all(&[0; 4_096])?;
        file.sync_data()?;
        times.push(begun.elapsed());
    }
    Series::new("of it, the disk: 4 KiB and fdatasync", times)
}

async fn run(loaded: &Loaded, changes: usize, path: &Path) -> Result<Vec<Duration>, Failed> {
    let (journal, state) = Journal::open(path, &MonitorName::new("vp1")?, clock::now())?;
    let ledger = Arc::new(Ledger::new(journal, state).await?);
    let topology = CALM.topology()?;
    let name = topology.cluster().clone();
    let maintenance = Event::MaintenanceOn {
        service: None,
        by: "bench".to_owned(),
        reason: "measuring".to_owned(),
        until: None,
    };
    ledger.record(vec![(Some(name.clone()), maintenance)]).await?;

    let (observations, received) = mpsc::channel(256);
    let (_setup, setup) = watch::channel(Arc::new(setup(loaded, topology, &observations)?));
    let (stop, stopped) = watch::channel(false);
    let mut follower = ledger.journal().follow(ledger.with(|state| state.seq).await).await?;
    let (_clusters, clusters) = watch::channel(BTreeSet::from([name.clone()]));
    let alone = DutyConfig { mode: Mode::Alone, observe: Duration::ZERO };
    let keeper =
        Keeper::start(&alone, MonitorName::new("vp1")?, Arc::clone(&ledger), clusters).await?;
    let duties = keeper.duties();
    let (_handle, task) = Watch::spawn(name, Arc::clone(&ledger), setup, received, duties, stopped);

    for seen in CALM.observations(clock::now())? {
        observations.send(seen).await?;
    }
    evaluated(&mut follower).await?;
    let dm1 = ServerName::new("dm1")?;
    let mut times = Vec::with_capacity(changes);
    for change in 0..changes {
        tokio::time::sleep(PAUSE).await;
        let status = if change % 2 == 0 { Status::Down } else { Status::Up };
        let seen = observation(&dm1, Some(Service::Daemon), "status", status, clock::now());
        let begun = Instant::now();
        observations.send(seen).await?;
        evaluated(&mut follower).await?;
        times.push(begun.elapsed());
    }
    stop.send_replace(true);
    timeout(LIMIT, task).await??;
    keeper.end().await;
    Ok(times)
}

/// Waits for an evaluation in the journal.
async fn evaluated(follower: &mut Follower) -> Result<(), Failed> {
    timeout(LIMIT, async {
        loop {
            let records = follower.next().await?;
            if records.iter().any(|record| matches!(record.event, Event::Evaluated(_))) {
                return Ok(());
            }
        }
    })
    .await?
}

fn setup(
    loaded: &Loaded,
    topology: Topology,
    observations: &mpsc::Sender<watchkeeper_core::facts::Observation>,
) -> Result<Setup, Failed> {
    // Each change is confirmed at once, so that each comes to another decision.
    let given = BTreeMap::from([
        ("down-confirmations".to_owned(), Given::Integer(1)),
        ("rescue-attempts".to_owned(), Given::Integer(0)),
    ]);
    let settings = settings::check(&loaded.policy.description().settings, &given)
        .map_err(|problems| format!("the settings do not fit: {problems:?}"))?;
    let probes: BTreeSet<_> =
        CALM.observations(clock::now())?.into_iter().map(|seen| seen.probe).collect();
    Ok(Setup {
        arrangements: Arrangements {
            start_timeout_ms: 60_000,
            stop_timeout_ms: 60_000,
            repository_timeout_ms: 60_000,
            attempts: 1,
            retry_delay_ms: 1_000,
            proof: Proof::Operator,
            replicated_repository: false,
            site_steps: Vec::new(),
        },
        limits: Limits {
            fresh_ms: 15_000,
            cooldown_ms: 600_000,
            max_lag_bytes: 64 << 20,
            storm_limit: 0,
            storm_window_ms: 60_000,
        },
        seats: vec![Seat {
            standing: Standing {
                policy: PolicyName::new("data-mover-ha")?,
                grants: Grant::ALL.into_iter().collect(),
                servers: None,
                on_failure: OnPolicyFailure::Hold,
                mode: PolicyMode::Enforce,
            },
            settings: Arc::new(settings),
            guest: Ok(Arc::clone(&loaded.policy)),
        }],
        equipment: Equipment {
            cluster: topology.cluster().clone(),
            servers: BTreeMap::new(),
            controls: BTreeMap::new(),
            probes: BTreeMap::new(),
            fences: BTreeMap::new(),
            marks: false,
            repository: None,
        },
        topology,
        probes,
        collector: Arc::new(Mutex::new(Collector::spawn(Vec::new(), observations.clone()))),
        unknown_after: Duration::ZERO,
        revisions: None,
        rollback_after: 0,
        standby: StandbySetup::default(),
    })
}
