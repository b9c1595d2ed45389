//! What a change of side would need of a server: looked at over SSH, without doing any of it.
//!
//! One shell script asks about everything in one go ([`script`]): whether the first word of each command
//! is there, whether `sudo` and systemd know what comes after it ([`words`]), who listens on the
//! services' ports, what room is left, what time it is. The repository is asked over its own kept
//! connection. Nothing is started, stopped or written.
//!
//! What is found has no say in whether anything is up; what it means for a change of side is judged where
//! it is known which side the server is on ([`watchkeeper_core::readiness`], which has the names of the
//! values). Status and reason change only with what is right or wrong here, so that a clock or a free
//! byte fills no journal.

mod script;
#[cfg(test)]
mod tests;
mod values;
mod words;

use std::time::Duration;

use tokio::time::{Instant, sleep};
use watchkeeper_core::facts::{ReasonCode, Value};
use watchkeeper_core::model::{Service, Timestamp};

use self::script::{Answers, Ask, Script};
use super::finding::Finding;
use crate::clock;
use crate::errors::chain;
use crate::postgres::{Pg, PgError};
use crate::ssh::Ssh;

/// How long a port that is taken is given to be free, or its service to run: one that is just being
/// stopped or started is neither.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// Looks at a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Readiness {
    /// The way to the server.
    pub ssh: Ssh,
    /// Its services.
    pub services: Vec<Controlled>,
    /// Paths on the file systems that need room.
    pub paths: Vec<String>,
    /// Files of certificates.
    pub certificates: Vec<String>,
    /// Its repository; none: it is not asked.
    pub repository: Option<Pg>,
}

/// How a service is controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Controlled {
    /// Which service.
    pub service: Service,
    /// Starts it.
    pub start: String,
    /// Stops it.
    pub stop: String,
    /// Exit code 0: it runs.
    pub status: String,
    /// Prints its version; none: it is not asked for.
    pub version: Option<String>,
    /// The ports that it listens on.
    pub ports: Vec<u16>,
}

/// What was found of one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Can {
    /// It can be done.
    Yes,
    /// It cannot, for this reason.
    No(String),
    /// It cannot be told, for this reason.
    Unknown(String),
}

impl Can {
    /// The first that is not yes, a no before what is not known.
    fn all(found: impl IntoIterator<Item = Self>) -> Self {
        found.into_iter().fold(Self::Yes, |all, one| match (&all, &one) {
            (Self::No(_), _) | (_, Self::Yes) | (Self::Unknown(_), Self::Unknown(_)) => all,
            _ => one,
        })
    }
}

/// What was found of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Control {
    /// Which service.
    pub(crate) service: Service,
    /// Whether it could be started.
    pub(crate) start: Can,
    /// Whether it could be stopped.
    pub(crate) stop: Can,
    /// Whether it can be told whether it runs.
    pub(crate) status: Can,
    /// Whether it runs; none: that cannot be told.
    pub(crate) runs: Option<bool>,
    /// Whether its ports are free, or its own; none: it has none.
    pub(crate) ports: Option<Can>,
    /// Its version.
    pub(crate) version: Option<String>,
}

/// All that was found on a server.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Service by service.
    pub(crate) services: Vec<Control>,
    /// The file system with the least room: bytes and path; or why none can be told.
    pub(crate) disk: Result<(i64, String), String>,
    /// Memory that is left, in bytes.
    pub(crate) memory: Result<i64, String>,
    /// How far the clock is off, in milliseconds, as far as that is certain.
    pub(crate) clock: Result<i64, String>,
    /// The certificate that ends first, if any is looked at: seconds since 1970, and its path.
    pub(crate) certificate: Option<(i64, String)>,
    /// The certificates that cannot be read, with why.
    pub(crate) unread: Vec<String>,
}

/// What the repository says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    /// Whether it takes writes.
    pub(crate) writable: Can,
    /// Its version.
    pub(crate) version: Option<String>,
}

