//! The way of a line of the log out of the daemon.
//!
//! Who reads the log may stop: a terminal with Ctrl-S, a journal that stands still, a pipe into a
//! program that hangs. Writing then waits for as long as that lasts, and a daemon that waits there
//! watches nobody. So a thread of its own writes; lines wait for it in a queue, and where that is
//! full they are left out, counted, and the number is logged when there is room again.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines wait for the reader: some minutes of a busy daemon.
const WAITING: usize = 4_096;

/// How long the end of the daemon waits for lines that are not written yet.
const LAST_WORDS: Duration = Duration::from_secs(1);

enum Message {
    Line(Vec<u8>),
    /// All before this is written when the other end hears of it.
    Flush(SyncSender<()>),
}

/// Where lines are put. Each write is one line, whole; none waits and none fails.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// A log whose lines a thread writes to `out`.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(crate) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&lost);
        thread::Builder::new().name("log".into()).spawn(move || write(&waiting, out, &counted))?;
        Ok(Self { queue, lost })
    }

    /// Waits until all lines are written, or for a second if nobody takes them.
    pub(crate) fn flush(&self) {
        let until = Instant::now() + LAST_WORDS;
        let (written, is_written) = mpsc::sync_channel(1);
        let mut message = Message::Flush(written);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return;
            }
            message = back;
            thread::sleep(Duration::from_millis(10));
        }
        let rest = until.saturating_duration_since(Instant::now());
        let _: Result<(), RecvTimeoutError> = is_written.recv_timeout(rest);
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(waiting: &Receiver<Message>, mut out: impl Write, lost: &AtomicU64) {
    while let Ok(message) = waiting.recv() {
        match message {
            // A log that is gone for good (a closed pipe) is nothing that the daemon could help.
            Message::Line(line) => drop(out.write_all(&line)),
            Message::Flush(written) => drop(written.send(())),
        }
        let left_out = lost.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(
                lines = left_out,
                "lines of the log are missing: whoever reads it was too slow"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A reader that takes nothing before it is let, and then all.
    struct Reader {
        let_go: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error: it has been let, once and for all.
            let _: Result<(), _> = self.let_go.recv();
            self.taken.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_what_it_missed_is_counted() {
        let (holds, let_go) = mpsc::channel();
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut log = Log::to(Reader { let_go, taken: Arc::clone(&taken) }).unwrap();
        for number in 0..WAITING + 100 {
            log.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        log.flush();
        assert!(taken.lock().unwrap().is_empty(), "this returned although nobody had read");
        // One line may be in the hands of the thread that writes.
        let lost = log.lost.load(Ordering::Relaxed);
        assert!((99..=100).contains(&lost), "{lost}");

        drop(holds);
        while log.lost.load(Ordering::Relaxed) > 0 {
            thread::sleep(Duration::from_millis(1));
        }
        log.flush();
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n1\n2\n"), "in their order");
        assert_eq!(text.lines().count() as u64, (WAITING + 100) as u64 - lost);
    }

    #[test]
    fn what_is_written_is_there_after_a_flush() {
        let (holds, let_go) = mpsc::channel();
        drop(holds);
        let taken = Arc::new(Mutex::new(Vec::new()));
        let mut log = Log::to(Reader { let_go, taken: Arc::clone(&taken) }).unwrap();
        log.write_all(b"the last word\n").unwrap();
        log.flush();
        assert_eq!(*taken.lock().unwrap(), b"the last word\n");
    }
}
