//! Holds a failover that would lose what the standby has not got: while the active side is past repair and
//! the standby's repository is too far behind, or did not replicate, a person decides what to give up.
//!
//! A hold stops rescues as well, so it is there only where data-mover-ha would no longer rescue: see
//! [`trouble`]. It remembers nothing: what was measured last stays in the snapshot when its probe fails.

mod replication;
mod trouble;

use std::time::Duration;

use watchkeeper_sdk::policy::{
    Alert, Evaluation, Grants, Phase, Place, Policy, Service, Side, Snapshot,
};

/// 64 MiB, where data-mover-ha begins to tell of a lag.
const LIMIT_BYTES: i64 = 64 * 1024 * 1024;

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// Which lags count: sending, receiving, write and replay in bytes, replay-time as a time.
        lags: Vec<String> = &["replay", "replay-time"];
        /// From how many bytes on a lag holds a failover.
        limit_bytes: i64 = LIMIT_BYTES, 0..=i64::MAX;
        /// From how long on the lag replay-time holds a failover.
        limit_time: Duration = Duration::from_mins(1), Duration::from_secs(1)..=Duration::from_hours(24);
        /// The services whose failure leads to a failover, as set for data-mover-ha.
        failover_services: Vec<String> = &["repository", "activemq", "daemon", "rest", "agent"];
        /// How often a service is started again before a failover, as set for data-mover-ha.
        rescue_attempts: u32 = 2, 0..=10;
        /// Within which time those attempts count, as set for data-mover-ha.
        rescue_window: Duration = Duration::from_mins(15), Duration::from_mins(1)..=Duration::from_hours(24);
        /// The code of the alert when replication is not configured.
        code_broken: String = "4604001";
        /// The code of the alert when the standby is behind.
        code_behind: String = "4604002";
        /// The code of the alert when the standby did not replicate.
        code_standby: String = "4604003";
    }
}

/// The policy.
#[derive(Debug)]
pub struct ReplicationGuard;

impl Policy for ReplicationGuard {
    type Settings = Settings;
    const NAME: &'static str = "replication-guard";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Holds a failover that would lose what the standby has not got.";
    const NEEDS: Grants = Grants::HOLD.union(Grants::ALERT);

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        _state: &[u8],
    ) -> Result<Evaluation, String> {
        check(settings)?;
        let mut evaluation = Evaluation::new();
        let cluster = snapshot.cluster();
        // Nothing is synchronised from the secondary, so there is nothing to be behind.
        if cluster.phase != Phase::Active || cluster.active == Side::Secondary {
            return Ok(evaluation);
        }
        let Some(trouble) = trouble::of(snapshot, settings, cluster.active_since) else {
            return Ok(evaluation);
        };
        if let Some(free_again) = trouble.free_again {
            evaluation.look_again(free_again);
        }
        let (Some(active), standby) =
            (snapshot.server_at(Place::Active), snapshot.server_at(Place::Standby))
        else {
            return Ok(evaluation);
        };
        let standby = standby.map(|server| server.name);
        match replication::loss(snapshot, settings, &active.name, standby.as_deref()) {
            Some(loss) => {
                let why = format!("{}; a failover now would lose {}", trouble.why, loss.what);
                let summary = format!("failover is held: {why}");
                let alert = Alert::critical("failover-would-lose-data").on_server(&active.name);
                evaluation.alert(alert.code(loss.code).summary(summary));
                evaluation.hold(why);
            }
            None => {
                evaluation.note("nothing that was measured speaks against a failover");
            }
        }
        Ok(evaluation)
    }
}

/// A name that means nothing would guard nothing, unseen.
fn check(settings: &Settings) -> Result<(), String> {
    for lag in &settings.lags {
        if !replication::is_lag(lag) {
            return Err(format!(
                "lags: there is no lag {lag:?}; there are sending, receiving, write, replay and replay-time"
            ));
        }
    }
    for name in &settings.failover_services {
        if !Service::ALL.iter().any(|service| service.name() == name) {
            return Err(format!("failover-services: there is no service {name:?}"));
        }
    }
    Ok(())
}

watchkeeper_sdk::export_policy!(ReplicationGuard);
