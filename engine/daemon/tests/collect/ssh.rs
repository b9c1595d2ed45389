use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use watchkeeper::collect::{Command, ProbeKind, ServerLogin, ServiceState, Where, run_once};
use watchkeeper::ssh::{MAX_OUTPUT, Port, Reach, Ssh, SshError, SshTarget};
use watchkeeper_core::facts::ReasonCode;
use watchkeeper_core::model::Status;

use crate::support::{
    Manner, Sshd, Stub, free_port, keygen, login, process_exists, run, soon, spec, until,
};

#[tokio::test]
async fn commands_run_with_input_output_and_status() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let output = ssh.exec("cat; echo oops >&2; exit 3", Some(b"in\n"), soon()).await.unwrap();
    assert_eq!(output.exit, Some(3));
    assert_eq!(output.stdout.bytes, b"in\n");
    assert_eq!(output.stderr.bytes, b"oops\n");

    let killed = ssh.exec("kill -KILL $$", None, soon()).await.unwrap();
    assert_eq!((killed.exit, killed.signal.as_deref()), (None, Some("KILL")));

    let much = ssh.exec("head -c 3000000 /dev/zero", None, soon()).await.unwrap();
    assert_eq!((much.stdout.bytes.len(), much.stdout.cut), (MAX_OUTPUT, true));

    // More input than any window, to a command that does not read it.
    let deaf = ssh.exec("exit 0", Some(&vec![0; 8_000_000]), soon()).await.unwrap();
    assert!(deaf.success());
}

#[tokio::test]
async fn concurrent_commands_share_one_connection_and_respect_its_limit() {
    // OpenSSH's default of 10 sessions, with 40 commands at once.
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let all: Vec<_> = (0..40)
        .map(|_| {
            let ssh = ssh.clone();
            tokio::spawn(async move { ssh.exec("echo $SSH_CONNECTION", None, soon()).await })
        })
        .collect();
    let mut connections = BTreeSet::new();
    for one in all {
        connections.insert(one.await.unwrap().unwrap().stdout.text());
    }
    assert_eq!(connections.len(), 1, "{connections:?}");
}

#[tokio::test]
async fn a_host_key_is_known_or_the_connection_is_refused() {
    let Some(sshd) = Sshd::start("").await else { return };
    let fingerprint = run("ssh-keygen", &["-lf", sshd.folder.path("host.pub").to_str().unwrap()]);
    let fingerprint = fingerprint.split(' ').nth(1).unwrap();
    let with = |name: &str| {
        let mut target = sshd.target();
        target.known_hosts = sshd.folder.path(name);
        Ssh::new(target)
    };

    sshd.folder.write("empty", "");
    let error = with("empty").exec("true", None, soon()).await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyUnknown { .. }), "{error:?}");
    assert!(error.to_string().contains(fingerprint) && error.to_string().contains("empty"));
    assert_eq!(std::fs::read_to_string(sshd.folder.path("empty")).unwrap(), "", "never added");

    let stranger = std::fs::read_to_string(sshd.folder.path("stranger.pub")).unwrap();
    sshd.folder.write("changed", &format!("# old\n[127.0.0.1]:{} {stranger}", sshd.port));
    let error = with("changed").exec("true", None, soon()).await.unwrap_err();
    assert!(matches!(error, SshError::HostKeyChanged { line: 2, .. }), "{error:?}");
    assert_eq!(error.code(), ReasonCode::HostKey);
    assert!(error.to_string().contains(fingerprint));

    std::fs::copy(sshd.folder.path("known"), sshd.folder.path("hashed")).unwrap();
    run("ssh-keygen", &["-q", "-H", "-f", sshd.folder.path("hashed").to_str().unwrap()]);
    let text = std::fs::read_to_string(sshd.folder.path("hashed")).unwrap();
    assert!(text.starts_with("|1|"), "{text}");
    assert!(with("hashed").exec("true", None, soon()).await.unwrap().success());

    let error = with("missing").exec("true", None, soon()).await.unwrap_err();
    assert!(matches!(error, SshError::KnownHosts { .. }), "{error:?}");
}

