//! The order of the steps of each kind of plan.

use super::{Act, OnFailure, PlanKind, Point, Proof, Request, Step};
use crate::facts::ReasonCode;
use crate::model::{Server, ServerName, Service, ServiceId, Side, Status};
use crate::snapshot::{Place, expected};

/// How long a failover waits for the rest of the replication, at most. A standby within the guard's
/// limit of lag, 64 MiB unless configured, applies that in seconds; one that does not come nearer
/// would only keep everybody waiting.
const CATCH_UP_MS: u64 = 10_000;

/// The steps of what was requested, away from `from` and towards `to` if they differ.
pub(super) fn steps(request: &Request<'_>, from: Side, to: Side) -> Vec<Step> {
    let mut steps = Steps { request, list: Vec::new() };
    match &request.kind {
        PlanKind::Rescue(id) => {
            steps.service(Act::StartService(id.clone()), OnFailure::Stop);
        }
        PlanKind::Clear(id) => {
            steps.service(Act::StopService(id.clone()), OnFailure::Stop);
        }
        PlanKind::Failover => steps.failover(from, to),
        PlanKind::Switchover | PlanKind::Switchback => steps.planned(from, to),
    }
    steps.list
}

/// A list of steps in the making.
struct Steps<'a> {
    request: &'a Request<'a>,
    list: Vec<Step>,
}

impl<'a> Steps<'a> {
    /// Stop what can be stopped, be sure of it, take the repository over, start there, be sure of
    /// that.
    fn failover(&mut self, from: Side, to: Side) {
        let (old, new) = self.servers(from, to);
        let replicated = self.replicated(old, new);
        let reachable = self.reachable(old);

        self.site(Point::BeforeStop);
        // On a server that does not answer there is nothing to be stopped by asking, only time to
        // be lost: what matters is decided by the confirmation. When the server returns, its
        // services are strays.
        if reachable {
            // A service that will not stop must not keep the cluster down by itself.
            self.stop_all(old, OnFailure::GoOn);
        }
        self.confirm_inactive(old);
        if replicated {
            self.start(new, Service::Repository, OnFailure::Stop);
            // When only a service beside the repository is lost, nothing of its content has to be.
            if reachable && self.serves(old, Service::Repository) {
                self.await_replication(old, new, OnFailure::GoOn);
            }
            self.take_repository_over(old, new);
        }
        self.site(Point::BeforeStart);
        self.start_side(new, to, replicated);
        self.site(Point::AfterStart);
    }

    /// Bring the other side up to date, then as a failover, and leave the old side as a standby.
    fn planned(&mut self, from: Side, to: Side) {
        let (old, new) = self.servers(from, to);
        let replicated = self.replicated(old, new);
        let back = matches!(self.request.kind, PlanKind::Switchback);

        self.site(Point::BeforeStop);
        // The long wait is before the old side stops serving, only the rest after it.
        if replicated {
            self.start(new, Service::Repository, OnFailure::Stop);
            if back {
                // Nothing was synchronised towards the primary while the secondary was active.
                self.copy_repository(old, new, OnFailure::Stop);
            }
            self.await_replication(old, new, OnFailure::Stop);
        }
        self.stop_all(old, OnFailure::Stop);
        self.confirm_inactive(old);
        if replicated {
            self.await_replication(old, new, OnFailure::Stop);
            self.take_repository_over(old, new);
        }
        self.site(Point::BeforeStart);
        self.start_side(new, to, replicated);
        if replicated && back {
            // The primary serves already: a standby that is not synchronised is an alert, no
            // reason to doubt which side is active.
            self.copy_repository(new, old, OnFailure::GoOn);
        }
        for service in Service::ALL {
            // It was stopped with the side, and it is meant to run on a standby too.
            if service != Service::Repository
                && old.services.contains(&service)
                && expected(service, Place::Standby, to)
            {
                self.start(old, service, OnFailure::GoOn);
            }
        }
        self.site(Point::AfterStart);
    }

    fn servers(&self, from: Side, to: Side) -> (&'a Server, &'a Server) {
        (self.request.topology.on(from), self.request.topology.on(to))
    }

    fn replicated(&self, old: &Server, new: &Server) -> bool {
        self.request.arrangements.replicated_repository
            && old.services.contains(&Service::Repository)
            && new.services.contains(&Service::Repository)
    }

    /// Whether the server can be asked to do something. One without a probe of its own is asked.
    fn reachable(&self, server: &Server) -> bool {
        let facts = self.request.snapshot.server(server.name.as_str());
        facts.is_none_or(|facts| {
            facts.state.status == Status::Up || facts.state.reason.code == ReasonCode::NotProbed
        })
    }

    fn serves(&self, server: &Server, service: Service) -> bool {
        let facts = self.request.snapshot.service(server.name.as_str(), service);
        facts.is_some_and(|facts| facts.state.status == Status::Up)
    }

