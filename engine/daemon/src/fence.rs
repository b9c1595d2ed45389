//! What switches a server's power: `ClusterLabs`' fence agents, as they are.
//!
//! An agent is a program that reads `key=value` lines from its standard input, among them
//! `action=status` or `action=off`, and answers with its exit code: 0 for on, or done; for `status`
//! 2 for off; anything else is a failure. (`ClusterLabs`, Fence Agents API, "Agent Operations and
//! Return Values".)
//!
//! A level is one agent or several that only count together, as the two outlets of a server with two
//! power supplies: it is off if all of them say so.
//!
//! Invariant: what is said of an agent's words shows no secret that it was given.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::{Instant, timeout_at};

use crate::errors::chain;
use crate::process;
use crate::secret::Secret;

/// How much of an agent's output is looked at, in bytes. With `verbose` they write pages.
const OUTPUT_LIMIT: usize = 16 * 1024;

/// The exit code with which `status` says off.
const OFF: i32 = 2;

/// Whether power is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    /// It is.
    On,
    /// It is not: nothing runs.
    Off,
}

impl Power {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// A fence agent with what it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its name in the configuration.
    pub name: String,
    /// The program.
    pub program: PathBuf,
    /// Its options, without the leading `--`, none with a line break.
    pub options: Vec<(String, String)>,
    /// Options whose values are secrets, none with a line break.
    pub secrets: Vec<(String, Secret)>,
    /// How long one call may take.
    pub timeout: Duration,
    /// How often it is asked whether it answers, in calm times.
    pub check_interval: Duration,
}

/// Agents that count together, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level(pub Vec<Agent>);

impl Agent {
    /// Whether the power is there; the error is for people.
    pub async fn power(&self, deadline: Instant) -> Result<Power, String> {
        match self.call("status", deadline).await? {
            (Some(0), _) => Ok(Power::On),
            (Some(OFF), _) => Ok(Power::Off),
            (_, said) => Err(said),
        }
    }

    /// Switches the power off; the error is for people. Whether it is off is for [`Agent::power`] to say.
    async fn switch_off(&self, deadline: Instant) -> Result<(), String> {
        match self.call("off", deadline).await? {
            (Some(0), _) => Ok(()),
            (_, said) => Err(said),
        }
    }

    /// The exit code, if it ended by itself, and its words.
    async fn call(&self, action: &str, deadline: Instant) -> Result<(Option<i32>, String), String> {
        let mut input = format!("action={action}\n");
        let options = self.options.iter().map(|(key, value)| (key, value.as_str()));
        let secrets = self.secrets.iter().map(|(key, value)| (key, value.expose()));
        for (key, value) in options.chain(secrets) {
            input.extend([key.as_str(), "=", value, "\n"]);
        }
        let program: &OsStr = self.program.as_ref();
        let deadline = deadline.min(Instant::now() + self.timeout);
        let running = process::run(program, &[], input.as_bytes(), OUTPUT_LIMIT);
        let named = |what: &str| format!("{} ({action}): {what}", self.name);
        match timeout_at(deadline, running).await {
            Ok(Ok(ended)) => {
                let said = named(&self.said(&ended));
                Ok((ended.status.code(), said))
            }
            Ok(Err(error)) => Err(named(&chain(&error))),
            Err(_) => Err(named("it did not end in time, and was killed")),
        }
    }

    /// How it ended, with the last words of its standard error: the agents write what was wrong there,
    /// after warnings.
    fn said(&self, ended: &process::Ended) -> String {
        let output = String::from_utf8_lossy(&ended.stderr);
        let last = output.lines().rev().map(str::trim).find(|line| !line.is_empty());
        let mut said = match last {
            Some(line) => format!("{}: {line}", ended.status),
            None => ended.status.to_string(),
        };
        for (_, secret) in self.secrets.iter().filter(|(_, secret)| !secret.expose().is_empty()) {
            said = said.replace(secret.expose(), "<secret>");
        }
        crate::net::one_line(&said)
    }
}

