//! Both sides' exclusive processes, looked at all the time from outside of the hosts: who started each, when, and which
//! were alive at once.
//!
//! A process of one side is found before and after one of the other side in three looks in a row, and so both lived at
//! the second: however long a busy machine takes between two looks, a pair that is told was one.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::fault::Host;
use crate::{Lab, now, witness};

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Ticks of the clock that processes' starts are told in, in milliseconds.
const TICK: u64 = 10;

/// Who started a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A monitor, or it has run since the lab came up.
    Monitor,
    /// The host's boot, or somebody by hand: its environment says so.
    Others,
}

/// A process of an exclusive service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Where.
    pub host: Host,
    /// What.
    pub service: &'static str,
    /// Who started it.
    pub by: By,
    /// When, in milliseconds since 1970.
    pub start: u64,
}

/// What was seen.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// Every process.
    pub processes: Vec<Process>,
    /// Those that were alive at once, dm1's first, with the moment at which that was first seen.
    pub pairs: BTreeMap<(usize, usize), u64>,
    /// What ran at the last look, on dm1 and on dm2.
    pub alive: [Vec<&'static str>; 2],
    /// How often it looked.
    pub looks: usize,
    /// In how many of them a side was wholly active.
    pub whole: usize,
}

/// Looks until it is asked.
pub struct Sight {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    thread: Option<JoinHandle<()>>,
}

impl Sight {
    /// Begins to look.
    ///
    /// # Panics
    /// On a machine whose hosts could not be frozen either.
    pub fn of(lab: &Lab) -> Self {
        let base = cgroups().unwrap_or_else(|| panic!("no cgroups for the lab's hosts"));
        let groups = base.join("watchkeeper-lab").join(lab.name());
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            let mut eyes = Eyes { groups, known: BTreeMap::new() };
            while !stopped.load(Ordering::Relaxed) {
                eyes.look(&noted);
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, seen, thread: Some(thread) }
    }

    /// What was seen so far.
    pub fn so_far(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends the looking.
    ///
    /// # Panics
    /// If whoever looked did.
    pub fn end(mut self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "whoever looked at the processes panicked");
        }
        self.so_far()
    }
}

impl Drop for Sight {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What names a process for good: its number and its start.
type Identity = (u32, u64);

struct Eyes {
    groups: PathBuf,
    known: BTreeMap<Identity, usize>,
}

impl Eyes {
    fn look(&mut self, seen: &Mutex<Seen>) {
        let one = self.side("dm1", seen);
        let other = self.side("dm2", seen);
        let again =
            if one.is_empty() || other.is_empty() { Vec::new() } else { self.side("dm1", seen) };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.looks += 1;
        seen.whole +=
            usize::from([&one, &other].iter().any(|it| it.len() == witness::EXCLUSIVE.len()));
        let services = |side: &[usize]| {
            side.iter().filter_map(|it| Some(seen.processes.get(*it)?.service)).collect::<Vec<_>>()
        };
        seen.alive = [services(&one), services(&other)];
        for first in one.iter().filter(|it| again.contains(it)) {
            for second in &other {
                seen.pairs.entry((*first, *second)).or_insert_with(now);
            }
        }
    }

    /// The exclusive processes that are alive on a host; none on one without power.
    fn side(&mut self, host: Host, seen: &Mutex<Seen>) -> Vec<usize> {
        let group = self.groups.join(host).join("cgroup.procs");
        let listed = fs::read_to_string(group).unwrap_or_default();
        let mut alive = Vec::new();
        for number in listed.lines().filter_map(|line| line.trim().parse::<u32>().ok()) {
            let folder = Path::new("/proc").join(number.to_string());
            let line = fs::read(folder.join("cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            let Some(service) = witness::exclusive(&line) else { continue };
            let Some(ticks) = started(&folder) else { continue };
            let known = self.known.entry((number, ticks)).or_insert_with(|| {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                let by = if is_marked(&folder) { By::Others } else { By::Monitor };
                seen.processes.push(Process { host, service, by, start: moment(ticks) });
                seen.processes.len() - 1
            });
            alive.push(*known);
        }
        alive
    }
}

/// Whether the lab's init script was told that it is not a monitor who starts this.
fn is_marked(process: &Path) -> bool {
    let environment = fs::read(process.join("environ")).unwrap_or_default();
    environment
        .split(|byte| *byte == 0)
        .filter_map(|pair| pair.strip_prefix(b"STARTED_BY="))
        .any(|by| !by.is_empty())
}

/// When a process started, in ticks since this machine's start. None for one that has ended.
fn started(process: &Path) -> Option<u64> {
    let stat = fs::read_to_string(process.join("stat")).ok()?;
    // What follows the command's name begins with the state.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// A moment that is told in ticks since this machine's start, in milliseconds since 1970.
fn moment(ticks: u64) -> u64 {
    static BOOT: OnceLock<u64> = OnceLock::new();
    // Between the two clocks there may be a pause, which makes the start of the machine later than it was.
    let boot = BOOT.get_or_init(|| (0..20).map(|_| boot()).min().unwrap_or_default());
    boot.saturating_add(ticks * TICK)
}

/// When this machine was started, or a moment after that.
fn boot() -> u64 {
    let up = fs::read_to_string("/proc/uptime").unwrap_or_default();
    let mut up = up.split(['.', ' ']).map(|part| part.parse::<u64>().unwrap_or(0));
    let up = up.next().unwrap_or(0) * 1_000 + up.next().unwrap_or(0) * 10;
    now().saturating_sub(up)
}

/// The folder of the cgroups by which the lab knows its hosts' processes, as its own tools find it.
fn cgroups() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mounts: Vec<Vec<&str>> =
        mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).collect();
    let is = |mount: &&Vec<&str>, kind: &str, option: &str| {
        mount.get(2) == Some(&kind)
            && (option.is_empty()
                || mount.get(3).is_some_and(|options| options.split(',').any(|it| it == option)))
    };
    let second = mounts.iter().find(|mount| is(mount, "cgroup2", ""));
    let found = second.or_else(|| mounts.iter().find(|mount| is(mount, "cgroup", "freezer")))?;
    found.get(1).map(PathBuf::from)
}
