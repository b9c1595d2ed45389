use std::time::Duration;

use watchkeeper::collect::{
    DataMoverRest, Http, HttpAsk, HttpSettings, HttpSettingsError, Jolokia, MAX_BODY, OpenWire,
    ProbeKind, RestSubject, Tcp, run_once,
};
use watchkeeper::secret::Secret;
use watchkeeper_core::facts::{Observation, ReasonCode, Value};
use watchkeeper_core::model::Status;

use crate::support::{Folder, Manner, Server, Stub, certificates, free_port, spec, until};

const SHORT: Duration = Duration::from_millis(400);
const LONG: Duration = Duration::from_secs(30);

async fn look(kind: ProbeKind, timeout: Duration) -> Observation {
    let mut spec = spec("wire", kind);
    spec.timeout = timeout;
    run_once(&spec).await
}

fn said(seen: &Observation) -> (Status, ReasonCode) {
    (seen.status, seen.reason.code)
}

fn settings(port: u16) -> HttpSettings {
    HttpSettings {
        url: format!("http://127.0.0.1:{port}/datamover/agents"),
        basic: None,
        headers: vec![],
        ca: None,
    }
}

fn page(port: u16) -> ProbeKind {
    let ask = HttpAsk::new(settings(port)).unwrap();
    ProbeKind::Http(Http { ask, expect_status: Vec::new(), expect_text: None })
}

fn open_wire(port: u16) -> ProbeKind {
    ProbeKind::OpenWire(OpenWire { host: "127.0.0.1".to_owned(), port })
}

#[tokio::test]
async fn a_port_accepts_or_refuses() {
    let stub = Stub::start(Manner::Silent).await;
    let tcp = |port| ProbeKind::Tcp(Tcp { host: "127.0.0.1".to_owned(), port });
    assert_eq!(look(tcp(stub.port), LONG).await.status, Status::Up);
    let refused = look(tcp(free_port()), LONG).await;
    assert_eq!(said(&refused), (Status::Down, ReasonCode::Refused));
}

#[tokio::test]
async fn only_an_open_wire_greeting_is_up() {
    let greeting = b"\0\0\0\x10\x01ActiveMQ\0\0\0\x0c\x01\0\0".to_vec();
    let split = greeting.chunks(3).map(<[u8]>::to_vec).collect();
    let broker = Stub::start(Manner::SayAndStall(split)).await;
    let up = look(open_wire(broker.port), LONG).await;
    assert_eq!(said(&up), (Status::Up, ReasonCode::Serving));
    assert_eq!(up.values.get("version"), Some(&Value::Integer(12)));

    let huge = [0xff; 4].to_vec();
    for (manner, timeout, code) in [
        (Manner::Silent, SHORT, ReasonCode::Silent),
        (Manner::SayAndStall(vec![greeting[..9].to_vec()]), SHORT, ReasonCode::Silent),
        (Manner::HangUp, LONG, ReasonCode::Reset),
        (Manner::Say(vec![greeting[..15].to_vec()]), LONG, ReasonCode::Reset),
        (Manner::Say(vec![b"SSH-2.0-OpenSSH_9.2\r\n".to_vec()]), LONG, ReasonCode::Protocol),
        (Manner::Endless(huge.clone(), huge), LONG, ReasonCode::Protocol),
    ] {
        let stub = Stub::start(manner).await;
        let seen = look(open_wire(stub.port), timeout).await;
        assert_eq!(said(&seen), (Status::Down, code), "{seen:?}");
    }
    let refused = look(open_wire(free_port()), LONG).await;
    assert_eq!(said(&refused), (Status::Down, ReasonCode::Refused));
}

