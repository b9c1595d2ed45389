//! Alerts reach their receivers, whatever the receivers do.

use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use watchkeeper::deliver::{CommandGrant, Secrets, alert_events};
use watchkeeper::journal::Journal;
use watchkeeper_core::alerting::{Alert, Changes};
use watchkeeper_wasm::notifier::{CommandRequest, Request};

use crate::support::{Calls, DOING, Folder, Site, dead, fired, http, now, prod, receiver, server};

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
    site.until(|state| {
        !state.post.outbox.entries().any(|entry| entry.receiver.as_str() == "works")
    })
    .await;
    let over = Alert { ends_at: Some(now()), ..changes.fired[0].clone() };
    site.tell(&Changes { fired: vec![], resolved: vec![over] }).await;
    site.until(|state| {
        state.post.outbox.next_id() == 4 && state.post.outbox.entries().count() == 0
    })
    .await;
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
    config.give_up_after = Duration::from_secs(5);
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| !dead(state).is_empty()).await;
    let entry = site.state.post.outbox.entries().next().unwrap().clone();
    assert!(entry.tries >= 3, "{entry:?}");
    let problem = entry.problem.unwrap();
    assert!(problem.starts_with("given up after"), "{problem}");
    assert!(!problem.contains("hunter2"), "{problem}");
}

#[tokio::test]
async fn a_restart_delivers_what_was_queued_and_repeats_nothing() {
    let (address, calls) = server(vec![]).await;
    let configs = || vec![receiver("a", http(address), &format!("http://{address}"))];
    // Raised by a daemon that died before it could tell anybody.
    let folder = Folder::new();
    let path = folder.0.join("journal.db");
    let (journal, _) = Journal::open(&path, &"vp1".parse().unwrap(), now()).unwrap();
    let events = alert_events(prod().as_ref(), &fired("down"), DOING);
    journal.append(now(), events).await.unwrap();
    journal.close().await;
    drop(journal);

    let mut site = Site::on(folder, configs()).await;
    site.until(|state| state.post.outbox.entries().count() == 0).await;
    let folder = site.crash().await;
    let mut site = Site::on(folder, configs()).await;
    site.tell(&fired("other")).await;
    site.until(|state| {
        state.post.outbox.next_id() == 2 && state.post.outbox.entries().count() == 0
    })
    .await;
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
    let script = "cat > \"$0\" && test \"$1\" = 'a b; exit 3'".to_owned();
    let out = folder.0.join("out");
    let arguments = vec!["-c".to_owned(), script, out.to_str().unwrap().to_owned()];
    let grant = CommandGrant { program: "/bin/sh".into(), arguments };
    config.commands.insert("note".to_owned(), grant);
    let mut site = Site::new(vec![config]).await;
    site.tell(&fired("down")).await;
    site.until(|state| {
        state.post.outbox.next_id() == 1 && state.post.outbox.entries().count() == 0
    })
    .await;
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "input");

    // Its command fails now, and then it is configured no more.
    std::fs::remove_file(&out).unwrap();
    std::fs::create_dir(&out).unwrap();
    site.tell(&fired("other")).await;
    site.until(|state| state.post.outbox.entries().any(|entry| entry.tries > 0)).await;
    site.swap.send(Arc::default()).unwrap();
    site.until(|state| !dead(state).is_empty()).await;
    assert_eq!(dead(&site.state), ["there is no receiver a any more"]);
}
