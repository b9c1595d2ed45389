//! Snapshots in a line, and scenario cases, for native tests of policies.
//!
//! Everything here answers through the engine's own code (`watchkeeper-core`): facts go into its
//! book, snapshots are taken from that, and its reader answers the questions. What a test sees is
//! therefore what the policy will see in the engine.
//!
//! ```
//! use watchkeeper_sdk::policy::{Filter, Service, Snapshot};
//! use watchkeeper_sdk::testkit;
//!
//! let kit = testkit::cluster().down("dm1", Service::Daemon).confirmed(3).snapshot();
//! let snapshot: &Snapshot = &kit;
//! let down = snapshot.services(Filter::active().down());
//! assert!(down[0].state.down_for(3));
//! ```

mod convert;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use watchkeeper_core::model as core_model;
use watchkeeper_core::proposal::Evaluation as CoreEvaluation;
use watchkeeper_core::settings::{self as core_settings, Given};
use watchkeeper_core::snapshot::{Reader, Rescue, Snapshot as CoreSnapshot};

pub use snapshot::KitSnapshot;
pub use watchkeeper_cases as cases;
pub use watchkeeper_core as core;

use crate::policy::{Ending, Policy, Service, Side, Value};
use crate::settings::Settings;
pub use watchkeeper_cases::world::Seen;
use watchkeeper_cases::world::{self, World};

/// The cluster of the five-server scenario, calm, with the primary active: dm1 (primary) and dm2
/// (secondary) with every service, dm3 (additional) with an agent.
pub fn cluster() -> Cluster {
    Cluster { world: World::calm(world::five_servers(), core_model::Side::Primary) }
}

/// A cluster in the making. Names that do not exist are a mistake of the test, and end it.
#[derive(Debug, Clone)]
pub struct Cluster {
    world: World,
}

impl Cluster {
    /// The same, with the secondary active.
    #[must_use]
    pub fn on_secondary(self) -> Self {
        let _ = self;
        Self { world: World::calm(world::five_servers(), core_model::Side::Secondary) }
    }

    /// From now on the service is found up.
    #[must_use]
    pub fn up(self, server: &str, service: Service) -> Self {
        self.set(server, Some(service), core_model::Status::Up)
    }

    /// From now on the service is found down.
    #[must_use]
    pub fn down(self, server: &str, service: Service) -> Self {
        self.set(server, Some(service), core_model::Status::Down)
    }

    /// From now on it is not known whether the service is up.
    #[must_use]
    pub fn unknown(self, server: &str, service: Service) -> Self {
        self.set(server, Some(service), core_model::Status::Unknown)
    }

