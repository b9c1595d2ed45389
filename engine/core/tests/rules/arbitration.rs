use std::collections::{BTreeMap, BTreeSet};

use watchkeeper_core::arbitration::{
    Decision, ENGINE, Hold, OnPolicyFailure, Standing, decide, in_shadow, plan_kind,
};
use watchkeeper_core::guards::{Guard, check};
use watchkeeper_core::lifecycle::Phase;
use watchkeeper_core::model::{ServerName, Service, Side, Status};
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::{
    Action, AlertClaim, Evaluation, Failure, FailureKind, Grant, Opinion, Proposal, Revision,
    Severity,
};

use crate::world::{Dice, World, id, policy};

fn opinion(name: &str, outcome: Result<Evaluation, Failure>) -> Opinion {
    Opinion {
        policy: policy(name),
        revision: Revision { digest: "00".to_owned(), version: "1.0.0".to_owned() },
        reads: BTreeSet::new(),
        outcome,
    }
}

fn proposes(name: &str, actions: &[Action]) -> Opinion {
    let proposals = actions
        .iter()
        .map(|action| Proposal { action: action.clone(), reason: "a test".to_owned() })
        .collect();
    opinion(name, Ok(Evaluation { proposals, ..Evaluation::default() }))
}

fn holding(name: &str, reason: &str) -> Opinion {
    opinion(name, Ok(Evaluation { holds: vec![reason.to_owned()], ..Evaluation::default() }))
}

fn trapped(name: &str) -> Opinion {
    opinion(name, Err(Failure { kind: FailureKind::Trap, detail: "unreachable".to_owned() }))
}

fn claim(name: &str) -> AlertClaim {
    AlertClaim {
        name: name.to_owned(),
        severity: Severity::Warning,
        server: None,
        service: None,
        code: String::new(),
        summary: "a test".to_owned(),
        labels: BTreeMap::new(),
    }
}

fn standing(name: &str) -> Standing {
    Standing {
        policy: policy(name),
        grants: Grant::ALL.into(),
        servers: None,
        on_failure: OnPolicyFailure::Hold,
        mode: Mode::Enforce,
    }
}

fn decided(world: &World, opinions: &[Opinion], standings: &[Standing]) -> Decision {
    let snapshot = world.snapshot();
    decide(&world.situation(&snapshot), opinions, standings)
}

fn alert_names(decision: &Decision) -> Vec<(&str, &str)> {
    decision.alerts.iter().map(|one| (one.source.as_str(), one.claim.name.as_str())).collect()
}

fn rescue() -> Action {
    Action::Rescue(id("dm1", Service::Daemon))
}

#[test]
fn the_first_policy_of_the_configuration_has_the_slot() {
    let opinions =
        [proposes("b", &[rescue(), Action::Failover]), proposes("a", &[Action::Failover])];
    let decision = decided(&World::new(), &opinions, &[standing("a"), standing("b")]);
    assert_eq!(decision.to_carry_out().unwrap().proposal.action, Action::Failover);
    assert_eq!(decision.to_carry_out().unwrap().policy, policy("a"));
    let passed: Vec<_> = decision.passed_over.iter().map(|one| &one.proposal.action).collect();
    assert_eq!(passed, [&rescue(), &Action::Failover]);
    assert!(decision.passed_over[0].why.contains("a asks for"));
}

#[test]
fn what_is_not_granted_is_passed_over_and_does_not_take_the_slot() {
    let modest = Standing { grants: [Grant::Rescue].into(), ..standing("a") };
    let mut opinion = proposes("a", &[Action::Failover, rescue()]);
    if let Ok(evaluation) = &mut opinion.outcome {
        evaluation.holds.push("not granted either".to_owned());
        evaluation.alerts.push(claim("nor-this"));
    }
    let decision = decided(&World::new(), &[opinion], &[modest]);
    assert_eq!(decision.to_carry_out().unwrap().proposal.action, rescue());
    assert!(decision.passed_over[0].why.contains("does not grant failover"));
    assert_eq!((decision.holds.len(), decision.alerts.len()), (0, 0));
}

