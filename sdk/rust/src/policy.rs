//! Policies: what turns a snapshot of facts into proposals.
//!
//! A policy is a pure function. It gets no clock, no randomness, no files and no network; each
//! evaluation runs in a fresh instance, and what it wants to remember is the state that it returns
//! ([`Evaluation::remember`]). Ask the snapshot only what is needed, in bulk where it can be: the
//! engine evaluates a policy again only when something it asked for has changed.

use core::time::Duration;

use crate::bindings::policy as bindings;
use crate::settings::Settings;

pub use bindings::watchkeeper::policy::facts::{Change, Rescue};
pub use bindings::watchkeeper::policy::types::{
    Action, Alert, Cluster, Counts, Ending, Evaluation, Filter, Grants, Measure, Phase, Place,
    Proposal, ReasonCode, Role, Server, Service, ServiceFacts, ServiceId, Severity, Side, State,
    Status, Statuses, Value,
};

/// A policy.
pub trait Policy {
    /// What the configuration can set; `()` for nothing.
    type Settings: Settings;

    /// Its name, in kebab case.
    const NAME: &'static str;
    /// Its version. The crate's is a good one: `env!("CARGO_PKG_VERSION")`.
    const VERSION: &'static str;
    /// What it does: one line.
    const SUMMARY: &'static str;
    /// What it may propose. The configuration has to grant all of it.
    const NEEDS: Grants;

    /// Turns a snapshot into proposals. `state` is what the last evaluation for this cluster
    /// remembered, empty before the first. An error says, for people, why it cannot answer; the
    /// engine then treats the policy as failed.
    fn evaluate(
        snapshot: &Snapshot,
        settings: &Self::Settings,
        state: &[u8],
    ) -> Result<Evaluation, String>;

    /// Takes over the state of another version, when this one replaces it. By default the state is
    /// taken as it is. An error keeps the other version in force.
    fn migrate(from_version: &str, state: Vec<u8>) -> Result<Vec<u8>, String> {
        let _ = from_version;
        Ok(state)
    }
}

/// The numbered, frozen set of facts that a decision is made from. In a guest the engine answers;
/// in native tests the test kit does, through the engine's own code.
pub type Snapshot = dyn Queries;

/// What a snapshot can be asked. Each question is recorded.
pub trait Queries {
    /// Rises by one with each snapshot of a cluster.
    fn number(&self) -> u64;
    /// When it was taken: milliseconds since 1970-01-01T00:00:00Z. This is the only clock. It is
    /// different in every snapshot, so ask for it only where time matters.
    fn time(&self) -> u64;
    /// The cluster as a whole.
    fn cluster(&self) -> Cluster;
    /// All servers, in the order of the configuration.
    fn servers(&self) -> Vec<Server>;
    /// One server.
    fn server(&self, name: &str) -> Option<Server>;
    /// One service.
    fn service(&self, server: &str, service: Service) -> Option<ServiceFacts>;
    /// All services that the filter finds, by server, then in the order in which services start.
    fn services(&self, filter: Filter) -> Vec<ServiceFacts>;
    /// How many services the filter finds in each status.
    fn count(&self, filter: Filter) -> Counts;
    /// One measured value; none for the service asks for a value of the server itself.
    fn measure(&self, server: &str, service: Option<Service>, name: &str) -> Option<Measure>;
    /// The values of that name on all servers.
    fn measures(&self, name: &str) -> Vec<Measure>;
    /// Recent rescues, oldest first.
    fn rescues(&self) -> Vec<Rescue>;
    /// Recent changes of side, oldest first.
    fn changes(&self) -> Vec<Change>;
}

impl dyn Queries {
    /// The server of the active side, or the one across from it. Asks for two things, however many
    /// servers there are; only where no repository is known there, for all servers.
    pub fn server_at(&self, place: Place) -> Option<Server> {
        let repository = Filter::all().at(place).service(Service::Repository);
        match self.services(repository).first() {
            Some(found) => self.server(&found.server),
            None => self.servers().into_iter().find(|server| server.place == place),
        }
    }
}

/// The engine answers.
impl Queries for bindings::Snapshot {
    fn number(&self) -> u64 {
        self.number()
    }
    fn time(&self) -> u64 {
        self.time()
    }
    fn cluster(&self) -> Cluster {
        self.cluster()
    }
    fn servers(&self) -> Vec<Server> {
        self.servers()
    }
    fn server(&self, name: &str) -> Option<Server> {
        self.server(name)
    }
    fn service(&self, server: &str, service: Service) -> Option<ServiceFacts> {
        self.service(server, service)
    }
    fn services(&self, filter: Filter) -> Vec<ServiceFacts> {
        self.services(filter)
    }
    fn count(&self, filter: Filter) -> Counts {
        self.count(filter)
    }
    fn measure(&self, server: &str, service: Option<Service>, name: &str) -> Option<Measure> {
        self.measure(server, service, name)
    }
    fn measures(&self, name: &str) -> Vec<Measure> {
        self.measures(name)
    }
    fn rescues(&self) -> Vec<Rescue> {
        self.rescues()
    }
    fn changes(&self) -> Vec<Change> {
        self.changes()
    }
}

