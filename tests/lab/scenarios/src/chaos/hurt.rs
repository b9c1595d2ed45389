//! Carries faults out on a lab, and puts everything right in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Child;

use super::fault::{Fault, HOSTS, Host};
use super::news::Gone;
use super::schedule::{Duty, Schedule};
use super::sides::{Blind, Span};
use super::site::Site;
use crate::monitor::write;
use crate::now;

/// What a host starts when it boots with its services.
fn services(host: Host) -> &'static str {
    match host {
        "dm1" => "activemq,repository,daemon,agent,rest",
        "dm2" => "repository,agent",
        "dm3" => "agent",
        _ => "",
    }
}

/// What is broken, and what was.
#[derive(Default)]
pub(super) struct Hurt {
    duty: Option<Duty>,
    /// Since when each is so.
    cut: BTreeMap<(Host, Host), u64>,
    frozen: BTreeMap<Host, u64>,
    /// Since when a monitor or its host is gone.
    gone_since: BTreeMap<Host, u64>,
    broken: BTreeSet<(Host, &'static str)>,
    lossy: BTreeMap<Host, u64>,
    /// What was over by then.
    pub(super) spans: Vec<Span>,
    pub(super) gone: Vec<Gone>,
    /// How many milliseconds each monitor's clock went ahead.
    pub(super) ahead: Vec<(Host, u64)>,
    /// Commands that nobody waits for, such as an operator's.
    orders: Vec<Child>,
}

impl Hurt {
    pub(super) fn of(schedule: &Schedule) -> Self {
        Self { duty: Some(schedule.duty), ..Self::default() }
    }

    /// Something goes wrong, or is put right. The error says why nothing came of it.
    pub(super) fn befall(&mut self, site: &mut Site<'_>, fault: Fault) -> Result<(), String> {
        let lab = site.lab;
        let begun = now();
        match fault {
            Fault::Dies(host, service) => lab.try_run(&["kill", host, service]),
            Fault::Breaks(host, service) => {
                lab.try_run(&["forbid", host, service])?;
                self.broken.insert((host, service));
                lab.try_run(&["kill", host, service])
            }
            Fault::Mended(host, service) => {
                if self.broken.contains(&(host, service)) {
                    lab.try_run(&["allow", host, service])?;
                    self.broken.remove(&(host, service));
                }
                Ok(())
            }
            Fault::Off(host) => {
                lab.try_run(&["crash", host])?;
                self.thawed(host);
                self.is_gone(site, host, begun);
                Ok(())
            }
            Fault::On(host, with_services) => self.boot(site, host, with_services),
            Fault::Freezes(host) => {
                lab.try_run(&["freeze", host])?;
                // From the first of several on.
                self.frozen.entry(host).or_insert(begun);
                self.is_gone(site, host, begun);
                Ok(())
            }
            Fault::Thaws(host) => {
                if self.frozen.contains_key(&host) {
                    lab.try_run(&["thaw", host])?;
                    self.thawed(host);
                    self.is_back(host);
                }
                Ok(())
            }
            Fault::Unfenced(host) => controller(site, host, true),
            Fault::Fenced(host) => controller(site, host, false),
            Fault::Cut(from, to) => {
                lab.try_run(&["cut", from, to, "--one-way"])?;
                self.cut.entry((from, to)).or_insert(begun);
                Ok(())
            }
            Fault::Joined(from, to) => self.join(site, from, to),
            Fault::Lossy(host, percent) => {
                lab.try_run(&["loss", host, &percent.to_string()])?;
                if percent > 0 {
                    self.lossy.entry(host).or_insert(begun);
                } else if let Some(from) = self.lossy.remove(&host) {
                    self.spans.push(Span { what: Blind::Lossy(host), from, until: now() });
                }
                Ok(())
            }
            Fault::Ordered => {
                self.order(site);
                Ok(())
            }
            Fault::ByHand(host, service) => {
                let start = format!("STARTED_BY=hand /etc/init.d/dm {service} start");
                lab.try_exec(host, &["sh", "-c", &start]).map(drop)
            }
            _ => self.befall_monitor(site, fault, begun),
        }
    }

    /// Something goes wrong with a monitor, or what it needs, or is put right.
    fn befall_monitor(
        &mut self,
        site: &mut Site<'_>,
        fault: Fault,
        begun: u64,
    ) -> Result<(), String> {
        let lab = site.lab;
        match fault {
            Fault::Killed(host) => {
                lab.try_exec(host, &["pkill", "-9", "-x", "watchkeeper"])?;
                self.gone_since.entry(host).or_insert(begun);
                Ok(())
            }
            Fault::Started(host) => {
                self.launch(site, host);
                Ok(())
            }
            Fault::Full(host) => {
                let fill = "dd if=/dev/zero of=/var/lib/watchkeeper/filled bs=64k 2>/dev/null; \
                            ! dd if=/dev/zero of=/var/lib/watchkeeper/filled bs=1k oflag=append \
                            conv=notrunc 2>/dev/null";
                lab.try_exec(host, &["sh", "-c", fill]).map(drop)
            }
            Fault::Freed(host) => {
                lab.try_exec(host, &["rm", "-f", "/var/lib/watchkeeper/filled"]).map(drop)
            }
            Fault::Clock(host, seconds) => {
                write(&lab.file(&format!("clock-{host}")), format!("+{seconds}\n").as_bytes());
                self.ahead.push((host, u64::from(seconds) * 1_000));
                Ok(())
            }
            Fault::MemberDies(host) => lab.try_run(&["etcd", "kill", host]),
            Fault::MemberRuns(host) => {
                self.run_member(site, host);
                Ok(())
            }
            Fault::Refuses(host) => {
                write(&lab.file(&format!("refuse-{host}")), b"");
                Ok(())
            }
            Fault::Takes(host) => {
                let _ = std::fs::remove_file(lab.file(&format!("refuse-{host}")));
                Ok(())
            }
            Fault::Wanted(host) => {
                self.say(site, host, &["duty", "take", "--reason", "chaos"]);
                Ok(())
            }
            Fault::Cancelled(host) => {
                self.say(site, host, &["duty", "cancel", "--reason", "chaos"]);
                Ok(())
            }
            // That is not about monitors.
            _ => Ok(()),
        }
    }

