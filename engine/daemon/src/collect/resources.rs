//! How full a server's file systems are, and how much memory is left, over SSH.
//!
//! `df` and `/proc/meminfo` say it; nothing has to be installed. What is found has no say in whether
//! the server is up: it is for policies to judge, and what they want to know of it is mostly how it
//! has been going.

use std::fmt::Write as _;

use tokio::time::Instant;
use watchkeeper_core::facts::{ReasonCode, Value};

use super::finding::Finding;
use crate::ssh::{Ssh, quote};

/// Asks for each path in turn, so that one that cannot be asked about hides no other. The words of
/// `df` about that come where its numbers would.
const SCRIPT: &str = "LC_ALL=C; export LC_ALL
for path; do echo path; df -P -k -- \"$path\" 2>&1; done
echo memory; cat /proc/meminfo 2>&1";

/// Looks at file systems and memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Resources {
    /// The way to the server.
    pub ssh: Ssh,
    /// What is looked at.
    pub disks: Vec<Disk>,
}

/// A file system, by a path on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What it is called in the names of values, such as `var-lib-pgsql`.
    pub name: String,
    /// The path.
    pub path: String,
}

impl Resources {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let mut line = format!("/bin/sh -c {} watchkeeper-resources", quote(SCRIPT));
        for disk in &self.disks {
            let _ = write!(line, " {}", quote(&disk.path));
        }
        match self.ssh.exec(&line, None, deadline).await {
            Ok(output) => judge(&self.disks, &output.stdout.text()),
            Err(error) => Finding::no_means(&error),
        }
    }
}

/// How full a file system is.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Space {
    used_percent: f64,
    free_bytes: i64,
}

pub(super) fn judge(disks: &[Disk], said: &str) -> Finding {
    let (space_said, memory) = said.rsplit_once("memory\n").unwrap_or((said, ""));
    let mut found = Vec::new();
    let mut unknown = Vec::new();
    let mut parts = space_said.split("path\n").skip(1);
    for disk in disks {
        let part = parts.next().unwrap_or_default();
        match space(part) {
            Some(space) => found.push((disk, space)),
            None => {
                let words = part.lines().find(|line| !line.starts_with("Filesystem"));
                unknown.push(format!(
                    "{}: {}",
                    disk.path,
                    words.unwrap_or("nothing was said of it")
                ));
            }
        }
    }
    let memory = memory_of(memory);
    if memory.is_none() {
        unknown.push("/proc/meminfo cannot be read".to_owned());
    }
    let fullest = found.iter().max_by(|a, b| a.1.used_percent.total_cmp(&b.1.used_percent));
    let mut finding = if unknown.is_empty() {
        let detail = fullest.map_or_else(
            || "the memory was looked at".to_owned(),
            |(disk, space)| format!("{} is {:.0} % full", disk.path, space.used_percent),
        );
        Finding::up(ReasonCode::Serving, &detail)
    } else {
        Finding::unknown(ReasonCode::Monitor, &unknown.join("; "))
    };
    if let Some((disk, space)) = fullest {
        finding = with(finding, "disk", *space);
        finding = finding.with("disk-path", Value::Text(disk.path.as_str().into()));
    }
    for (disk, space) in &found {
        finding = with(finding, &format!("disk-{}", disk.name), *space);
    }
    if let Some((available, total)) = memory {
        finding = finding
            .with("memory-available-bytes", Value::Integer(available))
            .with("memory-available-percent", Value::Number(percent(available, total)));
    }
    finding
}

fn with(finding: Finding, name: &str, space: Space) -> Finding {
    finding
        .with(&format!("{name}-used-percent"), Value::Number(space.used_percent))
        .with(&format!("{name}-free-bytes"), Value::Integer(space.free_bytes))
}

/// With two digits after the point: more would say nothing.
#[expect(clippy::cast_precision_loss, reason = "two digits of a percentage are wanted")]
fn percent(part: i64, whole: i64) -> f64 {
    (part as f64 * 10_000.0 / whole as f64).round() / 100.0
}

/// The three numbers before the percentage are size, used and available in KiB, in the form that
/// POSIX demands. What is reserved for root is not available, so it counts neither way.
fn space(said: &str) -> Option<Space> {
    said.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let numbers = words.windows(4).find(|it| it.last().is_some_and(|last| last.ends_with('%')));
        let [_, used, available, _] = numbers? else { return None };
        let (used, available): (i64, i64) = (used.parse().ok()?, available.parse().ok()?);
        let usable = used.checked_add(available).filter(|usable| *usable > 0)?;
        Some(Space {
            used_percent: percent(used, usable),
            free_bytes: available.checked_mul(1024)?,
        })
    })
}

