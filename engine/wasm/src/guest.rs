//! A loaded component, and one call into it.
//!
//! Invariant: every call has an instance of its own, made for it and dropped after it, and runs
//! under all limits. Nothing that a call leaves behind can reach the next.

use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use wasmtime::component::{
    ComponentExportIndex, ComponentNamedList, Instance, InstancePre, Lift, Lower, Type, TypedFunc,
};
use wasmtime::{Engine, Store};
use watchkeeper_core::model::Timestamp;
use watchkeeper_core::proposal::{Failure, FailureKind};

use crate::call::{Breach, Call, LogLine};
use crate::limits::{Limits, ticks};
use crate::load::{LoadError, World};
use crate::ticker::Ticker;

/// What one call came to.
#[derive(Debug, Clone)]
pub struct Called<T> {
    /// What the guest answered, or why it did not.
    pub outcome: Result<T, Failure>,
    /// What it logged and printed, in its order.
    pub log: Vec<LogLine>,
    /// How many further lines were dropped.
    pub dropped_lines: u64,
    /// How long it took, with making the instance.
    pub took: Duration,
}

/// What all guests of a host have in common.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) limits: Arc<Limits>,
    pub(crate) ticker: Ticker,
    pub(crate) gate: Gate,
}

/// Lets no more calls in than there are slots for instances. Who comes later waits; not for long,
/// because every call is bounded in time.
#[derive(Debug)]
pub(crate) struct Gate {
    free: Mutex<u32>,
    freed: Condvar,
}

struct Entered<'a>(&'a Gate);

impl Gate {
    pub(crate) const fn new(slots: u32) -> Self {
        Self { free: Mutex::new(slots), freed: Condvar::new() }
    }

    fn enter(&self) -> Entered<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free =
            self.freed.wait_while(free, |free| *free == 0).unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Entered(self)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

/// A function that a world exports: its name and its types.
pub(crate) trait Function {
    const NAME: &'static str;
    type Params<'a>: ComponentNamedList + Lower;
    type Return: ComponentNamedList + Lift + 'static;
}

/// Where a component has the function. Only [`Export::find`] makes one, so that it exists only
/// where the types were compared.
#[derive(Debug)]
pub(crate) struct Export<F> {
    index: ComponentExportIndex,
    function: PhantomData<fn() -> F>,
}

impl<F: Function> Export<F> {
    /// Looks the function up, and compares its types.
    pub(crate) fn find(
        pre: &InstancePre<Call>,
        store: &mut Store<Call>,
        instance: &Instance,
    ) -> wasmtime::Result<Self> {
        let index = pre
            .component()
            .get_export_index(None, F::NAME)
            .ok_or_else(|| wasmtime::format_err!("there is no function {:?}", F::NAME))?;
        instance.get_typed_func::<F::Params<'static>, F::Return>(store, &index)?;
        Ok(Self { index, function: PhantomData })
    }

    /// The type of its first parameter, if it has one.
    pub(crate) fn first_param(&self, store: &mut Store<Call>, instance: &Instance) -> Option<Type> {
        let func = instance.get_func(&mut *store, self.index)?;
        func.ty(&*store).params().next().map(|(_, ty)| ty)
    }

    /// Calls the function of an instance that is there already.
    pub(crate) fn call_in(
        &self,
        store: &mut Store<Call>,
        instance: &Instance,
        params: F::Params<'_>,
    ) -> wasmtime::Result<F::Return> {
        let func = instance
            .get_func(&mut *store, self.index)
            .ok_or_else(|| wasmtime::format_err!("there is no function {:?}", F::NAME))?;
        typed::<F>(func).call(store, params)
    }
}

/// A loaded component, ready to be instantiated.
pub(crate) struct Guest {
    shared: Arc<Shared>,
    pre: InstancePre<Call>,
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").finish_non_exhaustive()
    }
}

impl Guest {
    pub(crate) const fn new(shared: Arc<Shared>, pre: InstancePre<Call>) -> Self {
        Self { shared, pre }
    }

    pub(crate) fn limits(&self) -> &Arc<Limits> {
        &self.shared.limits
    }

    /// Runs `body` with a fresh instance, for at most `time`.
    pub(crate) fn with_instance<T>(
        &self,
        call: Call,
        time: Duration,
        body: impl FnOnce(&InstancePre<Call>, &mut Store<Call>, &Instance) -> wasmtime::Result<T>,
    ) -> (Result<T, Failure>, Call) {
        let shared = &*self.shared;
        let _slot = shared.gate.enter();
        let _running = shared.ticker.running();
        let mut store = Store::new(&shared.engine, call);
        store.limiter(|call| call);
        store.set_epoch_deadline(ticks(time));
        store.set_hostcall_fuel(shared.limits.handed_bytes);
        let outcome = match self.pre.instantiate(&mut store) {
            Ok(instance) => body(&self.pre, &mut store, &instance)
                .map_err(|error| store.data_mut().failure(&error)),
            Err(error) => Err(not_started(&mut store, &error)),
        };
        (outcome, store.into_data())
    }

    /// Makes the first instance: finds the world's functions, and has the guest describe itself.
    pub(crate) fn introduce<F: Function<Params<'static> = ()>, E>(
        &self,
        world: &World,
        find: impl FnOnce(&InstancePre<Call>, &mut Store<Call>, &Instance) -> wasmtime::Result<E>,
    ) -> Result<(E, F::Return), LoadError> {
        let limits = &self.shared.limits;
        let call = Call::new(limits, Timestamp(0), 0);
        let (outcome, _) = self.with_instance(call, limits.describe, |pre, store, instance| {
            let found = Export::<F>::find(pre, store, instance)
                .and_then(|describe| Ok((describe, find(pre, store, instance)?)));
            match found {
                Ok((describe, exports)) => {
                    Ok(Ok((exports, describe.call_in(store, instance, ())?)))
                }
                Err(error) => Ok(Err(error)),
            }
        });
        outcome.map_err(LoadError::Describe)?.map_err(|error| LoadError::wrong_types(world, &error))
    }

    /// Calls a function in a fresh instance, for at most `time`.
    pub(crate) fn call<F: Function>(
        &self,
        export: &Export<F>,
        params: F::Params<'_>,
        call: Call,
        time: Duration,
    ) -> (Result<F::Return, Failure>, Call) {
        self.with_instance(call, time, |_, store, instance| export.call_in(store, instance, params))
    }
}

#[expect(unsafe_code, reason = "comparing the types again costs a tenth of an evaluation")]
fn typed<'a, F: Function>(func: wasmtime::component::Func) -> TypedFunc<F::Params<'a>, F::Return> {
    // SAFETY: `func` was looked up by the index in an `Export<F>`, which exists only because
    // `Export::find` compared the types of that function with those of `F`, and a function's types
    // belong to its component, not to its instance.
    unsafe { TypedFunc::new_unchecked(func) }
}

/// A guest that breaks a limit or traps while it starts is named as if it did so later.
fn not_started(store: &mut Store<Call>, error: &wasmtime::Error) -> Failure {
    let call = store.data_mut();
    if error.is::<Breach>() || error.is::<wasmtime::Trap>() {
        return call.failure(error);
    }
    Failure { kind: FailureKind::Instantiation, detail: error.root_cause().to_string() }
}

/// Measures a call, and gathers what it left.
pub(crate) fn called<T>(began: Instant, (outcome, call): (Result<T, Failure>, Call)) -> Called<T> {
    let (log, dropped_lines, _) = call.end();
    Called { outcome, log, dropped_lines, took: began.elapsed() }
}
