//! The mark on each server that says whose term it is: the last place where a monitor that lost the
//! duty without knowing it is refused (invariant 2).
//!
//! Every command that changes something on a server carries the term in which it was decided. The
//! server's own shell compares it with the mark that the last such command left, under a lock, and
//! refuses what is older, before the command is run. So a monitor that was cut off, paused, or
//! restored from a backup cannot act against its successor, and a second monitor that nobody told
//! of the first is found out by its first command.
//!
//! The mark is `~/.watchkeeper/CLUSTER.term` of the user that logs in: the term, how the duty is
//! shared (0 alone, 1 peer, 2 etcd), and the owner, a monitor's name with the first digits of its
//! journal's identity. A disk that is full must not prevent a failover, so a mark that cannot be
//! written is checked and left; [`claim`] tells.

use tokio::time::Instant;
use watchkeeper_core::model::ServerName;

use super::{Equipment, Reachable};
use crate::duty::{Hand, Refusal, Way};
use crate::errors::chain;
use crate::net;
use crate::ssh::{ExecOutput, SshError, quote};

/// The exit code of a command that was refused and not run.
const REFUSED: u32 = 97;

/// The exit code of a claim whose mark could not be written.
const UNWRITTEN: u32 = 98;

/// How the script's own words begin.
const SAYS: &str = "watchkeeper: ";

/// What the script says just before the command is run: without it, an exit code is not the command's.
const RUNS: &str = "watchkeeper: runs";

/// Arguments: cluster, term, way, owner, whether an operator ordered it, whether the mark has to be
/// written, command. No single quote may stand in it: it is put between two.
const SCRIPT: &str = r#"c=$1 t=$2 w=$3 o=$4 ordered=$5 strict=$6 run=$7
f=$HOME/.watchkeeper/$c.term
written=yes
mkdir -p "$HOME/.watchkeeper" 2>/dev/null
if ( : >>"$f.lock" ) 2>/dev/null; then exec 9>>"$f.lock"; flock -w 5 9 2>/dev/null; fl=$?
  if [ $fl = 1 ]; then echo "watchkeeper: $f.lock is held by another command" >&2; exit 96; fi
fi
mt=0 mw=0 mo=
[ ! -r "$f" ] || read -r mt mw mo <"$f"
case $mt in ""|*[!0-9]*) mt=0 mw=0 mo=;; esac
case $mw in ""|*[!0-9]*) mw=0;; esac
no=
if [ -n "$mo" ]; then
  if [ "$ordered" = 1 ] || [ "$mw" -eq "$w" ]; then
    if [ "$mt" -gt "$t" ]; then no=1; fi
    if [ "$mt" -eq "$t" ] && [ "$mo" != "$o" ]; then no=1; fi
    if [ "$ordered" != 1 ] && [ "$w" -eq 0 ] && [ "$mo" != "$o" ]; then no=1; fi
  elif [ "$mw" -gt "$w" ]; then no=1; fi
fi
if [ -n "$no" ]; then echo "watchkeeper: term $mt of $mo is in force" >&2; exit 97; fi
if [ "$mt $mw $mo" != "$t $w $o" ]; then
  { echo "$t $w $o" >"$f.$$" && mv "$f.$$" "$f"; } 2>/dev/null || written=no
fi
exec 9>&-
if [ "$strict" = 1 ] && [ $written = no ]; then echo "watchkeeper: cannot write $f" >&2; exit 98; fi
echo "watchkeeper: runs" >&2
exec /bin/sh -c "$run""#;

/// The command line for a server's shell. With `strict` it fails if the mark cannot be written.
fn line(hand: &Hand, command: &str, strict: bool) -> String {
    let flag = |yes| if yes { "1" } else { "0" };
    let term = hand.term.0.to_string();
    let arguments = [
        SCRIPT,
        "watchkeeper-term",
        hand.cluster.as_str(),
        &term,
        match hand.way {
            Way::Alone => "0",
            Way::Peer => "1",
            Way::Etcd => "2",
        },
        &hand.owner,
        flag(hand.ordered),
        flag(strict),
        command,
    ];
    let quoted: Vec<String> = arguments.iter().map(|text| quote(text)).collect();
    format!("/bin/sh -c {}", quoted.join(" "))
}