#[tokio::test]
async fn a_page_is_judged_by_status_and_text() {
    let stub = Stub::http("200 OK", "all is well").await;
    let ask = HttpAsk::new(settings(stub.port)).unwrap();
    let with = |status: Option<u16>, text: Option<&str>| {
        let expect_text = text.map(str::to_owned);
        ProbeKind::Http(Http {
            ask: ask.clone(),
            expect_status: status.into_iter().collect(),
            expect_text,
        })
    };
    let seen = look(with(Some(200), Some("is well")), LONG).await;
    assert_eq!(said(&seen), (Status::Up, ReasonCode::Serving), "{seen:?}");
    assert_eq!(seen.values.get("http-status"), Some(&Value::Integer(200)));
    for kind in [with(Some(204), None), with(None, Some("is bad"))] {
        assert_eq!(said(&look(kind, LONG).await), (Status::Down, ReasonCode::Unhealthy));
    }
    for (status, expected) in [
        ("503 Service Unavailable", (Status::Down, ReasonCode::Unhealthy)),
        ("302 Found", (Status::Down, ReasonCode::Unhealthy)),
        ("401 Unauthorized", (Status::Unknown, ReasonCode::Denied)),
    ] {
        let stub = Stub::http(status, "").await;
        let seen = look(page(stub.port), LONG).await;
        assert_eq!(said(&seen), expected, "{status} {seen:?}");
    }
}

#[tokio::test]
async fn bad_http_servers_are_down_with_the_reason() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n".to_vec();
    let endless = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    for (manner, timeout, code) in [
        (Manner::Silent, Duration::from_secs(1), ReasonCode::Silent),
        (Manner::SayAndStall(vec![head.clone()]), Duration::from_secs(1), ReasonCode::Silent),
        (Manner::HangUp, LONG, ReasonCode::Reset),
        (Manner::Say(vec![head]), LONG, ReasonCode::Reset),
        (Manner::Say(vec![b"\0\0\0\x10\x01ActiveMQ".to_vec()]), LONG, ReasonCode::Protocol),
        (Manner::Endless(endless, vec![b'x'; MAX_BODY / 16]), LONG, ReasonCode::Protocol),
    ] {
        let stub = Stub::start(manner).await;
        let seen = look(page(stub.port), timeout).await;
        assert_eq!(said(&seen), (Status::Down, code), "{seen:?}");
    }
    let refused = look(page(free_port()), LONG).await;
    assert_eq!(said(&refused), (Status::Down, ReasonCode::Refused), "{refused:?}");
}

#[tokio::test]
async fn credentials_and_headers_are_sent_and_never_shown() {
    use tokio::io::AsyncReadExt;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut asked = settings(listener.local_addr().unwrap().port());
    asked.basic = Some(("dm".to_owned(), Secret::new("hunter2")));
    asked.headers = vec![("X-Token".to_owned(), Secret::new("swordfish"))];
    let ask = HttpAsk::new(asked).unwrap();
    let shown = format!("{ask:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("swordfish"), "{shown}");
    let rest = ProbeKind::DataMoverRest(DataMoverRest { ask, subject: RestSubject::Rest });
    let answer = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await.unwrap());
        }
        String::from_utf8(request).unwrap().to_ascii_lowercase()
    };
    let (request, seen) = tokio::join!(answer, look(rest, LONG));
    for part in [
        "get /datamover/agents http/1.1",
        "authorization: basic zg06ahvudgvymg==", // dm:hunter2
        "x-token: swordfish",
        "accept: application/vnd.com.teradata.datamover-v1.0+json",
    ] {
        assert!(request.contains(part), "{part} is not in {request}");
    }
    assert_eq!(said(&seen), (Status::Down, ReasonCode::Reset));
    assert!(!format!("{seen:?}").contains("swordfish"));
}

#[test]
fn settings_are_checked() {
    let error = |change: fn(&mut HttpSettings)| {
        let mut settings = settings(1);
        change(&mut settings);
        HttpAsk::new(settings).unwrap_err()
    };
    assert!(matches!(error(|s| s.url = "ftp://x/".into()), HttpSettingsError::Url { .. }));
    assert!(matches!(error(|s| s.url = "nonsense".into()), HttpSettingsError::Url { .. }));
    let inline = error(|s| s.url = "http://u:hunter2@x/".into());
    assert!(matches!(inline, HttpSettingsError::Credentials), "{inline:?}");
    let header = error(|s| s.headers = vec![("a b".into(), Secret::new("x"))]);
    assert!(matches!(header, HttpSettingsError::Header { .. }), "{header:?}");
    let ca = error(|s| s.ca = Some("/no/such/file".into()));
    assert!(matches!(ca, HttpSettingsError::Tls(_)), "{ca:?}");
}

