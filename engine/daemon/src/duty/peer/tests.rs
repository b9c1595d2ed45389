//! The link and the task over it, with real TLS on loopback: one real monitor, and opposite to it
//! another one, or something that is not what it should be.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::any;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use watchkeeper_core::duty::{Change, Grantor, Standing};
use watchkeeper_core::event::Event;
use watchkeeper_core::guards::Duty;
use watchkeeper_core::model::{ClusterName, MonitorName, ServerName, Term};

use super::super::sights::{Found, Sights};
use super::super::{Fence, Office, Order, Views, Wish};
use super::link::{Identity, LinkError};
use super::{keys, wire};
use crate::clock;
use crate::config::duty::PeerConfig;
use crate::journal::Journal;
use crate::ledger::Ledger;

/// Far longer than a busy machine needs.
const LONG: Duration = Duration::from_mins(1);

/// By how much what was seen may have aged on its way.
const MUCH: Duration = Duration::from_millis(1);

fn name(text: &str) -> MonitorName {
    MonitorName::new(text).unwrap()
}

fn prod() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// A folder with the keys of three monitors, and an address for each of two.
struct Place {
    dir: TempDir,
    addresses: [String; 2],
}

impl Place {
    fn new() -> Self {
        crate::tls::install_provider();
        let dir = tempfile::tempdir().unwrap();
        for monitor in ["vp1", "vp2", "stranger"] {
            keys::make(dir.path(), &name(monitor)).unwrap();
        }
        // Both are bound before either is free again, so they differ.
        let bound = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = bound.map(|it| it.local_addr().unwrap().to_string());
        Self { dir, addresses }
    }

    /// The configuration of VP1, with VP2's keys as the other's; or the other way round.
    fn config(&self, index: usize) -> PeerConfig {
        let [me, peer] = if index == 0 { ["vp1", "vp2"] } else { ["vp2", "vp1"] };
        let file = |name: &str, end: &str| self.dir.path().join(format!("{name}.{end}"));
        PeerConfig {
            name: name(peer),
            address: self.addresses[1 - index].clone(),
            listen: self.addresses[index].clone(),
            first: index == 0,
            certificate: file(me, "pem"),
            key: file(me, "key"),
            peer_certificate: file(peer, "pem"),
            beat: Duration::from_millis(100),
            give_on_stop: true,
        }
    }

    /// A monitor that calls itself `me`; its journal has the name of its certificate.
    async fn start(&self, me: &str, config: &PeerConfig) -> Monitor {
        let journal = config.certificate.with_extension("db");
        let journal = Journal::open(&journal, &name(me), clock::now());
        let (journal, state) = journal.unwrap();
        let ledger = Arc::new(Ledger::new(journal, state).await.unwrap());
        let clusters = watch::Sender::new(BTreeSet::from([prod()]));
        let (stop, views) = (watch::Sender::new(false), watch::Sender::default());
        let (orders, received) = mpsc::channel(8);
        let (seen, sights) = (views.subscribe(), Sights::default());
        let office = Office {
            monitor: name(me),
            ledger: Arc::clone(&ledger),
            clusters: clusters.subscribe(),
            views,
            remarks: watch::Sender::default().subscribe(),
            sights: sights.clone(),
            orders: received,
            stop: stop.subscribe(),
        };
        until_free(&config.listen).await;
        let (task, fence) = super::start(config, office).await.unwrap();
        Monitor { ledger, clusters, stop, views: seen, sights, orders, fence, task }
    }

    /// VP1, with the duty, and whatever is at the other end.
    async fn holder(&self) -> Monitor {
        let monitor = self.start("vp1", &self.config(0)).await;
        let grantor = Grantor::Operator { by: "ada".to_owned(), reason: "a test".to_owned() };
        let change = Change::Taken { term: Term(1), grantor, past: None };
        let event = Event::Duty(change);
        monitor.ledger.record(vec![(Some(prod()), event)]).await.unwrap();
        monitor
    }

    /// Something with VP2's keys that answers every question the same.
    async fn impostor(&self, status: u16, body: Vec<u8>) -> JoinHandle<()> {
        let config = self.config(1);
        until_free(&config.listen).await;
        let door = Identity::load(&config).unwrap().listen(&config.listen).await.unwrap();
        let status = axum::http::StatusCode::from_u16(status).unwrap();
        let router = Router::new().fallback(any(move || {
            let body = body.clone();
            async move { (status, body) }
        }));
        tokio::spawn(async move { axum::serve(door, router).await.unwrap() })
    }
}

