//! One connection to a broker.
//!
//! A task of its own reads, writes and keeps the heart-beats, so that a slow owner never looks like a dead peer. The owner
//! sees frames, then at most one error, then the end. A peer that has fallen silent (a cut cable sends no FIN) is found
//! by its missing heart-beats.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use super::frame::{Decoder, Frame, FrameError};

/// What this side offers and asks for: a heart-beat every second, in both directions.
const HEART_BEAT: Duration = Duration::from_secs(1);
/// Missed heart-beats until the peer counts as gone: some grace for a busy machine.
const MISSED: u32 = 3;
/// Frames that may wait in either direction.
const WAITING: usize = 64;

/// Why there is no connection, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum StompError {
    /// Nothing answered in time.
    #[error("broker {0} did not answer in time")]
    Timeout(String),
    /// The connection could not be made or broke.
    #[error("connection to the broker failed")]
    Io(#[from] std::io::Error),
    /// The broker closed the connection.
    #[error("the broker closed the connection")]
    Closed,
    /// No byte and no heart-beat for too long.
    #[error("the broker has been silent for {0:?}")]
    Silent(Duration),
    /// The broker speaks something else.
    #[error("the broker sent what is not STOMP")]
    Frame(#[from] FrameError),
    /// The broker sent an ERROR frame.
    #[error("the broker refused: {0}")]
    Refused(String),
}

/// A connection to a broker. Dropping it closes the connection.
#[derive(Debug)]
pub struct Client {
    outgoing: mpsc::Sender<Frame>,
    incoming: mpsc::Receiver<Result<Frame, StompError>>,
}

impl Client {
    /// Connects to `address` (host:port) and waits for the broker's CONNECTED, for at most `limit`.
    pub async fn connect(address: &str, limit: Duration) -> Result<Self, StompError> {
        timeout(limit, Self::open(address))
            .await
            .map_err(|_| StompError::Timeout(address.to_owned()))?
    }

    async fn open(address: &str) -> Result<Self, StompError> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.into_split();
        let beat = HEART_BEAT.as_millis();
        let hello = Frame::new("CONNECT")
            .with("accept-version", "1.2")
            .with("host", address.rsplit_once(':').map_or(address, |(host, _)| host))
            .with("heart-beat", format!("{beat},{beat}"));
        writer.write_all(&hello.encode()).await?;

        let mut decoder = Decoder::default();
        let connected = loop {
            if let Some(frame) = decoder.next_frame()? {
                break frame;
            }
            if !read(&mut reader, &mut decoder).await? {
                return Err(StompError::Closed);
            }
        };
        if connected.command != "CONNECTED" {
            return Err(refusal(&connected));
        }
        let (send_every, expect_every) = agree(connected.header("heart-beat").unwrap_or("0,0"));

        let (outgoing, outbox) = mpsc::channel(WAITING);
        let (inbox, incoming) = mpsc::channel(WAITING);
        tokio::spawn(async move {
            let pump = Pump {
                reader,
                writer,
                decoder,
                outbox,
                inbox: inbox.clone(),
                send_every,
                expect_every,
            };
            if let Err(error) = pump.run().await {
                // Nobody listens any more: then nobody needs to know.
                let _ = inbox.send(Err(error)).await;
            }
        });
        Ok(Self { outgoing, incoming })
    }

    /// The next frame, or why there is none any more.
    pub async fn next(&mut self) -> Result<Frame, StompError> {
        self.incoming.recv().await.unwrap_or(Err(StompError::Closed))
    }

    /// Hands a frame over for sending. Its way may still fail: then [`Client::next`] says so.
    pub async fn send(&self, frame: Frame) -> Result<(), StompError> {
        self.outgoing.send(frame).await.map_err(|_| StompError::Closed)
    }

    /// A handle to send with from elsewhere. The connection stays open as long as one of them lives.
    pub fn sender(&self) -> mpsc::Sender<Frame> {
        self.outgoing.clone()
    }

    /// Subscribes to a destination.
    pub async fn subscribe(&self, id: &str, destination: &str) -> Result<(), StompError> {
        let frame = Frame::new("SUBSCRIBE")
            .with("id", id)
            .with("destination", destination)
            .with("ack", "auto");
        self.send(frame).await
    }
}

/// Reads once; false at the end of the stream.
async fn read(reader: &mut OwnedReadHalf, decoder: &mut Decoder) -> Result<bool, StompError> {
    let mut piece = [0; 4096];
    let length = reader.read(&mut piece).await?;
    decoder.push(piece.get(..length).unwrap_or_default());
    Ok(length > 0)
}

fn refusal(frame: &Frame) -> StompError {
    let message = frame.header("message").unwrap_or("no reason given");
    StompError::Refused(format!("{} {message}", frame.command))
}

