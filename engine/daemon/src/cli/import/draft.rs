//! The configuration: what `watchkeeper init` writes, with the site's own values in it. So both
//! have one form, and what is new in one is new in the other.
//!
//! Invariant: a value that is a guess stands on a line with CHANGE, which names the line of the
//! file that it was guessed from.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use toml::Value;

use super::super::init::TEMPLATE;
use super::site::{Agent, Known, Server, Site};
use super::values::{Host, Scheme};
use super::words::Part;

/// The column behind which its remarks stand.
const REMARK: usize = 35;

/// The name of the cluster in it.
const CLUSTER: &str = "clusters.prod";

/// The longest name of a monitor that is taken from its host.
const LONGEST_NAME: usize = 60;

/// Where monitors listen for each other.
const DUTY_PORT: u16 = 7_077;

/// The template has changed, and this module has not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the template of `watchkeeper init` has no {0}: this is a mistake in Watchkeeper")]
pub(super) struct Missing(String);

/// What goes into a draft.
#[derive(Debug)]
pub(super) struct Given<'a> {
    /// The site. It has a primary and a secondary.
    pub(super) site: &'a Site,
    /// The lines that are understood with doubts only.
    pub(super) guessed: &'a BTreeSet<usize>,
    /// The file's name.
    pub(super) file: &'a str,
    /// The cluster's name; of letters, digits, `_` and `-`.
    pub(super) cluster: &'a str,
}

/// Writes the configuration.
pub(super) fn configuration(given: &Given<'_>) -> Result<String, Missing> {
    let site = given.site;
    let mut draft = Draft { lines: TEMPLATE.lines().map(str::to_owned).collect(), given };
    draft.head(site)?;
    draft.monitor(site)?;
    draft.login(site)?;
    draft.policy(site)?;
    draft.repository(site)?;
    draft.servers(site)?;
    draft.probes(site)?;
    let mut text = draft.lines.join("\n");
    text.push('\n');
    if given.cluster != "prod" {
        text = text.replace(CLUSTER, &format!("clusters.{}", given.cluster));
        text = text.replace("# \"prod\" is", &format!("# \"{}\" is", given.cluster));
    }
    Ok(text)
}

/// What two monitors need to share the duty, as remarks: which way a site takes is its own choice.
fn duty(names: [&str; 2], hosts: [&Host; 2]) -> Vec<String> {
    let at = |host: &Host| match host.as_str() {
        address if address.contains(':') => format!("[{address}]:{DUTY_PORT}"),
        name => format!("{name}:{DUTY_PORT}"),
    };
    let [one, two] = names;
    let [first, second] = hosts.map(at);
    let both = |key: &str, here: &str, there: &str| {
        line(&format!("# {key}"), &Value::from(here), &format!("CHANGE on VP2: \"{there}\""))
    };
    let file = |name: &str, kind: &str| format!("{name}.{kind}");
    vec![
        "# [duty.peer]".to_owned(),
        both("name", two, one),
        both("address", &second, &first),
        line("# first", &Value::from(one), "the same on both"),
        both("certificate", &file(one, "pem"), &file(two, "pem")),
        both("key", &file(one, "key"), &file(two, "key")),
        both("peer-certificate", &file(two, "pem"), &file(one, "pem")),
    ]
}

struct Draft<'a> {
    lines: Vec<String>,
    given: &'a Given<'a>,
}

