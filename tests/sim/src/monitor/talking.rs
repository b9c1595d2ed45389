//! The duty: what a monitor says of it to the other one, and what it makes of what it hears.

use watchkeeper_core::duty::peer::{
    Answer, Ask, Report, belongs_here, conclude, heed, may_give, respond,
};
use watchkeeper_core::duty::{Change, Standing};
use watchkeeper_core::event::Event;
use watchkeeper_core::lifecycle::Phase;

use super::{BEAT, Monitor, Question, Reply, Violation, Wish};

impl Monitor {
    pub(super) fn report(&self) -> Report {
        Report::of(self.site.cluster(), &self.here().tenure)
    }

    /// Records a change of the duty, and looks at everything anew if that is another one now.
    fn change(
        &mut self,
        now: u64,
        change: Option<Change>,
        wishes: &mut Vec<Wish>,
    ) -> Result<bool, Violation> {
        let Some(change) = change else { return Ok(true) };
        let written = self.record(now, vec![Event::Duty(change)])?;
        self.look(now, wishes)?;
        Ok(written)
    }

    /// Offers what has become the other monitor's watch.
    pub(super) fn hand_over(&mut self, now: u64) -> Result<(), Violation> {
        let here = self.here();
        let Phase::Active(side) = here.phase else { return Ok(()) };
        if self.site.etcd {
            return Ok(());
        }
        let well = !self.failed && self.reached.is_some_and(|at| now - at <= 3 * BEAT);
        if self.waiting(now)
            || here.is_kept()
            || here.progress.is_some()
            || belongs_here(self.first(), side)
            || !well
        {
            return Ok(());
        }
        let offer = may_give(&here.tenure, here.phase, self.peer(), false, "its watch").ok();
        let Some(offer) = offer else { return Ok(()) };
        self.record(now, vec![Event::Duty(offer)]).map(drop)
    }

    /// What it has to say to the other one at this beat.
    pub fn talk(&mut self, now: u64, wishes: &mut Vec<Wish>) {
        let here = self.here();
        let cluster = self.site.cluster().clone();
        let due = match here.tenure.standing() {
            Standing::Offered { next, .. } => {
                let past = Box::new(self.state.past(&cluster));
                Some(Ask::Offer { cluster, next: *next, past })
            }
            Standing::Held { term } => {
                let (term, version) = (*term, here.version);
                let subject = (term, version);
                let known = self.theirs.as_ref().is_some_and(|it| it.known >= Some(subject));
                let again = self.asked.is_none_or(|(term, version, at)| {
                    (term, version) != subject || now >= at + 5 * BEAT
                });
                if !known && again && self.reached.is_some() {
                    self.asked = Some((term, version, now));
                    let past = Box::new(self.state.past(&cluster));
                    Some(Ask::Share { cluster, term, version, past })
                } else {
                    None
                }
            }
            Standing::None | Standing::Elsewhere { .. } => None,
        };
        self.ask(due.unwrap_or(Ask::Greet), wishes);
    }

    /// An operator takes an offer back, if the other one promises not to accept it.
    pub fn cancel(&mut self, wishes: &mut Vec<Wish>) {
        if let Standing::Offered { next, .. } = self.here().tenure.standing() {
            let cluster = self.site.cluster().clone();
            self.ask(Ask::Withdraw { cluster, next: *next }, wishes);
        }
    }

    /// An operator wants the duty here, if the other one gives it.
    pub fn take(&mut self, wishes: &mut Vec<Wish>) {
        let tenure = &self.here().tenure;
        if matches!(tenure.standing(), Standing::None | Standing::Elsewhere { .. }) {
            let (cluster, next) = (self.site.cluster().clone(), tenure.next());
            let (by, reason) = ("ada".to_owned(), "wanted".to_owned());
            self.ask(Ask::Request { cluster, next, by, reason }, wishes);
        }
    }

    fn ask(&mut self, ask: Ask, wishes: &mut Vec<Wish>) {
        self.questions += 1;
        let (from, life, number, report) = (self.number, self.life, self.questions, self.report());
        wishes.push(Wish::Ask(Box::new(Question { from, life, number, ask, report })));
    }

    /// Answers the other one; nothing if its journal cannot be written.
    pub fn answer(
        &mut self,
        now: u64,
        question: &Question,
        wishes: &mut Vec<Wish>,
    ) -> Result<Option<Reply>, Violation> {
        self.hear(now, &question.report, wishes)?;
        let here = self.here();
        let ordered = match (&question.ask, here.tenure.standing()) {
            (Ask::Request { .. }, Standing::Offered { .. }) => Some((None, Answer::Giving)),
            (Ask::Request { .. }, Standing::Held { .. }) if here.progress.is_none() => {
                let offer = may_give(&here.tenure, here.phase, self.peer(), true, "wanted");
                Some(match offer {
                    Ok(change) => (Some(change), Answer::Giving),
                    Err(why) => (None, Answer::Refused { why }),
                })
            }
            _ => None,
        };
        let (change, answer) = ordered.unwrap_or_else(|| {
            let past = || self.state.past(self.site.cluster());
            let response = respond(&here.tenure, self.peer(), &question.ask, past);
            (response.change, response.answer)
        });
        if !self.change(now, change, wishes)? {
            return Ok(None);
        }
        Ok(Some(Reply { question: question.clone(), answer, report: self.report() }))
    }

    /// Takes an answer in, if it still waits for it.
    pub fn hear_reply(
        &mut self,
        now: u64,
        reply: &Reply,
        wishes: &mut Vec<Wish>,
    ) -> Result<(), Violation> {
        self.hear(now, &reply.report, wishes)?;
        let concluded =
            conclude(&self.here().tenure, &reply.question.ask, &reply.answer, self.peer());
        self.change(now, concluded, wishes)?;
        self.reached = Some(now);
        self.failed = false;
        self.answered = self.answered.max(reply.question.number);
        Ok(())
    }

    /// The question of that number is no longer waited for.
    pub const fn unanswered(&mut self, number: u64) {
        if self.answered < number {
            self.failed = true;
        }
    }

    fn hear(&mut self, now: u64, report: &Report, wishes: &mut Vec<Wish>) -> Result<(), Violation> {
        self.theirs = Some(report.clone());
        let change = heed(&self.here().tenure, report, self.peer(), self.first());
        self.change(now, change, wishes).map(drop)
    }
}
