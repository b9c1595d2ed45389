//! What another monitor and etcd say.

use watchkeeper::fuzzing;
use watchkeeper_core::duty::peer::{Report, conclude, conflict, heed, respond};
use watchkeeper_core::duty::{Change, Grantor, Tenure};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{ClusterName, MonitorName, Term, Timestamp};
use watchkeeper_core::state::State;

fn peer_name() -> MonitorName {
    MonitorName::new("vp2").unwrap()
}

fn prod() -> ClusterName {
    ClusterName::new("prod").unwrap()
}

/// What a monitor may know of the duty when it is spoken to.
fn states() -> Vec<State> {
    let grantor = Grantor::Peer { monitor: peer_name() };
    let taken = Change::Taken { term: Term(5), grantor, past: None };
    let offered = Change::Offered {
        term: Term(5),
        next: Term(6),
        to: peer_name(),
        ordered: false,
        why: "test".to_owned(),
    };
    let left = Change::Left { term: Term(6), holder: Some(peer_name()), why: "test".to_owned() };
    let histories = [vec![], vec![taken.clone()], vec![taken.clone(), offered], vec![taken, left]];
    histories.into_iter().map(|history| history.into_iter().fold(State::default(), after)).collect()
}

fn after(mut state: State, change: Change) -> State {
    let seq = state.seq + 1;
    let event = Event::Duty(change);
    let record = Record { seq, at: Timestamp(seq), cluster: Some(prod()), event };
    state.apply(&record).expect("what is decided fits what it was decided from");
    state
}

fn take_in(state: State, change: Option<Change>) -> State {
    let seen = state.cluster(&prod()).tenure.seen();
    let state = change.into_iter().fold(state, after);
    assert!(state.cluster(&prod()).tenure.seen() >= seen, "a term is forgotten");
    state
}

fn hear(state: State, reports: &[Report], first: bool) -> State {
    reports.iter().fold(state, |state, report| {
        let tenure: Tenure = state.cluster(&prod()).tenure;
        if let Some(conflict) = conflict(&tenure, report, &peer_name()) {
            assert!(!conflict.is_empty());
        }
        let change = heed(&tenure, report, &peer_name(), first);
        take_in(state, change)
    })
}

/// A question or an answer of the other monitor: it reads back as itself, and whatever it is, what is recorded of
/// it fits what is known.
pub fn peer(data: &[u8]) {
    match fuzzing::peer_question(data) {
        Err(why) => crate::assert_plain(&why, 1_024),
        Ok((reports, ask, again)) => {
            let (reports_again, ask_again, _) = fuzzing::peer_question(&again).unwrap();
            assert!(reports == reports_again && ask == ask_again, "it reads back as another one");
            for state in states() {
                for first in [true, false] {
                    let state = hear(state.clone(), &reports, first);
                    let tenure = state.cluster(&prod()).tenure;
                    let past = || state.past(&prod());
                    let response = respond(&tenure, &peer_name(), &ask, past);
                    take_in(state.clone(), response.change);
                }
            }
            let made = fuzzing::peer_question(data).unwrap().1;
            for state in states() {
                let tenure = state.cluster(&prod()).tenure;
                let answer = respond(&tenure, &peer_name(), &made, || state.past(&prod())).answer;
                // Whoever asked takes in what came back.
                for asker in states() {
                    let tenure = asker.cluster(&prod()).tenure;
                    let _ = conclude(&tenure, &made, &answer, &peer_name());
                }
            }
        }
    }
    match fuzzing::peer_reply(data) {
        Err(why) => crate::assert_plain(&why, 1_024),
        Ok((reports, answer, again)) => {
            let (reports_again, answer_again, _) = fuzzing::peer_reply(&again).unwrap();
            assert!(reports == reports_again && answer == answer_again, "another one");
            for state in states() {
                hear(state, &reports, true);
            }
        }
    }
}

/// An answer of etcd: what people are told of it is plain, and where a cluster stands reads back as itself. The
/// first two bytes are the status of HTTP.
pub fn etcd(data: &[u8]) {
    let Some((status, body)) = data.split_first_chunk::<2>() else { return };
    let (said, pasts) = fuzzing::etcd(u16::from_be_bytes(*status) % 1_000, body);
    for text in said {
        crate::assert_plain(&text, 2_048);
    }
    for past in pasts {
        let written = serde_json::to_string(&past).unwrap();
        assert_eq!(serde_json::from_str::<watchkeeper_core::past::Past>(&written).unwrap(), past);
    }
}
