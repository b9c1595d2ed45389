//! What an attempt may not exceed, and what a crash in its middle comes to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::http::HeaderMap;
use axum::routing::post;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use watchkeeper::deliver::{CommandGrant, MAX_BODY, MAX_REQUESTS, Notify};
use watchkeeper_core::alerting::Changes;
use watchkeeper_core::state::State;
use watchkeeper_site::smtp::certificate;
use watchkeeper_wasm::notifier::{
    self as guest, CommandRequest, HttpRequest, HttpResponse, Next, Request, Response, Send,
};

use crate::support::{
    Folder, SECRET, Site, alert, dead, eventually, fired, http, now, receiver, server,
};

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

fn delivered(state: &State) -> bool {
    state.post.outbox.next_id() > 0 && state.post.outbox.entries().count() == 0
}

/// A server that answers only with a permit, and notes who came and how many waited at once.
struct Gate {
    address: SocketAddr,
    permits: Arc<Semaphore>,
    keys: Arc<Mutex<Vec<String>>>,
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Gate {
    async fn new() -> Self {
        let permits = Arc::new(Semaphore::new(0));
        let keys = Arc::new(Mutex::new(Vec::new()));
        let (waiting, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (permits_, keys_) = (Arc::clone(&permits), Arc::clone(&keys));
        let (waiting_, most_) = (Arc::clone(&waiting), Arc::clone(&most));
        let handler = move |headers: HeaderMap| async move {
            let key = headers["idempotency-key"].to_str().unwrap().to_owned();
            keys_.lock().unwrap().push(key);
            let at_once = waiting_.fetch_add(1, Ordering::SeqCst) + 1;
            most_.fetch_max(at_once, Ordering::SeqCst);
            permits_.acquire().await.unwrap().forget();
            waiting_.fetch_sub(1, Ordering::SeqCst);
        };
        let address = serve(Router::new().fallback(post(handler))).await;
        Self { address, permits, keys, waiting, most }
    }

    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_crash_between_sending_and_recording_repeats_with_the_same_key() {
    let gate = Gate::new().await;
    let configs = || vec![receiver("a", http(gate.address), &format!("http://{}", gate.address))];
    let mut site = Site::new(configs()).await;
    site.tell(&fired("down")).await;
    eventually("the first attempt arrives", || gate.waiting() == 1).await;
    let folder = site.crash().await;
    gate.permits.add_permits(2);
    let mut site = Site::on(folder, configs()).await;
    site.until(delivered).await;
    let keys = gate.keys.lock().unwrap().clone();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
}

#[tokio::test]
async fn four_attempts_at_a_receiver_are_under_way_at_a_time() {
    let gate = Gate::new().await;
    let (free, calls) = server(vec![]).await;
    let mut slow = receiver("slow", http(gate.address), &format!("http://{}", gate.address));
    slow.timeout = Duration::from_secs(20);
    let mut site =
        Site::new(vec![receiver("free", http(free), &format!("http://{free}")), slow]).await;
    let names = ["a", "b", "c", "d", "e", "f"];
    let alerts = names.map(|name| alert(name, now())).to_vec();
    site.tell(&Changes { fired: alerts, resolved: vec![] }).await;
    eventually("four arrive", || gate.waiting() == 4).await;
    // The other receiver has everything, so the outbox was gone through again and again.
    site.until(|state| state.post.outbox.entries().all(|entry| entry.receiver.as_str() == "slow"))
        .await;
    assert_eq!((calls.lock().unwrap().len(), gate.waiting()), (6, 4));
    gate.permits.add_permits(6);
    site.until(delivered).await;
    assert_eq!((gate.most.load(Ordering::SeqCst), gate.keys.lock().unwrap().len()), (4, 6));
}

/// Asks for the same again and again, or refuses with what it got.
struct Curious {
    request: HttpRequest,
    endless: bool,
}

impl Notify for Curious {
    fn identity(&self) -> String {
        "curious".to_owned()
    }

    fn start(&self, _: &guest::Notification) -> Result<Next, String> {
        Ok(Next::Send(Send { request: Request::Http(self.request.clone()), state: vec![] }))
    }

    fn resume(&self, _: &[u8], response: &Response) -> Result<Next, String> {
        if self.endless {
            return Ok(Next::Send(Send {
                request: Request::Http(self.request.clone()),
                state: vec![],
            }));
        }
        let Response::Http(HttpResponse { body, .. }) = response else { panic!("{response:?}") };
        let tail = String::from_utf8_lossy(&body[body.len() - 8..]).into_owned();
        Ok(Next::Refused(format!("{} bytes, ending in {tail}", body.len())))
    }
}

fn curious(address: SocketAddr, endless: bool) -> watchkeeper::deliver::ReceiverConfig {
    let Request::Http(request) = http(address) else { panic!("no HTTP request") };
    let mut config = receiver("a", Request::Http(request.clone()), &format!("http://{address}"));
    config.notifier = Arc::new(Curious { request, endless });
    config.give_up_after = Duration::ZERO;
    config
}

#[tokio::test]
async fn the_ninth_request_of_an_attempt_is_not_sent() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let handler = move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
    };
    let address = serve(Router::new().fallback(post(handler))).await;
    let mut site = Site::new(vec![curious(address, true)]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    assert!(dead(&site.state)[0].ends_with("asked for more than 8 requests"));
    assert_eq!((calls.load(Ordering::SeqCst), MAX_REQUESTS), (8, 8));
}

#[tokio::test]
async fn a_method_that_is_not_granted_is_not_sent() {
    let (address, calls) = server(vec![]).await;
    let mut config = receiver("a", http(address), &format!("http://{address}"));
    config.methods.retain(|method| method != "POST");
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    let reason = "the method POST is not granted to this receiver: `methods`";
    assert_eq!(dead(&site.state), [reason]);
    assert_eq!(calls.lock().unwrap().len(), 0);
}

#[tokio::test]
async fn a_notifier_sees_64_kib_of_a_response_and_no_part_of_a_secret_at_the_cut() {
    // The secret begins six bytes before the cut.
    let body = ["x".repeat(MAX_BODY - 6).as_str(), SECRET, &"y".repeat(1_000_000)].concat();
    let address = serve(Router::new().fallback(post(async || body))).await;
    let mut site = Site::new(vec![curious(address, false)]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    assert_eq!(dead(&site.state), ["65536 bytes, ending in xx<secre"]);
}

#[tokio::test]
async fn at_the_deadline_a_command_goes_with_all_it_started() {
    let folder = Folder::new();
    let pids = folder.0.join("pids");
    let script = "sleep 600 & echo $! >> \"$0\"; sleep 600 & echo $! >> \"$0\"; wait".to_owned();
    let request =
        CommandRequest { name: "hang".to_owned(), arguments: vec![], input: b"".to_vec() };
    let mut config = receiver("a", Request::Command(request), "example.com");
    let arguments = vec!["-c".to_owned(), script, pids.to_str().unwrap().to_owned()];
    let grant = CommandGrant { program: "/bin/sh".into(), arguments };
    config.commands.insert("hang".to_owned(), grant);
    config.timeout = Duration::from_secs(5);
    config.give_up_after = Duration::ZERO;
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    let pids = std::fs::read_to_string(&pids).unwrap();
    let pids: Vec<&str> = pids.lines().collect();
    assert_eq!(pids.len(), 2);
    // A process that nobody has waited for yet is a zombie, which has no command line.
    let gone = |pid: &&str| {
        let line = std::fs::read(Path::new("/proc").join(pid).join("cmdline")).unwrap_or_default();
        !line.starts_with(b"sleep")
    };
    eventually("both are gone", || pids.iter().all(gone)).await;
}

/// Answers every HTTPS request with 200.
async fn tls_server(folder: &Folder, name: &str) -> SocketAddr {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let path = |suffix: &str| folder.0.join(format!("{name}.{suffix}"));
    let chain = vec![CertificateDer::from_pem_file(path("pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            // Who does not trust it breaks the handshake off.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut seen = Vec::new();
            while !seen.ends_with(SECRET.as_bytes())
                && stream.read_buf(&mut seen).await.unwrap() > 0
            {}
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    address
}

#[tokio::test]
async fn only_the_configured_authority_is_trusted() {
    let folder = Folder::new();
    certificate(&folder.0, "server");
    certificate(&folder.0, "other");
    let address = tls_server(&folder, "server").await;
    let config = |name: &str, ca: Option<&str>| {
        let Request::Http(mut request) = http(address) else { panic!("no HTTP request") };
        request.url = request.url.replace("http://", "https://");
        let mut config = receiver(name, Request::Http(request), &format!("https://{address}"));
        config.ca = ca.map(|ca| folder.0.join(ca));
        config.give_up_after = Duration::ZERO;
        config
    };
    let mut site = Site::new(vec![
        config("none", None),
        config("other", Some("other.pem")),
        config("right", Some("server.pem")),
    ])
    .await;
    site.tell(&fired("down")).await;
    site.until(|state| state.post.outbox.entries().all(|entry| entry.dead)).await;
    let dead: Vec<_> = site.state.post.outbox.entries().map(|it| it.receiver.as_str()).collect();
    assert_eq!(dead, ["none", "other"]);
    for entry in site.state.post.outbox.entries() {
        let problem = entry.problem.as_deref().unwrap();
        assert!(problem.contains("certificate"), "{problem}");
    }
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_secret_in_a_url_reaches_no_log_line() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // Of all threads, and so of the other tests as well.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let (works, _) = server(vec![]).await;
    let refuses: SocketAddr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut broken = receiver("broken", http(refuses), &format!("http://{refuses}"));
    broken.give_up_after = Duration::ZERO;
    let mut site =
        Site::new(vec![broken, receiver("works", http(works), &format!("http://{works}"))]).await;
    site.tell(&fired("down")).await;
    site.until(|state| dead(state).len() == 1 && state.post.outbox.entries().count() == 1).await;
    let text = String::from_utf8_lossy(&lines.0.lock().unwrap()).into_owned();
    assert!(text.contains(&refuses.port().to_string()), "nothing was captured: {text}");
    for form in ["hunter2", "of\"steel", "of%22steel"] {
        assert!(!text.contains(form), "{text}");
    }
}
