//! The daemon as the unit that ships, under a real systemd.

use std::ops::Deref;

use crate::monitor::{self, Monitor, Setup};
use crate::{Lab, machine};

/// Where the unit's program is, and its configuration.
const PROGRAM: &str = "/usr/local/bin/watchkeeper";
const CONFIG: &str = "/etc/watchkeeper/watchkeeper.toml";

/// A daemon under test that systemd runs on vp1.
pub struct Unit<'a> {
    lab: &'a Lab,
    monitor: Monitor<'a>,
}

impl<'a> Unit<'a> {
    /// Boots vp1 with systemd and installs the unit there, with lines of its own for the section
    /// `[Service]`, and with dmuser as one who may give orders. It is not started.
    pub fn install(lab: &'a Lab, setup: &Setup, lines: &str) -> Self {
        lab.run(&["crash", "vp1"]);
        lab.run(&["boot", "vp1", "--systemd"]);
        let configuration = installed(&monitor::configuration(setup));
        let monitor = Monitor::prepare(lab, &configuration, PROGRAM.to_owned(), CONFIG.to_owned());
        let drop_in = format!("[Service]\nSupplementaryGroups=dmuser\n{lines}\n");
        monitor::write(&lab.file("watchkeeper/drop-in.conf"), drop_in.as_bytes());
        monitor::write(&lab.file("install-unit.sh"), include_bytes!("install-unit.sh"));
        let unit = Self { lab, monitor };
        let (repository, program) = (machine::root().display(), machine::program("watchkeeper"));
        unit.exec(&[
            "sh",
            "/lab/install-unit.sh",
            &repository.to_string(),
            &program.display().to_string(),
        ]);
        unit
    }

    /// Runs a program on vp1 that has to succeed, and gives what it printed.
    pub fn exec(&self, program: &[&str]) -> String {
        self.lab
            .try_exec("vp1", program)
            .unwrap_or_else(|error| panic!("{program:?}: {error}\n{}", self.log()))
    }

    /// `systemctl` with one of its commands on the unit.
    pub fn systemctl(&self, command: &str) -> Result<String, String> {
        self.lab.try_exec("vp1", &["systemctl", command, "watchkeeper"])
    }

    /// One of the unit's properties, such as `MainPID`.
    pub fn property(&self, name: &str) -> String {
        self.exec(&["systemctl", "show", "-P", name, "watchkeeper"])
    }

    /// What systemd and the daemon logged about the unit.
    pub fn log(&self) -> String {
        let words = ["journalctl", "--no-pager", "-q", "-o", "cat", "-u", "watchkeeper"];
        self.lab.try_exec("vp1", &words).unwrap_or_else(|error| error)
    }

    /// Replaces a text in the configuration in force.
    pub fn edit(&self, from: &str, to: &str) {
        self.monitor.edit(from, to);
        self.exec(&["cp", "/lab/watchkeeper/watchkeeper.toml", CONFIG]);
    }

    /// Puts another copy of the program beside it, as a package does. That takes as long as the copy of
    /// some hundred megabytes.
    pub fn unpack_program(&self, version: &str) {
        let script = "cp \"$1\" \"$1.$2\" && echo another >>\"$1.$2\"";
        self.exec(&["sh", "-c", script, "sh", PROGRAM, version]);
    }

    /// Puts that copy in its place.
    pub fn replace_program(&self, version: &str) {
        self.exec(&["sh", "-c", "mv \"$1.$2\" \"$1\"", "sh", PROGRAM, version]);
    }
}

impl<'a> Deref for Unit<'a> {
    type Target = Monitor<'a>;

    fn deref(&self) -> &Self::Target {
        &self.monitor
    }
}

/// The configuration with everything where the unit has it.
fn installed(configuration: &str) -> String {
    configuration
        .replace("file = \"../", "credential = \"")
        .replace("file = \"replicator", "credential = \"replicator")
        .replace(".password\"", "\"")
        .replace("\"../id_ed25519\"", "\"/run/credentials/watchkeeper.service/id_ed25519\"")
        .replace("\"../", "\"")
        .replace(
            "\"/run/watchkeeper.sock\"",
            "\"/run/watchkeeper/watchkeeper.sock\"\nsocket-group = \"dmuser\"",
        )
}
