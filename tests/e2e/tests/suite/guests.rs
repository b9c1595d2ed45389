//! Policies that are replaced while it runs, and ones that are no good.

use watchkeeper::api::PolicyReport;
use watchkeeper_core::event::{Event, GuestKind};
use watchkeeper_core::model::{Service, Side};

use crate::harness::{POLICY, World, another_policy, cluster, guest, summary};

fn of<'a>(reports: &'a [PolicyReport], name: &str) -> &'a PolicyReport {
    reports.iter().find(|it| it.name == name).expect("the policy is listed")
}

async fn digest(world: &mut World) -> String {
    let cluster = world.cluster().await;
    of(&cluster.policies, POLICY).revision.clone().expect("it is in force").digest
}

/// A new component takes over between two evaluations: none is missed, and it decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_policy_takes_effect_without_a_restart() {
    let mut world = World::start().await;
    let old = digest(&mut world).await;
    let before = world.status().await;
    world.put_policy(POLICY, &another_policy().await);
    let status = world
        .wait_for("the new revision", |status| {
            let revision = of(&cluster(status).policies, POLICY).revision.as_ref();
            revision.is_some_and(|it| it.digest != old)
        })
        .await;
    let new = of(&cluster(&status).policies, POLICY).revision.clone().unwrap();
    assert_eq!(status.started, before.started);
    let loaded = world
        .wait_record("the load", |record| match &record.event {
            Event::GuestLoaded {
                kind: GuestKind::Policy, revision, replaced: Some(it), ..
            } => Some((revision.clone(), it.clone(), record.seq)),
            _ => None,
        })
        .await;
    assert_eq!((&loaded.0, &loaded.1.digest), (&new, &old));

    // Evaluations go on from where they were, and decide by the new one.
    let after = world.let_pass(3).await;
    assert!(cluster(&after).evaluations > cluster(&before).evaluations);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    let decided = world.journal().into_iter().rev().find_map(|record| match record.event {
        Event::Evaluated(it) if it.decision.chosen.is_some() => Some(it),
        _ => None,
    });
    let opinion = &decided.expect("the decision is recorded").opinions[0];
    assert_eq!(opinion.revision, new);
    let numbers: Vec<u64> = world
        .journal()
        .iter()
        .filter_map(|record| match &record.event {
            Event::Evaluated(it) => Some(it.snapshot.facts().number),
            _ => None,
        })
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    assert!(summary(&after, "guest-rejected").is_none());
}

/// The same during a failover: the plan goes on as it was made, and the policy is the new one after.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_replaced_during_a_failover_disturbs_nothing() {
    let mut world = World::prepare_with(|site| {
        site.start_delay = std::time::Duration::from_millis(300);
    })
    .await;
    world.config.setting("rescue-attempts", 0);
    world.run().await;
    let old = digest(&mut world).await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_intended("a step", |_| true).await;
    world.put_policy(POLICY, &another_policy().await);
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();
    world
        .wait_for("the new revision", |status| {
            let revision = of(&cluster(status).policies, POLICY).revision.as_ref();
            revision.is_some_and(|it| it.digest != old)
        })
        .await;
    assert_eq!(world.changes().len(), 1);
    world.wait_taken("failover", "resolved").await;
    assert_eq!(world.taken("failover", "firing").len(), 1);
}

/// New settings are in force for the next evaluation.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_settings_take_effect_without_a_restart() {
    let mut world = World::start().await;
    let before = world.status().await;
    world.config.setting("code-service-down", "4711");
    world.write_config();
    world
        .wait_record("the configuration", |record| {
            let applied = matches!(record.event, Event::ConfigurationApplied { .. });
            (applied && record.seq > before.journal).then_some(())
        })
        .await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    let taken = world.wait_taken("service-down", "firing").await;
    assert_eq!(taken["code"], "4711");
    assert_eq!(world.status().await.started, before.started);
}

