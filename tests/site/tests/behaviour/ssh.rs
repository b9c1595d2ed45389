//! Login, commands, units and forwarding.

use russh::keys::{Algorithm, PrivateKey};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use watchkeeper_core::model::Service;
use watchkeeper_site::config::Refusal;
use watchkeeper_site::{Net, Site, SiteConfig, Unit};

use crate::client::{SOON, exec, goodbye, login, login_as, site};

fn said(exit: u32, out: &str) -> (u32, String, String) {
    (exit, out.to_owned(), String::new())
}

#[tokio::test]
async fn only_dmuser_with_the_key_may_log_in() {
    let site = site().await;
    let key = || PrivateKey::from_openssh(site.client_key().unwrap()).unwrap();
    let stranger = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).unwrap();
    let known = || site.known_hosts().unwrap();
    for (user, key, expected) in
        [("dmuser", key(), true), ("root", key(), false), ("dmuser", stranger, false)]
    {
        let (_, accepted) = login_as(&site, "dm1", user, key, known()).await.unwrap();
        assert_eq!(accepted, expected, "{user}");
    }
}

#[tokio::test]
async fn a_changed_host_key_is_seen_by_new_connections() {
    let site = site().await;
    let (old, key) = (site.known_hosts().unwrap(), site.client_key().unwrap());
    let kept = login(&site, "dm1").await;
    site.change_host_key("dm1").unwrap();
    let key = || PrivateKey::from_openssh(&key).unwrap();
    assert!(login_as(&site, "dm1", "dmuser", key(), old.clone()).await.is_err());
    assert!(login_as(&site, "dm2", "dmuser", key(), old).await.is_ok(), "dm2 has its own key");
    login(&site, "dm1").await;
    timeout(SOON, async {
        while !kept.is_closed() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the old connection to end");
}

#[tokio::test]
async fn commands_end_as_they_would_on_a_server() {
    let site = site().await;
    let dm1 = login(&site, "dm1").await;
    for (command, expected) in [
        ("true", said(0, "")),
        ("false", said(1, "")),
        ("hostname", said(0, "dm1\n")),
        ("echo a 'b  c'", said(0, "a b  c\n")),
        ("systemctl is-active dm-daemon", said(0, "active\n")),
        ("systemctl is-active dm-daemon.service dm-rest", said(0, "active\nactive\n")),
        ("systemctl is-active dm-nosuch", said(4, "inactive\n")),
        ("reboot", (127, String::new(), "sh: 1: reboot: not found\n".to_owned())),
    ] {
        assert_eq!(exec(&dm1, command).await, expected, "{command}");
    }
    let dm2 = login(&site, "dm2").await;
    assert_eq!(exec(&dm2, "systemctl is-active dm-daemon").await, said(3, "inactive\n"));
    site.kill("dm1", Service::Daemon).await.unwrap();
    assert_eq!(exec(&dm1, "systemctl is-active dm-daemon").await, said(3, "failed\n"));
    let (exit, _, err) = exec(&dm2, "systemctl start dm-dsa").await;
    assert_eq!(exit, 5, "{err}");
    goodbye(dm1).await;
}

#[tokio::test]
async fn a_unit_is_active_at_launch_and_ready_later() {
    let site = site().await;
    let dm1 = login(&site, "dm1").await;
    site.kill("dm1", Service::Daemon).await.unwrap();
    assert_eq!(exec(&dm1, "systemctl start dm-daemon").await, said(0, ""));
    assert!(site.is_running("dm1", Service::Daemon));
    let ready = |site: &Site| site.is_ready("dm1", Service::Daemon);
    site.wait_until("the daemon", SOON, ready).await.unwrap();
    assert_eq!(site.starts("dm1", Service::Daemon), 2);
    // A second start of what runs does nothing.
    assert_eq!(exec(&dm1, "systemctl start dm-daemon").await.0, 0);
    assert_eq!(site.starts("dm1", Service::Daemon), 2);
    assert_eq!(site.start_requests("dm1", Service::Daemon), 3);
    assert_eq!(exec(&dm1, "systemctl stop dm-daemon").await, said(0, ""));
    assert_eq!(site.unit("dm1", Service::Daemon), Some(Unit::Inactive));
    let log: Vec<_> = site.log().into_iter().map(|(_, what)| what).collect();
    assert!(log.iter().any(|it| it.starts_with("dm1/daemon launched by ssh from 127.")), "{log:?}");
    assert!(log.iter().any(|it| it.starts_with("dm1/daemon stopped by ssh from 127.")), "{log:?}");
}

#[tokio::test]
async fn starts_fail_when_forbidden_or_without_what_is_needed() {
    let site = site().await;
    let dm1 = login(&site, "dm1").await;
    site.kill("dm1", Service::Daemon).await.unwrap();
    site.forbid_start("dm1", Service::Daemon).unwrap();
    let (exit, _, err) = exec(&dm1, "systemctl start dm-daemon").await;
    assert_eq!(exit, 1);
    assert!(err.contains("dm-daemon.service failed"), "{err}");
    site.allow_start("dm1", Service::Daemon).unwrap();
    site.stop_service("dm1", Service::Repository).await.unwrap();
    assert_eq!(exec(&dm1, "systemctl start dm-daemon").await.0, 1, "no repository");
    assert_eq!(site.starts("dm1", Service::Daemon), 1);
    site.stop_service("dm1", Service::Activemq).await.unwrap();
    let dm3 = login(&site, "dm3").await;
    assert_eq!(exec(&dm3, "systemctl stop dm-agent").await.0, 0);
    assert_eq!(exec(&dm3, "systemctl start dm-agent").await.0, 1, "no broker");
}

#[tokio::test]
async fn a_site_can_let_services_die_after_their_launch() {
    let mut config = SiteConfig::new(Net::Unique);
    config.refusal = Refusal::AfterLaunch;
    let site = Site::start(config).await.unwrap();
    let dm1 = login(&site, "dm1").await;
    site.kill("dm1", Service::Activemq).await.unwrap();
    assert_eq!(site.unit("dm1", Service::Daemon), Some(Unit::Failed), "died with its broker");
    assert_eq!(exec(&dm1, "systemctl start dm-daemon").await.0, 0);
    let failed = |site: &Site| site.unit("dm1", Service::Daemon) == Some(Unit::Failed);
    site.wait_until("the death", SOON, failed).await.unwrap();
    assert!(!site.is_ready("dm1", Service::Daemon));
}

#[tokio::test]
async fn another_server_is_a_vantage() {
    let site = site().await;
    let dm2 = login(&site, "dm2").await;
    let broker = site.address("dm1").unwrap().to_string();
    let open = |port: u16| dm2.channel_open_direct_tcpip(&broker, port.into(), "127.0.0.1", 1);
    let mut seen = open(61616).await.unwrap().into_stream();
    let mut greeting = [0; 13];
    timeout(SOON, seen.read_exact(&mut greeting)).await.unwrap().unwrap();
    assert_eq!(&greeting[5..], b"ActiveMQ");
    // What is closed for a vantage is refused, what is cut off hangs.
    site.kill("dm1", Service::Activemq).await.unwrap();
    assert!(timeout(SOON, open(61616)).await.unwrap().is_err());
    site.cut("dm1", Some("dm2")).unwrap();
    assert!(timeout(crate::client::SILENCE, open(5432)).await.is_err());
    site.heal("dm1", Some("dm2")).unwrap();
    assert!(timeout(SOON, open(5432)).await.unwrap().is_ok());
}
