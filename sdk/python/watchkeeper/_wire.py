"""The border between a policy and the host: the helpers' types and those that componentize-py makes of the contract.

It can be imported only where the latter are: in a component, while it is built and when it runs.
"""

import os
import sys
import time

import wit_world
from componentize_py_types import Err
from wit_world.imports import log, types

from . import (
    Answer, CannotAnswer, Change, Cluster, Counts, Measure, Misuse, Policy, Rescue, Server, Service, Setting, Snapshot,
    State, _from_bytes, _to_bytes,
)

_HERE = os.path.dirname(__file__)


# ---- from the host ----


def _word(case):
    return case.name.lower().replace("_", "-")


def _case(enum, word):
    return enum[word.upper().replace("-", "_")]


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


def _kind(setting: Setting):
    bounds = types.IntegerSetting(setting.default, setting.min, setting.max)
    return {
        "flag": lambda: types.SettingKind_Flag(setting.default),
        "integer": lambda: types.SettingKind_Integer(bounds),
        "duration": lambda: types.SettingKind_Duration(bounds),
        "text": lambda: types.SettingKind_Text(setting.default),
        "choice": lambda: types.SettingKind_Choice(types.ChoiceSetting(setting.default, list(setting.options))),
        "texts": lambda: types.SettingKind_Texts(setting.default),
    }[setting.kind]()


def _description(policy: type[Policy]):
    needs = types.Grants(0)
    for grant in policy.needs:
        needs |= _case(types.Grants, grant)
    settings = [
        types.Setting(name.replace("_", "-"), setting.doc, _kind(setting))
        for name, setting in policy.settings().items()
    ]
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


# ---- mistakes ----


def _explain(error: BaseException) -> str:
    """What went wrong, and where in the author's source."""
    if isinstance(error, CannotAnswer):
        return str(error)
    what = str(error) if isinstance(error, Misuse) else f"{type(error).__name__}: {error}"
    # By hand: the module traceback reads the source, and there are no files in a component.
    where, frame = "", error.__traceback__
    while frame is not None:
        path = frame.tb_frame.f_code.co_filename
        if not path.startswith(_HERE):
            where = f"{_source(path)}:{frame.tb_lineno}: "
        frame = frame.tb_next
    return where + what


def _source(path: str) -> str:
    """A path as the author knows it: componentize-py mounts each folder that it searches under a number."""
    parts = path.strip("/").split("/")
    return "/".join(parts[1:]) if parts[0].isdigit() and len(parts) > 1 else path


class _Lines:
    """A stream that writes to the daemon's log, a line at a time."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, level):
        self._level = level
        self._rest = ""

    def write(self, text):
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            log.write(self._level, line)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


def _no_clock(*_given, **_named):
    raise Misuse("there is no clock but snapshot.time()")


def _prepare():
    """There is no stream and no clock behind Python's own: they would end the policy without a word."""
    sys.stdout = _Lines(log.Level.INFO)
    sys.stderr = _Lines(log.Level.WARN)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"):
        setattr(time, name, _no_clock)


def world(policy: type[Policy]):
    """The component's exports."""
    description = _description(policy)
    names = list(policy.settings())
    prepared = False

    def answering(body):
        nonlocal prepared
        if not prepared:
            # In the component, not while it is built: there, what is printed should be seen.
            _prepare()
            prepared = True
        try:
            return body()
        except BaseException as error:
            raise Err(_explain(error)) from None

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
