//! A real Alertmanager is told, shows, silences and lets go. Without Alertmanager on this machine the test says so and
//! ends.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use watchkeeper_core::model::Service;
use watchkeeper_site::alertmanager::Alertmanager;

use crate::harness::{LONG, World, guest};

/// What Alertmanager's own receiver is told at, in the site's sink.
const ONWARD: &str = "/from-alertmanager";

struct Pair {
    world: World,
    alertmanager: Alertmanager,
}

impl Pair {
    /// A daemon that hands every alert on to an Alertmanager, and says every 300 ms that it fires still.
    async fn start() -> Option<Self> {
        let mut world = World::prepare().await;
        let (folder, onward) = (world.path("am"), format!("{}{ONWARD}", world.site.sink().url()));
        std::fs::create_dir_all(&folder).unwrap();
        let start = move || Alertmanager::start(&folder, &onward);
        let alertmanager = tokio::task::spawn_blocking(start).await.unwrap()?;
        world.put("plugins/alertmanager.wasm", &guest("alertmanager").await);
        world
            .config
            .set("receivers.am.plugin", "alertmanager")
            .set("receivers.am.hosts", vec![alertmanager.url().to_owned()])
            .set("receivers.am.settings.url", alertmanager.url())
            .set("receivers.am.retry-first", "100ms")
            .set("route.receiver", "am")
            .set("route.group-by", vec!["..."])
            .set("route.group-wait", "0s")
            .set("route.group-interval", "0s")
            .set("route.repeat-interval", "300ms");
        world.run().await;
        Some(Self { world, alertmanager })
    }

    /// Waits until what Alertmanager has of the agent on DM3 is as `wanted`, and gives it.
    async fn wait(&self, what: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let begun = Instant::now();
        loop {
            let all = self.alertmanager.alerts();
            let about = all.iter().filter(|it| it["labels"]["server"] == "dm3");
            let about: Vec<Value> = about.cloned().collect();
            if wanted(&about) {
                return about;
            }
            assert!(begun.elapsed() < LONG, "{what} did not come: {all:#?}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the alert in this state: `active`, or `suppressed`.
    async fn wait_state(&self, state: &str) -> Value {
        let one = |all: &[Value]| all.len() == 1 && all[0]["status"]["state"] == state;
        self.wait(state, one).await.swap_remove(0)
    }

    /// Waits until what Alertmanager tells its own receiver has come there with this status; gives the alert in it.
    async fn wait_onward(&self, status: &str) -> Value {
        let told = || {
            let requests = self.world.site.sink().requests().into_iter();
            let bodies = requests
                .filter(|request| request.path == ONWARD)
                .map(|request| serde_json::from_str::<Value>(&request.body).unwrap());
            let mut alerts = bodies.flat_map(|body| body["alerts"].as_array().unwrap().clone());
            alerts.find(|it| it["status"] == status && it["labels"]["server"] == "dm3")
        };
        self.world.wait_site(status, |_| told().is_some()).await;
        told().unwrap()
    }
}

/// Told of it again and again it has one alert, which is silenced there, and gone when the trouble is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alertmanager_shows_an_alert_silences_it_and_lets_it_go() {
    let Some(mut pair) = Pair::start().await else { return };
    pair.world.break_service("dm3", Service::Agent).await;
    let shown = pair.wait_state("active").await;
    let label = |name: &str| shown["labels"][name].as_str().unwrap_or_default().to_owned();
    assert_eq!(label("alertname"), "agent-down");
    assert_eq!((label("cluster"), label("service")), ("prod".to_owned(), "agent".to_owned()));
    assert_eq!(label("source"), "data-mover-ha");
    let summary = pair.world.wait_alert("agent-down").await;
    assert_eq!(shown["annotations"]["summary"], summary);
    assert_eq!(shown["annotations"]["monitor"], "vp1");

    // Told again, it is the same alert, which lasts longer.
    let end = |alert: &Value| alert["endsAt"].as_str().unwrap_or_default().to_owned();
    let later = |all: &[Value]| all.iter().any(|alert| end(alert) > end(&shown));
    let again = pair.wait("a later end", later).await;
    assert_eq!(again.len(), 1, "{again:#?}");
    assert_eq!(again[0]["fingerprint"], shown["fingerprint"]);
    assert_eq!(again[0]["startsAt"], shown["startsAt"]);

    let silence = pair.alertmanager.silence(&["alertname=agent-down", "server=dm3"]);
    let silenced = pair.wait_state("suppressed").await;
    assert_eq!(silenced["status"]["silencedBy"], serde_json::json!([silence]));
    pair.alertmanager.expire(&silence);
    pair.wait_state("active").await;
    pair.wait_onward("firing").await;

    pair.world.site.allow_start("dm3", Service::Agent).unwrap();
    pair.world.site.start_service("dm3", Service::Agent).await.unwrap();
    pair.wait("its end", <[Value]>::is_empty).await;
    let over = pair.wait_onward("resolved").await;
    assert_eq!(over["fingerprint"], shown["fingerprint"]);
    pair.world.wait_for("an empty outbox", |status| status.outbox == (0, 0)).await;
    assert!(pair.wait("nothing new", <[Value]>::is_empty).await.is_empty());
}
