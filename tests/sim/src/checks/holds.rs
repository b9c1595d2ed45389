//! What nothing may be begun against: the guards' promises, said a second time, of the world and of what
//! was told to a monitor, not of what it makes of it.
//!
//! A probe that finds something carries along how things were when it looked ([`Told`]). What a plan is
//! begun on was told to its monitor last.

use std::collections::BTreeSet;

use watchkeeper_core::duty::{Change, Grantor};
use watchkeeper_core::event::{Event, Record};
use watchkeeper_core::execution::PlanEnding;
use watchkeeper_core::model::{Service, Side, Term};
use watchkeeper_core::plan::{OrderedBy, Plan, PlanKind};

use crate::deeds;
use crate::etcd::Etcd;
use crate::monitor::Violation;
use crate::setting::Setting;
use crate::world::{Node, World};

/// For how long a change of side of another cluster counts, in milliseconds.
pub const STORM: u64 = 60_000;

/// After how long what was found is too old to begin anything on it, in milliseconds.
pub const FRESH: u64 = 15_000;

/// After how long a server that answers certainly counts as one to be asked, in milliseconds.
pub const LONG: u64 = 10_000;

/// How things were when a monitor looked at a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// When that was found.
    pub at: u64,
    /// Nothing came back from it.
    pub silent: bool,
    /// It lets the monitor in, and can be asked.
    pub lets_in: bool,
    /// Why it could not take over.
    pub lacks: Option<&'static str>,
    /// What ran there, as far as that came back.
    pub runs: BTreeSet<Service>,
}

/// What a server said of one that is silent to a monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Said {
    at: u64,
    alive: bool,
}

/// What is known to the one who watches everything.
#[derive(Debug, Default)]
pub struct Holds {
    /// What was told to each monitor of each server last.
    told: [[Option<Told>; 3]; 2],
    /// Since when each monitor has been told the same of each server: that it lets it in, or that it does not.
    since: [[u64; 3]; 2],
    /// What each monitor was told last of each silent server by each other, since it was found silent.
    said: [[[Option<Said>; 3]; 3]; 2],
    /// The term that each monitor may act in, by its own records.
    terms: [Option<Term>; 2],
    /// The plan that each monitor's records leave open.
    open: [Option<u64>; 2],
    /// When the last change of side ended that counts.
    changed: Option<u64>,
    /// When other clusters changed sides.
    elsewhere: Vec<u64>,
    /// Maintenance is on, by this monitor's record.
    maintenance: Option<usize>,
    /// A clock was set: what is told from moments on clocks says nothing any more.
    clocks: bool,
    /// Probes hung, longer than the daemon lets them: what is between two looks is not known.
    hung: bool,
    /// The duty was taken by force: who was passed over hears of it later.
    forced: bool,
}

impl Holds {
    /// A monitor was told what there is to know of a server.
    pub fn told(&mut self, monitor: usize, server: usize, told: Told) {
        let before = self.told[monitor][server].as_ref();
        if before.is_none_or(|it| it.silent != told.silent) {
            self.said[monitor][server] = [None; 3];
        }
        if before.is_none_or(|it| it.lets_in != told.lets_in) {
            self.since[monitor][server] = told.at;
        }
        self.told[monitor][server] = Some(told);
    }

    /// A monitor was told what a server finds of another one, which is silent to the monitor.
    pub fn testified(&mut self, at: u64, monitor: usize, about: usize, by: usize, alive: bool) {
        if self.told[monitor][about].as_ref().is_some_and(|it| it.silent) {
            self.said[monitor][about][by] = Some(Said { at, alive });
        }
    }

    /// A monitor begins and knows nothing of the servers.
    pub fn starts(&mut self, monitor: usize) {
        self.told[monitor] = [None, None, None];
    }

    /// A clock is set.
    pub const fn clock_set(&mut self) {
        self.clocks = true;
    }

    /// Probes hang.
    pub const fn hung(&mut self) {
        self.hung = true;
    }

    /// Somebody takes the duty by force.
    pub const fn forced(&mut self) {
        self.forced = true;
    }

    /// Another cluster changes sides.
    pub fn elsewhere(&mut self, now: u64) {
        self.elsewhere.push(now);
    }