impl Draft<'_> {
    /// What the servers and monitors are, above what `init` says of them.
    fn head(&mut self, site: &Site) -> Result<(), Missing> {
        match site.additional.len() {
            0 => {
                let line = self.find("#   DM3  ")?;
                self.lines.remove(line);
            }
            1 => {}
            more => self.replace("#   DM3  ", &format!("#   DM3 to DM{}: each ", more + 2))?,
        }
        let title = self.find("# Watchkeeper's configuration for five servers:")?;
        let mut head = vec![
            format!(
                "# Watchkeeper's configuration, made by `watchkeeper import` from {}.",
                self.given.file
            ),
            "#".to_owned(),
            "# Names here, hosts there:".to_owned(),
            "#".to_owned(),
        ];
        let sides = [("dm1", &site.primary), ("dm2", &site.secondary)];
        let mut hosts: Vec<(String, &Host)> = Vec::new();
        for (name, server) in sides {
            hosts.extend(server.iter().map(|it| (name.to_owned(), &it.host.value)));
        }
        for (number, known) in (3..).zip(&site.additional) {
            hosts.push((format!("dm{number}"), &known.value));
        }
        let monitors = [("VP1", &site.primary_monitor), ("VP2", &site.secondary_monitor)];
        for (name, monitor) in monitors {
            hosts.extend(monitor.iter().map(|it| (name.to_owned(), &it.value)));
        }
        head.extend(
            hosts.iter().map(|(name, host)| format!("#   {:<7}{host}", name.to_uppercase())),
        );
        head.extend(["#".to_owned(), "# What they do:".to_owned()]);
        self.lines.splice(title..=title, head);
        Ok(())
    }

    fn monitor(&mut self, site: &Site) -> Result<(), Missing> {
        let name = |known: &Option<Known<Host>>, otherwise: &str| {
            let label = known.as_ref().and_then(|known| known.value.label());
            let fits = label.filter(|label| label.len() <= LONGEST_NAME);
            fits.unwrap_or(otherwise).to_owned()
        };
        let one = name(&site.primary_monitor, "vp1");
        let mut two = name(&site.secondary_monitor, "vp2");
        if one == two {
            two = format!("{one}-2");
        }
        let mut remark = format!("CHANGE on VP2: \"{two}\"");
        if let Some(guess) = self.guess(site.primary_monitor.as_ref()) {
            let _ = write!(remark, "; {guess}");
        }
        self.set("[monitor]", "name", one.as_str(), &remark)?;
        let (Some(first), Some(second)) = (&site.primary_monitor, &site.secondary_monitor) else {
            return Ok(());
        };
        if first.value == second.value {
            return Ok(());
        }
        let mut lines = duty([&one, &two], [&first.value, &second.value]);
        if let Some(guess) = self.guess(Some(second)) {
            lines.insert(0, format!("# {guess}."));
        }
        let begin = self.find("# [duty.peer]")?;
        let rest = self.lines.iter().skip(begin);
        let end = begin + rest.take_while(|line| !line.is_empty()).count();
        self.lines.splice(begin..end, lines);
        Ok(())
    }

    fn login(&mut self, site: &Site) -> Result<(), Missing> {
        if let Some(login) = &site.login {
            let remark = self.remark(login);
            self.set("[ssh]", "user", login.value.clone(), &remark)?;
        }
        self.port(site, Part::Ssh, &["[ssh]"])
    }

    fn policy(&mut self, site: &Site) -> Result<(), Missing> {
        let Some(lag) = &site.lag else { return Ok(()) };
        let section = self.section("[[clusters.prod.policies]]")?;
        let remark = self.remark(lag);
        let line = line("lag-threshold-bytes", &Value::Integer(lag.value), &remark);
        let at = section.end;
        self.lines
            .splice(at..at, [String::new(), "[clusters.prod.policies.settings]".to_owned(), line]);
        Ok(())
    }

    fn repository(&mut self, site: &Site) -> Result<(), Missing> {
        let section = "[clusters.prod.repository]";
        if let Some(database) = &site.database {
            let remark = self.remark(database);
            self.set(section, "database", database.value.clone(), &remark)?;
        }
        if let Some(user) = &site.repository_user {
            let remark = self.remark(user);
            self.set(section, "user", user.value.clone(), &remark)?;
        }
        self.port(site, Part::Repository, &[section])
    }

    fn servers(&mut self, site: &Site) -> Result<(), Missing> {
        let mut made = Vec::new();
        for (name, server) in [("dm1", &site.primary), ("dm2", &site.secondary)] {
            let Some(server) = server else { continue };
            made.push(format!("[{CLUSTER}.servers.{name}]"));
            made.extend(self.server(server));
            made.push(String::new());
        }
        for (number, known) in (3..).zip(&site.additional) {
            made.push(format!("[{CLUSTER}.servers.dm{number}]"));
            made.push(self.address("address", known));
            made.push("services = [\"agent\"]".to_owned());
            made.push(String::new());
        }
        made.pop();
        let first = self.section("[clusters.prod.servers.dm1]")?;
        let last = self.section("[clusters.prod.servers.dm3]")?;
        self.lines.splice(first.start..last.end, made);
        Ok(())
    }

    fn server(&self, server: &Server) -> Vec<String> {
        let mut lines = vec![self.address("address", &server.host)];
        if let Some(repository) = &server.repository {
            lines.push(self.address("repository-address", repository));
        }
        let (agent, remark) = match &server.agent {
            Agent::Named(lines) => (true, self.guess_from(lines)),
            Agent::Unsaid => {
                (true, Some("CHANGE if no agent runs here: no key names agents".to_owned()))
            }
            Agent::NotNamed => {
                (false, Some("CHANGE if an agent runs here: no key names one".to_owned()))
            }
        };
        let services = ["repository", "activemq", "daemon", "agent", "rest", "sync"];
        let services = services.iter().filter(|service| agent || **service != "agent");
        let services: Vec<Value> = services.map(|it| Value::from(*it)).collect();
        if let Some(remark) = remark {
            lines.push(format!("# {remark}"));
        }
        lines.push(line("services", &Value::Array(services), ""));
        lines
    }

    fn address(&self, key: &str, known: &Known<Host>) -> String {
        line(key, &Value::from(known.value.as_str()), &self.remark(known))
    }

    fn probes(&mut self, site: &Site) -> Result<(), Missing> {
        let rest =
            ["[[clusters.prod.services.daemon.probes]]", "[[clusters.prod.services.rest.probes]]"];
        self.port(site, Part::Activemq, &["[[clusters.prod.services.activemq.probes]]"])?;
        self.port(site, Part::Rest, &rest)?;
        let Some(scheme) = &site.rest_scheme else { return Ok(()) };
        let tls = match scheme.value {
            Scheme::Http => "off",
            Scheme::Https => "require",
        };
        for section in rest {
            let remark = self.remark(scheme);
            self.set(section, "tls", tls, &remark)?;
        }
        Ok(())
    }

    /// Sets the port of a part, if it is known, in these sections.
    fn port(&mut self, site: &Site, of: Part, sections: &[&str]) -> Result<(), Missing> {
        let Some(port) = site.ports.get(&of) else { return Ok(()) };
        for section in sections {
            let remark = self.remark(port);
            self.set(section, "port", i64::from(port.value), &remark)?;
        }
        Ok(())
    }

    /// The remark for a value of the file.
    fn remark<T>(&self, known: &Known<T>) -> String {
        self.guess(Some(known)).unwrap_or_default()
    }

    fn guess<T>(&self, known: Option<&Known<T>>) -> Option<String> {
        self.guess_from(&known?.lines)
    }

    /// What to say of a value, if all that say it are guesses.
    fn guess_from(&self, lines: &[usize]) -> Option<String> {
        let guessed = lines.iter().all(|line| self.given.guessed.contains(line));
        let line = lines.first().filter(|_| guessed)?;
        Some(format!("CHANGE if wrong: guessed from line {line}"))
    }

    // ---- the template ----

    /// The first line that begins so.
    fn find(&self, start: &str) -> Result<usize, Missing> {
        let found = self.lines.iter().position(|line| line.starts_with(start));
        found.ok_or_else(|| Missing(format!("line {start:?}")))
    }

    fn replace(&mut self, start: &str, by: &str) -> Result<(), Missing> {
        let at = self.find(start)?;
        if let Some(line) = self.lines.get_mut(at) {
            *line = line.replacen(start, by, 1);
        }
        Ok(())
    }

    /// The lines of a section: from its header to behind its last key.
    fn section(&self, header: &str) -> Result<std::ops::Range<usize>, Missing> {
        let start = self.find(header)?;
        let rest = self.lines.get(start + 1..).unwrap_or_default();
        let inner = rest.iter().take_while(|line| !line.starts_with('['));
        let keys = inner.enumerate().filter(|(_, line)| is_key(line));
        let last = keys.last().map_or(0, |(at, _)| at + 1);
        Ok(start..start + 1 + last)
    }

    /// Sets a key in a section: in its place if it is there, behind the last one otherwise.
    fn set(
        &mut self,
        header: &str,
        key: &str,
        value: impl Into<Value>,
        remark: &str,
    ) -> Result<(), Missing> {
        let section = self.section(header)?;
        let behind = section.end;
        let value = value.into();
        let here = self.lines.iter_mut().take(section.end).skip(section.start);
        let old = here.into_iter().find(|line| line.split('=').next().map(str::trim) == Some(key));
        match old {
            Some(old) => *old = line(key, &value, remark),
            None => self.lines.insert(behind, line(key, &value, remark)),
        }
        Ok(())
    }
}

fn is_key(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_lowercase())
}

/// A key's line. An empty remark is none.
fn line(key: &str, value: &Value, remark: &str) -> String {
    let line = format!("{key} = {value}");
    if remark.is_empty() { line } else { format!("{line:<REMARK$} # {remark}") }
}
