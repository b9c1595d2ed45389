//! Commands on this machine.
//!
//! Whoever runs one bounds its time by dropping [`run`]; then the whole process group is killed, so
//! that nothing that a script started stays behind.

use std::ffi::OsStr;
use std::io;
use std::process::{ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::share;

/// Why a command did not come to an end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    /// It could not be started.
    #[error("cannot run {program}")]
    Start {
        /// Which one.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// The operating system does not say how it ended.
    #[error("cannot wait for {program}")]
    Wait {
        /// Which one.
        program: String,
        /// Why.
        source: io::Error,
    },
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code, or the signal that ended it.
    pub(crate) status: ExitStatus,
    /// The beginning of its standard output.
    pub(crate) stdout: Vec<u8>,
    /// The beginning of its standard error.
    pub(crate) stderr: Vec<u8>,
}

/// Kills the process group unless it is disarmed.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nothing of it is left.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }
}

/// Runs `program`, without a shell, in a process group of its own, and gives it `input`. Of each
/// output at most `keep` bytes are kept; the rest is read all the same, so that a talkative
/// command does not block. Ends when the outputs do, which may be later than the program itself.
pub(crate) async fn run(
    program: &OsStr,
    arguments: &[String],
    input: &[u8],
    keep: usize,
) -> Result<Ended, ProcessError> {
    let _others = share::others();
    let named = || program.to_string_lossy().into_owned();
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|source| ProcessError::Start { program: named(), source })?;
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
    let mut group = Group(pid);
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command need not read its input.
            let _ = stdin.write_all(input).await;
        }
    };
    let ((), stdout, stderr, status) =
        tokio::join!(feed, beginning(stdout, keep), beginning(stderr, keep), child.wait());
    // What still runs has let go of the outputs, and is meant to stay.
    group.0 = None;
    let status = status.map_err(|source| ProcessError::Wait { program: named(), source })?;
    Ok(Ended { status, stdout, stderr })
}

/// Reads to the end and keeps the beginning.
async fn beginning(output: Option<impl AsyncRead + Unpin>, keep: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut output) = output else { return kept };
    let mut buffer = vec![0; 8 * 1024];
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        let room = keep.saturating_sub(kept.len());
        kept.extend(buffer.iter().take(read.min(room)));
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    async fn shell(script: &str, input: &[u8], keep: usize) -> Ended {
        let arguments = ["-c", script].map(str::to_owned);
        timeout(LONG, run("/bin/sh".as_ref(), &arguments, input, keep)).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn input_goes_in_and_both_outputs_come_out_cut() {
        let ended = shell("cat; echo wrong >&2; exit 4", b"input", 3).await;
        assert_eq!(
            (ended.status.code(), &*ended.stdout, &*ended.stderr),
            (Some(4), &b"inp"[..], &b"wro"[..])
        );
    }

    #[tokio::test]
    async fn neither_unread_input_nor_endless_output_blocks() {
        let input = vec![b'x'; 1_000_000];
        let ended = shell("exec <&-; head -c 3000000 /dev/zero", &input, 10).await;
        assert!(ended.status.success() && ended.stdout == [0; 10]);
    }

    #[tokio::test]
    async fn the_whole_group_goes_with_whoever_waits() {
        let mark = format!("{}.78", 86_000 + std::process::id() % 1000);
        let arguments = ["-c".to_owned(), format!("sleep {mark} & sleep {mark}")];
        let running = || {
            let entries = std::fs::read_dir("/proc").unwrap().flatten();
            let lines =
                entries.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
            let wanted = format!("sleep\0{mark}");
            lines.filter(|line| String::from_utf8_lossy(line).starts_with(&wanted)).count()
        };
        let wait = async |count| {
            let until = Instant::now() + LONG;
            while running() != count {
                assert!(Instant::now() < until, "{} processes, not {count}", running());
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            ended = run("/bin/sh".as_ref(), &arguments, b"", 0) => panic!("{ended:?}"),
            () = wait(2) => {}
        }
        wait(0).await;
    }

    #[tokio::test]
    async fn what_is_not_there_is_named() {
        let error = run("/nonexistent/program".as_ref(), &[], b"", 0).await.unwrap_err();
        assert_eq!(error.to_string(), "cannot run /nonexistent/program");
    }
}
