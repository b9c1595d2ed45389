//! The examples of rights on the servers fit the example of a configuration: no more and no less.
//!
//! Without `visudo` and `ssh-keygen` what needs them passes after printing `SKIPPED`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use watchkeeper::config::{Mode, load_as};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sudoers() -> String {
    let text = fs::read_to_string(root().join("packaging/sudoers.d/watchkeeper")).unwrap();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ")
}

/// Host to the commands that dmuser may run there as root, without a password.
fn allowed() -> BTreeMap<String, Vec<String>> {
    let text = sudoers();
    let words = |list: &str| -> Vec<String> {
        list.split(',')
            .map(|it| it.split_whitespace().collect::<Vec<_>>().join(" "))
            .filter(|it| !it.is_empty())
            .collect()
    };
    let aliases: BTreeMap<String, Vec<String>> = text
        .lines()
        .filter_map(|line| line.strip_prefix("Cmnd_Alias ")?.split_once('='))
        .map(|(name, list)| (name.trim().to_owned(), words(list)))
        .collect();
    let mut allowed: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("dmuser ")) {
        let (hosts, rest) = line.split_once('=').unwrap();
        let list =
            rest.trim().strip_prefix("(root) NOPASSWD: ").expect("as root, without a password");
        for host in words(hosts) {
            for name in words(list) {
                allowed.entry(host.clone()).or_default().extend(aliases[&name].iter().cloned());
            }
        }
    }
    allowed
}

/// The example with the files that it names.
fn example() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = root().join("docs/examples/five-servers");
    let secrets = ["slack-url", "rest-password", "activemq-password"];
    let database = ["repository-password", "replication-password"];
    let secrets = secrets.iter().chain(&database).map(|name| format!("secrets/{name}"));
    let files = ["id_ed25519", "known_hosts", "ca.pem"].map(str::to_owned).into_iter();
    let guests = ["policies/data-mover-ha", "plugins/slack", "plugins/webhook"];
    let guests = guests.iter().map(|name| format!("{name}.wasm"));
    for name in files.chain(secrets).chain(guests) {
        let file = folder.path().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "S3CRET\n").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    fs::create_dir(folder.path().join("conf.d")).unwrap();
    for name in ["watchkeeper.toml", "conf.d/prod.toml"] {
        fs::copy(from.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

/// Host to the commands that the example runs there through sudo, and those that it runs without.
fn wanted() -> BTreeMap<String, (Vec<String>, Vec<String>)> {
    let folder = example();
    let config = match load_as(&folder.path().join("watchkeeper.toml"), Mode::Check) {
        Ok(config) => config,
        Err(problems) => panic!("{problems}"),
    };
    let mut wanted: BTreeMap<String, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for cluster in &config.clusters {
        for (name, server) in &cluster.servers {
            let (with, without) = wanted.entry(name.to_string()).or_default();
            for commands in server.commands.values() {
                for command in [&commands.start, &commands.stop, &commands.status] {
                    match command.strip_prefix("sudo -n ") {
                        // What sudo looks for in its secure path.
                        Some(rest) if rest.starts_with("systemctl ") => {
                            with.push(format!("/usr/bin/{rest}"));
                        }
                        Some(rest) => with.push(rest.to_owned()),
                        None => without.push(command.clone()),
                    }
                }
            }
        }
    }
    wanted
}

#[test]
fn dmuser_may_start_and_stop_what_the_example_has_and_nothing_else() {
    let (allowed, wanted) = (allowed(), wanted());
    assert!(wanted.len() == 3 && wanted["dm1"].0.len() == 12, "{wanted:?}");
    for (host, (with, _)) in &wanted {
        for command in with {
            let rules = allowed[host].iter().filter(|rule| *rule == command).count();
            assert_eq!(rules, 1, "{host}: {rules} rules for {command}");
        }
        for rule in &allowed[host] {
            assert!(with.contains(rule), "{host}: {rule} is allowed and not needed");
        }
    }
    assert_eq!(allowed.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
}

#[test]
fn states_are_asked_without_sudo_and_no_rule_has_a_wildcard() {
    for (host, (_, without)) in wanted() {
        assert!(!without.is_empty());
        for command in without {
            let asks = command.starts_with("systemctl is-active ") || command.ends_with(" status");
            assert!(asks, "{host}: {command} changes something without sudo");
        }
    }
    for rule in allowed().into_values().flatten() {
        assert!(rule.starts_with('/'), "{rule} has no path");
        assert!(!rule.contains(['*', '?', '[', '!', '$', '"']), "{rule}");
        assert!(rule.contains(' '), "{rule} allows any arguments");
    }
}

#[test]
fn visudo_accepts_the_rules() {
    let file = root().join("packaging/sudoers.d/watchkeeper");
    let visudo = ["visudo", "/usr/sbin/visudo"]
        .into_iter()
        .find_map(|program| Command::new(program).arg("-cf").arg(&file).output().ok());
    let Some(output) = visudo else {
        eprintln!("SKIPPED visudo_accepts_the_rules: visudo is not there (Debian's package sudo)");
        return;
    };
    let said = [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it)).concat();
    // Owner and mode are those of a checkout, not of what is installed.
    assert!(said.contains("parsed OK") && !said.contains("syntax error"), "{said}");
}

#[test]
fn the_monitors_keys_are_restricted() {
    let file = root().join("packaging/ssh/authorized_keys");
    let text = fs::read_to_string(&file).unwrap();
    let keys: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(keys.len(), 2, "one for each monitor");
    for key in keys {
        let options = key.split(" ssh-ed25519 ").next().unwrap();
        for wanted in ["restrict,", "port-forwarding,", "permitopen=\"", "from=\""] {
            assert!(options.contains(wanted), "{key} has no {wanted}");
        }
        for given in ["pty", "agent-forwarding", "X11-forwarding", "permitopen=\"*", "user-rc"] {
            assert!(!options.contains(given), "{key} has {given}");
        }
    }
    match Command::new("ssh-keygen").arg("-lf").arg(&file).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert_eq!(said.lines().filter(|line| line.contains("SHA256:")).count(), 2, "{said}");
        }
        Err(_) => eprintln!("SKIPPED the_monitors_keys_are_restricted: ssh-keygen is not there"),
    }
}
