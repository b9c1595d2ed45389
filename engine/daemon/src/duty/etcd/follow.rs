//! The changes in etcd, as they come.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::sleep;
use watchkeeper_core::duty::lease::{Entry, Index, News};

use super::client::Client;
use super::error::EtcdError;
use super::session::AGAIN;
use super::sights::Sharing;

/// Hands on every change of keys under `prefix`, for ever; from another member when one fails. What is
/// missed in between is found by comparing, so is what a watch that hangs does not tell.
pub(super) async fn follow(
    client: Arc<Client>,
    prefix: String,
    mut index: watch::Receiver<Option<Index>>,
    news: mpsc::Sender<News>,
    sharing: Sharing,
) {
    let mut next = u64::MAX;
    loop {
        // In an etcd that was set up anew, revisions begin anew.
        let Ok(from) = index.wait_for(Option::is_some).await.map(|index| {
            next.min(index.as_ref().map_or(0, |index| index.revision).saturating_add(1))
        }) else {
            return;
        };
        match listen(&client, &prefix, from, &mut next, &news, &sharing).await {
            Ok(Ended::Closed) => return,
            Ok(Ended::Canceled) => next = u64::MAX,
            Err(error) => {
                tracing::debug!(%error, "the watch in etcd has ended; begun anew");
                client.turn_away();
            }
        }
        sleep(AGAIN).await;
    }
}

/// Why nothing more comes.
enum Ended {
    /// Nobody listens.
    Closed,
    /// Etcd says so, for example because it has forgotten what was to come.
    Canceled,
}

async fn listen(
    client: &Client,
    prefix: &str,
    from: u64,
    next: &mut u64,
    news: &mpsc::Sender<News>,
    sharing: &Sharing,
) -> Result<Ended, EtcdError> {
    let mut stream = client.watch(prefix, from).await?;
    loop {
        let result = stream.next().await?;
        if result.canceled || result.compact_revision > 0 {
            let why = &result.cancel_reason;
            tracing::debug!(why, compacted = result.compact_revision, "the watch was canceled");
            return Ok(Ended::Canceled);
        }
        for one in result.into_news() {
            let (News::Put(Entry { revision, .. }) | News::Deleted { revision, .. }) = &one;
            *next = revision.saturating_add(1);
            // What others see of servers decides nothing about the duty.
            if matches!(&one, News::Put(entry) if sharing.hear(entry)) {
                continue;
            }
            if news.send(one).await.is_err() {
                return Ok(Ended::Closed);
            }
        }
    }
}
