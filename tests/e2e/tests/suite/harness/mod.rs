//! A world for one test: a site, a folder with configuration and guests, and a daemon.
//!
//! What a test says of a daemon it says by three witnesses that know nothing of each other: the
//! site's own record, the journal, and what the receiver of alerts was sent.

mod config;
mod daemon;
mod manager;
pub mod month;
mod receivers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use watchkeeper::api::{ClusterReport, StatusReport};
use watchkeeper::journal::{Query, Reader};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::{Act, Plan};
use watchkeeper_site::sink::alerts_in;
use watchkeeper_site::{Net, Site, SiteConfig};

pub use config::Config;
pub use daemon::{Daemon, Said, http};
pub use manager::Manager;
pub use receivers::{Rubbish, stalling};

/// How long anything may take before a test gives up on it: far longer than a busy machine needs.
pub const LONG: Duration = Duration::from_mins(1);

/// How often a condition is looked at that nobody tells of.
pub const LOOK: Duration = Duration::from_millis(25);

/// The shipped policy's name.
pub const POLICY: &str = "data-mover-ha";

/// Everything that one test needs.
pub struct World {
    pub site: Arc<Site>,
    pub config: Config,
    /// What the daemon logs, in tracing's words.
    pub filter: String,
    /// What the daemon is started by, if not directly.
    pub shell: Vec<String>,
    dir: TempDir,
    daemon: Option<Daemon>,
}

impl World {
    /// A site that is up, and a folder in which all is prepared. The daemon does not run yet.
    pub async fn prepare() -> Self {
        Self::prepare_with(|_| {}).await
    }

    /// The same, with a site of which something was changed.
    pub async fn prepare_with(change: impl FnOnce(&mut SiteConfig)) -> Self {
        let mut site = SiteConfig::new(Net::Unique);
        change(&mut site);
        let site = Arc::new(Site::start(site).await.expect("the site starts"));
        Self::on(site).await
    }

    /// The same on a site that is there.
    async fn on(site: Arc<Site>) -> Self {
        let dir = tempfile::Builder::new().prefix("wk-e2e-").tempdir().expect("a folder");
        site.write_access(&dir.path().join("site")).expect("keys");
        let config = Config::of(&site);
        let world = Self {
            site,
            config,
            filter: "info,russh=warn".to_owned(),
            shell: Vec::new(),
            dir,
            daemon: None,
        };
        world.put_policy(POLICY, &guest(POLICY).await);
        world.put("plugins/webhook.wasm", &guest("webhook").await);
        world
    }