    /// A monitor has written a record.
    pub fn written(
        &mut self,
        now: u64,
        monitor: usize,
        record: &Record,
        setting: Setting,
        etcd: &Etcd,
    ) -> Result<(), Violation> {
        match &record.event {
            Event::Duty(Change::Taken { term, grantor, past }) => {
                self.terms[monitor] = Some(*term);
                if let Some(past) = past {
                    self.open[monitor] = past.progress.as_ref().map(|it| it.plan().number);
                    let on = past.maintenance.is_some();
                    self.succeeds(monitor, on, matches!(grantor, Grantor::Peer { .. }))?;
                }
            }
            Event::Duty(Change::Shared { past, .. }) => {
                self.open[monitor] = past.progress.as_ref().map(|it| it.plan().number);
            }
            Event::Duty(Change::Offered { .. } | Change::Left { .. }) => self.terms[monitor] = None,
            Event::PlanBegun(plan) => {
                self.begins(now, monitor, plan, setting, etcd).map_err(|what| {
                    let (monitor, kind) = (Node::Monitor(monitor), &plan.kind);
                    format!("{monitor} begins plan {}, {kind}: {what}", plan.number)
                })?;
                self.open[monitor] = Some(plan.number);
            }
            Event::PlanEnded { plan, .. } => {
                if self.open[monitor] != Some(*plan) {
                    return Err(format!("{} ends plan {plan} twice", Node::Monitor(monitor)));
                }
                self.open[monitor] = None;
            }
            Event::Declared { .. } => self.changed = None,
            Event::MaintenanceOn { .. } => self.maintenance = Some(monitor),
            Event::MaintenanceOff { .. } => self.maintenance = None,
            _ => {}
        }
        Ok(())
    }

    /// A plan that changes the side has ended.
    pub fn ended(&mut self, now: u64, kind: &PlanKind, ending: &PlanEnding) {
        let refused = matches!(ending, PlanEnding::Refused { .. });
        if kind.changes_side() && (!refused || matches!(kind, PlanKind::Failover)) {
            self.changed = Some(now);
        }
    }

