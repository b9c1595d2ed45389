//! The daemon on vp1 or vp2, as an administrator would set it up, with a receiver for its alerts.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;

use serde_json::Value;

use crate::lab::said;
use crate::{Lab, machine, wait_for};

/// The folder of a host's configuration, among the files that every host sees as `/lab`.
fn folder(host: &str) -> String {
    if host == FIRST { "watchkeeper".to_owned() } else { format!("watchkeeper-{host}") }
}

/// Where a monitor runs if nothing else is said.
const FIRST: &str = "vp1";

/// What differs between scenarios.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// For how long no second change of side may follow by itself.
    pub cooldown: &'static str,
    /// The policy's settings, as an inline table.
    pub settings: &'static str,
    /// How the duty is shared, as the section `[duty]`; empty: with nobody.
    pub duty: &'static str,
    /// The sections of fence agents; empty: there are none.
    pub fences: &'static str,
    /// The levels of dm1 and of dm2, as lists.
    pub levels: [&'static str; 2],
    /// What the daemon is run by: a command and its arguments, put before it.
    pub run_by: &'static str,
    /// Whether the daemon's log is for programs.
    pub log_json: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            cooldown: "10m",
            settings: "{}",
            duty: "",
            fences: "",
            levels: ["[]"; 2],
            run_by: "",
            log_json: false,
        }
    }
}

/// A daemon under test. It ends with the lab.
pub struct Monitor<'a> {
    lab: &'a Lab,
    host: &'static str,
    /// What the daemon is run by.
    run_by: &'static str,
    /// The program and the configuration's file, as the hosts see them.
    program: String,
    config: String,
    daemon: Option<Child>,
    log_json: bool,
}

impl<'a> Monitor<'a> {
    /// Writes the configuration, starts the sink and the daemon, and waits until all is well.
    pub fn start(lab: &'a Lab, setup: &Setup) -> Self {
        Self::start_on(lab, FIRST, setup)
    }

    /// The same on the host vp1 or vp2, whose name it has.
    pub fn start_on(lab: &'a Lab, host: &'static str, setup: &Setup) -> Self {
        let program = machine::program("watchkeeper").display().to_string();
        let config = format!("/lab/{}/watchkeeper.toml", folder(host));
        let text = configuration(setup).replacen(r#"name = "vp1""#, &format!("name = {host:?}"), 1);
        let mut monitor = Self::prepare_on(lab, host, &text, program, config);
        monitor.run_by = setup.run_by;
        monitor.log_json = setup.log_json;
        monitor.run();
        monitor.wait_calm();
        monitor
    }

    /// Writes a configuration, and all else that the daemon needs, to its folder, and starts the
    /// sink. The daemon is then run as `program` on `config`, by whoever does that.
    pub(crate) fn prepare(
        lab: &'a Lab,
        configuration: &str,
        program: String,
        config: String,
    ) -> Self {
        Self::prepare_on(lab, FIRST, configuration, program, config)
    }

    fn prepare_on(
        lab: &'a Lab,
        host: &'static str,
        configuration: &str,
        program: String,
        config: String,
    ) -> Self {
        let monitor = Self::with_files(lab, host, configuration, program, config);
        write(&lab.file("sink.py"), include_bytes!("sink.py"));
        let taken = monitor.taken();
        let path = format!("/lab/{taken}");
        lab.leave(host, &["python3", "/lab/sink.py", "8088", &path]);
        wait_for("the sink", || lab.file(&taken).exists().then_some(()).ok_or_else(String::new));
        monitor
    }

    /// All that the daemon needs, with a configuration of somebody else's making and no sink.
    pub(crate) fn bare(lab: &'a Lab, host: &'static str, configuration: &str) -> Self {
        let program = machine::program("watchkeeper").display().to_string();
        let config = format!("/lab/{}/watchkeeper.toml", folder(host));
        Self::with_files(lab, host, configuration, program, config)
    }

    fn with_files(
        lab: &'a Lab,
        host: &'static str,
        configuration: &str,
        program: String,
        config: String,
    ) -> Self {
        let folder = lab.file(&folder(host));
        for sub in ["policies", "plugins"] {
            make_folder(&folder.join(sub));
        }
        write(&folder.join("watchkeeper.toml"), configuration.as_bytes());
        write(&folder.join("replicator.password"), b"lab-replicator\n");
        write(&folder.join("bmc.password"), crate::bmc::PASSWORD.as_bytes());
        let guests = machine::target().join("wasm32-wasip2/guest");
        copy(&guests.join("data_mover_ha.wasm"), &folder.join("policies/data-mover-ha.wasm"));
        copy(&guests.join("webhook.wasm"), &folder.join("plugins/webhook.wasm"));
        Self { lab, host, run_by: "", program, config, daemon: None, log_json: false }
    }

    /// The file of what the sink accepted.
    fn taken(&self) -> String {
        if self.host == FIRST {
            "alerts.jsonl".to_owned()
        } else {
            format!("alerts-{}.jsonl", self.host)
        }
    }

    fn words<'w>(&'w self, command: &[&'w str]) -> Vec<&'w str> {
        let mut words = vec![self.program.as_str()];
        words.extend(command);
        words.extend(["--config", self.config.as_str()]);
        words
    }

    /// What the daemon is run by from its next start on: a command and its arguments, put before it.
    pub(crate) fn run_by(&mut self, run_by: &'static str) {
        self.run_by = run_by;
    }

    /// Starts the daemon, and does not wait for anything.
    pub(crate) fn launch(&mut self) {
        let mut command = vec!["run"];
        command.extend(self.log_json.then_some("--log-json"));
        let words = self.words(&command).join(" ");
        let log = format!("/lab/{}/daemon.log", folder(self.host));
        let line =
            format!("mkdir -p /var/lib/watchkeeper; exec {} {words} >>{log} 2>&1", self.run_by);
        if let Some(mut before) =
            self.daemon.replace(self.lab.spawn(self.host, &["sh", "-c", &line]))
        {
            let _ = before.kill();
            let _ = before.wait();
        }
    }

    /// Starts the daemon, and waits until it answers.
    pub fn run(&mut self) {
        self.launch();
        wait_for("the daemon", || {
            let log = || self.lab.text(&format!("{}/daemon.log", folder(self.host)));
            self.ask(&["status"]).map_err(|error| format!("{error}\n{}", log()))
        });
    }

    /// `kill -9` of the daemon.
    pub fn kill(&mut self) {
        let output = self.lab.exec(self.host, &["pkill", "-9", "-x", "watchkeeper"]);
        assert!(output.status.success(), "no daemon to kill: {}", said(&output));
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.wait();
        }
    }

    /// What a command of `watchkeeper` prints for people.
    pub fn say(&self, command: &[&str]) -> Result<String, String> {
        let output = self.lab.exec(self.host, &self.words(command));
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(said(&output))
        }
    }

