//! Everything in Watchkeeper that decides, and nothing that touches the world.
//!
//! No I/O, no clock, no randomness, no async: each function here is a function of recorded
//! events, so a decision can be explained, replayed and simulated by running the same code again.
//! The modules stand in the order of the data:
//!
//! 1. [`model`]: names, roles, sides, status, time
//! 2. [`facts`]: what probes saw, and the book that keeps the latest of each
//! 3. [`lifecycle`]: the table of a cluster's phases and transitions
//! 4. [`snapshot`]: the frozen set of facts a decision is made from, its queries and read set
//! 5. [`settings`]: what a guest lets a site set, and whether what the site gives fits
//! 6. [`proposal`]: what policies ask for
//! 7. [`policies`]: whether policies are obeyed, and in which revision
//! 8. [`plan`]: the immutable, ordered steps that a decision needs
//! 9. [`readiness`]: whether the standby could take over now, check by check
//! 10. [`guards`]: the engine's own holds, which no policy can lift
//! 11. [`alerting`]: what is wrong at this moment, and what is still to be told
//! 12. [`arbitration`]: from proposals to one decision
//! 13. [`execution`]: how far a plan has come, and what is next after any crash
//! 14. [`stopped`]: a change of side that stopped on the way, whether it may go on, and what it leaves
//! 15. [`past`]: what decisions rest on beside the facts, as a successor gets it
//! 16. [`duty`]: which monitor may act, and how that passes from one to the other
//! 17. [`event`]: what the journal holds
//! 18. [`state`]: the fold of the events
//! 19. [`replay`]: recorded history, gone through again with other policies

pub mod model;

pub mod facts;

pub mod lifecycle;

pub mod snapshot;

pub mod settings;

pub mod proposal;

pub mod policies;

pub mod plan;

pub mod readiness;

pub mod guards;

pub mod alerting;

pub mod arbitration;

pub mod execution;

pub mod stopped;

pub mod past;

pub mod duty;

pub mod event;

pub mod state;

pub mod replay;
