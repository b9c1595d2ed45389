//! A journal of the real daemon, gone through again.

use std::collections::BTreeMap;

use watchkeeper::journal::Reader;
use watchkeeper::replay::{Candidate, Panel, Question, Replayed, Report};
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::proposal::Action;
use watchkeeper_core::replay::{Difference, Does, Kind, Source};
use watchkeeper_core::settings::Given;

use crate::harness::month::{self, FAULTS};
use crate::harness::{Config, POLICY, World, another_policy, guest};

/// A world in which a service was rescued, another could not be, and the other side took over.
async fn failed_over() -> World {
    failed_over_with(|_| {}).await
}

/// The same, with a configuration of which something was changed.
async fn failed_over_with(change: impl FnOnce(&mut Config)) -> World {
    let mut world = World::prepare().await;
    world.put_policy("hostile", &guest("guest-hostile").await);
    change(&mut world.config);
    world.run().await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    world.wait_taken("service-down", "resolved").await;
    world.let_pass(3).await;
    world.break_service("dm1", Service::Rest).await;
    world.wait_active(Side::Secondary).await;
    world.let_pass(3).await;
    world
}

/// `watchkeeper replay` with these arguments.
async fn replay(world: &World, args: &[&str]) -> Report {
    let since: &[&str] = if args.contains(&"--since") { &[] } else { &["--since", "1d"] };
    let all = [&["replay", "--json"], args, since].concat();
    let said = world.ok(&all).await;
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"))
}

fn path(world: &World, name: &str) -> String {
    world.path(name).to_str().unwrap().to_owned()
}

/// The same policy with the same settings decides the same at every recorded moment, to the last
/// byte: beside the daemon that writes, after a kill, a restart and an operator's order; and beside
/// another policy, in the shadow, which remembers something else each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_policy_decides_the_same_bit_for_bit() {
    let mut world = failed_over_with(|config| {
        let hostile = config.policy("hostile", &["rescue", "alert"]);
        config.set(&format!("{hostile}.mode"), "shadow");
    })
    .await;
    let policy = path(&world, "policies/data-mover-ha.wasm");
    let beside = replay(&world, &["--policy", &policy]).await;
    assert!(beside.recorded >= 5, "{beside:#?}");

    world.kill9().await;
    world.run().await;
    world.ok(&["maintenance", "on", "--reason", "a look"]).await;
    world.let_pass(2).await;
    world.ok(&["maintenance", "off"]).await;
    world.let_pass(2).await;
    world.stop().await;
    let after = replay(&world, &["--policy", &policy]).await;
    assert!(after.recorded > beside.recorded, "{after:#?}");
    for report in [beside, after] {
        assert_eq!(report.as_it_was, report.recorded, "{report:#?}");
        assert_eq!(report.inexact, [] as [u64; 0], "{report:#?}");
        assert_eq!((report.differences, report.alerts), (vec![], vec![]));
        assert_eq!((report.reconstructed, report.notes), (0, Vec::<String>::new()));
        assert_eq!(report.failures, []);
    }
    let said = world.ok(&["replay", "--policy", &policy]).await;
    assert!(said.out.contains("no decision differs"), "{said:?}");
}

/// Another component with the same rules is asked in between as well, and finds nothing else to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_component_with_the_same_rules_would_have_done_the_same() {
    let mut world = failed_over().await;
    world.stop().await;
    world.put("new.wasm", &another_policy().await);
    let report = replay(&world, &["--policy", &path(&world, "new.wasm")]).await;
    assert_eq!(report.candidate.policy.as_str(), POLICY);
    assert_eq!(report.candidate.in_place_of.len(), 1, "{report:#?}");
    assert_eq!(report.as_it_was, 0, "{report:#?}");
    assert!(report.reconstructed > 0, "{report:#?}");
    assert_eq!((&report.differences, &report.notes), (&vec![], &vec![]), "{report:#?}");

    // It is tried even where it would not be used.
    let pinned = report.candidate.in_place_of[0].digest.clone();
    world.config.set("clusters.prod.policies.0.sha256", pinned);
    world.write_config();
    let report = replay(&world, &["--policy", &path(&world, "new.wasm")]).await;
    assert!(report.notes[0].contains("is not put in force"), "{report:#?}");
    assert!(report.reconstructed > 0, "{report:#?}");
}

fn first(report: &Report) -> &Difference {
    report.differences.first().unwrap_or_else(|| panic!("nothing differs: {report:#?}"))
}

