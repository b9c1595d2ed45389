//! Two monitors that hand the duty to each other: what each says, and what it makes of what it
//! hears. Pure, so that every order of messages, losses and crashes can be tried.
//!
//! One asks, the other answers; each question and each answer carries a [`Report`] of where the
//! duty is, so that whatever was lost before is made up for by the next exchange.
//!
//! How the duty passes: the giver records [`Change::Offered`], by which it acts no more, then asks
//! [`Ask::Offer`] until it hears that the other has it. The other records [`Change::Taken`] before it
//! says so. An offer can be taken back only with the other's promise, recorded as
//! [`Change::Declined`], that it will not accept it any more. A duty that neither has is taken with the
//! same promise. A monitor never takes the duty because the other is silent: that is for an operator
//! to do.

use serde::{Deserialize, Serialize};

use super::{Change, Grantor, Standing, Tenure};
use crate::lifecycle::Phase;
use crate::model::{ClusterName, MonitorName, Side, Term};
use crate::past::Past;

/// The version of this protocol. Monitors of different versions do not talk about the duty: each
/// stays where it is, with an alert.
pub const PROTOCOL: u32 = 2;

/// Where the duty for a cluster is, by the word of one of the monitors.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Report {
    /// The cluster.
    pub cluster: ClusterName,
    /// Where the duty is.
    #[serde(flatten)]
    pub standing: Standing,
    /// The greatest term that the monitor knows of.
    pub seen: Term,
    /// Term and version of the past that was shared with it last.
    pub known: Option<(Term, u64)>,
}

impl Report {
    /// What `tenure` says of `cluster`.
    pub fn of(cluster: &ClusterName, tenure: &Tenure) -> Self {
        Self {
            cluster: cluster.clone(),
            standing: tenure.standing.clone(),
            seen: tenure.seen,
            known: tenure.known,
        }
    }
}

/// What one monitor asks of the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask", deny_unknown_fields)]
pub enum Ask {
    /// Nothing but an answer: both hear each other's reports.
    Greet,
    /// To note where a cluster stands, from the one who has the duty.
    Share {
        /// The cluster.
        cluster: ClusterName,
        /// The term of the one who says so.
        term: Term,
        /// Rises with each change within the term.
        version: u64,
        /// Where it stands.
        past: Box<Past>,
    },
    /// To take the duty.
    Offer {
        /// The cluster.
        cluster: ClusterName,
        /// The term of the grant.
        next: Term,
        /// Where the cluster stands.
        past: Box<Past>,
    },
    /// To promise not to accept an offer any more.
    Withdraw {
        /// The cluster.
        cluster: ClusterName,
        /// The term that was offered.
        next: Term,
    },
    /// To give the duty away, because an operator wants the asker to have it; or if it is not
    /// there, to promise not to begin the asker's term.
    Request {
        /// The cluster.
        cluster: ClusterName,
        /// The term that the asker begins if the duty is free.
        next: Term,
        /// Who wants it.
        by: String,
        /// Why.
        reason: String,
    },
}

impl Ask {
    /// The cluster it is about, if it is about one.
    pub const fn cluster(&self) -> Option<&ClusterName> {
        match self {
            Self::Greet => None,
            Self::Share { cluster, .. }
            | Self::Offer { cluster, .. }
            | Self::Withdraw { cluster, .. }
            | Self::Request { cluster, .. } => Some(cluster),
        }
    }
}

/// What came of what was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer", deny_unknown_fields)]
pub enum Answer {
    /// The reports say it all.
    Heard,
    /// The duty is taken, now or before.
    Accepted {
        /// In this term.
        term: Term,
    },
    /// The offer will not be accepted any more.
    Withdrawn,
    /// The duty is here and will be offered.
    Giving,
    /// The duty is not here, the asker's term will not be begun here, and this is what is known of
    /// the cluster.
    Free {
        /// Term and version of `past`, if another monitor shared it.
        known: Option<(Term, u64)>,
        /// Where the cluster stands, as far as is known here.
        past: Box<Past>,
    },
    /// No.
    Refused {
        /// Why, for people.
        why: String,
    },
}

