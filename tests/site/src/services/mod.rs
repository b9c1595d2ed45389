//! What each service does while its process lives.

mod activemq;
mod repository;
mod rest;
mod statements;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use watchkeeper_core::model::Service;

use crate::wire::Wire;
use crate::world::World;

/// How often an agent tells its broker that it lives.
const HEARTBEAT: Duration = Duration::from_millis(50);

/// How long an agent waits for a broker's greeting, and for its answer to a heartbeat.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_millis(300);

/// Runs a service until it dies by itself; says why it did.
pub(crate) async fn run(world: &Arc<World>, server: usize, service: Service) -> String {
    let Some(port) = world.port(service) else {
        world.ready(server, service);
        return match service {
            Service::Agent => agent(world, server).await,
            _ => std::future::pending().await,
        };
    };
    let listener = match world.network.listen(server, port).await {
        Ok(listener) => listener,
        Err(error) => return error.to_string(),
    };
    world.ready(server, service);
    match service {
        Service::Rest => rest::serve(Arc::clone(world), server, listener).await,
        _ => loop {
            let wire = world.network.accept(server, &listener).await;
            let world = Arc::clone(world);
            // Not tied to the listener's task: what a dead server held has to stay open, unanswered.
            // It ends with its wire.
            tokio::spawn(async move {
                let ended = match service {
                    Service::Activemq => activemq::serve(&world, server, wire).await,
                    _ => repository::serve(&world, server, wire).await,
                };
                if let Err(error) = ended {
                    tracing::debug!(%service, %error, "a connection ended");
                }
            });
        },
    }
}

/// An agent: holds a connection to the broker of whichever side has one, and looks for another when
/// it is lost.
async fn agent(world: &Arc<World>, server: usize) -> ! {
    loop {
        if let Some(mut broker) = find_broker(world, server).await {
            // A dead broker's socket takes what is written: only an answer shows that it lives.
            let answered = async |broker: &mut Wire| {
                let beat = activemq::heartbeat(broker, server);
                matches!(tokio::time::timeout(BROKER_ANSWERS_WITHIN, beat).await, Ok(Ok(())))
            };
            while answered(&mut broker).await {
                tokio::time::sleep(HEARTBEAT).await;
            }
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

/// Connects to the first broker that greets. Both sides are tried at once, because a dead one does
/// not refuse.
pub(crate) async fn find_broker(world: &World, server: usize) -> Option<Wire> {
    let mut attempts = JoinSet::new();
    for side in world.sides() {
        let network = Arc::clone(&world.network);
        let target = SocketAddr::from((network.address(side), world.config.ports.activemq));
        attempts.spawn(tokio::time::timeout(BROKER_ANSWERS_WITHIN, async move {
            let mut wire = network.connect(server, target).await?;
            activemq::read_greeting(&mut wire).await?;
            Ok::<_, std::io::Error>(wire)
        }));
    }
    while let Some(attempt) = attempts.join_next().await {
        if let Ok(Ok(Ok(wire))) = attempt {
            return Some(wire);
        }
    }
    None
}
