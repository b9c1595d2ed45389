//! Recorded history, gone through again: what other policies would have decided.
//!
//! A journal holds every decision that differs from the one before, with the whole snapshot that it
//! was made from, and of each probe every finding that differs from the one before. [`History`]
//! takes its records in and gives the moments at which policies were asked:
//!
//! - *recorded* moments, with the very snapshot: asked again, the same policies decide the same;
//! - *reconstructed* ones in between, when the answer of those policies did not change but that of
//!   others could have: each second, at each piece of news, and each time that trouble was seen
//!   again. Their snapshots are made of what was recorded, with each probe looking at its pace.
//!
//! [`Comparison`] holds the decisions of other policies against what was decided, and keeps the
//! [`Difference`]s. The world is always the recorded one: what it would have been like after an
//! action that nobody took cannot be known, so the differences that follow one are marked.
//!
//! Invariants:
//! - A recorded moment's situation (snapshot, limits, duty, past) is what it was then; nothing of
//!   it is reconstructed.
//! - No moment is given for a time of which it is not known that the policies were being asked:
//!   while no monitor ran, the duty was elsewhere, or everything was being looked at anew.

mod compare;
mod history;
mod rebuilt;

pub use compare::{
    AlertDifference, Compared, Comparison, Difference, Does, Kind, RESOLUTION_MS, Then, Wish, Would,
};
pub use history::{Gap, History, Moment, Recorded, Source, Unwatched};
pub use rebuilt::{Pace, Rhythm};
