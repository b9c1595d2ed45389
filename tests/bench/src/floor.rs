//! The bare wasmtime floor: what an evaluation costs if nothing is done but call the component.
//!
//! What is the same as in the host of guests: the engine itself (its settings, its pool, its epoch),
//! the component, a fresh store and instance for each call, the arguments, and lifting the answer.
//!
//! What is not there: limits on memory, tables, host calls and results, the clock thread's start, the
//! gate before the pool, the record of what was read, checking the answer and turning it into the
//! core's types. The host here is as small as one can be: each question has its answer ready, in the
//! form in which it crosses the border, and is found by comparing the question with the few that are
//! known. Answers are shared and not copied. Types were compared before, as in the host. WASI is a
//! trap: the policy does not call it.

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{
    Component, ComponentExportIndex, InstancePre, Linker, LinkerInstance, Resource, ResourceType,
    TypedFunc,
};
use watchkeeper_core::settings::SettingValue as Value;
use watchkeeper_core::snapshot::{Read, Snapshot as Facts};

use crate::Failed;
use crate::floor::bindings::Evaluation;
use crate::floor::bindings::watchkeeper::policy::facts::Snapshot;
use crate::floor::bindings::watchkeeper::policy::types::{
    Cluster, Counts, Filter, Measure, Rescue, Server, Service, ServiceFacts, SettingValue,
};

#[allow(
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    rust_2018_idioms,
    dead_code,
    reason = "generated"
)]
mod bindings {
    wasmtime::component::bindgen!({
        path: "../../sdk/wit/policy",
        world: "policy",
        additional_derives: [PartialEq],
    });
}

mod convert;

/// A question of each kind with its answer.
type Known<Q, A> = Vec<(Q, Arc<A>)>;

/// Every question that the policy asks of one snapshot, answered.
#[derive(Default)]
struct Answers {
    time: u64,
    cluster: Option<Arc<Cluster>>,
    server: Known<String, Option<Server>>,
    service: Known<(String, Service), Option<ServiceFacts>>,
    services: Known<Filter, Vec<ServiceFacts>>,
    count: Known<Filter, Counts>,
    measure: Known<(String, Option<Service>, String), Option<Measure>>,
    rescues: Arc<Vec<Rescue>>,
}

impl Answers {
    /// Answers the questions that were `asked` of `snapshot`.
    fn to<'a>(asked: impl IntoIterator<Item = &'a Read>, snapshot: &Facts) -> Result<Self, Failed> {
        let mut answers = Self { time: snapshot.facts().at.0, ..Self::default() };
        for read in asked {
            match read {
                Read::Time => {}
                Read::Cluster => {
                    answers.cluster = Some(Arc::new((&snapshot.facts().cluster).into()));
                }
                Read::Server(name) => {
                    let found = snapshot.server(name).map(Into::into);
                    answers.server.push((name.to_string(), Arc::new(found)));
                }
                Read::Service(name, service) => {
                    let found = snapshot.service(name, *service).map(Into::into);
                    answers.service.push(((name.to_string(), (*service).into()), Arc::new(found)));
                }
                Read::Services(filter) => {
                    let found = snapshot.services(*filter).into_iter().map(Into::into).collect();
                    answers.services.push(((*filter).into(), Arc::new(found)));
                }
                Read::Count(filter) => {
                    let found = snapshot.count(*filter).into();
                    answers.count.push(((*filter).into(), Arc::new(found)));
                }
                Read::Measure(server, service, name) => {
                    let found = snapshot.measure(server, *service, name).map(Into::into);
                    let asked = (server.to_string(), service.map(Into::into), name.to_string());
                    answers.measure.push((asked, Arc::new(found)));
                }
                Read::Rescues => {
                    let all = snapshot.facts().rescues.iter().map(Into::into).collect();
                    answers.rescues = Arc::new(all);
                }
                other => return Err(format!("the floor has no answer to {other:?}").into()),
            }
        }
        Ok(answers)
    }
}

fn find<Q: PartialEq, A>(known: &Known<Q, A>, asked: &Q) -> wasmtime::Result<(Arc<A>,)> {
    match known.iter().find(|(question, _)| question == asked) {
        Some((_, answer)) => Ok((Arc::clone(answer),)),
        None => Err(wasmtime::format_err!("a question that the engine was not asked")),
    }
}

type Context<'a> = wasmtime::StoreContextMut<'a, Arc<Answers>>;
type Me = Resource<Snapshot>;

/// Which measured value is asked for.
type One = (Me, String, Option<Service>, String);