#[test]
fn what_is_asked_about_other_servers_is_passed_over_and_a_failover_is_about_both_sides() {
    let only = |names: &[&str]| Standing {
        servers: Some(names.iter().map(|name| ServerName::new(name).unwrap()).collect()),
        ..standing("a")
    };
    let asked = |action: Action, names: &[&str]| {
        decided(&World::new(), &[proposes("a", &[action])], &[only(names)])
    };
    assert!(asked(rescue(), &["dm1"]).to_carry_out().is_some());
    assert!(asked(Action::Failover, &["dm1", "dm2"]).to_carry_out().is_some());
    for (action, names, server) in [
        (rescue(), &["dm2"][..], "dm1"),
        (Action::StopService(id("dm1", Service::Rest)), &[], "dm1"),
        (Action::Failover, &["dm1"], "dm2"),
        (Action::Failover, &["dm2"], "dm1"),
    ] {
        let decision = asked(action, names);
        assert_eq!(decision.chosen, None, "{names:?}");
        let why = &decision.passed_over[0].why;
        assert!(why.contains(&format!("no say over {server}")), "{why}");
    }
    // What is passed over leaves the slot to another.
    let opinions = [proposes("a", &[rescue()]), proposes("b", &[rescue()])];
    let decision = decided(&World::new(), &opinions, &[only(&["dm2"]), standing("b")]);
    assert_eq!(decision.to_carry_out().unwrap().policy, policy("b"));
}

#[test]
fn what_is_asked_about_a_service_in_maintenance_does_not_block_what_else_is_asked() {
    let mut world = World::new();
    world.services_in_maintenance = vec![id("dm1", Service::Daemon), id("dm2", Service::Rest)];
    let stray = Action::StopService(id("dm2", Service::Rest));
    let other = Action::Rescue(id("dm1", Service::Rest));
    let opinions = [proposes("a", &[rescue(), stray]), proposes("b", std::slice::from_ref(&other))];
    let standings = [standing("a"), standing("b")];
    let decision = decided(&world, &opinions, &standings);
    assert_eq!(decision.to_carry_out().unwrap().proposal.action, other);
    let why: Vec<&str> = decision.passed_over.iter().map(|one| one.why.as_str()).collect();
    assert!(why[0].contains("dm1/daemon is in maintenance"), "{why:?}");
    assert!(why[1].contains("dm2/rest is in maintenance"), "{why:?}");
    // Nobody is woken about what people asked for themselves.
    assert!(decision.alerts.is_empty(), "{:?}", decision.alerts);

    let decision = decided(&world, &[proposes("a", &[rescue()])], &[standing("a")]);
    assert!(decision.chosen.is_none() && decision.alerts.is_empty());
    // A failover for a reason of its own is none of the service's business.
    let decision = decided(&world, &[proposes("a", &[Action::Failover])], &[standing("a")]);
    assert!(decision.to_carry_out().is_some());
}

#[test]
fn a_hold_of_any_policy_stops_the_action() {
    let opinions = [proposes("a", &[Action::Failover]), holding("b", "the lag is odd")];
    let decision = decided(&World::new(), &opinions, &[standing("a"), standing("b")]);
    assert!(decision.chosen.is_some() && decision.to_carry_out().is_none());
    assert_eq!(decision.holds[0].to_string(), "policy b: the lag is odd");
}

#[test]
fn a_failed_policy_holds_unless_it_may_abstain_and_its_alerts_stay() {
    let opinions = [proposes("a", &[Action::Failover]), trapped("b")];
    let decision = decided(&World::new(), &opinions, &[standing("a"), standing("b")]);
    assert!(decision.to_carry_out().is_none());
    assert!(matches!(&decision.holds[..], [Hold::Failure { policy: p, .. }] if *p == policy("b")));
    assert_eq!(decision.silent, ["b".to_owned()].into());
    assert_eq!(alert_names(&decision), [(ENGINE, "policy-failed")]);

    let abstains = Standing { on_failure: OnPolicyFailure::Abstain, ..standing("b") };
    let decision = decided(&World::new(), &opinions, &[standing("a"), abstains]);
    assert!(decision.to_carry_out().is_some());
    assert_eq!(decision.silent, ["b".to_owned()].into());
    assert_eq!(alert_names(&decision), [(ENGINE, "policy-failed")]);
}

#[test]
fn a_policy_that_was_not_asked_holds_like_one_that_failed() {
    let opinions = [proposes("a", &[Action::Failover])];
    let decision = decided(&World::new(), &opinions, &[standing("a"), standing("b")]);
    assert!(decision.to_carry_out().is_none());
    assert_eq!(decision.silent, ["b".to_owned()].into());
}

