//! E-mail, to a real SMTP server with STARTTLS and a login where Debian's python3-aiosmtpd is there (else a test that
//! needs it passes after printing `SKIPPED`), and to servers on loopback that misbehave.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _};
use watchkeeper::config::mail::{MailGrant, MailServer, MailTls};
use watchkeeper::deliver::{Notify, ReceiverConfig};
use watchkeeper::secret::Secret;
use watchkeeper_core::state::State;
use watchkeeper_site::smtp::{Smtp, certificate};
use watchkeeper_wasm::notifier::{
    self as guest, Attachment, MailRequest, Next, Request, Response, Retry, Send,
};

use crate::support::{Folder, SECRET, Site, dead, fired, http, receiver};

/// Sends the e-mail, and judges by the reply.
struct Writer(MailRequest);

impl Notify for Writer {
    fn identity(&self) -> String {
        format!("{:?}", self.0)
    }

    fn start(&self, _: &guest::Notification) -> Result<Next, String> {
        Ok(Next::Send(Send { request: Request::Mail(self.0.clone()), state: vec![] }))
    }

    fn resume(&self, _: &[u8], response: &Response) -> Result<Next, String> {
        let Response::Mail(reply) = response else { return Err(format!("{response:?}")) };
        let reason = format!("{} {}", reply.code, reply.text);
        Ok(match reply.code {
            250 => Next::Delivered(Vec::new()),
            500.. => Next::Refused(reason),
            _ => Next::Retry(Retry { after: None, reason }),
        })
    }
}

fn request(to: &[&str]) -> MailRequest {
    MailRequest {
        to: to.iter().map(|&to| to.to_owned()).collect(),
        subject: "[CRITICAL] prod: Köln ist weg".to_owned(),
        text: "Zürich übernimmt.\n.\nEine Zeile mit Punkt.\n".to_owned(),
        html: Some("<p>Zürich übernimmt.</p>\n".to_owned()),
        attachments: vec![Attachment {
            name: "story.txt".to_owned(),
            content_type: "text/plain; charset=utf-8".to_owned(),
            content: "was geschah: ü\n".into(),
        }],
        thread: "aa1d0c9a2b3e4f60".to_owned(),
    }
}

fn mail(name: &str, port: u16, folder: &Folder, request: MailRequest) -> ReceiverConfig {
    let mut config = receiver(name, http(([127, 0, 0, 1], 1).into()), "nowhere.example.com");
    config.notifier = Arc::new(Writer(request));
    config.timeout = Duration::from_secs(10);
    config.mail = Some(MailGrant {
        server: MailServer {
            host: "127.0.0.1".to_owned(),
            port,
            tls: MailTls::StartTls,
            ca: Some(folder.0.join("server.pem")),
            login: Some(("watchkeeper".to_owned(), Secret::new(SECRET))),
            from: "Watchkeeper <watchkeeper@example.com>".parse().unwrap(),
            hello: Some("vp1.example.com".to_owned()),
        },
        recipients: vec!["*@example.com".parse().unwrap()],
    });
    config
}

fn server_of(config: &mut ReceiverConfig) -> &mut MailServer {
    &mut config.mail.as_mut().unwrap().server
}

/// The server, with its certificate and another one. None: there is no such server on this machine.
fn start() -> Option<(Smtp, Folder)> {
    let folder = Folder::new();
    certificate(&folder.0, "server");
    certificate(&folder.0, "other");
    Some((Smtp::start(&folder.0)?, folder))
}

fn settled(state: &State) -> bool {
    state.post.outbox.next_id() > 0 && state.post.outbox.entries().all(|entry| entry.dead)
}

/// As a dead letter's problem says it where nothing is tried again.
fn given_up(reason: &str) -> String {
    format!("given up after 1 attempts; the last: {reason}")
}

/// Tells one alert and gives the dead letters that came of it.
async fn told(config: ReceiverConfig) -> Vec<String> {
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(settled).await;
    dead(&site.state)
}

