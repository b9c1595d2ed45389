//! One lab: brought up for one test, and always taken down.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::machine::{self, Place};

/// The media type that REST wants to hear.
const MEDIA_TYPE: &str = "application/vnd.com.teradata.datamover-v1.0+json";

/// Five hosts of a cluster. Dropping it takes them down.
pub struct Lab {
    name: String,
    _place: Place,
}

impl Lab {
    /// Brings a lab up for the scenario of that name, or says why none can be: then the test has
    /// nothing to do.
    ///
    /// # Panics
    /// If it does not come up on a machine where it should.
    pub fn up(scenario: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        if let Some(why) = machine::unfit() {
            eprintln!("SKIPPED {scenario}: {why}");
            return None;
        }
        machine::build();
        let place = Place::take();
        // Unique on the machine: other runs may have labs up.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("t{}-{number}", std::process::id());
        let lab = Self { name, _place: place };
        let standin = machine::program("dm-standin");
        let output = Command::new(machine::tool("up"))
            .args(["--name", &lab.name, "--standin"])
            .arg(standin)
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("tests/lab/up cannot be run: {error}"));
        assert!(output.status.success(), "the lab did not come up:\n{}", said(&output));
        Some(lab)
    }

    /// Its name, which also marks everything it consists of.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A file that every host sees as `/lab/NAME`.
    pub fn file(&self, name: &str) -> PathBuf {
        Path::new("/run/watchkeeper-lab").join(&self.name).join("files").join(name)
    }

    /// The content of such a file, without the line's end.
    pub fn text(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.file(name)).unwrap_or_default();
        text.trim_end().to_owned()
    }

    /// Makes a file that every host sees as `/lab/NAME`.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let written = std::fs::write(self.file(name), bytes);
        assert!(written.is_ok(), "{name}: {written:?}");
    }

    /// Where the lab keeps what it knows of its hosts.
    pub(crate) fn hosts(&self) -> PathBuf {
        Path::new("/run/watchkeeper-lab").join(&self.name).join("host")
    }

    /// The processes of a host whose command line has that text, by this machine's numbers.
    pub fn processes(&self, host: &str, mark: &str) -> Vec<u32> {
        let all = crate::witness::processes(&self.hosts().join(host));
        all.into_iter().filter(|(_, line)| line.contains(mark)).map(|(number, _)| number).collect()
    }

    fn tool(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(machine::tool("lab"));
        command.args(["--name", &self.name]).args(arguments).stdin(Stdio::null());
        command
    }

    /// One of the lab's own commands, such as `["kill", "dm1", "daemon"]`. It returns when the
    /// fault is in force.
    pub fn run(&self, arguments: &[&str]) {
        self.try_run(arguments).unwrap_or_else(|why| panic!("{why}"));
    }

    /// The same; the error is what it said in failing.
    pub fn try_run(&self, arguments: &[&str]) -> Result<(), String> {
        let output = self
            .tool(arguments)
            .output()
            .unwrap_or_else(|error| panic!("tests/lab/lab cannot be run: {error}"));
        if output.status.success() {
            Ok(())
        } else {
            Err(format!("lab {}: {}", arguments.join(" "), said(&output)))
        }
    }

    /// Starts one of the lab's own commands, and does not wait for its end.
    pub(crate) fn command(&self, arguments: &[&str]) -> Child {
        self.tool(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("tests/lab/lab cannot be run: {error}"))
    }

    /// Runs a program in a host, to its end, and gives what it printed; the error is what it said
    /// in failing.
    pub fn try_exec(&self, host: &str, program: &[&str]) -> Result<String, String> {
        let output = self.exec(host, program);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(said(&output))
        }
    }

    /// Runs a program in a host, to its end.
    pub fn exec(&self, host: &str, program: &[&str]) -> Output {
        let mut arguments = vec!["exec", host, "--"];
        arguments.extend(program);
        self.tool(&arguments)
            .output()
            .unwrap_or_else(|error| panic!("tests/lab/lab cannot be run: {error}"))
    }

    /// Starts a program in a host. It ends with the lab.
    pub fn spawn(&self, host: &str, program: &[&str]) -> Child {
        let mut arguments = vec!["exec", host, "--"];
        arguments.extend(program);
        self.tool(&arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("tests/lab/lab cannot be run: {error}"))
    }

    /// The same, for what is left to run: nobody waits for it but a thread, so that it does not stay behind as a
    /// zombie in a program that has many labs.
    pub fn leave(&self, host: &str, program: &[&str]) {
        let mut child = self.spawn(host, program);
        std::thread::spawn(move || child.wait());
    }

    /// What the repository on `host` answers, one line a row; the error is what psql said.
    pub fn sql(&self, host: &str, statement: &str) -> Result<String, String> {
        let words = [
            "psql",
            "-qAtX",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "/run/dm",
            "-U",
            "watchkeeper",
            "-d",
            "datamover",
            "-c",
            statement,
        ];
        let output = self.exec(host, &words);
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        } else {
            Err(said(&output))
        }
    }

    /// A call of the REST service on `host`, made from vp1: the status code and the body. `job` is
    /// the name of one to create; none lists the agents.
    pub fn rest(&self, host: &str, job: Option<&str>) -> Result<(u16, serde_json::Value), String> {
        let login = format!("dmapi:{}", self.text("rest.password"));
        let accept = format!("Accept: {MEDIA_TYPE}");
        let resource = if job.is_some() { "jobs" } else { "agents" };
        let url = format!("https://{host}:1443/datamover/{resource}");
        let mut words = vec![
            "curl",
            "-s",
            "--max-time",
            "5",
            "--cacert",
            "/lab/ca.crt",
            "-u",
            &login,
            "-H",
            &accept,
            "-w",
            "\n%{http_code}",
        ];
        let body = job.map(|name| serde_json::json!({ "name": name }).to_string());
        if let Some(body) = &body {
            words.extend(["-H", "Content-Type: application/json", "-d", body]);
        }
        words.push(&url);
        let output = self.exec("vp1", &words);
        let text = String::from_utf8_lossy(&output.stdout);
        let (body, code) = text.rsplit_once('\n').unwrap_or_default();
        let value = serde_json::from_str(body).unwrap_or_default();
        match code.parse() {
            Ok(0) | Err(_) => Err(format!("{url}: {}", output.status)),
            Ok(code) => Ok((code, value)),
        }
    }

    /// How many agents REST on `host` lists; the error says what it answers instead.
    pub fn agents(&self, host: &str) -> Result<usize, String> {
        match self.rest(host, None)? {
            (200, serde_json::Value::Array(list)) => Ok(list.len()),
            (code, body) => Err(format!("REST on {host} answers {code}: {body}")),
        }
    }

    /// The number of a job created through REST on `host`.
    pub fn create_job(&self, host: &str, name: &str) -> Result<i64, String> {
        match self.rest(host, Some(name))? {
            (201, body) => body
                .get("jobId")
                .and_then(serde_json::Value::as_i64)
                .ok_or_else(|| format!("a job without a number: {body}")),
            (code, body) => Err(format!("REST on {host} answers {code}: {body}")),
        }
    }

    /// Whether the init script on `host` says that the service runs.
    pub fn runs(&self, host: &str, service: &str) -> bool {
        self.exec(host, &["/etc/init.d/dm", service, "status"]).status.success()
    }
}

/// Takes the power of a host of a lab; whether that was done.
pub(crate) fn crash(lab: &str, host: &str) -> bool {
    let mut command = Command::new(machine::tool("lab"));
    command.args(["--name", lab, "crash", host]).stdin(Stdio::null());
    command.output().is_ok_and(|output| output.status.success())
}

/// Whether a host of a lab has no power.
pub(crate) fn is_off(lab: &str, host: &str) -> bool {
    !Path::new("/run/watchkeeper-lab").join(lab).join("host").join(host).join("pid1").exists()
}

impl Drop for Lab {
    fn drop(&mut self) {
        let down = || {
            let mut command = Command::new(machine::tool("down"));
            command.args(["--name", &self.name]).stdin(Stdio::null()).output()
        };
        // Something that was just being run in a host may have come in between.
        let ended = match down() {
            Ok(output) if !output.status.success() => down(),
            ended => ended,
        };
        match ended {
            Ok(output) if output.status.success() => {}
            Ok(output) => eprintln!("lab {} is not down: {}", self.name, said(&output)),
            Err(error) => eprintln!("lab {} is not down: {error}", self.name),
        }
    }
}

pub(crate) fn said(output: &Output) -> String {
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    format!("{}: {}", output.status, text.trim())
}