#[tokio::test]
async fn unusable_keys_and_refused_logins_say_what_is_wrong() {
    let Some(sshd) = Sshd::start("").await else { return };
    keygen(&sshd.folder.path("locked"), "a passphrase");
    sshd.folder.write("garbage", "not a key");
    let error = async |key: &str| {
        let mut target = sshd.target();
        target.key = sshd.folder.path(key);
        Ssh::new(target).exec("true", None, soon()).await.unwrap_err()
    };
    let denied = error("stranger").await;
    assert!(matches!(denied, SshError::Denied { .. }), "{denied:?}");
    assert_eq!(denied.code(), ReasonCode::Denied);
    let missing = error("none").await;
    assert!(matches!(missing, SshError::KeyFile { .. }), "{missing:?}");
    let locked = error("locked").await;
    assert!(matches!(locked, SshError::KeyEncrypted { .. }), "{locked:?}");
    let garbage = error("garbage").await;
    assert!(matches!(garbage, SshError::KeyInvalid { .. }), "{garbage:?}");
}

#[tokio::test]
async fn a_lost_connection_is_news_at_once_and_is_made_anew() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let mut losses = ssh.losses();
    assert!(ssh.exec("true", None, soon()).await.unwrap().success());
    // The command's parent is the server's process for this connection.
    let error = ssh.exec("kill -9 $PPID; sleep 50", None, soon()).await.unwrap_err();
    assert!(matches!(error, SshError::CommandLost { .. }), "{error:?}");
    assert!(error.may_have_run());
    tokio::time::timeout_at(soon(), losses.changed()).await.unwrap().unwrap();
    assert!(ssh.exec("true", None, soon()).await.unwrap().success());
}

#[tokio::test]
async fn a_command_out_of_time_is_told_to_end_and_disturbs_no_other() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    ssh.exec("true", None, soon()).await.unwrap();
    // Longer than the test waits for its end, and not for ever where it is not told to end.
    let mark = format!("sleep 90.{}", sshd.port);
    let deadline = Instant::now() + Duration::from_secs(5);
    let command = format!("exec {mark}");
    let (late, other) =
        tokio::join!(ssh.exec(&command, None, deadline), ssh.exec("echo fine", None, soon()),);
    let late = late.unwrap_err();
    assert!(matches!(late, SshError::CommandTimedOut { .. }), "{late:?}");
    assert_eq!(other.unwrap().stdout.bytes, b"fine\n");
    if login() == "root" {
        println!(
            "skipped: the command's end, because OpenSSH passes no signals to root's commands"
        );
        return;
    }
    until("the command's end", async || !process_exists(&mark)).await;
}

/// A way to `port` that nothing comes through while it `holds`; ends with whether the client's kernel
/// has reset it.
async fn way(port: u16, holds: watch::Receiver<bool>) -> (u16, JoinHandle<bool>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap().port();
    let task = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (mut to, mut back) = ([0; 4096], [0; 4096]);
        loop {
            tokio::select! {
                read = client.read(&mut to) => match read {
                    Ok(0) => break,
                    Ok(_) if *holds.borrow() => {}
                    Ok(count) => server.write_all(&to[..count]).await.unwrap(),
                    Err(error) => return error.kind() == ErrorKind::ConnectionReset,
                },
                read = server.read(&mut back) => {
                    let count = read.unwrap();
                    client.write_all(&back[..count]).await.unwrap();
                }
            }
        }
        // It may say first that it has no more to say; a reset after that is an error of the socket.
        let limit = soon();
        while Instant::now() < limit {
            if client.take_error().unwrap().is_some() {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    });
    (here, task)
}