fn define(facts: &mut LinkerInstance<'_, Arc<Answers>>) -> wasmtime::Result<()> {
    facts.resource("snapshot", ResourceType::host::<Snapshot>(), |_, _| Ok(()))?;
    facts
        .func_wrap("[method]snapshot.time", |cx: Context<'_>, (_,): (Me,)| Ok((cx.data().time,)))?;
    facts.func_wrap("[method]snapshot.cluster", |cx: Context<'_>, (_,): (Me,)| {
        match &cx.data().cluster {
            Some(cluster) => Ok((Arc::clone(cluster),)),
            None => Err(wasmtime::format_err!("a question that the engine was not asked")),
        }
    })?;
    facts.func_wrap("[method]snapshot.rescues", |cx: Context<'_>, (_,): (Me,)| {
        Ok((Arc::clone(&cx.data().rescues),))
    })?;
    facts.func_wrap("[method]snapshot.server", |cx: Context<'_>, (_, name): (Me, String)| {
        find(&cx.data().server, &name)
    })?;
    facts.func_wrap(
        "[method]snapshot.service",
        |cx: Context<'_>, (_, server, service): (Me, String, Service)| {
            find(&cx.data().service, &(server, service))
        },
    )?;
    facts
        .func_wrap("[method]snapshot.services", |cx: Context<'_>, (_, filter): (Me, Filter)| {
            find(&cx.data().services, &filter)
        })?;
    facts.func_wrap("[method]snapshot.count", |cx: Context<'_>, (_, filter): (Me, Filter)| {
        find(&cx.data().count, &filter)
    })?;
    facts.func_wrap(
        "[method]snapshot.measure",
        |cx: Context<'_>, (_, server, service, name): One| {
            find(&cx.data().measure, &(server, service, name))
        },
    )
}

type Params<'a> = (Me, &'a [SettingValue], &'a [u8]);
type Return = (Result<Evaluation, String>,);

/// The component, ready to be called, with the answers to all that it will ask.
pub(crate) struct Floor {
    pre: InstancePre<Arc<Answers>>,
    evaluate: ComponentExportIndex,
    answers: Arc<Answers>,
    settings: Vec<SettingValue>,
}

impl Floor {
    /// For the component in `bytes` on `engine`, `snapshot`, and the questions that it `asked` there.
    pub(crate) fn new<'a>(
        engine: &wasmtime::Engine,
        bytes: &[u8],
        settings: &[Value],
        snapshot: &Facts,
        asked: impl IntoIterator<Item = &'a Read>,
    ) -> Result<Self, Failed> {
        let component = Component::new(engine, bytes)?;
        let mut linker = Linker::new(engine);
        linker.root().resource("snapshot", ResourceType::host::<Snapshot>(), |_, _| Ok(()))?;
        define(&mut linker.instance("watchkeeper:policy/facts@0.1.0")?)?;
        linker.define_unknown_imports_as_traps(&component)?;
        let pre = linker.instantiate_pre(&component)?;
        let evaluate =
            component.get_export_index(None, "evaluate").ok_or("there is no evaluate")?;
        let answers = Arc::new(Answers::to(asked, snapshot)?);
        let settings = settings.iter().map(Into::into).collect();
        let floor = Self { pre, evaluate, answers, settings };
        let mut store = floor.store();
        let instance = floor.pre.instantiate(&mut store)?;
        instance.get_typed_func::<Params<'_>, Return>(&mut store, floor.evaluate)?;
        Ok(floor)
    }

    fn store(&self) -> Store<Arc<Answers>> {
        let mut store = Store::new(self.pre.engine(), Arc::clone(&self.answers));
        // Further away than the clock thread will ever come.
        store.set_epoch_deadline(1 << 40);
        store
    }

    /// One evaluation: how many proposals, alerts and notes there are.
    pub(crate) fn evaluate(&self) -> Result<(usize, usize, usize), Failed> {
        let mut store = self.store();
        let instance = self.pre.instantiate(&mut store)?;
        let evaluate = instance.get_func(&mut store, self.evaluate).ok_or("no evaluate")?;
        #[expect(unsafe_code, reason = "the host does without comparing the types again, too")]
        // SAFETY: `new` compared the types, which belong to the component and not to its instance.
        let evaluate = unsafe { TypedFunc::<Params<'_>, Return>::new_unchecked(evaluate) };
        let params = (Resource::new_borrow(0), &*self.settings, &[][..]);
        let (answer,) = evaluate.call(&mut store, params)?;
        let evaluation = answer?;
        Ok((evaluation.proposals.len(), evaluation.alerts.len(), evaluation.notes.len()))
    }
}
