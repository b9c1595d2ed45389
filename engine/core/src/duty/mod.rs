//! The duty: which monitor may act for a cluster, and how it passes from one to the other.
//!
//! Each monitor keeps its own record of it, the [`Tenure`], as a fold of [`Change`]s in its journal. A
//! term is granted once and to one monitor; whoever hears of a later one no longer acts in an
//! earlier one (invariant 2). How grants are made is for two ways to say: [`peer`], in which two
//! monitors hand the duty to each other, and [`lease`]: a lease in etcd, whose revisions are the terms
//! ([`share`] says who should hold which).
//!
//! Invariants:
//! - [`Standing::Held`] is left before anything is sent that lets another monitor have it.
//! - A tenure never goes back to a term that it has seen the end of.

pub mod lease;
pub mod peer;
pub mod share;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{MonitorName, Term};
use crate::past::Past;

/// The source of alerts about the duty itself. They stay with their monitor when the duty goes.
pub const DUTY: &str = "duty";

/// Where the duty is, as far as a monitor knows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "standing")]
pub enum Standing {
    /// No grant is known of.
    #[default]
    None,
    /// This monitor has it.
    Held {
        /// In this term.
        term: Term,
    },
    /// This monitor had it, acts no more, and has offered it to another, which has not been heard
    /// to have taken it.
    Offered {
        /// The term it had.
        term: Term,
        /// The term of the offer.
        next: Term,
        /// To whom.
        to: MonitorName,
    },
    /// This monitor does not have it.
    Elsewhere {
        /// The last term that it heard of.
        term: Term,
        /// Who has it; none: nobody that is known of.
        holder: Option<MonitorName>,
    },
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("never granted"),
            Self::Held { term } => write!(f, "held in term {}", term.0),
            Self::Offered { next, to, .. } => write!(f, "offered to {to} for term {}", next.0),
            Self::Elsewhere { term, holder: Some(holder) } => {
                write!(f, "at {holder} in term {}", term.0)
            }
            Self::Elsewhere { term, holder: None } => write!(f, "left after term {}", term.0),
        }
    }
}

/// What a grant came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Grantor {
    /// Both monitors know of no grant, and this is the one that begins.
    Beginning,
    /// The other monitor offered it.
    Peer {
        /// Which one.
        monitor: MonitorName,
    },
    /// An offer of its own was taken back before it was accepted.
    TakenBack,
    /// A lease in etcd; its revision is the term.
    Lease,
    /// An operator said so.
    Operator {
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
}

/// What happened to the duty for a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "change")]
pub enum Change {
    /// This monitor has it from now on.
    Taken {
        /// In this term.
        term: Term,
        /// Where from.
        grantor: Grantor,
        /// What the one before it knew; none: what this monitor knows already.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        past: Option<Box<Past>>,
    },
    /// This monitor acts no more, and offers it.
    Offered {
        /// The term it had.
        term: Term,
        /// The term of the offer.
        next: Term,
        /// To whom.
        to: MonitorName,
        /// Whether an operator wants it there: it stays until the side changes.
        #[serde(default)]
        ordered: bool,
        /// Why, for people.
        why: String,
    },
    /// This monitor will accept no offer up to this term.
    Declined {
        /// The term.
        term: Term,
    },
    /// This monitor does not have it.
    Left {
        /// The term of the one who has it; without one, the term that is over.
        term: Term,
        /// Who has it now, if that is known.
        holder: Option<MonitorName>,
        /// Why, for people.
        why: String,
    },
    /// The monitor that has it said where the cluster stands.
    Shared {
        /// Its term.
        term: Term,
        /// Rises with each change of the past within the term.
        version: u64,
        /// Where the cluster stands.
        past: Box<Past>,
    },
}

/// A change does not fit what is known: acting on it could give the duty to two monitors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the duty is {standing}, and term {} was the last one seen: {problem}", seen.0)]
pub struct OutOfTerm {
    /// Where the duty is.
    pub standing: Standing,
    /// The last term that was seen.
    pub seen: Term,
    /// What does not fit.
    pub problem: String,
}

