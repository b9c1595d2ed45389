//! Maintenance mode of one service, beside which everything else goes on; and what goes on in that of the
//! whole cluster.

use std::time::Duration;

use watchkeeper::api::{ServiceReport, StatusReport};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::{Service, Side, Status};
use watchkeeper_core::plan::PlanKind;

use crate::harness::{World, cluster};

fn service<'a>(status: &'a StatusReport, server: &str, service: Service) -> &'a ServiceReport {
    let mut all = cluster(status).services.iter();
    all.find(|it| it.server.as_str() == server && it.service == service).expect("it is reported")
}

/// Stopped by hand, it is nobody's business; another one is rescued meanwhile; and when its maintenance
/// runs out, it is rescued itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_in_maintenance_is_left_alone_until_its_maintenance_runs_out() {
    let mut world = World::start().await;
    let on = ["maintenance", "on", "--service", "dm1/daemon", "--reason", "a new version"];
    world.ok(&[&on[..], &["--for", "1h"]].concat()).await;
    let starts = world.site.starts("dm1", Service::Daemon);
    world.site.stop_service("dm1", Service::Daemon).await.unwrap();
    world
        .wait_for("the daemon down", |status| {
            service(status, "dm1", Service::Daemon).status == Status::Down
        })
        .await;
    let status = world.let_pass(20).await;
    assert!(cluster(&status).alerts.is_empty(), "{:#?}", cluster(&status).alerts);
    assert!(world.plans().is_empty(), "{:?}", world.plans());
    assert!(service(&status, "dm1", Service::Daemon).maintenance);
    assert!(!service(&status, "dm1", Service::Rest).maintenance);
    let shown = &cluster(&status).services_in_maintenance["dm1/daemon"];
    assert!(shown.reason == "a new version" && shown.until.is_some(), "{shown:?}");
    assert!(!shown.by.is_empty() && cluster(&status).maintenance.is_none());
    let text = world.ok(&["status"]).await.out;
    let line = text.lines().find(|line| line.contains("maintenance of dm1/daemon until")).unwrap();
    assert!(line.contains(&shown.by) && line.ends_with(": a new version"), "{line}");
    assert!(text.contains("in maintenance, down"), "{text}");

    world.site.kill("dm1", Service::Activemq).await.unwrap();
    world.wait_taken("service-down", "firing").await;
    world.wait_site("the broker is back", |site| site.is_ready("dm1", Service::Activemq)).await;
    world.wait_taken("service-down", "resolved").await;
    world.let_pass(10).await;
    assert!(world.changes().is_empty());
    assert_eq!(world.site.starts("dm1", Service::Daemon), starts);

    world.ok(&[&on[..], &["--for", "1s"]].concat()).await;
    world.wait_site("the daemon is back", |site| site.is_ready("dm1", Service::Daemon)).await;
    assert_eq!(world.site.starts("dm1", Service::Daemon), starts + 1);
    let ended_by = world
        .wait_record("the end of it", |record| match &record.event {
            Event::MaintenanceOff { by, service: Some(id) } => Some((by.clone(), id.to_string())),
            _ => None,
        })
        .await;
    assert_eq!(ended_by, ("watchkeeper".to_owned(), "dm1/daemon".to_owned()));
    assert!(world.cluster().await.services_in_maintenance.is_empty());
}

/// A lost host is failed over with a service of it in maintenance, and that stays in maintenance when
/// the host returns: it is no stray that is stopped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_host_is_failed_over_with_a_service_of_it_in_maintenance() {
    let mut world = World::start().await;
    world.ok(&["maintenance", "on", "--service", "dm1/rest", "--reason", "certificates"]).await;
    world.site.stop_service("dm1", Service::Rest).await.unwrap();
    world.site.crash_server("dm1").await.unwrap();
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.assert_never_both();

    let boot = [Service::Repository, Service::Activemq, Service::Rest];
    world.site.boot_server_starting("dm1", &boot).await.unwrap();
    world
        .wait_site("the other stray is stopped", |site| !site.is_running("dm1", Service::Activemq))
        .await;
    world.let_pass(10).await;
    assert!(world.site.is_running("dm1", Service::Rest));
    world.ok(&["maintenance", "off", "--service", "dm1/rest"]).await;
    world.wait_site("it is stopped", |site| !site.is_running("dm1", Service::Rest)).await;
    let strays: Vec<String> = world
        .plans()
        .into_iter()
        .filter_map(|plan| match plan.kind {
            PlanKind::Clear(id) => Some(id.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(strays, ["dm1/activemq", "dm1/rest"]);
}

/// Whoever mistypes a name learns which was meant, and nothing is switched.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_not_there_is_told_with_the_nearest_name() {
    let mut world = World::start().await;
    for args in [
        &["maintenance", "on", "--service", "dm1/deamon", "--reason", "a typo"][..],
        &["maintenance", "off", "--service", "dm1/deamon"],
    ] {
        let said = world.cli(args).await;
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.contains("did you mean dm1/daemon?"), "{said:?}");
    }
    let said = world.cli(&["maintenance", "off", "--service", "dm1/daemon"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("dm1/daemon is not in maintenance"), "{said:?}");
    assert!(world.cluster().await.services_in_maintenance.is_empty());
}

/// What docs/operations.md lists: the plan in flight, through a crash as well; alerts and their delivery; a
/// reload; a declaration; and its own end, which lets act again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_goes_on_in_maintenance_mode() {
    let delay = Duration::from_millis(300);
    let mut world = World::prepare_with(|site| site.start_delay = delay).await;
    world.config.setting("rescue-attempts", 0);
    world.run().await;
    world.break_service("dm1", Service::Daemon).await;
    world.wait_intended("a step of the failover", |_| true).await;
    world.ok(&["maintenance", "on", "--reason", "too late for that one"]).await;
    world.kill9().await;
    world.run().await;
    world.wait_active(Side::Secondary).await;
    world.assert_secondary_serves().await;
    world.wait_taken("failover", "resolved").await;

    world.config.setting("rescue-attempts", 3);
    world.write_config();
    world.ok(&["reload"]).await;
    world.site.kill("dm2", Service::Rest).await.unwrap();
    world.wait_taken("service-down", "firing").await;
    let told = |record: &Record| match &record.event {
        Event::Evaluated(it) => it.opinions.iter().find_map(|opinion| {
            let proposals = &opinion.outcome.as_ref().ok()?.proposals;
            proposals.iter().find(|it| it.reason.ends_with("attempt 1 of 3")).map(drop)
        }),
        _ => None,
    };
    world.wait_record("what the new setting asks for", told).await;
    world.let_pass(10).await;
    let begun: Vec<String> = world.plans().iter().map(|plan| plan.kind.to_string()).collect();
    assert_eq!(begun, ["failover"]);

    world.ok(&["declare", "secondary", "--reason", "so it is"]).await;
    world.ok(&["maintenance", "on", "--reason", "not much longer", "--for", "1s"]).await;
    world.wait_site("REST is back", |site| site.is_ready("dm2", Service::Rest)).await;
    let ended_by = world
        .wait_record("the end of it", |record| match &record.event {
            Event::MaintenanceOff { by, service: None } => Some(by.clone()),
            _ => None,
        })
        .await;
    assert_eq!(ended_by, "watchkeeper");
}
