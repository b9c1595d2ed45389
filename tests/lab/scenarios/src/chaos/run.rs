//! One schedule from its beginning to its end.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::AddAssign;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use watchkeeper_core::event::Event;
use watchkeeper_core::execution::Outcome;
use watchkeeper_core::plan::PlanKind;

use super::ending;
use super::fault::{Fault, Host};
use super::hurt::Hurt;
use super::news::{self, News};
use super::past::Past;
use super::rows::{self, Writer};
use super::schedule::Schedule;
use super::sides;
use super::sight::{Seen, Sight};
use super::site::{Site, within};
use crate::{Lab, now};

/// What was counted on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Schedules.
    pub schedules: u64,
    /// Faults.
    pub faults: u64,
    /// Completed failovers.
    pub failovers: u64,
    /// Completed planned changes of side.
    pub planned: u64,
    /// Rescues, and strays that were stopped.
    pub repairs: u64,
    /// Times at which a host was switched off by its controller.
    pub fenced: u64,
    /// Times at which an operator said which side is active.
    pub declared: u64,
    /// Looks at both sides' processes.
    pub looks: u64,
    /// Pairs of processes of both sides that somebody else than a monitor was the reason for.
    pub strays: u64,
    /// Pairs for which deceived witnesses were the reason.
    pub deceived: u64,
    /// Jobs that were acknowledged.
    pub jobs: u64,
    /// Those of them that had to be there after a planned change, and were.
    pub carried: u64,
    /// Notifications.
    pub notifications: u64,
    /// Those that came twice, with a reason.
    pub doubled: u64,
    /// Milliseconds, the lab's start and end included.
    pub ms: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.schedules += other.schedules;
        self.faults += other.faults;
        self.failovers += other.failovers;
        self.planned += other.planned;
        self.repairs += other.repairs;
        self.fenced += other.fenced;
        self.declared += other.declared;
        self.looks += other.looks;
        self.strays += other.strays;
        self.deceived += other.deceived;
        self.jobs += other.jobs;
        self.carried += other.carried;
        self.notifications += other.notifications;
        self.doubled += other.doubled;
        self.ms += other.ms;
    }
}

/// How a schedule went.
#[derive(Debug, Clone)]
pub struct Report {
    /// Its seed.
    pub seed: u64,
    /// What happened.
    pub story: String,
    /// What must not be.
    pub violations: Vec<String>,
    /// What was counted.
    pub counts: Counts,
}

struct Story {
    begun: u64,
    lines: Vec<(u64, String)>,
}

impl Story {
    fn tell(&mut self, what: impl Into<String>) {
        self.tell_at(now(), what);
    }

    fn tell_at(&mut self, at: u64, what: impl Into<String>) {
        self.lines.push((at, what.into()));
    }

    /// Adds what the journals have of it.
    fn tell_past(&mut self, past: &Past) {
        for written in past.records() {
            let what = match &written.event {
                Event::PlanBegun(plan) => {
                    format!("plan {} begins: {}: {}", plan.number, plan.kind, plan.reason)
                }
                Event::StepIntended { plan, step, attempt, term } => {
                    format!("plan {plan}, step {step}, attempt {attempt}, term {}", term.0)
                }
                Event::StepEnded { plan, step, outcome, .. } => {
                    format!("plan {plan}, step {step} ended: {outcome:?}")
                }
                Event::PlanEnded { plan, ending } => format!("plan {plan} ended: {ending:?}"),
                Event::Declared { side, .. } => format!("{side} is declared"),
                Event::AlertFired(alert) => format!("alert: {}", alert.claim.summary),
                _ => continue,
            };
            self.tell_at(written.at, format!("  {}: {what}", written.monitor));
        }
    }

    fn text(mut self) -> String {
        self.lines.sort_by_key(|(at, _)| *at);
        let mut text = String::new();
        for (at, what) in &self.lines {
            let since = at.cast_signed() - self.begun.cast_signed();
            let _ = writeln!(
                text,
                "{:>8.3} {what}",
                Duration::from_millis(since.unsigned_abs()).as_secs_f64()
            );
        }
        text
    }
}

