"""What authors of policies in Python write against: the contract in sdk/wit, with words checked and helpers beside them.

It needs nothing of the host, so a policy can be imported and tested by any Python. What crosses the border to the host is
in ``_wire``. Whatever is wrong with a definition is raised while the component is built; whatever goes wrong in an
evaluation becomes the policy's answer, with the place in the author's source.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Iterable, Literal, Optional, Protocol, Union

__all__ = [
    "Answer", "CannotAnswer", "Policy", "Server", "Service", "Snapshot", "choice", "duration", "export", "flag",
    "integer", "milliseconds", "text", "texts",
]

ServiceName = Literal["repository", "activemq", "dsa", "daemon", "agent", "rest", "sync"]
PlaceName = Literal["active", "standby", "additional"]
StatusName = Literal["up", "down", "unknown"]
Grant = Literal["rescue", "stop-service", "failover", "hold", "alert"]
Severity = Literal["info", "warning", "critical"]

SERVICES = ServiceName.__args__
PLACES = PlaceName.__args__
STATUSES = StatusName.__args__
GRANTS = Grant.__args__
SEVERITIES = Severity.__args__

_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_YEAR = 366 * _UNITS["d"]
_MOST = 2**63 - 1


class CannotAnswer(Exception):
    """Says, for people, why a policy cannot answer. What is raised otherwise is a mistake, and is told with its place."""


class Misuse(Exception):
    """A mistake in how the helpers are used."""


# ---- words ----


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def _known(what: str, word: Any, words: tuple[str, ...]) -> str:
    if word not in words:
        raise Misuse(f"{what} is {_listed(words)}, not {word!r}")
    return word


def _line(what: str, given: Any) -> str:
    if not isinstance(given, str) or not given.strip():
        raise Misuse(f"{what} has to be a text")
    return given


def milliseconds(given: Union[int, str]) -> int:
    """``"30s"``, ``"5m"``, ``"1h30m"`` or a number of milliseconds, as milliseconds."""
    if isinstance(given, int) and not isinstance(given, bool) and given >= 0:
        return given
    parts = re.findall(r"(\d+)(ms|s|m|h|d)", given) if isinstance(given, str) else []
    if not parts or "".join(count + unit for count, unit in parts) != given:
        raise Misuse(f'a duration is like "250ms", "30s", "5m" or "1h30m", not {given!r}')
    return sum(int(count) * _UNITS[unit] for count, unit in parts)


# ---- settings ----


@dataclass(frozen=True)
class Setting:
    """What the configuration can set. Made by ``flag``, ``integer`` and their like."""

    kind: str
    doc: str
    default: Any
    min: int = 0
    max: int = 0
    options: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "doc", " ".join(_line("a setting's doc", self.doc).split()))
        for bound in (self.default, self.min, self.max) if self.kind in ("integer", "duration") else ():
            if not isinstance(bound, int) or isinstance(bound, bool):
                raise Misuse(f"the default and the bounds of {self.kind} are whole numbers, not {bound!r}")


def flag(doc: str, default: bool) -> Any:
    """true or false."""
    return Setting("flag", doc, bool(default))


def integer(doc: str, default: int, *, min: int = -_MOST, max: int = _MOST) -> Any:
    """A whole number between bounds."""
    return Setting("integer", doc, default, min, max)


def duration(doc: str, default: Union[int, str], *, min: Union[int, str] = 0, max: Union[int, str] = _YEAR) -> Any:
    """A duration, such as ``"30s"``. The policy gets milliseconds."""
    return Setting("duration", doc, milliseconds(default), milliseconds(min), milliseconds(max))


def text(doc: str, default: str = "") -> Any:
    """A text."""
    return Setting("text", doc, str(default))


def choice(doc: str, *options: str) -> Any:
    """One of several words; the first is the default."""
    return Setting("choice", doc, _line("the first word of a choice", options[0] if options else None), options=options)


def texts(doc: str, default: Iterable[str] = ()) -> Any:
    """A list of texts."""
    return Setting("texts", doc, list(default))


# ---- facts ----


@dataclass(frozen=True)
class State:
    """What the probes of a thing together say. Times are milliseconds since 1970-01-01T00:00:00Z."""

    status: StatusName
    code: str
    detail: str
    since: int
    confirmations: int
    seen: int

    @property
    def is_up(self) -> bool:
        """Whether it was found up."""
        return self.status == "up"

    def down_for(self, times: int) -> bool:
        """Whether it was found down ``times`` times in a row."""
        return self.status == "down" and self.confirmations >= times

    def up_for(self, times: int) -> bool:
        """Whether it was found up ``times`` times in a row."""
        return self.status == "up" and self.confirmations >= times

    def unknown_for(self, times: int) -> bool:
        """Whether nothing could be told of it ``times`` times in a row."""
        return self.status == "unknown" and self.confirmations >= times


@dataclass(frozen=True)
class Cluster:
    """The cluster as a whole."""

    name: str
    phase: str
    active: Literal["primary", "secondary"]
    active_since: int
    maintenance: bool


@dataclass(frozen=True)
class Server:
    """A server. Its state says whether it could be reached and logged in to."""

    name: str
    role: Literal["primary", "secondary", "additional"]
    place: PlaceName
    state: State


@dataclass(frozen=True)
class Service:
    """A service on a server. What is in maintenance is its owner's business: do not judge it."""

    server: str
    service: ServiceName
    place: PlaceName
    expected: bool
    maintenance: bool
    state: State

    def __str__(self) -> str:
        return f"{self.server}/{self.service}"