/// Waits until nobody has the port: another test's connection may have been given it meanwhile.
async fn until_free(address: &str) {
    let waiting = async {
        while tokio::net::TcpListener::bind(address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(LONG, waiting).await.unwrap();
}

struct Monitor {
    ledger: Arc<Ledger>,
    clusters: watch::Sender<BTreeSet<ClusterName>>,
    stop: watch::Sender<bool>,
    views: watch::Receiver<Views>,
    sights: Sights,
    orders: mpsc::Sender<Order>,
    fence: Arc<dyn Fence>,
    task: JoinHandle<()>,
}

impl Monitor {
    async fn wait<T>(&mut self, what: &str, find: impl Fn(&super::View) -> Option<T>) -> T {
        let found = timeout(LONG, async {
            loop {
                if let Some(found) = self.views.borrow_and_update().get(&prod()).and_then(&find) {
                    return found;
                }
                self.views.changed().await.unwrap();
            }
        });
        found.await.unwrap_or_else(|_| panic!("{what}: {:?}", *self.views.borrow()))
    }

    async fn held(&mut self) -> Term {
        self.wait("held", |view| match view.duty {
            Duty::Held(term) => Some(term),
            _ => None,
        })
        .await
    }

    async fn not_held(&mut self, why: &str) {
        self.wait(why, |view| match &view.duty {
            Duty::NotHeld(text) => text.contains(why).then_some(()),
            _ => None,
        })
        .await;
    }

    async fn alert(&mut self, name: &str) -> String {
        self.wait(name, |view| {
            view.claims.iter().find(|it| it.claim.name == name).map(|it| it.claim.summary.clone())
        })
        .await
    }

    /// Waits until the other monitor is refused, and the alert says so.
    async fn refused(&mut self, said: &str) {
        self.wait(said, |view| {
            let mut refused = view.claims.iter().filter(|it| it.claim.name == "peer-refused");
            refused.any(|it| it.claim.summary.contains(said)).then_some(())
        })
        .await;
    }

    async fn no_alert(&mut self, name: &str) {
        self.wait("its end", |view| {
            view.claims.iter().all(|it| it.claim.name != name).then_some(())
        })
        .await;
    }

    async fn order(&self, wish: Wish) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let (by, reason) = ("ada".to_owned(), "a test".to_owned());
        self.orders.send(Order { cluster: prod(), wish, by, reason, reply }).await.unwrap();
        timeout(LONG, answer).await.unwrap().unwrap()
    }

    async fn end(self) {
        self.stop.send_replace(true);
        timeout(LONG, self.task).await.unwrap().unwrap();
        self.ledger.journal().close().await;
    }
}

#[tokio::test]
async fn the_first_monitor_begins_and_the_duty_goes_to_and_fro_by_order() {
    let place = Place::new();
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    vp1.not_held("no monitor has been given the duty yet").await;
    let mut vp2 = place.start("vp2", &place.config(1)).await;
    assert_eq!(vp1.held().await, Term(1));
    vp2.not_held("vp1 has it, in term 1").await;
    vp1.fence.admit(&prod(), Term(1)).await.unwrap();
    assert!(vp2.fence.admit(&prod(), Term(1)).await.is_err());

    // What must not be done twice is begun only when the other one knows of it.
    let (by, reason) = ("ada".to_owned(), "patching".to_owned());
    let known = Event::MaintenanceOn { by, reason, until: None, service: None };
    vp1.ledger.record(vec![(Some(prod()), known)]).await.unwrap();
    vp1.fence.tell(&prod(), Term(1)).await;
    let maintenance = vp2.ledger.cluster(&prod()).await.maintenance;
    assert_eq!(maintenance.map(|it| it.by).as_deref(), Some("ada"));

    let said = vp2.order(Wish::Take { force: false }).await.unwrap();
    assert_eq!(said, "vp1 gave the duty, in term 2");
    assert_eq!(vp2.held().await, Term(2));
    vp1.not_held("vp2 has it, in term 2").await;
    assert!(vp1.fence.admit(&prod(), Term(1)).await.is_err());
    // The primary is active, and its watch is VP1's; but an operator wants it so.
    for _ in 0..10 {
        sleep(Duration::from_millis(50)).await;
        assert_eq!(vp2.held().await, Term(2));
    }
    assert!(vp1.order(Wish::Give).await.unwrap_err().contains("vp1 does not have the duty"));
    assert!(vp2.order(Wish::Cancel).await.unwrap_err().contains("there is no offer"));
    assert_eq!(vp2.order(Wish::Give).await.unwrap(), "vp1 has the duty, in term 3");
    assert_eq!(vp1.held().await, Term(3));

    // A monitor that is stopped gives it away, and gets it back when it runs again.
    vp1.end().await;
    assert_eq!(vp2.held().await, Term(4));
    vp2.alert("peer-unreachable").await;
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    assert_eq!(vp1.held().await, Term(5));
    vp2.not_held("vp1 has it, in term 5").await;
    vp2.no_alert("peer-unreachable").await;
    vp2.end().await;
    vp1.alert("peer-unreachable").await;
    assert_eq!(vp1.held().await, Term(5), "who is alone keeps it");
    vp1.end().await;
}

#[tokio::test]
async fn what_one_monitor_sees_of_a_server_the_other_hears() {
    let place = Place::new();
    let vp1 = place.start("vp1", &place.config(0)).await;
    let vp2 = place.start("vp2", &place.config(1)).await;
    let dm1 = ServerName::new("dm1").unwrap();
    for (found, monitor, other) in
        [(Found::Alive, &vp1, &vp2), (Found::Silent, &vp1, &vp2), (Found::Alive, &vp2, &vp1)]
    {
        let at = Instant::now();
        monitor.sights.saw(&prod(), [(dm1.clone(), (found, at))].into());
        let heard = async {
            loop {
                let seen = other.sights.of(&prod(), &dm1, Instant::now());
                if matches!(seen[..], [(_, it, when)] if it == found && when + MUCH > at) {
                    return seen;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = timeout(LONG, heard).await.unwrap();
        let from = if std::ptr::eq(monitor, &raw const vp1) { "vp1" } else { "vp2" };
        assert_eq!(seen[0].0, name(from));
    }
    vp1.end().await;
    vp2.end().await;
}

#[tokio::test]
async fn two_that_are_told_to_take_it_at_once_never_have_it_in_the_same_term() {
    let place = Place::new();
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    let mut vp2 = place.start("vp2", &place.config(1)).await;
    vp1.held().await;
    vp2.not_held("vp1 has it").await;
    let mut granted = Vec::new();
    for _ in 0..10 {
        // Nobody has it, and each is told of that.
        for monitor in [&vp1, &vp2] {
            let term = monitor.ledger.cluster(&prod()).await.tenure.seen();
            let left = Change::Left { term, holder: None, why: "a test".to_owned() };
            monitor.ledger.record(vec![(Some(prod()), Event::Duty(left))]).await.unwrap();
        }
        let take = || Wish::Take { force: false };
        let (first, second) = tokio::join!(vp1.order(take()), vp2.order(take()));
        assert!(first.is_ok() || second.is_ok(), "{first:?} {second:?}");
        let terms = async |monitor: &Monitor| {
            let tenure = monitor.ledger.cluster(&prod()).await.tenure;
            match tenure.standing() {
                Standing::Held { term } => Some(*term),
                _ => None,
            }
        };
        let held = [terms(&vp1).await, terms(&vp2).await];
        assert!(held.iter().flatten().count() <= 1, "{held:?} {first:?} {second:?}");
        granted.extend(held.into_iter().flatten());
    }
    assert!(granted.is_sorted_by(|before, after| before < after), "{granted:?}");
    assert!(granted.len() >= 5, "{granted:?}");
    vp1.end().await;
    vp2.end().await;
}

#[tokio::test]
async fn without_an_answer_only_force_takes_the_duty_and_the_later_term_counts() {
    let place = Place::new();
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    let mut vp2 = place.start("vp2", &place.config(1)).await;
    vp1.held().await;
    vp2.not_held("vp1 has it").await;
    // Killed: it says nothing.
    vp1.task.abort();
    let _ = (&mut vp1.task).await;
    let refused = vp2.order(Wish::Take { force: false }).await.unwrap_err();
    assert!(
        refused.contains("`watchkeeper duty take --force` lets vp2 have the duty"),
        "{refused}"
    );
    let said = vp2.order(Wish::Take { force: true }).await.unwrap();
    assert!(said.contains("WARNING: if vp1 still runs"), "{said}");
    assert_eq!(vp2.held().await, Term(2));
    let gone = vp2.alert("peer-unreachable").await;
    assert!(gone.contains("nobody takes over if it is lost"), "{gone}");

    vp1.ledger.journal().close().await;
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    vp1.not_held("vp2 has it, in term 2").await;
    assert_eq!(vp2.held().await, Term(2));
    vp1.end().await;
    vp2.end().await;
}

#[tokio::test]
async fn an_offer_that_is_not_accepted_is_alerted_on_and_can_be_taken_back() {
    let place = Place::new();
    let mut vp1 = place.start("vp1", &place.config(0)).await;
    let mut vp2 = place.start("vp2", &place.config(1)).await;
    vp1.held().await;
    vp2.not_held("vp1 has it").await;
    // It refuses every offer of this cluster, and answers all the same.
    vp2.clusters.send_replace(BTreeSet::new());
    vp1.alert("duty-not-shared").await;
    let kept = vp1.order(Wish::Give).await.unwrap_err();
    assert!(kept.contains("vp2 does not watch prod; this monitor keeps the duty"), "{kept}");
    let offer = Change::Offered {
        term: Term(1),
        next: Term(2),
        to: name("vp2"),
        ordered: false,
        why: "a test".to_owned(),
    };
    vp1.ledger.record(vec![(Some(prod()), Event::Duty(offer))]).await.unwrap();
    vp1.not_held("it is offered to vp2").await;
    let pending = vp1.alert("duty-pending").await;
    assert!(pending.contains("`watchkeeper duty cancel`"), "{pending}");
    assert!(pending.contains("`watchkeeper duty take --force`"), "{pending}");
    // Who does not watch the cluster promises nothing.
    assert!(vp1.order(Wish::Cancel).await.unwrap_err().contains("vp2 does not watch prod"));

    vp2.task.abort();
    let _ = (&mut vp2.task).await;
    let refused = vp1.order(Wish::Cancel).await.unwrap_err();
    assert!(refused.contains("vp2 cannot be asked"), "{refused}");
    vp2.ledger.journal().close().await;
    // When it is back it accepts, and the giver hears of it.
    let mut vp2 = place.start("vp2", &place.config(1)).await;
    assert_eq!(vp1.held().await, Term(3), "accepted in term 2, and given back: it is VP1's watch");
    vp2.not_held("vp1 has it, in term 3").await;
    vp1.no_alert("duty-pending").await;
    vp1.end().await;
    vp2.end().await;
}

#[tokio::test]
async fn exactly_one_certificate_is_accepted_on_either_side() {
    let place = Place::new();
    let mut vp1 = place.holder().await;
    let mut wrong = place.config(1);
    wrong.certificate = place.dir.path().join("stranger.pem");
    wrong.key = place.dir.path().join("stranger.key");
    let mut vp2 = place.start("vp2", &wrong).await;
    let there = vp1.alert("peer-refused").await;
    assert!(there.contains("shows another certificate than the one in"), "{there}");
    assert!(there.contains("vp2.pem") && there.contains("restart this monitor"), "{there}");
    let here = vp2.alert("peer-refused").await;
    assert!(here.contains("does not accept this monitor's certificate"), "{here}");
    assert!(here.contains("stranger.pem"), "{here}");
    assert_eq!(vp1.held().await, Term(1));
    assert!(vp2.order(Wish::Take { force: false }).await.is_err());
    vp2.end().await;

    let mut vp2 = place.start("vp2", &place.config(1)).await;
    vp2.not_held("vp1 has it").await;
    vp1.no_alert("peer-refused").await;
    vp1.end().await;
    vp2.end().await;
}

#[tokio::test]
async fn a_wrong_name_and_another_version_are_told_on_both_sides() {
    let place = Place::new();
    let mut vp1 = place.holder().await;
    // It has VP2's keys, and calls itself as VP1 does.
    let mut config = place.config(1);
    config.name = name("vp2");
    let mut vp2 = place.start("vp1", &config).await;
    for monitor in [&mut vp1, &mut vp2] {
        let same = monitor.alert("peer-refused").await;
        assert!(same.contains("both monitors are named vp1"), "{same}");
    }
    vp2.end().await;

    let mut config = place.config(1);
    // The same certificate, and a journal of its own.
    config.certificate = place.dir.path().join("vp3.pem");
    std::fs::copy(place.dir.path().join("vp2.pem"), &config.certificate).unwrap();
    let mut vp3 = place.start("vp3", &config).await;
    // Either of the two may be the one that finds it.
    vp1.refused("vp3").await;
    vp3.alert("peer-refused").await;
    vp3.end().await;

    let config = place.config(1);
    let dialer = Identity::load(&config).unwrap().dialer(&config.address).unwrap();
    for (body, said) in [
        (&b"{\"protocol\": 0, \"hello\": 1}"[..], "it speaks version 0 of the protocol"),
        (&b"\xff\xfe not JSON"[..], "not of the protocol between monitors"),
        (&b"{\"protocol\": 2, \"sender\": {\"who\": 1}}"[..], "unknown field `who`"),
    ] {
        let returned = dialer.send(body.to_vec()).await.unwrap();
        let complaint: wire::Complaint = serde_json::from_slice(&returned.body).unwrap();
        assert!(complaint.why.contains(said) && !complaint.passing, "{complaint:?}");
        assert_eq!(returned.status, 400);
        vp1.refused(said).await;
    }
    let huge = dialer.send(vec![b' '; wire::MAX_BODY]).await.unwrap();
    assert_eq!(huge.status, 400);
    assert!(dialer.send(vec![b' '; wire::MAX_BODY + 1]).await.is_err());
    assert_eq!(vp1.held().await, Term(1));
    vp1.end().await;
}

#[tokio::test]
async fn whatever_answers_the_holder_goes_on() {
    let place = Place::new();
    let mut vp1 = place.holder().await;
    let older = serde_json::json!({"protocol": 0}).to_string().into_bytes();
    for (status, body, said) in [
        (200, older, "it speaks version 0"),
        (200, b"<html>".to_vec(), "not of the protocol between monitors"),
        (500, b"oops".to_vec(), "answers with HTTP status 500"),
        (200, vec![b' '; wire::MAX_BODY + 1], "longer than 8 MiB"),
    ] {
        let impostor = place.impostor(status, body).await;
        vp1.refused(said).await;
        assert_eq!(vp1.held().await, Term(1));
        impostor.abort();
        let _ = impostor.await;
    }
    vp1.end().await;
}

#[tokio::test]
async fn what_hangs_or_talks_no_tls_delays_nothing() {
    let place = Place::new();
    let mut vp1 = place.holder().await;
    let listener = TcpListener::bind(&place.addresses[1]).await.unwrap();
    // It takes every connection and says nothing.
    let hang = tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            kept.push(listener.accept().await.unwrap());
        }
    });
    let silent = vp1.alert("peer-unreachable").await;
    assert!(silent.contains("vp2 cannot be reached"), "{silent}");
    assert_eq!(vp1.held().await, Term(1));
    assert!(vp1.order(Wish::Give).await.unwrap_err().contains("this monitor keeps the duty"));
    hang.abort();
    let _ = hang.await;

    let listener = TcpListener::bind(&place.addresses[1]).await.unwrap();
    let plain = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read(&mut [0; 64]).await;
        }
    });
    let refused = vp1.alert("peer-refused").await;
    assert!(refused.contains("does not talk TLS 1.3"), "{refused}");
    plain.abort();

    // And at the own door: nobody who proves nothing keeps the other monitor out.
    let mut hanging = Vec::new();
    for _ in 0..8 {
        let mut stream = tokio::net::TcpStream::connect(&place.addresses[0]).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        hanging.push(stream);
        hanging.push(tokio::net::TcpStream::connect(&place.addresses[0]).await.unwrap());
    }
    // Nor does one elsewhere that opens as many as it can, again and again.
    let door: std::net::SocketAddr = place.addresses[0].parse().unwrap();
    let greedy = tokio::spawn(async move {
        let mut kept = std::collections::VecDeque::new();
        loop {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
            kept.push_back(socket.connect(door).await);
            kept.drain(..kept.len().saturating_sub(400));
            if kept.len() == 400 {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    let config = place.config(1);
    let dialer = Identity::load(&config).unwrap().dialer(&config.address).unwrap();
    for _ in 0..5 {
        assert_eq!(dialer.send(b"{}".to_vec()).await.unwrap().status, 400);
    }
    greedy.abort();
    vp1.end().await;
}

#[test]
fn keys_that_do_not_fit_are_refused_before_anything_starts() {
    let place = Place::new();
    let load = |change: &dyn Fn(&mut PeerConfig)| {
        let mut config = place.config(0);
        change(&mut config);
        match Identity::load(&config) {
            Ok(identity) => identity.dialer(&config.address).err(),
            Err(error) => Some(error),
        }
    };
    let file = |name: &str| place.dir.path().join(name);
    assert!(load(&|_| ()).is_none());
    let own = load(&|it| it.peer_certificate = file("vp1.pem")).unwrap();
    assert!(matches!(&own, LinkError::Own(_)), "{own}");
    let pair = load(&|it| it.key = file("vp2.key")).unwrap();
    assert!(matches!(&pair, LinkError::Pair { .. }), "{pair}");
    let missing = load(&|it| it.peer_certificate = file("no.pem")).unwrap();
    assert!(missing.to_string().contains("no.pem; `watchkeeper duty keys` makes one"), "{missing}");
    let swapped = load(&|it| it.certificate = file("vp1.key")).unwrap();
    assert!(matches!(&swapped, LinkError::Certificate { .. }), "{swapped}");
    let swapped = load(&|it| it.key = file("vp1.pem")).unwrap();
    assert!(matches!(&swapped, LinkError::Key { .. }), "{swapped}");
}
