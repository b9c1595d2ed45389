//! `watchkeeper duty`: which monitor may act.

use std::fmt::Write as _;
use std::path::Path;

use watchkeeper_core::model::MonitorName;

use super::client::{Client, ClientError};
use super::exit::Exit;
use super::{DutyCommand, complain, order};
use crate::api::{ClusterReport, OrderRequest, StatusReport};
use crate::duty::peer::keys;

pub(super) async fn ask(
    client: &Client,
    command: DutyCommand,
    json: bool,
) -> Result<Exit, ClientError> {
    let (cluster, request) = match command {
        DutyCommand::Status => {
            let report: StatusReport = client.get("/v1/status").await?;
            show(&report, json);
            return Ok(Exit::Ok);
        }
        // It needs no daemon, and does not come here.
        DutyCommand::Keys { .. } => return Ok(Exit::Failed),
        DutyCommand::Take { cluster, reason, force } => {
            (cluster, OrderRequest::TakeDuty { reason, force })
        }
        DutyCommand::Give { cluster, reason } => (cluster, OrderRequest::GiveDuty { reason }),
        DutyCommand::Cancel { cluster, reason } => (cluster, OrderRequest::CancelDuty { reason }),
    };
    order(client, &cluster, &request, false, json).await
}

/// Makes a monitor's key and certificate, and says where they go.
pub(super) fn make_keys(dir: &Path, name: &MonitorName, json: bool) -> Exit {
    let keys = match keys::make(dir, name) {
        Ok(keys) => keys,
        Err(error) => {
            complain(&error);
            return Exit::Failed;
        }
    };
    if json {
        super::print_json(&keys);
        return Exit::Ok;
    }
    let (certificate, key) = (keys.certificate.display(), keys.key.display());
    super::print(&format!(
        "made {key}, which stays here, and {certificate}, SHA-256 {}\nnext: copy {certificate} to the \
         other monitor, compare its SHA-256 there\n  openssl x509 -in {name}.pem -noout -fingerprint \
         -sha256\nand name it as `peer-certificate` in [duty.peer] there; here\n  certificate = \
         {:?}\n  key = {:?}\n",
        keys.fingerprint,
        keys.certificate.display().to_string(),
        keys.key.display().to_string(),
    ));
    Exit::Ok
}

fn show(report: &StatusReport, json: bool) {
    if json {
        let all: Vec<_> = report
            .clusters
            .iter()
            .map(|it| serde_json::json!({"cluster": it.name, "duty": it.duty}))
            .collect();
        return super::print_json(&all);
    }
    let mut out = String::new();
    for cluster in &report.clusters {
        let _ = writeln!(out, "{}: {}", cluster.name, line(&report.monitor, cluster));
    }
    super::print(&out);
}

/// The duty for a cluster in one line.
pub(super) fn line(monitor: &str, cluster: &ClusterReport) -> String {
    let duty = &cluster.duty;
    match (&duty.holder, &duty.why) {
        _ if duty.held => format!("{monitor} has the duty, term {}", duty.term),
        (Some(holder), _) => {
            format!("{holder} has the duty, term {}; {monitor} only looks", duty.term)
        }
        (None, Some(why)) => format!("{monitor} does not have the duty: {why}"),
        (None, None) => format!("{monitor} does not have the duty"),
    }
}
