//! The duty is with one monitor at most, whatever is lost, late or doubled between two of them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use watchkeeper_core::duty::peer::{
    Answer, Ask, Report, belongs_here, conclude, conflict, heed, may_give, respond,
};
use watchkeeper_core::duty::{Change, DUTY, Grantor, Standing, Tenure};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{MonitorName, ReceiverName, Side, Term};
use watchkeeper_core::past::Past;
use watchkeeper_core::plan::PlanKind;
use watchkeeper_core::state::{ApplyError, State};

use crate::journal_format;
use crate::world::{NOW, World, cluster};

fn monitor(index: usize) -> MonitorName {
    MonitorName::new(["vp1", "vp2"][index]).unwrap()
}

fn past() -> Past {
    State::default().past(&cluster())
}

/// What is on the way from one monitor to the other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Letter {
    Question { from: usize, report: Report, ask: Kind },
    Reply { to: usize, report: Report, ask: Kind, answer: Kind },
}

/// Questions and answers without the past, which the tenures do not depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Greet,
    Offer(u64),
    Withdraw(u64),
    Request(u64),
    Free,
    Heard,
    Accepted(u64),
    Withdrawn,
    Refused,
}

impl Kind {
    fn ask(self) -> Ask {
        let (cluster, past) = (cluster(), Box::new(past()));
        match self {
            Self::Offer(next) => Ask::Offer { cluster, next: Term(next), past },
            Self::Withdraw(next) => Ask::Withdraw { cluster, next: Term(next) },
            Self::Request(next) => {
                let (by, reason) = ("ada".to_owned(), "it burns".to_owned());
                Ask::Request { cluster, next: Term(next), by, reason }
            }
            _ => Ask::Greet,
        }
    }

    fn answer(self) -> Answer {
        match self {
            Self::Accepted(term) => Answer::Accepted { term: Term(term) },
            Self::Withdrawn => Answer::Withdrawn,
            Self::Refused => Answer::Refused { why: String::new() },
            Self::Free => Answer::Free { known: None, past: Box::new(past()) },
            _ => Answer::Heard,
        }
    }

    fn of(answer: &Answer) -> Self {
        match answer {
            Answer::Accepted { term } => Self::Accepted(term.0),
            Answer::Withdrawn => Self::Withdrawn,
            Answer::Refused { .. } => Self::Refused,
            Answer::Free { .. } => Self::Free,
            _ => Self::Heard,
        }
    }
}

/// Two monitors and the network between them. What a monitor keeps is in its journal, so a crash is
/// nothing but the loss of what is on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Model {
    tenures: [Tenure; 2],
    letters: BTreeSet<Letter>,
}

/// Terms, and letters on the way at once, beyond which the model is not followed.
const TERMS: u64 = 7;
const LETTERS: usize = 2;

impl Model {
    fn report(&self, who: usize) -> Report {
        Report::of(&cluster(), &self.tenures[who])
    }

    fn apply(&mut self, who: usize, change: Option<Change>) {
        if let Some(change) = change {
            self.tenures[who].apply(&change).unwrap_or_else(|error| panic!("{change:?}: {error}"));
        }
    }

    fn hear(&mut self, who: usize, report: &Report) {
        let change = heed(&self.tenures[who], report, &monitor(1 - who), who == 0);
        self.apply(who, change);
    }

    /// Everything that can happen next, with its name.
    fn next(&self) -> Vec<(String, Self)> {
        let mut all = Vec::new();
        for who in 0..2 {
            let tenure = &self.tenures[who];
            if self.letters.len() < LETTERS {
                let mut asks = vec![Kind::Greet];
                if let Standing::Offered { next, .. } = tenure.standing() {
                    asks.extend([Kind::Offer(next.0), Kind::Withdraw(next.0)]);
                } else if !matches!(tenure.standing(), Standing::Held { .. }) {
                    asks.push(Kind::Request(tenure.next().0));
                }
                for ask in asks {
                    let mut after = self.clone();
                    after.letters.insert(Letter::Question {
                        from: who,
                        report: self.report(who),
                        ask,
                    });
                    all.push((format!("{} asks {ask:?}", monitor(who)), after));
                }
            }
            let phase = Phase::Active(Side::Secondary);
            if let Ok(offer) = may_give(tenure, phase, &monitor(1 - who), false, "a test") {
                let mut after = self.clone();
                after.apply(who, Some(offer));
                all.push((format!("{} gives", monitor(who)), after));
            }
        }
        for letter in &self.letters {
            let mut without = self.clone();
            without.letters.remove(letter);
            all.push((format!("{letter:?} is lost"), without.clone()));
            // It may come again: it stays on the way.
            for mut after in [without, self.clone()] {
                after.deliver(letter);
                if after.letters.len() <= LETTERS {
                    all.push((format!("{letter:?} arrives"), after));
                }
            }
        }
        all
    }

