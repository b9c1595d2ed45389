//! One run: a fresh lab, one fault, and when the other side served.

use std::time::{Duration, Instant};

use watchkeeper_lab::{Lab, Monitor, Setup, Witness};

use crate::account::{self, Account};
use crate::fault::Fault;
use crate::sentinel;

/// Longer than either takes.
const LIMIT: Duration = Duration::from_mins(2);

/// Runs fall on different moments between two probes: this much later each, in milliseconds.
const SHIFT: u64 = 137;

/// What one run came to. All in milliseconds since the fault.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// When dm2's REST listed agents.
    pub(crate) served: f64,
    pub(crate) account: Account,
    /// When Redis on dm2 was a master.
    pub(crate) promoted: Option<f64>,
}

impl Run {
    /// The run in a line.
    pub(crate) fn line(&self) -> String {
        let sentinel = self.promoted.map_or(String::new(), |ms| format!("; Sentinel {ms:.0}"));
        format!(
            "  REST on dm2 after {:.0} ms, the engine's own {:.1}{sentinel}",
            self.served,
            self.account.own()
        )
    }
}

/// Makes one run; none, with the reason on standard error, if it came to nothing.
pub(crate) fn run(fault: Fault, number: u32) -> Option<Run> {
    let lab = Lab::up("the benchmark")?;
    let compare = sentinel::installed();
    if compare {
        sentinel::start(&lab, fault.window());
    }
    let setup = Setup { settings: "{ rescue-attempts = 0 }", log_json: true, ..Setup::default() };
    let monitor = Monitor::start(&lab, &setup);
    let witness = Witness::of(&lab);
    lab.put("watch.py", include_bytes!("watch.py"));
    let password = lab.text("rest.password");
    lab.leave("vp1", &["python3", "/lab/watch.py", "/lab/watched", &password]);
    watchkeeper_lab::wait_for("the watcher", || {
        lab.file("watched").exists().then_some(()).ok_or_else(String::new)
    });
    std::thread::sleep(Duration::from_millis(1_000 + u64::from(number) * SHIFT % 1_000));
    let at = fault.strike(&lab);
    let Some(served) = watched(&lab, "rest", at) else {
        eprintln!("  dm2 never served:\n{}", monitor.story());
        return None;
    };
    let promoted = compare.then(|| watched(&lab, "redis", at)).flatten();
    watchkeeper_lab::wait_for("the end of the failover", || monitor.settled_on("secondary"));
    // A host without a network runs on, and nobody hears of it.
    if fault == Fault::Process {
        witness.never_saw_both();
    }
    match account::of(fault, &monitor, at) {
        Ok(account) => Some(Run { served, account, promoted }),
        Err(why) => {
            eprintln!("  {why}");
            None
        }
    }
}

/// When the watcher saw it, since `at`.
fn watched(lab: &Lab, what: &str, at: u64) -> Option<f64> {
    let until = Instant::now() + LIMIT;
    while Instant::now() < until {
        let text = lab.text("watched");
        let line =
            text.lines().find_map(|line| line.strip_prefix(what)?.trim().parse::<u64>().ok());
        if let Some(seen) = line {
            return Some(since(at, seen));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

/// From one moment to another.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of a run")]
pub(crate) fn since(from: u64, to: u64) -> f64 {
    to as f64 - from as f64
}