/// A connection that ends in good order is still told all that was written to it, when its way is free
/// again a minute later. This one is reset, by which its kernel drops what it has not got rid of.
#[tokio::test]
async fn a_change_whose_end_is_not_seen_takes_what_is_still_to_be_sent_with_it() {
    let Some(sshd) = Sshd::start("").await else { return };
    let (hold, holds) = watch::channel(false);
    let (port, ended) = way(sshd.port, holds).await;
    let key = std::fs::read_to_string(sshd.folder.path("host.pub")).unwrap();
    let known = sshd.folder.write("known-way", &format!("[127.0.0.1]:{port} {key}"));
    let ssh = Ssh::new(SshTarget { port, known_hosts: known, ..sshd.target() });
    assert!(ssh.exec_change("true", soon()).await.unwrap().success());
    hold.send_replace(true);
    let deadline = Instant::now() + Duration::from_millis(500);
    ssh.exec_change("true", deadline).await.unwrap_err();
    drop(ssh);
    assert!(ended.await.unwrap(), "it has ended in good order");
}

#[tokio::test]
async fn a_change_out_of_time_gives_its_connection_up() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let which = || ssh.exec("echo $SSH_CONNECTION", None, soon());
    let before = which().await.unwrap().stdout.text();
    assert_eq!(which().await.unwrap().stdout.text(), before);
    let deadline = Instant::now() + Duration::from_secs(5);
    let late = ssh.exec_change("sleep 30", deadline).await.unwrap_err();
    assert!(matches!(late, SshError::CommandTimedOut { .. }), "{late:?}");
    assert_ne!(which().await.unwrap().stdout.text(), before);
}

#[tokio::test]
async fn another_servers_view_tells_refused_from_connected() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    assert_eq!(ssh.reach("127.0.0.1", port, soon()).await.unwrap(), Reach::Connected);
    drop(listener);
    assert_eq!(ssh.reach("127.0.0.1", port, soon()).await.unwrap(), Reach::Refused);
    let nowhere = ssh.reach("no.such.name.invalid", 1, soon()).await.unwrap();
    assert!(matches!(nowhere, Reach::Unreachable(_) | Reach::Failed(_)), "{nowhere:?}");

    let Some(strict) = Sshd::start("AllowTcpForwarding no").await else { return };
    assert_eq!(strict.ssh().reach("127.0.0.1", port, soon()).await.unwrap(), Reach::Prohibited);
}

/// The kernel of a host whose programs stand still accepts connections all the same.
#[tokio::test]
async fn another_servers_view_tells_who_greets_from_who_only_accepts() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let still = listener.local_addr().unwrap().port();
    let greets = |number| Port { number, greets: true };
    let brief = Duration::from_secs(2);
    let look =
        async |ports: &[Port]| ssh.reach_all("127.0.0.1", ports, brief, soon()).await.unwrap();
    assert_eq!(
        look(&[greets(sshd.port), Port::mute(sshd.port)]).await,
        [Reach::Greeted, Reach::Connected]
    );
    let both = look(&[greets(still), greets(sshd.port), greets(free_port())]).await;
    assert_eq!(both, [Reach::Connected, Reach::Greeted, Reach::Refused]);
    // Who waited for it has left nothing behind.
    assert_eq!(look(&[Port::mute(still)]).await, [Reach::Connected]);
}

/// A port that neither accepts nor refuses, as if its host were gone: its queue is full.
async fn deaf() -> (TcpListener, Vec<TcpStream>, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(Ok(one)) =
        tokio::time::timeout(Duration::from_millis(300), TcpStream::connect(address)).await
    {
        queue.push(one);
    }
    (listener, queue, address.port())
}

#[tokio::test]
async fn a_look_that_nobody_waits_for_any_more_misleads_no_later_one() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let (_listener, _queue, deaf) = deaf().await;
    let closed = free_port();
    // Also long enough for an answer, where there is one.
    let (brief, long) = (Duration::from_millis(300), Duration::from_secs(4));
    let silent =
        ssh.reach_all("127.0.0.1", &[deaf, deaf].map(Port::mute), brief, soon()).await.unwrap();
    assert_eq!(silent, [Reach::TimedOut, Reach::TimedOut]);
    // The same host: a refusal is an answer, whoever it was for.
    let again =
        ssh.reach_all("127.0.0.1", &[deaf, closed].map(Port::mute), long, soon()).await.unwrap();
    assert_eq!(again, [Reach::TimedOut, Reach::Refused]);
    // Another host, for all that this side knows.
    let other = ssh.reach_all("127.0.0.2", &[Port::mute(closed)], brief, soon()).await.unwrap();
    assert!(matches!(&other[..], [Reach::Failed(_)]), "{other:?}");
    let other = ssh
        .reach_all("127.0.0.2", &[sshd.port, deaf].map(Port::mute), brief, soon())
        .await
        .unwrap();
    assert!(!other.contains(&Reach::Connected), "nobody listens there: {other:?}");
    // One that was dropped leaves its requests behind as well.
    let ports = [Port::mute(deaf)];
    let dropped = ssh.reach_all("127.0.0.1", &ports, Duration::from_secs(20), soon());
    assert!(tokio::time::timeout(brief, dropped).await.is_err());
    let after = ssh
        .reach_all("127.0.0.1", &[sshd.port, closed].map(Port::mute), long, soon())
        .await
        .unwrap();
    assert_eq!(after, [Reach::Connected, Reach::Refused]);
}