/// What a monitor does about a question: what it records first, and what it answers then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// To be recorded before the answer is given.
    pub change: Option<Change>,
    /// The answer, once that is recorded.
    pub answer: Answer,
}

impl Response {
    const fn plain(answer: Answer) -> Self {
        Self { change: None, answer }
    }
}

/// What to do about `ask` from `peer`, by a monitor with this tenure for the cluster in question.
/// An [`Ask::Request`] for a duty that is here is for [`may_give`] to judge, and refused here.
pub fn respond(
    tenure: &Tenure,
    peer: &MonitorName,
    ask: &Ask,
    past: impl FnOnce() -> Past,
) -> Response {
    match ask {
        Ask::Greet => Response::plain(Answer::Heard),
        Ask::Share { term, version, past, .. } => {
            Response { change: shared(tenure, *term, *version, past), answer: Answer::Heard }
        }
        Ask::Offer { next, past, .. } => match tenure.standing {
            // It was accepted before, and the answer did not arrive.
            Standing::Held { term } if term == *next => Response::plain(Answer::Accepted { term }),
            _ if *next > tenure.seen => Response {
                change: Some(Change::Taken {
                    term: *next,
                    grantor: Grantor::Peer { monitor: peer.clone() },
                    past: Some(past.clone()),
                }),
                answer: Answer::Accepted { term: *next },
            },
            _ => Response::plain(over(tenure, *next)),
        },
        Ask::Withdraw { next, .. } => match tenure.standing {
            Standing::Held { term } if term >= *next => Response::plain(Answer::Accepted { term }),
            Standing::Held { .. } | Standing::Offered { .. } => {
                Response::plain(Answer::Refused { why: "the duty is here".to_owned() })
            }
            _ => Response {
                change: (*next > tenure.seen).then_some(Change::Declined { term: *next }),
                answer: Answer::Withdrawn,
            },
        },
        Ask::Request { next, .. } => match tenure.standing {
            Standing::Held { .. } | Standing::Offered { .. } => {
                Response::plain(Answer::Refused { why: "the duty is here".to_owned() })
            }
            _ if *next > tenure.seen => Response {
                change: Some(Change::Declined { term: *next }),
                answer: Answer::Free { known: tenure.known, past: Box::new(past()) },
            },
            _ => Response::plain(over(tenure, *next)),
        },
    }
}

fn over(tenure: &Tenure, term: Term) -> Answer {
    let (term, seen) = (term.0, tenure.seen.0);
    let why = format!("term {term} is over: term {seen} was granted, offered or declined already");
    Answer::Refused { why }
}

fn shared(tenure: &Tenure, term: Term, version: u64, past: &Past) -> Option<Change> {
    let here = matches!(tenure.standing, Standing::Held { .. } | Standing::Offered { .. });
    let newer = tenure.known.is_none_or(|known| (term, version) > known) && term >= tenure.seen;
    (newer && !here).then(|| Change::Shared { term, version, past: Box::new(past.clone()) })
}

