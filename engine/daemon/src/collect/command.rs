//! A command with the convention of Nagios plugins, on the monitor or on the server.
//!
//! Exit status 0 is fine, 1 a warning, 2 critical, 3 unknown. The first line explains; what stands
//! after `|` are measurements.

use tokio::time::{Instant, timeout_at};
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::errors::chain;
use crate::ssh::{Captured, MAX_OUTPUT, Ssh};
use crate::{net, process};

/// Measurements that are kept of one run.
const MAX_MEASUREMENTS: usize = 32;

/// Where the command runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Where {
    /// On the monitor: program and arguments, without a shell.
    Here(Vec<String>),
    /// On a server: a line for the user's shell there.
    There {
        /// The way to the server.
        ssh: Ssh,
        /// The line.
        line: String,
    },
}

/// Runs a command and reads its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What, and where.
    pub run: Where,
}

impl Command {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        match &self.run {
            Where::There { ssh, line } => match ssh.exec(line, None, deadline).await {
                Ok(output) => {
                    let status = output.exit.and_then(|status| i32::try_from(status).ok());
                    judge(status, &output.stdout, &output.stderr)
                }
                Err(error) => Finding::no_means(&error),
            },
            Where::Here(argv) => here(argv, deadline).await,
        }
    }
}

async fn here(argv: &[String], deadline: Instant) -> Finding {
    let Some((program, arguments)) = argv.split_first() else {
        return Finding::unknown(ReasonCode::Monitor, "there is no command to run");
    };
    let running = process::run(program.as_ref(), arguments, b"", MAX_OUTPUT);
    match timeout_at(deadline, running).await {
        Ok(Ok(ended)) => {
            judge(ended.status.code(), &captured(&ended.stdout), &captured(&ended.stderr))
        }
        Ok(Err(error)) => Finding::unknown(ReasonCode::Monitor, &chain(&error)),
        Err(_) => {
            let detail = format!("{program} did not end in time and was killed");
            Finding::unknown(ReasonCode::TimedOut, &detail)
        }
    }
}

fn captured(output: &[u8]) -> Captured {
    let mut captured = Captured::default();
    captured.push(output);
    captured
}

pub(super) fn judge(status: Option<i32>, stdout: &Captured, stderr: &Captured) -> Finding {
    let line = stdout.text().lines().next().unwrap_or_default().to_owned();
    let (words, measured) = line.split_once('|').unwrap_or((&line, ""));
    let words = match (net::one_line(words), stderr.first_line()) {
        (words, Some(error)) if words.is_empty() => error,
        (words, None) if words.is_empty() => "no explanation".to_owned(),
        (words, _) => words,
    };
    let finding = match status {
        Some(0) => Finding::up(ReasonCode::Serving, &words),
        Some(1) => Finding::up(ReasonCode::Serving, &words).with("warning", Value::Flag(true)),
        Some(2) => Finding::down(ReasonCode::Unhealthy, &words),
        Some(3) => Finding::unknown(ReasonCode::Monitor, &words),
        Some(other) => {
            let detail = format!("exit status {other} is none of a plugin's: {words}");
            Finding::unknown(ReasonCode::Monitor, &detail)
        }
        None => {
            Finding::unknown(ReasonCode::Monitor, &format!("a signal ended the command: {words}"))
        }
    };
    measurements(measured)
        .into_iter()
        .take(MAX_MEASUREMENTS)
        .fold(finding, |finding, (name, value)| finding.with(&name, value))
}

/// `'label'=value[unit];warn;crit;min;max`, separated by blanks.
fn measurements(mut text: &str) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    loop {
        text = text.trim_start();
        let label;
        if let Some(quoted) = text.strip_prefix('\'') {
            let Some((inside, rest)) = quoted.split_once("'=") else { return found };
            (label, text) = (inside, rest);
        } else {
            let Some((plain, rest)) = text.split_once('=') else { return found };
            (label, text) = (plain, rest);
        }
        let (entry, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
        text = rest;
        let number = entry.split(';').next().unwrap_or_default();
        let end = number
            .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
            .unwrap_or(number.len());
        let (digits, unit) = number.split_at(end);
        if let Some(value) = parse(digits) {
            found.push((format!("{}{}", kebab(label), suffix(unit)), value));
        }
    }
}

fn parse(digits: &str) -> Option<Value> {
    if let Ok(whole) = digits.parse() {
        return Some(Value::Integer(whole));
    }
    digits.parse().ok().map(Value::Number)
}

fn kebab(label: &str) -> String {
    let label = label.trim().to_ascii_lowercase();
    label.chars().take(64).map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

fn suffix(unit: &str) -> String {
    match unit {
        "" | "c" => String::new(),
        "%" => "-percent".to_owned(),
        "B" => "-bytes".to_owned(),
        unit => format!("-{}", kebab(unit)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use watchkeeper_core::model::Status;

    async fn shell(script: &str, limit: Duration) -> Finding {
        let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
        here(&argv, Instant::now() + limit).await
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn the_exit_status_is_the_verdict() {
        for (status, expected, code) in [
            (0, Status::Up, ReasonCode::Serving),
            (1, Status::Up, ReasonCode::Serving),
            (2, Status::Down, ReasonCode::Unhealthy),
            (3, Status::Unknown, ReasonCode::Monitor),
            (7, Status::Unknown, ReasonCode::Monitor),
            (127, Status::Unknown, ReasonCode::Monitor),
        ] {
            let finding = shell(&format!("echo words; exit {status}"), LONG).await;
            assert_eq!((finding.status, finding.reason.code), (expected, code), "{status}");
            assert!(finding.reason.detail.contains("words"));
            assert_eq!(finding.values.contains_key("warning"), status == 1);
        }
        let missing = here(&["/nonexistent/plugin".to_owned()], Instant::now() + LONG).await;
        assert_eq!((missing.status, missing.reason.code), (Status::Unknown, ReasonCode::Monitor));
    }

    #[tokio::test]
    async fn measurements_become_values() {
        let script = "echo \"OK - fine | time=0.25s;1;2 'used space'=73%;80 size=12B odd=x n=-3c\"";
        let finding = shell(script, LONG).await;
        assert_eq!(&*finding.reason.detail, "OK - fine");
        let expected = [
            ("n", Value::Integer(-3)),
            ("size-bytes", Value::Integer(12)),
            ("time-s", Value::Number(0.25)),
            ("used-space-percent", Value::Integer(73)),
        ];
        let values: Vec<_> = finding.values.iter().map(|(k, v)| (&**k, v.clone())).collect();
        assert_eq!(values, expected);
    }

    #[tokio::test]
    async fn at_the_deadline_it_is_unknown() {
        let finding = shell("sleep 30", Duration::from_millis(100)).await;
        assert_eq!((finding.status, finding.reason.code), (Status::Unknown, ReasonCode::TimedOut));
    }

    #[tokio::test]
    async fn endless_output_is_cut_and_does_not_block() {
        let finding = shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 2", LONG).await;
        assert_eq!(finding.status, Status::Down);
        assert!(finding.reason.detail.len() < net::MAX_DETAIL + 8);
    }
}
