//! Two monitors that hand the duty to each other: the primary is VP1's watch, the secondary VP2's.

use watchkeeper::api::DutyReport;
use watchkeeper_core::duty::{Change, Grantor};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{Service, Side, Term};
use watchkeeper_core::past::Past;
use watchkeeper_core::plan::PlanKind;

use crate::harness::{World, cluster};

/// Both prepared on one site, with keys that `watchkeeper duty keys` made.
async fn prepare(beat: &str) -> (World, World) {
    let mut vp1 = World::prepare().await;
    let mut vp2 = vp1.prepare_beside("vp2").await;
    // Both are bound before either is free again, so they differ.
    let bound = [(); 2].map(|()| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let addresses = bound.map(|it| it.local_addr().unwrap().to_string());
    let keys = vp1.path("keys");
    std::fs::create_dir(&keys).unwrap();
    for name in ["vp1", "vp2"] {
        let dir = keys.to_str().unwrap();
        let made = vp1.ok(&["duty", "keys", "--dir", dir, "--name", name]).await;
        assert!(made.out.contains("SHA-256"), "{made:?}");
    }
    let file = |name: &str| keys.join(name).to_str().unwrap().to_owned();
    for (world, me, peer, own) in [(&mut vp1, "vp1", "vp2", 0), (&mut vp2, "vp2", "vp1", 1)] {
        let mut set = |key: &str, value: String| {
            world.config.set(&format!("duty.peer.{key}"), value);
        };
        set("name", peer.to_owned());
        set("address", addresses[1 - own].clone());
        set("listen", addresses[own].clone());
        set("first", "vp1".to_owned());
        set("certificate", file(&format!("{me}.pem")));
        set("key", file(&format!("{me}.key")));
        set("peer-certificate", file(&format!("{peer}.pem")));
        set("beat", beat.to_owned());
        world.config.set("duty.observe", "200ms");
    }
    (vp1, vp2)
}

/// Both running, and the duty granted for the first time.
async fn start(beat: &str) -> (World, World) {
    let (mut vp1, mut vp2) = prepare(beat).await;
    vp1.run().await;
    let alone = vp1.cluster().await.duty;
    assert!(!alone.held, "nobody has said yet that VP2 does not have it: {alone:?}");
    vp2.run().await;
    held(&mut vp1).await;
    elsewhere(&mut vp2, "vp1").await;
    (vp1, vp2)
}

async fn held(world: &mut World) -> DutyReport {
    let status = world.wait_for("the duty", |status| cluster(status).duty.held).await;
    cluster(&status).duty.clone()
}

async fn elsewhere(world: &mut World, holder: &str) {
    world
        .wait_for("the other to have the duty", |status| {
            let duty = &cluster(status).duty;
            !duty.held && duty.holder.as_ref().is_some_and(|it| it.as_str() == holder)
        })
        .await;
}

fn changes(world: &World) -> Vec<(Record, Change)> {
    let duty = |record: Record| match &record.event {
        Event::Duty(change) => Some((record.clone(), change.clone())),
        _ => None,
    };
    world.journal().into_iter().filter_map(duty).collect()
}

/// When it was said to act, and when it was no longer, by its own journal.
fn terms(world: &World) -> Vec<(u64, bool)> {
    let turn = |(record, change): (Record, Change)| match change {
        Change::Taken { .. } => Some((record.at.0, true)),
        Change::Offered { .. } | Change::Left { .. } => Some((record.at.0, false)),
        Change::Declined { .. } | Change::Shared { .. } => None,
    };
    changes(world).into_iter().filter_map(turn).collect()
}

/// By both journals, only one of them ever had the duty. Within a millisecond, who let go did so
/// first.
fn assert_one_holder(vp1: &World, vp2: &World) {
    let mut turns: Vec<(u64, bool, usize)> = Vec::new();
    for (who, world) in [vp1, vp2].into_iter().enumerate() {
        turns.extend(terms(world).into_iter().map(|(at, has)| (at, has, who)));
    }
    turns.sort_unstable();
    let mut has = [false; 2];
    for (_, now, who) in &turns {
        has[*who] = *now;
        assert!(has != [true; 2], "both had it: {turns:?}");
    }
}

/// What came with the last grant to it by the other one.
fn received(world: &World) -> Past {
    let past = |(_, change)| match change {
        Change::Taken { grantor: Grantor::Peer { .. }, past: Some(past), .. } => Some(*past),
        _ => None,
    };
    changes(world).into_iter().filter_map(past).next_back().expect("it was given the duty")
}

/// What it decided since it had the duty last.
fn decided_since_it_went(world: &World) -> usize {
    let records = world.journal();
    let went = |record: &Record| matches!(record.event, Event::Duty(Change::Offered { .. }));
    let last = records.iter().rposition(went).expect("it gave the duty away");
    let decides =
        |record: &&Record| matches!(record.event, Event::Evaluated(_) | Event::PlanBegun(_));
    records[last..].iter().filter(decides).count()
}

/// VP1 fails over and hands the duty on; VP2 decides from the same past, and hands it back when the
/// primary is active again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_duty_follows_the_active_side() {
    let (mut vp1, mut vp2) = start("200ms").await;
    vp1.break_service("dm1", Service::Daemon).await;
    held(&mut vp2).await;
    elsewhere(&mut vp1, "vp2").await;
    vp2.wait_active(Side::Secondary).await;
    vp1.assert_secondary_serves().await;
    vp1.assert_never_both();
    let past = received(&vp2);
    assert_eq!((past.rescues.len(), past.changes.len()), (1, 1), "{past:?}");
    assert_eq!(past.next_plan, 3);
    let changes: Vec<PlanKind> = vp1.changes().into_iter().map(|plan| plan.kind).collect();
    assert!(matches!(changes[..], [PlanKind::Failover]), "{changes:?}");

    // What fails now is VP2's to see to.
    let starts = vp1.site.starts("dm2", Service::Daemon);
    vp1.site.kill("dm2", Service::Daemon).await.unwrap();
    vp1.wait_site("the daemon is back", |site| site.is_ready("dm2", Service::Daemon)).await;
    vp2.wait_active(Side::Secondary).await;
    vp1.let_pass(5).await;
    assert_eq!(vp1.site.starts("dm2", Service::Daemon), starts + 1);
    assert!(matches!(vp2.plans()[..], [ref plan] if plan.number == 3), "{:?}", vp2.plans());
    assert_eq!(decided_since_it_went(&vp1), 0);
    let order = vp1.cli(&["switchback", "--reason", "a test"]).await;
    assert_eq!(order.code, Some(4), "{order:?}");
    let explained = vp2.ok(&["explain"]).await;
    assert!(!explained.out.is_empty());

    vp1.site.allow_start("dm1", Service::Daemon).unwrap();
    vp2.ok(&["switchback", "--reason", "repaired", "--override", "cooldown"]).await;
    held(&mut vp1).await;
    elsewhere(&mut vp2, "vp1").await;
    let status = vp1.wait_active(Side::Primary).await;
    assert_eq!(cluster(&status).duty.term, 3);
    let past = received(&vp1);
    assert_eq!((past.rescues.len(), past.changes.len()), (2, 2), "{past:?}");
    vp2.let_pass(5).await;
    assert_eq!(decided_since_it_went(&vp2), 0);
    vp1.assert_never_both();
    assert_one_holder(&vp1, &vp2);
}

