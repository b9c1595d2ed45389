//! Everything in Watchkeeper that decides, and nothing that touches the world.
//!
//! No I/O, no clock, no randomness, no async: each function here is a function of recorded
//! events, so a decision can be explained, replayed and simulated by running the same code again.
//! The modules stand in the order of the data:
//!
//! 1. [`model`]: names, roles, sides, status, time
//! 2. [`facts`]: what probes saw, and the book that keeps the latest of each
//! 3. [`snapshot`]: the frozen set of facts a decision is made from, its queries and read set
//! 4. [`proposal`]: what policies ask for
//! 5. [`lifecycle`]: the table of a cluster's phases and transitions
//! 6. [`arbitration`] with [`guards`]: from proposals to one decision
//! 7. [`plan`]: the immutable, ordered steps that a decision needs
//! 8. [`execution`]: which step is next, after any crash
//! 9. [`alerting`]: what is firing, and what is still to be delivered
//! 10. [`event`]: what the journal holds
//! 11. [`state`]: the fold of the events

pub mod model;

pub mod facts;