/// Available and total, in bytes.
fn memory_of(said: &str) -> Option<(i64, i64)> {
    let bytes = |key: &str| {
        let rest = said.lines().find_map(|line| line.strip_prefix(key))?;
        let number: i64 = rest.trim().strip_suffix(" kB")?.trim().parse().ok()?;
        number.checked_mul(1024)
    };
    Some((bytes("MemAvailable:")?, bytes("MemTotal:").filter(|total| *total > 0)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchkeeper_core::model::Status;

    const MEMORY: &str = "memory\nMemTotal:       16000000 kB\nMemFree:          100 kB\nMemAvailable:    4000000 kB\n";
    const HEAD: &str = "Filesystem     1024-blocks      Used Available Capacity Mounted on\n";

    fn disks(disks: &[(&str, &str)]) -> Vec<Disk> {
        let disk = |(name, path): &(&str, &str)| Disk {
            name: (*name).to_owned(),
            path: (*path).to_owned(),
        };
        disks.iter().map(disk).collect()
    }

    fn value<'a>(finding: &'a Finding, name: &str) -> Option<&'a Value> {
        finding.values.get(name)
    }

    #[test]
    fn each_path_has_its_values_and_the_fullest_has_the_short_names() {
        let said = format!(
            "path\n{HEAD}/dev/vda1         1000000    200000    700000      23% /\n\
             path\n{HEAD}//nas/dm data    1000000    900000    100000      90% /var/lib/pg data\n{MEMORY}"
        );
        let finding = judge(&disks(&[("root", "/"), ("pg", "/var/lib/pg data")]), &said);
        assert_eq!(finding.status, Status::Up);
        assert_eq!(&*finding.reason.detail, "/var/lib/pg data is 90 % full");
        for (name, expected) in [
            ("disk-root-used-percent", Value::Number(22.22)),
            ("disk-root-free-bytes", Value::Integer(700_000 * 1024)),
            ("disk-pg-used-percent", Value::Number(90.0)),
            ("disk-used-percent", Value::Number(90.0)),
            ("disk-free-bytes", Value::Integer(100_000 * 1024)),
            ("disk-path", Value::Text("/var/lib/pg data".into())),
            ("memory-available-bytes", Value::Integer(4_000_000 * 1024)),
            ("memory-available-percent", Value::Number(25.0)),
        ] {
            assert_eq!(value(&finding, name), Some(&expected), "{name}");
        }
    }

    #[test]
    fn what_cannot_be_measured_is_named_and_hides_nothing_else() {
        let said = format!(
            "path\ndf: /nowhere: No such file or directory\n\
             path\n{HEAD}/dev/vda1 1000000 200000 700000 23% /\n{MEMORY}"
        );
        let finding = judge(&disks(&[("nowhere", "/nowhere"), ("root", "/")]), &said);
        assert_eq!((finding.status, finding.reason.code), (Status::Unknown, ReasonCode::Monitor));
        assert_eq!(&*finding.reason.detail, "/nowhere: df: /nowhere: No such file or directory");
        assert!(value(&finding, "disk-root-used-percent").is_some());
        assert!(value(&finding, "disk-nowhere-used-percent").is_none());
        assert!(value(&finding, "memory-available-bytes").is_some());
    }

    /// What the script says is what is read, whatever this machine's `df` and `/proc` look like.
    #[tokio::test]
    async fn a_real_shell_s_words_are_understood() {
        let disks = disks(&[("root", "/"), ("none", "/nowhere at all"), ("tmp", "/tmp")]);
        let mut argv = ["-c", SCRIPT, "watchkeeper-resources"].map(str::to_owned).to_vec();
        argv.extend(disks.iter().map(|disk| disk.path.clone()));
        let ended = crate::process::run("/bin/sh".as_ref(), &argv, b"", 64 * 1024).await.unwrap();
        let finding = judge(&disks, &String::from_utf8(ended.stdout).unwrap());
        assert_eq!(finding.status, Status::Unknown, "{finding:?}");
        assert!(finding.reason.detail.starts_with("/nowhere at all: df: "), "{finding:?}");
        for name in ["disk-root-free-bytes", "disk-tmp-used-percent", "memory-available-bytes"] {
            assert!(value(&finding, name).is_some(), "{name}: {finding:?}");
        }
    }

    #[test]
    fn answers_that_are_none_measure_nothing() {
        for said in
            ["", "path\n", "sh: 1: df: not found", "path\n1 2 3 4%\nmemory\nMemTotal: x kB\n"]
        {
            let finding = judge(&disks(&[("root", "/")]), said);
            assert_eq!(finding.status, Status::Unknown, "{said}");
            assert!(value(&finding, "memory-available-bytes").is_none(), "{said}");
        }
        // A file system without any size, such as /proc.
        let said =
            format!("path\n{HEAD}proc 0 0 0 - /proc\npath\n{HEAD}none 0 0 0 0% /x\n{MEMORY}");
        let finding = judge(&disks(&[("proc", "/proc"), ("x", "/x")]), &said);
        assert!(finding.values.keys().all(|name| !name.starts_with("disk")), "{finding:?}");
    }
}
