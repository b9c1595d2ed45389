//! What a person's program sends to the daemon's socket.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use watchkeeper::api::{ApiContext, Listening, serve};
use watchkeeper::config::duty::{DutyConfig, Mode};
use watchkeeper::duty::Keeper;
use watchkeeper::journal::Journal;
use watchkeeper::ledger::Ledger;
use watchkeeper_core::model::{MonitorName, Timestamp};

use crate::config::scratch;

/// An answer holds at most a page of the journal.
const MOST: u64 = 16 << 20;

static PANICKED: AtomicBool = AtomicBool::new(false);

struct Server {
    socket: PathBuf,
    _runtime: Runtime,
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        // A request that ends in a panic only looks like one that was hung up on.
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICKED.store(true, Ordering::SeqCst);
            before(panic);
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let socket = scratch("api.sock");
        let listening = runtime.block_on(Listening::on(&socket, None)).unwrap();
        runtime.spawn(keep(listening));
        Server { socket, _runtime: runtime }
    })
}

/// The API of a daemon that watches no cluster.
async fn keep(listening: Listening) {
    let monitor = MonitorName::new("vp1").unwrap();
    let path = scratch("api.db");
    let (journal, state) = Journal::open(&path, &monitor, Timestamp(1)).unwrap();
    let ledger = Arc::new(Ledger::new(journal, state).await.unwrap());
    let (_clusters, clusters) = watch::channel(BTreeMap::new());
    let (_receivers, receivers) = watch::channel(Arc::default());
    let (_names, names) = watch::channel(BTreeSet::new());
    let (_stop, stop) = watch::channel(false);
    let duty = DutyConfig { mode: Mode::Alone, observe: Duration::ZERO };
    let keeper = Keeper::start(&duty, monitor, Arc::clone(&ledger), names).await.unwrap();
    let (reload, mut requests) =
        mpsc::channel::<oneshot::Sender<Result<Vec<String>, Vec<String>>>>(4);
    tokio::spawn(async move {
        while let Some(request) = requests.recv().await {
            let _ = request.send(Ok(Vec::new()));
        }
    });
    let context = ApiContext {
        monitor: "vp1".to_owned(),
        started: Timestamp(1),
        ledger,
        clusters,
        duties: keeper.duties(),
        receivers,
        reload,
    };
    let _ = serve(listening, Arc::new(context), stop).await;
}

/// Bytes on the socket: each request is answered or hung up on, in time, and nothing is the daemon's own fault.
pub fn api(data: &[u8]) {
    let mut stream = UnixStream::connect(&server().socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    // It may hang up at once on what is no request.
    let _ = stream.write_all(data);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    match stream.take(MOST + 1).read_to_end(&mut answer) {
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("no answer"),
        _ => {}
    }
    assert!(answer.len() as u64 <= MOST, "an endless answer");
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "this is no answer");
    assert!(!answer.starts_with(b"HTTP/1.1 500"), "{}", String::from_utf8_lossy(&answer));
    assert!(!PANICKED.swap(false, Ordering::SeqCst), "a request ended in a panic");
}
