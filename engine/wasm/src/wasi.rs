//! The stand-ins for WASI.
//!
//! A language's runtime imports some of WASI's interfaces even for a function that needs nothing:
//! Rust's `wasm32-wasip2` imports `wasi:cli` and `wasi:io`, others clocks and randomness too. What
//! is given here answers the same at every replay: the time is the call's, randomness follows from
//! the snapshot's number, there are no arguments, no environment and no input, and what is printed
//! goes to the log, within its limits. Waiting takes no time.
//!
//! These are the only imports beside a world's own that a guest may have ([`GIVEN`]). There are no
//! files and no network, not even as functions that always fail: a component that imports them is
//! refused when it is loaded, because it expects something that it will not get.
//!
//! They are written out here, some thirty functions, rather than taken from the full WASI host:
//! that one builds a context with tables, clocks and random generators for each call and brings an
//! async runtime into an engine that is otherwise synchronous.

use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType,
};
use wasmtime::{Result, StoreContextMut};
use watchkeeper_core::model::Timestamp;

use crate::call::{Breach, Call, Stream};

/// The interfaces that are given, without their version: any 0.2 of them.
pub(crate) const GIVEN: [&str; 18] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// The most random bytes that are given at once.
const RANDOM_AT_ONCE: u64 = 64 << 10;

/// The most bytes that a stream takes at once.
const WRITE_AT_ONCE: u64 = 64 << 10;

const NANOS_PER_MILLI: u64 = 1_000_000;

struct Input;
struct Output;
struct Pollable;
struct IoError;
struct TerminalInput;
struct TerminalOutput;

/// Which stream an [`Output`] stands for.
const OUT: u32 = 1;
const ERR: u32 = 2;

const fn stream(output: u32) -> Stream {
    if output == ERR { Stream::Err } else { Stream::Out }
}

/// How reading or writing can fail.
#[derive(ComponentType, Lower, Lift)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

#[derive(ComponentType, Lower, Lift)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

impl From<Timestamp> for Datetime {
    fn from(time: Timestamp) -> Self {
        let millis = u32::try_from(time.0 % 1_000).unwrap_or(0);
        Self { seconds: time.0 / 1_000, nanoseconds: millis * 1_000_000 }
    }
}

type Context<'a> = StoreContextMut<'a, Call>;

/// Defines all of [`GIVEN`].
pub(crate) fn define(linker: &mut Linker<Call>) -> Result<()> {
    error(&mut linker.instance("wasi:io/error@0.2.6")?)?;
    poll(&mut linker.instance("wasi:io/poll@0.2.6")?)?;
    let mut streams = linker.instance("wasi:io/streams@0.2.6")?;
    input(&mut streams)?;
    output(&mut streams)?;
    environment(&mut linker.instance("wasi:cli/environment@0.2.6")?)?;
    exit(&mut linker.instance("wasi:cli/exit@0.2.6")?)?;
    stdio(linker)?;
    terminals(linker)?;
    monotonic(&mut linker.instance("wasi:clocks/monotonic-clock@0.2.6")?)?;
    wall(&mut linker.instance("wasi:clocks/wall-clock@0.2.6")?)?;
    random(linker)
}

/// A resource without anything behind it.
fn resource<T: 'static>(instance: &mut LinkerInstance<'_, Call>, name: &str) -> Result<()> {
    instance.resource(name, ResourceType::host::<T>(), |_, _| Ok(()))
}

fn error(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    resource::<IoError>(instance, "error")?;
    instance.func_wrap(
        "[method]error.to-debug-string",
        |mut cx: Context<'_>, (_,): (Resource<IoError>,)| {
            cx.data_mut().count()?;
            Ok((String::new(),))
        },
    )
}

/// Everything is ready at once.
fn poll(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    resource::<Pollable>(instance, "pollable")?;
    instance.func_wrap(
        "[method]pollable.ready",
        |mut cx: Context<'_>, (_,): (Resource<Pollable>,)| {
            cx.data_mut().count()?;
            Ok((true,))
        },
    )?;
    instance.func_wrap(
        "[method]pollable.block",
        |mut cx: Context<'_>, (_,): (Resource<Pollable>,)| Ok(cx.data_mut().count()?),
    )?;
    instance.func_wrap("poll", |mut cx: Context<'_>, (all,): (Vec<Resource<Pollable>>,)| {
        cx.data_mut().count()?;
        Ok(((0_u32..).zip(all).map(|(i, _)| i).collect::<Vec<_>>(),))
    })
}