    /// With the duty comes that maintenance is on. Etcd is told within a moment of its being switched on,
    /// and who has it from etcd may be earlier than that.
    fn succeeds(&mut self, monitor: usize, on: bool, by_peer: bool) -> Result<(), Violation> {
        match self.maintenance {
            Some(by) if by != monitor && !on && by_peer => {
                let what = "was given the duty and does not know that maintenance is on";
                Err(format!("{} {what}", Node::Monitor(monitor)))
            }
            Some(by) if by != monitor && !on => {
                self.maintenance = None;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begins(
        &self,
        now: u64,
        monitor: usize,
        plan: &Plan,
        setting: Setting,
        etcd: &Etcd,
    ) -> Result<(), String> {
        self.duty(monitor, plan, setting, etcd)?;
        if let Some(open) = self.open[monitor] {
            return Err(format!("plan {open} is in flight"));
        }
        if self.maintenance.is_some() {
            return Err("maintenance is on".to_owned());
        }
        match &plan.kind {
            PlanKind::Rescue(id) => {
                self.rescue(monitor, plan.from, deeds::number(&id.server), id.service)
            }
            PlanKind::Clear(id) => clear(plan.from, deeds::number(&id.server), id.service),
            PlanKind::Failover if matches!(plan.ordered_by, OrderedBy::Policy(_)) => {
                self.failover(now, monitor, plan.from, setting)
            }
            PlanKind::Failover | PlanKind::Switchover | PlanKind::Switchback => Ok(()),
        }
    }

    fn duty(
        &self,
        monitor: usize,
        plan: &Plan,
        setting: Setting,
        etcd: &Etcd,
    ) -> Result<(), String> {
        if self.terms[monitor] != Some(plan.term) {
            return Err(format!("it does not have the duty in term {}", plan.term.0));
        }
        let gone = etcd.duties.get(&plan.term.0).is_none_or(|span| span.until.is_some());
        if setting.etcd && gone && !self.forced {
            return Err(format!("etcd has let term {} go", plan.term.0));
        }
        Ok(())
    }

    /// A monitor takes a term for its own by its lease only as long as etcd does.
    pub fn leased(&self, monitor: usize, term: Option<Term>, etcd: &Etcd) -> Result<(), Violation> {
        let Some(term) = term.filter(|_| !self.forced) else { return Ok(()) };
        match etcd.duties.get(&term.0) {
            Some(span) if span.until.is_none() => Ok(()),
            _ => Err(format!(
                "{} goes by its lease, and etcd has let term {} go",
                Node::Monitor(monitor),
                term.0
            )),
        }
    }

    fn rescue(
        &self,
        monitor: usize,
        active: Side,
        server: usize,
        service: Service,
    ) -> Result<(), String> {
        if !service.exclusive() {
            return Ok(());
        }
        if server != World::of_side(active) {
            return Err(format!("{} is not on the active side", Node::Server(server)));
        }
        let across = World::of_side(active.other());
        let told = self.told[monitor][across].as_ref();
        if told.is_some_and(|told| told.runs.contains(&service)) {
            return Err(format!("it was told that {service} runs on {}", Node::Server(across)));
        }
        Ok(())
    }

    /// Nobody sees the silent side alive, and everybody who has answered for a while was asked.
    fn looked_at_by_others(&self, now: u64, monitor: usize, about: usize) -> Result<(), String> {
        for by in (0..3).filter(|by| *by != about) {
            let lately = |said: &&Said| now - said.at <= FRESH;
            let said = self.said[monitor][about][by].as_ref().filter(lately);
            let by_name = Node::Server(by);
            if said.is_some_and(|said| said.alive) && !self.clocks {
                return Err(format!("it was told that {by_name} sees the silent side alive"));
            }
            let told = self.told[monitor][by].as_ref();
            let answers = told.is_some_and(|it| it.lets_in && now - it.at <= FRESH);
            let long = now - self.since[monitor][by] >= LONG;
            if answers && long && said.is_none() && !self.hung && !self.clocks {
                return Err(format!("{by_name} was not asked what it sees of the silent side"));
            }
        }
        Ok(())
    }

    /// No change of side without being asked for, but for good reasons.
    fn failover(
        &self,
        now: u64,
        monitor: usize,
        from: Side,
        setting: Setting,
    ) -> Result<(), String> {
        let [active, standby] = [from, from.other()].map(World::of_side);
        for server in [active, standby] {
            let told = self.told[monitor][server].as_ref();
            let at = told.map(|told| told.at).filter(|at| now - at <= FRESH);
            if at.is_none() && !self.clocks {
                return Err(format!("nothing was heard of {} for long", Node::Server(server)));
            }
        }
        let (Some(active), Some(standby)) =
            (&self.told[monitor][active], &self.told[monitor][standby])
        else {
            return Ok(());
        };
        if active.silent {
            self.looked_at_by_others(now, monitor, World::of_side(from))?;
        }
        let in_view = self.said[monitor][World::of_side(from)].iter().any(Option::is_some);
        if active.silent && !in_view && !self.hung {
            return Err("it looked at the silent side only while it saw no other server".to_owned());
        }
        if let Some(lacks) = standby.lacks {
            return Err(format!("it was told that the standby {lacks}"));
        }
        if self.clocks {
            return Ok(());
        }
        if self.changed.is_some_and(|at| now < at + setting.cooldown_ms) {
            return Err("the last change of side was a moment ago".to_owned());
        }
        let recent = self.elsewhere.iter().filter(|at| now < *at + STORM).count();
        if setting.storm_limit > 0 && recent >= setting.storm_limit as usize {
            return Err(format!("{recent} other clusters have just changed sides"));
        }
        Ok(())
    }
}

fn clear(active: Side, server: usize, service: Service) -> Result<(), String> {
    // Nothing is synchronised while the secondary is active.
    if service == Service::Sync && active == Side::Secondary {
        return Ok(());
    }
    let across = World::of_side(active.other());
    let stays = service == Service::Repository && active == Side::Primary;
    let agent = service == Service::Agent && active == Side::Primary;
    if server != across || stays || agent {
        return Err(format!("{}/{service} is meant to run there", Node::Server(server)));
    }
    Ok(())
}
