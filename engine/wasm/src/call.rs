//! The state of one call into a guest: what is left of each limit, what was logged, what was read,
//! and the names of what a guest can do wrong.

use std::sync::Arc;

use wasmtime::{ResourceLimiter, Trap};
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::{Failure, FailureKind};
use watchkeeper_core::snapshot::{Reader, Snapshot};

use crate::limits::Limits;

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the guest's author alone.
    Debug,
    /// What happened; also what a guest prints to standard output.
    Info,
    /// Unexpected; also what a guest prints to standard error.
    Warn,
    /// Wrong.
    Error,
}

/// A line that a guest logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud it is.
    pub level: LogLevel,
    /// The line, cut at its limit, without control characters.
    pub text: String,
}

/// A limit that a guest broke, or something it may not do. It ends the call.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Breach {
    #[error("it wanted {wanted} bytes of memory; it may have {limit}")]
    Memory { wanted: usize, limit: usize },
    #[error("it wanted tables of {wanted} elements; it may have {limit}")]
    Table { wanted: usize, limit: usize },
    #[error("it called the host more than {limit} times")]
    HostCalls { limit: u32 },
    #[error("it asked for a snapshot outside of an evaluation")]
    NoSnapshot,
    #[error("it ended itself (exit {0})")]
    Exit(u8),
    #[error("it asked for {wanted} random bytes at once; it may have {limit}")]
    Random { wanted: u64, limit: u64 },
}

impl Breach {
    const fn kind(&self) -> FailureKind {
        match self {
            Self::Memory { .. } => FailureKind::Memory,
            Self::Table { .. } => FailureKind::Table,
            Self::HostCalls { .. } | Self::Random { .. } => FailureKind::HostCalls,
            Self::NoSnapshot | Self::Exit(_) => FailureKind::Trap,
        }
    }
}

/// The data of a store: one call, from its beginning to its end.
#[derive(Debug)]
pub(crate) struct Call {
    limits: Arc<Limits>,
    /// There only in an evaluation.
    reader: Option<Reader>,
    /// The only time a guest gets to see.
    now: Timestamp,
    /// What the stand-in for randomness goes on from.
    random: u64,
    calls_left: u32,
    memory: usize,
    table: usize,
    log: Log,
}

impl Call {
    /// A call at `now`, whose randomness follows from `seed`.
    pub(crate) fn new(limits: &Arc<Limits>, now: Timestamp, seed: u64) -> Self {
        Self {
            limits: Arc::clone(limits),
            reader: None,
            now,
            random: seed,
            calls_left: limits.host_calls,
            memory: 0,
            table: 0,
            log: Log::default(),
        }
    }

    /// A call that may ask `snapshot`.
    pub(crate) fn evaluation(limits: &Arc<Limits>, snapshot: Arc<Snapshot>) -> Self {
        let (now, number) = (snapshot.facts().at, snapshot.facts().number);
        Self { reader: Some(Reader::new(snapshot)), ..Self::new(limits, now, number) }
    }

    /// Counts one call of the host. To be called at the beginning of each.
    pub(crate) fn count(&mut self) -> Result<(), Breach> {
        match self.calls_left.checked_sub(1) {
            Some(left) => {
                self.calls_left = left;
                Ok(())
            }
            None => Err(Breach::HostCalls { limit: self.limits.host_calls }),
        }
    }

    /// Counts one call of the host, and gives what it asks.
    pub(crate) fn ask(&mut self) -> Result<&Reader, Breach> {
        self.count()?;
        self.reader.as_ref().ok_or(Breach::NoSnapshot)
    }

    /// The time, as a question that is remembered.
    pub(crate) fn now(&self) -> Timestamp {
        self.reader.as_ref().map_or(self.now, Reader::time)
    }

    /// The next number of a sequence that is the same at every replay (`SplitMix64`).
    pub(crate) fn random(&mut self) -> u64 {
        if let Some(reader) = &self.reader {
            // It follows from the number.
            reader.number();
        }
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn log(&mut self, level: LogLevel, line: &str) {
        self.log.line(&self.limits, level, line);
    }

    pub(crate) fn print(&mut self, stream: Stream, bytes: &[u8]) {
        self.log.print(&self.limits, stream, bytes);
    }

    /// What was logged, how many lines were dropped, and whom was asked.
    pub(crate) fn end(mut self) -> (Vec<LogLine>, u64, Option<Reader>) {
        for stream in [Stream::Out, Stream::Err] {
            self.log.flush(&self.limits, stream);
        }
        (self.log.lines, self.log.dropped, self.reader)
    }

    /// Names what ended the call.
    pub(crate) fn failure(&mut self, error: &wasmtime::Error) -> Failure {
        if let Some(breach) = error.downcast_ref::<Breach>() {
            return Failure { kind: breach.kind(), detail: breach.to_string() };
        }
        let Some(trap) = error.downcast_ref::<Trap>() else {
            return self.unexpected(error);
        };
        match trap {
            Trap::Interrupt => Failure {
                kind: FailureKind::Deadline,
                detail: "it did not end in the time it has".to_owned(),
            },
            Trap::StackOverflow => Failure {
                kind: FailureKind::Stack,
                detail: format!(
                    "its calls need more than {} bytes of stack",
                    self.limits.stack_bytes
                ),
            },
            trap => {
                self.log.flush(&self.limits, Stream::Err);
                // A panic of Rust and an exception of other languages end in this instruction
                // after they were printed.
                let last = self.log.last_error.take().unwrap_or_default();
                let detail = match trap {
                    Trap::UnreachableCodeReached if !last.is_empty() => last,
                    _ => trap.to_string(),
                };
                Failure { kind: FailureKind::Trap, detail }
            }
        }
    }

    /// What the engine itself found wrong at the border: the guest broke the calling convention,
    /// or handed over too much.
    fn unexpected(&self, error: &wasmtime::Error) -> Failure {
        let cause = error.root_cause().to_string();
        // The engine's type for this is private. Were its words to change, the kind would be
        // `Invalid`; the test of a giant result would notice.
        if cause.contains("fuel allocated for hostcalls") {
            return Failure {
                kind: FailureKind::Result,
                detail: format!(
                    "it handed over more than {} bytes at once",
                    self.limits.handed_bytes
                ),
            };
        }
        Failure { kind: FailureKind::Invalid, detail: cause }
    }
}

impl ResourceLimiter for Call {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.memory.saturating_add(desired.saturating_sub(current));
        let limit = self.limits.memory_bytes;
        if wanted > limit {
            return Err(Breach::Memory { wanted, limit }.into());
        }
        self.memory = wanted;
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let wanted = self.table.saturating_add(desired.saturating_sub(current));
        let limit = self.limits.table_elements;
        if wanted > limit {
            return Err(Breach::Table { wanted, limit }.into());
        }
        self.table = wanted;
        Ok(true)
    }
}