/// Runs the schedule of a seed on a lab of its own; none where no lab can be brought up.
pub fn run(seed: u64) -> Option<Report> {
    let begun = Instant::now();
    let schedule = Schedule::of(seed);
    let lab = Lab::up(&format!("chaos, seed {seed}"))?;
    let mut site = Site::of(&lab, &schedule);
    let mut story = Story { begun: now(), lines: Vec::new() };
    story.tell(schedule.to_string());
    let (sight, writer) = (Sight::of(&lab), Writer::of(&lab));
    let mut hurt = Hurt::of(&schedule);
    trouble(&schedule, &mut site, &mut hurt, &mut story);
    let mut violations = Vec::new();
    let mut active = None;
    match ending::recover(&mut site, &mut hurt, &sight, |what| story.tell(what)) {
        Ok(host) => {
            story.tell(format!("all is well, and {host} serves"));
            active = Some(host);
        }
        Err(why) => violations.push(why),
    }
    if let Some(host) = active.filter(|_| schedule.finale) {
        active = finale(&mut site, &mut hurt, &sight, &mut story, host)
            .map_err(|why| violations.push(why))
            .ok();
    }
    hurt.end_orders();
    let jobs = writer.end();
    let looked = sight.end();
    let all = Checked { schedule: &schedule, seen: &looked, jobs: &jobs, active };
    let mut counts = all.judge(&site, &hurt, &mut story, &mut violations);
    if !violations.is_empty() {
        keep(&site, seed, &mut story);
    }
    drop(site);
    drop(lab);
    counts.ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    Some(Report { seed, story: story.text(), violations, counts })
}

/// Everything that goes wrong, and its end.
fn trouble(schedule: &Schedule, site: &mut Site<'_>, hurt: &mut Hurt, story: &mut Story) {
    let begun = Instant::now();
    for moment in &schedule.moments {
        let left = Duration::from_millis(moment.at).saturating_sub(begun.elapsed());
        std::thread::sleep(left);
        let at = now();
        let came = hurt.befall(site, moment.fault);
        let what = moment.fault.to_string();
        story.tell_at(
            at,
            match came {
                Ok(()) => what,
                Err(why) => format!("{what}: nothing comes of it: {}", first_line(&why)),
            },
        );
    }
    hurt.put_right(site);
    story.tell("all faults are over");
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

/// A planned change of side, on a site that is well. Gives the side that serves then.
fn finale(
    site: &mut Site<'_>,
    hurt: &mut Hurt,
    sight: &Sight,
    story: &mut Story,
    active: Host,
) -> Result<Host, String> {
    story.tell("an operator orders a planned change of side");
    let held = match site.holder() {
        Some((monitor, _)) => ending::change_sides(monitor, active).err(),
        None => Some("no monitor has the duty".to_owned()),
    };
    if let Some(why) = held {
        story.tell(format!("it did not come to that: {why}"));
    }
    let host = ending::recover(site, hurt, sight, |what| story.tell(what))?;
    story.tell(format!("all is well, and {host} serves"));
    Ok(host)
}

/// What is held against each other.
struct Checked<'a> {
    schedule: &'a Schedule,
    seen: &'a Seen,
    jobs: &'a [rows::Acknowledged],
    active: Option<Host>,
}

