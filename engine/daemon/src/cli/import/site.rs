//! From what all keys claim to one site, and everything in which they disagree.

use std::collections::BTreeMap;
use std::fmt::Display;

use watchkeeper_core::model::Side;

use super::reading::Claim;
use super::reasons::Doubt;
use super::values::{Host, Scheme};
use super::words::Part;

/// REST's port in old releases, where it is not encrypted.
const PLAIN_REST: u16 = 1_080;

/// A claim, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sourced {
    /// The line of its key.
    pub(super) line: usize,
    /// What is claimed.
    pub(super) claim: Claim,
}

/// A value, and what says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known<T> {
    /// The value.
    pub(super) value: T,
    /// The lines that say it, the first one first; at least one.
    pub(super) lines: Vec<usize>,
}

impl<T> Known<T> {
    /// The first line that says it.
    pub(super) fn line(&self) -> usize {
        self.lines.first().copied().unwrap_or_default()
    }

    /// These lines say it too.
    fn add(&mut self, lines: &[usize]) {
        for line in lines {
            if !self.lines.contains(line) {
                self.lines.push(*line);
            }
        }
    }
}

/// Whether an agent runs on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agent {
    /// These lines say so.
    Named(Vec<usize>),
    /// The file names agents, and none there.
    NotNamed,
    /// The file names no agents at all.
    Unsaid,
}

/// The server of a side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    /// Its host.
    pub(super) host: Known<Host>,
    /// Whether an agent runs there.
    pub(super) agent: Agent,
    /// The host that the repository is reached at, if it is another.
    pub(super) repository: Option<Known<Host>>,
}

/// The site as the file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Site {
    /// DM1.
    pub(super) primary: Option<Server>,
    /// DM2.
    pub(super) secondary: Option<Server>,
    /// DM3 and further ones: servers with an agent and nothing else.
    pub(super) additional: Vec<Known<Host>>,
    /// VP1.
    pub(super) primary_monitor: Option<Known<Host>>,
    /// VP2.
    pub(super) secondary_monitor: Option<Known<Host>>,
    /// Ports.
    pub(super) ports: BTreeMap<Part, Known<u16>>,
    /// How REST is spoken to.
    pub(super) rest_scheme: Option<Known<Scheme>>,
    /// Who logs in over SSH.
    pub(super) login: Option<Known<String>>,
    /// The repository's database.
    pub(super) database: Option<Known<String>>,
    /// The repository's user.
    pub(super) repository_user: Option<Known<String>>,
    /// From how many bytes of lag on it is told.
    pub(super) lag: Option<Known<i64>>,
}

/// What is wrong, or may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Whether nothing can be written because of it.
    pub(super) error: bool,
    /// The line; none: the file as a whole.
    pub(super) line: Option<usize>,
    /// What is wrong.
    pub(super) message: String,
    /// What to do.
    pub(super) help: String,
}

/// A site, and what came to light when it was put together.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The site, as far as it is known.
    pub(super) site: Site,
    /// What is wrong.
    pub(super) findings: Vec<Finding>,
    /// Doubts about what the keys of these lines say.
    pub(super) doubts: Vec<(usize, Doubt)>,
}

/// Where a part of a side runs.
struct At {
    side: Side,
    part: Option<Part>,
    host: Known<Host>,
}

/// Puts together what the keys claim.
pub(super) fn settle(claims: &[Sourced]) -> Settled {
    let mut settled = Settled::default();
    let hosts = hosts(claims);
    settled.site.primary = settled.server(Side::Primary, &hosts);
    settled.site.secondary = settled.server(Side::Secondary, &hosts);
    settled.two_servers();
    settled.agents(claims);
    settled.monitors(claims);
    settled.single_values(claims);
    settled.plain_port();
    settled
}

/// Puts a value into its place. The first one stays; another one is an error.
fn put<T: PartialEq + Display>(
    findings: &mut Vec<Finding>,
    place: &mut Option<Known<T>>,
    next: Known<T>,
    what: &str,
) {
    let Some(first) = place else {
        *place = Some(next);
        return;
    };
    if first.value == next.value {
        first.add(&next.lines);
        return;
    }
    findings.push(Finding {
        error: true,
        line: Some(next.line()),
        message: format!(
            "two keys disagree about {what}: {} here, {} on line {}",
            next.value,
            first.value,
            first.line()
        ),
        help: "keep the right one in a copy of this file".to_owned(),
    });
}

fn known<T>(sourced: &Sourced, value: T) -> Known<T> {
    Known { value, lines: vec![sourced.line] }
}

/// Where the parts of both sides run.
fn hosts(claims: &[Sourced]) -> Vec<At> {
    let mut hosts = Vec::new();
    for sourced in claims {
        if let Claim::Host { side, part, spot } = &sourced.claim {
            let host = known(sourced, spot.host.clone());
            hosts.push(At { side: *side, part: *part, host });
        }
    }
    hosts
}

