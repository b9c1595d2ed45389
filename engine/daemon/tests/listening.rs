//! What listens, for whom, and what the command line shows of what it is told.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use watchkeeper::config::{Mode, load_as};

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(sources(&path));
        } else {
            all.push(path);
        }
    }
    all
}

/// TCP is listened on in one place, which lets in who has one certificate; everything else is a socket file.
#[test]
fn only_the_door_for_the_other_monitor_listens_on_tcp() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut listening: Vec<String> = Vec::new();
    for path in sources(&src).into_iter().filter(|path| !path.ends_with("tests.rs")) {
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap();
        if ["TcpListener::", "TcpSocket::", "UdpSocket::"].iter().any(|word| code.contains(word)) {
            listening.push(path.strip_prefix(&src).unwrap().display().to_string());
        }
    }
    assert_eq!(listening, ["duty/peer/link.rs"]);
}

const PEER: &str = "\
[monitor]
name = \"vp1\"
[duty.peer]
name = \"vp2\"
address = \"vp2:7443\"
listen = \"0.0.0.0:7443\"
first = \"vp1\"
certificate = \"vp1.pem\"
key = \"vp1.key\"
peer-certificate = \"vp2.pem\"
";

#[test]
fn a_monitor_does_not_listen_without_keys_of_both() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("watchkeeper.toml");
    let said = |text: &str| {
        fs::write(&file, text).unwrap();
        load_as(&file, Mode::Check).expect_err("it is not whole").to_string()
    };
    let whole = said(PEER);
    for key in ["certificate", "key", "peer-certificate"] {
        let missing = format!("`{key}`");
        let lines = PEER.lines().filter(|line| !line.starts_with(&format!("{key} =")));
        let text = lines.collect::<Vec<_>>().join("\n");
        assert!(said(&text).contains(&missing), "{key} may be left out:\n{}", said(&text));
        assert!(!whole.contains(&format!("{missing} is missing")), "{whole}");
    }
    // There is no way to have it without TLS.
    assert!(said(&format!("{PEER}tls = false\n")).contains("unknown key `tls`"), "{whole}");
}

#[test]
fn etcd_without_tls_is_warned_of_unless_it_is_on_this_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("watchkeeper.toml");
    for (member, warned) in [
        ("http://etcd1:2379", true),
        ("http://192.0.2.1:2379", true),
        ("https://etcd1:2379", false),
        ("http://127.0.0.1:2379", false),
        ("http://[::1]:2379", false),
        ("http://localhost:2379", false),
    ] {
        let text = format!("[monitor]\nname = \"vp1\"\n[duty.etcd]\nendpoints = [\"{member}\"]\n");
        fs::write(&file, text).unwrap();
        let said = load_as(&file, Mode::Check).expect_err("it is not whole").to_string();
        assert_eq!(said.contains("asked without TLS"), warned, "{member}:\n{said}");
    }
}

const HOSTILE: &str = "x\u{1b}]0;owned\u{7}\u{9b}2J\u{202e}\ry";

/// A daemon's socket where whatever is asked is answered with what a hostile server said.
fn hostile_daemon(socket: &Path, status: u16) {
    let listener = UnixListener::bind(socket).unwrap();
    let alert = serde_json::json!({
        "name": "server-down", "severity": "critical", "summary": HOSTILE, "code": HOSTILE,
        "since": 1, "source": HOSTILE
    });
    let report = serde_json::json!({
        "monitor": HOSTILE, "version": HOSTILE, "started": 1, "term": 1, "journal": 1,
        "alerts": [alert], "outbox": [0, 0], "clusters": [], "error": HOSTILE
    });
    let body = report.to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close",
                body.len()
            );
            let _ = stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes());
        }
    });
}

#[test]
fn what_a_hostile_server_says_does_not_act_on_the_operators_terminal() {
    let folder = tempfile::tempdir().unwrap();
    for (status, name) in [(200, "good.sock"), (500, "bad.sock")] {
        let socket = folder.path().join(name);
        hostile_daemon(&socket, status);
        for arguments in [&["status"][..], &["status", "--json"], &["reload"], &["alerts", "list"]]
        {
            let output = Command::new(env!("CARGO_BIN_EXE_watchkeeper"))
                .args(arguments)
                .arg("--socket")
                .arg(&socket)
                .output()
                .unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8(said).unwrap();
            let bad = said.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t'));
            assert!(bad.is_none(), "{arguments:?} lets {bad:?} through:\n{said:?}");
            assert!(!said.contains('\u{202e}'), "{said:?}");
            if arguments[0] == "status" {
                // It is shown what was said, and as what.
                assert!(said.contains("owned"), "{arguments:?}: {said}");
            }
        }
    }
}