    /// Starts a command of `watchkeeper`, and does not wait for its end.
    pub(crate) fn tell(&self, command: &[&str]) -> Child {
        self.lab.spawn(self.host, &self.words(command))
    }

    /// What a command of `watchkeeper` answers with `--json`.
    pub fn ask(&self, command: &[&str]) -> Result<Value, String> {
        let mut words = command.to_vec();
        words.push("--json");
        let text = self.say(&words)?;
        serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))
    }

    /// The cluster's part of the status.
    pub fn cluster(&self) -> Result<Value, String> {
        let status = self.ask(&["status"])?;
        status.pointer("/clusters/0").cloned().ok_or_else(|| "no cluster in the status".to_owned())
    }

    /// Whether the cluster is active on `side`, without a plan in flight.
    pub fn settled_on(&self, side: &str) -> Result<(), String> {
        let cluster = self.cluster()?;
        let is = (cluster.pointer("/active"), cluster.pointer("/plan"));
        if is == (Some(&Value::from(side)), Some(&Value::Null)) {
            Ok(())
        } else {
            Err(self.story())
        }
    }

    /// Waits until every service that is meant to run is up, and nothing is in flight.
    pub fn wait_calm(&self) {
        self.wait_calm_on(&["dm1", "dm2", "dm3"]);
    }

    /// The same, for some of the servers.
    pub fn wait_calm_on(&self, servers: &[&str]) {
        wait_for("every service to be as it is meant to be", || {
            let cluster = self.cluster()?;
            let services = cluster.pointer("/services").and_then(Value::as_array);
            let here = |it: &&Value| {
                let server = it.pointer("/server").and_then(Value::as_str);
                server.is_some_and(|server| servers.contains(&server))
            };
            let odd: Vec<_> = services
                .into_iter()
                .flatten()
                .filter(here)
                .filter(|it| it.pointer("/expected") == Some(&Value::Bool(true)))
                .filter(|it| it.pointer("/status") != Some(&Value::from("up")))
                .collect();
            let known = services.is_some_and(|list| !list.is_empty());
            if known && odd.is_empty() && cluster.pointer("/plan") == Some(&Value::Null) {
                Ok(())
            } else {
                Err(format!("{odd:?}\n{}", self.story()))
            }
        });
    }

    /// Waits until the sink has heard that an alert with that name is over.
    pub fn wait_resolved(&self, name: &str) {
        wait_for(&format!("the end of {name} at the sink"), || {
            let over = self.delivered().into_iter().any(|it| {
                it.pointer("/name") == Some(&Value::from(name))
                    && it.pointer("/status") == Some(&Value::from("resolved"))
            });
            if over { Ok(()) } else { Err(self.story()) }
        });
    }

    /// What the daemon thinks, for a test that fails.
    pub fn story(&self) -> String {
        let part = |command: &[&str]| self.say(command).unwrap_or_else(|error| error);
        format!("{}\n{}", part(&["status"]), part(&["explain"]))
    }

    /// The journal's records of one kind, oldest first.
    pub fn journal(&self, kind: &str) -> Vec<Value> {
        let answer = self.ask(&["journal", "show", "--limit", "1000", "--kind", kind]);
        match answer {
            Ok(Value::Array(list)) => list,
            Ok(other) => panic!("the journal is no list: {other}"),
            Err(error) => panic!("the journal cannot be read: {error}"),
        }
    }

    /// What the daemon has logged so far.
    pub fn log(&self) -> String {
        self.lab.text(&format!("{}/daemon.log", folder(self.host)))
    }

    /// Where it runs.
    pub(crate) const fn host(&self) -> &'static str {
        self.host
    }

    /// The alerts of the notifications that the sink accepted, in order.
    pub fn delivered(&self) -> Vec<Value> {
        let text = self.lab.text(&self.taken());
        text.lines().flat_map(alerts_in).collect()
    }

    /// How often the sink accepted each notification of alerts with that name, by its key.
    pub fn deliveries(&self, name: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for body in self.delivered() {
            if body.pointer("/name") == Some(&Value::from(name)) {
                let key = body.pointer("/idempotency_key").map(Value::to_string);
                *counts.entry(key.unwrap_or_default()).or_default() += 1;
            }
        }
        counts
    }

    /// Waits until the sink has an alert with that name, and gives its first form.
    pub fn wait_alert(&self, name: &str) -> Value {
        wait_for(&format!("the alert {name} at the sink"), || {
            let delivered = self.delivered();
            let found = delivered.iter().find(|it| it.pointer("/name") == Some(&Value::from(name)));
            found.cloned().ok_or_else(|| {
                let names: Vec<_> = delivered.iter().filter_map(|it| it.pointer("/name")).collect();
                format!("it has {names:?}\n{}", self.story())
            })
        })
    }

    /// Replaces a text in the configuration, all at once, as an editor does.
    pub fn edit(&self, from: &str, to: &str) {
        let file = self.lab.file(&format!("{}/watchkeeper.toml", folder(self.host)));
        let text = self.lab.text(&format!("{}/watchkeeper.toml", folder(self.host)));
        assert!(text.contains(from), "{from:?} is not in the configuration");
        let fresh = file.with_extension("new");
        write(&fresh, text.replace(from, to).as_bytes());
        let moved = std::fs::rename(&fresh, &file);
        assert!(moved.is_ok(), "{}: {moved:?}", file.display());
    }

    /// The file of the policy in force.
    pub fn policy_file(&self) -> PathBuf {
        self.lab.file(&format!("{}/policies/data-mover-ha.wasm", folder(self.host)))
    }
}

