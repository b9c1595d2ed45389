//! Alerts reach their receivers, whatever the receivers do, and secrets stay where they belong.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(missing_docs, clippy::unnecessary_wraps)]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::sync::watch;
use watchkeeper::deliver::{
    CommandGrant, Deliverer, Notify, ReceiverConfig, Receivers, Secrets, queue_events,
};
use watchkeeper::journal::{Follower, Journal};
use watchkeeper::secret::Secret;
use watchkeeper_core::alerting::{Alert, Changes, Fingerprint};
use watchkeeper_core::event::Event;
use watchkeeper_core::model::{ClusterName, ReceiverName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::state::State;
use watchkeeper_wasm::notifier::{
    self as guest, AlertStatus, CommandRequest, CommandResponse, HttpRequest, HttpResponse, Method,
    Next, Request, Response, Retry, Send,
};

const SECRET: &str = "hunter2/of\"steel";

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("watchkeeper-outbox-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// Sends one request, and says by its status what came of it.
struct Sender(Request);

impl Notify for Sender {
    fn identity(&self) -> String {
        format!("{:?}", self.0)
    }

    fn start(&self, told: &guest::Alert) -> Result<Next, String> {
        let mut request = self.0.clone();
        if let Request::Http(request) = &mut request {
            let key = ("idempotency-key".to_owned(), told.idempotency_key.clone());
            request.headers.push(key);
            let resolved = told.status == AlertStatus::Resolved;
            request.headers.push(("status".to_owned(), resolved.to_string()));
        }
        Ok(Next::Send(Send { request, state: told.idempotency_key.clone().into_bytes() }))
    }

    fn resume(&self, state: &[u8], response: &Response) -> Result<Next, String> {
        assert!(!state.is_empty());
        let text = format!("{response:?}");
        assert!(!text.contains("hunter2"), "the plugin sees {text}");
        let http = match response {
            Response::Http(http) => http,
            Response::Command(CommandResponse { exit: Some(0), .. }) => return Ok(Next::Delivered),
            other @ Response::Command(_) => {
                return Ok(Next::Retry(Retry { after: None, reason: format!("{other:?}") }));
            }
        };
        Ok(match http {
            HttpResponse { status: 200, .. } => Next::Delivered,
            HttpResponse { status: 429, headers, .. } => Next::Retry(Retry {
                after: headers
                    .iter()
                    .find(|(name, _)| name == "retry-after")
                    .map(|(_, value)| value.parse::<u64>().unwrap() * 1_000),
                reason: "too many".to_owned(),
            }),
            HttpResponse { status: 400, body, .. } => {
                Next::Refused(String::from_utf8_lossy(body).into_owned())
            }
            other => Next::Retry(Retry { after: None, reason: format!("{other:?}") }),
        })
    }
}

fn http(address: SocketAddr) -> Request {
    Request::Http(HttpRequest {
        method: Method::Post,
        url: format!("http://{address}/{{{{secret \"token\"}}}}"),
        headers: vec![("x-token".to_owned(), "{{secret \"token\"}}".to_owned())],
        body: b"{{secret \"token\"}}".to_vec(),
    })
}

fn receiver(name: &str, request: Request, host: &str) -> ReceiverConfig {
    ReceiverConfig {
        name: name.parse().unwrap(),
        notifier: Arc::new(Sender(request)),
        hosts: vec![host.parse().unwrap()],
        commands: BTreeMap::new(),
        secrets: Secrets([("token".to_owned(), Secret::new(SECRET))].into()),
        ca: None,
        min_severity: Severity::Warning,
        clusters: vec![],
        timeout: Duration::from_secs(2),
        first_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        give_up_after: Duration::from_mins(1),
    }
}

fn alert(name: &str, at: Timestamp) -> Alert {
    let claim = AlertClaim {
        name: name.to_owned(),
        severity: Severity::Critical,
        server: None,
        service: None,
        code: String::new(),
        summary: "the daemon is down".to_owned(),
        labels: BTreeMap::new(),
    };
    let fingerprint = Fingerprint::of(prod().as_ref(), "engine", &claim);
    Alert { fingerprint, source: "engine".to_owned(), claim, starts_at: at, ends_at: None }
}

fn prod() -> Option<ClusterName> {
    Some(ClusterName::new("prod").unwrap())
}

/// A daemon's part that matters here.
struct Site {
    folder: Folder,
    journal: Journal,
    state: State,
    follower: Follower,
    receivers: Arc<Receivers>,
    swap: watch::Sender<Arc<Receivers>>,
    task: tokio::task::JoinHandle<watchkeeper::journal::JournalError>,
}

impl Site {
    async fn new(configs: Vec<ReceiverConfig>) -> Self {
        Self::on(Folder::new(), configs).await
    }

    async fn on(folder: Folder, configs: Vec<ReceiverConfig>) -> Self {
        let monitor = "vp1".parse().unwrap();
        let (journal, state) =
            Journal::open(&folder.0.join("journal.db"), &monitor, now()).unwrap();
        let receivers = Arc::new(Receivers::new(configs).unwrap());
        let (swap, swapped) = watch::channel(Arc::clone(&receivers));
        let follower = journal.follow(state.seq).await.unwrap();
        let task = Deliverer::spawn(journal.clone(), &state, monitor, swapped, Arc::new(now)).await;
        Self { folder, journal, state, follower, receivers, swap, task: task.unwrap() }
    }

    async fn tell(&mut self, changes: &Changes) {
        let cluster = prod();
        let events = queue_events(cluster.as_ref(), changes, &self.receivers, &self.state.outbox);
        self.journal.append(now(), events).await.unwrap();
    }

    /// Waits until `done` holds of the state; bounded.
    async fn until(&mut self, done: impl Fn(&State) -> bool) {
        let wait = async {
            for record in self.follower.ready().await.unwrap() {
                self.state.apply(&record).unwrap();
            }
            while !done(&self.state) {
                for record in self.follower.next().await.unwrap() {
                    self.state.apply(&record).unwrap();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it does not come to it");
    }

    async fn crash(self) -> Folder {
        self.task.abort();
        let _ = self.task.await;
        self.journal.close().await;
        self.folder
    }
}

type Calls = Arc<Mutex<Vec<(String, String)>>>;

/// A server on loopback that answers its nth call with the nth answer, and then with 200. Every
/// answer repeats the secret that came.
async fn server(answers: Vec<StatusCode>) -> (SocketAddr, Calls) {
    let calls = Calls::default();
    let count = Arc::new(AtomicU64::new(0));
    let noted = Arc::clone(&calls);
    let handler = move |headers: HeaderMap, body: Bytes| async move {
        let text = |name: &str| headers[name].to_str().unwrap().to_owned();
        assert_eq!((text("x-token").as_str(), &body[..]), (SECRET, SECRET.as_bytes()));
        noted.lock().unwrap().push((text("idempotency-key"), text("status")));
        let call = usize::try_from(count.fetch_add(1, Ordering::SeqCst)).unwrap();
        let status = answers.get(call).copied().unwrap_or(StatusCode::OK);
        (status, [("retry-after", "1"), ("x-echo", SECRET)], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(post(handler));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, calls)
}

fn fired(name: &str) -> Changes {
    Changes { fired: vec![alert(name, now())], resolved: vec![] }
}

fn dead(state: &State) -> Vec<String> {
    let dead = state.outbox.entries().filter(|entry| entry.dead);
    dead.map(|entry| entry.problem.clone().unwrap()).collect()
}

#[tokio::test]
async fn a_failing_receiver_is_tried_again_in_order_and_delays_no_other() {
    let (fails, failing) =
        server(vec![StatusCode::INTERNAL_SERVER_ERROR, StatusCode::TOO_MANY_REQUESTS]).await;
    let (works, working) = server(vec![]).await;
    let mut site = Site::new(vec![
        receiver("fails", http(fails), &format!("http://{fails}")),
        receiver("works", http(works), &format!("http://{works}")),
    ])
    .await;
    let changes = fired("down");
    site.tell(&changes).await;
    site.until(|state| !state.outbox.entries().any(|entry| entry.receiver.as_str() == "works"))
        .await;
    let over = Alert { ends_at: Some(now()), ..changes.fired[0].clone() };
    site.tell(&Changes { fired: vec![], resolved: vec![over] }).await;
    site.until(|state| state.outbox.next_id() == 4 && state.outbox.entries().count() == 0).await;
    let told = |calls: &Calls| {
        calls.lock().unwrap().iter().map(|(_, status)| status.clone()).collect::<Vec<_>>()
    };
    assert_eq!(told(&failing), ["false", "false", "false", "true"]);
    assert_eq!(told(&working), ["false", "true"]);
    let keys: Vec<_> = failing.lock().unwrap().iter().map(|(key, _)| key.clone()).collect();
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3], "{keys:?}");
    assert!(keys[0].starts_with(site.journal.id()));
    // Nothing of the secret is in any file of the journal.
    for file in std::fs::read_dir(&site.folder.0).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"));
    }
}

#[tokio::test]
async fn what_is_not_granted_is_dead_with_its_reason() {
    let (address, calls) = server(vec![]).await;
    let mut unknown = receiver("secret", http(address), &format!("http://{address}"));
    unknown.secrets = Secrets::default();
    let command =
        CommandRequest { name: "page".to_owned(), arguments: vec![], input: b"x".to_vec() };
    let mut site = Site::new(vec![
        receiver("scheme", http(address), &address.to_string()),
        receiver("command", Request::Command(command), "example.com"),
        unknown,
    ])
    .await;
    site.tell(&fired("down")).await;
    site.until(|state| dead(state).len() == 3).await;
    let reasons = dead(&site.state).join("; ");
    for reason in
        ["is not granted to this receiver", "the command \"page\"", "the secret \"token\""]
    {
        assert!(reasons.contains(reason), "{reasons}");
    }
    assert!(!reasons.contains("hunter2") && calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_refusal_is_dead_and_shows_no_secret() {
    let (address, _) = server(vec![StatusCode::BAD_REQUEST]).await;
    let mut site =
        Site::new(vec![receiver("a", http(address), &format!("http://{address}"))]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    assert_eq!(dead(&site.state), ["<secret>"]);
}

#[tokio::test]
async fn silence_resets_and_garbage_are_tried_again_until_given_up() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        for call in 0_u64.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            match call % 3 {
                0 => drop(stream),
                1 => {
                    let garbage = b"garbage\r\n\r\n";
                    tokio::io::AsyncWriteExt::write_all(&mut stream, garbage).await.unwrap();
                }
                _ => kept.push(stream),
            }
        }
    });
    let mut config = receiver("a", http(address), &format!("http://{address}"));
    config.timeout = Duration::from_millis(200);
    config.give_up_after = Duration::from_secs(1);
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    let entry = site.state.outbox.entries().next().unwrap().clone();
    assert!(entry.tries >= 3, "{entry:?}");
    let problem = entry.problem.unwrap();
    assert!(problem.starts_with("given up after"), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[tokio::test]
async fn a_restart_delivers_what_was_queued_and_repeats_nothing() {
    let (address, calls) = server(vec![]).await;
    let configs = || vec![receiver("a", http(address), &format!("http://{address}"))];
    // Queued by a daemon that died before it could send.
    let folder = Folder::new();
    let path = folder.0.join("journal.db");
    let (journal, state) = Journal::open(&path, &"vp1".parse().unwrap(), now()).unwrap();
    let receivers = Receivers::new(configs()).unwrap();
    let events = queue_events(prod().as_ref(), &fired("down"), &receivers, &state.outbox);
    journal.append(now(), events).await.unwrap();
    journal.close().await;
    drop(journal);

    let mut site = Site::on(folder, configs()).await;
    site.until(|state| state.outbox.entries().count() == 0).await;
    let folder = site.crash().await;
    let mut site = Site::on(folder, configs()).await;
    site.tell(&fired("other")).await;
    site.until(|state| state.outbox.next_id() == 2 && state.outbox.entries().count() == 0).await;
    assert_eq!(calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn commands_run_as_configured_and_a_removed_receiver_is_dead() {
    let request = CommandRequest {
        name: "note".to_owned(),
        arguments: vec!["a b; exit 3".to_owned()],
        input: b"input".to_vec(),
    };
    let mut config = receiver("a", Request::Command(request), "example.com");
    let folder = Folder::new();
    let script = "cat > \"$0\"; test \"$1\" = 'a b; exit 3'".to_owned();
    let out = folder.0.join("out");
    let arguments = vec!["-c".to_owned(), script, out.to_str().unwrap().to_owned()];
    let grant = CommandGrant { program: "/bin/sh".into(), arguments };
    config.commands.insert("note".to_owned(), grant);
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| state.outbox.next_id() == 1 && state.outbox.entries().count() == 0).await;
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "input");

    site.swap.send(Arc::default()).unwrap();
    site.tell(&fired("other")).await;
    site.until(|state| !dead(state).is_empty()).await;
    assert_eq!(dead(&site.state), ["there is no receiver a any more"]);
}

#[test]
fn only_those_who_were_told_are_told_that_it_is_over() {
    let address = "127.0.0.1:1".parse().unwrap();
    let mut other = receiver("other", http(address), "x");
    other.clusters = vec![ClusterName::new("test").unwrap()];
    let receivers = Receivers::new(vec![receiver("all", http(address), "x"), other]).unwrap();
    let changes = fired("down");
    let mut state = State::default();
    let queued = |events: &[(Option<ClusterName>, Event)]| {
        events
            .iter()
            .filter_map(|(_, event)| match event {
                Event::NotificationQueued { receiver, id, .. } => Some((receiver.clone(), *id)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    let over = Alert { ends_at: Some(Timestamp(9)), ..changes.fired[0].clone() };
    let resolved = Changes { fired: vec![], resolved: vec![over] };
    assert_eq!(queued(&queue_events(None, &resolved, &receivers, &state.outbox)), []);
    let events = queue_events(prod().as_ref(), &changes, &receivers, &state.outbox);
    let all = ReceiverName::new("all").unwrap();
    assert_eq!(queued(&events), [(all.clone(), 0)]);
    for (seq, (cluster, event)) in (1..).zip(events) {
        let record = watchkeeper_core::event::Record { seq, at: Timestamp(1), cluster, event };
        state.apply(&record).unwrap();
    }
    // The receiver is gone from the routes by now, and is told all the same.
    let events = queue_events(prod().as_ref(), &resolved, &Receivers::default(), &state.outbox);
    assert_eq!(queued(&events), [(all, 1)]);
}