/// Other settings decide otherwise: what would have been done, why, and what was done instead.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_settings_are_told_with_what_they_would_have_done() {
    let mut world = failed_over().await;
    world.stop().await;
    let policy = path(&world, "policies/data-mover-ha.wasm");

    // No rescue: over to the other side at once, at the very records in which it rescued.
    let plot = path(&world, "days.svg");
    let set = ["--policy", &policy, "--set", "rescue-attempts=0", "--plot", &plot];
    let report = replay(&world, &set).await;
    let difference = first(&report);
    assert_eq!(difference.kind, Kind::WouldActElse, "{report:#?}");
    let (Does::Acts(other), Does::Acts(did)) = (&difference.other, &difference.recorded) else {
        panic!("{difference:?}")
    };
    assert_eq!(other.action, Action::Failover);
    assert!(matches!(&did.action, Action::Rescue(id) if id.service == Service::Daemon));
    let svg = std::fs::read_to_string(&plot).unwrap();
    assert!(svg.contains("would have failed over instead"), "{svg}");
    let story = world.ok(&[&["replay"], set.as_slice()].concat()).await;
    assert!(story.out.contains("would have failed over instead"), "{story:?}");
    assert!(story.out.contains("what would have come of that cannot be known"), "{story:?}");

    // More patience: it would not have rescued then.
    let set = ["--policy", &policy, "--set", "down-confirmations=100"];
    let report = replay(&world, &set).await;
    assert_eq!(first(&report).kind, Kind::WouldNotAct, "{report:#?}");
    assert_eq!(first(&report).other, Does::Nothing);

    // What does not fit is said as the daemon would say it.
    let set = ["--policy", &policy, "--set", "rescue-services=[]", "--as", POLICY];
    let said = world.cli(&[&["replay"], set.as_slice()].concat()).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("rescue-services"), "{said:?}");
}

/// A policy that nobody configured yet joins the others, and its holds are told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_not_configured_joins_the_others() {
    let mut world = failed_over().await;
    world.stop().await;
    world.put("quiet.wasm", &guest("quiet-hours").await);
    let quiet = path(&world, "quiet.wasm");
    let set = ["--policy", &quiet, "--set", "begin=0s", "--set", "length=23h"];
    let report = replay(&world, &set).await;
    assert_eq!(report.others.len(), 1, "{report:#?}");
    assert!(report.notes.iter().any(|it| it.contains("not configured")), "{report:#?}");
    // For an hour of the day there is no quiet, and all of it happened within minutes.
    let quiet = |before: u64| (report.until.0 - before) % 86_400_000 < 82_800_000;
    if quiet(0) && quiet(600_000) {
        assert_eq!(first(&report).kind, Kind::WouldHold, "{report:#?}");
        let Does::Holds { by, .. } = &first(&report).other else { panic!("{report:#?}") };
        assert!(by[0].to_string().contains("quiet hours"), "{by:?}");
    }
}

/// What cannot be replayed is said, with what to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_replayed_is_said() {
    let mut world = World::start().await;
    world.let_pass(1).await;
    world.stop().await;
    let policy = path(&world, "policies/data-mover-ha.wasm");
    let missing = path(&world, "missing.db");
    for (args, words) in [
        (vec!["--as", "data-mover-hq"], "did you mean data-mover-ha?"),
        (vec!["--cluster", "test"], "there is prod"),
        (vec!["--set", "rescue-atempts=0"], "rescue-attempts"),
        (vec!["--set", "nonsense"], "name=value"),
        (vec!["--since", "yesterday"], "30d"),
        (vec!["--since", "2100-01-01"], "is no time"),
        (vec!["--file", &missing], "missing.db"),
    ] {
        let all = [&["replay", "--policy", &policy], args.as_slice()].concat();
        let said = world.cli(&all).await;
        assert!(matches!(said.code, Some(1 | 2)), "{args:?}: {said:?}");
        assert!(said.err.contains(words), "{args:?}: {said:?}");
        assert_eq!(said.out, "", "{args:?}");
    }
}

/// A month of a cluster of five servers, in a journal beside a configuration that has written it.
async fn month(days: u64, change: impl FnOnce(&mut Config)) -> World {
    let mut world = World::prepare().await;
    world.put_policy("hostile", &guest("guest-hostile").await);
    let config = &mut world.config;
    for server in ["dm4", "dm5"] {
        config.set(&format!("clusters.prod.servers.{server}.address"), "127.0.0.1");
        config.set(&format!("clusters.prod.servers.{server}.services"), vec!["agent"]);
    }
    config.set("probes.interval", "1s").set("probes.confirm-interval", "1s");
    config.setting("down-confirmations", 3).setting("unreachable-confirmations", 5);
    change(config);
    world.write_config();
    let config = watchkeeper::config::load(&world.config_path()).unwrap();
    let cluster = &config.clusters[0];
    let candidate = Candidate {
        file: world.path("policies/data-mover-ha.wasm"),
        name: None,
        settings: BTreeMap::new(),
        files: BTreeMap::new(),
    };
    let panel = Panel::of(&config.guests, cluster, &candidate).unwrap();
    std::fs::create_dir_all(world.path("state")).unwrap();
    month::write(&world.journal_path(), cluster, panel, days).await;
    world
}

/// When it differs, in whole seconds after the month's beginning.
fn seconds(difference: &Difference) -> u64 {
    difference.at.since(month::BEGINNING) / 1_000
}

