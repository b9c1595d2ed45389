//! The operator's abort in every step of every change of side, and the network dying in every step of one,
//! on the real daemon over real sockets. What stopped is taken up again until the change is completed.
//!
//! The steps are those of the plan as it was recorded. A moment that a busy machine let slip comes round
//! again in the next change.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use watchkeeper::api::{ClusterReport, OrderReply};
use watchkeeper_core::event::Event;
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::Side;
use watchkeeper_core::plan::Plan;

use crate::harness::{LONG, World, cluster};
use crate::planned::{Clients, EXCLUSIVE, LATENCY, LOOK, Standing, standing};

/// A change of side and the order for it.
#[derive(Debug, Clone, Copy)]
struct Change {
    order: &'static str,
    to: Side,
}

const SWITCHOVER: Change = Change { order: "switchover", to: Side::Secondary };
const SWITCHBACK: Change = Change { order: "switchback", to: Side::Primary };
const FAILOVER: Change = Change { order: "failover", to: Side::Secondary };

/// The servers that a change leaves and goes to.
const fn servers(to: Side) -> (&'static str, &'static str) {
    match to {
        Side::Primary => ("dm2", "dm1"),
        Side::Secondary => ("dm1", "dm2"),
    }
}

/// What befalls the steps, and which of them it still has to.
struct Aims {
    /// Set when the plan is known.
    steps: Option<BTreeSet<usize>>,
    befalls: Befalls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Befalls {
    Abort,
    /// Both sides cannot be reached for a moment.
    Moment,
    /// Both sides cannot be reached until the plan has ended.
    Cut,
}

impl Aims {
    const fn new(befalls: Befalls) -> Self {
        Self { steps: None, befalls }
    }

