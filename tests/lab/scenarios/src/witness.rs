//! Somebody who looks at both sides all the time.
//!
//! A host of the lab sees only its own processes, but the machine sees all of them, each in its
//! host's process namespace. So both sides are seen in one look, without asking anything of the
//! hosts, and at crashes and cuts too.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::Lab;

/// From one look to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// The services that only one side may run: how the command line of each begins, and what it holds
/// beside. What it holds is not enough: any service is started by a shell that has the command lines of
/// all of them in its own, for the moment until it becomes the one that is wanted.
pub(crate) const EXCLUSIVE: [(&str, &str, &str); 3] = [
    ("activemq", "java ", "activemq.xml"),
    ("daemon", "/usr/local/bin/dm-standin ", "dm-standin daemon "),
    ("rest", "/usr/local/bin/dm-standin ", "dm-standin rest "),
];

/// Looks at the exclusive services of dm1 and dm2 until it is asked.
pub struct Witness {
    stop: Arc<AtomicBool>,
    looks: Arc<AtomicUsize>,
    /// In how many of them a side was wholly active.
    active: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<String>>>,
    thread: Option<JoinHandle<()>>,
}

impl Witness {
    /// Begins to look.
    pub fn of(lab: &Lab) -> Self {
        let state = lab.hosts();
        let stop = Arc::new(AtomicBool::new(false));
        let looks = Arc::new(AtomicUsize::new(0));
        let active = Arc::new(AtomicUsize::new(0));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let mine = (Arc::clone(&stop), Arc::clone(&looks), Arc::clone(&active), Arc::clone(&seen));
        let thread = std::thread::spawn(move || {
            let (stop, looks, active, seen) = mine;
            while !stop.load(Ordering::Relaxed) {
                let one = look(&state, "dm1");
                let other = look(&state, "dm2");
                // A busy machine can keep the second look waiting for as long as a change of side
                // takes. What ran before it and runs after it ran meanwhile.
                let both = !one.is_empty() && !other.is_empty();
                if both && !look(&state, "dm1").is_empty() {
                    let both = format!("dm1 runs {one:?} while dm2 runs {other:?}");
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(both);
                }
                let whole = [&one, &other].into_iter().any(|it| it.len() == EXCLUSIVE.len());
                active.fetch_add(usize::from(whole), Ordering::Relaxed);
                looks.fetch_add(1, Ordering::Relaxed);
                std::thread::sleep(PAUSE);
            }
        });
        Self { stop, looks, active, seen, thread: Some(thread) }
    }

    /// Ends the looking.
    ///
    /// # Panics
    /// If both sides were ever active at once, or if it hardly looked.
    pub fn never_saw_both(mut self) {
        self.end();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let looks = self.looks.load(Ordering::Relaxed);
        let first = seen.first().map_or("", String::as_str);
        assert!(
            seen.is_empty(),
            "both sides were active in {} of {looks} looks: {first}",
            seen.len()
        );
        let active = self.active.load(Ordering::Relaxed);
        assert!(
            looks >= 50 && active > 0,
            "{looks} looks, {active} at an active side, prove nothing"
        );
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            assert!(thread.join().is_ok(), "the witness panicked");
        }
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The exclusive services that run on a host; none on one that is crashed.
fn look(state: &Path, host: &str) -> Vec<&'static str> {
    let processes = processes(&state.join(host));
    let mut found: Vec<_> = processes.iter().filter_map(|(_, line)| exclusive(line)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

/// The exclusive service whose command line that is.
pub(crate) fn exclusive(line: &str) -> Option<&'static str> {
    let is = |program: &str, mark: &str| line.starts_with(program) && line.contains(mark);
    EXCLUSIVE.iter().find(|(_, program, mark)| is(program, mark)).map(|(service, _, _)| *service)
}

/// The processes of a host, given its folder: this machine's number and the command line of each.
pub(crate) fn processes(host: &Path) -> Vec<(u32, String)> {
    let Some(space) = fs::read_to_string(host.join("pid1"))
        .ok()
        .and_then(|pid| namespace(&Path::new("/proc").join(pid.trim())))
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let Some(number) = number else { continue };
        let path = entry.path();
        let line = fs::read(path.join("cmdline")).unwrap_or_default();
        if !line.is_empty() && namespace(&path).as_ref() == Some(&space) {
            found.push((number, String::from_utf8_lossy(&line).replace('\0', " ")));
        }
    }
    found
}

fn namespace(process: &Path) -> Option<PathBuf> {
    fs::read_link(process.join("ns/pid")).ok()
}
