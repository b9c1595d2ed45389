//! What the rules look at: the snapshot's answers, asked for once.
//!
//! A calm cluster is asked for little, and the answers are short: only what is not up on the
//! active side, only the agents that are not up, only what runs on the standby without being meant
//! to. The history is asked for only when something is broken.
//!
//! What an operator has put in maintenance is not judged. It is kept apart, and not left out: what
//! waits for it is then not to blame, and what must not run twice must not run beside it.

use core::cell::OnceCell;

use watchkeeper_sdk::policy::{
    Change, Cluster, Ending, Filter, Place, Rescue, Server, Service, ServiceFacts, Side, Snapshot,
    State, Status,
};

use crate::Settings;

/// The snapshot, as the rules want it.
pub(crate) struct View<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) settings: &'a Settings,
    pub(crate) cluster: Cluster,
    /// The server of the active side.
    pub(crate) active: Option<Server>,
    /// The server across from it.
    pub(crate) standby: Option<Server>,
    /// What is meant to run on the active side and is not up, in the order in which services start.
    pub(crate) broken: Vec<ServiceFacts>,
    /// The same of what is in maintenance.
    left_alone: Vec<ServiceFacts>,
    /// The agents that are not up, those on the active side first.
    pub(crate) agents: Vec<ServiceFacts>,
    /// What runs on the standby and is not meant to, in maintenance or not.
    pub(crate) strays: Vec<ServiceFacts>,
    rescues: OnceCell<Vec<Rescue>>,
}

impl<'a> View<'a> {
    pub(crate) fn of(snapshot: &'a Snapshot, settings: &'a Settings) -> Self {
        let cluster = snapshot.cluster();
        let mut view = Self {
            active: snapshot.server_at(Place::Active),
            standby: snapshot.server_at(Place::Standby),
            broken: snapshot.services(Filter::active().expected(true).not_up()),
            left_alone: Vec::new(),
            agents: snapshot.services(Filter::all().service(Service::Agent).not_up()),
            strays: snapshot.services(Filter::standby().expected(false).up()),
            rescues: OnceCell::new(),
            snapshot,
            settings,
            cluster,
        };
        if view.old_agent_is_stray() {
            view.strays.extend(snapshot.services(Filter::standby().service(Service::Agent).up()));
        }
        view.keep_what_counts();
        view
    }

    /// Leaves out what was never probed, and what was seen before the present side became active:
    /// the change itself stopped and started services. Sets apart what is in maintenance.
    fn keep_what_counts(&mut self) {
        let since = self.cluster.active_since;
        let counts = |state: &State| state.confirmations > 0 && state.seen > since;
        let old_agent = self.old_agent_does_not_count();
        self.left_alone = self.broken.extract_if(.., |service| service.maintenance).collect();
        self.broken.retain(|service| counts(&service.state));
        self.strays.retain(|service| counts(&service.state));
        self.agents.retain(|agent| {
            counts(&agent.state)
                && !agent.maintenance
                && !(old_agent && agent.place == Place::Standby)
        });
        // There is one agent on the active side at most. (A sort would be a tenth of the component.)
        if let Some(at) = self.agents.iter().position(|agent| agent.place == Place::Active) {
            self.agents.get_mut(..=at).unwrap_or_default().rotate_right(1);
        }
    }

    pub(crate) fn on_secondary(&self) -> bool {
        self.cluster.active == Side::Secondary
    }

    /// Whether the agent on the standby is none of those that are cared for: on the old primary, if so
    /// set.
    fn old_agent_does_not_count(&self) -> bool {
        self.on_secondary() && self.settings.stop_old_agent
    }

    /// Whether it is not meant to run: not after a failover. A planned change of side starts it there
    /// again, on a server that is well.
    pub(crate) fn old_agent_is_stray(&self) -> bool {
        self.old_agent_does_not_count() && !self.left_in_good_order()
    }

    fn left_in_good_order(&self) -> bool {
        let done = |change: &&Change| change.ending == Ending::Succeeded;
        self.snapshot.changes().iter().rfind(done).is_some_and(|change| change.planned)
    }

    /// The broken service of this kind on the active side, unless it is in maintenance.
    pub(crate) fn broken(&self, service: Service) -> Option<&ServiceFacts> {
        self.broken.iter().find(|facts| facts.service == service)
    }

    /// The service of this kind on the active side if it is in maintenance and not up.
    pub(crate) fn left_alone(&self, service: Service) -> Option<&ServiceFacts> {
        self.left_alone.iter().find(|facts| facts.service == service)
    }

    /// Whether all that is not up on the active side is in maintenance.
    pub(crate) fn nothing_counts(&self) -> bool {
        self.broken.is_empty() && !self.left_alone.is_empty()
    }

    /// What `service` waits for: something it depends on that is down on the active side, or has
    /// only just come back, so that `service` may not have found it yet. While that is so, its own
    /// failure says nothing.
    pub(crate) fn waits_for(&self, service: Service) -> Option<Service> {
        service.depends_on().iter().copied().find(|needed| {
            self.left_alone(*needed).is_some()
                || (self.cared_for(*needed)
                    && match self.broken(*needed) {
                        Some(facts) => facts.state.status == Status::Down,
                        None => self.just_came_back(*needed),
                    })
        })
    }

    /// Whether `service` waits, be it through others, for something that is in maintenance: whoever
    /// stopped that knows.
    pub(crate) fn waits_for_maintenance(&self, service: Service) -> bool {
        self.waits_for(service).is_some_and(|needed| {
            self.left_alone(needed).is_some() || self.waits_for_maintenance(needed)
        })
    }

    fn just_came_back(&self, service: Service) -> bool {
        self.active
            .as_ref()
            .and_then(|server| self.snapshot.service(&server.name, service))
            .is_some_and(|facts| {
                facts.state.is_up() && !facts.state.up_for(self.settings.down_confirmations)
            })
    }

    /// Whether the failure of `service` is a reason for a failover.
    pub(crate) fn decisive(&self, service: Service) -> bool {
        named(&self.settings.failover_services, service)
    }

    /// Whether `service` is started again when it is down.
    pub(crate) fn cared_for(&self, service: Service) -> bool {
        self.decisive(service) || named(&self.settings.rescue_services, service)
    }

    /// Whether it was found down often enough.
    pub(crate) fn confirmed_down(&self, state: &State) -> bool {
        state.down_for(self.settings.down_confirmations)
    }

    /// Whether this was found when its server, which answers now, did not yet: the way was out, or the
    /// server stood still, and what it said then is overtaken.
    pub(crate) fn seen_before_its_server(&self, service: &ServiceFacts) -> bool {
        self.active.as_ref().is_some_and(|server| {
            server.name == service.server
                && server.state.is_up()
                && service.state.seen < server.state.since
        })
    }

    /// Recent rescues, oldest first.
    pub(crate) fn rescues(&self) -> &[Rescue] {
        self.rescues.get_or_init(|| self.snapshot.rescues())
    }
}

fn named(names: &[String], service: Service) -> bool {
    names.iter().any(|name| name == service.name())
}

/// `daemon on dm1`.
pub(crate) fn name(service: &ServiceFacts) -> String {
    format!("{} on {}", service.service.name(), service.server)
}

/// `down` or `unknown`, with what was seen.
pub(crate) fn finding(state: &State) -> String {
    let status = match state.status {
        Status::Up => "up",
        Status::Down => "down",
        Status::Unknown => "in an unknown state",
    };
    if state.detail.is_empty() { status.to_owned() } else { format!("{status}: {}", state.detail) }
}
