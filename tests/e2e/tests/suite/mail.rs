//! E-mail to a real SMTP server. Without one on this machine the test says so and ends.

use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};
use watchkeeper_core::model::Service;
use watchkeeper_site::smtp::{PASSWORD, Smtp, certificate};

use crate::harness::{LONG, World, guest};

/// Waits for the `number`th e-mail.
async fn wait_mail(server: &Smtp, number: usize) -> Value {
    let begun = Instant::now();
    loop {
        match server.came(number) {
            Value::Null => assert!(begun.elapsed() < LONG, "e-mail {number} did not come"),
            came => return came,
        }
        sleep(Duration::from_millis(25)).await;
    }
}

/// People are told under TLS, after a login, that it begins and that it is over, in one conversation; the log
/// holds no password.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_e_mail_tells_that_it_begins_and_one_that_it_is_over() {
    let mut world = World::prepare().await;
    let folder = world.path("mail");
    std::fs::create_dir_all(&folder).unwrap();
    certificate(&folder, "server");
    let Some(server) = Smtp::start(&folder) else { return };
    world.put("plugins/email.wasm", &guest("email").await);
    world.put("mail-password", PASSWORD.as_bytes());
    world
        .config
        .set("secrets.mail-password.file", "mail-password")
        .set("mail.relay.host", "127.0.0.1")
        .set("mail.relay.port", i64::from(server.port))
        .set("mail.relay.ca", "mail/server.pem")
        .set("mail.relay.user", "watchkeeper")
        .set("mail.relay.password", "mail-password")
        .set("mail.relay.from", "Watchkeeper <watchkeeper@example.com>")
        .set("receivers.mail.plugin", "email")
        .set("receivers.mail.mail", "relay")
        .set("receivers.mail.recipients", vec!["*@example.com"])
        .set("receivers.mail.settings.to", vec!["Ada <ada@example.com>"]);
    world.run().await;
    world.break_service("dm3", Service::Agent).await;
    let first = wait_mail(&server, 1).await;
    world.site.allow_start("dm3", Service::Agent).unwrap();
    world.site.start_service("dm3", Service::Agent).await.unwrap();
    let last = wait_mail(&server, 2).await;
    world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;

    for came in [&first, &last] {
        assert_eq!((&came["tls"], &came["user"]), (&true.into(), &"watchkeeper".into()));
        assert_eq!(came["to"], serde_json::json!(["ada@example.com"]));
        assert_eq!(came["parts"].as_array().unwrap().len(), 2, "{came}");
        assert_eq!(came["headers"]["references"], first["headers"]["references"]);
    }
    let subject = |came: &Value| came["headers"]["subject"].as_str().unwrap().to_owned();
    let what = "prod: agent on dm3 is down";
    assert!(subject(&first).starts_with(&format!("[WARNING] {what}")), "{}", subject(&first));
    assert!(subject(&last).starts_with("[RESOLVED]"), "{}", subject(&last));
    let text = first["parts"][0]["text"].as_str().unwrap();
    assert!(text.contains("watchkeeper explain --cluster prod"), "{text}");
    assert_eq!(server.came(3), Value::Null);
    assert!(!world.log().contains(PASSWORD));
}