type Streamed<T> = (Result<T, StreamError>,);

/// There is no input: every read meets its end.
fn input(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    type Method = (Resource<Input>, u64);
    resource::<Input>(instance, "input-stream")?;
    for name in ["[method]input-stream.read", "[method]input-stream.blocking-read"] {
        instance.func_wrap(name, |mut cx: Context<'_>, _: Method| {
            cx.data_mut().count()?;
            Ok::<Streamed<Vec<u8>>, _>((Err(StreamError::Closed),))
        })?;
    }
    for name in ["[method]input-stream.skip", "[method]input-stream.blocking-skip"] {
        instance.func_wrap(name, |mut cx: Context<'_>, _: Method| {
            cx.data_mut().count()?;
            Ok::<Streamed<u64>, _>((Err(StreamError::Closed),))
        })?;
    }
    instance.func_wrap(
        "[method]input-stream.subscribe",
        |mut cx: Context<'_>, (_,): (Resource<Input>,)| {
            cx.data_mut().count()?;
            Ok((Resource::<Pollable>::new_own(0),))
        },
    )
}

/// What is written goes to the log.
fn output(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    type Target = Resource<Output>;
    resource::<Output>(instance, "output-stream")?;
    instance.func_wrap(
        "[method]output-stream.check-write",
        |mut cx: Context<'_>, (_,): (Target,)| {
            cx.data_mut().count()?;
            Ok::<Streamed<u64>, _>((Ok(WRITE_AT_ONCE),))
        },
    )?;
    for name in ["[method]output-stream.write", "[method]output-stream.blocking-write-and-flush"] {
        instance.func_wrap(name, |mut cx: Context<'_>, (to, bytes): (Target, Vec<u8>)| {
            let call = cx.data_mut();
            call.count()?;
            call.print(stream(to.rep()), &bytes);
            Ok::<Streamed<()>, _>((Ok(()),))
        })?;
    }
    for name in ["[method]output-stream.flush", "[method]output-stream.blocking-flush"] {
        instance.func_wrap(name, |mut cx: Context<'_>, (_,): (Target,)| {
            cx.data_mut().count()?;
            Ok::<Streamed<()>, _>((Ok(()),))
        })?;
    }
    // Zeroes are nothing that a log could show.
    for name in [
        "[method]output-stream.write-zeroes",
        "[method]output-stream.blocking-write-zeroes-and-flush",
    ] {
        instance.func_wrap(name, |mut cx: Context<'_>, (_, _): (Target, u64)| {
            cx.data_mut().count()?;
            Ok::<Streamed<()>, _>((Ok(()),))
        })?;
    }
    for name in ["[method]output-stream.splice", "[method]output-stream.blocking-splice"] {
        instance.func_wrap(
            name,
            |mut cx: Context<'_>, (_, _, _): (Target, Resource<Input>, u64)| {
                cx.data_mut().count()?;
                Ok::<Streamed<u64>, _>((Err(StreamError::Closed),))
            },
        )?;
    }
    instance.func_wrap("[method]output-stream.subscribe", |mut cx: Context<'_>, (_,): (Target,)| {
        cx.data_mut().count()?;
        Ok((Resource::<Pollable>::new_own(0),))
    })
}

fn environment(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    instance.func_wrap("get-environment", |mut cx: Context<'_>, (): ()| {
        cx.data_mut().count()?;
        Ok((Vec::<(String, String)>::new(),))
    })?;
    instance.func_wrap("get-arguments", |mut cx: Context<'_>, (): ()| {
        cx.data_mut().count()?;
        Ok((Vec::<String>::new(),))
    })?;
    instance.func_wrap("initial-cwd", |mut cx: Context<'_>, (): ()| {
        cx.data_mut().count()?;
        Ok((None::<String>,))
    })
}

fn exit(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    instance.func_wrap("exit", |_: Context<'_>, (status,): (Result<(), ()>,)| -> Result<()> {
        Err(Breach::Exit(u8::from(status.is_err())).into())
    })?;
    instance.func_wrap("exit-with-code", |_: Context<'_>, (code,): (u8,)| -> Result<()> {
        Err(Breach::Exit(code).into())
    })
}

