//! Commands on another server, and the view from there, over one kept SSH connection.
//!
//! One connection per server is made on demand, shared by all commands, and made anew after a
//! loss; a loss is news at once ([`Ssh::losses`]). Host keys are strict: what the file of known
//! keys does not have is refused. Everything ends at the caller's deadline.

mod connect;
mod error;
mod known_hosts;
mod view;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Disconnect, Sig};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use watchkeeper_core::model::ServerName;

pub use self::error::SshError;
pub(crate) use self::view::explained;
pub use self::view::{Port, Reach};

use self::connect::{Connection, Dialer};
use crate::kept::{Kept, Live};
use crate::{net, share};

/// Of each of a command's outputs, this many bytes are kept: 64 KiB.
pub const MAX_OUTPUT: usize = 64 * 1024;

/// A word for a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r#"'"'"'"#))
}

/// Whether the file of known hosts has the key that a host shows, for [`crate::fuzzing`]; none: that is no key.
pub(crate) fn is_known(file: &str, host: &str, port: u16, shown: &str) -> Option<bool> {
    let shown = shown.parse().ok()?;
    let known = known_hosts::HostKeys::parse(file, host, port);
    Some(known.judge(&shown) == known_hosts::Verdict::Known)
}

/// How a server is reached over SSH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshTarget {
    /// The server's name in the configuration.
    pub server: ServerName,
    /// Host name or address.
    pub host: String,
    /// Port, usually 22.
    pub port: u16,
    /// The user that logs in.
    pub user: String,
    /// The private key's file; read anew for every connection.
    pub key: PathBuf,
    /// The file of known host keys, in OpenSSH's format; read anew for every connection.
    pub known_hosts: PathBuf,
    /// How long connecting and logging in may take together.
    pub connect_timeout: Duration,
}

/// What a command wrote to one of its outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Captured {
    /// The beginning, at most [`MAX_OUTPUT`] bytes.
    pub bytes: Vec<u8>,
    /// Whether there was more.
    pub cut: bool,
}

impl Captured {
    pub(crate) fn push(&mut self, more: &[u8]) {
        let room = MAX_OUTPUT.saturating_sub(self.bytes.len());
        self.cut |= more.len() > room;
        self.bytes.extend(more.iter().take(room));
    }

    /// As text; what is not UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The first line that is not empty, if any, shortened to fit an explanation.
    pub fn first_line(&self) -> Option<String> {
        let text = self.text();
        text.lines().map(net::one_line).find(|line| !line.is_empty())
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit status; none if a signal ended it.
    pub exit: Option<u32>,
    /// The signal that ended it, such as `KILL`.
    pub signal: Option<String>,
    /// What it wrote to its standard output.
    pub stdout: Captured,
    /// What it wrote to its standard error.
    pub stderr: Captured,
}

impl ExecOutput {
    /// Whether it ended with exit status 0.
    pub fn success(&self) -> bool {
        self.exit == Some(0)
    }

    /// The first line of its output, or else of its standard error.
    pub fn first_line(&self) -> Option<String> {
        self.stdout.first_line().or_else(|| self.stderr.first_line())
    }
}

/// How long a connection that is given up is waited for.
const PARTING: Duration = Duration::from_secs(1);

/// A kept SSH connection to one server. Clones share it.
#[derive(Clone)]
pub struct Ssh {
    kept: Arc<Kept<Dialer>>,
}

impl fmt::Debug for Ssh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ssh").field(self.target()).finish()
    }
}

/// Equal when they would connect to the same place in the same way.
impl PartialEq for Ssh {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.kept, &other.kept) || self.target() == other.target()
    }
}

impl Ssh {
    /// Connects at the first use.
    pub fn new(target: SshTarget) -> Self {
        Self { kept: Arc::new(Kept::new(Dialer::new(target))) }
    }

    /// Where it connects to.
    pub fn target(&self) -> &SshTarget {
        &self.kept.connector().target
    }

