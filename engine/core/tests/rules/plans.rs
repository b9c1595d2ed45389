use std::fmt::Write as _;

use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::plan::{Act, OnFailure, Plan, PlanKind, Proof};

use crate::world::{Dice, World, golden, id, kinds};

fn dump(plan: &Plan) -> String {
    let mut text = format!(
        "plan {} of {}: {}, {} to {}, by {} in term {}\n",
        plan.number, plan.cluster, plan.kind, plan.from, plan.to, plan.ordered_by, plan.term.0
    );
    for (i, step) in plan.steps.iter().enumerate() {
        let on_failure = match step.on_failure {
            OnFailure::Stop => "or stop",
            OnFailure::GoOn => "or go on",
        };
        let commits = if plan.commits(i) { "commits" } else { "" };
        writeln!(
            text,
            "{i:>2}  {:7}  {:8}  {:>6} ms x {}  {}",
            commits, on_failure, step.timeout_ms, step.attempts, step.act
        )
        .unwrap();
        if let Act::ConfirmInactive { services, proof, .. } = &step.act {
            let list: Vec<&str> = services.iter().map(|service| service.as_str()).collect();
            writeln!(text, "{:36}by its own word on {}, else {proof:?}", "", list.join(", "))
                .unwrap();
        }
    }
    text
}

#[test]
fn plans_are_as_they_were() {
    let mut lost = World::new();
    lost.lose("dm1");
    let mut without_repository = World::new();
    for server in ["dm1", "dm2"] {
        without_repository.uninstall(server, Service::Repository);
    }
    let mut foreign_repository = World::new();
    foreign_repository.arrangements.replicated_repository = false;
    let mut dead_repository = World::new();
    dead_repository.saw("dm1", Some(Service::Repository), Status::Down);
    let mut fenced = World::new();
    fenced.lose("dm1");
    fenced.arrangements.proof = Proof::Fence { within_ms: 40_000 };
    let back = World::on_secondary();
    for (file, world, kind) in [
        ("rescue", World::new(), PlanKind::Rescue(id("dm1", Service::Daemon))),
        ("clear", World::new(), PlanKind::Clear(id("dm2", Service::Rest))),
        ("failover-reachable", World::new(), PlanKind::Failover),
        ("failover-unreachable", lost, PlanKind::Failover),
        ("failover-fenced", fenced, PlanKind::Failover),
        ("failover-dead-repository", dead_repository, PlanKind::Failover),
        ("failover-site-steps", World::new().with_site_steps(), PlanKind::Failover),
        ("failover-without-repository", without_repository, PlanKind::Failover),
        ("failover-repository-not-replicated", foreign_repository, PlanKind::Failover),
        ("switchover", World::new().with_site_steps(), PlanKind::Switchover),
        ("switchback", back.with_site_steps(), PlanKind::Switchback),
    ] {
        golden(&format!("plan-{file}.txt"), &dump(&world.plan(kind)));
    }
}

/// Worlds of all sorts: any subset of services installed and known, either side active.
fn any_world(dice: &mut Dice) -> World {
    let mut world = if dice.one_in(2) { World::new() } else { World::on_secondary() };
    for server in ["dm1", "dm2"] {
        for service in Service::ALL {
            match dice.below(6) {
                0 => world.uninstall(server, service),
                1 => world.never_probed(server, Some(service)),
                2 => world.saw(server, Some(service), Status::Up),
                3 => world.saw(server, Some(service), Status::Down),
                4 => world.saw(server, Some(service), Status::Unknown),
                _ => {}
            }
        }
        match dice.below(4) {
            0 => world.lose(server),
            1 => world.never_probed(server, None),
            _ => {}
        }
    }
    world.arrangements.replicated_repository = dice.one_in(2);
    world.arrangements.attempts = u32::try_from(dice.below(3)).unwrap();
    world.arrangements.proof = *dice.pick(&[
        Proof::Witnesses(1),
        Proof::Operator,
        Proof::Nothing,
        Proof::Fence { within_ms: 40_000 },
    ]);
    if dice.one_in(2) { world.with_site_steps() } else { world }
}

#[test]
fn no_exclusive_service_starts_before_the_old_side_is_confirmed_inactive() {
    for seed in 1..2_000 {
        let world = any_world(&mut Dice::new(seed));
        for kind in kinds().into_iter().filter(PlanKind::changes_side) {
            let plan = world.plan(kind);
            let (old, new) =
                (world.topology().on(plan.from).clone(), world.topology().on(plan.to).clone());
            let confirmed = plan
                .steps
                .iter()
                .position(|step| match &step.act {
                    Act::ConfirmInactive { server, services, .. } => {
                        *server == old.name
                            && old
                                .services
                                .iter()
                                .filter(|service| service.exclusive())
                                .all(|service| services.contains(service))
                    }
                    _ => false,
                })
                .unwrap_or_else(|| panic!("seed {seed}: not confirmed in\n{}", dump(&plan)));
            assert_eq!(plan.steps[confirmed].on_failure, OnFailure::Stop, "seed {seed}");
            for (i, step) in plan.steps.iter().enumerate() {
                if let Act::StartService(started) = &step.act
                    && started.service.exclusive()
                {
                    assert!(i > confirmed, "seed {seed}: step {i} of\n{}", dump(&plan));
                    assert_eq!(started.server, new.name, "seed {seed}");
                }
            }
        }
    }
}

