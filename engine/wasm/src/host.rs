//! What the daemon holds: the engine, and the ways in.
//!
//! All of it can be shared between threads. Calls block the thread that makes them, so they belong
//! on threads that may block; they need no async runtime and mind none.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use wasmtime::component::{InstancePre, Linker};

use crate::cache::Cache;
pub use crate::cache::CacheError;
use crate::call::Call;
use crate::guest::{Gate, Shared};
use crate::limits::Limits;
use crate::load::{LoadError, World, component, digest};
use crate::notifier::{self, Notifier};
use crate::policy::{self, Policy};
use crate::ticker::Ticker;
use crate::{engine, facts, wasi};

/// How a host is set up.
#[derive(Debug, Clone)]
pub struct HostConfig {
    /// What a guest may use.
    pub limits: Limits,
    /// Where compiled code is kept; none compiles at every start. The folder is made if it is not
    /// there. It has to belong to the user that runs the monitor, with mode 0700.
    pub cache_dir: Option<PathBuf>,
    /// How many calls may be under way at once; further ones wait. Each reserves address space.
    pub calls_at_once: u32,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { limits: Limits::default(), cache_dir: None, calls_at_once: 16 }
    }
}

/// Why there can be no host.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The engine does not start.
    #[error("the WebAssembly engine cannot be set up")]
    Engine {
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The thread that measures time does not start.
    #[error("the thread that measures guests' time cannot be started")]
    Ticker(#[source] io::Error),
    /// Compiled code cannot be kept.
    #[error(transparent)]
    Cache(#[from] CacheError),
}

/// Loads guests, and gives them what they need to run.
pub struct Host {
    shared: Arc<Shared>,
    pooled: bool,
    cache: Option<Cache>,
    policies: Linker<Call>,
    notifiers: Linker<Call>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host")
            .field("pooled", &self.pooled)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

impl Host {
    /// Sets up the engine.
    pub fn new(config: HostConfig) -> Result<Self, HostError> {
        let slots = config.calls_at_once.max(1);
        let (engine, pooled) = engine::new(&config.limits, slots)
            .map_err(|error| HostError::Engine { source: error.into() })?;
        let cache = config.cache_dir.map(|dir| Cache::open(&dir, &engine)).transpose()?;
        let linkers = || -> wasmtime::Result<_> {
            let mut policies = Linker::new(&engine);
            facts::define(&mut policies)?;
            facts::define_log(&mut policies, "watchkeeper:policy/log@0.1.0")?;
            wasi::define(&mut policies)?;
            let mut notifiers = Linker::new(&engine);
            facts::define_log(&mut notifiers, "watchkeeper:notifier/log@0.2.0")?;
            wasi::define(&mut notifiers)?;
            Ok((policies, notifiers))
        };
        let (policies, notifiers) =
            linkers().map_err(|error| HostError::Engine { source: error.into() })?;
        let ticker = Ticker::start(&engine).map_err(HostError::Ticker)?;
        let shared = Arc::new(Shared {
            engine,
            limits: Arc::new(config.limits),
            ticker,
            gate: Gate::new(slots),
        });
        Ok(Self { shared, pooled, cache, policies, notifiers })
    }

    /// Whether instances come from a pool; if not, they are made on demand, which is slower.
    pub const fn pooled(&self) -> bool {
        self.pooled
    }

    /// What a guest may use.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// The engine itself, so that a benchmark can measure beside the host on the same one.
    #[doc(hidden)]
    pub fn engine(&self) -> &wasmtime::Engine {
        &self.shared.engine
    }

    /// Loads a policy: checks the bytes, compiles them or takes compiled code from the cache,
    /// checks that they fit the world, and has the policy describe itself.
    pub fn load_policy(&self, bytes: &[u8]) -> Result<Policy, LoadError> {
        let (pre, digest) = self.load(&policy::WORLD, &self.policies, bytes)?;
        Policy::new(&self.shared, pre, digest)
    }

    /// Loads a notifier, in the same way.
    pub fn load_notifier(&self, bytes: &[u8]) -> Result<Notifier, LoadError> {
        let (pre, digest) = self.load(&notifier::WORLD, &self.notifiers, bytes)?;
        Notifier::new(&self.shared, pre, digest)
    }

    fn load(
        &self,
        world: &World,
        linker: &Linker<Call>,
        bytes: &[u8],
    ) -> Result<(InstancePre<Call>, String), LoadError> {
        let Shared { engine, limits, .. } = &*self.shared;
        let digest = digest(bytes);
        let component = component(engine, limits, self.cache.as_ref(), world, bytes, &digest)?;
        let pre = linker
            .instantiate_pre(&component)
            .map_err(|error| LoadError::wrong_types(world, &error))?;
        Ok((pre, digest))
    }
}
