//! Holds everything while the active server is silent to this monitor and too few others find it gone: who
//! is cut off sees what a dead server would show.
//!
//! While the active server's login gets no answer, the engine asks the other servers what they find of it,
//! and each answer is a value `seen-from-SERVER`: alive, hung, gone or unable; another monitor's is
//! `seen-from-MONITOR`: alive or silent. A value stays known after its time, so
//! one counts only if it was found in this silence, and lately. The engine's own proof before a failover
//! stays as it is; this is one more condition, and tells what is cut off from what.

use std::time::Duration;

use watchkeeper_sdk::policy::{
    Alert, Evaluation, Grants, Place, Policy, ReasonCode, Server, Snapshot, Status, Value,
};

watchkeeper_sdk::settings! {
    /// What the configuration can set.
    pub struct Settings {
        /// How many others have to find the active one gone; 0: more than half of them.
        vantages: u32 = 0, 0..=1_000;
        /// How long what a server found counts; a server looks again every 10 s at the least, for up to 2 s.
        fresh: Duration = Duration::from_secs(15), Duration::from_secs(2)..=Duration::from_mins(5);
        /// After how long it is told that too few find it gone.
        patience: Duration = Duration::from_secs(30), Duration::ZERO..=Duration::from_hours(24);
        /// Other monitors that count as vantages too, beside the other servers: their names, with spaces between.
        monitors: String = "";
        /// What this monitor is called in alerts; empty: this monitor.
        monitor: String = "";
        /// The code of the alert monitor-cut-off; empty: none.
        code_cut_off: String = "";
        /// The code of the alert vantages-missing; empty: none.
        code_missing: String = "";
    }
}

/// The policy.
#[derive(Debug)]
pub struct VantageQuorum;

impl Policy for VantageQuorum {
    type Settings = Settings;
    const NAME: &'static str = "vantage-quorum";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const SUMMARY: &'static str =
        "Holds everything while too few servers find the silent active one gone.";
    const NEEDS: Grants = Grants::HOLD.union(Grants::ALERT);

    fn evaluate(
        snapshot: &Snapshot,
        settings: &Settings,
        _state: &[u8],
    ) -> Result<Evaluation, String> {
        let mut evaluation = Evaluation::new();
        if settings.vantages > 0 {
            let monitors = settings.monitors.split_whitespace().count();
            check(settings, snapshot.servers().len().saturating_sub(1) + monitors)?;
        }
        // While it answers, nothing more is asked.
        let active = snapshot.server_at(Place::Active).filter(is_silent);
        let Some(active) = active else { return Ok(evaluation) };
        let views = Views::of(snapshot, settings, &active);
        let needed = views.needed(settings);
        let who = match settings.monitor.as_str() {
            "" => "this monitor",
            name => name,
        };
        if !views.alive.is_empty() {
            let (still, name) = (views.seen_by(), &active.name);
            let summary =
                format!("{who} is cut off from {name}: {still} still see{} it", views.s());
            let alert = Alert::critical("monitor-cut-off").on_server(name);
            evaluation.alert(alert.code(&settings.code_cut_off).summary(summary));
        }
        let gone = views.gone.len();
        if gone >= needed {
            evaluation.note(format!(
                "{} find{} {} gone",
                listed(&views.gone),
                if gone == 1 { "s" } else { "" },
                active.name
            ));
            return Ok(evaluation);
        }
        let why = format!(
            "{} does not answer {who}; others that find it gone: {gone} of the {needed} that are needed",
            active.name
        );
        // A partition has been told already, and says more.
        if views.alive.is_empty() && views.silent_for >= settings.patience {
            let summary = format!("everything is held: {why}; {}", views.others_say());
            let alert = Alert::warning("vantages-missing").on_server(&active.name);
            evaluation.alert(alert.code(&settings.code_missing).summary(summary));
        }
        evaluation.hold(why);
        Ok(evaluation)
    }
}

/// More than there are would hold for ever once it matters: said at once instead.
fn check(settings: &Settings, others: usize) -> Result<(), String> {
    match usize::try_from(settings.vantages) {
        Ok(wanted) if wanted <= others => Ok(()),
        _ => Err(format!(
            "vantages: {} are wanted; beside the active server there are {others}",
            settings.vantages
        )),
    }
}

/// Whether nothing at all comes back from it. What answers, however badly, is not cut off.
fn is_silent(server: &Server) -> bool {
    let silence = matches!(server.state.code, ReasonCode::TimedOut | ReasonCode::Unreachable);
    server.state.status != Status::Up && silence
}

/// What the other servers and monitors find of the active one, as far as it counts.
struct Views {
    alive: Vec<String>,
    /// Its kernel answers and nothing else does: it may go on at any moment.
    hung: Vec<String>,
    gone: Vec<String>,
    unable: Vec<String>,
    unheard: Vec<String>,
    silent_for: Duration,
}

impl Views {
    fn of(snapshot: &Snapshot, settings: &Settings, active: &Server) -> Self {
        let now = snapshot.time();
        let fresh = u64::try_from(settings.fresh.as_millis()).unwrap_or(u64::MAX);
        let mut views = Self {
            alive: Vec::new(),
            hung: Vec::new(),
            gone: Vec::new(),
            unable: Vec::new(),
            unheard: Vec::new(),
            silent_for: Duration::from_millis(now.saturating_sub(active.state.since)),
        };
        let servers = snapshot.servers().into_iter().map(|server| server.name);
        let monitors = settings.monitors.split_whitespace().map(str::to_owned);
        for name in servers.filter(|name| *name != active.name).chain(monitors) {
            let seen = snapshot.measure(&active.name, None, &format!("seen-from-{name}"));
            let seen = seen.filter(|seen| {
                seen.at >= active.state.since && seen.at.saturating_add(fresh) >= now
            });
            let word = match seen.as_ref().map(|seen| &seen.value) {
                Some(Value::Text(word)) => word.as_str(),
                _ => "",
            };
            match word {
                "alive" => views.alive.push(name),
                "hung" => views.hung.push(name),
                "gone" | "silent" => views.gone.push(name),
                "unable" => views.unable.push(name),
                _ => views.unheard.push(name),
            }
        }
        views
    }

    /// How many have to find it gone.
    fn needed(&self, settings: &Settings) -> usize {
        let heard = self.alive.len() + self.hung.len() + self.gone.len();
        let others = heard + self.unable.len() + self.unheard.len();
        match settings.vantages {
            0 => others / 2 + 1,
            wanted => usize::try_from(wanted).unwrap_or(usize::MAX),
        }
    }

    fn seen_by(&self) -> String {
        listed(&self.alive)
    }

    fn s(&self) -> &'static str {
        if self.alive.len() == 1 { "s" } else { "" }
    }

    fn others_say(&self) -> String {
        let mut said = Vec::new();
        if !self.hung.is_empty() {
            said.push(format!("{} say that it stands still", listed(&self.hung)));
        }
        if !self.unable.is_empty() {
            said.push(format!("{} cannot look", listed(&self.unable)));
        }
        if !self.unheard.is_empty() {
            said.push(format!("nothing was heard from {}", listed(&self.unheard)));
        }
        said.join(", ")
    }
}

/// `dm2`, `dm2 and dm3`, `dm2, dm3 and dm4`.
fn listed(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [others @ .., last] => format!("{} and {last}", others.join(", ")),
    }
}

watchkeeper_sdk::export_policy!(VantageQuorum);
