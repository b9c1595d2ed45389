//! What a real shell answers is what is read, and what it does not answer is not known.

use watchkeeper_core::model::{Service, Status, Timestamp};

use super::script::{Ask, Script};
use super::*;
use crate::ssh::SshTarget;

fn controlled(start: &str, status: &str, ports: &[u16]) -> Controlled {
    Controlled {
        service: Service::Rest,
        start: start.to_owned(),
        stop: "/bin/true".to_owned(),
        status: status.to_owned(),
        version: Some("echo 17.20".to_owned()),
        ports: ports.to_vec(),
    }
}

fn look(services: Vec<Controlled>) -> Readiness {
    let ssh = Ssh::new(SshTarget {
        server: watchkeeper_core::model::ServerName::new("dm2").unwrap(),
        host: "127.0.0.1".to_owned(),
        port: 1,
        user: "dmuser".to_owned(),
        key: "/nonexistent".into(),
        known_hosts: "/nonexistent".into(),
        connect_timeout: Duration::from_secs(1),
    });
    let paths = ["/", "/nowhere at all"].map(str::to_owned).to_vec();
    Readiness { ssh, services, paths, certificates: Vec::new(), repository: None }
}

/// What this machine's shell says to the script, as a server's would.
async fn shell(line: &str) -> String {
    let argv = ["-c", line].map(str::to_owned);
    let ended = crate::process::run("/bin/sh".as_ref(), &argv, b"", 64 * 1024).await.unwrap();
    String::from_utf8(ended.stdout).unwrap()
}

async fn found(readiness: &Readiness) -> Found {
    let (script, asks) = readiness.questions();
    let begun = clock::now();
    let said = shell(&script.line()).await;
    let ended = clock::now();
    let answers = script.read(&said).unwrap_or_else(|| panic!("{said}"));
    readiness.judge(&asks, &answers, begun, ended)
}

#[tokio::test]
async fn a_real_shell_s_words_are_understood() {
    let readiness = look(vec![controlled("/bin/true start", "/bin/true", &[])]);
    let found = found(&readiness).await;
    let rest = &found.services[0];
    let all_well = [&rest.start, &rest.stop, &rest.status].map(|can| *can == Can::Yes);
    assert_eq!((all_well, rest.runs), ([true; 3], Some(true)), "{rest:?}");
    assert_eq!(rest.version.as_deref(), Some("17.20"));
    assert_eq!(found.clock, Ok(0), "it is this machine's own");
    assert!(found.memory.is_ok_and(|left| left > 0));
    let (left, path) = found.disk.unwrap();
    assert!(left > 0 && path == "/");
}

#[tokio::test]
async fn a_command_that_is_not_there_is_named_without_being_run() {
    let mark = std::env::temp_dir().join(format!("wk-readiness-{}", std::process::id()));
    let line = format!("/bin/touch {}", mark.display());
    let readiness = look(vec![
        controlled("/opt/none/start now", "/bin/false", &[]),
        controlled(&line, "/opt/none/status", &[]),
        controlled("'/bin/true' x", "/bin/true", &[]),
    ]);
    let found = found(&readiness).await;
    let [missing, unreadable, opaque] = &found.services[..] else { panic!("{found:?}") };
    let why = "/opt/none/start is not there, or may not be run";
    assert_eq!(missing.start, Can::No(why.to_owned()));
    assert_eq!(missing.runs, Some(false));
    assert_eq!(unreadable.start, Can::Yes);
    assert!(matches!(&unreadable.status, Can::No(why) if why.contains("/opt/none/status")));
    assert!(matches!(opaque.start, Can::Unknown(_)));
    assert!(!mark.exists(), "a look has started something");
}

/// A listener on every address of this machine stands for one on the server's.
#[tokio::test]
async fn a_port_that_something_else_listens_on_is_taken() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let readiness = look(vec![
        controlled("/bin/true", "/bin/false", &[port]),
        controlled("/bin/true", "/bin/true", &[port]),
        controlled("/bin/true", "/opt/none", &[port]),
        controlled("/bin/true", "/bin/false", &[1]),
    ]);
    let found = found(&readiness).await;
    let [taken, own, unclear, free] = &found.services[..] else { panic!("{found:?}") };
    assert!(matches!(&taken.ports, Some(Can::No(why)) if why.contains(&port.to_string())));
    assert_eq!(own.ports, Some(Can::Yes));
    assert!(matches!(unclear.ports, Some(Can::Unknown(_))));
    assert_eq!(free.ports, Some(Can::Yes));
}

#[tokio::test]
async fn a_certificate_s_end_is_read_and_what_is_none_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut wanted = rcgen::CertificateParams::new(["dm2".to_owned()]).unwrap();
    wanted.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let pem = wanted.self_signed(&key).unwrap().pem();
    std::fs::write(path("a.pem"), format!("a word before\n{pem}{pem}")).unwrap();
    std::fs::write(path("b.pem"), "none").unwrap();
    let mut readiness = look(Vec::new());
    readiness.certificates = ["a.pem", "b.pem", "c.pem"].map(path).to_vec();
    let found = found(&readiness).await;
    assert_eq!(found.certificate, Some((1_893_456_000, path("a.pem"))));
    assert_eq!(found.unread.len(), 2, "{found:?}");
    assert!(found.unread[0].contains("no certificate in it"), "{found:?}");
    assert!(found.unread[1].contains("No such file"), "{found:?}");
}

