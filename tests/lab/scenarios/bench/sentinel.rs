//! Redis with three Sentinels on the same hosts: master on dm1, replica on dm2, Sentinels on dm3, vp1
//! and vp2, two of whom have to agree.

use std::path::Path;

use watchkeeper_lab::{Lab, wait_for};

const MASTER: &str = "10.77.0.11";
const REPLICA: &str = "10.77.0.12";
const SENTINELS: [(&str, &str); 3] =
    [("dm3", "10.77.0.13"), ("vp1", "10.77.0.21"), ("vp2", "10.77.0.22")];

/// Whether there is something to compare with.
pub(crate) fn installed() -> bool {
    ["redis-server", "redis-sentinel", "redis-cli"]
        .iter()
        .all(|program| Path::new("/usr/bin").join(program).exists())
}

/// Starts all of it, with `window` milliseconds until a master counts as down, and waits until the
/// Sentinels agree that they could fail over.
pub(crate) fn start(lab: &Lab, window: u64) {
    let server = |host, address, more: &str| {
        let line = format!(
            "cd /tmp && exec redis-server --bind {address} --port 6379 --protected-mode no \
             --save '' --repl-diskless-sync-delay 0 {more} >/tmp/redis.log 2>&1"
        );
        lab.leave(host, &["sh", "-c", &line]);
    };
    server("dm1", MASTER, "");
    server("dm2", REPLICA, &format!("--replicaof {MASTER} 6379"));
    wait_for("the replica of Redis", || {
        let said = ask(lab, "dm1", MASTER, "6379", &["info", "replication"])?;
        if said.contains("state=online") { Ok(()) } else { Err(said) }
    });
    for (host, address) in SENTINELS {
        let line = format!(
            "printf '%s\\n' 'bind {address}' 'port 26379' 'protected-mode no' 'dir /tmp' \
             'sentinel monitor lab {MASTER} 6379 2' \
             'sentinel down-after-milliseconds lab {window}' >/tmp/sentinel.conf && \
             exec redis-sentinel /tmp/sentinel.conf >/tmp/sentinel.log 2>&1"
        );
        lab.leave(host, &["sh", "-c", &line]);
    }
    for (host, address) in SENTINELS {
        wait_for("three Sentinels that agree", || {
            let said = ask(lab, host, address, "26379", &["sentinel", "ckquorum", "lab"])?;
            let replicas = ask(lab, host, address, "26379", &["sentinel", "replicas", "lab"])?;
            let ready = said.starts_with("OK 3 usable") && replicas.contains(REPLICA);
            if ready { Ok(()) } else { Err(said) }
        });
    }
}

fn ask(lab: &Lab, host: &str, address: &str, port: &str, words: &[&str]) -> Result<String, String> {
    let mut command = vec!["redis-cli", "-h", address, "-p", port];
    command.extend(words);
    let output = lab.exec(host, &command);
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}
