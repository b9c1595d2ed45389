//! data-mover-ha
use watchkeeper_sdk::policy::{Evaluation, Filter, Grants, Policy, Snapshot};
/// The policy.
pub struct DataMoverHa;
impl Policy for DataMoverHa {
    type Settings = ();
    const NAME: &'static str = "data-mover-ha";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "x";
    const NEEDS: Grants = Grants::all();
    fn evaluate(snapshot: &Snapshot, (): &(), _: &[u8]) -> Result<Evaluation, String> {
        let mut e = Evaluation::new();
        for s in snapshot.services(Filter::active().not_up()) {
            e.rescue(&s, format!("{} down", s.server));
        }
        Ok(e)
    }
}
watchkeeper_sdk::export_policy!(DataMoverHa);