impl Service {
    /// Every service, in the order in which they start: each after all it depends on.
    pub const ALL: [Self; 7] = [
        Self::Repository,
        Self::Activemq,
        Self::Dsa,
        Self::Daemon,
        Self::Agent,
        Self::Rest,
        Self::Sync,
    ];

    /// Its name in the configuration and in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repository => "repository",
            Self::Activemq => "activemq",
            Self::Dsa => "dsa",
            Self::Daemon => "daemon",
            Self::Agent => "agent",
            Self::Rest => "rest",
            Self::Sync => "sync",
        }
    }

    /// What must serve before this service can start.
    pub const fn depends_on(self) -> &'static [Self] {
        match self {
            Self::Activemq | Self::Repository | Self::Dsa => &[],
            Self::Daemon => &[Self::Activemq, Self::Repository],
            Self::Agent => &[Self::Activemq],
            Self::Rest => &[Self::Daemon],
            Self::Sync => &[Self::Repository],
        }
    }

    /// Whether it may run on one side only.
    pub const fn exclusive(self) -> bool {
        matches!(self, Self::Activemq | Self::Daemon | Self::Rest)
    }
}

impl Side {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

impl Phase {
    /// Whether a plan is in flight in this phase, so that nothing else can be done.
    pub const fn in_flight(self) -> bool {
        !matches!(self, Self::Active | Self::NeedsOperator)
    }
}

impl State {
    /// Whether it was found up.
    pub fn is_up(&self) -> bool {
        self.status == Status::Up
    }

    /// Whether it was found down `times` times in a row.
    pub fn down_for(&self, times: u32) -> bool {
        self.status == Status::Down && self.confirmations >= times
    }

    /// Whether it was found up `times` times in a row.
    pub fn up_for(&self, times: u32) -> bool {
        self.status == Status::Up && self.confirmations >= times
    }

    /// Whether nothing could be told of it `times` times in a row.
    pub fn unknown_for(&self, times: u32) -> bool {
        self.status == Status::Unknown && self.confirmations >= times
    }
}

impl Default for Filter {
    /// Every service.
    fn default() -> Self {
        Self::all()
    }
}

impl Filter {
    /// Every service.
    pub const fn all() -> Self {
        Self { place: None, service: None, statuses: Statuses::all(), expected: None }
    }

    /// The services on the server of the active side.
    pub const fn active() -> Self {
        Self::all().at(Place::Active)
    }

    /// The services on the server across from it.
    pub const fn standby() -> Self {
        Self::all().at(Place::Standby)
    }

    /// The services on servers that are never either.
    pub const fn additional() -> Self {
        Self::all().at(Place::Additional)
    }

    /// Only on servers at this place.
    #[must_use]
    pub const fn at(mut self, place: Place) -> Self {
        self.place = Some(place);
        self
    }

    /// Only this service.
    #[must_use]
    pub const fn service(mut self, service: Service) -> Self {
        self.service = Some(service);
        self
    }

    /// Only those that are up.
    #[must_use]
    pub const fn up(mut self) -> Self {
        self.statuses = Statuses::UP;
        self
    }

    /// Only those that are down.
    #[must_use]
    pub const fn down(mut self) -> Self {
        self.statuses = Statuses::DOWN;
        self
    }

    /// Only those that are down or of which it is not known.
    #[must_use]
    pub const fn not_up(mut self) -> Self {
        self.statuses = Statuses::DOWN.union(Statuses::UNKNOWN);
        self
    }

    /// Only those meant to run there now (`true`), or only those not meant to (`false`).
    #[must_use]
    pub const fn expected(mut self, expected: bool) -> Self {
        self.expected = Some(expected);
        self
    }
}

impl Default for Evaluation {
    fn default() -> Self {
        Self::new()
    }
}

impl Evaluation {
    /// Nothing asked for, nothing wrong.
    pub const fn new() -> Self {
        Self {
            proposals: Vec::new(),
            holds: Vec::new(),
            alerts: Vec::new(),
            state: Vec::new(),
            look_again: None,
            notes: Vec::new(),
        }
    }

    /// Asks for the other side to become active. Proposals are in the order of being made: the
    /// most wanted first.
    pub fn failover(&mut self, reason: impl Into<String>) -> &mut Self {
        self.propose(Action::Failover, reason)
    }

    /// Asks for a stopped service to be started again.
    pub fn rescue(&mut self, service: &ServiceFacts, reason: impl Into<String>) -> &mut Self {
        self.propose(Action::Rescue(service.id()), reason)
    }