/// Who is alone keeps the duty, whichever side is active, and hands it over when the other comes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_that_is_alone_keeps_the_duty_until_the_other_comes() {
    let (mut vp1, mut vp2) = start("200ms").await;
    vp2.kill9().await;
    vp1.wait_alert("peer-unreachable").await;
    vp1.break_service("dm1", Service::Daemon).await;
    vp1.wait_active(Side::Secondary).await;
    let kept = vp1.wait_alert("duty-not-handed-over").await;
    assert!(kept.contains("which is vp2's watch now"), "{kept}");
    assert!(vp1.cluster().await.duty.held);
    vp1.wait_taken("duty-not-handed-over", "firing").await;
    vp1.assert_secondary_serves().await;

    vp2.run().await;
    held(&mut vp2).await;
    elsewhere(&mut vp1, "vp2").await;
    vp1.wait_no_alert("duty-not-handed-over").await;
    vp1.wait_no_alert("peer-unreachable").await;
    assert_eq!(received(&vp2).changes.len(), 1);
    vp1.assert_never_both();
    assert_one_holder(&vp1, &vp2);
}

/// An offer is recorded, and the other one cannot hear it: long beats, so that VP2 counts as well
/// until VP1 has waited for its answer in vain.
async fn offered_to_one_that_hangs() -> (World, World) {
    let (vp1, mut vp2) = start("10s").await;
    // What follows is about the duty: nobody is to stop or start anything.
    vp1.ok(&["maintenance", "on", "--reason", "a test"]).await;
    vp2.pause();
    vp1.ok(&["declare", "secondary", "--reason", "a test"]).await;
    vp1.wait_record("the offer", |record| match &record.event {
        Event::Duty(Change::Offered { .. }) => Some(()),
        _ => None,
    })
    .await;
    (vp1, vp2)
}

/// The giver dies before it hears that its offer was accepted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_giver_that_is_killed_gives_what_it_offered_when_it_is_back() {
    let (mut vp1, mut vp2) = offered_to_one_that_hangs().await;
    vp1.kill9().await;
    vp2.resume();
    vp1.run().await;
    held(&mut vp2).await;
    elsewhere(&mut vp1, "vp2").await;
    assert!(vp2.cluster().await.maintenance.is_some(), "it knows what VP1 knew");
    vp1.assert_never_both();
    assert_one_holder(&vp1, &vp2);
}

