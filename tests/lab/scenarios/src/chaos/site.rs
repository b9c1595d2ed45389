//! A lab with everything that a schedule wants: monitors, their receivers, etcd, management controllers.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::fault::Host;
use super::news::Taken;
use super::past::Past;
use super::schedule::{Duty, Schedule};
use crate::bmc::{ADDRESS, Bmc, USER};
use crate::monitor::{configuration, write};
use crate::{Lab, Monitor, Setup, make_keys, now};

/// The daemon's clock, as the file says that goes with its host; what it measures with is not touched.
const CLOCK: &str = "env FAKETIME_TIMESTAMP_FILE=/lab/clock-$(hostname) FAKETIME_CACHE_DURATION=1 \
     FAKETIME_DONT_FAKE_MONOTONIC=1 LD_PRELOAD=$(echo /usr/lib/*/faketime/libfaketimeMT.so.1)";

/// Quick where nothing is lost by it: a run waits for little else.
const QUICK: [(&str, &str); 6] = [
    (r#"interval = "1s""#, r#"interval = "500ms""#),
    (r#"timeout = "2s""#, r#"timeout = "1s""#),
    (r#"policies = "policies""#, "policies = \"policies\"\ncache = \"/var/cache/watchkeeper\""),
    (
        "[receivers.ops]",
        "[receivers.ops]\ntimeout = \"30s\"\nretry-first = \"200ms\"\nretry-max = \"1s\"",
    ),
    (
        "[clusters.prod.repository]",
        "[clusters.prod.plan]\nstart-timeout = \"20s\"\nstop-timeout = \"15s\"\nrepository-timeout = \"30s\"\n\
         retry-delay = \"500ms\"\n[clusters.prod.readiness]\ninterval = \"3s\"\ntimeout = \"3s\"\n[clusters.prod.repository]",
    ),
    // The clock of a monitor may jump; then no fact is older for that.
    ("[clusters.prod.guards]", "[clusters.prod.guards]\nstorm-limit = 0"),
];

const SETTINGS: &str = "{ down-confirmations = 2, unreachable-confirmations = 3, stray-confirmations = 2, \
                        rescue-attempts = 1, rescue-window = \"1m\" }";

/// A lab on which a schedule runs. Dropping it takes everything down.
pub(super) struct Site<'a> {
    pub(super) lab: &'a Lab,
    pub(super) monitors: Vec<Monitor<'a>>,
    pub(super) controllers: Vec<(Host, Bmc)>,
}

impl<'a> Site<'a> {
    /// Brings it up, and waits until all is well.
    pub(super) fn of(lab: &'a Lab, schedule: &Schedule) -> Self {
        let mut site = Self { lab, monitors: Vec::new(), controllers: Vec::new() };
        write(&lab.file("receiver.py"), include_bytes!("receiver.py"));
        if schedule.fenced {
            site.controllers.push(("dm1", Bmc::start(lab, "dm1", 9001)));
            site.controllers.push(("dm2", Bmc::start(lab, "dm2", 9002)));
        }
        match schedule.duty {
            Duty::Alone => {}
            Duty::Peers => make_keys(lab, &["vp1", "vp2"]),
            Duty::Etcd => lab.run(&["etcd", "start", "3"]),
        }
        for host in schedule.duty.monitors() {
            let mut monitor = Monitor::bare(lab, host, &text(schedule, host));
            site.receive(host);
            if schedule.has(|fault| fault == super::fault::Fault::Full(host)) {
                let mount = "mkdir -p /var/lib/watchkeeper && \
                             mount -t tmpfs -o size=32m tmpfs /var/lib/watchkeeper";
                lab.try_exec(host, &["sh", "-c", mount]).unwrap_or_else(|why| panic!("{why}"));
            }
            if schedule
                .has(|fault| matches!(fault, super::fault::Fault::Clock(at, _) if at == *host))
            {
                write(&lab.file(&format!("clock-{host}")), b"+0\n");
                monitor.run_by(CLOCK);
            }
            monitor.run();
            site.monitors.push(monitor);
        }
        for monitor in &site.monitors {
            monitor.wait_calm();
        }
        crate::wait_for("a monitor that has the duty, and a policy", || {
            let (_, cluster) = site.holder().ok_or_else(|| site.story())?;
            let alerts = cluster.pointer("/alerts").and_then(Value::as_array);
            let odd = |alert: &Value| alert.pointer("/name") == Some(&"policy-failed".into());
            assert!(!alerts.is_some_and(|alerts| alerts.iter().any(odd)), "{cluster}");
            let asked = cluster.pointer("/evaluations").and_then(Value::as_u64);
            asked.filter(|asked| *asked > 0).map(drop).ok_or_else(|| site.story())
        });
        site
    }

    /// Starts the receiver of a monitor's alerts.
    pub(super) fn receive(&self, host: Host) {
        let (file, refuse) = (format!("/lab/taken-{host}"), format!("/lab/refuse-{host}"));
        let words = ["python3", "/lab/receiver.py", "8088", &file, &refuse];
        self.lab.leave(host, &words);
    }

    pub(super) fn monitor(&mut self, host: Host) -> Option<&mut Monitor<'a>> {
        self.monitors.iter_mut().find(|monitor| monitor.host() == host)
    }

    /// The monitor that may act.
    pub(super) fn holder(&self) -> Option<(&Monitor<'a>, Value)> {
        self.monitors.iter().find_map(|monitor| {
            let cluster = monitor.cluster().ok()?;
            let held = cluster.pointer("/duty/held") == Some(&Value::Bool(true));
            held.then_some((monitor, cluster))
        })
    }

    /// What the monitors think, for a run that fails.
    pub(super) fn story(&self) -> String {
        let told = |monitor: &Monitor<'_>| format!("{}:\n{}", monitor.host(), monitor.story());
        self.monitors.iter().map(told).collect::<Vec<_>>().join("\n")
    }

    /// The monitors' journals. `ahead` says how far the clock of each went ahead.
    pub(super) fn past(&self, ahead: &[(Host, u64)]) -> Result<Past, String> {
        let mut past = Past::default();
        for monitor in &self.monitors {
            let records = read_journal(monitor)?;
            let mine = ahead.iter().filter(|(host, _)| *host == monitor.host());
            past.add(monitor.host(), records, now(), mine.map(|(_, ms)| ms).sum());
        }
        Ok(past)
    }

    /// What the receivers took.
    pub(super) fn taken(&self) -> Vec<Taken> {
        let of = |monitor: &Monitor<'a>| {
            let host = monitor.host();
            let text = self.lab.text(&format!("taken-{host}"));
            let lines = text.lines().filter_map(move |line| {
                let line = serde_json::from_str::<Value>(line).ok()?;
                Some(Taken {
                    monitor: host,
                    key: line.pointer("/key")?.as_str()?.to_owned(),
                    at: line.pointer("/at")?.as_u64()?,
                    unwritable: line.pointer("/body/alerts/0/name")
                        == Some(&"journal-unwritable".into()),
                })
            });
            lines.collect::<Vec<_>>()
        };
        self.monitors.iter().flat_map(of).collect()
    }
}

