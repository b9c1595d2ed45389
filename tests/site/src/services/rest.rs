//! Data Mover's REST interface, as far as monitors use it: the list of agents.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use watchkeeper_core::model::Service;

use crate::base64;
use crate::world::World;

/// The media type that every call has to accept.
const MEDIA_TYPE: &str = "application/vnd.com.teradata.datamover-v1.0+json";

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connections whose handshake is done. One that never finishes its handshake holds up no other.
struct Accepted {
    streams: mpsc::Receiver<(Box<dyn Stream>, String)>,
    address: SocketAddr,
}

impl axum::serve::Listener for Accepted {
    type Io = Box<dyn Stream>;
    type Addr = String;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        match self.streams.recv().await {
            Some(stream) => stream,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        Ok(self.address.to_string())
    }
}

/// Serves until it is ended from outside; connections end with their wires.
pub(crate) async fn serve(world: Arc<World>, server: usize, listener: Arc<TcpListener>) -> String {
    let (sender, streams) = mpsc::channel(64);
    let address = match listener.local_addr() {
        Ok(address) => address,
        Err(error) => return error.to_string(),
    };
    let accepting = Arc::clone(&world);
    let accept = async move {
        loop {
            let wire = accepting.network.accept(server, &listener).await;
            let (sender, tls, peer) = (sender.clone(), accepting.tls.clone(), wire.peer());
            tokio::spawn(async move {
                let stream: Box<dyn Stream> = match tls {
                    None => Box::new(wire),
                    Some(tls) => match TlsAcceptor::from(tls).accept(wire).await {
                        Ok(stream) => Box::new(stream),
                        Err(error) => return tracing::debug!(%error, "no TLS session"),
                    },
                };
                let _ = sender.send((stream, peer)).await;
            });
        }
    };
    let routes = Router::new().fallback(move |method, uri, headers: HeaderMap| {
        let world = Arc::clone(&world);
        async move { answer(&world, server, &method, &uri, &headers) }
    });
    tokio::select! {
        never = accept => never,
        ended = axum::serve(Accepted { streams, address }, routes) => format!("{ended:?}"),
    }
}

fn answer(
    world: &World,
    server: usize,
    method: &axum::http::Method,
    uri: &axum::http::Uri,
    headers: &HeaderMap,
) -> Response {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some((user, password)) = &world.config.rest_login {
        let wanted = format!("Basic {}", base64::encode(format!("{user}:{password}").as_bytes()));
        if header(header::AUTHORIZATION) != Some(wanted.as_str()) {
            return message(StatusCode::UNAUTHORIZED, "The credentials are missing or wrong.");
        }
    }
    if !header(header::ACCEPT).is_some_and(|accept| accept.contains(MEDIA_TYPE)) {
        return message(StatusCode::BAD_REQUEST, "The Accept header names no known version.");
    }
    if uri.path() != "/datamover/agents" || method != axum::http::Method::GET {
        return message(StatusCode::NOT_FOUND, "There is no such resource.");
    }
    let works = |service| world.is_ready(server, service);
    if ![Service::Daemon, Service::Activemq, Service::Repository].into_iter().all(works) {
        let dead = "Unable to communicate with DM Daemon. It does not answer the stand-in.";
        return message(StatusCode::INTERNAL_SERVER_ERROR, dead);
    }
    let agents: Vec<_> = world
        .agents(server)
        .into_iter()
        .map(|agent| {
            json!({
                "agentName": format!("Agent_{}", world.name(agent)),
                "agentHostName": world.name(agent).as_str(),
                "agentVersion": {"major": 20, "minor": 3, "maintenance": 0, "efix": 0},
                "maxConcurrentTasks": 5,
                "currentTaskCount": 0,
            })
        })
        .collect();
    reply(StatusCode::OK, &json!(agents))
}

fn message(status: StatusCode, text: &str) -> Response {
    reply(status, &json!({ "message": text }))
}

fn reply(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response()
}
