//! Holds everything when the active side has changed too often, and tells of services that stop again
//! and again: what goes to and fro by itself does more harm than what stands still and calls somebody.
//!
//! It proposes nothing and remembers nothing: the snapshot has what was done. Where nothing was done
//! lately it asks for no time, so a calm cluster costs nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use watchkeeper_sdk::policy::{Alert, Evaluation, Grants, Policy, Service, Snapshot};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// So many unplanned changes of side within `window` are flapping.
        changes: u32 = 2, 1..=64;
        /// How long a change of side counts.
        window: Duration = Duration::from_hours(24), Duration::from_mins(1)..=Duration::from_hours(720);
        /// So many rescues of one service within `rescue_window` are told.
        rescues: u32 = 5, 2..=64;
        /// How long a rescue counts.
        rescue_window: Duration = Duration::from_hours(1), Duration::from_mins(1)..=Duration::from_hours(168);
        /// The code of the alert about sides; empty: none.
        code_sides: String = "";
        /// The code of the alert about a service; empty: none.
        code_service: String = "";
    }
}

/// The policy.
pub struct FlapGuard;

impl Policy for FlapGuard {
    type Settings = Settings;
    const NAME: &'static str = "flap-guard";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str = "Holds everything when the active side changes too often.";
    const NEEDS: Grants = Grants::HOLD.union(Grants::ALERT);

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        _state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        sides(snapshot, settings, &mut evaluation);
        services(snapshot, settings, &mut evaluation);
        Ok(evaluation)
    }
}

fn sides(snapshot: &Snapshot, settings: &Settings, evaluation: &mut Evaluation) {
    let all = snapshot.changes();
    let begun: Vec<u64> = all.iter().filter(|it| !it.planned).map(|it| it.begun).collect();
    let Some(left) = too_many(snapshot, &begun, settings.changes, settings.window) else { return };
    let (count, window) = (left.count, in_words(settings.window));
    evaluation.look_again(left.time);
    // Without the time that is left: it would be other words each time.
    evaluation.hold(format!("the active side has changed {count} times within {window}"));
    let summary = format!(
        "the active side has changed {count} times within {window}: nothing is done by itself until one of \
         them is past; `watchkeeper policy demote flap-guard` ends that sooner"
    );
    evaluation.alert(Alert::critical("sides-flapping").code(&settings.code_sides).summary(summary));
}

fn services(snapshot: &Snapshot, settings: &Settings, evaluation: &mut Evaluation) {
    let mut begun: BTreeMap<(String, &'static str), (Service, Vec<u64>)> = BTreeMap::new();
    for rescue in snapshot.rescues() {
        let key = (rescue.server.clone(), rescue.service.name());
        begun.entry(key).or_insert_with(|| (rescue.service, Vec::new())).1.push(rescue.begun);
    }
    for ((server, name), (service, begun)) in begun {
        let Some(left) = too_many(snapshot, &begun, settings.rescues, settings.rescue_window)
        else {
            continue;
        };
        let (count, window) = (left.count, in_words(settings.rescue_window));
        evaluation.look_again(left.time);
        let summary = format!("{name} on {server} was started again {count} times within {window}");
        let alert = Alert::warning("service-flapping").on_server(&server);
        let mut alert = alert.code(&settings.code_service).summary(summary);
        alert.service = Some(service);
        evaluation.alert(alert);
    }
}

/// How many there are, and how long until there are fewer than enough.
struct Left {
    count: usize,
    time: Duration,
}

/// Whether `enough` of these moments are within the window.
fn too_many(snapshot: &Snapshot, begun: &[u64], enough: u32, window: Duration) -> Option<Left> {
    let enough = usize::try_from(enough).unwrap_or(usize::MAX);
    // The time is another in every snapshot, so it is asked for only where it can matter.
    if begun.len() < enough {
        return None;
    }
    let now = snapshot.time();
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    let recent: Vec<u64> =
        begun.iter().copied().filter(|at| at.saturating_add(window) > now).collect();
    let over = recent.len().checked_sub(enough)?;
    let last_to_go = recent.get(over)?;
    let time = Duration::from_millis(last_to_go.saturating_add(window).saturating_sub(now));
    Some(Left { count: recent.len(), time })
}

/// The largest unit that is not zero, and what is left of the next.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3_600, seconds % 3_600 / 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

watchkeeper_sdk::export_policy!(FlapGuard);