    fn are_left(&self) -> bool {
        self.steps.as_ref().is_none_or(|steps| !steps.is_empty())
    }
}

async fn prepare() -> World {
    let mut world = World::prepare_with(|site| site.latency = LATENCY).await;
    world.config.replicated().set("clusters.prod.plan.attempts", 1);
    let notes = world.path("notes").display().to_string();
    // What must not be done twice says so itself, in the end. The first is under way while the order for the
    // plan is still being answered.
    for (name, point, takes) in [
        ("early", "before-stop", "0.6"),
        ("between", "before-start", "0.1"),
        ("late", "after-start", "0.1"),
    ] {
        let command = format!("echo {name} {{plan}} >> {notes}; sleep {takes}");
        world.config.site_step(name, point, &command);
    }
    world
}

async fn begin(world: &mut World) -> Clients {
    world.run().await;
    // The policy would stop the old side's agent in between, and is not what this is about.
    world.ok(&["maintenance", "on", "--reason", "a test"]).await;
    Clients::of(world)
}

/// The plan with the order for it, and the record in which it was begun.
async fn order(world: &World, change: Change) -> (Plan, u64) {
    let known = world.plans().len();
    let mut order = vec![change.order, "--no-wait", "--reason", "a test"];
    for guard in ["maintenance", "cooldown", "storm"] {
        order.extend(["--override", guard]);
    }
    let since = Instant::now();
    loop {
        let said = world.cli(&order).await;
        match said.code {
            Some(0) => break,
            // Not everything is seen again yet.
            Some(4) => assert!(since.elapsed() < LONG, "{said:?}"),
            _ => panic!("{said:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
    let plan = world.plans().swap_remove(known);
    let begun = world
        .wait_record("the plan", |record| match &record.event {
            Event::PlanBegun(it) if it.number == plan.number => Some(record.seq),
            _ => None,
        })
        .await;
    (plan, begun)
}

/// Waits until a step that is aimed at is under way; false if the plan ends before.
async fn wait_step(world: &World, (plan, begun): (&Plan, u64), aims: &BTreeSet<usize>) -> bool {
    let since = Instant::now();
    loop {
        match standing(world, plan, begun) {
            Standing::Ended(_) => return false,
            Standing::In(step) if aims.contains(&step) => return true,
            _ => {}
        }
        assert!(since.elapsed() < LONG, "plan {} does not go on", plan.number);
        sleep(LOOK).await;
    }
}

/// Everything befalls the step that was seen under way, or one that has followed since; gives that one.
async fn befall(world: &mut World, (plan, begun): (&Plan, u64), befalls: Befalls) -> Option<usize> {
    if befalls == Befalls::Abort {
        let said = world.cli(&["abort", "--no-wait", "--reason", "a test", "--json"]).await;
        return match serde_json::from_str(&said.out) {
            Ok(OrderReply::Aborted { step, .. }) => Some(step),
            // It was quicker.
            Ok(OrderReply::Impossible { .. }) => None,
            other => panic!("{other:?}: {said:?}"),
        };
    }
    for server in ["dm1", "dm2"] {
        world.site.cut(server, None).unwrap();
    }
    let hit = standing(world, plan, begun);
    if befalls == Befalls::Moment {
        sleep(Duration::from_millis(200)).await;
        heal(world);
    }
    match hit {
        Standing::In(step) => Some(step),
        Standing::Between | Standing::Ended(_) => None,
    }
}

fn heal(world: &World) {
    for server in ["dm1", "dm2"] {
        world.site.heal(server, None).unwrap();
    }
}

/// The plan has ended: what an operator sees.
async fn wait_end(world: &mut World, plan: u64) -> ClusterReport {
    let ended = |it: &ClusterReport| it.plan.as_ref().is_none_or(|it| it.number != plan);
    let status = world.wait_for("its end", |status| ended(cluster(status))).await;
    cluster(&status).clone()
}

/// What stopped goes on when all can be seen again.
async fn resume(world: &mut World, plan: &Plan) {
    let since = Instant::now();
    loop {
        // That the old side was not seen for a while is known here, and nobody worked on it.
        let guards = ["--override", "maintenance", "--override", "standby"];
        let order = [&["resume", "--no-wait", "--reason", "a test"][..], &guards].concat();
        let needs_word = world.cluster().await.stopped.is_some_and(|it| it.needs_word);
        let notes = std::fs::read_to_string(world.path("notes")).unwrap_or_default();
        let step = world.cluster().await.stopped.map_or(0, |it| it.step - 1);
        let name = ["early", "between", "late"]
            .into_iter()
            .find(|name| plan.steps[step].act.to_string().ends_with(name));
        let done = name.is_some_and(|name| notes.contains(&format!("{name} {}\n", plan.number)));
        let of_step: &[&str] = match (needs_word, done) {
            (false, _) => &[],
            (true, false) => &["--step", "again"],
            (true, true) => &["--step", "done"],
        };
        let said = world.cli(&[&order[..], of_step].concat()).await;
        match said.code {
            Some(0) => return,
            // The facts are from before.
            Some(4) => assert!(since.elapsed() < LONG, "{said:?}"),
            _ => panic!("{said:?}"),
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Carries a change to its end, however often it is stopped.
async fn carry(world: &mut World, clients: &mut Clients, change: Change, aims: &mut Aims) -> usize {
    let (from, to) = servers(change.to);
    let starts: Vec<usize> = EXCLUSIVE.map(|it| world.site.starts(to, it)).to_vec();
    let (mut stops, mut last) = (0, None::<(Plan, u64)>);
    loop {
        let (plan, begun) = match last.take() {
            Some(known) => known,
            None => order(world, change).await,
        };
        let left = aims.steps.get_or_insert_with(|| (0..plan.steps.len()).collect());
        if wait_step(world, (&plan, begun), left).await
            && let Some(hit) = befall(world, (&plan, begun), aims.befalls).await
        {
            left.remove(&hit);
        }
        if aims.befalls == Befalls::Moment && left_to_do(world, &plan, begun) {
            last = Some((plan, begun));
            continue;
        }
        let report = wait_end(world, plan.number).await;
        heal(world);
        clients.enter(world);
        world.assert_never_both();
        if report.phase == format!("active on {}", change.to) {
            if let Some(steps) = &mut aims.steps {
                steps.retain(|step| !is_too_quick(world, (&plan, begun), *step));
            }
            break;
        }
        stops += 1;
        match &report.stopped {
            Some(stopped) => {
                assert_eq!(
                    report.phase,
                    format!("in need of an operator, {} before", change.to.other())
                );
                assert_eq!((stopped.number, stopped.steps), (plan.number, plan.steps.len()));
                resume(world, &plan).await;
                last = Some((plan, begun));
            }
            None => {
                // Nothing was touched.
                assert_eq!(report.phase, format!("active on {}", change.to.other()));
                assert_eq!(last_ending(world, &plan), Some("refused"), "{report:#?}");
            }
        }
    }
    for (service, before) in EXCLUSIVE.into_iter().zip(starts) {
        assert!(world.site.is_ready(to, service), "{service}");
        assert!(!world.site.is_running(from, service), "{service}");
        assert_eq!(world.site.starts(to, service), before + 1, "{service} started twice");
    }
    clients.find(world, to);
    clients.enter(world);
    clients.find(world, to);
    stops
}

/// Whether a step that changes nothing is over before anything can befall it: it only looks, and nothing of
/// that goes through the site's slow commands and statements.
fn is_too_quick(world: &World, (plan, begun): (&Plan, u64), step: usize) -> bool {
    let (mut since, mut longest) = (None, 0);
    for record in world.journal_after(begun) {
        match record.event {
            Event::StepIntended { plan: of, step: it, .. } if (of, it) == (plan.number, step) => {
                since = Some(record.at);
            }
            Event::StepEnded { plan: of, step: it, .. } if (of, it) == (plan.number, step) => {
                longest = longest.max(since.map_or(0, |since| record.at.since(since)));
            }
            _ => {}
        }
    }
    let looks = !plan.steps[step].act.has_effect();
    looks && longest < u64::try_from(LATENCY.as_millis() / 2).unwrap()
}

/// Whether the plan is still in flight, so that the next moment is waited for.
fn left_to_do(world: &World, plan: &Plan, begun: u64) -> bool {
    !matches!(standing(world, plan, begun), Standing::Ended(_))
}

fn last_ending(world: &World, plan: &Plan) -> Option<&'static str> {
    let ending = |event: &Event| match event {
        Event::PlanEnded { plan: number, ending } if *number == plan.number => Some(match ending {
            PlanEnding::Completed => "completed",
            PlanEnding::Refused { .. } => "refused",
            PlanEnding::Failed { .. } => "stopped",
        }),
        _ => None,
    };
    world.journal().iter().rev().find_map(|record| ending(&record.event))
}

/// No step of the site's own ran twice in a plan.
fn assert_steps_ran_once(world: &World) {
    let notes = std::fs::read_to_string(world.path("notes")).unwrap();
    let lines: Vec<&str> = notes.lines().collect();
    let once: BTreeSet<&str> = lines.iter().copied().collect();
    assert_eq!(lines.len(), once.len(), "{notes}");
}

/// Aborted in each step of each change of side, and taken up again: each is completed, nothing is done twice,
/// and no row is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aborted_in_every_step_every_change_of_side_goes_on_and_completes() {
    let mut world = prepare().await;
    let mut clients = begin(&mut world).await;
    let mut aims = [SWITCHOVER, SWITCHBACK, FAILOVER].map(|it| (it, Aims::new(Befalls::Abort)));
    let (since, mut stops) = (Instant::now(), 0);
    while aims.iter().any(|(_, aims)| aims.are_left()) {
        let left: Vec<_> = aims.iter().map(|(change, aims)| (change.order, &aims.steps)).collect();
        assert!(since.elapsed() < 10 * LONG, "never caught: {left:?}");
        for turn in [0, 1, 2, 1] {
            let (change, aims) = &mut aims[turn];
            stops += carry(&mut world, &mut clients, *change, aims).await;
        }
    }
    let longest: usize = world.changes().iter().map(|plan| plan.steps.len()).max().unwrap();
    assert!(stops > longest, "{stops} stops, {longest} steps");
    assert_steps_ran_once(&world);
    println!("{} changes of side, stopped {stops} times", world.changes().len());
}

/// The network between the monitor and both sides dies in each step of a planned change, for a moment and until
/// somebody mends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_network_dies_in_every_step_and_the_change_goes_on_when_it_is_back() {
    let mut world = prepare().await;
    world
        .config
        .set("probes.timeout", "400ms")
        .set("clusters.prod.plan.start-timeout", "2s")
        .set("clusters.prod.plan.stop-timeout", "2s")
        .set("clusters.prod.plan.repository-timeout", "2s");
    let mut clients = begin(&mut world).await;
    let (since, mut stops) = (Instant::now(), 0);
    for befalls in [Befalls::Cut, Befalls::Moment] {
        let mut aims = Aims::new(befalls);
        while aims.are_left() {
            assert!(since.elapsed() < 16 * LONG, "never caught: {:?}", aims.steps);
            stops += carry(&mut world, &mut clients, SWITCHOVER, &mut aims).await;
            let mut back = Aims { steps: Some(BTreeSet::new()), befalls };
            carry(&mut world, &mut clients, SWITCHBACK, &mut back).await;
        }
    }
    assert_steps_ran_once(&world);
    println!("{} changes of side, stopped {stops} times", world.changes().len());
}
