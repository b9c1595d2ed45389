"""The border between a policy and the host: the helpers' types and those that componentize-py makes of the contract.

It can be imported only where the latter are: in a component, while it is built and when it runs.
"""

import wit_world
from wit_world.imports import log, types

from . import (
    Answer, Change, Cluster, Counts, Measure, Policy, Rescue, Server, Service, Snapshot, State, _from_bytes, _to_bytes,
)
from ._guest import Border, case as _case, settings as _settings, word as _word


# ---- from the host ----


def _state(found):
    return State(_word(found.status), _word(found.code), found.detail, found.since, found.confirmations, found.seen)


def _server(found):
    return found and Server(found.name, _word(found.role), _word(found.place), _state(found.state))


def _service(found):
    return found and Service(
        found.server, _word(found.service), _word(found.place), found.expected, found.maintenance, _state(found.state)
    )


def _measure(found):
    return found and Measure(
        found.server, found.service and _word(found.service), found.name, found.value.value, found.at
    )


class _Host:
    """The contract's resource, in the helpers' words."""

    def __init__(self, snapshot):
        self._snapshot = snapshot

    def number(self):
        return self._snapshot.number()

    def time(self):
        return self._snapshot.time()

    def cluster(self):
        it = self._snapshot.cluster()
        return Cluster(it.name, _word(it.phase), _word(it.active), it.active_since, it.maintenance)

    def servers(self):
        return [_server(it) for it in self._snapshot.servers()]

    def server(self, name):
        return _server(self._snapshot.server(name))

    def service(self, server, service):
        return _service(self._snapshot.service(server, _case(types.Service, service)))

    def services(self, wanted):
        return [_service(it) for it in self._snapshot.services(_filter(wanted))]

    def count(self, wanted):
        counts = self._snapshot.count(_filter(wanted))
        return Counts(counts.up, counts.down, counts.unknown)

    def measure(self, server, service, name):
        service = None if service is None else _case(types.Service, service)
        return _measure(self._snapshot.measure(server, service, name))

    def measures(self, name):
        return [_measure(it) for it in self._snapshot.measures(name)]

    def rescues(self):
        return [Rescue(it.server, _word(it.service), it.begun, _word(it.ending)) for it in self._snapshot.rescues()]

    def changes(self):
        return [
            Change(_word(it.from_), _word(it.to), it.planned, it.begun, _word(it.ending))
            for it in self._snapshot.changes()
        ]


def _filter(wanted):
    statuses = types.Statuses(0)
    for status in wanted.statuses:
        statuses |= _case(types.Statuses, status)
    return types.Filter(
        wanted.place and _case(types.Place, wanted.place),
        wanted.service and _case(types.Service, wanted.service),
        statuses,
        wanted.expected,
    )


# ---- to the host ----


def _description(policy: type[Policy]):
    needs = types.Grants(0)
    for grant in policy.needs:
        needs |= _case(types.Grants, grant)
    settings = _settings(types, policy.settings())
    return types.Description(policy.name, policy.version, policy.summary, needs, settings)


def _proposal(proposal):
    if proposal.action == "failover":
        action = types.Action_Failover()
    else:
        service = types.ServiceId(proposal.server, _case(types.Service, proposal.service))
        made = types.Action_Rescue if proposal.action == "rescue" else types.Action_StopService
        action = made(service)
    return types.Proposal(action, proposal.reason)


def _alert(alert):
    return types.Alert(
        alert.name,
        _case(types.Severity, alert.severity),
        alert.server,
        alert.service and _case(types.Service, alert.service),
        alert.code,
        alert.summary,
        list(alert.labels),
    )


def _evaluation(answer: Answer):
    return types.Evaluation(
        [_proposal(it) for it in answer.proposals],
        answer.holds,
        [_alert(it) for it in answer.alerts],
        answer.state,
        answer.look_again_ms,
        answer.notes,
    )


def world(policy: type[Policy]):
    """The component's exports."""
    description = _description(policy)
    names = list(policy.settings())
    answering = Border(log, "snapshot.time()").answering

    class World(wit_world.WitWorld):
        def describe(self):
            return description

        def evaluate(self, snapshot, settings, state):
            def body():
                given = {name: setting.value for name, setting in zip(names, settings, strict=True)}
                answer = Answer(tuple(policy.needs))
                policy.configured(**given).evaluate(Snapshot(_Host(snapshot)), _from_bytes(state), answer)
                return _evaluation(answer)

            return answering(body)

        def migrate(self, from_version, state):
            def body():
                before = _from_bytes(state)
                kept = policy.configured().migrate(from_version, before)
                return state if kept is before else _to_bytes(kept)

            return answering(body)

    return World