    /// Rises by one whenever an established connection ends, whoever ended it.
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.kept.losses()
    }

    /// Runs `command` through the user's shell on the server, with `stdin` as its standard input.
    ///
    /// At the deadline the command is no longer waited for and told to end (SIGTERM), which OpenSSH
    /// passes on for every user but root. A connection
    /// that turns out to be dead before the command was started is made anew once.
    pub async fn exec(
        &self,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecOutput, SshError> {
        let (live, fresh) = self.kept.get(deadline).await?;
        match self.exec_on(&live, command, stdin, deadline).await {
            Err(SshError::Reset { .. }) if !fresh => {
                self.kept.discard(&live);
                let (live, _) = self.kept.get(deadline).await?;
                self.exec_on(&live, command, stdin, deadline).await
            }
            result => result,
        }
    }

    /// The same for a command that changes something, and with nothing as its standard input. If its
    /// end is not seen, the connection is given up, for whoever else uses it as well: what is still to
    /// be sent is dropped, so that a command that was held up on a way that is cut does not arrive when
    /// nobody waits for it any more.
    pub async fn exec_change(
        &self,
        command: &str,
        deadline: Instant,
    ) -> Result<ExecOutput, SshError> {
        let (live, fresh) = self.kept.get(deadline).await?;
        let mut used = live;
        let mut result = self.exec_on(&used, command, None, deadline).await;
        if matches!(result, Err(SshError::Reset { .. })) && !fresh {
            self.kept.discard(&used);
            (used, _) = self.kept.get(deadline).await?;
            result = self.exec_on(&used, command, None, deadline).await;
        }
        if matches!(&result, Err(error) if error.may_have_run()) {
            self.kept.discard(&used);
            let parting = used.connection.handle.disconnect(Disconnect::ByApplication, "", "");
            let _ = timeout(PARTING, parting).await;
        }
        result
    }

    async fn exec_on(
        &self,
        live: &Live<Connection>,
        command: &str,
        stdin: Option<&[u8]>,
        deadline: Instant,
    ) -> Result<ExecOutput, SshError> {
        let _others = share::others();
        let address = || self.kept.connector().address();
        let connection = &live.connection;
        let open = async {
            let permit = connection.sessions.acquire().await;
            (permit, connection.handle.channel_open_session().await)
        };
        let Ok((_permit, opened)) = timeout_at(deadline, open).await else {
            return Err(SshError::TimedOut { address: address() });
        };
        let channel = opened.map_err(|error| match error {
            russh::Error::ChannelOpenFailure(reason) => {
                SshError::NoSession { address: address(), reason: format!("{reason:?}") }
            }
            _ => SshError::Reset { address: address() },
        })?;
        match timeout_at(deadline, converse(channel, command, stdin)).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(End::NotStarted)) => Err(SshError::NotStarted { address: address() }),
            // That nothing came back is not the server's answer.
            Ok(Err(End::Lost)) if connection.fell_silent.load(Ordering::Relaxed) => {
                Err(SshError::CommandTimedOut { address: address() })
            }
            Ok(Err(End::Lost)) => Err(SshError::CommandLost { address: address() }),
            Err(_) => Err(SshError::CommandTimedOut { address: address() }),
        }
    }
}

/// Why a command's end was not seen.
enum End {
    NotStarted,
    Lost,
}

/// Tells the command to end, and closes the channel, if nobody waits for it any more.
struct Abandon(Option<ChannelWriteHalf<Msg>>);

impl Drop for Abandon {
    fn drop(&mut self) {
        let (Some(channel), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        else {
            return;
        };
        runtime.spawn(async move {
            let _ = channel.signal(Sig::TERM).await;
            let _ = channel.close().await;
        });
    }
}

async fn converse(
    channel: Channel<Msg>,
    command: &str,
    stdin: Option<&[u8]>,
) -> Result<ExecOutput, End> {
    let (mut read, write) = channel.split();
    let mut abandon = Abandon(Some(write));
    let Some(write) = abandon.0.as_ref() else { return Err(End::Lost) };
    write.exec(true, command).await.map_err(|_| End::Lost)?;
    // Input and output at the same time: a command may answer before it has read everything, and
    // may end without reading at all.
    let feed = async {
        if let Some(stdin) = stdin {
            let _ = write.data(stdin).await;
        }
        let _ = write.eof().await;
        std::future::pending::<()>().await;
    };
    let listen = async {
        let mut output = ExecOutput {
            exit: None,
            signal: None,
            stdout: Captured::default(),
            stderr: Captured::default(),
        };
        loop {
            match read.wait().await {
                Some(ChannelMsg::Data { data }) => output.stdout.push(&data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => output.stderr.push(&data),
                Some(ChannelMsg::ExitStatus { exit_status }) => output.exit = Some(exit_status),
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    output.signal = Some(match signal_name {
                        Sig::Custom(name) => name,
                        name => format!("{name:?}"),
                    });
                }
                Some(ChannelMsg::Failure) => return Err(End::NotStarted),
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        if output.exit.is_none() && output.signal.is_none() { Err(End::Lost) } else { Ok(output) }
    };
    let ended = tokio::select! {
        ended = listen => ended,
        () = feed => Err(End::Lost),
    };
    if ended.is_ok()
        && let Some(write) = abandon.0.take()
    {
        let _ = write.close().await;
    }
    ended
}