@dataclass(frozen=True)
class Counts:
    """How many services are in each status."""

    up: int
    down: int
    unknown: int


@dataclass(frozen=True)
class Measure:
    """A value that a probe measured."""

    server: str
    service: Optional[ServiceName]
    name: str
    value: Union[bool, int, float, str]
    at: int


@dataclass(frozen=True)
class Rescue:
    """An attempt to start a stopped service again."""

    server: str
    service: ServiceName
    begun: int
    ending: Literal["under-way", "succeeded", "failed"]


@dataclass(frozen=True)
class Change:
    """A change of side that was begun."""

    from_side: Literal["primary", "secondary"]
    to: Literal["primary", "secondary"]
    planned: bool
    begun: int
    ending: Literal["under-way", "succeeded", "failed"]


@dataclass(frozen=True)
class Filter:
    """Which services are asked for; what is None asks for all."""

    place: Optional[str] = None
    service: Optional[str] = None
    statuses: tuple[str, ...] = STATUSES
    expected: Optional[bool] = None


class Facts(Protocol):
    """What answers a snapshot's questions: the host, or a test's own object."""

    def number(self) -> int: ...
    def time(self) -> int: ...
    def cluster(self) -> Cluster: ...
    def servers(self) -> list[Server]: ...
    def server(self, name: str) -> Optional[Server]: ...
    def service(self, server: str, service: str) -> Optional[Service]: ...
    def services(self, wanted: Filter) -> list[Service]: ...
    def count(self, wanted: Filter) -> Counts: ...
    def measure(self, server: str, service: Optional[str], name: str) -> Optional[Measure]: ...
    def measures(self, name: str) -> list[Measure]: ...
    def rescues(self) -> list[Rescue]: ...
    def changes(self) -> list[Change]: ...


def _filter(
    place: Optional[str],
    service: Optional[str],
    status: Union[None, str, Iterable[str]],
    expected: Optional[bool],
) -> Filter:
    wanted = STATUSES if status is None else (status,) if isinstance(status, str) else tuple(status)
    for word in wanted:
        _known("a status", word, STATUSES)
    return Filter(
        place=place if place is None else _known("a place", place, PLACES),
        service=service if service is None else _known("a service", service, SERVICES),
        statuses=wanted,
        expected=expected,
    )