/// Makes a key and a certificate for each name, in the folder `keys` beside the configurations'.
pub fn make_keys(lab: &Lab, names: &[&str]) {
    let program = machine::program("watchkeeper").display().to_string();
    make_folder(&lab.file("keys"));
    for name in names {
        let words = [program.as_str(), "duty", "keys", "--dir", "/lab/keys", "--name", name];
        let output = lab.exec(FIRST, &words);
        assert!(output.status.success(), "keys of {name}: {}", said(&output));
    }
}

pub(crate) fn make_folder(path: &Path) {
    std::fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

pub(crate) fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn copy(from: &Path, to: &Path) {
    let copied = std::fs::copy(from, to);
    assert!(copied.is_ok(), "{} to {}: {copied:?}", from.display(), to.display());
}

pub(crate) fn configuration(setup: &Setup) -> String {
    include_str!("watchkeeper.toml")
        .replace("@COOLDOWN@", setup.cooldown)
        .replace("@SETTINGS@", setup.settings)
        .replace("@DUTY@", setup.duty)
        .replace("@FENCES@", setup.fences)
        .replace("@LEVELS_DM1@", setup.levels[0])
        .replace("@LEVELS_DM2@", setup.levels[1])
}

/// The news in the body of a notification, each with the key of its notification.
fn alerts_in(line: &str) -> Vec<Value> {
    let Ok(body) = serde_json::from_str::<Value>(line) else { return Vec::new() };
    let alerts = body.pointer("/alerts").and_then(Value::as_array);
    let news = alerts.into_iter().flatten().filter(|it| it.pointer("/news") == Some(&true.into()));
    let mut news: Vec<Value> = news.cloned().collect();
    for fields in news.iter_mut().filter_map(Value::as_object_mut) {
        let key = body.pointer("/idempotency_key").cloned().unwrap_or_default();
        fields.insert("idempotency_key".to_owned(), key);
    }
    news
}
