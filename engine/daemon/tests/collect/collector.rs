use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout_at;
use watchkeeper::collect::{
    Collector, OpenWire, ProbeKind, ProbeSpec, ServerLogin, ServiceState, Tcp,
};
use watchkeeper_core::facts::{Observation, ReasonCode};
use watchkeeper_core::model::Status;

use crate::support::{Manner, Sshd, Stub, soon, spec, until};

fn broker(name: &str, stub: &Stub) -> ProbeSpec {
    spec(name, ProbeKind::OpenWire(OpenWire { host: "127.0.0.1".to_owned(), port: stub.port }))
}

fn greeting() -> Manner {
    Manner::SayAndStall(vec![b"\0\0\0\x10\x01ActiveMQ\0\0\0\x0c\x01\0\0".to_vec()])
}

async fn next(source: &mut mpsc::Receiver<Observation>) -> Observation {
    timeout_at(soon(), source.recv()).await.expect("an observation in time").unwrap()
}

#[tokio::test]
async fn a_hanging_probe_delays_no_other() {
    let (silent, serving) = (Stub::start(Manner::Silent).await, Stub::start(greeting()).await);
    let mut quick = broker("quick", &serving);
    quick.interval = Duration::from_millis(5);
    let (sink, mut source) = mpsc::channel(100);
    let collector = Collector::spawn(vec![broker("hangs", &silent), quick], sink);
    until("the hanging one has begun", async || silent.count() == 1).await;
    for _ in 0..20 {
        let seen = next(&mut source).await;
        assert_eq!((&*seen.probe.name, seen.status), ("quick", Status::Up));
    }
    assert_eq!(silent.count(), 1, "it does not overlap itself");
    collector.shutdown().await;
    // What was sent before may still be there; then comes the end, because all tasks have ended.
    while timeout_at(soon(), source.recv()).await.expect("the end").is_some() {}
}

#[tokio::test]
async fn a_failure_is_confirmed_fast() {
    let stub = Stub::start(Manner::HangUp).await;
    let (sink, mut source) = mpsc::channel(100);
    let _collector = Collector::spawn(vec![broker("one", &stub)], sink);
    // The calm interval is an hour.
    for _ in 0..5 {
        assert_eq!(next(&mut source).await.reason.code, ReasonCode::Reset);
    }
    *stub.manner.lock().unwrap() = greeting();
    while next(&mut source).await.status != Status::Up {}
}

#[tokio::test]
async fn probing_on_demand_and_replacing_only_what_changed() {
    let stubs = [Stub::start(greeting()).await, Stub::start(greeting()).await];
    let specs = || vec![broker("a", &stubs[0]), broker("b", &stubs[1])];
    let (sink, mut source) = mpsc::channel(100);
    let mut collector = Collector::spawn(specs(), sink);
    let mut first = BTreeMap::new();
    while first.len() < 2 {
        let seen = next(&mut source).await;
        first.insert(seen.probe.name.clone(), seen.status);
    }
    assert!(first.values().all(|status| *status == Status::Up));

    assert_eq!(collector.probe_now(|id| &*id.name == "a"), 1);
    assert_eq!(&*next(&mut source).await.probe.name, "a");
    assert_eq!((stubs[0].count(), stubs[1].count()), (2, 1));

    let mut changed = specs();
    changed[1].timeout += Duration::from_secs(1);
    collector.replace(changed);
    assert_eq!(&*next(&mut source).await.probe.name, "b", "a changed probe starts anew");
    assert_eq!((stubs[0].count(), stubs[1].count()), (2, 2), "an unchanged one goes on");

    collector.replace(vec![broker("a", &stubs[0])]);
    assert_eq!(collector.specs().count(), 1);
    assert_eq!(collector.probe_now(|_| true), 1);
    assert_eq!(&*next(&mut source).await.probe.name, "a");
}

#[tokio::test]
async fn a_full_sink_blocks_nothing_and_the_latest_arrives() {
    let stub = Stub::start(Manner::HangUp).await;
    let mut probe = broker("one", &stub);
    probe.interval = Duration::from_millis(5);
    probe.confirm_interval = Duration::from_millis(5);
    let (sink, mut source) = mpsc::channel(1);
    let _collector = Collector::spawn(vec![probe], sink);
    // Nobody receives, and it goes on looking.
    until("ten runs", async || stub.count() >= 10).await;
    *stub.manner.lock().unwrap() = greeting();
    let changed = stub.count();
    until("runs after the change", async || stub.count() >= changed + 5).await;
    assert_eq!(next(&mut source).await.status, Status::Down, "the one that had been taken");
    assert_eq!(next(&mut source).await.status, Status::Up, "and then the latest");
}

#[tokio::test]
async fn the_first_refusal_makes_every_probe_of_the_server_run_at_once() {
    let (failing, serving) = (Stub::start(greeting()).await, Stub::start(greeting()).await);
    let mut quick = broker("quick", &failing);
    quick.interval = Duration::from_millis(5);
    quick.confirm_interval = Duration::from_millis(5);
    let (sink, mut source) = mpsc::channel(100);
    let _collector = Collector::spawn(vec![quick, broker("calm", &serving)], sink);
    until("both have looked", async || serving.count() == 1 && failing.count() > 1).await;
    *failing.manner.lock().unwrap() = Manner::HangUp;
    // Its interval is an hour.
    until("the other has looked again", async || serving.count() == 2).await;
    // The same finding again says nothing new of the server.
    for _ in 0..10 {
        while &*next(&mut source).await.probe.name != "quick" {}
    }
    assert_eq!(serving.count(), 2);
}

#[tokio::test]
async fn a_lost_connection_makes_every_probe_of_the_server_run_at_once() {
    let Some(sshd) = Sshd::start("").await else { return };
    let ssh = sshd.ssh();
    let stub = Stub::start(Manner::Silent).await;
    let state = ServiceState { ssh: ssh.clone(), command: "true".to_owned() };
    let specs = vec![
        spec("state", ProbeKind::ServiceState(state)),
        spec("login", ProbeKind::ServerLogin(ServerLogin { ssh: ssh.clone() })),
        spec("tcp", ProbeKind::Tcp(Tcp { host: "127.0.0.1".to_owned(), port: stub.port })),
    ];
    let (sink, mut source) = mpsc::channel(100);
    let _collector = Collector::spawn(specs, sink);
    let mut seen = BTreeMap::<Arc<str>, Status>::new();
    while seen.len() < 3 {
        let one = next(&mut source).await;
        seen.insert(one.probe.name, one.status);
    }
    assert!(seen.values().all(|status| *status == Status::Up), "{seen:?}");
    let _ = ssh.exec("kill -9 $PPID; sleep 50", None, soon()).await;
    // Their interval is an hour.
    let mut again = BTreeMap::<Arc<str>, Status>::new();
    while again.len() < 3 {
        let one = next(&mut source).await;
        again.insert(one.probe.name, one.status);
    }
    assert_eq!(again, seen);
}
