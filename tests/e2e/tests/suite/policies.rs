//! Policies in the shadow, promoted, taken back by hand and by themselves.

use watchkeeper_core::event::Event;
use watchkeeper_core::model::{Service, Side};
use watchkeeper_core::policies::Mode;
use watchkeeper_core::proposal::Severity;

use crate::harness::{POLICY, World, another_policy, cluster, guest};

const MODE: &str = "clusters.prod.policies.0.mode";

async fn digest(world: &mut World, policy: &str) -> String {
    let cluster = world.cluster().await;
    let found = cluster.policies.iter().find(|it| it.name == policy).expect("it is listed");
    found.revision.clone().expect("it is in force").digest
}

async fn wait_digest(world: &mut World, policy: &str, wanted: impl Fn(&str) -> bool) {
    world
        .wait_for("the revision", |status| {
            let policies = &cluster(status).policies;
            let found = policies.iter().find(|it| it.name == policy);
            let revision = found.and_then(|it| it.revision.as_ref());
            revision.is_some_and(|revision| wanted(&revision.digest))
        })
        .await;
}

/// In the shadow it changes nothing and shows what it would do; promoted it acts; the order holds
/// over a crash, and until the configuration says something else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_in_the_shadow_is_seen_and_acts_once_promoted() {
    let mut world = World::prepare().await;
    world.config.set(MODE, "shadow");
    world.run().await;
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    let status = world.wait_for("what it would do", |it| cluster(it).in_shadow.is_some()).await;
    let shown = cluster(&status).in_shadow.clone().unwrap();
    assert!(shown.starts_with("rescue dm1/daemon, as data-mover-ha asks"), "{shown}");
    assert!(cluster(&status).wants.is_none());
    world.let_pass(5).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), before);
    assert!(world.plans().is_empty());
    let recorded = world.journal().into_iter().rev().find_map(|record| match record.event {
        Event::Evaluated(it) => it.in_shadow.map(|would| (record.seq, would)),
        _ => None,
    });
    let (seq, recorded) = recorded.expect("it is recorded");
    assert!(recorded.to_carry_out().is_some());
    let told = world.ok(&["explain", "--record", &seq.to_string()]).await.out;
    assert!(
        told.contains("If the policies in the shadow were obeyed\n  rescue dm1/daemon"),
        "{told}"
    );
    let told = world.ok(&["status"]).await.out;
    assert!(
        told.contains(", in the shadow, may:") && told.contains("in the shadow: rescue"),
        "{told}"
    );

    let again = world.cli(&["policy", "demote", POLICY, "--reason", "again"]).await;
    assert!(again.out.contains("data-mover-ha is in the shadow already"), "{again:?}");
    let typo = world.cli(&["policy", "promote", "data-mover-hi", "--reason", "typo"]).await;
    assert!(
        typo.out.contains("there is no policy \"data-mover-hi\"; there is data-mover-ha"),
        "{typo:?}"
    );
    world.ok(&["policy", "promote", POLICY, "--reason", "a good week"]).await;
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    let status =
        world.wait_for("nothing in the shadow", |it| cluster(it).in_shadow.is_none()).await;
    let policy = &cluster(&status).policies[0];
    assert_eq!((policy.mode, policy.configured_mode), (Mode::Enforce, Some(Mode::Shadow)));

    // The order holds over a crash; the configuration's next word ends it.
    world.kill9().await;
    world.run().await;
    assert_eq!(world.cluster().await.policies[0].mode, Mode::Enforce);
    world.ok(&["policy", "demote", POLICY, "--reason", "not yet"]).await;
    assert_eq!(world.cluster().await.policies[0].mode, Mode::Shadow);
    world.config.set(MODE, "enforce");
    world.write_config();
    world.wait_for("enforced", |it| cluster(it).policies[0].mode == Mode::Enforce).await;
}