/// A monitor's record of the duty for one cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tenure {
    standing: Standing,
    /// The greatest term that was granted, offered or declined as far as this monitor knows.
    seen: Term,
    /// Term and version of the past that was shared last.
    known: Option<(Term, u64)>,
    /// Whether the last grant to this monitor was an operator's.
    ordered: bool,
}

impl Tenure {
    /// Where the duty is.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The greatest term that this monitor knows of.
    pub const fn seen(&self) -> Term {
        self.seen
    }

    /// Term and version of the past that was shared last.
    pub const fn known(&self) -> Option<(Term, u64)> {
        self.known
    }

    /// Whether the last grant to this monitor was an operator's.
    pub const fn ordered(&self) -> bool {
        self.ordered
    }

    /// The term for a grant that nobody else makes at the same time.
    pub const fn next(&self) -> Term {
        Term(self.seen.0.saturating_add(1))
    }

    /// Whether a step of this term may be begun. A monitor that shares the duty with nobody keeps no
    /// tenure, and its terms are its starts; 0 is the term of steps that were recorded before steps
    /// had one.
    pub fn admits(&self, term: Term) -> Result<(), OutOfTerm> {
        match &self.standing {
            Standing::None => Ok(()),
            Standing::Held { term: held } if term >= *held || term.0 == 0 => Ok(()),
            Standing::Held { .. } => {
                Err(self.refuse(format!("a step of term {} is too late", term.0)))
            }
            Standing::Offered { .. } | Standing::Elsewhere { .. } => {
                Err(self.refuse(format!("nothing may be begun in term {}", term.0)))
            }
        }
    }

    /// Takes a change in, or says why it cannot be.
    pub fn apply(&mut self, change: &Change) -> Result<(), OutOfTerm> {
        match change {
            Change::Taken { term, grantor, .. } => {
                self.check(*term > self.seen, || format!("term {} is taken", term.0))?;
                self.standing = Standing::Held { term: *term };
                self.seen = *term;
                self.ordered = matches!(grantor, Grantor::Operator { .. });
            }
            Change::Offered { term, next, to, .. } => {
                let held = self.standing == Standing::Held { term: *term };
                self.check(held && *next > self.seen, || {
                    format!("term {} is offered for term {}", next.0, term.0)
                })?;
                self.standing = Standing::Offered { term: *term, next: *next, to: to.clone() };
                self.seen = *next;
            }
            Change::Declined { term } => {
                let held =
                    matches!(self.standing, Standing::Held { .. } | Standing::Offered { .. });
                self.check(!held, || format!("term {} is declined", term.0))?;
                self.seen = self.seen.max(*term);
            }
            Change::Left { term, holder, .. } => {
                let own = match self.standing {
                    Standing::Held { term } | Standing::Offered { term, .. } => term,
                    Standing::None | Standing::Elsewhere { .. } => Term(0),
                };
                self.check(*term >= own, || format!("term {} has ended it", term.0))?;
                self.standing = Standing::Elsewhere { term: *term, holder: holder.clone() };
                self.seen = self.seen.max(*term);
            }
            Change::Shared { term, version, .. } => {
                let newer = self.known.is_none_or(|known| (*term, *version) > known);
                let held =
                    matches!(self.standing, Standing::Held { .. } | Standing::Offered { .. });
                self.check(newer && !held, || {
                    format!("a past of term {}, version {version}, was shared", term.0)
                })?;
                self.known = Some((*term, *version));
            }
        }
        Ok(())
    }

    fn check(&self, fits: bool, problem: impl FnOnce() -> String) -> Result<(), OutOfTerm> {
        if fits { Ok(()) } else { Err(self.refuse(problem())) }
    }

    fn refuse(&self, problem: String) -> OutOfTerm {
        OutOfTerm { standing: self.standing.clone(), seen: self.seen, problem }
    }
}
