//! From the journal to the story of what other policies would have decided: `watchkeeper replay`.
//!
//! In reading order: [`when`], from when to when; [`seats`], who is asked; `run`, the way through the
//! history, which is the core's ([`watchkeeper_core::replay`]); [`report`], what came of it, as JSON;
//! `story`, the same for people; [`days`], the same as a picture of days, and `svg`, in a file.
//!
//! Nothing here writes to a journal or reaches a server, and no daemon is needed.

pub mod when;

pub mod seats;

pub mod report;

mod story;

pub mod days;

mod svg;

mod run;

pub use days::Days;
pub use report::Report;
pub use run::{Question, ReplayError, Replayed, Standing, replay};
pub use seats::{Candidate, Panel, SeatsError};
pub use story::speed;
pub use svg::svg;
pub use when::When;