    /// A command of an operator's, which nobody waits for.
    fn say(&mut self, site: &mut Site<'_>, host: Host, words: &[&str]) {
        if let Some(monitor) = site.monitor(host) {
            self.orders.push(monitor.tell(words));
        }
    }

    /// The planned change that fits, at every monitor: the one that has the duty takes it.
    fn order(&mut self, site: &mut Site<'_>) {
        for monitor in &site.monitors {
            for order in ["switchover", "switchback"] {
                self.orders.push(monitor.tell(&[order, "--no-wait", "--reason", "chaos"]));
            }
        }
    }

    fn is_gone(&mut self, site: &Site<'_>, host: Host, since: u64) {
        if site.monitors.iter().any(|monitor| monitor.host() == host) {
            self.gone_since.entry(host).or_insert(since);
        }
    }

    fn is_back(&mut self, host: Host) {
        if let Some(from) = self.gone_since.remove(&host) {
            self.gone.push(Gone { monitor: host, from, until: now() });
        }
    }

    fn thawed(&mut self, host: Host) {
        if let Some(from) = self.frozen.remove(&host) {
            self.spans.push(Span { what: Blind::Frozen(host), from, until: now() });
        }
    }

    fn join(&mut self, site: &Site<'_>, from: Host, to: Host) -> Result<(), String> {
        if let Some(since) = self.cut.remove(&(from, to)) {
            site.lab.try_run(&["heal", from, to])?;
            self.spans.push(Span { what: Blind::Cut(from, to), from: since, until: now() });
            // That was both directions; the other one may have been cut by another fault.
            if self.cut.contains_key(&(to, from)) {
                site.lab.try_run(&["cut", to, from, "--one-way"])?;
            }
        }
        Ok(())
    }

    fn boot(&mut self, site: &mut Site<'_>, host: Host, with_services: bool) -> Result<(), String> {
        let list = if with_services { services(host) } else { "" };
        let boot = || site.lab.try_run(&["boot", host, "--services", list]);
        match site.controllers.iter().find(|(of, _)| *of == host) {
            Some((_, controller)) => controller.while_held(boot)?,
            None => boot()?,
        }
        if site.monitor(host).is_some() {
            site.receive(host);
            self.launch(site, host);
        }
        self.run_member(site, host);
        Ok(())
    }

    /// Starts a monitor, if it does not run.
    fn launch(&mut self, site: &mut Site<'_>, host: Host) {
        let runs = site.lab.try_exec(host, &["pgrep", "-f", "/watchkeeper run --config"]).is_ok();
        if let Some(monitor) = site.monitor(host).filter(|_| !runs) {
            monitor.launch();
            self.is_back(host);
        }
    }

    /// Starts a member of etcd, if there is to be one and none runs.
    fn run_member(&mut self, site: &Site<'_>, host: Host) {
        let wanted = self.duty.is_some_and(|duty| duty.members().contains(&host));
        if wanted && site.lab.try_exec(host, &["pgrep", "-x", "etcd"]).is_err() {
            // It is not waited for: without the others it is not healthy.
            self.orders.push(site.lab.command(&["etcd", "run", host]));
        }
    }

    /// Nothing is wrong any more, and whoever was ended runs again.
    pub(super) fn put_right(&mut self, site: &mut Site<'_>) {
        for (from, to) in self.cut.keys().copied().collect::<Vec<_>>() {
            let _ = self.join(site, from, to);
        }
        for host in HOSTS {
            let _ = self.befall(site, Fault::Thaws(host));
        }
        for host in self.lossy.keys().copied().collect::<Vec<_>>() {
            let _ = self.befall(site, Fault::Lossy(host, 0));
        }
        self.power_up(site);
        for (host, service) in self.broken.clone() {
            let _ = self.befall(site, Fault::Mended(host, service));
        }
        // Nobody starts a standby's repository again but people.
        for host in ["dm1", "dm2"] {
            let _ = self.befall(site, Fault::ByHand(host, "repository"));
        }
        for (host, _) in &site.controllers {
            let _ = controller(site, host, false);
        }
        for host in site.monitors.iter().map(crate::Monitor::host).collect::<Vec<_>>() {
            let _ = self.befall(site, Fault::Takes(host));
            let _ = self.befall(site, Fault::Freed(host));
            self.launch(site, host);
        }
        for host in HOSTS {
            self.run_member(site, host);
        }
    }

    /// Boots what has no power. Gives their names.
    pub(super) fn power_up(&mut self, site: &mut Site<'_>) -> Vec<Host> {
        let off = |host: &Host| crate::lab::is_off(site.lab.name(), host);
        let off: Vec<Host> = HOSTS.into_iter().filter(off).collect();
        off.into_iter().filter(|host| self.boot(site, host, true).is_ok()).collect()
    }

    /// Ends the commands that are still under way.
    pub(super) fn end_orders(&mut self) {
        for mut order in self.orders.drain(..) {
            let _ = order.kill();
            let _ = order.wait();
        }
    }
}

fn controller(site: &Site<'_>, host: Host, fails: bool) -> Result<(), String> {
    let of = site.controllers.iter().find(|(of, _)| *of == host);
    let (_, controller) = of.ok_or("there is no controller")?;
    controller.fails(fails);
    Ok(())
}