#[test]
fn an_opinion_without_a_standing_has_no_say() {
    let mut loud = holding("shadow", "no");
    if let Ok(evaluation) = &mut loud.outcome {
        evaluation.alerts.push(claim("odd"));
        evaluation.proposals.push(Proposal { action: rescue(), reason: "a test".to_owned() });
    }
    let opinions = [loud, trapped("other"), proposes("a", &[Action::Failover])];
    let decision = decided(&World::new(), &opinions, &[standing("a")]);
    assert_eq!(decision.to_carry_out().unwrap().proposal.action, Action::Failover);
    assert!(decision.alerts.is_empty() && decision.silent.is_empty());
    assert!(decision.passed_over.is_empty());
}

#[test]
fn what_a_guard_holds_is_told_unless_people_asked_for_it_or_it_is_under_way() {
    let opinions = [proposes("a", &[Action::Failover])];
    let mut world = World::new();
    world.lose("dm2");
    let decision = decided(&world, &opinions, &[standing("a")]);
    assert_eq!(alert_names(&decision), [(ENGINE, "action-held")]);
    assert_eq!(decision.alerts[0].claim.labels.get("guard").unwrap(), "standby");

    world.phase = Phase::FailingOver(Side::Primary);
    let decision = decided(&world, &opinions, &[standing("a")]);
    assert!(decision.to_carry_out().is_none() && decision.alerts.is_empty());

    let mut world = World::new();
    world.maintenance = true;
    let decision = decided(&world, &opinions, &[standing("a")]);
    assert!(decision.to_carry_out().is_none() && decision.alerts.is_empty());

    let mut world = World::new();
    world.phase = Phase::NeedsOperator(Side::Primary);
    let decision = decided(&world, &opinions, &[standing("a")]);
    assert_eq!(alert_names(&decision), [(ENGINE, "action-held")]);
}

#[test]
fn alerts_of_all_policies_are_raised_whatever_is_done() {
    let alerting = |name: &str| {
        opinion(name, Ok(Evaluation { alerts: vec![claim("odd")], ..Evaluation::default() }))
    };
    let opinions = [alerting("a"), alerting("b"), holding("c", "no")];
    let standings = [standing("a"), standing("b"), standing("c")];
    let decision = decided(&World::new(), &opinions, &standings);
    assert_eq!(alert_names(&decision), [("a", "odd"), ("b", "odd")]);
}

