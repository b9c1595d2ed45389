//! The daemon's side of the repository: a job every so often, and the end of the daemon when the repository is gone.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;
use tracing::{info, warn};

use crate::agent::Chain;
use crate::protocol::Reply;

/// For one answer of the repository.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// The daemon gives up when the repository has been gone for so long.
pub const GONE_LIMIT: Duration = Duration::from_secs(5);

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum RepositoryError {
    /// It cannot be reached or does not work.
    #[error("the repository does not work")]
    Database(#[from] tokio_postgres::Error),
    /// It did not answer in time.
    #[error("the repository did not answer within {ANSWER_LIMIT:?}")]
    Timeout,
    /// It has been gone for too long.
    #[error("the repository has been gone for {GONE_LIMIT:?}")]
    Gone(#[source] Box<RepositoryError>),
}

/// A request to enter a job, and where the answer goes.
#[derive(Debug)]
pub struct NewJob {
    /// The job's name.
    pub name: String,
    /// Takes [`Reply::JobCreated`], [`Reply::Conflict`] or [`Reply::Failed`].
    pub reply: oneshot::Sender<Reply>,
}

/// A connection to the repository.
#[derive(Debug)]
pub struct Repository {
    settings: String,
    host_name: String,
    client: tokio_postgres::Client,
}

impl Repository {
    /// Connects (`settings` as libpq writes them) and looks whether the repository's tables are there.
    pub async fn open(settings: &str, host_name: &str) -> Result<Self, RepositoryError> {
        let client = in_time(connect(settings)).await?;
        Ok(Self { settings: settings.to_owned(), host_name: host_name.to_owned(), client })
    }

    /// Serves requests, enters a job of its own every `every` (never if it is zero) and looks after the connection each
    /// second. Returns only when the repository has been gone for [`GONE_LIMIT`], with the last reason.
    pub async fn work(
        mut self,
        mut requests: mpsc::Receiver<NewJob>,
        every: Duration,
    ) -> RepositoryError {
        let mut pings = interval(Duration::from_secs(1));
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut jobs = interval(if every.is_zero() { Duration::from_hours(1) } else { every });
        jobs.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut seen = Instant::now();
        let mut open = true;
        loop {
            tokio::select! {
                _ = pings.tick() => match self.ping().await {
                    Ok(()) => seen = Instant::now(),
                    Err(error) if seen.elapsed() >= GONE_LIMIT => return RepositoryError::Gone(Box::new(error)),
                    Err(error) => warn!(error = %Chain(&error), "the repository does not answer"),
                },
                _ = jobs.tick(), if !every.is_zero() => match self.create_job("a job of the daemon's own").await {
                    Reply::JobCreated { id } => info!(id, "created a job"),
                    reply => warn!(?reply, "could not create a job"),
                },
                request = requests.recv(), if open => match request {
                    // Whoever asked may have stopped waiting.
                    Some(NewJob { name, reply }) => drop(reply.send(self.create_job(&name).await)),
                    None => open = false,
                },
            }
        }
    }

    async fn ping(&mut self) -> Result<(), RepositoryError> {
        if self.client.is_closed() {
            self.client = in_time(connect(&self.settings)).await?;
            info!("connected to the repository again");
        }
        in_time(self.client.simple_query("select 1")).await.map(drop)
    }

    async fn create_job(&self, name: &str) -> Reply {
        let statement = "with job as (insert into dm_job (name, created_by) values ($1, $2) returning id), \
            event as (insert into dm_job_event (job_id, what) select id, 'created' from job) select id from job";
        let parameters: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&name, &self.host_name];
        match in_time(self.client.query_one(statement, &parameters)).await {
            Ok(row) => match row.try_get(0) {
                Ok(id) => Reply::JobCreated { id },
                Err(error) => Reply::Failed { message: Chain(&error).to_string() },
            },
            Err(RepositoryError::Database(error))
                if error.code() == Some(&SqlState::UNIQUE_VIOLATION) =>
            {
                Reply::Conflict { message: Chain(&error).to_string() }
            }
            Err(error) => Reply::Failed { message: Chain(&error).to_string() },
        }
    }
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
) -> Result<T, RepositoryError> {
    Ok(timeout(ANSWER_LIMIT, work).await.map_err(|_| RepositoryError::Timeout)??)
}

async fn connect(settings: &str) -> Result<tokio_postgres::Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(settings, NoTls).await?;
    // Ends with the client or the connection; what went wrong comes out of the client's calls too.
    tokio::spawn(connection);
    client.simple_query("select 1 from dm_job limit 1").await?;
    Ok(client)
}