    /// From now on nothing is known of the server and all its services.
    #[must_use]
    pub fn unreachable(mut self, server: &str) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world.set_all(&server, core_model::Status::Unknown);
        self
    }

    /// From now on the server answers again, and all its services are found up.
    #[must_use]
    pub fn reachable(mut self, server: &str) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world.set_all(&server, core_model::Status::Up);
        self
    }

    fn set(mut self, server: &str, service: Option<Service>, status: core_model::Status) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world
            .set(&server, service.map(Into::into), status)
            .unwrap_or_else(|error| mistake(&error));
        self
    }

    /// From now on the probes of the service do not end: what they found last stays.
    #[must_use]
    pub fn without_news(self, server: &str, service: Service) -> Self {
        self.news(server, service, false)
    }

    /// From now on the probes of the service end again.
    #[must_use]
    pub fn with_news(self, server: &str, service: Service) -> Self {
        self.news(server, service, true)
    }

    fn news(mut self, server: &str, service: Service, news: bool) -> Self {
        let name = format!("{server}/{}", service.name());
        let id = self.world.service(&name).unwrap_or_else(|error| mistake(&error));
        self.world.wait_for(id, !news);
        self
    }

    /// From now on the service is in maintenance.
    #[must_use]
    pub fn in_maintenance(mut self, server: &str, service: Service) -> Self {
        let name = format!("{server}/{}", service.name());
        let id = self.world.service(&name).unwrap_or_else(|error| mistake(&error));
        self.world.services_in_maintenance.push(id);
        self
    }

    /// From now on the repository of `server` measures this value.
    #[must_use]
    pub fn measures(mut self, server: &str, name: &str, value: Value) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world.measure(&server, Some(core_model::Service::Repository), name, value.into());
        self
    }

    /// From now on the server itself, or the service on it, measures this value.
    #[must_use]
    pub fn measures_of(
        mut self,
        server: &str,
        service: Option<Service>,
        name: &str,
        value: Value,
    ) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world.measure(&server, service.map(Into::into), name, value.into());
        self
    }

    /// From now on `witness` finds this of `server`, while that one is silent.
    #[must_use]
    pub fn seen(mut self, server: &str, witness: &str, found: Seen) -> Self {
        let [server, witness] = [server, witness]
            .map(|name| self.world.server(name).unwrap_or_else(|error| mistake(&error)));
        self.world.seen(&server, &witness, Some(found));
        self
    }

    /// From now on nobody looks at `server` from elsewhere.
    #[must_use]
    pub fn no_longer_seen(mut self, server: &str) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        let others: Vec<_> =
            self.world.topology.servers().iter().map(|it| it.name.clone()).collect();
        for witness in others {
            self.world.seen(&server, &witness, None);
        }
        self
    }

    /// Lets this time pass in one step, with a probe of everything at its end.
    #[must_use]
    pub fn after(mut self, time: Duration) -> Self {
        self.world.tick(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }

    /// Lets `times` seconds pass, with a probe of everything in each.
    #[must_use]
    pub fn confirmed(mut self, times: u32) -> Self {
        for _ in 0..times {
            self.world.tick(world::SECOND);
        }
        self
    }

    /// A rescue was begun just now, and ended so.
    #[must_use]
    pub fn rescued(mut self, server: &str, service: Service, ending: Ending) -> Self {
        let server = self.world.server(server).unwrap_or_else(|error| mistake(&error));
        self.world.rescues.push(Rescue {
            id: core_model::ServiceId { server, service: service.into() },
            begun: self.world.now,
            ending: ending.into(),
        });
        self
    }

    /// The engine's snapshot of it. If nothing was let pass since the last change, everything is
    /// probed once.
    pub fn take(mut self) -> Arc<CoreSnapshot> {
        if self.world.changed {
            self.world.tick(world::SECOND);
        }
        Arc::new(self.world.snapshot())
    }

    /// A snapshot of it for a policy.
    pub fn snapshot(self) -> KitSnapshot {
        KitSnapshot::new(Reader::new(self.take()))
    }

    /// Which side is active.
    pub fn active(&self) -> Side {
        self.world.phase.side().into()
    }
}

#[expect(clippy::panic, reason = "a mistake in a test ends it")]
fn mistake(what: &str) -> ! {
    panic!("{what}")
}

/// Evaluates a policy natively, as the engine would: settings are checked against its schema and
/// completed, and what it proposes is turned into the engine's words.
///
/// # Errors
/// What the policy says, or what is wrong with the settings or with its answer.
pub fn evaluate<P: Policy>(
    snapshot: &Arc<CoreSnapshot>,
    given: &BTreeMap<String, Given>,
    state: &[u8],
) -> Result<CoreEvaluation, String> {
    let schema: Vec<core_settings::Setting> =
        P::Settings::specs().into_iter().map(Into::into).collect();
    let values = core_settings::check(&schema, given).map_err(|problems| {
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    })?;
    let settings = P::Settings::read(&mut values.into_iter().map(Into::into))
        .ok_or_else(crate::settings::mismatch)?;
    evaluate_with::<P>(snapshot, &settings, state)
}

/// As [`evaluate`], with settings that are settled: for very many evaluations.
///
/// # Errors
/// What the policy says, or what is wrong with its answer.
pub fn evaluate_with<P: Policy>(
    snapshot: &Arc<CoreSnapshot>,
    settings: &P::Settings,
    state: &[u8],
) -> Result<CoreEvaluation, String> {
    let kit = KitSnapshot::new(Reader::new(Arc::clone(snapshot)));
    convert::evaluation(P::evaluate(&kit, settings, state)?)
}
