//! The duty as leases in etcd.
//!
//! What is asked of etcd, and what is made of its answers, is [`watchkeeper_core::duty::lease`]; here it
//! is done, and recorded.
//!
//! | part | what it does |
//! |---|---|
//! | [`wire`], [`client`], [`error`] | etcd's JSON gateway |
//! | [`session`] | the lease, and how long it is certain |
//! | [`follow`] | what changes in etcd |
//! | [`desk`] | confirms what is held before each step, and shares the state |
//! | [`clerk`], [`orders`] | takes the duty, keeps it, gives it away, and records that |
//! | [`sights`] | what each monitor sees of the servers |
//! | [`publish`] | what the clusters' tasks go by: never longer than the lease is certain |
//!
//! Invariants:
//! - The grant is in the journal before anything goes by it.
//! - At the moment at which the lease is certain no more, nothing is held any more. That moment is on
//!   this machine's monotonic clock; no wall clock is asked for anything.

mod clerk;
mod client;
mod desk;
mod entrances;
mod error;
mod follow;
mod orders;
mod publish;
mod session;
mod sights;
mod wire;

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use watchkeeper_core::duty::lease::board::Board;
use watchkeeper_core::duty::lease::keys::{Identity, Keys};

pub(crate) use entrances::answered;
pub use error::SetupError;

use self::clerk::Clerk;
use self::client::Client;
use self::desk::Desk;
use self::publish::{Assumed, Publisher};
use self::session::{Session, SessionTask};
use super::{Fence, Office};
use crate::config::duty::EtcdConfig;
use crate::errors::chain;

/// How much news may wait to be taken in.
const NEWS: usize = 256;

/// Whether certificates and keys are there and fit, and if `connect`, whether etcd answers and lets
/// this monitor read its keys. The error is for people.
pub async fn check(config: &EtcdConfig, connect: bool) -> Result<(), String> {
    let client = Client::new(config).map_err(|error| chain(&error))?;
    if connect {
        let read = client.index(&Keys::new(&config.prefix).all()).await;
        read.map_err(|error| format!("the duty cannot be shared through etcd: {}", chain(&error)))?;
    }
    Ok(())
}

pub(super) fn start(
    config: &EtcdConfig,
    office: Office,
) -> Result<(JoinHandle<()>, Arc<dyn Fence>), SetupError> {
    let client = Arc::new(Client::new(config)?);
    let keys = Keys::new(&config.prefix);
    let journal = office.ledger.journal().id().to_owned();
    let me = Identity { monitor: office.monitor.clone(), journal };
    let session = watch::Sender::new(Session::none(config.lease));
    let index = watch::Sender::new(None);
    let assumed = watch::Sender::new(Assumed::default());
    let unable = watch::Sender::default();
    let (news, heard) = mpsc::channel(NEWS);
    let (desk, lost) = Desk::new(
        Arc::clone(&client),
        keys.clone(),
        me.clone(),
        Arc::clone(&office.ledger),
        session.subscribe(),
    );
    let desk = Arc::new(desk);
    let fence: Arc<dyn Fence> = Arc::clone(&desk) as Arc<dyn Fence>;
    let publisher = Publisher {
        monitor: office.monitor.clone(),
        lease: config.lease,
        session: session.subscribe(),
        assumed: assumed.subscribe(),
        views: office.views.clone(),
    };
    let clerk = Clerk {
        client: Arc::clone(&client),
        board: Board::new(keys.clone()),
        keys: keys.clone(),
        me: me.clone(),
        desk: Arc::clone(&desk),
        session: session.subscribe(),
        index: index.subscribe(),
        news: heard,
        lost,
        refused: desk.refused(),
        assumed,
        unable: unable.clone(),
        tenures: std::collections::BTreeMap::new(),
        lease: None,
        begun: Instant::now(),
        last_given: None,
        asked: Vec::new(),
        office,
    };
    let lease = SessionTask {
        client: Arc::clone(&client),
        keys: keys.clone(),
        me,
        lease: config.lease,
        clusters: clerk.office.clusters.clone(),
        unable: unable.subscribe(),
        session,
        index: index.clone(),
    };
    let sharing = sights::Sharing {
        keys: keys.clone(),
        me: clerk.office.monitor.clone(),
        sights: clerk.office.sights.clone(),
    };
    let telling = sharing.clone().tell(Arc::clone(&client), clerk.session.clone());
    let task = async move {
        // They end with this one.
        let mut others = JoinSet::new();
        others.spawn(telling);
        others.spawn(publisher.run());
        others.spawn(lease.run());
        others.spawn(follow::follow(client, keys.all(), index.subscribe(), news, sharing));
        others.spawn(desk.herald());
        clerk.run().await;
    };
    Ok((tokio::spawn(task), fence))
}
