//! A policy that does on demand what a policy must not do.
//!
//! The setting `misbehave` says what to do wrong in `evaluate`. What to do wrong in `describe`,
//! which has no settings, stands in the bytes themselves: a test changes [`DESCRIBE`] in the built
//! file to another text of the same length.

wit_bindgen::generate!({ world: "policy", path: "../../../sdk/wit/policy" });

use std::collections::HashMap;
use std::hint::black_box;
use std::time::SystemTime;

use watchkeeper::policy::log;
use watchkeeper::policy::types::{
    Action, Alert, Grants, Proposal, Service, ServiceId, Setting, SettingKind, Severity,
};

/// What `describe` does: `normal`, `loop`, `panic`, `schema` or `name`.
#[used]
static DESCRIBE: [u8; 24] = *b"hostile-describe:normal ";

/// What `evaluate` does besides: `normal`, or `down`, which panics while a service is down that is
/// meant to run.
#[used]
static EVALUATE: [u8; 24] = *b"hostile-evaluate:normal ";

struct Hostile;

export!(Hostile);

impl Guest for Hostile {
    fn describe() -> Description {
        let told = String::from_utf8_lossy(black_box(&DESCRIBE)).into_owned();
        let told = told.trim().rsplit(':').next().unwrap_or_default();
        match told {
            "loop" => endless(),
            "panic" => panic!("I do not know who I am"),
            _ => {}
        }
        let name = if told == "name" { "Not A Name" } else { "hostile" };
        let mut settings = vec![Setting {
            name: "misbehave".to_owned(),
            doc: "What to do wrong".to_owned(),
            kind: SettingKind::Text("nothing".to_owned()),
        }];
        if told == "schema" {
            settings.extend_from_within(..);
        }
        Description {
            name: name.to_owned(),
            version: "0.1.0".to_owned(),
            summary: "Does what a policy must not do".to_owned(),
            needs: Grants::RESCUE | Grants::ALERT,
            settings,
        }
    }

    fn evaluate(
        snapshot: &Snapshot,
        settings: Vec<SettingValue>,
        state: Vec<u8>,
    ) -> Result<Evaluation, String> {
        let Some(SettingValue::Text(misdeed)) = settings.into_iter().next() else {
            return Err("there is no setting".to_owned());
        };
        let told = String::from_utf8_lossy(black_box(&EVALUATE)).into_owned();
        if told.trim().ends_with(":down") && some_are_down(snapshot) {
            panic!("this revision cannot bear the sight of trouble");
        }
        let mut answer = good(snapshot, state);
        match misdeed.as_str() {
            "panic" => panic!("this policy panics on purpose"),
            "loop" => endless(),
            "memory" => hoard(),
            "stack" => answer.notes.push(format!("{}", nest(&snapshot.number()))),
            "giant-text" => answer.notes.push("x".repeat(8 << 20)),
            "large-text" => answer.notes.push("x".repeat(64 << 10)),
            "many-notes" => answer.notes = vec![String::new(); 10_000],
            "large-state" => answer.state = vec![0; 300 << 10],
            "log" => (0..5_000).for_each(|i| log::write(log::Level::Info, &format!("line {i}"))),
            "print" => (0..2_000).for_each(|i| println!("line {i}")),
            "calls" => loop {
                black_box(snapshot.number());
            },
            "exit" => std::process::exit(3),
            "refuse" => return Err("the moon is in the wrong phase".to_owned()),
            "server" => answer.proposals.push(rescue("dm9", Service::Daemon)),
            "service" => answer.proposals.push(rescue("dm3", Service::Daemon)),
            "grant" => answer
                .proposals
                .push(Proposal { action: Action::Failover, reason: "because".to_owned() }),
            "hold" => answer.holds.push("nobody may do anything".to_owned()),
            "alert-name" => answer.alerts.push(alert("Not A Name", None)),
            "alert-server" => answer.alerts.push(alert("fine", Some("dm9"))),
            "terminal" => answer.notes.push("a\u{1b}[31mb\nc".to_owned()),
            "busy" => answer.look_again = Some(0),
            "world" => answer.notes.extend(look_around()),
            _ => {}
        }
        Ok(answer)
    }

    fn migrate(from_version: String, state: Vec<u8>) -> Result<Vec<u8>, String> {
        match from_version.as_str() {
            "0.0.9" => Ok([&state[..], b" moved"].concat()),
            "0.0.1" => panic!("too old"),
            other => Err(format!("{other} is not known")),
        }
    }
}

fn some_are_down(snapshot: &Snapshot) -> bool {
    use watchkeeper::policy::types::{Filter, Statuses};
    let down =
        Filter { place: None, service: None, statuses: Statuses::DOWN, expected: Some(true) };
    !snapshot.services(down).is_empty()
}

/// The answer of a well-behaved policy: rescue what is down on the active side.
fn good(snapshot: &Snapshot, state: Vec<u8>) -> Evaluation {
    use watchkeeper::policy::types::{Filter, Place, Statuses};
    let cluster = snapshot.cluster();
    let down = snapshot.services(Filter {
        place: Some(Place::Active),
        service: None,
        statuses: Statuses::DOWN,
        expected: Some(true),
    });
    let mut answer = Evaluation {
        proposals: Vec::new(),
        holds: Vec::new(),
        alerts: Vec::new(),
        state: [&state[..], b"!"].concat(),
        look_again: None,
        notes: vec![format!("{} has {} down", cluster.name, down.len())],
    };
    for facts in down {
        answer.alerts.push(Alert {
            server: Some(facts.server.clone()),
            service: Some(facts.service),
            summary: facts.state.detail,
            ..alert("service-down", None)
        });
        answer.proposals.push(rescue(&facts.server, facts.service));
    }
    answer
}

fn rescue(server: &str, service: Service) -> Proposal {
    let id = ServiceId { server: server.to_owned(), service };
    Proposal { action: Action::Rescue(id), reason: "it is down".to_owned() }
}

fn alert(name: &str, server: Option<&str>) -> Alert {
    Alert {
        name: name.to_owned(),
        severity: Severity::Critical,
        server: server.map(str::to_owned),
        service: None,
        code: String::new(),
        summary: "something is wrong".to_owned(),
        labels: vec![("team".to_owned(), "dm".to_owned())],
    }
}

fn endless() {
    let mut number = 0_u64;
    while black_box(true) {
        number = black_box(number.wrapping_add(1));
    }
}

fn hoard() {
    let mut kept = Vec::new();
    loop {
        kept.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

#[expect(unconditional_recursion, reason = "the stack is to run out")]
fn nest(number: &u64) -> u64 {
    let here = black_box(number.wrapping_mul(3));
    black_box(nest(&here)).wrapping_add(here)
}

/// What of the world can be seen: it has to be the same at every replay.
fn look_around() -> Vec<String> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let map: HashMap<u32, ()> = (0..100).map(|key| (key, ())).collect();
    vec![
        since.map(|since| since.as_millis().to_string()).unwrap_or_default(),
        format!("{:?}", map.keys().collect::<Vec<_>>()),
        format!("{} variables, {} arguments", std::env::vars().count(), std::env::args().count()),
    ]
}
