//! What a monitor sees when servers and networks fail.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use watchkeeper_core::model::Service;
use watchkeeper_site::{Power, Site, Unit};

use crate::client::{
    LAG, SILENCE, SOON, agents, assert_hangs, assert_silent, at, broker, exec, login, site, sql,
    value,
};

#[tokio::test]
async fn a_killed_service_ends_its_connections_and_refuses_new_ones() {
    let site = site().await;
    let mut old = broker(&site, "dm1").await.unwrap();
    site.kill("dm1", Service::Activemq).await.unwrap();
    let end = timeout(SOON, old.read(&mut [0])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
    let refused = TcpStream::connect(at(&site, "dm1", 61616)).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(site.unit("dm1", Service::Activemq), Some(Unit::Failed));
    site.start_service("dm1", Service::Activemq).await.unwrap();
    let ready = |site: &Site| site.is_ready("dm1", Service::Activemq);
    site.wait_until("the broker", SOON, ready).await.unwrap();
    broker(&site, "dm1").await.unwrap();
}

#[tokio::test]
async fn a_crashed_server_is_silent_and_comes_back_with_resets() {
    let site = site().await;
    let mut old = broker(&site, "dm1").await.unwrap();
    let ssh = login(&site, "dm1").await;
    site.crash_server("dm1").await.unwrap();
    assert_eq!(site.power("dm1"), Power::Off);
    for port in [2222, 61616, 5432, 1443] {
        assert_hangs(at(&site, "dm1", port)).await;
    }
    assert_silent(&mut old).await;
    old.write_all(b"is anybody there?").await.unwrap();
    assert_silent(&mut old).await;
    assert!(timeout(SILENCE, ssh.channel_open_session()).await.is_err(), "SSH is silent");
    assert!(!site.is_running("dm1", Service::Daemon));
    assert!(site.start_service("dm1", Service::Daemon).await.is_err());

    site.boot_server("dm1").await.unwrap();
    let end = timeout(SOON, old.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(site.is_ready("dm1", Service::Repository));
    assert!(!site.is_running("dm1", Service::Daemon), "it does not start at boot");
    let refused = TcpStream::connect(at(&site, "dm1", 61616)).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert_eq!(exec(&login(&site, "dm1").await, "hostname").await.1, "dm1\n");
}

#[tokio::test]
async fn a_crash_of_a_port_that_was_closed_hangs_as_well() {
    let site = site().await;
    site.crash_server("dm3").await.unwrap();
    for port in [2222, 61616, 5432, 1443] {
        assert_hangs(at(&site, "dm3", port)).await;
    }
    let lost = |site: &Site| site.agents("dm1") == ["dm1", "dm2"];
    site.wait_until("the agent given up", SOON, lost).await.unwrap();
    site.boot_server("dm3").await.unwrap();
    let back = |site: &Site| site.agents("dm1").len() == 3;
    site.wait_until("the agent's return", SOON, back).await.unwrap();
}

#[tokio::test]
async fn the_checker_sees_both_sides_active() {
    let site = site().await;
    site.crash_server("dm1").await.unwrap();
    site.start_service("dm2", Service::Activemq).await.unwrap();
    let ready = |site: &Site| site.is_ready("dm2", Service::Activemq);
    site.wait_until("dm2's broker", SOON, ready).await.unwrap();
    assert!(!site.both_active_ever(), "a dead server runs nothing");
    let moved = |site: &Site| site.agents("dm2") == ["dm2", "dm3"];
    site.wait_until("agents leaving the dead broker", SOON, moved).await.unwrap();
    // The old active comes back and starts what it ran.
    site.boot_server_starting("dm1", &[Service::Repository, Service::Activemq]).await.unwrap();
    let overlaps = site.overlaps();
    assert_eq!(overlaps.len(), 1, "repositories may run on both sides");
    assert_eq!(overlaps[0].service, Service::Activemq);
    assert_eq!((overlaps[0].first.as_str(), overlaps[0].second.as_str()), ("dm2", "dm1"));
}

#[tokio::test]
async fn a_frozen_server_accepts_and_says_nothing_until_it_thaws() {
    let site = site().await;
    let dm1 = sql(&site, "dm1").await;
    site.freeze("dm1").unwrap();
    let mut new = TcpStream::connect(at(&site, "dm1", 61616)).await.unwrap();
    assert_silent(&mut new).await;
    let mut asked = Box::pin(value(&dm1, "select 1"));
    assert!(timeout(SILENCE, &mut asked).await.is_err());
    site.thaw("dm1").unwrap();
    assert_eq!(timeout(SOON, asked).await.unwrap().as_deref(), Some("1"));
    let mut greeting = [0; 13];
    timeout(SOON, new.read_exact(&mut greeting)).await.unwrap().unwrap();
    assert_eq!(agents(&site, "dm1").await.0, 200);
}

#[tokio::test]
async fn a_server_that_is_cut_from_the_outside_lives_on() {
    let site = site().await;
    let mut old = broker(&site, "dm1").await.unwrap();
    site.cut("dm1", None).unwrap();
    let mut new = TcpStream::connect(at(&site, "dm1", 61616)).await.unwrap();
    assert_silent(&mut new).await;
    assert_silent(&mut old).await;
    assert_eq!(site.agents("dm1").len(), 3, "its neighbours still reach it");
    site.heal("dm1", None).unwrap();
    let mut byte = [0; 13];
    timeout(SOON, new.read_exact(&mut byte)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_cut_between_servers_stops_replication_and_agents() {
    let site = site().await;
    let dm1 = sql(&site, "dm1").await;
    let receiving = async || value(&dm1, LAG).await.is_some();
    assert!(receiving().await);
    site.cut("dm1", Some("dm2")).unwrap();
    assert!(!receiving().await);
    let lost = |site: &Site| site.agents("dm1") == ["dm1", "dm3"];
    site.wait_until("dm2's agent given up", SOON, lost).await.unwrap();
    site.heal("dm2", Some("dm1")).unwrap();
    let back = |site: &Site| site.agents("dm1").len() == 3;
    site.wait_until("dm2's agent", SOON, back).await.unwrap();
    assert!(receiving().await);
}

#[tokio::test]
async fn a_reset_is_seen_at_once_and_harms_nothing() {
    let site = site().await;
    let mut old = broker(&site, "dm1").await.unwrap();
    site.reset_connections("dm1").unwrap();
    let end = timeout(SOON, old.read(&mut [0])).await.unwrap().unwrap_err();
    assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset);
    broker(&site, "dm1").await.unwrap();
    assert!(site.is_ready("dm1", Service::Daemon));
}

#[tokio::test]
async fn a_start_can_hang() {
    let site = site().await;
    site.kill("dm1", Service::Daemon).await.unwrap();
    site.hang_start("dm1", Service::Daemon).unwrap();
    let start = site.start_service("dm1", Service::Daemon);
    assert!(timeout(SILENCE, start).await.is_err());
    site.allow_start("dm1", Service::Daemon).unwrap();
    site.start_service("dm1", Service::Daemon).await.unwrap();
    assert_eq!(site.starts("dm1", Service::Daemon), 2);
}

#[tokio::test]
async fn what_does_not_happen_is_named() {
    let site = site().await;
    let never = site.wait_until("the impossible", SILENCE, |_| false).await.unwrap_err();
    assert!(never.to_string().starts_with("the impossible did not happen"), "{never}");
    assert!(site.kill("dm9", Service::Rest).await.is_err());
    assert!(site.kill("dm3", Service::Rest).await.is_err(), "not installed there");
}
