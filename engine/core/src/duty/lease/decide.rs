//! What to do about the duty for one cluster: a function of what is known, without any I/O.

use std::time::Duration;

use crate::model::{MonitorName, Term};

use super::board::Holder;
use super::keys::Identity;

/// How long a duty has to be free before a monitor takes it that should not have it: the one that
/// should have had the time.
pub const OTHERS_FIRST: Duration = Duration::from_millis(300);

/// How long the one that should have a duty has to be alive, and the one that has it to have had it,
/// before it is given over for balance alone.
pub const CALM: Duration = Duration::from_secs(10);

/// What is known.
#[derive(Debug, Clone)]
pub struct Case<'a> {
    /// This daemon.
    pub me: &'a Identity,
    /// The own lease.
    pub lease: u64,
    /// The term that the own journal says is held.
    pub held: Option<Term>,
    /// Who has it by etcd's word.
    pub holder: Option<&'a Holder>,
    /// Who should have it, and why.
    pub assigned: Option<&'a MonitorName>,
    /// Whether that is what an operator wants.
    pub wanted: bool,
    /// Whether this monitor has the duty for more clusters than its share. One that has not keeps what
    /// it has: moving it would balance nothing.
    pub surplus: bool,
    /// How long that one has been alive, and how long this one has had it: the shorter of both.
    pub calm: Duration,
    /// How long it has been free.
    pub free: Duration,
    /// Whether a plan is in flight.
    pub in_flight: bool,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// It is held: nothing.
    Hold(Term),
    /// It is free, or an earlier incarnation of this daemon has it: it is taken.
    Take {
        /// The revision of the key that is there; 0: none.
        since: u64,
    },
    /// It is free, and another one should take it: looked at again after this.
    Wait(Duration),
    /// It is given to the one who should have it.
    Give {
        /// To whom.
        to: MonitorName,
    },
    /// What was held is so no more.
    Lose,
    /// It is another's.
    Leave,
    /// Another daemon with this name has it.
    Conflict,
}

/// What to do.
pub fn decide(case: &Case<'_>) -> Move {
    let Some(holder) = case.holder else { return free(case) };
    match &holder.identity {
        Some(identity) if identity == case.me => own(case, holder),
        _ if case.held.is_some() => Move::Lose,
        Some(identity) if identity.monitor == case.me.monitor => Move::Conflict,
        _ => Move::Leave,
    }
}

fn free(case: &Case<'_>) -> Move {
    if case.held.is_some() {
        return Move::Lose;
    }
    let mine = case.assigned == Some(&case.me.monitor);
    match OTHERS_FIRST.checked_sub(case.free) {
        Some(left) if !mine && !left.is_zero() => Move::Wait(left),
        _ => Move::Take { since: 0 },
    }
}

/// The key bears this daemon's name: this incarnation's, or that of an earlier one or an earlier
/// lease, which is taken over without waiting for its end.
fn own(case: &Case<'_>, holder: &Holder) -> Move {
    let term = Term(holder.revision);
    match case.held {
        Some(held) if held != term || holder.lease != case.lease => Move::Lose,
        None => Move::Take { since: holder.revision },
        Some(_) => match case.assigned {
            Some(to)
                if *to != case.me.monitor
                    && !case.in_flight
                    && (case.wanted || (case.surplus && case.calm >= CALM)) =>
            {
                Move::Give { to: to.clone() }
            }
            _ => Move::Hold(term),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(monitor: &str, journal: &str) -> Identity {
        let monitor = MonitorName::new(monitor).unwrap();
        Identity { monitor, journal: journal.to_owned() }
    }

    fn holder(monitor: &str, journal: &str, revision: u64) -> Holder {
        Holder { identity: Some(identity(monitor, journal)), revision, lease: 1 }
    }

    fn case(me: &Identity) -> Case<'_> {
        Case {
            me,
            lease: 1,
            held: None,
            holder: None,
            assigned: None,
            wanted: false,
            surplus: true,
            calm: Duration::ZERO,
            free: Duration::ZERO,
            in_flight: false,
        }
    }

    #[test]
    fn a_free_duty_is_left_to_the_one_who_should_have_it_for_a_moment() {
        let (me, other) = (identity("vp1", "a"), MonitorName::new("vp2").unwrap());
        let assigned = |to, free| Case { assigned: Some(to), free, ..case(&me) };
        let take = Move::Take { since: 0 };
        assert_eq!(decide(&assigned(&me.monitor, Duration::ZERO)), take);
        assert_eq!(decide(&assigned(&other, Duration::ZERO)), Move::Wait(OTHERS_FIRST));
        assert_eq!(decide(&assigned(&other, OTHERS_FIRST)), take);
        assert_eq!(decide(&Case { free: OTHERS_FIRST, ..case(&me) }), take);
    }

    #[test]
    fn an_own_key_is_taken_over_and_another_s_is_not() {
        let me = identity("vp1", "a");
        for (holder, expected) in [
            (holder("vp1", "a", 7), Move::Take { since: 7 }),
            (holder("vp1", "b", 7), Move::Conflict),
            (holder("vp2", "a", 7), Move::Leave),
            (Holder { identity: None, revision: 7, lease: 1 }, Move::Leave),
        ] {
            let case = Case { holder: Some(&holder), free: CALM, ..case(&me) };
            assert_eq!(decide(&case), expected, "{holder:?}");
        }
    }

    /// Term 7 is held, by the journal's word.
    fn held<'a>(me: &'a Identity, holder: Option<&'a Holder>) -> Case<'a> {
        Case { held: Some(Term(7)), holder, ..case(me) }
    }

    #[test]
    fn what_etcd_does_not_confirm_is_lost() {
        let me = identity("vp1", "a");
        assert_eq!(decide(&held(&me, None)), Move::Lose);
        let own = holder("vp1", "a", 7);
        assert_eq!(decide(&held(&me, Some(&own))), Move::Hold(Term(7)));
        let old_lease = Holder { lease: 2, ..own };
        let others = [holder("vp1", "a", 8), holder("vp2", "a", 8), holder("vp1", "b", 8)];
        for other in others.into_iter().chain([old_lease]) {
            assert_eq!(decide(&held(&me, Some(&other))), Move::Lose, "{other:?}");
        }
    }

    #[test]
    fn it_is_given_away_only_in_calm_and_never_with_a_plan_in_flight() {
        let (me, other) = (identity("vp1", "a"), MonitorName::new("vp2").unwrap());
        let holder = holder("vp1", "a", 7);
        let calm = Case { assigned: Some(&other), calm: CALM, ..held(&me, Some(&holder)) };
        let (give, hold) = (Move::Give { to: other.clone() }, Move::Hold(Term(7)));
        assert_eq!(decide(&calm), give);
        let soon = Case { calm: Duration::ZERO, ..calm.clone() };
        assert_eq!(decide(&soon), hold);
        assert_eq!(decide(&Case { wanted: true, ..soon }), give, "an operator does not wait");
        assert_eq!(decide(&Case { surplus: false, ..calm.clone() }), hold, "nothing to balance");
        assert_eq!(decide(&Case { in_flight: true, wanted: true, ..calm }), hold);
    }
}