/// Where a guest prints to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

#[derive(Debug, Default)]
struct Log {
    lines: Vec<LogLine>,
    dropped: u64,
    /// What was printed since the last end of a line.
    out: Vec<u8>,
    err: Vec<u8>,
    /// The last lines printed to standard error: a panic's message, should one follow.
    last_error: Option<String>,
}

impl Log {
    fn line(&mut self, limits: &Limits, level: LogLevel, text: &str) {
        if self.lines.len() >= limits.log_lines {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.lines.push(LogLine { level, text: clean(cut(text, limits.log_line_bytes)) });
    }

    fn print(&mut self, limits: &Limits, stream: Stream, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let pending = self.pending(stream);
            let room = limits.log_line_bytes.saturating_add(1).saturating_sub(pending.len());
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            pending.extend(text.iter().take(room));
            if text.len() < piece.len() {
                self.flush(limits, stream);
            }
        }
    }

    fn flush(&mut self, limits: &Limits, stream: Stream) {
        let bytes = std::mem::take(self.pending(stream));
        if bytes.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        match stream {
            Stream::Out => self.line(limits, LogLevel::Info, &text),
            Stream::Err => {
                // A panic of Rust's begins with a line that says where; the next says what, and a
                // note may follow.
                let last = self.last_error.get_or_insert_default();
                if text.contains(" panicked at ") || last.len() >= limits.log_line_bytes {
                    last.clear();
                }
                if !text.starts_with("note: ") {
                    if !last.is_empty() {
                        last.push(' ');
                    }
                    last.push_str(&clean(cut(&text, limits.log_line_bytes)));
                }
                self.line(limits, LogLevel::Warn, &text);
            }
        }
    }

    const fn pending(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }
}

/// The front of `text`, of at most `limit` bytes.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or(text)
}

/// `text` without control characters, so that it can be printed on one line of a terminal or a log
/// without changing what stands around it.
pub(crate) fn clean(text: impl Into<String>) -> String {
    let text = text.into();
    if text.contains(char::is_control) {
        text.replace(char::is_control, " ").trim_end().to_owned()
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(limits: Limits) -> Call {
        Call::new(&Arc::new(limits), Timestamp(1_000), 7)
    }

    #[test]
    fn lines_are_cut_cleaned_and_counted() {
        let mut call = call(Limits { log_lines: 3, log_line_bytes: 4, ..Limits::default() });
        call.log(LogLevel::Info, "a\u{1b}[b");
        call.log(LogLevel::Debug, "äöü");
        call.print(Stream::Out, b"on");
        call.print(Stream::Out, b"ce\ntwice\nrest");
        let (lines, dropped, _) = call.end();
        let texts: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
        assert_eq!(texts, ["a [b", "äö", "once"]);
        assert_eq!(dropped, 2);
    }

    #[test]
    fn what_a_guest_prints_without_an_end_is_bounded() {
        let mut call = call(Limits { log_line_bytes: 10, ..Limits::default() });
        for _ in 0..1_000 {
            call.print(Stream::Err, &[b'x'; 1_000]);
        }
        assert!(call.log.err.len() <= 11);
        let (lines, _, _) = call.end();
        assert_eq!(lines, [LogLine { level: LogLevel::Warn, text: "x".repeat(10) }]);
    }

    #[test]
    fn memory_is_limited_over_all_memories() {
        let mut call = call(Limits { memory_bytes: 3 << 16, ..Limits::default() });
        assert!(call.memory_growing(0, 1 << 16, None).is_ok());
        assert!(call.memory_growing(0, 2 << 16, None).is_ok());
        let error = call.memory_growing(1 << 16, 2 << 16, None).unwrap_err();
        assert_eq!(call.failure(&error).kind, FailureKind::Memory);
    }

    #[test]
    fn tables_are_limited_over_all_tables() {
        let mut call = call(Limits { table_elements: 10, ..Limits::default() });
        assert!(call.table_growing(0, 6, None).is_ok());
        assert!(call.table_growing(0, 4, None).is_ok());
        let error = call.table_growing(4, 5, None).unwrap_err();
        assert_eq!(call.failure(&error).kind, FailureKind::Table);
    }

    #[test]
    fn randomness_is_the_same_each_time() {
        let numbers = |seed| {
            let mut call = Call::new(&Arc::new(Limits::default()), Timestamp(0), seed);
            [call.random(), call.random()]
        };
        assert_eq!(numbers(1), numbers(1));
        assert_ne!(numbers(1), numbers(2));
        assert_ne!(numbers(1)[0], numbers(1)[1]);
    }
}
