//! PostgreSQL's protocol, version 3: start-up with trust, and the simple query protocol.
//!
//! The extended protocol (prepared statements) is answered with an error, as are TLS and GSSAPI
//! with a polite no. Each query is one statement, carried out at once: there are no transactions.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::statements::{self, Answer, Failure, Session};
use crate::wire::Wire;
use crate::world::{Flaw, World};

const PROTOCOL_3: u32 = 0x0003_0000;
const SSL_REQUEST: u32 = 80_877_103;
const GSSENC_REQUEST: u32 = 80_877_104;
const MAX_MESSAGE: usize = 64 * 1024;
/// The type `text`, which every column here has.
const TEXT_OID: u32 = 25;

/// A message's body, built up; the length is put in when it is sent.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u8) -> Self {
        Self(vec![kind, 0, 0, 0, 0])
    }

    fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    fn u32(self, n: u32) -> Self {
        self.bytes(&n.to_be_bytes())
    }

    fn count(self, n: usize) -> Self {
        self.bytes(&u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes())
    }

    fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0])
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        let len = u32::try_from(self.0.len() - 1).unwrap_or(u32::MAX);
        for (place, byte) in self.0.iter_mut().skip(1).zip(len.to_be_bytes()) {
            *place = byte;
        }
        out.extend(self.0);
    }
}

async fn read_body(wire: &mut Wire) -> io::Result<Vec<u8>> {
    let len = (wire.read_u32().await? as usize).wrapping_sub(4);
    if len > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too large"));
    }
    let mut body = vec![0; len];
    wire.read_exact(&mut body).await?;
    Ok(body)
}

/// Serves one connection.
pub(crate) async fn serve(world: &World, server: usize, mut wire: Wire) -> io::Result<()> {
    loop {
        let body = read_body(&mut wire).await?;
        match body.first_chunk().copied().map(u32::from_be_bytes) {
            Some(SSL_REQUEST | GSSENC_REQUEST) => wire.write_all(b"N").await?,
            Some(PROTOCOL_3) => break,
            // Cancel requests, above all: nothing here runs long enough to be cancelled.
            _ => return Ok(()),
        }
    }
    let mut out = Vec::new();
    if world.has(server, Flaw::NoDatabaseLogin) {
        let message = "password authentication failed".to_owned();
        error(&Failure { code: "28P01", message }, &mut out);
        return wire.write_all(&out).await;
    }
    Message::new(b'R').u32(0).finish(&mut out);
    for (name, value) in [
        ("server_version", "15.8"),
        ("server_encoding", "UTF8"),
        ("client_encoding", "UTF8"),
        ("standard_conforming_strings", "on"),
        ("integer_datetimes", "on"),
        ("in_hot_standby", "off"),
    ] {
        Message::new(b'S').text(name).text(value).finish(&mut out);
    }
    Message::new(b'K').u32(4200).u32(1).finish(&mut out);
    ready(&mut out);
    wire.write_all(&out).await?;
    let mut skipping = false;
    loop {
        let kind = wire.read_u8().await?;
        let body = read_body(&mut wire).await?;
        let mut out = Vec::new();
        match kind {
            b'X' => return Ok(()),
            b'Q' => {
                let text = body.split(|byte| *byte == 0).next().unwrap_or_default();
                let text = String::from_utf8_lossy(text);
                world.slowly(async { query(world, server, &text, &mut out) }).await;
                ready(&mut out);
            }
            b'S' => {
                skipping = false;
                ready(&mut out);
            }
            _ if !skipping => {
                skipping = true;
                let message = "the stand-in knows only the simple query protocol".to_owned();
                error(&Failure { code: "0A000", message }, &mut out);
            }
            _ => {}
        }
        wire.write_all(&out).await?;
    }
}

/// Idle, outside of a transaction.
fn ready(out: &mut Vec<u8>) {
    Message::new(b'Z').bytes(b"I").finish(out);
}

fn error(failure: &Failure, out: &mut Vec<u8>) {
    let fields = [(b'S', "ERROR"), (b'V', "ERROR"), (b'C', failure.code), (b'M', &failure.message)];
    let message = fields
        .iter()
        .fold(Message::new(b'E'), |message, (kind, value)| message.bytes(&[*kind]).text(value));
    message.bytes(&[0]).finish(out);
}

/// Answers a query.
fn query(world: &World, server: usize, text: &str, out: &mut Vec<u8>) {
    if text.trim_end_matches(';').trim().is_empty() {
        return Message::new(b'I').finish(out);
    }
    let reachable = world.servers().filter(|other| world.repositories_meet(server, *other));
    let reachable = reachable.collect();
    let streams = world.streams();
    let addresses = world.servers().map(|it| (it, world.network.address(it).to_string())).collect();
    let read_only = world.has(server, Flaw::ReadOnly);
    let answer = world.change(|state| {
        let replication = &mut state.replication;
        let mut session = Session { replication, server, addresses, reachable, read_only, streams };
        let answer = statements::answer(&mut session, text);
        if let Ok(Answer::Changed(_, what)) = &answer {
            state.events.note(format!("{}/repository {what}", world.name(server)));
        }
        answer
    });
    match answer {
        Ok(Answer::Done(tag) | Answer::Changed(tag, _)) => Message::new(b'C').text(tag).finish(out),
        Ok(Answer::Rows(columns, rows)) => table(columns, &rows, out),
        Err(failure) => error(&failure, out),
    }
}

fn table(columns: usize, rows: &[Vec<statements::Value>], out: &mut Vec<u8>) {
    let mut head = Message::new(b'T').count(columns);
    for _ in 0..columns {
        // Table, attribute, type, size (variable), modifier (none), format (text).
        head = head.text("?column?").u32(0).count(0).u32(TEXT_OID);
        head = head.bytes(&[0xFF; 2]).bytes(&[0xFF; 4]).count(0);
    }
    head.finish(out);
    for row in rows {
        let mut data = Message::new(b'D').count(row.len());
        for value in row {
            data = match value {
                None => data.bytes(&[0xFF; 4]),
                Some(text) => {
                    let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
                    data.u32(len).bytes(text.as_bytes())
                }
            };
        }
        data.finish(out);
    }
    Message::new(b'C').text(&format!("SELECT {}", rows.len())).finish(out);
}