    /// All of it up, the daemon included, and calm.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// The same, with a configuration of which something was changed.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let mut world = Self::prepare().await;
        change(&mut world.config);
        world.run().await;
        world
    }

    /// A second monitor on the same site, with a folder, a journal and a configuration of its own.
    /// Its daemon does not run yet.
    pub async fn prepare_beside(&self, name: &str) -> Self {
        let mut second = Self::on(Arc::clone(&self.site)).await;
        second.config = self.config.clone();
        second.config.set("monitor.name", name);
        second
    }

    /// The same, and running.
    pub async fn beside(&self, name: &str) -> Self {
        let mut second = self.prepare_beside(name).await;
        second.run().await;
        second
    }

    /// Writes the configuration, starts the daemon and waits until it has seen everything.
    pub async fn run(&mut self) {
        self.launch();
        self.wait_for("the first evaluation", |status| cluster(status).evaluations > 0).await;
    }

    /// Writes the configuration and starts the daemon.
    pub fn launch(&mut self) {
        self.write_config();
        assert!(self.daemon.is_none(), "a daemon runs already");
        self.daemon = Some(self.another());
    }

    /// One more daemon on the same configuration.
    pub fn another(&self) -> Daemon {
        let log = self.path("daemon.log");
        Daemon::start(&self.config_path(), &self.path("wk.sock"), &log, &self.filter, &self.shell)
    }

    // ---- the folder ----

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config_path(&self) -> PathBuf {
        self.path("watchkeeper.toml")
    }

    pub fn journal_path(&self) -> PathBuf {
        self.path("state/journal.db")
    }

    /// Puts the configuration as it is now in place.
    pub fn write_config(&self) {
        self.config.write(&self.config_path());
    }

    /// Puts a file in place at once, as an installer does that writes beside it and renames.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        replace(&self.path(name), bytes);
    }

    pub fn put_policy(&self, name: &str, bytes: &[u8]) {
        self.put(&format!("policies/{name}.wasm"), bytes);
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("daemon.log")).unwrap_or_default()
    }

    // ---- the daemon ----

    /// The daemon that runs.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("a daemon runs")
    }

    pub async fn kill9(&mut self) {
        self.daemon.take().expect("a daemon runs").kill9().await;
    }

    /// Stops it where it is, as a machine does that is out of breath.
    pub fn pause(&mut self) {
        self.daemon().signal(Signal::SIGSTOP);
    }

    /// Lets it go on.
    pub fn resume(&mut self) {
        self.daemon().signal(Signal::SIGCONT);
    }

    /// Stops it in good order.
    pub async fn stop(&mut self) {
        let status = self.daemon.take().expect("a daemon runs").stop().await;
        assert!(status.success(), "{status}");
    }

    /// Waits until it has ended by itself; gives its exit code.
    pub async fn end(&mut self) -> Option<i32> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.daemon().ended() {
                self.daemon = None;
                return status.code();
            }
            assert!(begun.elapsed() < LONG, "the daemon goes on");
            sleep(LOOK).await;
        }
    }

    /// `watchkeeper ARGS` on this world's configuration.
    pub async fn cli(&self, args: &[&str]) -> Said {
        daemon::cli(&self.config_path(), args).await
    }

    /// `watchkeeper ARGS`, which has to end well.
    pub async fn ok(&self, args: &[&str]) -> Said {
        let said = self.cli(args).await;
        assert_eq!(said.code, Some(0), "{args:?}: {said:?}");
        said
    }

    pub async fn status(&mut self) -> StatusReport {
        self.wait_for("an answer", |_| true).await
    }

    /// The only cluster, as it stands.
    pub async fn cluster(&mut self) -> ClusterReport {
        cluster(&self.status().await).clone()
    }

    /// Waits until the status is as `wanted`.
    pub async fn wait_for(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&StatusReport) -> bool,
    ) -> StatusReport {
        let begun = Instant::now();
        let mut last = None;
        loop {
            if let Some(status) = self.daemon().status().await {
                if !status.clusters.is_empty() && wanted(&status) {
                    return status;
                }
                last = Some(status);
            }
            if let Some(status) = self.daemon().ended() {
                panic!("{what} did not come: the daemon ended with {status}");
            }
            assert!(begun.elapsed() < LONG, "{what} did not come; at last {last:#?}");
            sleep(LOOK).await;
        }
    }

    /// Waits until the status is as `wanted`, or the daemon has ended with an error; false then.
    pub async fn wait_or_end(&mut self, mut wanted: impl FnMut(&StatusReport) -> bool) -> bool {
        let begun = Instant::now();
        loop {
            if self.daemon().status().await.is_some_and(|status| wanted(&status)) {
                return true;
            }
            if self.daemon().ended().is_some() {
                return false;
            }
            assert!(begun.elapsed() < LONG, "neither came");
            sleep(LOOK).await;
        }
    }

    /// Waits until the side is active and no plan is in flight.
    pub async fn wait_active(&mut self, side: Side) -> StatusReport {
        let phase = format!("active on {side}");
        self.wait_for(&phase, |status| cluster(status).phase == phase).await
    }

    /// Lets it go on for a while: that many evaluations, which is more than anything needs that
    /// would happen if it were to happen.
    pub async fn let_pass(&mut self, evaluations: u64) -> StatusReport {
        let from = self.cluster().await.evaluations;
        self.wait_for("further evaluations", |status| {
            cluster(status).evaluations >= from + evaluations
        })
        .await
    }

    /// Waits until an alert of this name fires, on the cluster or the monitor itself; gives its
    /// summary.
    pub async fn wait_alert(&mut self, name: &str) -> String {
        let status = self.wait_for(name, |status| summary(status, name).is_some()).await;
        summary(&status, name).unwrap_or_default()
    }

    /// Waits until no alert of this name fires.
    pub async fn wait_no_alert(&mut self, name: &str) {
        self.wait_for("its end", |status| summary(status, name).is_none()).await;
    }

    /// Waits until the daemon's log is as `wanted`.
    pub async fn wait_log(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        while !wanted(&self.log()) {
            assert!(begun.elapsed() < LONG, "{what}: it is not in the log");
            sleep(LOOK).await;
        }
    }

    // ---- the journal ----

    /// Every record that there is now.
    pub fn journal(&self) -> Vec<Record> {
        self.journal_after(0)
    }

    /// Every record that there is now after the one of this number.
    pub fn journal_after(&self, first: u64) -> Vec<Record> {
        let mut records: Vec<Record> = Vec::new();
        let Ok(reader) = Reader::open(&self.journal_path()) else { return records };
        loop {
            let after = records.last().map_or(first, |record| record.seq);
            let query = Query { after, ..Query::default() };
            let page = reader.read_now(&query).expect("the journal can be read");
            if page.is_empty() {
                return records;
            }
            records.extend(page);
        }
    }

    /// Waits until the journal holds something; gives what `find` made of the first that fits.
    pub async fn wait_record<T>(&self, what: &str, find: impl Fn(&Record) -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = self.journal().iter().find_map(&find) {
                return found;
            }
            assert!(begun.elapsed() < LONG, "{what} was not recorded");
            sleep(LOOK).await;
        }
    }

    /// Every plan that was begun.
    pub fn plans(&self) -> Vec<Plan> {
        let plan = |record: Record| match record.event {
            Event::PlanBegun(plan) => Some(*plan),
            _ => None,
        };
        self.journal().into_iter().filter_map(plan).collect()
    }

    /// Every plan that was begun to change sides.
    pub fn changes(&self) -> Vec<Plan> {
        self.plans().into_iter().filter(|plan| plan.kind.changes_side()).collect()
    }

    /// Waits until an attempt at an act that fits is intended; gives its plan and step.
    pub async fn wait_intended(&self, what: &str, fits: impl Fn(&Act) -> bool) -> (u64, usize) {
        let begun = Instant::now();
        loop {
            let plans = self.plans();
            let step = |plan: u64, step: usize| {
                plans.iter().find(|it| it.number == plan).and_then(|it| it.steps.get(step))
            };
            let found = self.journal().into_iter().find_map(|record| match record.event {
                Event::StepIntended { plan, step: index, .. } => {
                    step(plan, index).filter(|it| fits(&it.act)).map(|_| (plan, index))
                }
                _ => None,
            });
            if let Some(found) = found {
                return found;
            }
            assert!(begun.elapsed() < LONG, "{what} was not intended");
            sleep(Duration::from_millis(5)).await;
        }
    }

    // ---- the receiver ----

    /// The notifications of an alert that the receiver took, `firing` or `resolved`.
    pub fn taken(&self, name: &str, status: &str) -> Vec<serde_json::Value> {
        let requests = self.site.sink().requests().into_iter();
        requests
            .filter(|request| request.answered == 200)
            .flat_map(|request| alerts_in(&request.body))
            .filter(|alert| alert["name"] == name && alert["status"] == status)
            .collect()
    }

    /// Waits until the receiver took a notification.
    pub async fn wait_taken(&self, name: &str, status: &str) -> serde_json::Value {
        let what = format!("{name} {status} at the receiver");
        self.site
            .wait_until(&what, LONG, |_| !self.taken(name, status).is_empty())
            .await
            .expect("it is delivered");
        self.taken(name, status).swap_remove(0)
    }

    /// How many notifications of this sort the receiver took: one that came twice, because the daemon
    /// died before it could record that it was taken, has the same key both times.
    pub fn told(&self, name: &str, status: &str) -> usize {
        let mut keys = BTreeSet::new();
        for request in self.site.sink().requests() {
            let alerts = alerts_in(&request.body);
            let about = alerts.iter().any(|it| it["name"] == name && it["status"] == status);
            if request.answered == 200 && about {
                let key = request.headers.into_iter().find(|(name, _)| name == "idempotency-key");
                keys.insert(key.expect("each notification has a key").1);
            }
        }
        keys.len()
    }

    /// No notification was taken twice.
    pub fn assert_taken_once(&self) {
        let mut taken = BTreeMap::<String, usize>::new();
        for request in self.site.sink().requests() {
            let key = request.headers.iter().find(|(name, _)| name == "idempotency-key");
            let (_, key) = key.expect("each notification has a key");
            if request.answered == 200 {
                *taken.entry(key.clone()).or_default() += 1;
            }
        }
        assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    }

    // ---- the site ----

    /// Waits until the site is as wanted.
    pub async fn wait_site(&self, what: &str, wanted: impl FnMut(&Site) -> bool) {
        self.site.wait_until(what, LONG, wanted).await.expect("it comes");
    }

    /// Kills a service and lets no start of it succeed.
    pub async fn break_service(&self, server: &str, service: Service) {
        self.site.forbid_start(server, service).expect("it is there");
        self.site.kill(server, service).await.expect("it is there");
    }

    /// DM2 serves, asked as a client would: REST there lists agents.
    pub async fn assert_secondary_serves(&self) {
        // They look for a broker again and again, and it takes them a moment.
        self.wait_site("agents register", |site| !site.agents("dm2").is_empty()).await;
        let address = (self.site.address("dm2").expect("dm2"), self.site.config().ports.rest);
        let mut stream = TcpStream::connect(address).await.expect("REST listens");
        let accept = "application/vnd.com.teradata.datamover-v1.0+json";
        let answer = http(&mut stream, "/datamover/agents", accept).await;
        let answer = answer.expect("REST answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("agentName"), "{answer}");
        for service in [Service::Repository, Service::Activemq, Service::Daemon, Service::Rest] {
            assert!(self.site.is_ready("dm2", service), "{service} does not serve");
        }
    }

    /// No exclusive service ever ran on both sides.
    pub fn assert_never_both(&self) {
        assert!(!self.site.both_active_ever(), "{:?}", self.site.overlaps());
    }

    /// Nothing of the active side was started on DM2.
    pub fn assert_nothing_started_on_secondary(&self) {
        for service in [Service::Activemq, Service::Daemon, Service::Rest] {
            assert_eq!(self.site.start_requests("dm2", service), 0, "{service}");
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        eprintln!("---- the daemon's log\n{}", self.log());
        eprintln!("---- the site");
        let log = self.site.log();
        let begun = log.first().map(|(at, _)| *at);
        for (at, what) in log {
            eprintln!("{:8.3} {what}", begun.map_or(0.0, |it| (at - it).as_secs_f64()));
        }
        eprintln!("---- the receiver");
        for request in self.site.sink().requests() {
            eprintln!("{} {}", request.answered, request.body);
        }
    }
}

/// The only cluster of a report.
pub fn cluster(status: &StatusReport) -> &ClusterReport {
    status.clusters.first().expect("there is a cluster")
}

/// What an alert that fires says.
pub fn summary(status: &StatusReport, name: &str) -> Option<String> {
    let of_clusters = status.clusters.iter().flat_map(|cluster| &cluster.alerts);
    let mut all = status.alerts.iter().chain(of_clusters);
    all.find(|alert| alert.name == name).map(|alert| alert.summary.clone())
}

/// A guest of this workspace, built if it has to be.
pub async fn guest(package: &'static str) -> Vec<u8> {
    let built = tokio::task::spawn_blocking(|| watchkeeper_guests::guest_bytes(package)).await;
    built.unwrap_or_else(|_| panic!("{package} cannot be built"))
}

/// A component that does the same and is another one: the policy's summary says so.
pub async fn another_policy() -> Vec<u8> {
    watchkeeper_guests::patched(&guest(POLICY).await, "as the vendor does", "as the VENDOR does")
}

/// Puts a file in place at once.
fn replace(path: &Path, bytes: &[u8]) {
    let folder = path.parent().expect("a folder");
    std::fs::create_dir_all(folder).expect("a folder");
    let beside = folder.join(format!(".{}.new", path.file_name().unwrap().to_string_lossy()));
    std::fs::write(&beside, bytes).expect("a file");
    std::fs::rename(&beside, path).expect("a file");
}