class Snapshot:
    """The numbered, frozen set of facts that a decision is made from. Each question is recorded: ask only what you need."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def number(self) -> int:
        """Rises by one with each snapshot of a cluster."""
        return self._facts.number()

    def time(self) -> int:
        """When it was taken: milliseconds since 1970-01-01T00:00:00Z. This is the only clock."""
        return self._facts.time()

    def cluster(self) -> Cluster:
        """The cluster as a whole."""
        return self._facts.cluster()

    def servers(self) -> list[Server]:
        """All servers, in the order of the configuration."""
        return self._facts.servers()

    def server(self, name: str) -> Optional[Server]:
        """One server."""
        return self._facts.server(name)

    def server_at(self, place: PlaceName) -> Optional[Server]:
        """The server at a place, ``active`` or ``standby``. Asks for two things, however many servers there are."""
        found = self.services(place=place, service="repository")
        if found:
            return self.server(found[0].server)
        return next((server for server in self.servers() if server.place == place), None)

    def service(self, server: str, service: ServiceName) -> Optional[Service]:
        """One service."""
        return self._facts.service(server, _known("a service", service, SERVICES))

    def services(
        self,
        *,
        place: Optional[PlaceName] = None,
        service: Optional[ServiceName] = None,
        status: Union[None, StatusName, Iterable[StatusName]] = None,
        expected: Optional[bool] = None,
    ) -> list[Service]:
        """All services that these find, by server, then in the order in which services start."""
        return self._facts.services(_filter(place, service, status, expected))

    def count(
        self,
        *,
        place: Optional[PlaceName] = None,
        service: Optional[ServiceName] = None,
        status: Union[None, StatusName, Iterable[StatusName]] = None,
        expected: Optional[bool] = None,
    ) -> Counts:
        """How many services these find in each status."""
        return self._facts.count(_filter(place, service, status, expected))

    def measure(self, server: str, service: Optional[ServiceName], name: str) -> Optional[Measure]:
        """One measured value; None for the service asks for a value of the server itself."""
        return self._facts.measure(server, service if service is None else _known("a service", service, SERVICES), name)

    def measures(self, name: str) -> list[Measure]:
        """The values of that name on all servers."""
        return self._facts.measures(name)

    def rescues(self) -> list[Rescue]:
        """Recent rescues, oldest first."""
        return self._facts.rescues()

    def changes(self) -> list[Change]:
        """Recent changes of side, oldest first."""
        return self._facts.changes()


# ---- what it comes to ----


@dataclass(frozen=True)
class Proposal:
    """An action that is asked for: ``rescue``, ``stop-service`` or ``failover``."""

    action: str
    server: Optional[str]
    service: Optional[str]
    reason: str


@dataclass(frozen=True)
class Alert:
    """Something that is wrong at this moment."""

    name: str
    severity: str
    server: Optional[str]
    service: Optional[str]
    code: str
    summary: str
    labels: tuple[tuple[str, str], ...]


@dataclass
class Answer:
    """What an evaluation comes to."""

    needs: tuple[str, ...] = GRANTS
    proposals: list[Proposal] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    alerts: list[Alert] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    look_again_ms: Optional[int] = None
    state: bytes = b""

    def failover(self, reason: str) -> None:
        """Asks for the other side to become active. The most wanted comes first."""
        self._propose("failover", None, reason)

    def rescue(self, service: Service, reason: str) -> None:
        """Asks for a stopped service to be started again."""
        self._propose("rescue", service, reason)

    def stop(self, service: Service, reason: str) -> None:
        """Asks for a service to be stopped that runs where it is not meant to."""
        self._propose("stop-service", service, reason)

    def hold(self, reason: str) -> None:
        """Says why no action of any policy should be carried out now, rescues included."""
        self._allowed("hold")
        self.holds.append(_line("the reason of a hold", reason))

    def info(self, name: str, summary: str, **about: Any) -> None:
        """Claims something that should be known. Claim it in every evaluation for as long as it is so."""
        self.alert("info", name, summary, **about)

    def warning(self, name: str, summary: str, **about: Any) -> None:
        """Claims something that somebody should look at today."""
        self.alert("warning", name, summary, **about)

    def critical(self, name: str, summary: str, **about: Any) -> None:
        """Claims something that somebody should look at now."""
        self.alert("critical", name, summary, **about)

    def alert(
        self,
        severity: Severity,
        name: str,
        summary: str,
        *,
        on: Optional[Service] = None,
        server: Optional[str] = None,
        code: str = "",
        labels: Optional[dict[str, Any]] = None,
    ) -> None:
        """Claims an alert; ``on`` is a service, as the snapshot gave it."""
        self._allowed("alert")
        self.alerts.append(Alert(
            name=_line("an alert's name", name),
            severity=_known("a severity", severity, SEVERITIES),
            server=on.server if on else server,
            service=on.service if on else None,
            code=str(code),
            summary=_line("an alert's summary", summary),
            labels=tuple((key, str(value)) for key, value in (labels or {}).items()),
        ))

    def note(self, line: str) -> None:
        """Says for people how it came to this: one line."""
        self.notes.append(_line("a note", line))

    def look_again(self, after: Union[int, str]) -> None:
        """Asks to be evaluated again after this time even if no fact has changed. The shortest counts."""
        ms = milliseconds(after)
        self.look_again_ms = ms if self.look_again_ms is None else min(self.look_again_ms, ms)

    def remember(self, value: Any) -> None:
        """Keeps a value until the next evaluation: anything that JSON can hold."""
        self.state = _to_bytes(value)

    def _propose(self, action: str, service: Optional[Service], reason: str) -> None:
        self._allowed(action)
        reason = _line("the reason of a proposal", reason)
        if service is None:
            self.proposals.append(Proposal(action, None, None, reason))
        else:
            self.proposals.append(Proposal(action, service.server, service.service, reason))

    def _allowed(self, grant: str) -> None:
        if grant not in self.needs:
            raise Misuse(f"the policy does not ask for the grant {grant!r}: add it to its needs")


def _to_bytes(value: Any) -> bytes:
    try:
        return json.dumps(value).encode()
    except (TypeError, ValueError) as error:
        raise Misuse(f"only what JSON can hold can be remembered: {error}") from error


def _from_bytes(state: bytes) -> Any:
    """What was remembered; None if nothing was. What is no JSON comes as it is: bytes."""
    if not state:
        return None
    try:
        return json.loads(state)
    except ValueError:
        return bytes(state)


# ---- the guest ----


class Configured:
    """What has settings: attributes of the class, made by ``flag``, ``integer`` and their like."""

    @classmethod
    def settings(cls) -> dict[str, Setting]:
        """Its settings by the names of their attributes, in their order."""
        found: dict[str, Setting] = {}
        for owner in reversed(cls.__mro__):
            found.update((name, it) for name, it in vars(owner).items() if isinstance(it, Setting))
        return found

    @classmethod
    def configured(cls, **given: Any) -> Any:
        """The guest with these settings, and the defaults of all others. Tests make it so, as the component does."""
        settings = cls.settings()
        unknown = [name for name in given if name not in settings]
        if unknown:
            raise Misuse(f"{cls.__name__} has no setting {unknown[0]!r}: there is {_listed(settings)}")
        guest = cls()
        for name, setting in settings.items():
            setattr(guest, name, given.get(name, setting.default))
        return guest


def _named(what: str, guest: Any) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", _line(f"{what}'s name", guest.name)):
        raise Misuse(f"{what}'s name is in kebab case, such as \"job-window\", not {guest.name!r}")
    _line(f"{what}'s version", guest.version)
    _line(f"{what}'s summary", guest.summary)


# ---- the policy ----


class Policy(Configured):
    """A policy. Settings are attributes of the class, made by ``flag``, ``integer`` and their like."""

    name: str = ""
    version: str = ""
    summary: str = ""
    needs: tuple[Grant, ...] = ()

    def evaluate(self, snapshot: Snapshot, state: Any, answer: Answer) -> None:
        """Turns a snapshot into proposals, holds and alerts. ``state`` is what was last remembered, None before."""
        raise NotImplementedError("a policy has to have a method evaluate(self, snapshot, state, answer)")

    def migrate(self, from_version: str, state: Any) -> Any:
        """Takes over the state of another version, when this one replaces it. By default the state is taken as it is."""
        return state


def _check(policy: type[Policy]) -> None:
    _named("a policy", policy)
    if isinstance(policy.needs, str):
        raise Misuse("a policy's needs are a list of grants")
    for grant in policy.needs:
        _known("a grant", grant, GRANTS)


def export(policy: type[Policy]) -> Any:
    """Makes the component's exports of a policy: ``WitWorld = export(JobWindow)``. Outside of a component, such as in
    a test, there is nothing to export to, and only the definition is checked."""
    _check(policy)
    try:
        from . import _wire
    except ModuleNotFoundError as error:
        if error.name != "wit_world":
            raise
        return policy
    return _wire.world(policy)