    /// Asks for a service to be stopped that runs where it is not meant to.
    pub fn stop(&mut self, service: &ServiceFacts, reason: impl Into<String>) -> &mut Self {
        self.propose(Action::StopService(service.id()), reason)
    }

    /// Asks for an action.
    pub fn propose(&mut self, action: Action, reason: impl Into<String>) -> &mut Self {
        self.proposals.push(Proposal { action, reason: reason.into() });
        self
    }

    /// Says why no action of any policy should be carried out now.
    pub fn hold(&mut self, reason: impl Into<String>) -> &mut Self {
        self.holds.push(reason.into());
        self
    }

    /// Claims that something is wrong at this moment. Claim it in every evaluation for as long as
    /// it holds: when it is claimed no longer, the alert is resolved.
    pub fn alert(&mut self, alert: Alert) -> &mut Self {
        self.alerts.push(alert);
        self
    }

    /// Says for people how it came to this: one line.
    pub fn note(&mut self, line: impl Into<String>) -> &mut Self {
        self.notes.push(line.into());
        self
    }

    /// Asks to be evaluated again after this time even if no fact has changed. The shortest counts.
    pub fn look_again(&mut self, after: Duration) -> &mut Self {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        self.look_again = Some(self.look_again.map_or(after, |before| before.min(after)));
        self
    }

    /// Keeps `state` until the next evaluation.
    pub fn remember(&mut self, state: Vec<u8>) -> &mut Self {
        self.state = state;
        self
    }
}

impl ServiceFacts {
    /// Which service, where.
    pub fn id(&self) -> ServiceId {
        ServiceId { server: self.server.clone(), service: self.service }
    }
}

impl Alert {
    /// Somebody should look at it now. `name` says what kind of trouble, in kebab case.
    pub fn critical(name: &str) -> Self {
        Self::new(Severity::Critical, name)
    }

    /// Somebody should look at it today.
    pub fn warning(name: &str) -> Self {
        Self::new(Severity::Warning, name)
    }

    /// Worth knowing.
    pub fn info(name: &str) -> Self {
        Self::new(Severity::Info, name)
    }

    /// An alert about the cluster, without a summary yet.
    pub fn new(severity: Severity, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            severity,
            server: None,
            service: None,
            code: String::new(),
            summary: String::new(),
            labels: Vec::new(),
        }
    }

    /// It is about this service.
    #[must_use]
    pub fn on(mut self, service: &ServiceFacts) -> Self {
        self.server = Some(service.server.clone());
        self.service = Some(service.service);
        self
    }

    /// It is about this server.
    #[must_use]
    pub fn on_server(mut self, server: &str) -> Self {
        self.server = Some(server.to_owned());
        self
    }

    /// The site's code for it, such as a TVI code.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        code.clone_into(&mut self.code);
        self
    }

    /// One line for people. It may change while the alert stays the same.
    #[must_use]
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// A further label. Labels are part of the alert's identity.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.labels.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// Lines for the author of the policy, in the daemon's log. In native tests they go nowhere.
pub mod log {
    use crate::bindings::policy::watchkeeper::policy::log as host;
    pub use host::Level;

    /// Writes a line. The number and length of lines is limited per evaluation.
    pub fn write(level: Level, line: &str) {
        if cfg!(target_family = "wasm") {
            host::write(level, line);
        }
    }
}

/// A policy as the world wants it. Used by [`export_policy!`](crate::export_policy).
#[doc(hidden)]
#[derive(Debug)]
pub struct Adapter<P>(core::marker::PhantomData<P>);

impl<P: Policy> bindings::Guest for Adapter<P> {
    fn describe() -> bindings::Description {
        bindings::Description {
            name: P::NAME.to_owned(),
            version: P::VERSION.to_owned(),
            summary: P::SUMMARY.to_owned(),
            needs: P::NEEDS,
            settings: P::Settings::specs().into_iter().map(Into::into).collect(),
        }
    }

    fn evaluate(
        snapshot: &bindings::Snapshot,
        settings: Vec<bindings::SettingValue>,
        state: Vec<u8>,
    ) -> Result<Evaluation, String> {
        let settings = P::Settings::read(&mut settings.into_iter().map(Into::into))
            .ok_or_else(crate::settings::mismatch)?;
        P::evaluate(snapshot, &settings, &state)
    }

    fn migrate(from_version: String, state: Vec<u8>) -> Result<Vec<u8>, String> {
        P::migrate(&from_version, state)
    }
}

/// Makes the component's exports of a [`Policy`]. Natively it makes nothing, so that the same
/// crate can be tested.
#[macro_export]
macro_rules! export_policy {
    ($policy:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::policy::Adapter<$policy>;
    $crate::__export_policy_impl!(Exported with_types_in $crate::bindings::policy);

            #[global_allocator]
            static ALLOCATOR: $crate::arena::Guest = $crate::arena::Guest;
        };
    };
}
