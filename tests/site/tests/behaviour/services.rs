//! Each stand-in service through its own protocol.

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use watchkeeper_core::model::Service;
use watchkeeper_site::config::Tls;
use watchkeeper_site::{Lags, Net, Site, SiteConfig, SiteError};

use crate::client::{ACCEPT, LAG, SOON, agents, at, broker, http, site, sql, value};

#[tokio::test]
async fn the_scenario_is_up_once_start_returns() {
    use Service::{Activemq, Agent, Daemon, Repository, Rest, Sync};
    let site = site().await;
    for (server, running) in [
        ("dm1", &[Activemq, Repository, Daemon, Agent, Rest, Sync][..]),
        ("dm2", &[Repository, Agent][..]),
        ("dm3", &[Agent][..]),
    ] {
        for service in Service::ALL {
            assert_eq!(
                site.is_ready(server, service),
                running.contains(&service),
                "{server}/{service}"
            );
        }
    }
    assert_eq!(site.agents("dm1"), ["dm1", "dm2", "dm3"]);
    assert!(!site.both_active_ever());
    broker(&site, "dm1").await.unwrap();
    assert!(broker(&site, "dm2").await.is_err(), "the standby has no broker");
}

#[tokio::test]
async fn the_repository_speaks_to_tokio_postgres() {
    let site = site().await;
    let (dm1, dm2) = (sql(&site, "dm1").await, sql(&site, "dm2").await);
    assert_eq!(value(&dm1, "select 1;").await.as_deref(), Some("1"));
    assert_eq!(value(&dm1, LAG).await.as_deref(), Some("0"));
    site.set_replication_lag(5_000);
    assert_eq!(value(&dm1, LAG).await.as_deref(), Some("5000"));
    site.set_replication_lags(Lags { sending: 1, receiving: 2, write: 3, replay: 4 });
    assert_eq!(value(&dm1, LAG).await.as_deref(), Some("10"));

    dm2.batch_execute("alter subscription dm_repository disable").await.unwrap();
    assert_eq!(site.subscription("dm2"), Some(false));
    assert_eq!(site.receives_from("dm2"), None);
    assert_eq!(value(&dm1, LAG).await, None, "nothing streams");
    dm2.batch_execute("alter subscription dm_repository enable").await.unwrap();
    assert_eq!(site.receives_from("dm2").as_deref(), Some("dm1"));
    site.break_replication(true);
    assert_eq!(value(&dm1, LAG).await, None);
}

#[tokio::test]
async fn rows_are_replicated_and_sequences_are_each_servers_own() {
    let site = site().await;
    assert_eq!(site.insert_job("dm1").unwrap(), 1043);
    assert_eq!(site.greatest("dm2", "job"), Some(1043));
    site.set_replication_lag(1);
    assert_eq!(site.insert_job("dm1").unwrap(), 1044);
    assert_eq!(site.greatest("dm2", "job"), Some(1043));
    let error = site.insert_job("dm2").unwrap_err();
    assert!(matches!(error, SiteError::Duplicate(_, 1)), "{error}");
    let dm2 = sql(&site, "dm2").await;
    let set = "select setval('public.job_id_seq', 1043)";
    assert_eq!(value(&dm2, set).await.as_deref(), Some("1043"));
    assert_eq!(site.insert_job("dm2").unwrap(), 1044);
    assert_eq!(site.sequence("dm2", "job_id_seq"), Some(1044));
}