/// What both sides agreed on: how often to send, how often to expect something. The broker's header says what it can
/// send and what it wants; zero is never; else the slower of the two wishes holds.
fn agree(theirs: &str) -> (Option<Duration>, Option<Duration>) {
    let mut numbers = theirs.split(',').map(|n| n.trim().parse::<u32>().unwrap_or(0));
    let mut next = || match numbers.next().unwrap_or(0) {
        0 => None,
        ms => Some(Duration::from_millis(u64::from(ms)).max(HEART_BEAT)),
    };
    let expect_every = next();
    let send_every = next();
    (send_every, expect_every)
}

struct Pump {
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
    decoder: Decoder,
    outbox: mpsc::Receiver<Frame>,
    inbox: mpsc::Sender<Result<Frame, StompError>>,
    send_every: Option<Duration>,
    expect_every: Option<Duration>,
}

impl Pump {
    /// Ends without an error when the owner has gone.
    async fn run(mut self) -> Result<(), StompError> {
        // Half the agreed time, so that a late tick is still in time.
        let beat = self.send_every.map_or(HEART_BEAT, |every| every / 2);
        let mut beats = interval_at(Instant::now() + beat, beat);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let patience = self.expect_every.map(|every| every * MISSED);
        let mut heard = Instant::now();
        loop {
            while let Some(frame) = self.decoder.next_frame()? {
                if frame.command == "ERROR" {
                    return Err(refusal(&frame));
                }
                if self.inbox.send(Ok(frame)).await.is_err() {
                    return Ok(());
                }
                // Time spent waiting for the owner is not the broker's silence.
                heard = Instant::now();
            }
            let silent_at = heard + patience.unwrap_or(Duration::from_hours(1));
            tokio::select! {
                more = read(&mut self.reader, &mut self.decoder) => {
                    if !more? {
                        return Err(StompError::Closed);
                    }
                    heard = Instant::now();
                }
                frame = self.outbox.recv() => match frame {
                    Some(frame) => self.write(&frame.encode()).await?,
                    None => return Ok(()),
                },
                _ = beats.tick(), if self.send_every.is_some() => self.write(b"\n").await?,
                () = sleep_until(silent_at), if patience.is_some() => {
                    return Err(StompError::Silent(patience.unwrap_or_default()));
                }
                // An owner that has dropped its end wants the connection closed, even if a sender still lives.
                () = self.inbox.closed() => return Ok(()),
            }
        }
    }

    /// A broker that takes nothing any more is as good as silent.
    async fn write(&mut self, bytes: &[u8]) -> Result<(), StompError> {
        let limit = HEART_BEAT * MISSED;
        timeout(limit, self.writer.write_all(bytes))
            .await
            .map_err(|_| StompError::Silent(limit))??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A broker for one connection: answers CONNECT with `greeting`, then hands the stream to the test.
    async fn broker(greeting: &'static [u8]) -> (String, tokio::task::JoinHandle<TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let handle = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut decoder = Decoder::default();
            while decoder.next_frame().unwrap().is_none() {
                let mut piece = [0; 512];
                let length = stream.read(&mut piece).await.unwrap();
                decoder.push(&piece[..length]);
            }
            stream.write_all(greeting).await.unwrap();
            stream
        });
        (address, handle)
    }

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_message_arrives_and_a_closed_connection_is_told() {
        let (address, broker) = broker(b"CONNECTED\nversion:1.2\nheart-beat:0,0\n\n\0").await;
        let mut client = Client::connect(&address, LIMIT).await.unwrap();
        let mut stream = broker.await.unwrap();
        stream.write_all(b"\nMESSAGE\nsubscription:a\n\nhello\0").await.unwrap();
        assert_eq!(client.next().await.unwrap().body, b"hello");
        drop(stream);
        assert!(matches!(client.next().await, Err(StompError::Closed | StompError::Io(_))));
    }

    #[tokio::test]
    async fn a_refusal_carries_the_brokers_reason() {
        let (address, _broker) = broker(b"ERROR\nmessage:not you\n\n\0").await;
        let error = Client::connect(&address, LIMIT).await.unwrap_err();
        assert_eq!(error.to_string(), "the broker refused: ERROR not you");
    }

    #[tokio::test]
    async fn something_else_behind_the_port_is_an_error() {
        let (address, _broker) = broker(b"SSH-2.0-OpenSSH\r\n\r\n\0").await;
        assert!(Client::connect(&address, LIMIT).await.is_err());
    }

    #[tokio::test]
    async fn a_silent_broker_is_found_out() {
        let (address, broker) = broker(b"CONNECTED\nversion:1.2\nheart-beat:1000,0\n\n\0").await;
        let mut client = Client::connect(&address, LIMIT).await.unwrap();
        let _stream = broker.await.unwrap();
        // From here on only timers are waited for: the clock jumps to the next one.
        tokio::time::pause();
        assert!(matches!(client.next().await, Err(StompError::Silent(_))));
    }

    #[test]
    fn heart_beats_are_the_slower_of_both_wishes() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(agree("0,0"), (None, None));
        assert_eq!(agree("100,5000"), (Some(Duration::from_secs(5)), second));
        assert_eq!(agree("nonsense"), (None, None));
    }
}
