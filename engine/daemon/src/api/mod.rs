//! What the command line asks the daemon, over a Unix socket.
//!
//! Plain HTTP with JSON, so that a site's own tools can ask as well; docs/api.md lists it. Who may
//! ask is decided by the socket's permissions; who asked is taken from the connection, not from
//! the request.

mod alerts;
mod door;
mod rehearse;
mod server;
mod types;

pub use alerts::{
    AlertOrder, AlertReply, AlertsReport, FiringReport, NotificationReport, SilenceReport,
};
pub use door::{Listening, Visit};
pub use rehearse::{RehearsalKind, RehearsalLine};
pub(crate) use server::ReloadRequest;
pub use server::{ApiContext, serve};
pub use types::{
    AlertReport, CheckReport, ClusterReport, DutyReport, MaintenanceReport, Mistake, OrderReply,
    OrderRequest, PlanReport, PolicyReport, ServerReport, ServiceReport, StatusReport,
    StoppedReport,
};
