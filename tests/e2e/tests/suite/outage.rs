//! No alert is lost: the daemon is killed again and again while things go wrong and right and receivers fail, stall and
//! talk rubbish, and a checker beside the receivers compares what they got with what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::model::Service;
use watchkeeper_site::sink::{Received, alerts_in};

use crate::harness::{Rubbish, World, cluster, stalling};

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

/// What can go wrong, and right again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// A service on a server, which cannot be started.
    Down(&'static str, Service),
    /// The standby does not apply what it gets.
    Replication,
    /// The standby is behind.
    Lag,
    /// A server cannot be reached.
    Cut(&'static str),
    /// The configuration is changed to one with a mistake.
    Mistake,
}

/// Each of them, and the alerts that come of it.
const TROUBLES: [(Trouble, &[&str]); 8] = [
    (Trouble::Down("dm2", Service::Agent), &["agent-down"]),
    (Trouble::Down("dm3", Service::Agent), &["agent-down"]),
    (Trouble::Down("dm1", Service::Rest), &["service-down", "rescue-exhausted"]),
    (Trouble::Mistake, &["configuration-rejected"]),
    (Trouble::Lag, &["replication-lag"]),
    // Each of these hides something of what stands before it.
    (Trouble::Replication, &["replication-standby"]),
    (Trouble::Cut("dm3"), &["probe-unknown"]),
    (Trouble::Down("dm2", Service::Repository), &["standby-unavailable"]),
];

impl Trouble {
    async fn begin(self, world: &mut World) {
        match self {
            Self::Down(server, service) => world.break_service(server, service).await,
            Self::Replication => world.site.break_replication(true),
            Self::Lag => world.site.set_replication_lag(1 << 30),
            Self::Cut(server) => world.site.cut(server, None).unwrap(),
            Self::Mistake => {
                "[nonsense]\n".clone_into(&mut world.config.tail);
                world.write_config();
            }
        }
    }

    async fn end(self, world: &mut World) {
        match self {
            Self::Down(server, service) => {
                world.site.allow_start(server, service).unwrap();
                world.site.start_service(server, service).await.unwrap();
            }
            Self::Replication => world.site.break_replication(false),
            Self::Lag => world.site.set_replication_lag(0),
            Self::Cut(server) => world.site.heal(server, None).unwrap(),
            Self::Mistake => {
                world.config.tail.clear();
                world.write_config();
            }
        }
    }
}

/// What goes wrong at a moment.
struct Troubles {
    on: [bool; TROUBLES.len()],
}

impl Troubles {
    /// Everything goes wrong, one after the other, and is an alert.
    async fn all(world: &mut World) -> Self {
        for (trouble, alerts) in TROUBLES {
            trouble.begin(world).await;
            for alert in alerts {
                world.wait_alert(alert).await;
            }
        }
        Self { on: [true; TROUBLES.len()] }
    }

    async fn turn(&mut self, number: usize, world: &mut World) {
        let trouble = TROUBLES[number].0;
        if self.on[number] {
            trouble.end(world).await;
        } else {
            trouble.begin(world).await;
        }
        self.on[number] = !self.on[number];
    }

    /// No daemon starts with a mistake in its configuration.
    async fn without_mistake(&mut self, world: &mut World) {
        let mistake = TROUBLES.iter().position(|(it, _)| *it == Trouble::Mistake).unwrap();
        if self.on[mistake] {
            self.turn(mistake, world).await;
        }
    }

    async fn end(mut self, world: &mut World) {
        for number in 0..TROUBLES.len() {
            if self.on[number] {
                self.turn(number, world).await;
            }
        }
    }
}

/// The receivers that can take anything, with the paths of their requests.
const TAKERS: [(&str, &str); 3] =
    [("ops", "/alerts"), ("audit", "/audit"), ("rubbish", "/rubbish")];

/// What a receiver (by its name, or the path of its requests) has of one alert: the number of each notification, and
/// whether it says that the alert fires. What came twice is in it once.
type Heard = BTreeMap<(String, String), Vec<(u64, bool)>>;

/// What was heard, and how many notifications came twice.
fn heard(requests: &[Received]) -> (Heard, usize) {
    let (mut heard, mut keys, mut doubled) = (Heard::new(), BTreeSet::new(), 0);
    for request in requests {
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

/// Every alert of the journal by its fingerprint: its name, and each time that it began, grew worse (true) or was
/// over (false).
fn raised(records: &[Record]) -> BTreeMap<String, (String, Vec<bool>)> {
    let mut raised = BTreeMap::<String, (String, Vec<bool>)>::new();
    for record in records {
        match &record.event {
            Event::AlertFired(alert) => {
                let name = alert.claim.name.clone();
                let known = raised.entry(alert.fingerprint.to_string());
                known.or_insert_with(|| (name, Vec::new())).1.push(true);
            }
            Event::AlertResolved { fingerprint, .. } => {
                raised.get_mut(&fingerprint.to_string()).unwrap().1.push(false);
            }
            _ => {}
        }
    }
    raised
}

/// What the journal says that receivers were to be told; and how often an alert began again before `receiver` was to be
/// told that it is over, so that it is told as going on.
fn to_be_told(records: &[Record], receiver: &str) -> (Heard, BTreeMap<String, usize>) {
    let (mut told, mut owed, mut went_on) = (Heard::new(), BTreeSet::new(), BTreeMap::new());
    for record in records {
        match &record.event {
            Event::AlertResolved { fingerprint, .. } => {
                owed.insert(fingerprint.to_string());
            }
            Event::AlertFired(alert) if owed.remove(alert.fingerprint.as_str()) => {
                *went_on.entry(alert.fingerprint.to_string()).or_default() += 1;
            }
            Event::NotificationMade(made) if made.receiver.as_str() == receiver => {
                for subject in made.alerts.iter().filter(|subject| subject.news) {
                    let fingerprint = subject.alert.fingerprint.to_string();
                    owed.remove(&fingerprint);
                    let key = (receiver.to_owned(), fingerprint);
                    told.entry(key).or_default().push((made.id, subject.alert.ends_at.is_none()));
                }
            }
            _ => {}
        }
    }
    (told, went_on)
}

fn setup(world: &mut World, stall: &str, rubbish: &str) {
    let sink = world.site.sink().url();
    world
        .config
        .replicated()
        // Nothing but one rescue is ever done about anything.
        .setting("failover-services", Vec::<String>::new())
        .setting("rescue-services", vec!["rest"])
        .setting("rescue-agents", false)
        .setting("stop-old-agent", false)
        .set("probes.unknown-after", "1s")
        .set("receivers.ops.retry-first", "50ms")
        .set("receivers.ops.retry-max", "500ms")
        .set("receivers.stall.plugin", "webhook")
        .set("receivers.stall.hosts", vec![stall])
        .set("receivers.stall.settings.url", stall)
        .set("receivers.stall.timeout", "200ms")
        .set("receivers.stall.retry-first", "50ms")
        .set("receivers.stall.give-up-after", "1s");
    for (name, host) in [("audit", sink.as_str()), ("rubbish", rubbish)] {
        let at = |key: &str| format!("receivers.{name}.{key}");
        world
            .config
            .set(&at("plugin"), "webhook")
            .set(&at("hosts"), vec![host])
            .set(&at("settings.url"), format!("{host}/{name}"))
            .set(&at("retry-first"), "50ms")
            .set(&at("retry-max"), "500ms");
    }
}

/// Killed at any moment, with one receiver that fails now and then, one that is away now and then, one that answers
/// rubbish and one that never answers: the three that can take anything took everything in order, and what the fourth did
/// not take is in the list of dead letters.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_no_alert_is_lost() {
    let kills = std::env::var("WATCHKEEPER_KILLS").map_or(KILLS, |it| it.parse().unwrap());
    let (stall, rubbish) = (stalling(), Rubbish::start());
    let mut world = World::prepare().await;
    setup(&mut world, &stall, &rubbish.url);
    world.run().await;
    let mut troubles = Troubles::all(&mut world).await;
    let mut dice = Dice(4_711);
    for _ in 0..kills {
        for _ in 0..dice.below(4) {
            let number = usize::try_from(dice.below(TROUBLES.len() as u64)).unwrap();
            troubles.turn(number, &mut world).await;
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
        troubles.without_mistake(&mut world).await;
        world.launch();
        // Now and then it is killed before it has even started.
        if dice.below(3) > 0 {
            watches(&mut world).await;
        }
    }
    world.site.sink().fail(0, 503);
    world.site.sink().up().await.unwrap();
    watches(&mut world).await;
    troubles.end(&mut world).await;
    world
        .wait_for("all is well", |status| {
            status.alerts.is_empty() && cluster(status).alerts.is_empty()
        })
        .await;
    world.wait_for("nothing waits", |status| status.outbox.0 == 0).await;
    let dead = world.status().await.outbox.1;
    assert!(dead > 0, "what nobody took is in the list of dead letters");
    // What a busy machine would make it tell meanwhile would be in the one and not in the other.
    world.stop().await;
    check(&world, &rubbish, kills);
    println!("and {dead} dead letters of the receiver that never answers");
}

/// Holds what the receivers took against what the journal says has happened.
fn check(world: &World, rubbish: &Rubbish, kills: u64) {
    let records = world.journal();
    let raised = raised(&records);
    let (mut heard_of, doubled) = heard(&world.site.sink().requests());
    let (of_rubbish, doubled_by_rubbish) = heard(&rubbish.requests());
    heard_of.extend(of_rubbish);
    let mut went_on = 0;
    for (receiver, path) in TAKERS {
        let (told, again) = to_be_told(&records, receiver);
        for (fingerprint, (name, history)) in &raised {
            let heard = heard_of.get(&(path.to_owned(), fingerprint.clone()));
            let heard = heard.unwrap_or_else(|| panic!("{receiver} never heard of {name}"));
            // Everything that it was to hear, in this order, and nothing else.
            let told = &told[&(receiver.to_owned(), fingerprint.clone())];
            assert_eq!(
                heard, told,
                "{receiver} about {name}: what it heard, and what it was to hear"
            );
            // Which is everything that happened.
            let again = again.get(fingerprint).copied().unwrap_or(0);
            let ended = history.iter().filter(|fires| !**fires).count();
            let heard_ends = heard.iter().filter(|(_, fires)| !fires).count();
            assert_eq!(heard_ends + again, ended, "{receiver} about the end of {name}");
            assert_eq!(heard.last().map(|it| it.1), history.last().copied(), "{receiver}: {name}");
            went_on += again;
        }
    }
    let expected: BTreeSet<&str> =
        TROUBLES.iter().flat_map(|(_, alerts)| *alerts).copied().collect();
    let kinds: BTreeSet<&str> = raised.values().map(|(name, _)| name.as_str()).collect();
    assert!(kinds.is_superset(&expected), "{kinds:?}");
    // At a kill, four notifications at the most are under way to each of three receivers.
    let most = usize::try_from(4 * kills).unwrap();
    assert!(doubled <= 2 * most, "{doubled} came twice at {kills} kills");
    assert!(doubled_by_rubbish <= most, "{doubled_by_rubbish} came twice at {kills} kills");
    let taken = |requests: &[Received]| requests.iter().filter(|it| it.answered == 200).count();
    println!(
        "{kills} kills: {} alerts of {} kinds began {} times, {} times before anybody was to be told of the end; {} \
         notifications taken, {doubled} twice; of {} that were \
         answered with rubbish {} taken, {doubled_by_rubbish} twice",
        raised.len(),
        kinds.len(),
        raised.values().map(|(_, history)| history.iter().filter(|it| **it).count()).sum::<usize>(),
        went_on / TAKERS.len(),
        taken(&world.site.sink().requests()),
        rubbish.requests().len(),
        taken(&rubbish.requests()),
    );
}

async fn watches(world: &mut World) {
    world.wait_for("the first evaluation", |status| cluster(status).evaluations > 0).await;
}
