//! What an administrator can set. The doc comments are the words shown to them.

use core::time::Duration;

/// 64 MiB: four of `PostgreSQL`'s WAL segments of 16 MiB. The vendor leaves the value to the site.
const LAG_BYTES: i64 = 64 * 1024 * 1024;

watchkeeper_sdk::settings! {
    /// The settings of data-mover-ha.
    pub struct Settings {
        /// How many times in a row a service has to be found down, or its state unknown, before it counts.
        down_confirmations: u32 = 3, 1..=100;
        /// How many times in a row a server and all its services have to be found unavailable before it counts as lost.
        unreachable_confirmations: u32 = 5, 1..=100;
        /// How many times in a row a service has to be found running on the wrong side before it is stopped.
        stray_confirmations: u32 = 3, 1..=100;
        /// How often a service is started again within the rescue window before more is done; 0 fails over at once.
        rescue_attempts: u32 = 2, 0..=10;
        /// Within which time attempts to start a service again are counted.
        rescue_window: Duration = Duration::from_mins(15), Duration::from_mins(1)..=Duration::from_hours(24);
        /// The services whose failure on the active side leads to a rescue and then to a failover; "agent" stands for all agents of the cluster.
        failover_services: Vec<String> = &["repository", "activemq", "daemon", "rest", "agent"];
        /// Further services on the active side that are started again, but are no reason for a failover.
        rescue_services: Vec<String> = &["sync", "dsa"];
        /// Whether a single agent is started again while others still run.
        rescue_agents: bool = true;
        /// Whether the agent of the old primary is stopped while the secondary is active.
        stop_old_agent: bool = true;
        /// Whether the primary takes over again by itself when the secondary fails, as release 16.20 did.
        failback: bool = false;
        /// From how many bytes on a replication lag is told: sending, receiving, write or replay.
        lag_threshold_bytes: i64 = LAG_BYTES, 0..=i64::MAX;
        /// From how long on the replay lag is told.
        lag_threshold_time: Duration = Duration::from_mins(1), Duration::from_secs(1)..=Duration::from_hours(24);
        /// The code of the alert service-down.
        code_service_down: String = "";
        /// The code of the alert service-unknown.
        code_service_unknown: String = "";
        /// The code of the alert rescue-exhausted.
        code_rescue_exhausted: String = "";
        /// The code of the alert agent-down.
        code_agent_down: String = "";
        /// The code of the alert agents-unavailable.
        code_agents_unavailable: String = "";
        /// The code of the alert server-unreachable.
        code_server_unreachable: String = "";
        /// The code of the alert standby-unavailable.
        code_standby_unavailable: String = "";
        /// The code of the alert both-sides-unavailable.
        code_both_sides_unavailable: String = "";
        /// The code of the alert running-on-secondary.
        code_running_on_secondary: String = "";
        /// The code of the alert needs-operator.
        code_needs_operator: String = "";
        /// The code of the alert stray-service.
        code_stray_service: String = "";
        /// The code of the alert sides-swapped.
        code_sides_swapped: String = "";
        /// The code of the alert replication-broken: the configuration is broken on the active side.
        code_replication_broken: String = "4604001";
        /// The code of the alert replication-lag: the standby cannot keep up.
        code_replication_lag: String = "4604002";
        /// The code of the alert replication-standby: the standby does not replicate.
        code_replication_standby: String = "4604003";
    }
}
