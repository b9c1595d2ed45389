//! The questions a policy may ask, and its log.

use std::sync::Arc;

use wasmtime::component::ResourceType;
use wasmtime::component::{ComponentType, Lift, Linker, LinkerInstance, Lower, Resource};
use wasmtime::{Result, StoreContextMut};
use watchkeeper_core::model::MAX_NAME_LEN;
use watchkeeper_core::snapshot::Counts;

use crate::call::{Call, LogLevel};
use crate::wire;

/// The contract's package and the version that is given here.
pub(crate) const FACTS: &str = "watchkeeper:policy/facts@0.1.0";

/// The longest name of a measure that is looked up, in bytes. A longer one is none that a probe
/// could have given.
const MAX_MEASURE_LEN: usize = 128;

/// The one snapshot of an evaluation.
pub(crate) struct Snapshot;

type Context<'a> = StoreContextMut<'a, Call>;
type Me = Resource<Snapshot>;

/// Defines `facts`.
///
/// A name that is longer than any name can be has no answer. It is not remembered either: no
/// change of facts could give it one.
pub(crate) fn define(linker: &mut Linker<Call>) -> Result<()> {
    // The world uses the resource by name, so components import it a second time, at the root.
    linker.root().resource("snapshot", ResourceType::host::<Snapshot>(), |_, _| Ok(()))?;
    let mut facts = linker.instance(FACTS)?;
    facts.resource("snapshot", ResourceType::host::<Snapshot>(), |_, _| Ok(()))?;
    plain(&mut facts)?;
    services(&mut facts)?;
    measures(&mut facts)
}

fn plain(facts: &mut LinkerInstance<'_, Call>) -> Result<()> {
    facts.func_wrap("[method]snapshot.number", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((cx.data_mut().ask()?.number(),))
    })?;
    facts.func_wrap("[method]snapshot.time", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((cx.data_mut().ask()?.time().0,))
    })?;
    facts.func_wrap("[method]snapshot.cluster", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((wire::Cluster::from(cx.data_mut().ask()?.cluster()),))
    })?;
    facts.func_wrap("[method]snapshot.servers", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((all::<_, wire::Server>(cx.data_mut().ask()?.servers()),))
    })?;
    facts.func_wrap(
        "[method]snapshot.server",
        |mut cx: Context<'_>, (_, name): (Me, Arc<str>)| {
            let reader = cx.data_mut().ask()?;
            let found = if name.len() > MAX_NAME_LEN { None } else { reader.server(&name) };
            Ok((found.map(wire::Server::from),))
        },
    )?;
    facts.func_wrap("[method]snapshot.rescues", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((all::<_, wire::Rescue>(cx.data_mut().ask()?.rescues()),))
    })?;
    facts.func_wrap("[method]snapshot.changes", |mut cx: Context<'_>, (_,): (Me,)| {
        Ok((all::<_, wire::Change>(cx.data_mut().ask()?.changes()),))
    })
}

fn services(facts: &mut LinkerInstance<'_, Call>) -> Result<()> {
    facts.func_wrap(
        "[method]snapshot.service",
        |mut cx: Context<'_>, (_, server, service): (Me, Arc<str>, wire::Service)| {
            let reader = cx.data_mut().ask()?;
            let known = server.len() <= MAX_NAME_LEN;
            let found = if known { reader.service(&server, service.into()) } else { None };
            Ok((found.map(wire::ServiceFacts::from),))
        },
    )?;
    facts.func_wrap(
        "[method]snapshot.services",
        |mut cx: Context<'_>, (_, filter): (Me, wire::Filter)| {
            let found = cx.data_mut().ask()?.services(filter.into());
            Ok((found.into_iter().map(wire::ServiceFacts::from).collect::<Vec<_>>(),))
        },
    )?;
    facts.func_wrap(
        "[method]snapshot.count",
        |mut cx: Context<'_>, (_, filter): (Me, wire::Filter)| {
            let counts: Counts = cx.data_mut().ask()?.count(filter.into());
            Ok((wire::Counts::from(counts),))
        },
    )
}

fn measures(facts: &mut LinkerInstance<'_, Call>) -> Result<()> {
    type One = (Me, Arc<str>, Option<wire::Service>, Arc<str>);
    facts.func_wrap(
        "[method]snapshot.measure",
        |mut cx: Context<'_>, (_, server, service, name): One| {
            let reader = cx.data_mut().ask()?;
            let known = server.len() <= MAX_NAME_LEN && name.len() <= MAX_MEASURE_LEN;
            let found =
                if known { reader.measure(&server, service.map(Into::into), &name) } else { None };
            Ok((found.map(wire::Measure::from),))
        },
    )?;
    facts.func_wrap(
        "[method]snapshot.measures",
        |mut cx: Context<'_>, (_, name): (Me, Arc<str>)| {
            let reader = cx.data_mut().ask()?;
            let known = name.len() <= MAX_MEASURE_LEN;
            let found = if known { reader.measures(&name) } else { Vec::new() };
            Ok((found.into_iter().map(wire::Measure::from).collect::<Vec<_>>(),))
        },
    )
}

fn all<'a, T, W: From<&'a T>>(found: &'a [T]) -> Vec<W> {
    found.iter().map(W::from).collect()
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "made by the engine, out of what a guest passes")]
enum Level {
    #[component(name = "debug")]
    Debug,
    #[component(name = "info")]
    Info,
    #[component(name = "warn")]
    Warn,
    #[component(name = "error")]
    Error,
}

impl From<Level> for LogLevel {
    fn from(level: Level) -> Self {
        match level {
            Level::Debug => Self::Debug,
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

/// Defines `log`, which both worlds have, as `interface`.
pub(crate) fn define_log(linker: &mut Linker<Call>, interface: &str) -> Result<()> {
    linker.instance(interface)?.func_wrap(
        "write",
        |mut cx: Context<'_>, (level, line): (Level, Arc<str>)| {
            let call = cx.data_mut();
            call.count()?;
            call.log(level.into(), &line);
            Ok(())
        },
    )
}