/// A whole month by the policy that wrote it, and days of it by others: each is judged at the second
/// at which it would have decided.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_month_is_told_by_the_second() {
    let world = month(30, |_| {}).await;
    let policy = path(&world, "policies/data-mover-ha.wasm");
    let same = replay(&world, &["--policy", &policy, "--since", "30d"]).await;
    assert_eq!((same.as_it_was, same.reconstructed), (same.recorded, 0));
    assert_eq!((&same.differences, &same.inexact), (&vec![], &vec![]), "{same:#?}");

    // A day on which nothing was recorded.
    let calm = ["--policy", &policy, "--since", "2026-10-04", "--until", "2026-10-05"];
    let calm = replay(&world, &calm).await;
    assert_eq!((calm.recorded, calm.reconstructed, calm.notes.len()), (0, 0, 1), "{calm:#?}");
    assert!(calm.notes[0].contains("nothing can differ"), "{calm:#?}");

    // Another component with the same rules, over the day on which the server was lost.
    world.put("new.wasm", &another_policy().await);
    let new = path(&world, "new.wasm");
    let days = ["--since", "2026-10-16T02:58:00Z", "--until", "2026-10-16T03:10:00Z"];
    let report = replay(&world, &[&["--policy", &new], days.as_slice()].concat()).await;
    assert_eq!((&report.differences, &report.alerts), (&vec![], &vec![]), "{report:#?}");
    assert!(report.reconstructed > 600, "{}", report.reconstructed);

    // The policy rescues after 3 findings; after 2, it would have a second earlier than it did,
    // which cannot be told apart. What was over after 2 it would have rescued, and nobody did.
    let set = ["--set", "down-confirmations=2"];
    let days = ["--since", "2026-10-03", "--until", "2026-10-03T04:00:00Z"];
    let all = [&["--policy", &policy], set.as_slice(), &days].concat();
    let report = replay(&world, &all).await;
    let [one] = report.differences.as_slice() else { panic!("{report:#?}") };
    let blip = FAULTS[0].at / 1_000;
    assert_eq!((one.kind, seconds(one)), (Kind::WouldAct, blip + 1), "{one:#?}");
    assert_eq!(one.source, Source::Reconstructed);
    assert_eq!(one.then, None);

    // With a patience of minutes it would not have failed over where it did.
    let set = ["--set", "unreachable-confirmations=100"];
    let days = ["--since", "2026-10-16T02:00:00Z", "--until", "2026-10-16T03:01:00Z"];
    let all = [&["--policy", &policy], set.as_slice(), &days].concat();
    let report = replay(&world, &all).await;
    let [one] = report.differences.as_slice() else { panic!("{report:#?}") };
    assert_eq!(one.kind, Kind::WouldNotAct, "{one:#?}");
    let Does::Acts(did) = &one.recorded else { panic!("{one:#?}") };
    assert_eq!(did.action, Action::Failover);
}

/// What a candidate remembers, it remembers from moment to moment: this one remembers more each
/// time, until it is more than it may.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_candidate_remembers_from_moment_to_moment() {
    let world = month(1, |config| {
        config.set("guests.limits.state", "1KiB");
    })
    .await;
    let hostile = path(&world, "policies/hostile.wasm");
    let days = ["--since", "2026-10-01T01:00:00Z", "--until", "2026-10-01T02:00:00Z"];
    let report = replay(&world, &[&["--policy", &hostile], days.as_slice()].concat()).await;
    let moments = report.recorded + report.reconstructed;
    let [failed] = report.failures.as_slice() else { panic!("{report:#?}") };
    assert_eq!(failed.times, moments - 1_024, "{report:#?}");
    assert!(failed.failure.detail.contains("1025 bytes"), "{failed:?}");
}

/// How fast a month is gone through, asked about each second; in an unoptimised build, a day of it:
/// `cargo test --release -p watchkeeper-e2e --test suite how_fast -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a measurement"]
async fn how_fast_a_month_is_replayed() {
    let world = month(30, |_| {}).await;
    let config = watchkeeper::config::load(&world.config_path()).unwrap();
    let cluster = &config.clusters[0];
    let candidate = Candidate {
        file: world.path("policies/data-mover-ha.wasm"),
        name: None,
        settings: BTreeMap::from([("rescue-attempts".to_owned(), Given::Integer(0))]),
        files: BTreeMap::new(),
    };
    let question = Question {
        cluster,
        panel: Panel::of(&config.guests, cluster, &candidate).unwrap(),
        candidate: &candidate,
        journal: &Reader::open(&world.journal_path()).unwrap(),
        since: if cfg!(debug_assertions) { "1d" } else { "30d" }.parse().unwrap(),
        until: None,
        now: month::BEGINNING,
    };
    let Replayed { report, days } = watchkeeper::replay::replay(question, |_| {}).unwrap();
    println!("{days}\n{report}\n{}", watchkeeper::replay::speed(&report));
}