    fn add(&mut self, act: Act, timeout_ms: u64, on_failure: OnFailure) {
        let arrangements = self.request.arrangements;
        self.list.push(Step {
            act,
            timeout_ms,
            attempts: arrangements.attempts.max(1),
            retry_delay_ms: arrangements.retry_delay_ms,
            on_failure,
        });
    }

    fn service(&mut self, act: Act, on_failure: OnFailure) {
        let timeout = match act {
            Act::StopService(_) => self.request.arrangements.stop_timeout_ms,
            _ => self.request.arrangements.start_timeout_ms,
        };
        self.add(act, timeout, on_failure);
    }

    fn start(&mut self, server: &Server, service: Service, on_failure: OnFailure) {
        self.service(Act::StartService(id(server, service)), on_failure);
    }

    fn repository(&mut self, act: Act, on_failure: OnFailure) {
        self.add(act, self.request.arrangements.repository_timeout_ms, on_failure);
    }

    fn await_replication(&mut self, from: &Server, to: &Server, on_failure: OnFailure) {
        let (from, to) = names(from, to);
        self.repository(Act::AwaitReplication { from, to }, on_failure);
        // What may be gone without is waited for once: somebody is without service meanwhile.
        if let Some(step) = self.list.last_mut()
            && on_failure == OnFailure::GoOn
        {
            step.attempts = 1;
            step.timeout_ms = step.timeout_ms.min(CATCH_UP_MS);
        }
    }

    fn copy_repository(&mut self, from: &Server, to: &Server, on_failure: OnFailure) {
        let (from, to) = names(from, to);
        self.repository(Act::CopyRepository { from, to }, on_failure);
    }

    fn take_repository_over(&mut self, old: &Server, new: &Server) {
        let (from, to) = names(old, new);
        self.repository(Act::DetachRepository { server: to.clone() }, OnFailure::Stop);
        self.repository(Act::CarrySequences { from, to }, OnFailure::Stop);
    }

    fn site(&mut self, point: Point) {
        let arrangements = self.request.arrangements;
        for step in arrangements.site_steps.iter().filter(|step| step.point == point) {
            self.list.push(Step {
                timeout_ms: step.timeout_ms,
                attempts: step.attempts.max(1),
                retry_delay_ms: arrangements.retry_delay_ms,
                on_failure: if step.optional { OnFailure::GoOn } else { OnFailure::Stop },
                act: Act::Site(step.clone()),
            });
        }
    }

    /// Stops everything but the repository: it is read for the sequences and takes no part in
    /// jobs.
    fn stop_all(&mut self, old: &Server, on_failure: OnFailure) {
        for service in Service::ALL.into_iter().rev() {
            if service != Service::Repository && old.services.contains(&service) {
                self.service(Act::StopService(id(old, service)), on_failure);
            }
        }
    }

    fn confirm_inactive(&mut self, old: &Server) {
        let services = Service::ALL
            .into_iter()
            .filter(|service| service.exclusive() && old.services.contains(service))
            .collect();
        let arrangements = self.request.arrangements;
        let proof = match arrangements.proof {
            // What was to be left in good order is not shot: somebody is there who can judge.
            Proof::Fence { .. } if self.request.kind != PlanKind::Failover => Proof::Operator,
            proof => proof,
        };
        // The server itself is asked first, and the levels have their time after that.
        let fencing = if let Proof::Fence { within_ms } = proof { within_ms } else { 0 };
        let timeout = arrangements.stop_timeout_ms.saturating_add(fencing);
        let act = Act::ConfirmInactive { server: old.name.clone(), services, proof };
        self.add(act, timeout, OnFailure::Stop);
    }

    /// Starts what is meant to run on the active side, and verifies what it cannot do without.
    fn start_side(&mut self, new: &Server, side: Side, repository_started: bool) {
        let mut essential = Vec::new();
        for service in Service::ALL {
            if !new.services.contains(&service) || !expected(service, Place::Active, side) {
                continue;
            }
            // An agent, DSA or the synchronisation that is late is no reason to call the change
            // of side failed: the policies see it in the next facts, and rescue or tell.
            let on_failure = if service.essential() {
                essential.push(id(new, service));
                OnFailure::Stop
            } else {
                OnFailure::GoOn
            };
            if service != Service::Repository || !repository_started {
                self.start(new, service, on_failure);
            }
        }
        self.service(Act::Verify { services: essential }, OnFailure::Stop);
    }
}

fn id(server: &Server, service: Service) -> ServiceId {
    ServiceId { server: server.name.clone(), service }
}

fn names(from: &Server, to: &Server) -> (ServerName, ServerName) {
    (from.name.clone(), to.name.clone())
}