    fn deliver(&mut self, letter: &Letter) {
        match letter {
            Letter::Question { from, report, ask } => {
                let to = 1 - from;
                self.hear(to, report);
                let response = respond(&self.tenures[to], &monitor(*from), &ask.ask(), past);
                self.apply(to, response.change);
                self.letters.insert(Letter::Reply {
                    to: *from,
                    report: self.report(to),
                    ask: *ask,
                    answer: Kind::of(&response.answer),
                });
            }
            Letter::Reply { to, report, ask, answer } => {
                let (ask, answer) = (ask.ask(), answer.answer());
                let change = conclude(&self.tenures[*to], &ask, &answer, &monitor(1 - to));
                self.apply(*to, change);
                self.hear(*to, report);
            }
        }
    }

    fn holders(&self) -> usize {
        self.tenures.iter().filter(|it| matches!(it.standing(), Standing::Held { .. })).count()
    }
}

#[test]
fn at_most_one_has_the_duty_in_every_order_of_losses_delays_and_doubles() {
    let start = Model::default();
    let mut before: BTreeMap<Model, Option<(Model, String)>> = [(start.clone(), None)].into();
    let mut open = VecDeque::from([start]);
    let (mut handed, mut taken_back, mut taken_free) = (0, 0, 0);
    while let Some(model) = open.pop_front() {
        assert!(model.holders() <= 1, "{}", story(&before, &model));
        for tenure in &model.tenures {
            handed +=
                usize::from(matches!(tenure.standing(), Standing::Held { term } if term.0 == 2));
            taken_back +=
                usize::from(matches!(tenure.standing(), Standing::Held { term } if term.0 == 3));
        }
        taken_free += model.tenures.iter().filter(|it| it.ordered()).count();
        if model.tenures.iter().any(|it| it.seen() >= Term(TERMS)) {
            continue;
        }
        for (what, after) in model.next() {
            if !before.contains_key(&after) {
                before.insert(after.clone(), Some((model.clone(), what)));
                open.push_back(after);
            }
        }
    }
    assert!(before.len() > 5_000, "{} states", before.len());
    assert!(handed > 0 && taken_back > 0 && taken_free > 0);
}

fn story(before: &BTreeMap<Model, Option<(Model, String)>>, end: &Model) -> String {
    let (mut steps, mut at) = (Vec::new(), end);
    while let Some(Some((earlier, what))) = before.get(at) {
        steps.push(what.clone());
        at = earlier;
    }
    steps.reverse();
    format!("{}\n{end:#?}", steps.join("\n"))
}

/// Both hear each other until nothing changes any more.
fn settle(model: &mut Model) {
    for _ in 0..8 {
        for who in 0..2 {
            let ask = match model.tenures[who].standing() {
                Standing::Offered { next, .. } => Kind::Offer(next.0),
                _ => Kind::Greet,
            };
            model.deliver(&Letter::Question { from: who, report: model.report(who), ask });
            while let Some(letter) = model.letters.pop_first() {
                model.deliver(&letter);
            }
        }
    }
}

fn force(model: &mut Model, who: usize) {
    let grantor = Grantor::Operator { by: "ada".to_owned(), reason: "it burns".to_owned() };
    let term = model.tenures[who].next();
    model.apply(who, Some(Change::Taken { term, grantor, past: None }));
}

/// An operator who cannot know better takes the duty on one side, or on both. When the monitors
/// hear each other again, the later term counts; of two equal ones the first monitor's.
#[test]
fn a_duty_that_was_taken_by_order_is_settled_when_they_hear_each_other() {
    let mut model = Model::default();
    settle(&mut model);
    assert_eq!(*model.tenures[0].standing(), Standing::Held { term: Term(1) });
    force(&mut model, 1);
    settle(&mut model);
    assert_eq!(*model.tenures[1].standing(), Standing::Held { term: Term(2) });
    let left = Standing::Elsewhere { term: Term(2), holder: Some(monitor(1)) };
    assert_eq!(*model.tenures[0].standing(), left);

    force(&mut model, 1);
    force(&mut model, 0);
    settle(&mut model);
    assert_eq!(*model.tenures[0].standing(), Standing::Held { term: Term(3) });
    assert_eq!(model.holders(), 1, "{model:#?}");
}