/// Any opinions and grants whatever: what a guard, a hold or a missing grant forbids is not done.
#[test]
fn no_opinion_gets_round_a_guard_a_hold_or_a_grant() {
    let actions = [
        rescue(),
        Action::Rescue(id("dm2", Service::Daemon)),
        Action::Rescue(id("dm9", Service::Rest)),
        Action::StopService(id("dm2", Service::Rest)),
        Action::StopService(id("dm1", Service::Rest)),
        Action::Failover,
    ];
    let (mut carried_out, mut held) = (0, BTreeSet::new());
    for seed in 1..20_000 {
        let dice = &mut Dice::new(seed);
        let mut world = World::new();
        if dice.one_in(6) {
            world.phase = *dice.pick(&Phase::ALL);
        }
        world.maintenance = dice.one_in(8);
        if dice.one_in(4) {
            world.services_in_maintenance =
                vec![id("dm1", Service::Daemon), id("dm2", Service::Rest)];
        }
        if dice.one_in(8) {
            world.lose("dm2");
        }
        if dice.one_in(8) {
            world.saw("dm2", Some(Service::Daemon), Status::Up);
        }
        if dice.one_in(8) {
            world.last_change = Some(crate::world::NOW);
        }
        if dice.one_in(8) {
            world.never_probed("dm1", Some(Service::Daemon));
        }
        let mut opinions = vec![];
        let mut standings = vec![];
        for name in ["a", "b", "c"] {
            let mut grants = BTreeSet::new();
            for grant in Grant::ALL {
                if !dice.one_in(4) {
                    grants.insert(grant);
                }
            }
            let on_failure = *dice.pick(&[OnPolicyFailure::Hold, OnPolicyFailure::Abstain]);
            if !dice.one_in(8) {
                let mode = if dice.one_in(4) { Mode::Shadow } else { Mode::Enforce };
                let servers = None;
                standings.push(Standing {
                    policy: policy(name),
                    grants,
                    servers,
                    on_failure,
                    mode,
                });
            }
            match dice.below(8) {
                0 => {}
                1 => opinions.push(trapped(name)),
                2 => opinions.push(holding(name, "no")),
                n => {
                    let some: Vec<_> = (0..=n % 3).map(|_| dice.pick(&actions).clone()).collect();
                    opinions.push(proposes(name, &some));
                }
            }
        }
        let decision = decided(&world, &opinions, &standings);
        let Some(chosen) = &decision.chosen else { continue };
        standings.retain(|one| one.mode == Mode::Enforce);
        let granted = standings.iter().any(|one| {
            one.policy == chosen.policy && one.grants.contains(&chosen.proposal.action.grant())
        });
        assert!(granted, "seed {seed}");
        let left_alone = world.services_in_maintenance.iter().any(|service| {
            matches!(&chosen.proposal.action,
                Action::Rescue(id) | Action::StopService(id) if id == service)
        });
        assert!(!left_alone, "seed {seed}");
        let snapshot = world.snapshot();
        let guards = check(&world.situation(&snapshot), &plan_kind(&chosen.proposal.action));
        let policy_holds = standings.iter().any(|one| {
            match opinions.iter().find(|opinion| opinion.policy == one.policy) {
                Some(Opinion { outcome: Ok(evaluation), .. }) => {
                    !evaluation.holds.is_empty() && one.grants.contains(&Grant::Hold)
                }
                _ => one.on_failure == OnPolicyFailure::Hold,
            }
        });
        held.extend(guards.iter().map(|hold| hold.guard));
        let free = guards.is_empty() && !policy_holds;
        assert_eq!(decision.to_carry_out().is_some(), free, "seed {seed}: {decision:?}");
        carried_out += usize::from(free);
    }
    assert!(carried_out > 1_000, "{carried_out} of the cases carry something out");
    let all = [
        Guard::Lifecycle,
        Guard::Placement,
        Guard::Maintenance,
        Guard::Freshness,
        Guard::Cooldown,
        Guard::Standby,
    ];
    assert!(all.iter().all(|guard| held.contains(guard)), "{held:?}");
}

/// Whatever a policy in the shadow says, what is decided is what would be decided without it; and
/// what people are shown is what other be decided with it.
#[test]
fn a_policy_in_the_shadow_has_no_say_and_is_seen() {
    let world = World::new();
    let snapshot = world.snapshot();
    let situation = world.situation(&snapshot);
    let opinions =
        [proposes("a", &[Action::Rescue(id("dm1", Service::Daemon))]), holding("b", "not now")];
    let shadow = |name| Standing { mode: Mode::Shadow, ..standing(name) };
    let shown = |opinions: &[Opinion], standings: &[Standing]| {
        let decided = decide(&situation, opinions, standings);
        let other = in_shadow(&situation, opinions, standings, &decided);
        (decided, other)
    };

    let (decided, other) = shown(&opinions, &[standing("a"), shadow("b")]);
    assert!(decided.to_carry_out().is_some());
    let other = other.unwrap();
    assert_eq!(other.chosen, decided.chosen);
    assert!(matches!(&other.holds[..], [Hold::Policy { policy, .. }] if policy.as_str() == "b"));

    let (decided, other) = shown(&opinions[..1], &[shadow("a")]);
    assert_eq!(decided, Decision::none());
    assert_eq!(other.unwrap().chosen.unwrap().policy, policy("a"));

    // No difference, nothing to show.
    let quiet = [holding("b", "not now"), proposes("c", &[])];
    assert_eq!(shown(&quiet, &[standing("b"), shadow("c")]).1, None);
    assert_eq!(shown(&opinions, &[standing("a"), standing("b")]).1, None);

    // One that fails holds nothing and wakes nobody.
    let (decided, _) = shown(&[trapped("b"), opinions[0].clone()], &[shadow("b"), standing("a")]);
    assert!(decided.to_carry_out().is_some());
    let [alert] = &decided.alerts[..] else { panic!("{:?}", decided.alerts) };
    assert_eq!(alert.claim.severity, Severity::Warning);
    assert!(alert.claim.summary.contains("it is in the shadow"), "{}", alert.claim.summary);
}
