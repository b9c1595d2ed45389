//! The way of a line of the log out of the daemon.
//!
//! Who reads the log may stop: a terminal with Ctrl-S, a journal that stands still, a pipe into a
//! program that hangs. Writing then waits for as long as that lasts, and a daemon that waits there
//! watches nobody. So a thread of its own writes; lines wait for it in a queue, and where that is
//! full they are left out, counted, and the number is logged once the queue is empty again. The usual
//! crate for this, tracing-appender, tells nobody of lines that it left out, and writes to standard output, be it
//! stuck as well, when it ends with its queue full.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

/// How many lines wait for the reader.
const WAITING: usize = 4_096;

/// How long the end of the daemon waits for lines that are not written yet.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long is waited before something is tried again that would have had to wait.
const AGAIN: Duration = Duration::from_millis(10);

enum Message {
    Line(Vec<u8>),
    /// All before this is written when the other end hears of it.
    Flush(SyncSender<()>),
}

/// Where lines are put. Each write is one line, whole; none waits and none fails.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    queue: SyncSender<Message>,
    /// The lines that were left out since the thread looked last.
    left_out: Arc<AtomicU64>,
}

impl Log {
    /// A log whose lines a thread writes to `out`.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(crate) fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::telling(out, |lines| {
            tracing::warn!(lines, "lines of the log are missing: whoever reads it was too slow");
        })
    }

    /// The same; `tell` is called with the number of lines that were left out.
    fn telling(
        out: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let (queue, waiting) = mpsc::sync_channel(WAITING);
        let left_out = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&left_out);
        let write = move || write(&waiting, out, &counted, tell);
        thread::Builder::new().name("log".into()).spawn(write)?;
        Ok(Self { queue, left_out })
    }

    /// Waits until all lines are written, or for a second if nobody takes them. Says whether they are.
    pub(crate) fn flush(&self) -> bool {
        let until = Instant::now() + LAST_WORDS;
        let (written, is_written) = mpsc::sync_channel(1);
        let mut message = Message::Flush(written);
        while let Err(TrySendError::Full(back)) = self.queue.try_send(message) {
            if Instant::now() >= until {
                return false;
            }
            message = back;
            thread::sleep(AGAIN);
        }
        is_written.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok()
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Message::Line(line.to_vec())).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(
    waiting: &Receiver<Message>,
    mut out: impl Write,
    left_out: &AtomicU64,
    tell: impl Fn(u64),
) {
    loop {
        let message = match waiting.try_recv() {
            Ok(message) => message,
            Err(TryRecvError::Disconnected) => return,
            Err(TryRecvError::Empty) => {
                let lines = left_out.swap(0, Ordering::Relaxed);
                if lines > 0 {
                    tell(lines);
                }
                let Ok(message) = waiting.recv() else { return };
                message
            }
        };
        match message {
            Message::Line(line) => write_out(&mut out, &line),
            Message::Flush(written) => drop(written.send(())),
        }
    }
}

/// Writes a line, however long that takes. A log that is gone for good, as a closed pipe is, is nothing that the
/// daemon could help.
fn write_out(out: &mut impl Write, mut line: &[u8]) {
    while !line.is_empty() {
        match out.write(line) {
            Ok(count) if count > 0 => line = line.get(count..).unwrap_or_default(),
            // Somebody who has the same terminal has made it so.
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A reader that takes nothing before it is let, and then all, a few bytes at a time.
    struct Reader {
        let_go: Receiver<()>,
        taken: Arc<Mutex<Vec<u8>>>,
        busy: bool,
    }

    impl Reader {
        fn new() -> (mpsc::Sender<()>, Arc<Mutex<Vec<u8>>>, Self) {
            let (holds, let_go) = mpsc::channel();
            let taken = Arc::default();
            (holds, Arc::clone(&taken), Self { let_go, taken, busy: false })
        }
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // An error: it has been let, once and for all.
            let _: Result<(), _> = self.let_go.recv();
            let mut taken = self.taken.lock().unwrap();
            self.busy = !self.busy && taken.len().is_multiple_of(1_000);
            if self.busy {
                return Err(ErrorKind::WouldBlock.into());
            }
            let count = bytes.len().min(3);
            taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn wait_written(log: &Log) {
        while !log.flush() {}
    }

    #[test]
    fn a_reader_that_stops_holds_nobody_up_and_is_told_what_it_missed() {
        let (holds, taken, reader) = Reader::new();
        let (tell, told) = mpsc::channel();
        let mut log = Log::telling(reader, move |lines| tell.send(lines).unwrap()).unwrap();
        for number in 0..WAITING + 100 {
            log.write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        assert!(!log.flush(), "nobody has read anything");
        assert!(taken.lock().unwrap().is_empty());

        drop(holds);
        let missed = told.recv().unwrap();
        wait_written(&log);
        // One line may have been in the hands of the thread that writes.
        assert!((99..=100).contains(&missed), "{missed}");
        assert_eq!(log.left_out.load(Ordering::Relaxed), 0);
        let text = String::from_utf8(taken.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n1\n2\n"), "in their order");
        assert_eq!(text.lines().count() as u64, (WAITING + 100) as u64 - missed);
    }

    #[test]
    fn what_is_written_is_there_after_a_flush() {
        let (holds, taken, reader) = Reader::new();
        drop(holds);
        let mut log = Log::to(reader).unwrap();
        log.write_all(b"the last word\n").unwrap();
        wait_written(&log);
        assert_eq!(*taken.lock().unwrap(), b"the last word\n");
    }
}