#[tokio::test]
async fn an_e_mail_arrives_whole_under_tls_after_a_login() {
    let Some((server, folder)) = start() else { return };
    let to = ["Ada <ada@example.com>", "bob@example.com"];
    let dead = told(mail("ops", server.port, &folder, request(&to))).await;
    assert!(dead.is_empty(), "{dead:?}");
    let came = server.came(1);
    assert_eq!(came["tls"], true);
    assert_eq!(came["user"], "watchkeeper");
    assert_eq!(came["hello"], "vp1.example.com");
    assert_eq!(came["from"], "watchkeeper@example.com");
    assert_eq!(came["to"], serde_json::json!(["ada@example.com", "bob@example.com"]));
    let header = |name: &str| came["headers"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(header("from"), "Watchkeeper <watchkeeper@example.com>");
    assert_eq!(header("to"), "Ada <ada@example.com>, bob@example.com");
    assert_eq!(header("subject"), "[CRITICAL] prod: Köln ist weg");
    assert_eq!(header("references"), "<thread-aa1d0c9a2b3e4f60@example.com>");
    assert_eq!(header("in-reply-to"), header("references"));
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert!(header("message-id").ends_with("@example.com>"), "{came}");
    assert!(!header("date").is_empty(), "{came}");
    let part = |kind: &str, name: Value, text: &str| serde_json::json!({ "type": kind, "name": name, "text": text });
    let parts = serde_json::json!([
        part("text/plain", Value::Null, "Zürich übernimmt.\n.\nEine Zeile mit Punkt.\n"),
        part("text/html", Value::Null, "<p>Zürich übernimmt.</p>\n"),
        part("text/plain", "story.txt".into(), "was geschah: ü\n"),
    ]);
    assert_eq!(came["parts"], parts);
    assert_eq!(server.came(2), Value::Null);
}

#[tokio::test]
async fn a_server_with_tls_from_the_first_byte_gets_it_too() {
    let Some((server, folder)) = start() else { return };
    let plain = MailRequest { html: None, attachments: vec![], ..request(&["ada@example.com"]) };
    let mut config = mail("ops", server.whole, &folder, plain);
    server_of(&mut config).tls = MailTls::Whole;
    let dead = told(config).await;
    assert!(dead.is_empty(), "{dead:?}");
    let came = server.came(1);
    assert_eq!((&came["tls"], &came["user"]), (&true.into(), &"watchkeeper".into()));
    assert_eq!(came["parts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_the_server_does_not_take_now_comes_again_with_the_same_message_id() {
    let Some((server, folder)) = start() else { return };
    let request = request(&["later@example.com"]);
    let dead = told(mail("ops", server.port, &folder, request)).await;
    assert!(dead.is_empty(), "{dead:?}");
    let id = |number| server.came(number)["headers"]["message-id"].clone();
    assert!(id(1).is_string(), "{}", server.came(1));
    assert_eq!(id(1), id(2));
    assert_eq!(server.came(3), Value::Null);
}

#[tokio::test]
async fn one_refused_recipient_keeps_the_e_mail_from_nobody_else() {
    let Some((server, folder)) = start() else { return };
    let to = ["never@example.com", "full@example.com", "ada@example.com"];
    let dead = told(mail("ops", server.port, &folder, request(&to))).await;
    assert!(dead.is_empty(), "{dead:?}");
    assert_eq!(server.came(1)["to"], serde_json::json!(["ada@example.com"]));
}

#[tokio::test]
async fn what_the_server_never_takes_is_a_dead_letter_with_its_words() {
    let Some((server, folder)) = start() else { return };
    let request = request(&["never@example.com"]);
    let dead = told(mail("ops", server.port, &folder, request)).await;
    assert_eq!(dead, ["550 5.1.1 nobody of that name"]);
    assert_eq!(server.came(1), Value::Null);
}

#[tokio::test]
async fn a_wrong_password_is_said_clearly_and_not_shown() {
    let Some((server, folder)) = start() else { return };
    let mut config = mail("ops", server.port, &folder, request(&["ada@example.com"]));
    server_of(&mut config).login = Some(("wk".to_owned(), Secret::new("pa55word")));
    config.give_up_after = Duration::ZERO;
    let expected = format!(
        "the mail server 127.0.0.1:{} does not accept the login of \"wk\": 535 5.7.8 it is not <secret>",
        server.port
    );
    assert_eq!(told(config).await, [given_up(&expected)]);
    assert_eq!(server.came(1), Value::Null);
}

#[tokio::test]
async fn a_server_with_another_certificate_gets_nothing() {
    let Some((server, folder)) = start() else { return };
    let mut config = mail("ops", server.port, &folder, request(&["ada@example.com"]));
    server_of(&mut config).ca = Some(folder.0.join("other.pem"));
    config.give_up_after = Duration::ZERO;
    let dead = told(config).await;
    assert!(dead.len() == 1 && dead[0].contains("certificate"), "{dead:?}");
    assert_eq!(server.came(1), Value::Null);
}

#[tokio::test]
async fn nobody_is_written_to_who_is_not_granted_and_only_by_a_granted_server() {
    let folder = Folder::new();
    certificate(&folder.0, "server");
    let to = ["ada@example.com", "eve@example.org"];
    let dead = told(mail("ops", 1, &folder, request(&to))).await;
    assert_eq!(dead, ["\"eve@example.org\" is not among the `recipients` of this receiver"]);
    let mut config = mail("ops", 1, &folder, request(&["ada@example.com"]));
    config.mail = None;
    assert_eq!(told(config).await, ["no mail server is granted to this receiver: `mail`"]);
    let dead = told(mail("ops", 1, &folder, request(&["{{secret \"token\"}}@example.com"]))).await;
    assert!(dead.len() == 1 && dead[0].ends_with("is no address"), "{dead:?}");
    assert!(!dead[0].contains("hunter2"), "{dead:?}");
}

/// Says each of `lines` when the one before has been answered; the first at once.
async fn scripted(lines: &'static [&'static str]) -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = tokio::io::BufReader::new(stream);
            for line in lines {
                let mut heard = String::new();
                if stream.write_all(line.as_bytes()).await.is_err()
                    || stream.read_line(&mut heard).await.is_err()
                {
                    break;
                }
            }
        }
    });
    port
}