/// A journal that was lost must not make a monitor act: the other one's word counts, or an
/// operator's.
#[test]
fn a_monitor_that_forgot_everything_does_not_begin_again() {
    for holder in 0..2 {
        let mut model = Model::default();
        settle(&mut model);
        if holder == 1 {
            let offer =
                may_give(&model.tenures[0], Phase::Active(Side::Secondary), &monitor(1), false, "")
                    .unwrap();
            model.apply(0, Some(offer));
            settle(&mut model);
        }
        assert_eq!(model.holders(), 1);
        model.tenures[0] = Tenure::default();
        settle(&mut model);
        assert_ne!(*model.tenures[0].standing(), Standing::Held { term: Term(1) });
        assert_eq!(model.holders(), holder, "{model:#?}");
        if holder == 0 {
            let why = conflict(&model.tenures[0], &model.report(1), &monitor(0));
            assert!(why.is_some_and(|why| why.contains("this journal knows nothing of it")));
        }
    }
}

#[test]
fn each_side_has_its_monitor_and_a_plan_in_flight_keeps_the_duty() {
    assert!(belongs_here(true, Side::Primary) && belongs_here(false, Side::Secondary));
    assert!(!belongs_here(true, Side::Secondary) && !belongs_here(false, Side::Primary));
    let mut tenure = Tenure::default();
    let phase = Phase::Active(Side::Secondary);
    assert!(may_give(&tenure, phase, &monitor(1), false, "").is_err());
    let taken = Change::Taken { term: Term(1), grantor: Grantor::Beginning, past: None };
    tenure.apply(&taken).unwrap();
    let busy = may_give(&tenure, Phase::FailingOver(Side::Primary), &monitor(1), false, "");
    assert!(busy.unwrap_err().contains("plan in flight"));
    assert!(may_give(&tenure, phase, &monitor(1), false, "").is_ok());
}

struct Journal(State);

impl Journal {
    fn write(&mut self, event: Event) -> Result<(), ApplyError> {
        let record = Record { seq: self.0.seq + 1, at: NOW, cluster: Some(cluster()), event };
        let mut after = self.0.clone();
        after.apply(&record)?;
        self.0 = after;
        Ok(())
    }

    fn duty(&mut self, change: Change) -> Result<(), ApplyError> {
        self.write(Event::Duty(change))
    }
}

fn taken(term: u64, past: Option<Past>) -> Change {
    Change::Taken { term: Term(term), grantor: Grantor::Lease, past: past.map(Box::new) }
}

fn offered(term: u64, ordered: bool) -> Change {
    let (next, to, why) = (Term(term + 1), monitor(1), "a test".to_owned());
    Change::Offered { term: Term(term), next, to, ordered, why }
}

fn left(term: u64) -> Change {
    let (holder, why) = (Some(monitor(1)), "a test".to_owned());
    Change::Left { term: Term(term), holder, why }
}

/// Invariant 2 where it cannot be got round: the journal takes no step of a term that is over.
#[test]
fn plans_and_steps_of_an_older_term_are_refused() {
    let mut journal = Journal(State::default());
    let plan = |term| {
        let mut plan = World::new().plan(PlanKind::Failover);
        plan.term = Term(term);
        Event::PlanBegun(Box::new(plan))
    };
    let step = |term| Event::StepIntended { plan: 1, step: 0, attempt: 1, term: Term(term) };
    journal.duty(taken(5, None)).unwrap();
    assert!(matches!(journal.write(plan(4)), Err(ApplyError::Duty { .. })));
    journal.write(plan(5)).unwrap();
    assert!(matches!(journal.write(step(4)), Err(ApplyError::Duty { .. })));
    let offer = offered(5, false);
    assert!(matches!(journal.duty(offer), Err(ApplyError::PlanInFlight(_))));
    journal.duty(left(9)).unwrap();
    for term in [5, 9, 10] {
        assert!(matches!(journal.write(step(term)), Err(ApplyError::Duty { .. })), "{term}");
    }
    assert!(matches!(journal.duty(taken(9, None)), Err(ApplyError::Duty { .. })));
    journal.duty(taken(10, None)).unwrap();
    journal.write(step(10)).unwrap();
}

