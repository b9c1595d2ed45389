//! The view from another server: forwarded connections, opened only to see what becomes of them.
//!
//! The server says in words why a connection failed, and not which one it was about. Invariants
//! that follow from it:
//!
//! - One look at a time on a connection, at the ports of one host.
//! - A failed connection counts as silence only if none of the explanations that came during the
//!   look says otherwise, whichever connection they belong to.
//! - An explanation may belong to an earlier look that nobody waited for. If that was at the same
//!   host, a refusal is an answer all the same; if it was at another, it proves nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::{Channel, ChannelMsg, ChannelOpenFailure};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::connect::Connection;
use super::{Ssh, SshError};
use crate::kept::Live;
use crate::{net, share};

/// An explanation follows its failure in the same breath: long enough for a busy machine.
const BREATH: Duration = Duration::from_millis(200);

/// A port to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Port {
    /// Its number.
    pub number: u16,
    /// Whether it speaks first, as SSH does: then who connects waits for the greeting. A host whose programs
    /// stand still accepts connections all the same, since its kernel does that.
    pub greets: bool,
}

impl Port {
    /// One that waits for the other to speak, or is not asked to.
    pub const fn mute(number: u16) -> Self {
        Self { number, greets: false }
    }
}

/// What another server found when it tried to connect to a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reach {
    /// The port accepts connections. One that should greet says nothing.
    Connected,
    /// The port greets.
    Greeted,
    /// The host is there and nobody listens.
    Refused,
    /// Nothing came back before the deadline, or before that server gave up.
    TimedOut,
    /// That server knows no way there; its own words.
    Unreachable(String),
    /// That server's SSH does not forward connections (`AllowTcpForwarding`).
    Prohibited,
    /// It did not connect, and the reason cannot be told; its own words, if any.
    Failed(String),
}

/// What a connection keeps for its looks.
pub(super) struct View {
    /// Whose turn it is to look, with the explanations of failures.
    turn: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    unanswered: Unanswered,
}

impl View {
    /// `explanations` has at most one for each request, and each look empties it.
    pub(super) fn new(explanations: mpsc::UnboundedReceiver<String>) -> Self {
        Self { turn: tokio::sync::Mutex::new(explanations), unanswered: Unanswered::default() }
    }
}

/// The requests that have no answer yet, by host, whether anybody waits for it or not.
#[derive(Clone, Default)]
struct Unanswered(Arc<Mutex<BTreeMap<String, usize>>>);

impl Unanswered {
    fn change(&self, host: &str, change: impl FnOnce(&mut usize)) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = hosts.entry(host.to_owned()).or_default();
        change(count);
        if *count == 0 {
            hosts.remove(host);
        }
    }

    /// Whether there are some about `host`, and about any other.
    fn about(&self, host: &str) -> (bool, bool) {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (hosts.contains_key(host), hosts.keys().any(|other| other != host))
    }
}

/// What became of one request.
enum Opened {
    Connected,
    Greeted,
    /// It failed, for a reason that the explanations tell.
    Failed,
    /// The server does not do that.
    Prohibited,
    /// It failed for a reason of the server's own.
    Hindered(String),
    /// The way to the server itself is lost.
    Lost,
}

impl Ssh {
    /// Whether `host:port` accepts connections, seen from the server this connection leads to.
    ///
    /// An error is about the way to that server, not about what was to be looked at.
    pub async fn reach(&self, host: &str, port: u16, deadline: Instant) -> Result<Reach, SshError> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let found = self.reach_all(host, &[Port::mute(port)], patience, deadline).await?;
        Ok(found.into_iter().next().unwrap_or(Reach::TimedOut))
    }

    /// The same for several ports of one host at the same time, in their order. Each gets `patience`
    /// to answer, counted from the moment when it is its turn.
    ///
    /// Of several failed ports one may be given another's explanation. What the host as a whole
    /// answers is right.
    pub async fn reach_all(
        &self,
        host: &str,
        ports: &[Port],
        patience: Duration,
        deadline: Instant,
    ) -> Result<Vec<Reach>, SshError> {
        let (live, _) = self.kept.get(deadline).await?;
        let _others = share::others();
        let view = &live.connection.view;
        let Ok(mut explanations) = timeout_at(deadline, view.turn.lock()).await else {
            // Nothing was tried, which must not be taken for silence.
            let busy = "that server is still trying an earlier connection".to_owned();
            return Ok(vec![Reach::Failed(busy); ports.len()]);
        };
        while explanations.try_recv().is_ok() {}
        let (earlier, strangers) = view.unanswered.about(host);
        let until = deadline.min(Instant::now() + patience);
        let opened = open_all(&live, host, ports, until).await;
        let failed = opened.iter().filter(|one| matches!(one, Some(Opened::Failed))).count();
        let mut said = Vec::new();
        if failed > 0 {
            if earlier || strangers {
                // Theirs may come first.
                sleep(BREATH).await;
            }
            while said.len() < failed {
                match timeout(BREATH, explanations.recv()).await {
                    Ok(Some(words)) => said.push(explained(words)),
                    Ok(None) | Err(_) => break,
                }
            }
            while let Ok(words) = explanations.try_recv() {
                said.push(explained(words));
            }
        }
        let failure = failure(failed, said, strangers);
        let mut found = Vec::with_capacity(ports.len());
        for one in opened {
            found.push(match one {
                None => Reach::TimedOut,
                Some(Opened::Connected) => Reach::Connected,
                Some(Opened::Greeted) => Reach::Greeted,
                Some(Opened::Failed) => failure.clone(),
                Some(Opened::Prohibited) => Reach::Prohibited,
                Some(Opened::Hindered(words)) => Reach::Failed(words),
                Some(Opened::Lost) => {
                    return Err(SshError::Reset { address: self.kept.connector().address() });
                }
            });
        }
        Ok(found)
    }
}