/// What a command is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// It changes nothing.
    Looks,
    /// It changes something: it must not do so when nobody waits for it any more.
    Changes,
}

/// Why a command was not run, or what is not known of it.
pub(super) enum Unrun {
    /// The server refuses this monitor.
    Refused(String),
    /// The server's shell did not get as far as the command.
    Shell(String),
    /// The way to it.
    Ssh(SshError),
}

impl Unrun {
    /// Why, for people.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Refused(why) | Self::Shell(why) => why.clone(),
            Self::Ssh(error) => chain(error),
        }
    }
}

/// Runs a command on a server, if the mark there lets it.
pub(super) async fn run(
    server: &Reachable,
    hand: Option<&Hand>,
    command: &str,
    kind: Kind,
    deadline: Instant,
) -> Result<ExecOutput, Unrun> {
    let exec = async |line: &str| match kind {
        Kind::Looks => server.ssh.exec(line, None, deadline).await.map_err(Unrun::Ssh),
        Kind::Changes => server.ssh.exec_change(line, deadline).await.map_err(Unrun::Ssh),
    };
    let Some(hand) = hand else { return exec(command).await };
    let output = exec(&line(hand, command, false)).await?;
    if let Some(said) = refusal(&output) {
        return Err(Unrun::Refused(hand.note(&server.ssh.target().server, &said).why));
    }
    let said = super::service::said(&output);
    ran(output).ok_or_else(|| {
        Unrun::Shell(format!(
            "the shell on {} did not get as far as the command ({said}); it has to be a POSIX shell \
             that may run it, or `term-mark = false`",
            server.ssh.target().server
        ))
    })
}

/// What the mark says against the command, if that is why it was not run.
fn refusal(output: &ExecOutput) -> Option<String> {
    if output.exit != Some(REFUSED) {
        return None;
    }
    let text = output.stderr.text();
    // A shell may have its own to say before.
    let mut own = text.lines().filter_map(|line| line.strip_prefix(SAYS));
    // It goes into alerts and before people, and is a server's word: on one line, without control characters.
    own.find(|said| said.starts_with("term ")).map(net::one_line)
}

/// The output of the command itself, if it was run.
fn ran(mut output: ExecOutput) -> Option<ExecOutput> {
    let text = output.stderr.text();
    let (before, after) = text.split_once(&format!("{RUNS}\n"))?;
    output.stderr.bytes = format!("{before}{after}").into_bytes();
    Some(output)
}

/// What is made of a server's answer to a command with a mark, for [`crate::fuzzing`].
pub(crate) fn answered(output: ExecOutput) -> (Option<String>, Option<ExecOutput>) {
    (refusal(&output), ran(output))
}

/// What came of leaving the mark on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It is there.
    Left,
    /// Another one is in force.
    Refused(Refusal),
    /// The server could not be asked, and its first command will leave it.
    Unreachable(String),
    /// It cannot be written: this server cannot tell an older term from a newer one.
    Unwritten(String),
}

