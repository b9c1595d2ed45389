//! No alert is lost: the daemon is killed again and again while receivers fail, stall and talk rubbish,
//! and a checker beside the receivers compares what they got with what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::Service;
use watchkeeper_site::sink::alerts_in;

use crate::harness::{World, cluster};

/// How often the daemon is killed, unless `WATCHKEEPER_KILLS` says otherwise.
const KILLS: u64 = 10;

/// A small generator of repeatable choices (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }
}

/// A receiver that takes every connection, reads, and never answers.
fn stalling() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let mut bytes = [0; 1024];
                while stream.read(&mut bytes).is_ok_and(|count| count > 0) {}
            });
        }
    });
    url
}

/// What a receiver (by the path of its requests) took of one alert: the number of each notification, and
/// whether it said that the alert fires. What came twice is in it once.
type Heard = BTreeMap<(String, String), Vec<(u64, bool)>>;

/// What was heard, and how many notifications came twice.
fn heard(world: &World) -> (Heard, usize) {
    let (mut heard, mut keys, mut doubled) = (Heard::new(), BTreeSet::new(), 0);
    for request in world.site.sink().requests() {
        if request.answered != 200 {
            continue;
        }
        let key = request.headers.iter().find(|(name, _)| name == "idempotency-key").unwrap();
        if !keys.insert((request.path.clone(), key.1.clone())) {
            doubled += 1;
            continue;
        }
        for alert in alerts_in(&request.body) {
            let fingerprint = alert["fingerprint"].as_str().unwrap().to_owned();
            let number = key.1.rsplit('-').next().unwrap().parse().unwrap();
            let fires = alert["status"] == "firing";
            heard.entry((request.path.clone(), fingerprint)).or_default().push((number, fires));
        }
    }
    (heard, doubled)
}

/// Every alert of the journal by its fingerprint, with its name.
fn raised(records: &[Record]) -> BTreeMap<String, String> {
    let fired = records.iter().filter_map(|record| match &record.event {
        Event::AlertFired(alert) => Some((alert.fingerprint.to_string(), alert.claim.name.clone())),
        _ => None,
    });
    fired.collect()
}

/// Killed at any moment, with one receiver that fails now and then, one that is away now and then, and
/// one that never answers: both that can take anything took everything in order, and what the third did
/// not take is in the list of dead letters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_no_alert_is_lost() {
    let kills = std::env::var("WATCHKEEPER_KILLS").map_or(KILLS, |it| it.parse().unwrap());
    let stall = stalling();
    let mut world = World::prepare().await;
    let sink = world.site.sink().url();
    world
        .config
        .set("receivers.ops.retry-first", "50ms")
        .set("receivers.ops.retry-max", "500ms")
        .set("receivers.audit.plugin", "webhook")
        .set("receivers.audit.hosts", vec![sink.clone()])
        .set("receivers.audit.settings.url", format!("{sink}/audit"))
        .set("receivers.audit.retry-first", "50ms")
        .set("receivers.audit.retry-max", "500ms")
        .set("receivers.stall.plugin", "webhook")
        .set("receivers.stall.hosts", vec![stall.clone()])
        .set("receivers.stall.settings.url", stall.clone())
        .set("receivers.stall.timeout", "200ms")
        .set("receivers.stall.retry-first", "50ms")
        .set("receivers.stall.give-up-after", "1s");
    world.run().await;
    let mut dice = Dice(4_711);
    let mut broken = [false; 2];
    for _ in 0..kills {
        for _ in 0..dice.below(4) {
            let which = usize::try_from(dice.below(2)).unwrap();
            let server = ["dm2", "dm3"][which];
            if broken[which] {
                mend(&world, server).await;
            } else {
                world.break_service(server, Service::Agent).await;
            }
            broken[which] = !broken[which];
            match dice.below(5) {
                0 => world.site.sink().fail(3, 503),
                1 => world.site.sink().down().await,
                2 => world.site.sink().up().await.unwrap(),
                _ => {}
            }
            tokio::time::sleep(Duration::from_millis(dice.below(400))).await;
        }
        tokio::time::sleep(Duration::from_millis(dice.below(600))).await;
        world.kill9().await;
        world.launch();
        // Now and then it is killed before it has even started.
        if dice.below(3) > 0 {
            watches(&mut world).await;
        }
    }
    world.site.sink().fail(0, 503);
    world.site.sink().up().await.unwrap();
    watches(&mut world).await;
    for (which, server) in ["dm2", "dm3"].into_iter().enumerate() {
        if broken[which] {
            mend(&world, server).await;
        }
    }
    world.wait_no_alert("agent-down").await;
    world.wait_for("nothing waits", |status| status.outbox.0 == 0).await;

    let records = world.journal();
    let (heard, doubled) = heard(&world);
    let firing: BTreeSet<String> = still_firing(&records);
    for (fingerprint, name) in raised(&records) {
        for path in ["/alerts", "/audit"] {
            let told = heard.get(&(path.to_owned(), fingerprint.clone()));
            let told = told.unwrap_or_else(|| panic!("{path} never heard of {name}"));
            assert!(told.is_sorted(), "{path} heard of {name} in another order: {told:?}");
            let last = told.last().is_some_and(|(_, fires)| *fires);
            assert_eq!(last, firing.contains(&fingerprint), "{path} has {told:?} of {name}");
        }
    }
    // At a kill, four notifications at the most are under way to each of two receivers.
    assert!(u64::try_from(doubled).unwrap() <= 8 * kills, "{doubled} came twice at {kills} kills");
    let dead = world.status().await.outbox.1;
    assert!(dead > 0, "what nobody took is in the list of dead letters");
    println!(
        "{kills} kills: {} alerts raised, {} notifications taken, {doubled} twice, {dead} dead letters of the \
         receiver that never answers",
        raised(&records).len(),
        world.site.sink().requests().iter().filter(|it| it.answered == 200).count()
    );
}

async fn watches(world: &mut World) {
    world.wait_for("the first evaluation", |status| cluster(status).evaluations > 0).await;
}

async fn mend(world: &World, server: &str) {
    world.site.allow_start(server, Service::Agent).unwrap();
    world.site.start_service(server, Service::Agent).await.unwrap();
}

/// The alerts that are not over.
fn still_firing(records: &[Record]) -> BTreeSet<String> {
    let mut firing = BTreeSet::new();
    for record in records {
        match &record.event {
            Event::AlertFired(alert) => {
                firing.insert(alert.fingerprint.to_string());
            }
            Event::AlertResolved { fingerprint, .. } => {
                firing.remove(&fingerprint.to_string());
            }
            _ => {}
        }
    }
    firing
}
