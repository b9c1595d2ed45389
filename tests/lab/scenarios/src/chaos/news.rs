//! Whether an alert is missing, or came more than once without a reason that docs/alerts.md names.
//!
//! What the monitors' journals say that their receivers were to be told is held against what the receivers took.

use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::event::Event;

use super::fault::Host;
use super::past::{Past, Written};

/// What a receiver took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The monitor's host.
    pub monitor: Host,
    /// The notification's idempotency key, which ends with its number.
    pub key: String,
    /// When, in milliseconds since 1970.
    pub at: u64,
    /// Whether it is that the journal cannot be written, which no journal has.
    pub unwritable: bool,
}

/// For how long a monitor or its receiver was ended, or stood still: an answer may have been lost, or not recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The monitor's host.
    pub monitor: Host,
    /// From when, in milliseconds since 1970.
    pub from: u64,
    /// Until when.
    pub until: u64,
}

/// How long before the end of a process its last words may have been taken.
const LAST_WORDS: u64 = 1_000;

/// What came of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What must not be.
    pub violations: Vec<String>,
    /// How many notifications there were.
    pub notifications: usize,
    /// How many were taken twice, with a reason.
    pub doubled: usize,
    /// Monitors whose receivers heard that nothing can be recorded.
    pub unwritable: BTreeSet<Host>,
}

/// What happened to one alert, in both journals.
#[derive(Debug, Default)]
struct Story {
    name: String,
    /// How often it was raised, or grew worse.
    raised: usize,
    ended: usize,
    told: usize,
    told_over: usize,
    untold: bool,
    /// Whether it fires, by the last record.
    fires: bool,
    /// Whether receivers were told last that it does.
    last_word: Option<bool>,
}

/// Holds what receivers took against what the journals say.
pub fn judge(past: &Past, taken: &[Taken], gone: &[Gone]) -> News {
    let mut news = News::default();
    let mut stories = BTreeMap::<String, Story>::new();
    let mut made = BTreeSet::new();
    for Written { monitor, event, .. } in past.records() {
        match event {
            Event::AlertFired(alert) => {
                let story = stories.entry(alert.fingerprint.to_string()).or_default();
                story.name.clone_from(&alert.claim.name);
                story.raised += 1;
                story.fires = true;
            }
            Event::AlertResolved { fingerprint, .. } => {
                let story = stories.entry(fingerprint.to_string()).or_default();
                story.ended += 1;
                story.fires = false;
            }
            Event::AlertUntold { fingerprint, .. } => {
                stories.entry(fingerprint.to_string()).or_default().untold = true;
            }
            Event::NotificationMade(it) => {
                made.insert((*monitor, it.id));
                for subject in it.alerts.iter().filter(|subject| subject.news) {
                    let story = stories.entry(subject.alert.fingerprint.to_string()).or_default();
                    story.name.clone_from(&subject.alert.claim.name);
                    let fires = subject.alert.ends_at.is_none();
                    story.told += usize::from(fires);
                    story.told_over += usize::from(!fires);
                    story.last_word = Some(fires);
                }
            }
            Event::NotificationDead { id, problem } => news
                .violations
                .push(format!("notification {id} of {monitor} was given up: {problem}")),
            _ => {}
        }
    }
    news.notifications = made.len();
    for (fingerprint, story) in &stories {
        news.violations.extend(odd(fingerprint, story));
    }
    deliveries(&made, taken, gone, &mut news);
    news
}

/// What is wrong with what was to be told of an alert.
fn odd(fingerprint: &str, story: &Story) -> Vec<String> {
    let Story { name, raised, ended, told, told_over, .. } = story;
    let what = format!("alert {name} ({fingerprint})");
    let mut odd = Vec::new();
    if story.untold {
        odd.push(format!("{what} was not told to anybody"));
    // What is over before it could be told is told once, with its beginning and its end.
    } else if *raised > 0 && *told + *told_over == 0 {
        odd.push(format!("{what} was raised {raised} times, and no receiver was to be told"));
    }
    if told > raised || told_over > ended {
        odd.push(format!(
            "{what} was raised {raised} times and over {ended} times, and told {told} and {told_over} times"
        ));
    }
    if let Some(last) = story.last_word.filter(|last| *last != story.fires) {
        let so = |fires| if fires { "it fires" } else { "it is over" };
        odd.push(format!("the last word on {what} is that {}, and {}", so(last), so(story.fires)));
    }
    odd
}

fn deliveries(made: &BTreeSet<(Host, u64)>, taken: &[Taken], gone: &[Gone], news: &mut News) {
    let mut came = BTreeMap::<(Host, u64), Vec<&Taken>>::new();
    for one in taken {
        if one.unwritable {
            if !news.unwritable.insert(one.monitor) {
                news.violations.push(format!("{} cannot write, and said so twice", one.monitor));
            }
            continue;
        }
        let number = one.key.rsplit('-').next().and_then(|number| number.parse().ok());
        let Some(number) = number else {
            news.violations.push(format!("{} is no key of a notification", one.key));
            continue;
        };
        came.entry((one.monitor, number)).or_default().push(one);
    }
    for (monitor, id) in made.iter().filter(|it| !came.contains_key(it)) {
        news.violations.push(format!("notification {id} of {monitor} never reached its receiver"));
    }
    for ((monitor, id), all) in &came {
        if !made.contains(&(*monitor, *id)) {
            news.violations.push(format!("{monitor} never made notification {id}, which came"));
        }
        for (one, next) in all.iter().zip(all.iter().skip(1)) {
            let lost = gone.iter().any(|it| {
                it.monitor == *monitor && it.from <= next.at && it.until + LAST_WORDS >= one.at
            });
            if one.key != next.key {
                let keys = format!("{} and {}", one.key, next.key);
                news.violations.push(format!("notification {id} of {monitor} has keys {keys}"));
            } else if lost {
                news.doubled += 1;
            } else {
                news.violations.push(format!(
                    "notification {id} of {monitor} came twice, at {} and {}, and nothing had ended or stood still",
                    one.at, next.at
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests;