impl Settled {
    fn error(&mut self, line: Option<usize>, message: String, help: String) {
        self.findings.push(Finding { error: true, line, message, help });
    }

    fn warn(&mut self, line: Option<usize>, message: String, help: &str) {
        let help = help.to_owned();
        self.findings.push(Finding { error: false, line, message, help });
    }

    /// The server of a side: the daemon's host decides, and the others have to agree.
    fn server(&mut self, side: Side, hosts: &[At]) -> Option<Server> {
        let of_side: Vec<&At> = hosts.iter().filter(|at| at.side == side).collect();
        let host = self.daemon_host(side, &of_side)?;
        let mut repository = None;
        for at in of_side {
            match at.part {
                None | Some(Part::Daemon) => {}
                Some(_) if self.same(&at.host, &host.value) => {}
                Some(Part::Repository) => {
                    self.doubts.push((at.host.line(), Doubt::OwnRepository(side)));
                    let what = format!("the {side}'s repository");
                    put(&mut self.findings, &mut repository, at.host.clone(), &what);
                }
                Some(part) => self.error(
                    Some(at.host.line()),
                    format!(
                        "{} of the {side} is on {}, its daemon on {} (line {})",
                        part.as_str(),
                        at.host.value,
                        host.value,
                        host.line()
                    ),
                    "a side's daemon, ActiveMQ, REST and synchronisation run on one server. If it \
                     is one, write it in the same way in both lines of a copy of this file"
                        .to_owned(),
                ),
            }
        }
        Some(Server { host, agent: Agent::Unsaid, repository })
    }

    /// The host that the keys of a side's daemon name; if there are none, of what else runs there.
    fn daemon_host(&mut self, side: Side, of_side: &[&At]) -> Option<Known<Host>> {
        let mut found: Option<Known<Host>> = None;
        // A key that says `daemon` before one that only says the side.
        for part in [Some(Part::Daemon), None] {
            for at in of_side.iter().filter(|at| at.part == part) {
                match &mut found {
                    Some(old) if self.same(&at.host, &old.value) => {
                        old.add(&at.host.lines);
                        if at.host.value.as_str().len() > old.value.as_str().len() {
                            old.value = at.host.value.clone();
                        }
                    }
                    _ => {
                        let what = format!("the {side}'s daemon");
                        put(&mut self.findings, &mut found, at.host.clone(), &what);
                    }
                }
            }
        }
        if found.is_some() {
            return found;
        }
        let instead = of_side.iter().min_by_key(|at| at.part)?;
        let part = instead.part.unwrap_or(Part::Daemon);
        self.doubts.push((instead.host.line(), Doubt::InsteadOfDaemon(side, part)));
        Some(instead.host.clone())
    }

    /// Whether a key names `host`, perhaps without its domain.
    fn same(&mut self, here: &Known<Host>, host: &Host) -> bool {
        if here.value.short_for(host) {
            let doubt = Doubt::ShortName { here: here.value.clone(), elsewhere: host.clone() };
            self.doubts.push((here.line(), doubt));
            return true;
        }
        here.value == *host
    }

    /// There are two servers.
    fn two_servers(&mut self) {
        for side in [Side::Primary, Side::Secondary] {
            if self.side(side).is_none() {
                let words = match side {
                    Side::Primary => "master, active, local",
                    Side::Secondary => "slave, standby, remote",
                };
                self.error(
                    None,
                    format!("no key names the {side}'s daemon"),
                    format!("expected one such as {side}.daemon.host (or with {words})"),
                );
            }
        }
        let (Some(one), Some(other)) = (&self.site.primary, &self.site.secondary) else { return };
        let (one, other) = (one.host.clone(), other.host.clone());
        if one.value == other.value || one.value.short_for(&other.value) {
            self.error(
                Some(one.line().max(other.line())),
                format!(
                    "the primary and the secondary are the same server: {} on line {}, {} on line {}",
                    one.value,
                    one.line(),
                    other.value,
                    other.line()
                ),
                "a cluster has two: one that is active, and one that takes over".to_owned(),
            );
        }
    }

    /// The server of a side.
    fn side(&self, side: Side) -> Option<&Server> {
        match side {
            Side::Primary => self.site.primary.as_ref(),
            Side::Secondary => self.site.secondary.as_ref(),
        }
    }

    fn agents(&mut self, claims: &[Sourced]) {
        let mut named: BTreeMap<Side, Vec<usize>> = BTreeMap::new();
        let mut any = false;
        for sourced in claims {
            let Claim::Agents(hosts) = &sourced.claim else { continue };
            for host in hosts {
                any = true;
                let here = known(sourced, host.clone());
                match self.side_of(&here) {
                    Some(side) => {
                        named.entry(side).or_default().push(sourced.line);
                    }
                    None => self.additional(here),
                }
            }
        }
        for (side, server) in
            [(Side::Primary, &mut self.site.primary), (Side::Secondary, &mut self.site.secondary)]
        {
            if let Some(server) = server {
                server.agent = match named.remove(&side) {
                    Some(lines) => Agent::Named(lines),
                    None if any => Agent::NotNamed,
                    None => Agent::Unsaid,
                };
            }
        }
        if !any {
            let message = "no key names agents".to_owned();
            self.warn(None, message, "they are taken to run on the primary and the secondary");
        }
    }