/// The answer to one question, as it is read.
fn answered<T>(ask: Ask, answer: &str, read: impl Fn(&script::Answers<'_>) -> T) -> T {
    let mut script = Script::default();
    script.ask(ask);
    let said = format!("== 0\n{answer}== end\n");
    read(&script.read(&said).unwrap())
}

#[test]
fn what_was_not_answered_to_its_end_is_no_answer() {
    let mut script = Script::default();
    for ask in [Ask::Clock, Ask::Memory, Ask::Ports] {
        script.ask(ask);
    }
    let whole = "a profile's words\n== 0\n1\n== 1\nx\n== 2\ndone\n== end\n";
    assert!(script.read(whole).is_some());
    for said in [
        "",
        "sh: 1: not found\n",
        "== 0\n1\n== 1\nx\n== 2\n",
        "== 0\n1\n== 2\ndone\n== end\n",
        "== 0\n1\n== 1\nx\n== 2\ndone\n== 1\n== end\n",
    ] {
        assert!(script.read(said).is_none(), "{said}");
    }
}

#[test]
fn odd_answers_are_not_known() {
    let oddities = ["", "\n", "yess\n", "no-one\n", "LoadState=\n", "LoadState=A B\n", "exit x\n"];
    for odd in oddities {
        let unit = || Ask::Unit("dm".to_owned());
        assert!(answered(unit(), odd, |it| it.yes(0)).is_err(), "{odd}");
        assert!(answered(unit(), odd, |it| it.load_state(0).map(str::to_owned)).is_err(), "{odd}");
        assert!(answered(unit(), odd, |it| it.exit(0)).is_err(), "{odd}");
        assert!(answered(unit(), odd, |it| it.space(0)).is_err(), "{odd}");
        assert!(answered(unit(), odd, |it| it.memory(0)).is_err(), "{odd}");
        assert!(answered(unit(), odd, |it| it.listening(0)).is_err(), "{odd}");
        let now = Timestamp(1_000);
        assert!(answered(unit(), odd, |it| it.clock(0, now, now)).is_err(), "{odd}");
    }
    let no = answered(Ask::Clock, "no sudo: a password is required\n", |it| it.yes(0));
    assert_eq!(no, Ok(Err("sudo: a password is required".to_owned())));
}

#[test]
fn a_clock_is_off_only_as_far_as_that_is_certain() {
    let off = |second: u64, begun, ended| {
        let said = format!("{second}\n");
        answered(Ask::Clock, &said, |it| it.clock(0, Timestamp(begun), Timestamp(ended))).unwrap()
    };
    // Whole seconds, and the way takes time.
    assert_eq!(off(100, 100_999, 101_500), 0);
    assert_eq!(off(100, 99_000, 99_900), 100);
    assert_eq!(off(100, 105_000, 106_000), -4_001);
    assert_eq!(off(3_700, 100_000, 100_400), 3_599_600);
}

#[test]
fn only_listeners_that_would_be_in_the_way_count() {
    let said = "00000000:05A3\n0100007F:1538\n0B02000A:F0B0\n0C02000A:0016\n\
                00000000000000000000000000000000:1F90\nzz:1\nat 10.0.2.2 5 10.0.2.11 22\ndone\n";
    let ports = answered(Ask::Ports, said, |it| it.listening(0));
    // 1443 everywhere, 8080 everywhere by IPv6, 61616 at the address that was logged in to.
    assert_eq!(ports, Ok(vec![1_443, 8_080, 61_616]));
    // An old connection's lines, and nobody says that they are all.
    assert!(answered(Ask::Ports, "00000000:05A3\n", |it| it.listening(0)).is_err());
}

#[test]
fn what_is_wrong_comes_before_what_is_not_known() {
    let service = |start: Can, stop: Can| Control {
        service: Service::Daemon,
        start,
        stop,
        status: Can::Yes,
        runs: Some(false),
        ports: None,
        version: None,
    };
    let found = |control| Found {
        services: vec![control],
        disk: Ok((5, "/".to_owned())),
        memory: Ok(7),
        clock: Ok(0),
        certificate: None,
        unread: Vec::new(),
    };
    let finding = |start: &Can, stop: &Can| {
        values::finding(&found(service(start.clone(), stop.clone())), None)
    };
    let (no, unknown) = (Can::No("it is masked".to_owned()), Can::Unknown("no answer".to_owned()));
    assert_eq!(finding(&Can::Yes, &Can::Yes).status, Status::Up);
    assert_eq!(finding(&Can::Yes, &unknown).status, Status::Unknown);
    let wrong = finding(&no, &no);
    assert_eq!(wrong.status, Status::Down);
    // The same is said once.
    assert_eq!(&*wrong.reason.detail, "daemon: it is masked");
    assert_eq!(wrong.values.get("startable-daemon"), Some(&Value::Flag(false)));
    assert_eq!(wrong.values.get("startable-daemon-why"), Some(&text("it is masked")));
    let half = finding(&no, &unknown);
    assert_eq!(half.status, Status::Down);
    assert_eq!(half.values.get("readiness-unknown"), Some(&text("daemon: no answer")));
    assert!(!half.values.contains_key("stoppable-daemon"));
}