impl Checked<'_> {
    fn judge(
        &self,
        site: &Site<'_>,
        hurt: &Hurt,
        story: &mut Story,
        violations: &mut Vec<String>,
    ) -> Counts {
        let faults = u64::try_from(self.schedule.faults).unwrap_or(0);
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let mut counts = Counts { schedules: 1, faults, ..Counts::default() };
        counts.looks = count(self.seen.looks);
        counts.jobs = count(self.jobs.len());
        if self.seen.looks < 100 || self.seen.whole == 0 {
            violations.push(format!(
                "{} looks, {} at an active side, prove nothing",
                self.seen.looks, self.seen.whole
            ));
        }
        let past =
            within(Duration::from_mins(1), Duration::from_secs(1), || site.past(&hurt.ahead));
        let past = match past {
            Ok(past) => past,
            Err(why) => {
                violations.push(format!("a journal cannot be read: {why}"));
                return counts;
            }
        };
        story.tell_past(&past);
        let sides = sides::judge(self.seen, &past, &hurt.spans);
        violations.extend(sides.violations);
        (counts.strays, counts.deceived) = (count(sides.strays), count(sides.deceived));

        let changes = rows::changes(&past);
        let (owed, carried) = rows::owed(self.jobs, &changes, self.seen);
        if let Some(host) = self.active {
            counts.carried = count(carried);
            match there(site.lab, host) {
                Ok(there) => violations.extend(rows::judge(&owed, &there, host)),
                Err(why) => violations.push(format!("the jobs on {host} cannot be read: {why}")),
            }
        }
        // What still waits at a site that is not well has not come, and that has been told already.
        if self.active.is_some() {
            let told = told(site, hurt, &past);
            violations.extend(told.violations);
            for host in told.unwritable {
                if !self.schedule.has(|fault| fault == Fault::Full(host)) {
                    violations
                        .push(format!("{host} said that nothing can be recorded, and had room"));
                }
            }
            counts.notifications = count(told.notifications);
            counts.doubled = count(told.doubled);
        }
        let kinds = changes.iter().filter_map(|change| change.kind.as_ref());
        counts.failovers = count(kinds.clone().filter(|it| **it == PlanKind::Failover).count());
        counts.planned = count(kinds.count()) - counts.failovers;
        counts.declared = count(changes.iter().filter(|change| change.kind.is_none()).count());
        for written in past.records() {
            match &written.event {
                Event::PlanBegun(plan) => counts.repairs += u64::from(!plan.kind.changes_side()),
                Event::StepEnded { outcome: Outcome::Done { detail, .. }, .. } => {
                    counts.fenced += u64::from(detail.contains(" was switched off by "));
                }
                _ => {}
            }
        }
        counts
    }
}

/// What became of the alerts. The monitors go on, and what is raised while this looks is not told yet: what is wrong
/// stays wrong, and what is not is right a moment later.
fn told(site: &Site<'_>, hurt: &Hurt, past: &Past) -> News {
    let mut told = news::judge(past, &site.taken(), &hurt.gone);
    for _ in 0..10 {
        if told.violations.is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_secs(3));
        // What came was made before.
        let taken = site.taken();
        if let Ok(past) = site.past(&hurt.ahead) {
            told = news::judge(&past, &taken, &hurt.gone);
        }
    }
    told
}

/// The names of the jobs in a host's repository.
fn there(lab: &Lab, host: Host) -> Result<BTreeSet<String>, String> {
    within(Duration::from_secs(30), Duration::from_secs(1), || {
        let names = lab.sql(host, "select name from dm_job where name like 'chaos-%'")?;
        Ok(names.lines().map(ToOwned::to_owned).collect())
    })
}

/// Where what a failed run leaves behind is kept.
fn folder(seed: u64) -> PathBuf {
    crate::machine::target().join("chaos").join(format!("seed-{seed}"))
}

/// Keeps the daemons' logs, their journals and what their receivers took.
fn keep(site: &Site<'_>, seed: u64, story: &mut Story) {
    let folder = folder(seed);
    crate::monitor::make_folder(&folder);
    for monitor in &site.monitors {
        let host = monitor.host();
        let _ = std::fs::write(folder.join(format!("{host}.log")), monitor.log());
        let copy = "sqlite3 /var/lib/watchkeeper/journal.db \".backup /lab/journal.copy\" || \
                    cp /var/lib/watchkeeper/journal.db /lab/journal.copy";
        let _ = site.lab.try_exec(host, &["sh", "-c", copy]);
        let _ = std::fs::copy(site.lab.file("journal.copy"), folder.join(format!("{host}.db")));
        let taken = site.lab.file(&format!("taken-{host}"));
        let _ = std::fs::copy(taken, folder.join(format!("{host}.taken")));
    }
    story.tell(format!("logs and journals are kept in {}", folder.display()));
}