#[tokio::test]
async fn https_is_checked_against_the_configured_authority() {
    let folder = Folder::new();
    certificates(&folder);
    let port = free_port();
    let child = std::process::Command::new("openssl")
        .args(["s_server", "-quiet", "-www", "-accept", &format!("127.0.0.1:{port}")])
        .arg("-cert")
        .arg(folder.path("server.pem"))
        .arg("-key")
        .arg(folder.path("server.key"))
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let _server = Server::from(child);
    let with = |ca: Option<&str>| {
        let mut settings = settings(port);
        settings.url = format!("https://127.0.0.1:{port}/");
        settings.ca = ca.map(|name| folder.path(name));
        let ask = HttpAsk::new(settings).unwrap();
        ProbeKind::Http(Http { ask, expect_status: Vec::new(), expect_text: None })
    };
    until("HTTPS serves", async || look(with(Some("ca.pem")), LONG).await.status == Status::Up)
        .await;
    let seen = look(with(Some("ca.pem")), LONG).await;
    let Some(Value::Integer(left)) = seen.values.get("certificate-expires-s") else {
        panic!("{seen:?}")
    };
    assert!((1..=2 * 86_400).contains(left), "{left}");
    for ca in [Some("other.pem"), None] {
        let seen = look(with(ca), LONG).await;
        assert_eq!(said(&seen), (Status::Unknown, ReasonCode::Tls), "{seen:?}");
    }
}

#[tokio::test]
async fn data_movers_rest_and_the_daemon_behind_it_are_two_things() {
    let agents = r#"[
        {"agentName": "a1", "agentHostName": "dm1", "maxConcurrentTasks": 5, "currentTaskCount": 2,
         "agentVersion": {"major": 20, "minor": 1, "maintenance": 0, "efix": 0}},
        {"agentName": "a2", "agentHostName": "dm3", "maxConcurrentTasks": 4, "currentTaskCount": 0}
    ]"#;
    let broken = r#"{"message": "Unable to communicate with DM Daemon. Is it running?"}"#;
    for (status, body, rest, daemon) in [
        ("200 OK", agents, Status::Up, Status::Up),
        ("500 Internal Server Error", broken, Status::Up, Status::Down),
        ("401 Unauthorized", "{}", Status::Unknown, Status::Unknown),
    ] {
        let stub = Stub::http(status, body).await;
        let ask = HttpAsk::new(settings(stub.port)).unwrap();
        for (subject, expected) in [(RestSubject::Rest, rest), (RestSubject::Daemon, daemon)] {
            let probe = DataMoverRest { ask: ask.clone(), subject };
            let seen = look(ProbeKind::DataMoverRest(probe), LONG).await;
            assert_eq!(seen.status, expected, "{subject:?} {seen:?}");
            if expected == Status::Up && rest == daemon {
                let value = |name: &str| seen.values.get(name).cloned();
                assert_eq!(value("agents"), Some(Value::Integer(2)));
                assert_eq!(value("max-tasks"), Some(Value::Integer(9)));
                assert_eq!(value("current-tasks"), Some(Value::Integer(2)));
            }
        }
    }
    // No REST server: proof for REST, and no more than that for the daemon.
    let ask = HttpAsk::new(settings(free_port())).unwrap();
    let daemon = DataMoverRest { ask, subject: RestSubject::Daemon };
    let seen = look(ProbeKind::DataMoverRest(daemon), LONG).await;
    assert_eq!(said(&seen), (Status::Unknown, ReasonCode::Refused));
}

#[tokio::test]
async fn a_brokers_own_opinion_counts() {
    let body = r#"[{"status": 200, "value": "Good"}, {"status": 200, "value":
        {"MemoryPercentUsage": 1, "StorePercentUsage": 2, "CurrentConnectionsCount": 3}}]"#;
    let stub = Stub::http("200 OK", body).await;
    let ask = HttpAsk::new(settings(stub.port)).unwrap();
    let probe = Jolokia { ask, broker: "localhost".to_owned() };
    let seen = look(ProbeKind::Jolokia(probe), LONG).await;
    assert_eq!(seen.status, Status::Up, "{seen:?}");
    assert_eq!(seen.values.get("connections"), Some(&Value::Integer(3)));
}
