//! A broker that greets as ActiveMQ does, and otherwise only listens.
//!
//! The greeting is a real OpenWire `WireFormatInfo` in loose encoding. After it, frames are read and
//! dropped, but for one of the site's own kind, which is answered: an agent's heartbeat. No message is ever routed.

use std::io;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::Wire;
use crate::world::World;

/// OpenWire's number of the `WireFormatInfo` command.
const WIRE_FORMAT_INFO: u8 = 1;
/// Not an OpenWire command: the site's agents register and live by it.
const AGENT: u8 = 0xA6;
const MAGIC: &[u8; 8] = b"ActiveMQ";
/// The OpenWire version that ActiveMQ 5.17 offers.
const VERSION: u32 = 12;
/// Frames above this are an error; real clients negotiate a limit as well.
const MAX_FRAME: usize = 64 * 1024;

/// A length-prefixed `WireFormatInfo` with a few of the broker's properties.
pub(crate) fn greeting() -> Vec<u8> {
    // A primitive map: count, then key, type and value; type 1 is a boolean, 6 a long.
    let booleans = [
        ("TcpNoDelayEnabled", true),
        ("SizePrefixDisabled", false),
        ("CacheEnabled", true),
        ("StackTraceEnabled", true),
        ("TightEncodingEnabled", true),
    ];
    let longs: [(&str, i64); 2] =
        [("MaxInactivityDuration", 30_000), ("MaxFrameSize", 104_857_600)];
    let mut map = be32(booleans.len() + longs.len()).to_vec();
    let key = |map: &mut Vec<u8>, key: &str| {
        map.extend(be32(key.len()).iter().skip(2));
        map.extend(key.as_bytes());
    };
    for (name, value) in booleans {
        key(&mut map, name);
        map.extend([1, u8::from(value)]);
    }
    for (name, value) in longs {
        key(&mut map, name);
        map.push(6);
        map.extend(value.to_be_bytes());
    }
    let mut body = vec![WIRE_FORMAT_INFO];
    body.extend(MAGIC);
    body.extend(VERSION.to_be_bytes());
    body.push(1); // the properties are there
    body.extend(be32(map.len()));
    body.extend(map);
    frame(&body)
}

/// An agent's heartbeat and the broker's answer to it.
pub(crate) async fn heartbeat(broker: &mut Wire, server: usize) -> io::Result<()> {
    broker.write_all(&frame(&[AGENT, u8::try_from(server).unwrap_or(u8::MAX)])).await?;
    read_frame(broker).await.map(drop)
}

fn be32(n: usize) -> [u8; 4] {
    u32::try_from(n).unwrap_or(u32::MAX).to_be_bytes()
}

fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = be32(body.len()).to_vec();
    frame.extend(body);
    frame
}

async fn read_frame(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let len = wire.read_u32().await? as usize;
    if len > MAX_FRAME {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too large"));
    }
    let mut body = vec![0; len];
    wire.read_exact(&mut body).await?;
    Ok(body)
}

/// Reads the broker's greeting, as an agent does.
pub(crate) async fn read_greeting(wire: &mut Wire) -> io::Result<()> {
    let body = read_frame(wire).await?;
    match body.split_first() {
        Some((&WIRE_FORMAT_INFO, rest)) if rest.starts_with(MAGIC) => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "this is no broker")),
    }
}

/// Serves one connection.
pub(crate) async fn serve(world: &World, server: usize, mut wire: Wire) -> io::Result<()> {
    wire.write_all(&greeting()).await?;
    let mut agent = None;
    let ended = loop {
        let read = read_frame(&mut wire).await;
        match read.as_deref() {
            Ok([AGENT, from]) => {
                let key = (server, usize::from(*from));
                let first = agent.replace(key).is_none();
                world.change(|state| {
                    state.registrations.insert(key, Instant::now());
                    if first && world.servers().contains(&key.1) {
                        let (agent, broker) = (world.name(key.1), world.name(server));
                        state.events.note(format!("{agent}/agent registered with {broker}"));
                    }
                });
                if let Err(error) = wire.write_all(&frame(&[AGENT])).await {
                    break error;
                }
            }
            Ok(_) => {}
            Err(error) => break io::Error::new(error.kind(), error.to_string()),
        }
    };
    if let Some(key) = agent {
        world.change(|state| state.registrations.remove(&key));
    }
    Err(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greeting_is_a_whole_frame() {
        let greeting = greeting();
        let len = u32::from_be_bytes(greeting[..4].try_into().unwrap()) as usize;
        assert_eq!(greeting.len(), len + 4);
        assert_eq!(greeting[4], 1);
        assert_eq!(&greeting[5..13], MAGIC);
        let map = u32::from_be_bytes(greeting[18..22].try_into().unwrap()) as usize;
        assert_eq!(greeting.len(), 22 + map);
    }
}
