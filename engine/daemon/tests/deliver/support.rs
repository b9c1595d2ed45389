//! A daemon's part around the outbox, and receivers on loopback.

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
    Deliverer, DispatchError, Dispatcher, Notify, ReceiverConfig, Receivers, Secrets, alert_events,
};
use watchkeeper::journal::{Follower, Journal, JournalError};
use watchkeeper::ledger::Ledger;
use watchkeeper::secret::Secret;
use watchkeeper_core::alerting::{Alert, Changes, Fingerprint};
use watchkeeper_core::model::{ClusterName, Timestamp};
use watchkeeper_core::proposal::{AlertClaim, Severity};
use watchkeeper_core::state::State;
use watchkeeper_wasm::notifier::{
    self as guest, AlertStatus, CommandResponse, HttpRequest, HttpResponse, Method, Next, Request,
    Response, Retry, Send,
};

pub(crate) const SECRET: &str = "hunter2/of\"steel";

/// What is done about every alert.
pub(crate) const DOING: &str = "Plan 1 (failover) begins.";

pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
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

pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(u64::try_from(since.as_millis()).unwrap())
}

/// Sends one request, and says by its status what came of it.
pub(crate) struct Sender(pub(crate) Request);

impl Notify for Sender {
    fn identity(&self) -> String {
        format!("{:?}", self.0)
    }

    fn start(&self, told: &guest::Notification) -> Result<Next, String> {
        let details = &told.alerts[0].details;
        assert!(details.starts_with(&format!("{DOING}\n`watchkeeper explain")), "{told:?}");
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
            other @ Response::Mail(_) => return Err(format!("{other:?}")),
            Response::Command(CommandResponse { exit: Some(0), .. }) => {
                return Ok(Next::Delivered(Vec::new()));
            }
            other @ Response::Command(_) => {
                return Ok(Next::Retry(Retry { after: None, reason: format!("{other:?}") }));
            }
        };
        Ok(match http {
            HttpResponse { status: 200, .. } => Next::Delivered(Vec::new()),
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

pub(crate) fn http(address: SocketAddr) -> Request {
    Request::Http(HttpRequest {
        method: Method::Post,
        url: format!("http://{address}/{{{{secret \"token\"}}}}"),
        headers: vec![("x-token".to_owned(), "{{secret \"token\"}}".to_owned())],
        body: b"{{secret \"token\"}}".to_vec(),
    })
}

pub(crate) fn receiver(name: &str, request: Request, host: &str) -> ReceiverConfig {
    ReceiverConfig {
        name: name.parse().unwrap(),
        notifier: Arc::new(Sender(request)),
        hosts: vec![host.parse().unwrap()],
        methods: watchkeeper::config::host::methods().to_vec(),
        commands: BTreeMap::new(),
        secrets: Secrets([("token".to_owned(), Secret::new(SECRET))].into()),
        mail: None,
        ca: None,
        min_severity: Severity::Warning,
        clusters: vec![],
        timeout: Duration::from_secs(2),
        first_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        give_up_after: Duration::from_mins(1),
        rate_limit: None,
    }
}

pub(crate) fn alert(name: &str, at: Timestamp) -> Alert {
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
    Alert {
        fingerprint,
        source: "engine".to_owned(),
        claim,
        details: String::new(),
        starts_at: at,
        ends_at: None,
        acknowledged: None,
    }
}

pub(crate) fn prod() -> Option<ClusterName> {
    Some(ClusterName::new("prod").unwrap())
}

/// A daemon's part that matters here.
pub(crate) struct Site {
    pub(crate) folder: Folder,
    pub(crate) journal: Journal,
    pub(crate) state: State,
    follower: Follower,
    pub(crate) swap: watch::Sender<Arc<Receivers>>,
    deliverer: tokio::task::JoinHandle<JournalError>,
    dispatcher: tokio::task::JoinHandle<DispatchError>,
}

impl Site {
    pub(crate) async fn new(configs: Vec<ReceiverConfig>) -> Self {
        Self::on(Folder::new(), configs).await
    }

    pub(crate) async fn on(folder: Folder, configs: Vec<ReceiverConfig>) -> Self {
        Self::with(folder, Receivers::new(configs, None).unwrap()).await
    }

    pub(crate) async fn with(folder: Folder, receivers: Receivers) -> Self {
        let monitor = "vp1".parse().unwrap();
        let (journal, state) =
            Journal::open(&folder.0.join("journal.db"), &monitor, now()).unwrap();
        let swap = watch::Sender::new(Arc::new(receivers));
        let follower = journal.follow(state.seq).await.unwrap();
        let ledger = Arc::new(Ledger::new(journal.clone(), state.clone()).await.unwrap());
        let (seen, clock) = (swap.subscribe(), Arc::new(now));
        let deliverer = Deliverer::spawn(journal.clone(), &state, monitor, seen, clock).await;
        let dispatcher =
            Dispatcher::spawn(ledger, state.clone(), swap.subscribe(), Arc::new(now)).await;
        let (deliverer, dispatcher) = (deliverer.unwrap(), dispatcher.unwrap());
        Self { folder, journal, state, follower, swap, deliverer, dispatcher }
    }

    pub(crate) async fn tell(&mut self, changes: &Changes) {
        let events = alert_events(prod().as_ref(), changes, DOING);
        self.journal.append(now(), events).await.unwrap();
        let before = self.state.post.outbox.next_id();
        self.until(|state| state.post.outbox.next_id() > before).await;
    }

    /// Waits until `done` holds of the state; bounded.
    pub(crate) async fn until(&mut self, done: impl Fn(&State) -> bool) {
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

    pub(crate) async fn crash(self) -> Folder {
        self.dispatcher.abort();
        let _ = self.dispatcher.await;
        self.deliverer.abort();
        let _ = self.deliverer.await;
        self.journal.close().await;
        self.folder
    }
}

pub(crate) type Calls = Arc<Mutex<Vec<(String, String)>>>;

/// A server on loopback that answers its nth call with the nth answer, and then with 200. Every
/// answer repeats the secret that came.
pub(crate) async fn server(answers: Vec<StatusCode>) -> (SocketAddr, Calls) {
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

pub(crate) fn fired(name: &str) -> Changes {
    Changes { fired: vec![alert(name, now())], resolved: vec![] }
}

pub(crate) fn dead(state: &State) -> Vec<String> {
    let dead = state.post.outbox.entries().filter(|entry| entry.dead);
    dead.map(|entry| entry.problem.clone().unwrap()).collect()
}

/// Waits until `condition` holds, looking again and again; bounded.
pub(crate) async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect(what);
}