/// Opens all of them; none for those that had no answer by the deadline.
async fn open_all(
    live: &Arc<Live<Connection>>,
    host: &str,
    ports: &[Port],
    deadline: Instant,
) -> Vec<Option<Opened>> {
    let mut opened: Vec<_> = ports.iter().map(|_| None).collect();
    // That it is open, and that it greets.
    let (sender, mut answers) = mpsc::channel(2 * ports.len().max(1));
    for (index, port) in ports.iter().enumerate() {
        let (live, host, port, sender) = (live.clone(), host.to_owned(), *port, sender.clone());
        let unanswered = live.connection.view.unanswered.clone();
        unanswered.change(&host, |count| *count += 1);
        // A task that goes on when nobody waits any more: until the answer has come, explanations
        // cannot be told apart.
        tokio::spawn(async move {
            let (answer, channel) = match open(&live, host.clone(), port.number).await {
                Ok(channel) => (Opened::Connected, Some(channel)),
                Err(why) => (why, None),
            };
            let explained = matches!(answer, Opened::Failed);
            // Nobody waits for it any more, or it is taken in now.
            let _ = sender.send((index, answer)).await;
            if explained {
                sleep(BREATH).await;
            }
            unanswered.change(&host, |count| *count = count.saturating_sub(1));
            let Some(mut channel) = channel else { return };
            if port.greets && greets(&mut channel, deadline).await {
                let _ = sender.send((index, Opened::Greeted)).await;
            }
            let _ = channel.close().await;
        });
    }
    drop(sender);
    while let Ok(Some((index, answer))) = timeout_at(deadline, answers.recv()).await {
        if let Some(place) = opened.get_mut(index) {
            *place = Some(answer);
        }
    }
    opened
}

/// Opens a forwarded connection.
async fn open(
    live: &Live<Connection>,
    host: String,
    port: u16,
) -> Result<Channel<russh::client::Msg>, Opened> {
    let handle = &live.connection.handle;
    let opening = handle.channel_open_direct_tcpip(host, port.into(), "127.0.0.1", 0);
    opening.await.map_err(|error| match error {
        russh::Error::ChannelOpenFailure(reason) => match reason {
            ChannelOpenFailure::ConnectFailed => Opened::Failed,
            ChannelOpenFailure::AdministrativelyProhibited
            | ChannelOpenFailure::UnknownChannelType => Opened::Prohibited,
            reason => Opened::Hindered(net::one_line(&format!("{reason:?}"))),
        },
        _ => Opened::Lost,
    })
}

/// Whether anything is said through it before the deadline.
async fn greets(channel: &mut Channel<russh::client::Msg>, deadline: Instant) -> bool {
    let said = async {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { .. }) => return true,
                Some(_) => {}
                None => return false,
            }
        }
    };
    timeout_at(deadline, said).await.unwrap_or(false)
}

/// Why `failed` connections to one host failed, by the explanations that came meanwhile.
fn failure(failed: usize, said: Vec<Reach>, strangers: bool) -> Reach {
    if said.contains(&Reach::Refused) {
        return if strangers {
            Reach::Failed("the refusal may be another host's".to_owned())
        } else {
            Reach::Refused
        };
    }
    if said.len() < failed {
        return Reach::Failed("that server does not say why".to_owned());
    }
    // What is not understood must not be taken for silence.
    let unclear = |reach: &Reach| matches!(reach, Reach::Failed(_));
    let at = said.iter().position(unclear).unwrap_or(0);
    said.into_iter().nth(at).unwrap_or(Reach::TimedOut)
}

/// OpenSSH passes the operating system's words on, in the C locale.
pub(crate) fn explained(words: String) -> Reach {
    let lower = words.to_ascii_lowercase();
    if lower.contains("refused") {
        Reach::Refused
    } else if lower.contains("timed out") {
        Reach::TimedOut
    } else if lower.contains("no route")
        || lower.contains("unreachable")
        || lower.contains("not known")
        || lower.contains("resolution")
    {
        Reach::Unreachable(words)
    } else {
        Reach::Failed(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_takes_an_explanation_for_each_failure_and_no_refusal() {
        let no_route = || Reach::Unreachable("No route to host".to_owned());
        let odd = || Reach::Failed("odd".to_owned());
        let unsaid = Reach::Failed("that server does not say why".to_owned());
        let whose = Reach::Failed("the refusal may be another host's".to_owned());
        for (failed, said, strangers, expected) in [
            (1, vec![no_route()], false, no_route()),
            (2, vec![no_route()], false, unsaid.clone()),
            (1, vec![], true, unsaid),
            // An earlier look's came first.
            (1, vec![no_route(), Reach::Refused], false, Reach::Refused),
            (1, vec![no_route(), Reach::Refused], true, whose),
            // Whichever is whose, none is an answer.
            (1, vec![Reach::TimedOut, no_route()], true, Reach::TimedOut),
            (2, vec![no_route(), odd()], false, odd()),
        ] {
            assert_eq!(failure(failed, said.clone(), strangers), expected, "{failed} {said:?}");
        }
    }

    #[test]
    fn what_the_server_says_is_understood() {
        assert_eq!(explained("Connection refused".to_owned()), Reach::Refused);
        assert_eq!(explained("Connection timed out".to_owned()), Reach::TimedOut);
        for words in ["No route to host", "Network is unreachable", "Name or service not known"] {
            assert_eq!(explained(words.to_owned()), Reach::Unreachable(words.to_owned()));
        }
        assert_eq!(explained("Odd".to_owned()), Reach::Failed("Odd".to_owned()));
    }
}