/// What the other monitor's report makes of the own tenure. `first` says whether this monitor is the
/// one that watches the primary: it begins if neither knows of any grant.
pub fn heed(tenure: &Tenure, theirs: &Report, peer: &MonitorName, first: bool) -> Option<Change> {
    let left = |term, holder: Option<&MonitorName>, why: &str| {
        Some(Change::Left { term, holder: holder.cloned(), why: why.to_owned() })
    };
    let Standing::Held { term: held } = theirs.standing else {
        let unknown = tenure.standing == Standing::None
            && theirs.standing == Standing::None
            && tenure.seen == Term(0)
            && theirs.seen == Term(0);
        return (unknown && first).then_some(Change::Taken {
            term: Term(1),
            grantor: Grantor::Beginning,
            past: None,
        });
    };
    match &tenure.standing {
        Standing::Held { term } if held > *term => {
            left(held, Some(peer), "the other monitor has it in a later term")
        }
        // Both were told so by operators while they could not hear each other.
        Standing::Held { term } if held == *term && !first => left(
            held,
            Some(peer),
            "both monitors took the duty in the same term: the first monitor keeps it",
        ),
        Standing::Offered { next, .. } if held >= *next => {
            left(held, Some(peer), "the other monitor has accepted it")
        }
        Standing::Held { .. } | Standing::Offered { .. } => None,
        Standing::Elsewhere { term, holder: Some(holder) } if *term == held && holder == peer => {
            None
        }
        Standing::None | Standing::Elsewhere { .. } => (held >= tenure.seen)
            .then(|| left(held, Some(peer), "the other monitor says that it has it"))
            .flatten(),
    }
}

/// Why both know of a conflict that only an operator can end, if they do.
pub fn conflict(tenure: &Tenure, theirs: &Report, me: &MonitorName) -> Option<String> {
    match (&tenure.standing, &theirs.standing) {
        (Standing::None, Standing::Elsewhere { term, holder: Some(holder) }) if holder == me => {
            Some(format!(
                "the other monitor knows that {me} had the duty in term {}, and this journal knows \
                 nothing of it; if it was lost, take the duty with `watchkeeper duty take`",
                term.0
            ))
        }
        (
            Standing::None | Standing::Elsewhere { .. },
            Standing::None | Standing::Elsewhere { .. },
        ) if tenure.seen > Term(0) || theirs.seen > Term(0) => Some(
            "neither monitor has the duty; say which one is to have it with `watchkeeper duty \
                 take` there"
                .to_owned(),
        ),
        _ => None,
    }
}

/// Which side's watch is whose: the first monitor watches the primary, the other the secondary.
pub const fn belongs_here(first: bool, active: Side) -> bool {
    matches!((first, active), (true, Side::Primary) | (false, Side::Secondary))
}

/// The offer that a monitor makes, now that it is to give the duty away; or why it must not.
/// `ordered` says whether an operator wants it.
pub fn may_give(
    tenure: &Tenure,
    phase: Phase,
    peer: &MonitorName,
    ordered: bool,
    why: &str,
) -> Result<Change, String> {
    let Standing::Held { term } = tenure.standing else {
        return Err(format!("this monitor does not have the duty: it is {}", tenure.standing));
    };
    if phase.in_flight() {
        return Err(format!(
            "the cluster is {phase}: the plan in flight is carried to its end first"
        ));
    }
    let (next, to, why) = (tenure.next(), peer.clone(), why.to_owned());
    Ok(Change::Offered { term, next, to, ordered, why })
}

/// What the answer to an own question makes of the own tenure.
pub fn conclude(tenure: &Tenure, ask: &Ask, answer: &Answer, peer: &MonitorName) -> Option<Change> {
    match (ask, answer, &tenure.standing) {
        (
            Ask::Offer { next, .. } | Ask::Withdraw { next, .. },
            Answer::Accepted { term },
            Standing::Offered { next: offered, .. },
        ) if next == offered && term >= offered => Some(Change::Left {
            term: *term,
            holder: Some(peer.clone()),
            why: "the other monitor has accepted it".to_owned(),
        }),
        (
            Ask::Withdraw { next, .. },
            Answer::Withdrawn,
            Standing::Offered { next: offered, .. },
        ) if next == offered => {
            Some(Change::Taken { term: tenure.next(), grantor: Grantor::TakenBack, past: None })
        }
        (
            Ask::Request { next, by, reason, .. },
            Answer::Free { known, past },
            Standing::None | Standing::Elsewhere { .. },
        ) if *next > tenure.seen => Some(Change::Taken {
            term: *next,
            grantor: Grantor::Operator { by: by.clone(), reason: reason.clone() },
            past: (*known > tenure.known).then(|| past.clone()),
        }),
        _ => None,
    }
}