/// Leaves the mark on a server without running anything.
pub async fn claim(
    equipment: &Equipment,
    server: &ServerName,
    hand: &Hand,
    deadline: Instant,
) -> Claim {
    let way = match equipment.server(server) {
        Ok(way) => way,
        Err(problem) => return Claim::Unreachable(problem),
    };
    match way.ssh.exec(&line(hand, "true", true), None, deadline).await {
        Err(error) => Claim::Unreachable(chain(&error)),
        Ok(output) => match (refusal(&output), output.exit) {
            (Some(said), _) => Claim::Refused(hand.note(server, &said)),
            (None, Some(0)) => Claim::Left,
            (None, Some(UNWRITTEN)) => Claim::Unwritten(format!(
                "{server}: {}",
                output.stderr.first_line().unwrap_or_default().trim_start_matches(SAYS)
            )),
            (None, _) => Claim::Unwritten(format!("{server}: {}", super::service::said(&output))),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use watchkeeper_core::model::{ClusterName, Term};

    use super::*;

    /// A server's home.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        /// What the command's shell says, and its exit code.
        fn run(&self, hand: &Hand, command: &str, strict: bool) -> (Option<i32>, String, String) {
            let output = Command::new("/bin/sh")
                .args(["-c", &line(hand, command, strict)])
                .env("HOME", self.0.path())
                .output()
                .unwrap();
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
            (output.status.code(), text(&output.stdout), text(&output.stderr))
        }

        fn code(&self, hand: &Hand) -> Option<i32> {
            self.run(hand, "exit 3", false).0
        }

        fn mark(&self) -> String {
            std::fs::read_to_string(self.0.path().join(".watchkeeper/prod.term"))
                .unwrap_or_default()
                .trim()
                .to_owned()
        }
    }

    fn made(term: u64, way: Way, owner: &str, ordered: bool) -> Hand {
        let cluster = ClusterName::new("prod").unwrap();
        Hand::new(cluster, Term(term), way, owner.to_owned(), ordered)
    }

    fn hand(term: u64, way: Way, owner: &str) -> Hand {
        made(term, way, owner, false)
    }

    fn ordered(term: u64, way: Way, owner: &str) -> Hand {
        made(term, way, owner, true)
    }

    const RUN: Option<i32> = Some(3);
    const NOT_RUN: Option<i32> = Some(97);

    #[test]
    fn an_older_term_is_refused_and_a_later_one_is_left_behind() {
        let home = Home::new();
        for way in [Way::Peer, Way::Etcd] {
            assert_eq!(home.code(&hand(5, way, "vp1-aa")), RUN);
            assert_eq!(home.code(&hand(5, way, "vp1-aa")), RUN);
            assert_eq!(home.code(&hand(6, way, "vp2-bb")), RUN);
            assert_eq!(home.code(&hand(5, way, "vp1-aa")), NOT_RUN);
            // Two that were told the same term: the first of them is in.
            assert_eq!(home.code(&hand(6, way, "vp1-aa")), NOT_RUN);
            assert_eq!(home.code(&ordered(6, way, "vp1-aa")), NOT_RUN);
            assert_eq!(home.code(&ordered(7, way, "vp1-aa")), RUN);
        }
        assert_eq!(home.mark(), "7 2 vp1-aa");
        let (code, out, err) = home.run(&hand(6, Way::Etcd, "vp2-bb"), "echo ran", false);
        assert_eq!((code, out.as_str()), (NOT_RUN, ""));
        assert_eq!(err, "watchkeeper: term 7 of vp1-aa is in force");
    }

    #[test]
    fn a_monitor_that_shares_with_nobody_tolerates_nobody() {
        let home = Home::new();
        assert_eq!(home.code(&hand(5, Way::Alone, "vp1-aa")), RUN);
        assert_eq!(home.code(&hand(6, Way::Alone, "vp1-aa")), RUN);
        // It was started more often, and it is another one all the same; so is a second journal.
        assert_eq!(home.code(&hand(9, Way::Alone, "vp2-bb")), NOT_RUN);
        assert_eq!(home.code(&hand(9, Way::Alone, "vp1-cc")), NOT_RUN);
        assert_eq!(home.code(&ordered(10, Way::Alone, "vp2-bb")), RUN);
        assert_eq!(home.code(&hand(7, Way::Alone, "vp1-aa")), NOT_RUN);
    }

    #[test]
    fn a_way_to_share_outranks_none_and_an_order_outranks_ways() {
        let home = Home::new();
        assert_eq!(home.code(&hand(50, Way::Alone, "vp1-aa")), RUN);
        assert_eq!(home.code(&hand(2, Way::Etcd, "vp2-bb")), RUN);
        assert_eq!(home.code(&hand(51, Way::Alone, "vp1-aa")), NOT_RUN);
        assert_eq!(home.code(&hand(51, Way::Peer, "vp1-aa")), NOT_RUN);
        assert_eq!(home.code(&ordered(51, Way::Alone, "vp1-aa")), RUN);
    }

    #[test]
    fn commands_come_through_as_they_are() {
        let home = Home::new();
        for command in [
            r#"echo "two  blanks" 'and $HOME' "it's""#,
            "echo a; echo b >&2; false",
            "printf '%s' 'x\ty'",
            "echo $((1 + 2)) \\\\",
        ] {
            let plain = Command::new("/bin/sh")
                .args(["-c", command])
                .env("HOME", home.0.path())
                .output()
                .unwrap();
            let (code, out, err) = home.run(&hand(1, Way::Alone, "vp1-aa"), command, false);
            assert_eq!(code, plain.status.code(), "{command}");
            assert_eq!(out, String::from_utf8_lossy(&plain.stdout).trim(), "{command}");
            let plain = String::from_utf8_lossy(&plain.stderr).trim().to_owned();
            assert_eq!(err, format!("{RUNS}\n{plain}").trim(), "{command}");
        }
    }

    /// A full disk must not prevent a failover; damage must not either.
    #[test]
    fn a_mark_that_cannot_be_written_or_read_holds_nothing_up() {
        let mut home = Home::new();
        let missing = home.0.path().join("missing/home");
        std::fs::write(home.0.path().join("missing"), "a file in the way").unwrap();
        let output = Command::new("/bin/sh")
            .args(["-c", &line(&hand(1, Way::Peer, "vp1-aa"), "exit 3", false)])
            .env("HOME", &missing)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), RUN, "{output:?}");
        let strict = Command::new("/bin/sh")
            .args(["-c", &line(&hand(1, Way::Peer, "vp1-aa"), "true", true)])
            .env("HOME", &missing)
            .output()
            .unwrap();
        assert_eq!(strict.status.code(), Some(98), "{strict:?}");

        home = Home::new();
        std::fs::create_dir(home.0.path().join(".watchkeeper")).unwrap();
        for damaged in ["", "\n", "x y z\n", "12", "-1 0 vp9\n", "\u{0}\u{1}"] {
            std::fs::write(home.0.path().join(".watchkeeper/prod.term"), damaged).unwrap();
            assert_eq!(home.code(&hand(1, Way::Alone, "vp1-aa")), RUN, "{damaged:?}");
            assert_eq!(home.mark(), "1 0 vp1-aa", "{damaged:?}");
        }
    }

    fn output(exit: u32, stderr: &str) -> ExecOutput {
        let mut output = ExecOutput {
            exit: Some(exit),
            signal: None,
            stdout: crate::ssh::Captured::default(),
            stderr: crate::ssh::Captured::default(),
        };
        output.stderr.push(stderr.as_bytes());
        output
    }

    /// A shell that fails before the command must not pass for a service that is stopped.
    #[test]
    fn an_exit_code_counts_only_if_the_command_was_run() {
        assert!(ran(output(2, "sh: 1: Cannot fork\n")).is_none());
        assert!(ran(output(1, "This account is restricted\n")).is_none());
        assert!(ran(output(3, "")).is_none());
        let ended =
            ran(output(3, "bash: warning: no locale\nwatchkeeper: runs\nstopped\n")).unwrap();
        assert_eq!(
            (ended.exit, ended.stderr.text().as_str()),
            (Some(3), "bash: warning: no locale\nstopped\n")
        );
        let refused = "bash: warning: no locale\nwatchkeeper: term 7 of vp2-bb is in force\n";
        assert_eq!(refusal(&output(97, refused)).unwrap(), "term 7 of vp2-bb is in force");
        assert!(refusal(&output(97, "watchkeeper: runs\nno\n")).is_none());
    }

    #[test]
    fn many_at_once_leave_the_latest() {
        let home = Home::new();
        std::thread::scope(|scope| {
            for term in 1..=12 {
                let home = &home;
                scope.spawn(move || home.code(&hand(term, Way::Etcd, &format!("vp{term}"))));
            }
        });
        assert_eq!(home.mark(), "12 2 vp12");
    }
}
