//! REST over a real socket, with a daemon played by the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use watchkeeper_standin::link::Daemon;
use watchkeeper_standin::protocol::{Agent, Reply, Request, Version};
use watchkeeper_standin::rest::{Credentials, MEDIA_TYPE, router};

/// How the test's daemon behaves.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Knows one agent and numbers the first job 7; a second job collides.
    Works,
    /// There is no link to it.
    Unreachable,
    /// Takes questions and never answers.
    Hangs,
}

/// Serves REST before such a daemon; returns its address.
async fn serve(behaviour: Behaviour, credentials: Option<Credentials>) -> String {
    let (daemon, mut asked) = Daemon::new(Duration::from_millis(200));
    tokio::spawn(async move {
        let mut jobs = 0;
        let mut kept = Vec::new();
        while let Some(question) = asked.recv().await {
            let reply = match (behaviour, &question.request) {
                (Behaviour::Unreachable, _) => continue,
                (Behaviour::Hangs, _) => {
                    kept.push(question);
                    continue;
                }
                (Behaviour::Works, Request::ListAgents) => Reply::Agents { agents: vec![agent()] },
                (Behaviour::Works, Request::CreateJob { .. }) => {
                    jobs += 1;
                    if jobs == 1 {
                        Reply::JobCreated { id: 7 }
                    } else {
                        Reply::Conflict { message: "duplicate key".to_owned() }
                    }
                }
            };
            question.reply.send(reply).unwrap();
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move { axum::serve(listener, router(daemon, credentials)).await });
    address
}

fn agent() -> Agent {
    Agent {
        agent_name: "agent-dm1".to_owned(),
        agent_host_name: "dm1".to_owned(),
        agent_version: Version { major: 20, minor: 1, maintenance: 0, efix: 0 },
        max_concurrent_tasks: 5,
        current_task_count: 0,
    }
}

/// One call: its status and its body.
async fn call(address: &str, line: &str, headers: &[&str], body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let headers: String = headers.iter().flat_map(|header| [*header, "\r\n"]).collect();
    let length = body.len();
    let text = format!(
        "{line} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).expect(&answer))
}

fn accept() -> String {
    format!("Accept: {MEDIA_TYPE}")
}

#[tokio::test]
async fn a_working_daemon_gives_the_list_of_agents() {
    let address = serve(Behaviour::Works, None).await;
    let (status, body) = call(&address, "GET /datamover/agents", &[&accept()], "").await;
    assert_eq!(status, 200);
    assert_eq!(body, json!([agent()]));
}

#[tokio::test]
async fn a_daemon_out_of_reach_is_a_500_with_its_message() {
    for behaviour in [Behaviour::Unreachable, Behaviour::Hangs] {
        let address = serve(behaviour, None).await;
        for (line, body) in
            [("GET /datamover/agents", ""), ("POST /datamover/jobs", r#"{"name":"a"}"#)]
        {
            let (status, body) = call(&address, line, &[&accept()], body).await;
            assert_eq!(status, 500, "{line}");
            let message = body["message"].as_str().unwrap();
            assert!(message.starts_with("Unable to communicate with DM Daemon."), "{message}");
        }
    }
}

#[tokio::test]
async fn a_call_without_the_accept_header_is_refused() {
    let address = serve(Behaviour::Works, None).await;
    let cases: [&[&str]; 3] = [&[], &["Accept: application/json"], &["Accept: */*"]];
    for headers in cases {
        let (status, body) = call(&address, "GET /datamover/agents", headers, "").await;
        assert_eq!(status, 400, "{headers:?}");
        assert!(body["message"].as_str().unwrap().contains(MEDIA_TYPE));
    }
    let among_others = format!("Accept: text/html, {MEDIA_TYPE};q=0.5");
    assert_eq!(call(&address, "GET /datamover/agents", &[&among_others], "").await.0, 200);
}

#[tokio::test]
async fn credentials_are_asked_for_before_anything_else() {
    let address = serve(Behaviour::Unreachable, Some(Credentials::new("dmapi", "secret"))).await;
    // "dmapi:wrong", "dmapi:secret" of another scheme, nothing: all before the missing Accept header is looked at.
    for headers in [
        &["Authorization: Basic ZG1hcGk6d3Jvbmc="][..],
        &["Authorization: Bearer ZG1hcGk6c2VjcmV0"],
        &[],
    ] {
        let (status, body) = call(&address, "GET /datamover/agents", headers, "").await;
        assert_eq!(status, 401, "{headers:?}");
        assert!(body["message"].is_string());
    }
    let right = ["Authorization: Basic ZG1hcGk6c2VjcmV0", &accept()];
    assert_eq!(call(&address, "GET /datamover/agents", &right, "").await.0, 500);
}

#[tokio::test]
async fn a_job_is_created_once_and_a_collision_is_told_apart() {
    let address = serve(Behaviour::Works, None).await;
    let create = async || {
        call(&address, "POST /datamover/jobs", &[&accept()], r#"{"name":"nightly"}"#).await
    };
    assert_eq!(create().await, (201, json!({"jobId": 7})));
    assert_eq!(create().await, (409, json!({"message": "duplicate key"})));
    let (status, body) = call(&address, "POST /datamover/jobs", &[&accept()], "{").await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().starts_with("Not a job"));
}

#[tokio::test]
async fn what_is_not_there_is_a_404_with_a_message() {
    let address = serve(Behaviour::Works, None).await;
    for line in ["GET /", "GET /datamover/nothing", "DELETE /datamover/agents"] {
        let (status, body) = call(&address, line, &[&accept()], "").await;
        assert_eq!(status, 404, "{line}");
        assert!(body["message"].is_string());
    }
}
