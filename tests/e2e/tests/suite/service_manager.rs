//! What the service manager is told, and when it is no longer pinged.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout};
use watchkeeper_core::event::Event;

use crate::harness::{LONG, LOOK, Manager, World, cluster, guest};

/// How long the service manager would wait for a ping. Nobody is killed here.
const SILENCE_MS: u64 = 2_000;

fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * 1_000_000 + now.tv_nsec() / 1_000
}

/// How many configurations were put in force.
fn applied(world: &World) -> usize {
    let applied = |event: &Event| matches!(event, Event::ConfigurationApplied { .. });
    world.journal().iter().filter(|record| applied(&record.event)).count()
}

/// A reload is told at its beginning and at its end.
async fn assert_reload(manager: &mut Manager, since_us: i64) {
    let begins = manager.next_event().await;
    let at = begins.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("a reload begins");
    assert!((since_us..=monotonic_us()).contains(&at.parse().unwrap()), "{begins}");
    assert_eq!(manager.next_event().await, "READY=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn start_reloads_and_end_are_told_in_their_order() {
    let mut world = World::prepare().await;
    let mut manager = Manager::of(&world);
    world.shell = manager.environment(None);
    world.launch();

    assert_eq!(manager.next().await, "READY=1");
    let status = world.daemon().status().await.expect("it answers from then on");
    assert_eq!(cluster(&status).name.as_str(), "prod");
    assert_eq!(applied(&world), 1);
    manager.wait_status("prod active on primary").await;

    // What a signal announces is in force when it is over.
    world.config.set("clusters.prod.guards.cooldown", "11m");
    world.write_config();
    let since = monotonic_us();
    let id = i32::try_from(world.daemon().id()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGHUP).unwrap();
    assert_reload(&mut manager, since).await;
    assert_eq!(applied(&world), 2);

    let since = monotonic_us();
    world.ok(&["reload"]).await;
    assert_reload(&mut manager, since).await;

    // A reload that fails is over as well, and what is wrong is seen.
    world.config.tail = "nonsense = 1\n".to_owned();
    world.write_config();
    let since = monotonic_us();
    let socket = world.path("wk.sock");
    let said = world.cli(&["reload", "--socket", socket.to_str().unwrap()]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert_reload(&mut manager, since).await;
    manager.wait_status("configuration-rejected").await;

    world.stop().await;
    // Also what its end has said may come after it.
    assert_eq!(
        manager.next_event().await,
        "STOPPING=1\nSTATUS=stopping",
        "and nobody asked for pings"
    );
    assert_eq!(manager.pending(), Vec::<String>::new());
}

/// From now on there is at most the one ping that was already on its way.
async fn assert_silence(manager: &mut Manager) {
    manager.pending();
    let mut pings = 0;
    let _ = timeout(Duration::from_millis(3 * SILENCE_MS), async {
        loop {
            pings += usize::from(manager.receive().await == "WATCHDOG=1");
        }
    })
    .await;
    assert!(pings <= 1, "{pings} pings although something is stuck");
}

/// Waits until the daemon itself says who does not answer.
async fn wait_missed(world: &World, who: &str) {
    let told = |log: &str| {
        log.lines().any(|line| line.contains("no answer") && line.contains(&format!("{who:?}")))
    };
    world.wait_log(&format!("{who} to be missed"), told).await;
}

/// One thread of a process, stopped where it is until this is dropped; the others go on.
struct Stopped {
    _release: mpsc::Sender<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Stopped {
    /// The thread of this name; none if this system lets nobody stop another's threads.
    fn thread(process: u32, name: &str) -> Option<Self> {
        let thread = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten().find(|it| {
            fs::read_to_string(it.path().join("comm")).is_ok_and(|found| found.trim() == name)
        });
        let thread = thread.expect("there is such a thread").file_name();
        let thread = Pid::from_raw(thread.to_str().unwrap().parse().unwrap());
        let (stopped, is_stopped) = mpsc::channel();
        let (release, released) = mpsc::channel();
        // Who stops a thread is a thread as well, and has to let go of it itself.
        let holder = std::thread::spawn(move || {
            if ptrace::seize(thread, ptrace::Options::empty()).is_err() {
                return;
            }
            ptrace::interrupt(thread).unwrap();
            waitpid(thread, Some(WaitPidFlag::__WALL)).unwrap();
            stopped.send(()).unwrap();
            let _: Result<(), _> = released.recv();
            ptrace::detach(thread, None).unwrap();
        });
        is_stopped.recv().ok()?;
        Some(Self { _release: release, thread: Some(holder) })
    }

    fn release(self) {
        let Self { _release: release, thread } = self;
        drop(release);
        thread.unwrap().join().unwrap();
    }
}

/// Everything but the journal's thread goes on, and that is not enough.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_journal_stops_the_pings() {
    let mut world = World::prepare().await;
    let mut manager = Manager::of(&world);
    world.shell = manager.environment(Some(SILENCE_MS));
    world.run().await;
    manager.wait_pings(3).await;
    let Some(stopped) = Stopped::thread(world.daemon().id(), "journal") else {
        eprintln!("SKIPPED a_stuck_journal_stops_the_pings: threads cannot be stopped here");
        return;
    };
    assert_silence(&mut manager).await;
    wait_missed(&world, "the journal").await;
    stopped.release();
    manager.wait_pings(3).await;
}

/// A terminal that was stopped with Ctrl-S, or a journal that stands still: everything goes on, and what was said
/// meanwhile is read later.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_nobody_reads_stops_nothing() {
    let mut world = World::prepare().await;
    let mut manager = Manager::of(&world);
    let pipe = world.path("log.pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut open = OpenOptions::new();
    open.read(true).write(true).custom_flags(nix::libc::O_NONBLOCK);
    let mut reader = open.open(&pipe).unwrap();
    // To the brim, and a write of no more than that many bytes is done whole or not at all.
    let full = std::iter::repeat_with(|| reader.write(&[b'-'; 4_096])).find_map(Result::err);
    assert_eq!(full.unwrap().kind(), ErrorKind::WouldBlock);

    let into_pipe = ["sh", "-c", r#"pipe=$1; shift; exec "$@" 2>"$pipe""#, "sh"];
    let into_pipe = into_pipe.map(str::to_owned).into_iter().chain([pipe.display().to_string()]);
    let environment = manager.environment(Some(SILENCE_MS));
    world.shell = into_pipe.chain(environment).collect();
    world.run().await;
    manager.wait_pings(3).await;

    // What was said meanwhile comes as soon as somebody reads.
    let begun = Instant::now();
    let (mut log, mut buffer) = (Vec::new(), [0; 4_096]);
    while !String::from_utf8_lossy(&log).contains(" watching monitor=") {
        assert!(begun.elapsed() < LONG, "{}", String::from_utf8_lossy(&log));
        match reader.read(&mut buffer) {
            Ok(count) => log.extend_from_slice(&buffer[..count]),
            Err(_) => sleep(LOOK).await,
        }
    }
}

/// A cluster that waits for a policy that does not come back is stuck, as long as the limit lets
/// it; the main loop and the journal go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stuck_cluster_stops_the_pings() {
    let mut world = World::prepare().await;
    // It would not be accepted while there are facts on which it could be tried.
    world.put_policy("hostile", &guest("guest-hostile").await);
    let mut stuck = world.config.clone();
    stuck.set("guests.limits.time", "20s");
    let hostile = stuck.policy("hostile", &["rescue", "alert"]);
    stuck.set(&format!("{hostile}.settings.misbehave"), "loop");
    let good = std::mem::replace(&mut world.config, stuck);
    let mut manager = Manager::of(&world);
    world.shell = manager.environment(Some(SILENCE_MS));
    world.launch();

    wait_missed(&world, "cluster prod").await;
    assert_silence(&mut manager).await;
    // What comes in its place is taken over when it has been cut off.
    good.write(&world.config_path());
    manager.wait_pings(5).await;
}
