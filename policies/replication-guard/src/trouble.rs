//! Whether the active side is in such trouble that only a failover is left, by data-mover-ha's measure: its
//! server is silent, or what matters on it was started again as often as is allowed. In both, data-mover-ha
//! proposes a failover and no rescue, so a hold here keeps nothing from being repaired.
//!
//! Invariant: wherever data-mover-ha with the same settings proposes a failover, there is trouble here, at the
//! latest in the same snapshot. It asks for no confirmations, so that the hold is never later than the proposal.

use std::time::Duration;

use watchkeeper_sdk::policy::{
    Filter, Place, ReasonCode, Rescue, Service, ServiceFacts, Snapshot, Status,
};

use crate::Settings;

/// Why only a failover is left.
pub(crate) struct Trouble {
    pub(crate) why: String,
    /// When a service may be started again once more.
    pub(crate) free_again: Option<Duration>,
}

pub(crate) fn of(snapshot: &Snapshot, settings: &Settings, active_since: u64) -> Option<Trouble> {
    let broken = snapshot.services(Filter::active().expected(true).not_up());
    // What is in maintenance is its owner's business.
    if broken.iter().any(|service| !service.maintenance)
        && let Some(why) = silent(snapshot)
    {
        return Some(Trouble { why, free_again: None });
    }
    let attempts = Attempts { snapshot, settings, active_since };
    attempts.spent_service(&broken).or_else(|| attempts.spent_agents(&broken))
}

fn silent(snapshot: &Snapshot) -> Option<String> {
    let server = snapshot.server_at(Place::Active)?;
    let turns_away = matches!(server.state.code, ReasonCode::HostKey | ReasonCode::Denied);
    let silent =
        !server.state.is_up() && !turns_away && snapshot.count(Filter::active().up()).up == 0;
    silent.then(|| format!("nothing on {} answers", server.name))
}

struct Attempts<'a> {
    snapshot: &'a Snapshot,
    settings: &'a Settings,
    active_since: u64,
}

/// All attempts are used.
struct Spent {
    /// When one is free again; none: never, there are none.
    free_again: Option<Duration>,
}

impl Attempts<'_> {
    /// A service that matters, is down, waits for no other, and has had its attempts.
    fn spent_service(&self, broken: &[ServiceFacts]) -> Option<Trouble> {
        let candidates = broken.iter().filter(|facts| {
            facts.service != Service::Agent
                && facts.state.status == Status::Down
                && !facts.maintenance
                && self.matters(facts.service)
                && !self.waits(broken, facts.service)
        });
        let candidates: Vec<&ServiceFacts> = candidates.collect();
        if candidates.is_empty() {
            return None;
        }
        let rescues = self.snapshot.rescues();
        candidates.into_iter().find_map(|facts| {
            let Spent { free_again } = self.spent(&rescues, facts)?;
            let (name, server) = (facts.service.name(), &facts.server);
            let why = format!("{name} on {server} could not be started again");
            Some(Trouble { why, free_again })
        })
    }

    /// No agent is up, and those that are down have had their attempts.
    fn spent_agents(&self, broken: &[ServiceFacts]) -> Option<Trouble> {
        let agents = Filter::all().service(Service::Agent);
        if !self.matters(Service::Agent)
            || self.waits(broken, Service::Agent)
            || self.snapshot.count(agents.up()).up > 0
        {
            return None;
        }
        let down = self.snapshot.services(agents.down());
        let down: Vec<_> = down.iter().filter(|agent| !agent.maintenance).collect();
        if down.is_empty() {
            return None;
        }
        let rescues = self.snapshot.rescues();
        let mut free_again: Option<Duration> = None;
        for agent in down {
            let spent = self.spent(&rescues, agent)?;
            free_again = [free_again, spent.free_again].into_iter().flatten().min();
        }
        Some(Trouble { why: "no agent could be started again".to_owned(), free_again })
    }

    /// Whether something that the service needs is to be repaired first. As data-mover-ha has it: what is
    /// only not known makes nobody wait.
    fn waits(&self, broken: &[ServiceFacts], service: Service) -> bool {
        broken.iter().filter(|it| service.depends_on().contains(&it.service)).any(|it| {
            it.maintenance || (it.state.status == Status::Down && self.matters(it.service))
        })
    }

    fn matters(&self, service: Service) -> bool {
        self.settings.failover_services.iter().any(|name| name == service.name())
    }

    /// Whether the attempts of the service are used.
    fn spent(&self, rescues: &[Rescue], facts: &ServiceFacts) -> Option<Spent> {
        let of_it: Vec<u64> = rescues
            .iter()
            .filter(|it| it.service == facts.service && it.server == facts.server)
            .map(|it| it.begun)
            .filter(|begun| *begun >= self.active_since)
            .collect();
        let enough = usize::try_from(self.settings.rescue_attempts).unwrap_or(usize::MAX);
        // The time is another in every snapshot, so it is asked for only where it matters.
        if enough == 0 {
            return Some(Spent { free_again: None });
        }
        if of_it.len() < enough {
            return None;
        }
        let now = self.snapshot.time();
        let window = u64::try_from(self.settings.rescue_window.as_millis()).unwrap_or(u64::MAX);
        let left =
            |begun: &u64| window.checked_sub(now.saturating_sub(*begun)).filter(|it| *it > 0);
        let left: Vec<u64> = of_it.iter().filter_map(left).collect();
        let free_again = left.iter().min().copied().map(Duration::from_millis);
        (left.len() >= enough).then_some(Spent { free_again })
    }
}