#[tokio::test]
async fn without_starttls_or_with_words_in_between_neither_login_nor_e_mail_are_sent() {
    let folder = Folder::new();
    certificate(&folder.0, "server");
    let offers: &[&str] =
        &["220 mx\r\n", "250-mx\r\n250 STARTTLS\r\n", "220 go\r\n250-mx\r\n250 OK\r\n"];
    for (lines, reason) in [
        (&["220 mx\r\n", "250-mx\r\n250 AUTH PLAIN\r\n"] as &[&str], "offers no STARTTLS"),
        (offers, "something was said in between"),
        (&["554 go away\r\n"], "does not begin: 554 go away"),
        (&["hello\r\n"], "does not speak SMTP"),
    ] {
        let port = scripted(lines).await;
        let mut config = mail("ops", port, &folder, request(&["ada@example.com"]));
        config.give_up_after = Duration::ZERO;
        let dead = told(config).await;
        assert!(dead.len() == 1 && dead[0].contains(reason), "{reason}: {dead:?}");
    }
}

#[tokio::test]
async fn a_server_that_stalls_holds_an_attempt_no_longer_than_its_timeout() {
    let folder = Folder::new();
    certificate(&folder.0, "server");
    let port = scripted(&[""]).await;
    let mut config = mail("ops", port, &folder, request(&["ada@example.com"]));
    config.timeout = Duration::from_millis(200);
    config.give_up_after = Duration::ZERO;
    assert_eq!(told(config).await, [given_up("not done within 200ms")]);
}