/// The revision before comes back although the file holds another one, over a crash as well, until
/// the file changes or an operator says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_holds_until_the_file_changes_or_it_is_tried_again() {
    let mut world = World::start().await;
    let old = digest(&mut world, POLICY).await;
    let none = world.cli(&["policy", "rollback", POLICY, "--reason", "why not"]).await;
    assert!(none.out.contains("there is no earlier revision of data-mover-ha"), "{none:?}");

    world.put_policy(POLICY, &another_policy().await);
    wait_digest(&mut world, POLICY, |it| it != old).await;
    let new = digest(&mut world, POLICY).await;
    let listed = world.ok(&["policy", "list"]).await.out;
    assert!(listed.contains("a rollback leads to"), "{listed}");
    world.ok(&["policy", "rollback", POLICY, "--reason", "it shouts"]).await;
    wait_digest(&mut world, POLICY, |it| it == old).await;
    let told = world.wait_alert("policy-rolled-back").await;
    assert!(told.contains("it shouts") && told.contains(&new[..12]), "{told}");
    world.kill9().await;
    world.run().await;
    assert_eq!(digest(&mut world, POLICY).await, old);
    let none = world.cli(&["policy", "rollback", POLICY, "--reason", "further"]).await;
    assert!(none.out.contains("there is no earlier revision"), "{none:?}");
    // It decides.
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;

    world.ok(&["policy", "retry", POLICY, "--reason", "it may shout"]).await;
    wait_digest(&mut world, POLICY, |it| it == new).await;
    world.wait_no_alert("policy-rolled-back").await;
    world.ok(&["policy", "rollback", POLICY, "--reason", "it still shouts"]).await;
    wait_digest(&mut world, POLICY, |it| it == old).await;
    // A third one is another matter.
    let third = guest(POLICY).await;
    let third = watchkeeper_guests::patched(&third, "as the vendor does", "as the Vendor does");
    world.put_policy(POLICY, &third);
    wait_digest(&mut world, POLICY, |it| it != old && it != new).await;
    world.wait_no_alert("policy-rolled-back").await;
    // What is kept is what can be gone back to, and nothing else.
    let kept = std::fs::read_dir(world.journal_path().with_file_name("revisions")).unwrap();
    assert_eq!(kept.count(), 2);
}

/// A revision that was good when it was tried and fails when it counts is taken back by itself; the
/// failover for which it was needed follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_fails_when_it_counts_is_taken_back_by_itself() {
    let mut world = World::prepare().await;
    world.config.setting("rescue-attempts", 0);
    world.config.set("guests.rollback-after", 3);
    let good = guest("guest-hostile").await;
    world.put_policy("hostile", &good);
    world.config.policy("hostile", &["rescue", "alert"]);
    world.run().await;
    let old = digest(&mut world, "hostile").await;
    let bad =
        watchkeeper_guests::patched(&good, "hostile-evaluate:normal ", "hostile-evaluate:down   ");
    world.put_policy("hostile", &bad);
    wait_digest(&mut world, "hostile", |it| it != old).await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_active(Side::Secondary).await;
    assert_eq!(digest(&mut world, "hostile").await, old);
    let told = world.wait_alert("policy-rolled-back").await;
    assert!(told.contains("watchkeeper took the revision"), "{told}");
    assert!(told.contains("it gave no answer 3 times in a row"), "{told}");
    world.assert_secondary_serves().await;
    world.assert_never_both();
}

/// One in the shadow that fails wakes nobody up, and holds nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_policy_in_the_shadow_holds_nothing() {
    let mut world = World::prepare().await;
    world.put_policy("hostile", &guest("guest-hostile").await);
    let hostile = world.config.policy("hostile", &["rescue", "alert"]);
    world.config.set(&format!("{hostile}.settings.misbehave"), "panic");
    world.config.set(&format!("{hostile}.mode"), "shadow");
    world.run().await;
    let told = world.wait_alert("policy-failed").await;
    assert!(told.contains("it is in the shadow"), "{told}");
    let alerts = world.cluster().await.alerts;
    let alert = alerts.iter().find(|alert| alert.name == "policy-failed").unwrap();
    assert_eq!(alert.severity, Severity::Warning);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
}

/// What a policy asks for a server that its `servers` does not name is passed over, and told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_has_no_say_over_servers_that_its_table_does_not_name() {
    let mut world = World::prepare().await;
    world.config.set("clusters.prod.policies.0.servers", vec!["dm2", "dm3"]);
    world.run().await;
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    let (seq, why) = world
        .wait_record("what is passed over", |record| match &record.event {
            Event::Evaluated(it) => {
                it.decision.passed_over.first().map(|it| (record.seq, it.why.clone()))
            }
            _ => None,
        })
        .await;
    assert_eq!(why, "the configuration gives data-mover-ha no say over dm1 (servers)");
    let told = world.ok(&["explain", "--record", &seq.to_string()]).await.out;
    assert!(told.contains(&why), "{told}");
    world.let_pass(5).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), before);
    assert!(world.plans().is_empty());
    // The configuration lets it.
    world.config.set("clusters.prod.policies.0.servers", vec!["dm1", "dm2"]);
    world.write_config();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
}