impl Readiness {
    pub(super) async fn run(&self, deadline: Instant) -> Finding {
        let asked = async {
            match &self.repository {
                Some(pg) => Some(ask_repository(pg, deadline).await),
                None => None,
            }
        };
        let (found, repository) = tokio::join!(self.look(deadline), asked);
        match found {
            Ok(found) => values::finding(&found, repository.as_ref()),
            Err(finding) => finding,
        }
    }

    /// Looks at the server, twice where a port seems to be taken.
    pub(crate) async fn look(&self, deadline: Instant) -> Result<Found, Finding> {
        let mut found = self.look_once(deadline).await?;
        let taken = |control: &Control| matches!(control.ports, Some(Can::No(_)));
        if found.services.iter().any(taken) && Instant::now() + SECOND_LOOK * 2 < deadline {
            sleep(SECOND_LOOK).await;
            found = self.look_once(deadline).await?;
        }
        Ok(found)
    }

    async fn look_once(&self, deadline: Instant) -> Result<Found, Finding> {
        let (script, asks) = self.questions();
        let begun = clock::now();
        let output = self.ssh.exec(&script.line(), None, deadline).await;
        let ended = clock::now();
        let output = output.map_err(|error| Finding::no_means(&error))?;
        let said = output.stdout.text();
        let Some(answers) = script.read(&said) else {
            let said = output.first_line().unwrap_or_else(|| "nothing".to_owned());
            let detail =
                format!("the script was not carried out to its end; the server said: {said}");
            return Err(Finding::unknown(ReasonCode::Monitor, &detail));
        };
        Ok(self.judge(&asks, &answers, begun, ended))
    }

    fn judge(
        &self,
        asks: &Asks,
        answers: &Answers<'_>,
        begun: Timestamp,
        ended: Timestamp,
    ) -> Found {
        let listening = answers.listening(asks.ports);
        let services = self.services.iter().zip(&asks.services);
        let disks = self.paths.iter().zip(&asks.disks).map(|(path, ask)| {
            let left = answers.space(*ask).map(|bytes| (bytes, path.clone()));
            left.map_err(|why| format!("{path}: {why}"))
        });
        let (mut certificate, mut unread) = (None, Vec::new());
        for (path, ask) in self.certificates.iter().zip(&asks.certificates) {
            match answers.ends(*ask) {
                Ok(ends) if certificate.as_ref().is_none_or(|(first, _)| ends < *first) => {
                    certificate = Some((ends, path.clone()));
                }
                Ok(_) => {}
                Err(why) => unread.push(format!("{path}: {why}")),
            }
        }
        Found {
            services: services.map(|(it, asks)| control(it, asks, answers, &listening)).collect(),
            disk: least(disks),
            memory: answers.memory(asks.memory),
            clock: answers.clock(asks.clock, begun, ended),
            certificate,
            unread,
        }
    }

    fn questions(&self) -> (Script, Asks) {
        let mut script = Script::default();
        let asks = Asks {
            clock: script.ask(Ask::Clock),
            ports: script.ask(Ask::Ports),
            memory: script.ask(Ask::Memory),
            disks: self.paths.iter().map(|it| script.ask(Ask::Disk(it.clone()))).collect(),
            certificates: self
                .certificates
                .iter()
                .map(|it| script.ask(Ask::Certificate(it.clone())))
                .collect(),
            services: self
                .services
                .iter()
                .map(|it| ServiceAsks {
                    start: words::asks(&it.start, &mut script),
                    stop: words::asks(&it.stop, &mut script),
                    status: words::asks(&it.status, &mut script),
                    runs: script.ask(Ask::Run(it.status.clone())),
                    version: it.version.clone().map(|line| script.ask(Ask::Run(line))),
                })
                .collect(),
        };
        (script, asks)
    }
}

/// Where in the script each thing is asked.
struct Asks {
    clock: usize,
    ports: usize,
    memory: usize,
    disks: Vec<usize>,
    certificates: Vec<usize>,
    services: Vec<ServiceAsks>,
}