/// The taker dies instead: nobody acts, people hear of it, and what they are told to do is true.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taker_that_is_killed_takes_what_it_is_offered_when_it_is_back() {
    let (mut vp1, mut vp2) = offered_to_one_that_hangs().await;
    vp2.kill9().await;
    let pending = vp1.wait_alert("duty-pending").await;
    assert!(pending.contains("`watchkeeper duty cancel`"), "{pending}");
    let cancel = vp1.cli(&["duty", "cancel", "--reason", "VP2 is down"]).await;
    assert_eq!(cancel.code, Some(1), "{cancel:?}");
    let said = format!("{}{}", cancel.out, cancel.err);
    assert!(said.contains("`watchkeeper duty take --force` lets vp1 have the duty"), "{said}");
    assert!(!vp1.cluster().await.duty.held);

    vp2.run().await;
    held(&mut vp2).await;
    elsewhere(&mut vp1, "vp2").await;
    vp1.wait_no_alert("duty-pending").await;
    vp1.assert_never_both();
    assert_one_holder(&vp1, &vp2);
}

/// VP1 hangs. An operator lets VP2 have the duty, and VP1, when it comes to itself, hears of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_duty_that_was_taken_by_force_stays_when_the_other_is_back() {
    let (mut vp1, mut vp2) = start("200ms").await;
    vp1.pause();
    vp2.wait_alert("peer-unreachable").await;
    let refused = vp2.cli(&["duty", "take", "--reason", "VP1 hangs"]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let taken = vp2.ok(&["duty", "take", "--force", "--reason", "VP1 hangs"]).await;
    assert!(taken.out.contains("WARNING: if vp1 still runs"), "{taken:?}");
    held(&mut vp2).await;
    vp1.resume();
    elsewhere(&mut vp1, "vp2").await;
    vp2.wait_no_alert("peer-unreachable").await;

    // The primary is active and VP1 is back: it stays where the operator put it.
    vp2.let_pass(10).await;
    assert!(vp2.cluster().await.duty.held);
    vp1.site.kill("dm1", Service::Daemon).await.unwrap();
    vp1.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert_eq!((vp1.plans().len(), vp2.plans().len()), (0, 1));

    let given = vp2.ok(&["duty", "give", "--reason", "VP1 is well"]).await;
    assert!(given.out.contains("vp1 has the duty"), "{given:?}");
    held(&mut vp1).await;
    vp1.assert_never_both();
}

/// A monitor that is stopped lets the other one go on, and gets the duty back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_monitor_that_is_stopped_hands_the_duty_over_and_gets_it_back() {
    let (mut vp1, mut vp2) = start("200ms").await;
    vp1.stop().await;
    held(&mut vp2).await;
    vp2.wait_alert("peer-unreachable").await;
    vp1.site.kill("dm1", Service::Daemon).await.unwrap();
    vp1.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    vp2.wait_active(Side::Primary).await;
    assert_eq!(vp2.plans().len(), 1);

    vp1.run().await;
    let duty = held(&mut vp1).await;
    assert_eq!(Term(duty.term), Term(3));
    elsewhere(&mut vp2, "vp1").await;
    assert_eq!(received(&vp1).rescues.len(), 1, "it knows what VP2 did meanwhile");
    vp1.assert_never_both();
    assert_one_holder(&vp1, &vp2);
}

/// A change of side that stopped is for the monitor that has the duty to go on with, and whoever gets the duty
/// gets it as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stopped_goes_on_at_the_monitor_that_has_the_duty() {
    let (mut vp1, mut vp2) = start("200ms").await;
    vp1.site.forbid_start("dm2", Service::Daemon).unwrap();
    let said = vp1.cli(&["switchover", "--reason", "patching DM1"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    for order in ["abort", "resume", "abandon"] {
        let said = vp2.cli(&[order, "--reason", "a test"]).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        let why = "this monitor does not have the duty";
        assert!(said.out.contains(why) && said.out.contains("the one that has"), "{said:?}");
    }
    vp2.ok(&["duty", "take", "--reason", "VP1 is to be patched"]).await;
    held(&mut vp2).await;
    elsewhere(&mut vp1, "vp2").await;
    let plan = vp1.changes().swap_remove(0);
    assert_eq!(vp2.cluster().await.stopped.map(|it| it.number), Some(plan.number));
    let why = vp1.cli(&["resume", "--reason", "a test"]).await;
    assert_eq!(why.code, Some(1), "{why:?}");

    vp1.site.allow_start("dm2", Service::Daemon).unwrap();
    vp2.ok(&["resume", "--reason", "its disk has room again"]).await;
    vp2.wait_active(Side::Secondary).await;
    vp2.assert_secondary_serves().await;
    vp2.assert_never_both();
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        assert_eq!(vp2.site.starts("dm2", service), 1, "{service}");
    }
    assert!(vp2.changes().is_empty(), "it went on with VP1's plan");
    assert_one_holder(&vp1, &vp2);
}