#[tokio::test]
async fn what_is_no_ssh_server_is_told_apart() {
    let Some(sshd) = Sshd::start("").await else { return };
    let error = async |port: u16, limit: Duration| {
        let mut target = sshd.target();
        target.port = port;
        target.connect_timeout = limit;
        Ssh::new(target).exec("true", None, soon()).await.unwrap_err()
    };
    let long = Duration::from_secs(30);
    let refused = error(free_port(), long).await;
    assert_eq!(refused.code(), ReasonCode::Refused, "{refused:?}");
    let silent = Stub::start(Manner::Silent).await;
    let silent = error(silent.port, Duration::from_millis(300)).await;
    assert!(matches!(silent, SshError::Silent { .. }), "{silent:?}");
    let gone = Stub::start(Manner::HangUp).await;
    let gone = error(gone.port, long).await;
    assert!(matches!(gone, SshError::Reset { .. }), "{gone:?}");
    let garbage = Manner::Say(vec![b"SSH-2.0-x\r\n".to_vec(), vec![0xff; 400]]);
    let garbage = error(Stub::start(garbage).await.port, long).await;
    assert_eq!(garbage.code(), ReasonCode::Protocol, "{garbage:?}");
}

#[tokio::test]
async fn a_service_is_what_its_status_command_says() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    for (command, status, code, says) in [
        ("echo active", Status::Up, ReasonCode::Running, "active"),
        ("echo inactive; exit 3", Status::Down, ReasonCode::NotRunning, "inactive"),
        ("/no/such/command", Status::Unknown, ReasonCode::Monitor, "127"),
        ("kill -9 $$", Status::Unknown, ReasonCode::Monitor, "KILL"),
    ] {
        let probe = ServiceState { ssh: ssh.clone(), command: command.to_owned() };
        let seen = run_once(&spec("state", ProbeKind::ServiceState(probe))).await;
        assert_eq!((seen.status, seen.reason.code), (status, code), "{seen:?}");
        assert!(seen.reason.detail.contains(says), "{seen:?}");
    }
    let login = spec("login", ProbeKind::ServerLogin(ServerLogin { ssh: ssh.clone() }));
    assert_eq!(run_once(&login).await.status, Status::Up);
    let line = "echo 'slow | time=2s'; exit 1".to_owned();
    let plugin = Command { run: Where::There { ssh, line } };
    let seen = run_once(&spec("plugin", ProbeKind::Command(plugin))).await;
    assert_eq!((seen.status, &*seen.reason.detail), (Status::Up, "slow"));
}

#[tokio::test]
async fn ssh_trouble_is_proof_only_where_ssh_is_what_is_looked_at() {
    let Some(sshd) = Sshd::start("").await else { return };
    let mut target = sshd.target();
    target.port = free_port();
    let ssh = Ssh::new(target);
    let state = ServiceState { ssh: ssh.clone(), command: "true".to_owned() };
    let state = run_once(&spec("state", ProbeKind::ServiceState(state))).await;
    assert_eq!((state.status, state.reason.code), (Status::Unknown, ReasonCode::Refused));
    let login = run_once(&spec("login", ProbeKind::ServerLogin(ServerLogin { ssh }))).await;
    assert_eq!((login.status, login.reason.code), (Status::Down, ReasonCode::Refused));
}