/// The same of a service.
struct ServiceAsks {
    start: Vec<words::Needs>,
    stop: Vec<words::Needs>,
    status: Vec<words::Needs>,
    runs: usize,
    version: Option<usize>,
}

fn control(
    it: &Controlled,
    asks: &ServiceAsks,
    answers: &Answers<'_>,
    listening: &Result<Vec<u16>, String>,
) -> Control {
    let needs = |needs: &[words::Needs]| Can::all(needs.iter().map(|one| one.judge(answers)));
    let (runs, ran) = match answers.exit(asks.runs) {
        Ok((0, _)) => (Some(true), Can::Yes),
        Ok((code @ (126 | 127), said)) => {
            let why = format!("its status command cannot be run (exit code {code}): {said}");
            (None, Can::No(why))
        }
        Ok(_) => (Some(false), Can::Yes),
        Err(why) => (None, Can::Unknown(why)),
    };
    let taken = |listening: &Vec<u16>| {
        let taken: Vec<String> = it
            .ports
            .iter()
            .filter(|port| listening.contains(port))
            .map(ToString::to_string)
            .collect();
        match (taken.is_empty(), runs) {
            (true, _) | (_, Some(true)) => Can::Yes,
            (false, Some(false)) => Can::No(format!(
                "port {} is taken by something else: {} does not run, by its status command",
                taken.join(", "),
                it.service
            )),
            (false, None) => {
                Can::Unknown(format!("whether port {} is its own cannot be told", taken.join(", ")))
            }
        }
    };
    let ports = match listening {
        _ if it.ports.is_empty() => None,
        Ok(listening) => Some(taken(listening)),
        Err(why) => Some(Can::Unknown(why.clone())),
    };
    let version = asks.version.and_then(|ask| answers.exit(ask).ok());
    Control {
        service: it.service,
        start: needs(&asks.start),
        stop: needs(&asks.stop),
        status: Can::all([needs(&asks.status), ran]),
        runs,
        ports,
        version: version
            .filter(|(code, said)| *code == 0 && !said.is_empty())
            .map(|(_, said)| said),
    }
}

/// The least of what can be told; if nothing can, why the first cannot.
fn least<T: Ord>(found: impl Iterator<Item = Result<T, String>>) -> Result<T, String> {
    let (mut least, mut problem): (Option<T>, Option<String>) = (None, None);
    for one in found {
        match one {
            Ok(one) if least.as_ref().is_none_or(|least| one < *least) => least = Some(one),
            Ok(_) => {}
            Err(why) => problem = problem.or(Some(why)),
        }
    }
    least.ok_or_else(|| problem.unwrap_or_else(|| "nothing is looked at".to_owned()))
}

/// Whether the repository takes writes, and its version.
pub(crate) async fn ask_repository(pg: &Pg, deadline: Instant) -> Repository {
    let query = "select pg_is_in_recovery(), current_setting('transaction_read_only'), \
                 current_setting('server_version')";
    let rows = match pg.query_rows(query, deadline).await {
        Ok(rows) => rows,
        Err(error @ PgError::Denied { .. }) => {
            return Repository { writable: Can::No(chain(&error)), version: None };
        }
        // Whether it serves is for others to find out.
        Err(error) => return Repository { writable: Can::Unknown(chain(&error)), version: None },
    };
    let text = |column: usize| {
        rows.first().and_then(|row| row.get(column)).and_then(Option::as_deref).unwrap_or_default()
    };
    let writable = match (text(0), text(1)) {
        ("t", _) => Can::No("is in recovery and takes no writes".to_owned()),
        (_, "on") => Can::No("is set to read-only".to_owned()),
        ("f", "off") => Can::Yes,
        _ => Can::Unknown("its answer was not understood".to_owned()),
    };
    let version = Some(text(2)).filter(|it| !it.is_empty()).map(str::to_owned);
    Repository { writable, version }
}

/// A text as a value.
fn text(text: &str) -> Value {
    Value::Text(crate::net::one_line(text).into())
}