#[tokio::test]
async fn a_statement_that_is_not_known_is_named_and_ends_nothing() {
    let site = site().await;
    let dm1 = sql(&site, "dm1").await;
    for unknown in ["drop table job", "select 1 as one", "select 1; select 1"] {
        let error = dm1.batch_execute(unknown).await.unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
        assert!(error.as_db_error().unwrap().message().contains(unknown), "{error:?}");
    }
    let error = dm1.batch_execute("alter subscription other disable").await.unwrap_err();
    assert_eq!(error.code(), Some(&SqlState::UNDEFINED_OBJECT));
    // The extended protocol is refused, and the session lives on.
    let prepared = timeout(SOON, dm1.prepare("select 1")).await.unwrap();
    assert_eq!(prepared.unwrap_err().code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    assert_eq!(value(&dm1, "select 1").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn rest_lists_agents_or_says_that_the_daemon_is_dead() {
    let site = site().await;
    let (status, list) = agents(&site, "dm1").await;
    assert_eq!(status, 200);
    let names: Vec<_> = list.as_array().unwrap().iter().map(|it| &it["agentHostName"]).collect();
    assert_eq!(names, ["dm1", "dm2", "dm3"]);
    for key in ["agentName", "agentVersion", "maxConcurrentTasks", "currentTaskCount"] {
        assert!(!list[0][key].is_null(), "{key}");
    }
    site.kill("dm3", Service::Agent).await.unwrap();
    let fewer = |site: &Site| site.agents("dm1").len() == 2;
    site.wait_until("the agent's end", SOON, fewer).await.unwrap();
    assert_eq!(agents(&site, "dm1").await.1.as_array().unwrap().len(), 2);

    site.kill("dm1", Service::Daemon).await.unwrap();
    let (status, body) = agents(&site, "dm1").await;
    assert_eq!(status, 500);
    let message = body["message"].as_str().unwrap();
    assert!(message.starts_with("Unable to communicate with DM Daemon."), "{message}");

    let url = format!("http://{}/datamover/", at(&site, "dm1", 1443));
    let client = http().tls_certs_only([]).build().unwrap();
    let bare = client.get(format!("{url}agents")).send().await.unwrap();
    assert_eq!(bare.status(), 400, "without the Accept header");
    let other = client.get(format!("{url}jobs")).header("Accept", ACCEPT).send().await.unwrap();
    assert_eq!(other.status(), 404);
}

#[tokio::test]
async fn rest_can_demand_https_and_a_login() {
    let mut config = SiteConfig::new(Net::Unique);
    let made = rcgen::generate_simple_self_signed(["dm1.test".to_owned()]).unwrap();
    let certificate = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    config.tls = Some(Tls { certificate: certificate.clone(), key });
    config.rest_login = Some(("watch".to_owned(), "s3cret".to_owned()));
    let site = Site::start(config).await.unwrap();
    let ca = reqwest::Certificate::from_pem(certificate.as_bytes()).unwrap();
    let client =
        http().tls_certs_only([ca]).resolve("dm1.test", at(&site, "dm1", 1443)).build().unwrap();
    let ask = |login: Option<&'static str>| {
        let call = client.get("https://dm1.test:1443/datamover/agents").header("Accept", ACCEPT);
        match login {
            Some(password) => call.basic_auth("watch", Some(password)).send(),
            None => call.send(),
        }
    };
    assert_eq!(ask(None).await.unwrap().status(), 401);
    assert_eq!(ask(Some("wrong")).await.unwrap().status(), 401);
    assert_eq!(ask(Some("s3cret")).await.unwrap().status(), 200);
    assert!(!format!("{:?}", site.config().tls).contains("PRIVATE"));
}

#[tokio::test]
async fn agents_follow_the_broker() {
    let site = site().await;
    for service in [Service::Rest, Service::Daemon, Service::Activemq] {
        site.stop_service("dm1", service).await.unwrap();
    }
    for service in [Service::Activemq, Service::Daemon, Service::Rest] {
        site.start_service("dm2", service).await.unwrap();
        let ready = |site: &Site| site.is_ready("dm2", service);
        site.wait_until("the service", SOON, ready).await.unwrap();
    }
    let moved = |site: &Site| site.agents("dm2").len() == 3;
    site.wait_until("the agents", SOON, moved).await.unwrap();
    assert_eq!(agents(&site, "dm2").await.0, 200);
    assert!(!site.both_active_ever(), "{:?}", site.log());
}