/// Whatever lies in a policy's place that is no policy: what was in force stays so, and people learn
/// what is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_is_no_policy_is_refused_and_the_old_one_stays() {
    let mut world = World::start().await;
    let old = digest(&mut world).await;
    let good = guest(POLICY).await;
    let core_module = b"\0asm\x01\0\0\0".to_vec();
    let truncated = good[..good.len() / 2].to_vec();
    let cases: [(&str, Vec<u8>, &[&str]); 5] = [
        ("empty", Vec::new(), &["the file is empty"]),
        ("truncated", truncated, &["the file ends after"]),
        ("no wasm", b"<html>not found</html>".to_vec(), &["not a WebAssembly", "WebAssembly"]),
        ("a core module", core_module.clone(), &["core module", "module"]),
        ("another world", guest("webhook").await, &["notifier"]),
    ];
    for (what, bytes, words) in cases {
        world.put_policy(POLICY, &bytes);
        let mut told = String::new();
        world
            .wait_for(what, |status| {
                told = summary(status, "guest-rejected").unwrap_or_default();
                words.iter().any(|word| told.contains(word))
            })
            .await;
        assert!(told.contains("data-mover-ha.wasm"), "{what}: {told}");
        assert_eq!(digest(&mut world).await, old, "{what}");
        // It still decides: evaluations go on.
        world.let_pass(1).await;
        world.put_policy(POLICY, &good);
        world.wait_no_alert("guest-rejected").await;
    }
    world.put_policy(POLICY, &core_module);
    world.wait_alert("guest-rejected").await;
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    let rejections = |record: &watchkeeper_core::event::Record| {
        matches!(record.event, Event::GuestRejected { kind: GuestKind::Policy, .. })
    };
    assert_eq!(world.journal().iter().filter(|record| rejections(record)).count(), 6);

    world.put_policy(POLICY, &good);
    world.wait_no_alert("guest-rejected").await;
    world.wait_taken("guest-rejected", "resolved").await;
}

/// A policy that fails could have held, so nothing is done while it does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_traps_holds_and_is_told() {
    let mut world = World::prepare().await;
    world.put_policy("hostile", &guest("guest-hostile").await);
    let hostile = world.config.policy("hostile", &["rescue", "alert"]);
    world.config.set(&format!("{hostile}.settings.misbehave"), "panic");
    world.run().await;
    let told = world.wait_alert("policy-failed").await;
    assert!(told.contains("hostile"), "{told}");
    world.wait_taken("policy-failed", "firing").await;
    let before = world.site.starts("dm1", Service::Daemon);
    world.site.kill("dm1", Service::Daemon).await.unwrap();
    world
        .wait_for("the hold", |status| {
            let cluster = cluster(status);
            cluster.wants.is_some() && cluster.held_by.iter().any(|hold| hold.contains("hostile"))
        })
        .await;
    world.let_pass(5).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), before);
    assert!(world.plans().is_empty());

    // Without it, the others decide.
    world.config.set(&format!("{hostile}.on-failure"), "abstain");
    world.write_config();
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert!(summary(&world.status().await, "policy-failed").is_some());
}

/// Each way to misbehave costs nobody but the guest itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_abstains_by_failing_lets_others_decide() {
    for misdeed in ["panic", "loop", "memory", "stack", "giant-text", "server"] {
        let mut world = World::prepare().await;
        world.put_policy("hostile", &guest("guest-hostile").await);
        world.config.set("guests.limits.time", "100ms");
        let hostile = world.config.policy("hostile", &["rescue", "alert"]);
        world.config.set(&format!("{hostile}.settings.misbehave"), misdeed);
        world.config.set(&format!("{hostile}.on-failure"), "abstain");
        world.run().await;
        world.wait_alert("policy-failed").await;
        world.site.kill("dm1", Service::Daemon).await.unwrap();
        world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
        world.stop().await;
    }
}

/// A site's rules are taken over when their file changes, as policies are; those with a mistake are
/// not, and people learn where it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_in_rego_are_taken_over_when_their_file_changes() {
    let mut world = World::prepare().await;
    world.put_policy("rego", &guest("rego").await);
    let all = ["rescue", "stop-service", "failover", "hold", "alert"];
    let rego = world.config.policy("rego", &all);
    world.config.set(&format!("{rego}.settings.rules.file"), "rules.rego");
    let rules = |hold: &str| {
        format!("package watchkeeper\nimport rego.v1\ndecision := {{\"holds\": [{hold}]}}\n")
            .into_bytes()
    };
    world.put("rules.rego", &rules(""));
    world.run().await;
    world.ok(&["check"]).await;

    world.put("rules.rego", &rules("nothing_like_this"));
    let told = world.wait_alert("guest-rejected").await;
    assert!(told.contains("rules.rego:3:24: ") && told.contains("nothing_like_this"), "{told}");
    let check = world.cli(&["check"]).await;
    assert!(check.code == Some(1) && check.out.contains("rules.rego:3:24: "), "{check:?}");
    // Those before hold nothing.
    world.site.kill("dm1", Service::Rest).await.unwrap();
    world.wait_site("REST is back", |site| site.is_ready("dm1", Service::Rest)).await;

    world.put("rules.rego", &rules("\"by the new rules\""));
    world.wait_no_alert("guest-rejected").await;
    world
        .wait_record("the hold", |record| match &record.event {
            Event::Evaluated(it) => {
                let held = it.opinions.iter().filter_map(|it| it.outcome.as_ref().ok());
                held.flat_map(|it| &it.holds).any(|hold| hold == "by the new rules").then_some(())
            }
            _ => None,
        })
        .await;
}