/// All records, but without evaluations and observations, which are most of it and of no use here.
fn read_journal(monitor: &Monitor<'_>) -> Result<Vec<watchkeeper_core::event::Record>, String> {
    const KINDS: [&str; 10] = [
        "plan-begun",
        "step-intended",
        "step-ended",
        "plan-ended",
        "declared",
        "alert-fired",
        "alert-resolved",
        "alert-untold",
        "notification-made",
        "notification-dead",
    ];
    let mut all = Vec::new();
    for kind in KINDS {
        let limit = "100000";
        let answer = monitor.ask(&["journal", "show", "--limit", limit, "--kind", kind])?;
        let records: Vec<_> =
            serde_json::from_value(answer).map_err(|error| format!("{kind}: {error}"))?;
        all.extend(records);
    }
    all.sort_by_key(|record: &watchkeeper_core::event::Record| record.seq);
    Ok(all)
}

/// Looks until it is so, at most for that long; the error says what was found in its place.
pub(super) fn within<T>(
    limit: Duration,
    pause: Duration,
    mut look: impl FnMut() -> Result<T, String>,
) -> Result<T, String> {
    let deadline = Instant::now() + limit;
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(instead) if Instant::now() >= deadline => return Err(instead),
            Err(_) => std::thread::sleep(pause),
        }
    }
}

fn text(schedule: &Schedule, host: Host) -> String {
    let levels = if schedule.fenced { [r#"["bmc-dm1"]"#, r#"["bmc-dm2"]"#] } else { ["[]"; 2] };
    let setup = Setup { cooldown: "4s", settings: SETTINGS, levels, ..Setup::default() };
    let mut text = configuration(&Setup { duty: "@DUTY@", fences: "@FENCES@", ..setup })
        .replace("@DUTY@", &duty(schedule.duty, host))
        .replace("@FENCES@", &if schedule.fenced { fences() } else { String::new() })
        .replacen(r#"name = "vp1""#, &format!("name = {host:?}"), 1);
    for (from, to) in QUICK {
        assert!(text.contains(from), "{from:?} is not in the configuration");
        text = text.replacen(from, to, 1);
    }
    text
}

fn duty(duty: Duty, host: Host) -> String {
    let (other, address) =
        if host == "vp1" { ("vp2", "10.77.0.22") } else { ("vp1", "10.77.0.21") };
    match duty {
        Duty::Alone => String::new(),
        Duty::Peers => format!(
            r#"
[duty]
observe = "1s"
[duty.peer]
name = "{other}"
address = "{address}:7077"
first = "vp1"
certificate = "../keys/{host}.pem"
key = "../keys/{host}.key"
peer-certificate = "../keys/{other}.pem"
beat = "500ms"
"#
        ),
        Duty::Etcd => r#"
[duty]
observe = "1s"
[duty.etcd]
endpoints = ["http://10.77.0.21:2379", "http://10.77.0.22:2379", "http://10.77.0.13:2379"]
lease = "3s"
"#
        .to_owned(),
    }
}

/// Both sides' controllers. (Without `cipher`, ipmitool first tries one that these do not know, for 14 s.)
fn fences() -> String {
    let one = |host: Host, port: u16| {
        format!(
            "[fences.bmc-{host}]\nagent = \"fence_ipmilan\"\noptions = {{ ip = \"{ADDRESS}\", ipport = \"{port}\", \
             username = \"{USER}\", lanplus = \"1\", cipher = \"3\", power_timeout = \"4\", login_timeout = \"3\" }}\n\
             secrets = {{ password = \"bmc\" }}\ntimeout = \"10s\"\n"
        )
    };
    format!("[secrets.bmc]\nfile = \"bmc.password\"\n{}{}", one("dm1", 9001), one("dm2", 9002))
}