fn stdio(linker: &mut Linker<Call>) -> Result<()> {
    linker.instance("wasi:cli/stdin@0.2.6")?.func_wrap(
        "get-stdin",
        |mut cx: Context<'_>, (): ()| {
            cx.data_mut().count()?;
            Ok((Resource::<Input>::new_own(0),))
        },
    )?;
    for (interface, name, rep) in
        [("wasi:cli/stdout@0.2.6", "get-stdout", OUT), ("wasi:cli/stderr@0.2.6", "get-stderr", ERR)]
    {
        linker.instance(interface)?.func_wrap(name, move |mut cx: Context<'_>, (): ()| {
            cx.data_mut().count()?;
            Ok((Resource::<Output>::new_own(rep),))
        })?;
    }
    Ok(())
}

/// No stream is a terminal.
fn terminals(linker: &mut Linker<Call>) -> Result<()> {
    let mut instance = linker.instance("wasi:cli/terminal-input@0.2.6")?;
    resource::<TerminalInput>(&mut instance, "terminal-input")?;
    let mut instance = linker.instance("wasi:cli/terminal-output@0.2.6")?;
    resource::<TerminalOutput>(&mut instance, "terminal-output")?;
    linker.instance("wasi:cli/terminal-stdin@0.2.6")?.func_wrap(
        "get-terminal-stdin",
        |mut cx: Context<'_>, (): ()| {
            cx.data_mut().count()?;
            Ok((None::<Resource<TerminalInput>>,))
        },
    )?;
    for (interface, name) in [
        ("wasi:cli/terminal-stdout@0.2.6", "get-terminal-stdout"),
        ("wasi:cli/terminal-stderr@0.2.6", "get-terminal-stderr"),
    ] {
        linker.instance(interface)?.func_wrap(name, |mut cx: Context<'_>, (): ()| {
            cx.data_mut().count()?;
            Ok((None::<Resource<TerminalOutput>>,))
        })?;
    }
    Ok(())
}

/// The time stands still during a call, and waiting for a later one ends at once.
fn monotonic(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    instance.func_wrap("now", |mut cx: Context<'_>, (): ()| {
        let call = cx.data_mut();
        call.count()?;
        Ok((call.now().0.saturating_mul(NANOS_PER_MILLI),))
    })?;
    instance.func_wrap("resolution", |mut cx: Context<'_>, (): ()| {
        cx.data_mut().count()?;
        Ok((NANOS_PER_MILLI,))
    })?;
    for name in ["subscribe-instant", "subscribe-duration"] {
        instance.func_wrap(name, |mut cx: Context<'_>, (_,): (u64,)| {
            cx.data_mut().count()?;
            Ok((Resource::<Pollable>::new_own(0),))
        })?;
    }
    Ok(())
}

fn wall(instance: &mut LinkerInstance<'_, Call>) -> Result<()> {
    instance.func_wrap("now", |mut cx: Context<'_>, (): ()| {
        let call = cx.data_mut();
        call.count()?;
        Ok((Datetime::from(call.now()),))
    })?;
    instance.func_wrap("resolution", |mut cx: Context<'_>, (): ()| {
        cx.data_mut().count()?;
        Ok((Datetime::from(Timestamp(1)),))
    })
}

fn random(linker: &mut Linker<Call>) -> Result<()> {
    for (interface, bytes, number) in [
        ("wasi:random/random@0.2.6", "get-random-bytes", "get-random-u64"),
        ("wasi:random/insecure@0.2.6", "get-insecure-random-bytes", "get-insecure-random-u64"),
    ] {
        let mut instance = linker.instance(interface)?;
        instance.func_wrap(bytes, |mut cx: Context<'_>, (wanted,): (u64,)| {
            let call = cx.data_mut();
            call.count()?;
            if wanted > RANDOM_AT_ONCE {
                return Err(Breach::Random { wanted, limit: RANDOM_AT_ONCE }.into());
            }
            let wanted = usize::try_from(wanted)?;
            let mut bytes = Vec::with_capacity(wanted + 7);
            while bytes.len() < wanted {
                bytes.extend(call.random().to_le_bytes());
            }
            bytes.truncate(wanted);
            Ok((bytes,))
        })?;
        instance.func_wrap(number, |mut cx: Context<'_>, (): ()| {
            let call = cx.data_mut();
            call.count()?;
            Ok((call.random(),))
        })?;
    }
    linker.instance("wasi:random/insecure-seed@0.2.6")?.func_wrap(
        "insecure-seed",
        |mut cx: Context<'_>, (): ()| {
            let call = cx.data_mut();
            call.count()?;
            Ok(((call.random(), call.random()),))
        },
    )
}
