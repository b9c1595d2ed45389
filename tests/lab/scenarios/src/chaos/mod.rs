//! Random faults on real servers, and a checker beside them that believes no monitor.
//!
//! From its seed, a schedule gets two to five faults, most of them in the middle of another one's consequence. It runs on a
//! lab of its own. In the end everything is put right, and the site has to be well within a bounded time. No verdict rests
//! on how fast the engine was: a busy machine only makes a run longer. What was earlier and what later does count.
//!
//! 1. [`fault`]: what goes wrong
//! 2. [`schedule`]: when, from the seed alone
//! 3. [`site`]: monitors, receivers, etcd, controllers on a lab
//! 4. [`hurt`]: carries faults out, and puts all right
//! 5. [`sight`], [`rows`]: look at both sides' processes, enter jobs; all the time
//! 6. [`past`]: the monitors' journals
//! 7. [`sides`], [`rows`], [`news`]: what must never be
//! 8. [`ending`]: the operator, and whether all is well
//! 9. [`run`]: one seed from its beginning to its end

#![allow(clippy::indexing_slicing, reason = "in lists that are never empty")]

mod ending;
pub mod fault;
mod hurt;
pub mod news;
pub mod past;
pub mod rows;
pub mod run;
pub mod schedule;
pub mod sides;
pub mod sight;
mod site;

pub use run::{Counts, Report, run};
pub use schedule::Schedule;
