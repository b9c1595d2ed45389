//! What goes wrong, and the window that is given to be sure of it.

use std::fmt;
use std::process::Command;

use clap::ValueEnum;
use watchkeeper_lab::{Lab, now};

/// The times of the lab's configuration, in milliseconds (watchkeeper.toml), and the defaults of
/// data-mover-ha.
const INTERVAL: u64 = 1_000;
const CONFIRM_INTERVAL: u64 = 200;
const TIMEOUT: u64 = 2_000;
const DOWN_CONFIRMATIONS: u64 = 3;
const UNREACHABLE_CONFIRMATIONS: u64 = 5;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// `kill -9` of dm1's daemon, which is not rescued
    Process,
    /// dm1's network link goes down
    Host,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Process => "process death",
            Self::Host => "host loss",
        })
    }
}

impl Fault {
    pub(crate) const ALL: [Self; 2] = [Self::Process, Self::Host];

    /// The name for programs.
    pub(crate) const fn key(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Host => "host",
        }
    }

    /// The confirmation window: how long at most it may take, by the configuration, until the fault
    /// was found as often as it has to be, in milliseconds. docs/operations.md has the same.
    pub(crate) const fn window(self) -> u64 {
        let first = INTERVAL + INTERVAL / 20;
        match self {
            Self::Process => first + (DOWN_CONFIRMATIONS - 1) * CONFIRM_INTERVAL,
            // A run that gets no answer takes longer than the pause, of which a tenth is left.
            Self::Host => {
                let again = TIMEOUT + CONFIRM_INTERVAL / 10;
                first + (UNREACHABLE_CONFIRMATIONS - 1) * again + TIMEOUT
            }
        }
    }

    /// What the engine itself may take, in milliseconds.
    pub(crate) const fn target(self) -> f64 {
        match self {
            Self::Process => 150.0,
            Self::Host => 300.0,
        }
    }

    /// The service of dm1 whose probes find it; none: the login.
    pub(crate) const fn found_by(self) -> Option<&'static str> {
        match self {
            Self::Process => Some("daemon"),
            Self::Host => None,
        }
    }

    /// Makes it, on this machine and not through the lab's tools, which would take some of the
    /// time. Gives the moment just before, in milliseconds since 1970.
    pub(crate) fn strike(self, lab: &Lab) -> u64 {
        let mut command = match self {
            Self::Process => {
                let mut victims = lab.processes("dm1", "dm-standin daemon ");
                victims.extend(lab.processes("dm1", "redis-server "));
                let mut command = Command::new("kill");
                command.arg("-9").args(victims.iter().map(u32::to_string));
                command
            }
            Self::Host => {
                let mut command = Command::new("ip");
                let switch = format!("wk-{}-switch", lab.name());
                command.args(["-n", &switch, "link", "set", "dm1", "down"]);
                command
            }
        };
        let at = now();
        let status = command.status();
        assert!(status.as_ref().is_ok_and(std::process::ExitStatus::success), "{self}: {status:?}");
        at
    }
}