impl Level {
    /// The names of its agents.
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.0.iter().map(|agent| agent.name.as_str()).collect();
        names.join(" with ")
    }

    /// Off if all of its agents say so, on if one does; the error is for people.
    pub async fn power(&self, deadline: Instant) -> Result<Power, String> {
        let mut power = Power::Off;
        for answer in join_all(self.0.iter().map(|agent| agent.power(deadline))).await {
            if answer? == Power::On {
                power = Power::On;
            }
        }
        Ok(power)
    }

    /// Has all of its agents switch off, at the same time; the error is for people.
    pub async fn switch_off(&self, deadline: Instant) -> Result<(), String> {
        let off = join_all(self.0.iter().map(|agent| agent.switch_off(deadline))).await;
        off.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    /// An agent that is this shell script.
    fn agent(folder: &Path, name: &str, script: &str) -> Agent {
        let program = folder.join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Agent {
            name: name.to_owned(),
            program,
            options: vec![("ip".to_owned(), "10.0.0.9".to_owned())],
            secrets: vec![("password".to_owned(), Secret::new("hunter2"))],
            timeout: Duration::from_secs(20),
            check_interval: Duration::from_mins(5),
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// A script that keeps whether it is on in a file.
    fn outlet(folder: &Path, name: &str) -> Agent {
        let state = folder.join(format!("{name}.state"));
        std::fs::write(&state, "on").unwrap();
        let state = state.display();
        agent(
            folder,
            name,
            &format!(
                "read action; case $action in action=off) printf off > {state};; \
                 *) test $(cat {state}) = on || exit 2;; esac"
            ),
        )
    }

    #[tokio::test]
    async fn options_and_secrets_go_in_by_standard_input_alone() {
        let folder = tempfile::tempdir().unwrap();
        let seen = folder.path().join("seen");
        let script = format!("echo \"$# arguments\" > {0}; cat >> {0}", seen.display());
        let agent = agent(folder.path(), "ipmi", &script);
        assert_eq!(agent.power(soon()).await, Ok(Power::On));
        let seen = std::fs::read_to_string(seen).unwrap();
        assert_eq!(seen, "0 arguments\naction=status\nip=10.0.0.9\npassword=hunter2\n");
    }

    #[tokio::test]
    async fn exit_codes_are_those_of_the_interface_and_a_failure_shows_its_last_words() {
        let folder = tempfile::tempdir().unwrap();
        for (script, power) in [
            ("exit 0", Ok(Power::On)),
            ("exit 2", Ok(Power::Off)),
            (
                "echo warning >&2; echo 'Failed: hunter2 is wrong' >&2; exit 1",
                Err("ipmi (status): exit status: 1: Failed: <secret> is wrong"),
            ),
            ("kill -9 $$", Err("ipmi (status): signal: 9 (SIGKILL)")),
        ] {
            let found = agent(folder.path(), "ipmi", script).power(soon()).await;
            assert_eq!(found, power.map_err(str::to_owned), "{script}");
        }
        let mut gone = agent(folder.path(), "gone", "");
        gone.program = folder.path().join("nothing");
        let error = gone.power(soon()).await.unwrap_err();
        assert!(error.contains("cannot run") && error.contains("No such file"), "{error}");
    }

    #[tokio::test]
    async fn one_that_hangs_is_killed_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let mut agent = agent(folder.path(), "slow", "sleep 1000");
        agent.timeout = Duration::from_millis(50);
        let error = agent.power(soon()).await.unwrap_err();
        assert_eq!(error, "slow (status): it did not end in time, and was killed");
    }

    #[tokio::test]
    async fn a_level_is_off_when_all_of_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let level = Level(vec![outlet(folder.path(), "a"), outlet(folder.path(), "b")]);
        assert_eq!(level.name(), "a with b");
        assert_eq!(level.power(soon()).await, Ok(Power::On));
        level.0[0].switch_off(soon()).await.unwrap();
        assert_eq!(level.power(soon()).await, Ok(Power::On));
        level.switch_off(soon()).await.unwrap();
        assert_eq!(level.power(soon()).await, Ok(Power::Off));
        let broken = Level(vec![level.0[0].clone(), agent(folder.path(), "c", "exit 1")]);
        assert!(broken.power(soon()).await.is_err());
        assert!(broken.switch_off(soon()).await.is_err());
    }
}
