//! The thread that measures guests' time.
//!
//! One thread raises the epoch once a millisecond while a guest runs; each call has a deadline of
//! so many ticks. Nobody else raises it, so that one guest's end cannot end another's call.
//!
//! A tick is never made up for: when the whole machine stands still for a second, no guest is
//! blamed for it.
//!
//! Between calls the thread sleeps without waking up, since an idle daemon should cost nothing. It
//! goes on ticking for a while after the last call, so that calls in quick succession do not pay
//! for waking it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use wasmtime::Engine;

const TICK: Duration = Duration::from_millis(1);

/// Ticks without a call after which the thread goes to sleep.
const LINGER: u32 = 50;

/// A call that began and is under way.
const BEGUN: u64 = (1 << 32) + 1;

/// Whether a call is under way.
const fn any_under_way(calls: u64) -> bool {
    calls & 0xffff_ffff != 0
}

#[derive(Debug)]
pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// How many calls are under way, in the lower half; how many ever began, in the upper.
    calls: AtomicU64,
    /// Whether the thread sleeps, or is about to.
    asleep: AtomicBool,
    stop: AtomicBool,
}

/// A call is under way as long as this lives.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a Shared);

impl Ticker {
    pub(crate) fn start(engine: &Engine) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let handle = thread::Builder::new().name("guest-ticker".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            let engine = engine.clone();
            move || shared.tick(&engine)
        })?;
        Ok(Self { shared, thread: handle.thread().clone(), handle: Some(handle) })
    }

    /// Makes sure that time passes until the result is dropped.
    ///
    /// The counter is raised before `asleep` is read, and the thread sets `asleep` before it reads
    /// the counter: whichever comes first, one sees the other, so that no call runs untimed.
    pub(crate) fn running(&self) -> Running<'_> {
        self.shared.calls.fetch_add(BEGUN, SeqCst);
        if self.shared.asleep.load(SeqCst) {
            self.thread.unpark();
        }
        Running(&self.shared)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, SeqCst);
    }
}

impl Shared {
    fn tick(&self, engine: &Engine) {
        let mut idle = 0;
        let mut last = 0;
        while !self.stop.load(SeqCst) {
            let calls = self.calls.load(SeqCst);
            if any_under_way(calls) || calls != last {
                idle = 0;
                last = calls;
            } else if idle >= LINGER {
                self.sleep();
                continue;
            } else {
                idle += 1;
            }
            thread::sleep(TICK);
            engine.increment_epoch();
        }
    }

    fn sleep(&self) {
        self.asleep.store(true, SeqCst);
        while !any_under_way(self.calls.load(SeqCst)) && !self.stop.load(SeqCst) {
            thread::park();
        }
        self.asleep.store(false, SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, SeqCst);
        self.thread.unpark();
        if let Some(handle) = self.handle.take() {
            // The thread cannot panic, and if it did there would be nothing left to do about it.
            let _ = handle.join();
        }
    }
}