/// A successor decides from the same past: what its predecessor knew it knows, and it goes on with
/// the plan, the alerts and who was told.
#[test]
fn a_successor_knows_what_its_predecessor_knew() {
    let given = journal_format::past();
    let mut journal = Journal(State::default());
    journal.duty(taken(7, Some(given.clone()))).unwrap();
    assert_eq!(journal.0.past(&cluster()), given);
    let here = journal.0.cluster(&cluster());
    assert_eq!(here.phase, Phase::FailingOver(Side::Primary));
    let progress = here.progress.unwrap();
    assert!(matches!(
        progress.next(),
        watchkeeper_core::execution::Next::Attempt { index: 0, attempt: 2, resumed: true, .. }
    ));
    let alert = &given.alerts[0];
    let told: Vec<_> = journal.0.post.told.of(&alert.fingerprint).map(|it| it.0.clone()).collect();
    assert_eq!(told, [ReceiverName::new("ops").unwrap()]);
    assert!(
        journal.0.post.outbox.entries().next().is_none(),
        "what was queued there is delivered there"
    );

    // The predecessor keeps only what is about its own duty, and tells nobody that the rest is over.
    let mut own = alert.clone();
    own.source = DUTY.to_owned();
    own.fingerprint = serde_json::from_str("\"00000000000000aa\"").unwrap();
    journal.write(Event::AlertFired(own.clone())).unwrap();
    journal.duty(left(8)).unwrap();
    let firing: Vec<_> = journal.0.clusters[&cluster()].alerts.firing().cloned().collect();
    assert_eq!(firing, [own]);
    assert_eq!(journal.0.post.told.of(&alert.fingerprint).count(), 0);
}

#[test]
fn what_is_shared_counts_if_it_is_newer_and_the_duty_is_elsewhere() {
    let shared = |term, version, number| {
        let mut past = past();
        past.next_plan = number;
        past.phase = Phase::Active(Side::Secondary);
        Change::Shared { term: Term(term), version, past: Box::new(past) }
    };
    let mut journal = Journal(State::default());
    journal.duty(shared(2, 10, 4)).unwrap();
    let here = journal.0.cluster(&cluster());
    assert_eq!((here.phase, here.next_plan), (Phase::Active(Side::Secondary), 4));
    for older in [shared(2, 10, 9), shared(1, 99, 9)] {
        assert!(matches!(journal.duty(older), Err(ApplyError::Duty { .. })));
    }
    journal.duty(shared(3, 1, 2)).unwrap();
    assert_eq!(journal.0.cluster(&cluster()).next_plan, 4, "numbers never go back");
    journal.duty(taken(4, None)).unwrap();
    assert!(matches!(journal.duty(shared(9, 9, 9)), Err(ApplyError::Duty { .. })));
}

/// Where an operator put the duty it stays, at the giver's and the taker's, until the side changes.
#[test]
fn what_an_operator_moved_stays_until_the_side_changes() {
    let kept = |journal: &Journal| journal.0.cluster(&cluster()).is_kept();
    let operator = |term| Change::Taken {
        term: Term(term),
        grantor: Grantor::Operator { by: "ada".to_owned(), reason: "patching".to_owned() },
        past: None,
    };
    let mut giver = Journal(State::default());
    giver.duty(taken(1, None)).unwrap();
    assert!(!kept(&giver));
    giver.duty(offered(1, true)).unwrap();
    let past = giver.0.past(&cluster());
    let grantor = Grantor::Peer { monitor: monitor(0) };
    let received = Change::Taken { term: Term(2), grantor, past: Some(Box::new(past)) };
    let mut taker = Journal(State::default());
    taker.duty(received).unwrap();
    assert!(kept(&taker), "the giver says that it was an order");
    let (side, by, reason) = (Side::Secondary, "ada".to_owned(), "moved".to_owned());
    taker.write(Event::Declared { side, by, reason }).unwrap();
    assert!(!kept(&taker));

    taker.duty(offered(2, false)).unwrap();
    let back = Change::Taken { term: Term(4), grantor: Grantor::TakenBack, past: None };
    taker.duty(back).unwrap();
    assert!(kept(&taker), "an offer that was taken back is not made again at once");
    taker.duty(offered(4, false)).unwrap();
    taker.duty(operator(6)).unwrap();
    assert!(kept(&taker));
}
