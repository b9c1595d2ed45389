//! kill -9 of the daemon in every step of a planned change of side, and of the way back.
//!
//! The steps are those of the plan as it was recorded. A kill is aimed, not timed: the site takes its time
//! over each command and statement, the test waits for a step to be intended and for what it does to show,
//! and what a busy machine let slip comes round again in the next change.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::plan::Plan;

use crate::harness::{LONG, World};

/// A command or a statement takes this long, and each step has one at least.
pub(crate) const LATENCY: Duration = Duration::from_millis(60);

/// How often the journal is looked at: several times in half of that.
pub(crate) const LOOK: Duration = Duration::from_millis(3);

pub(crate) const EXCLUSIVE: [Service; 3] = [Service::Activemq, Service::Daemon, Service::Rest];

/// When within a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    /// It is intended, and nothing of it is done yet.
    Intended,
    /// What it does shows on the site, and nobody was told.
    Shown,
}

/// The steps that are still to be killed in, and when.
type Aims = BTreeSet<(usize, Moment)>;

#[derive(Debug, Clone, Copy)]
struct Change {
    order: &'static str,
    from: &'static str,
    to: &'static str,
    side: Side,
}

const CHANGES: [Change; 2] = [
    Change { order: "switchover", from: "dm1", to: "dm2", side: Side::Secondary },
    Change { order: "switchback", from: "dm2", to: "dm1", side: Side::Primary },
];

/// Those who enter jobs where a daemon serves, and want to find them again.
pub(crate) struct Clients {
    last: i64,
}

impl Clients {
    pub(crate) fn of(world: &World) -> Self {
        Self { last: world.site.greatest("dm1", "job").expect("there are jobs") }
    }

    pub(crate) fn enter(&mut self, world: &World) {
        for server in ["dm1", "dm2"] {
            if world.site.is_ready(server, Service::Daemon) {
                let number = world.site.insert_job(server).expect("numbers are not given twice");
                assert!(number > self.last, "{number} on {server} after {}", self.last);
                self.last = number;
            }
        }
    }

    pub(crate) fn find(&self, world: &World, server: &str) {
        assert_eq!(world.site.greatest(server, "job"), Some(self.last), "lost on {server}");
    }
}

/// How far a plan has come, by its records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Between two steps.
    Between,
    /// An attempt at this step has no outcome.
    In(usize),
    Ended(PlanEnding),
}

pub(crate) fn standing(world: &World, plan: &Plan, begun: u64) -> Standing {
    let mut standing = Standing::Between;
    for record in world.journal_after(begun) {
        standing = match record.event {
            Event::StepIntended { plan: of, step, .. } if of == plan.number => Standing::In(step),
            Event::StepEnded { plan: of, .. } if of == plan.number => Standing::Between,
            Event::PlanEnded { plan: of, ending } if of == plan.number => Standing::Ended(ending),
            _ => continue,
        };
    }
    standing
}

/// How many changes the daemon has made on the site.
fn shown(world: &World) -> usize {
    let log = world.site.log();
    log.iter().filter(|(_, it)| it.contains(" by ssh ") || it.contains("/repository ")).count()
}

/// Waits for one of the moments aimed at; none if the plan ends before. A step that changes nothing,
/// because it only looks or it is so already, has nothing to show.
async fn wait_moment(
    world: &World,
    (plan, begun): (&Plan, u64),
    aims: &mut Aims,
) -> Option<(usize, Moment)> {
    let since = Instant::now();
    while since.elapsed() < LONG {
        let step = match standing(world, plan, begun) {
            Standing::Ended(_) => return None,
            Standing::Between => {
                sleep(LOOK).await;
                continue;
            }
            Standing::In(step) => step,
        };
        if aims.contains(&(step, Moment::Intended)) {
            return Some((step, Moment::Intended));
        }
        let before = shown(world);
        while standing(world, plan, begun) == Standing::In(step) {
            if shown(world) > before && aims.contains(&(step, Moment::Shown)) {
                return Some((step, Moment::Shown));
            }
            sleep(LOOK).await;
        }
        if shown(world) == before {
            aims.remove(&(step, Moment::Shown));
        }
    }
    panic!("plan {} does not go on", plan.number)
}

/// Changes side with a kill at each of `aims` that can be caught; without, at every moment of every
/// step of the plan. What was caught is taken out.
async fn change(world: &mut World, clients: &mut Clients, change: Change, aims: &mut Option<Aims>) {
    let starts: Vec<usize> = EXCLUSIVE.map(|it| world.site.starts(change.to, it)).to_vec();
    let known = world.plans().len();
    let order = [change.order, "--no-wait", "--reason", "a test", "--override", "maintenance"];
    world.ok(&order).await;
    let plan = world.plans().swap_remove(known);
    let begun = world
        .wait_record("the plan", |record| match &record.event {
            Event::PlanBegun(it) if it.number == plan.number => Some(record.seq),
            _ => None,
        })
        .await;
    let aims = aims.get_or_insert_with(|| {
        let both = |step| [(step, Moment::Intended), (step, Moment::Shown)];
        (0..plan.steps.len()).flat_map(both).collect()
    });
    while let Some((step, moment)) = wait_moment(world, (&plan, begun), aims).await {
        world.kill9().await;
        match standing(world, &plan, begun) {
            Standing::In(hit) if hit == step => {
                aims.remove(&(step, moment));
            }
            // It was quicker. That counts: a step that is killed in too often is given up.
            Standing::In(hit) => {
                aims.remove(&(hit, Moment::Intended));
            }
            Standing::Between | Standing::Ended(_) => {}
        }
        clients.enter(world);
        world.launch();
    }
    assert_eq!(standing(world, &plan, begun), Standing::Ended(PlanEnding::Completed));
    world.wait_active(change.side).await;
    world.assert_never_both();
    for (service, before) in EXCLUSIVE.into_iter().zip(starts) {
        assert!(world.site.is_ready(change.to, service), "{service}");
        assert!(!world.site.is_running(change.from, service), "{service}");
        assert_eq!(world.site.starts(change.to, service), before + 1, "{service} started twice");
    }
    clients.find(world, change.to);
    clients.enter(world);
    clients.find(world, change.to);
}

/// It was about to do it, and begins again; it had done it and could not say so, and does it no second
/// time. No two sides, and no row lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_every_step_a_planned_change_and_the_way_back_complete() {
    let mut world = World::prepare_with(|site| site.latency = LATENCY).await;
    world.config.replicated();
    world.run().await;
    // The policy would stop the old side's agent in between, and is not what this is about.
    world.ok(&["maintenance", "on", "--reason", "it is killed"]).await;
    let mut clients = Clients::of(&world);
    let mut left = CHANGES.map(|change| (change, None::<Aims>));
    let since = Instant::now();
    while left.iter().any(|(_, aims)| aims.as_ref().is_none_or(|aims| !aims.is_empty())) {
        assert!(since.elapsed() < 8 * LONG, "never caught in {left:?}");
        for (one, aims) in &mut left {
            change(&mut world, &mut clients, *one, aims).await;
        }
        // And DM2 follows again.
        assert_eq!(world.site.receives_from("dm2").as_deref(), Some("dm1"));
        clients.find(&world, "dm2");
    }
    let changes = world.changes();
    assert!(changes.iter().all(|plan| plan.steps.len() >= 16), "{changes:#?}");
    assert_eq!(world.plans().len(), changes.len());
}
