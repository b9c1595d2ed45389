//! What is wrong at this moment, and who is still to be told of it.
//!
//! Policies and the engine claim what is wrong again and again; the [`AlertBook`] turns that into
//! alerts that fire once and are resolved once. [`Routing`] says who is to be told of which, and in
//! which groups; [`Told`] remembers who was; [`due()`] makes of both what is to be told now; the
//! [`Outbox`] holds it until it is delivered. Books, silences and outbox are folds of events, so a
//! crash at any moment loses nothing (invariant 6).
//!
//! The words and their meaning are Alertmanager's: label, matcher, route, group, silence, inhibition.

mod alert;
mod due;
mod label;
mod outbox;
mod route;
mod silence;
mod told;

pub(crate) use self::alert::Fnv;
pub use self::alert::{Acknowledgement, Alert, AlertBook, Changes, Claimed, Fingerprint};
pub use self::due::{Due, Scene, Telling, Untold, due};
pub use self::label::{Labels, Matcher, MatcherError, Operator, labels, matches_all};
pub use self::outbox::{Cause, Notification, Outbox, Subject};
pub use self::route::{Chosen, Escalation, Filter, Grouping, Inhibition, Route, Routing};
pub use self::silence::{Silence, SilenceId, Silences};
pub use self::told::{GroupKey, Told, ToldGroup};