#[test]
fn services_start_after_what_they_depend_on_and_stop_before_it() {
    for seed in 1..500 {
        let world = any_world(&mut Dice::new(seed));
        for kind in kinds().into_iter().filter(PlanKind::changes_side) {
            let plan = world.plan(kind);
            let first = |wanted: &Act| plan.steps.iter().position(|step| step.act == *wanted);
            for (i, step) in plan.steps.iter().enumerate() {
                let (Act::StartService(one) | Act::StopService(one)) = &step.act else { continue };
                for needed in one.service.depends_on() {
                    let needed = id(one.server.as_str(), *needed);
                    if matches!(step.act, Act::StartService(_)) {
                        let other = first(&Act::StartService(needed));
                        assert!(
                            other.is_none_or(|other| other < i),
                            "seed {seed}\n{}",
                            dump(&plan)
                        );
                    } else {
                        let other = first(&Act::StopService(needed));
                        assert!(
                            other.is_none_or(|other| other > i),
                            "seed {seed}\n{}",
                            dump(&plan)
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_step_is_bounded_and_the_end_is_verified() {
    for seed in 1..500 {
        let world = any_world(&mut Dice::new(seed));
        for kind in kinds() {
            let plan = world.plan(kind);
            assert!(plan.steps.iter().all(|step| step.attempts >= 1 && step.timeout_ms > 0));
            if plan.kind.changes_side() {
                let verified = plan.steps.iter().find_map(|step| match &step.act {
                    Act::Verify { services } => Some(services.clone()),
                    _ => None,
                });
                let new = world.topology().on(plan.to).clone();
                let wanted: Vec<_> = Service::ALL
                    .into_iter()
                    .filter(|service| service.essential() && new.services.contains(service))
                    .map(|service| id(new.name.as_str(), service))
                    .collect();
                assert_eq!(verified, Some(wanted), "seed {seed}\n{}", dump(&plan));
            }
        }
    }
}

#[test]
fn a_server_that_does_not_answer_is_asked_nothing_in_a_failover() {
    let mut world = World::new().with_site_steps();
    world.lose("dm1");
    let plan = world.plan(PlanKind::Failover);
    for step in &plan.steps {
        let asked = match &step.act {
            Act::StartService(id) | Act::StopService(id) => id.server.as_str() == "dm1",
            Act::AwaitReplication { .. } | Act::CopyRepository { .. } => true,
            _ => false,
        };
        assert!(!asked, "{}", step.act);
    }
    // Without a probe of its own a server is asked: nothing says that it does not answer.
    world.never_probed("dm1", None);
    let plan = world.plan(PlanKind::Failover);
    assert!(plan.steps.iter().any(|step| step.act == Act::StopService(id("dm1", Service::Daemon))));
}

#[test]
fn a_planned_change_of_side_fences_nobody() {
    for seed in 1..300 {
        let mut world = any_world(&mut Dice::new(seed));
        world.arrangements.proof = Proof::Fence { within_ms: 40_000 };
        for kind in kinds() {
            let failover = kind == PlanKind::Failover;
            for step in world.plan(kind).steps {
                if let Act::ConfirmInactive { proof, .. } = &step.act {
                    let expected =
                        if failover { world.arrangements.proof } else { Proof::Operator };
                    assert_eq!(*proof, expected, "seed {seed}");
                    assert_eq!(step.act.has_effect(), failover, "seed {seed}");
                    let least = if failover { 40_001 } else { 1 };
                    assert!(step.timeout_ms >= least, "seed {seed}: {} ms", step.timeout_ms);
                }
            }
        }
    }
}

#[test]
fn what_only_prepares_can_still_be_refused() {
    let plan = World::on_secondary().plan(PlanKind::Switchback);
    let first = (0..plan.steps.len()).find(|i| plan.commits(*i)).unwrap();
    assert!(matches!(plan.steps[first].act, Act::StopService(_)), "{}", dump(&plan));
    assert!(plan.steps[..first].iter().any(|step| matches!(step.act, Act::CopyRepository { .. })));
    let rescue = World::new().plan(PlanKind::Rescue(id("dm1", Service::Repository)));
    assert!(rescue.commits(0) && !rescue.commits(1));
}

#[test]
fn a_plan_goes_from_the_side_that_is_active() {
    for phase in [Phase::Active(Side::Primary), Phase::Active(Side::Secondary)] {
        let mut world = World::new();
        world.phase = phase;
        for kind in kinds() {
            let plan = world.plan(kind);
            assert_eq!(plan.from, phase.side());
            assert_eq!(plan.to != plan.from, plan.kind.changes_side());
        }
    }
}
