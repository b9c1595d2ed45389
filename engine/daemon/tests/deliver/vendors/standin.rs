//! A server on loopback, over TLS, that answers as a vendor's API does, and notes what does not fit its documentation.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use watchkeeper_site::smtp::certificate;

use super::schema::{Kind, mistakes};
use crate::support::Folder;

/// The name of the certificate's files.
pub(super) const NAME: &str = "vendor";

/// A request as it came.
#[derive(Debug, Clone, Default)]
pub(super) struct Request {
    pub(super) method: String,
    /// Without the query.
    pub(super) path: String,
    /// Its names and values, as they are meant.
    pub(super) query: Vec<(String, String)>,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(super) fn parameter(&self, name: &str) -> &str {
        let found = self.query.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// Method and path, and the path's parts.
    pub(super) fn target(&self) -> (&str, Vec<&str>) {
        (&self.method, self.path.split('/').skip(1).collect())
    }

    /// The body, which has to be JSON, to say so, and to be as `kind` has it.
    pub(super) fn json(&self, kind: Kind) -> Result<Value, Vec<String>> {
        let content = self.header("content-type");
        if content.split(';').next() != Some("application/json") {
            return Err(vec![format!("the content type is {content:?}")]);
        }
        let value: Value = serde_json::from_slice(&self.body)
            .map_err(|error| vec![format!("the body is no JSON: {error}")])?;
        let wrong = mistakes(kind, &value);
        if wrong.is_empty() { Ok(value) } else { Err(wrong) }
    }

    /// Whether the query has none but these names.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Vec<String>> {
        let unknown = |(name, _): &&(String, String)| !names.contains(&name.as_str());
        match self.query.iter().find(unknown) {
            Some((name, _)) => Err(vec![format!("there is no parameter {name}")]),
            None => Ok(()),
        }
    }
}

/// What is answered.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn json(status: u16, body: &Value) -> Self {
        let kind = ("content-type", "application/json".to_owned());
        Self { status, headers: vec![kind], body: body.to_string() }
    }

    pub(super) fn text(status: u16, body: &str) -> Self {
        let kind = ("content-type", "text/plain".to_owned());
        Self { status, headers: vec![kind], body: body.to_owned() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// An API.
pub(super) trait Vendor: Send + 'static {
    /// What it answers to a request. An error is everything about it that the documentation does not have.
    fn answer(&mut self, request: &Request) -> Result<Answer, Vec<String>>;

    /// How it says that there were too many requests.
    fn busy(&self) -> Answer {
        Answer::json(429, &json!({})).with("retry-after", "1")
    }
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is one too many, and not carried out.
    Busy,
    /// It is carried out, and the answer does not come through.
    Lost,
}

struct Kept<V> {
    vendor: V,
    secret: String,
    faults: Vec<(usize, Fault)>,
    wrong: Vec<String>,
    came: Vec<Instant>,
}

/// A server that runs until the test is over.
pub(super) struct Standin<V> {
    pub(super) port: u16,
    kept: Arc<Mutex<Kept<V>>>,
}

impl<V: Vendor> Standin<V> {
    /// One whose certificate lies in `folder`. `secret` is what the receiver may use; alerts that ask for it do not get
    /// it. `faults` says which requests go wrong; the first one is 1.
    pub(super) async fn start(
        folder: &Folder,
        vendor: V,
        secret: &str,
        faults: &[(usize, Fault)],
    ) -> Self {
        certificate(&folder.0, NAME);
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = |suffix: &str| folder.0.join(format!("{NAME}.{suffix}"));
        let chain = vec![CertificateDer::from_pem_file(path("pem")).unwrap()];
        let key = PrivateKeyDer::from_pem_file(path("key")).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let kept = Kept {
            vendor,
            secret: secret.to_owned(),
            faults: faults.to_vec(),
            wrong: Vec::new(),
            came: Vec::new(),
        };
        let kept = Arc::new(Mutex::new(kept));
        let served = Arc::clone(&kept);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, kept) = (acceptor.clone(), Arc::clone(&served));
                tokio::spawn(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    // Whoever goes away in between has broken it off.
                    let _ = converse(BufReader::new(stream), &kept).await;
                });
            }
        });
        Self { port, kept }
    }

    /// What became of the vendor's side, after everything that came has been as documented.
    pub(super) fn look<T>(&self, look: impl FnOnce(&V) -> T) -> T {
        let kept = self.kept.lock().unwrap();
        assert!(kept.wrong.is_empty(), "not as documented: {:#?}", kept.wrong);
        look(&kept.vendor)
    }

    /// The time between a request and the one after it; the first request is 1.
    pub(super) fn pause_after(&self, number: usize) -> Duration {
        let came = &self.kept.lock().unwrap().came;
        came[number] - came[number - 1]
    }
}

impl<V: Vendor> Kept<V> {
    /// None: the answer is lost.
    fn hear(&mut self, request: &Request) -> Option<Answer> {
        self.came.push(Instant::now());
        let number = self.came.len();
        // Where a setting puts it into a body, it stands there once.
        if String::from_utf8_lossy(&request.body).matches(&self.secret).count() > 1 {
            self.wrong.push(format!("request {number} shows the secret"));
        }
        let fault = self.faults.iter().find(|(at, _)| *at == number).map(|(_, fault)| *fault);
        if fault == Some(Fault::Busy) {
            return Some(self.vendor.busy());
        }
        let answer = self.vendor.answer(request).unwrap_or_else(|wrong| {
            let at = format!("request {number}, {} {}", request.method, request.path);
            self.wrong.extend(wrong.iter().map(|wrong| format!("{at}: {wrong}")));
            Answer::text(400, &wrong.join("; "))
        });
        (fault != Some(Fault::Lost)).then_some(answer)
    }
}

async fn converse<V: Vendor>(
    mut stream: BufReader<tokio_rustls::server::TlsStream<tokio::net::TcpStream>>,
    kept: &Mutex<Kept<V>>,
) -> std::io::Result<()> {
    while let Some(request) = read(&mut stream).await? {
        let answer = kept.lock().unwrap().hear(&request);
        let Some(Answer { status, headers, body }) = answer else { return Ok(()) };
        let mut lines = vec![format!("HTTP/1.1 {status} as documented")];
        lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
        if status != 204 {
            lines.push(format!("content-length: {}", body.len()));
        }
        let head = lines.join("\r\n");
        stream.write_all(format!("{head}\r\n\r\n{body}").as_bytes()).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The next request; none when there is no further one.
async fn read(stream: &mut (impl AsyncBufRead + Unpin)) -> std::io::Result<Option<Request>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut words = lines[0].split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let header = |line: &String| {
        let (name, value) = line.split_once(':').unwrap();
        (name.to_lowercase(), value.trim().to_owned())
    };
    let mut request = Request {
        method: method.to_owned(),
        path: path.to_owned(),
        query: pairs(query),
        headers: lines[1..].iter().map(header).collect(),
        body: Vec::new(),
    };
    let length = request.header("content-length").parse().unwrap_or(0);
    request.body.resize(length, 0);
    stream.read_exact(&mut request.body).await?;
    Ok(Some(request))
}

/// What a query or a form says.
pub(super) fn pairs(text: &str) -> Vec<(String, String)> {
    let parts = text.split('&').filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (plain(name), plain(value))
        })
        .collect()
}

/// Without percent signs.
fn plain(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}
