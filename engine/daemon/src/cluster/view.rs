//! What a cluster's task saw and decided last, for those who ask.

use std::sync::Arc;
use std::time::Duration;

use watchkeeper_core::arbitration::Decision;
use watchkeeper_core::proposal::Opinion;
use watchkeeper_core::snapshot::Snapshot;
use watchkeeper_core::state::ClusterState;

/// What was seen and decided last.
#[derive(Debug, Clone, Default)]
pub struct ClusterView {
    /// Where the cluster stands.
    pub state: ClusterState,
    /// The facts of the last evaluation.
    pub snapshot: Option<Arc<Snapshot>>,
    /// What the policies said in it.
    pub opinions: Vec<Opinion>,
    /// What came of it.
    pub decision: Option<Decision>,
    /// What would have come of it if the policies in the shadow were obeyed; none: the same.
    pub in_shadow: Option<Decision>,
    /// How long it took, recording included.
    pub took: Duration,
    /// How many evaluations there have been since the start.
    pub evaluations: u64,
    /// Why nothing can be recorded, and so nothing is done.
    pub trouble: Option<String>,
}
