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
//! 5. [`proposal`]: what policies ask for
//! 6. [`plan`]: the immutable, ordered steps that a decision needs
//! 7. [`guards`]: the engine's own holds, which no policy can lift
//! 8. [`alerting`]: what is wrong at this moment, and what is still to be told
//! 9. [`arbitration`]: from proposals to one decision
//! 10. [`execution`]: how far a plan has come, and what is next after any crash
//! 11. [`event`]: what the journal holds
//! 12. [`state`]: the fold of the events
//! 13. [`settings`]: what a guest lets the configuration set, and the check of what it gives

pub mod model;

pub mod facts;

pub mod lifecycle;

pub mod snapshot;

pub mod proposal;

pub mod plan;

pub mod guards;

pub mod alerting;

pub mod arbitration;

pub mod execution;

pub mod event;

pub mod state;

pub mod settings;