    /// The side whose server `here` is.
    fn side_of(&mut self, here: &Known<Host>) -> Option<Side> {
        [Side::Primary, Side::Secondary].into_iter().find(|side| {
            let host = self.side(*side).map(|server| server.host.value.clone());
            host.is_some_and(|host| self.same(here, &host))
        })
    }

    /// A server that is neither the primary nor the secondary.
    fn additional(&mut self, here: Known<Host>) {
        let earlier: Vec<Host> =
            self.site.additional.iter().map(|known| known.value.clone()).collect();
        if let Some(at) = earlier.iter().position(|host| self.same(&here, host)) {
            if let Some(known) = self.site.additional.get_mut(at) {
                known.add(&here.lines);
            }
            return;
        }
        let mut servers =
            [Side::Primary, Side::Secondary].into_iter().filter_map(|it| self.side(it));
        if servers.any(|it| it.host.value.is_address() != here.value.is_address()) {
            self.doubts.push((here.line(), Doubt::NameOrAddress(here.value.clone())));
        }
        self.site.additional.push(here);
    }

    fn monitors(&mut self, claims: &[Sourced]) {
        for sourced in claims {
            let Claim::Monitor(side, host) = &sourced.claim else { continue };
            let here = known(sourced, host.clone());
            let what = format!("the {side}'s monitor");
            let place = match side {
                Side::Primary => &mut self.site.primary_monitor,
                Side::Secondary => &mut self.site.secondary_monitor,
            };
            put(&mut self.findings, place, here, &what);
        }
        let monitors = [self.site.primary_monitor.clone(), self.site.secondary_monitor.clone()];
        if monitors.iter().all(Option::is_none) {
            self.warn(None, "no key names a monitor".to_owned(), "they are called vp1 and vp2");
        }
        for monitor in monitors.iter().flatten() {
            if let Some(side) = self.side_of(monitor) {
                self.warn(
                    Some(monitor.line()),
                    format!("the monitor {} is the {side} server itself", monitor.value),
                    "when that server is lost, nobody is left to fail over: run Watchkeeper on a \
                     server of its own",
                );
            }
        }
        if let [Some(one), Some(other)] = &monitors
            && one.value == other.value
        {
            let message = format!("both monitors are {}", one.value);
            self.warn(Some(other.line()), message, "the second is of no use then");
        }
    }

    /// Ports, users and the like, of which there is one each.
    fn single_values(&mut self, claims: &[Sourced]) {
        for sourced in claims {
            let (findings, site) = (&mut self.findings, &mut self.site);
            match &sourced.claim {
                Claim::Host { part: Some(of), spot, .. } => {
                    if let Some(port) = spot.port {
                        self.port(*of, known(sourced, port));
                    }
                    if let (Part::Rest, Some(scheme)) = (of, spot.scheme) {
                        let what = "whether REST is encrypted";
                        let scheme = known(sourced, scheme);
                        put(&mut self.findings, &mut self.site.rest_scheme, scheme, what);
                    }
                }
                Claim::Port(of, port) => self.port(*of, known(sourced, *port)),
                Claim::Login(name) => {
                    let name = known(sourced, name.clone());
                    put(findings, &mut site.login, name, "who logs in over SSH");
                }
                Claim::Database(name) => {
                    let name = known(sourced, name.clone());
                    put(findings, &mut site.database, name, "the repository's database");
                }
                Claim::RepositoryUser(name) => {
                    let name = known(sourced, name.clone());
                    put(findings, &mut site.repository_user, name, "the repository's user");
                }
                Claim::Lag(bytes) => {
                    let bytes = known(sourced, *bytes);
                    put(findings, &mut site.lag, bytes, "the threshold of the lag");
                }
                Claim::Host { .. } | Claim::Agents(_) | Claim::Monitor(..) => {}
            }
        }
    }

    /// Where nothing else says how REST is spoken to, its port may.
    fn plain_port(&mut self) {
        let port = self.site.ports.get(&Part::Rest).filter(|port| port.value == PLAIN_REST);
        if let (Some(port), None) = (port, &self.site.rest_scheme) {
            self.doubts.push((port.line(), Doubt::PlainPort));
            let lines = port.lines.clone();
            self.site.rest_scheme = Some(Known { value: Scheme::Http, lines });
        }
    }

    /// A port of what Watchkeeper speaks to.
    fn port(&mut self, of: Part, port: Known<u16>) {
        if !matches!(of, Part::Repository | Part::Activemq | Part::Rest | Part::Ssh) {
            return;
        }
        let mut place = self.site.ports.remove(&of);
        put(&mut self.findings, &mut place, port, &format!("the port of {}", of.as_str()));
        self.site.ports.extend(place.map(|port| (of, port)));
    }
}
