"""What authors of notifiers in Python write against: the contract in sdk/wit, with words checked and helpers beside them.

It needs nothing of the host, so a notifier can be imported and tested by any Python. What crosses the border to the host is
in ``_notifier_wire``. Whatever is wrong with a definition is raised while the component is built; whatever goes wrong in a
delivery becomes a failed attempt, with the place in the author's source as its reason.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Iterable, Literal, Mapping, Optional, Union

from . import (
    CannotAnswer, Configured, Misuse, _from_bytes, _line, _listed, _named, _to_bytes, choice, duration, flag, integer,
    milliseconds, text, texts,
)
from .alerts import Alert, Notification, cut, flat, http_date, human, rfc3339

__all__ = [
    "Alert", "CannotAnswer", "CommandResponse", "HttpResponse", "MailResponse", "Next", "Notification", "Notifier", "Response",
    "choice", "command", "cut", "delivered", "duration", "export", "flag", "flat", "http", "human", "integer", "judge", "mail",
    "refused", "retry", "rfc3339", "text", "texts", "to_json", "with_secrets",
]

Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
METHODS = Method.__args__
Body = Union[str, bytes]

#: How much of a receiver's answer is told to people, in characters.
_EXCERPT = 200


# ---- JSON ----


@dataclass(frozen=True)
class _WithSecrets:
    text: str


def with_secrets(given: str) -> Any:
    """Marks the text of a setting, for a JSON body: ``{{secret "NAME"}}`` in it stays as it is, so that the engine finds
    it. Never for what comes out of an alert."""
    return _WithSecrets(given)


def _quoted(given: str) -> str:
    """Two braces in a row are written as an escape, which readers of JSON take for the same: an alert's text may come from
    a server, and must not ask for a secret."""
    return re.sub(r"(?<=\{)\{", r"\\u007b", json.dumps(given, ensure_ascii=False))


def to_json(value: Any) -> str:
    """A value as JSON."""
    if isinstance(value, _WithSecrets):
        parts = re.split(r'(\{\{secret ".*?"\}\})', value.text)
        return '"' + "".join(part if i % 2 else _quoted(part)[1:-1] for i, part in enumerate(parts)) + '"'
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_quoted(str(key))}:{to_json(it)}" for key, it in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Misuse(f"{value!r} is nothing that JSON can hold") from error


# ---- what is next ----


@dataclass(frozen=True)
class HttpRequest:
    """An HTTP request, as ``http`` makes it."""

    method: Method
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True)
class CommandRequest:
    """A command, as ``command`` makes it."""

    name: str
    arguments: tuple[str, ...]
    input: bytes


@dataclass(frozen=True)
class MailRequest:
    """An e-mail, as ``mail`` makes it."""

    to: tuple[str, ...]
    subject: str
    text: str
    html: Optional[str]
    attachments: tuple[tuple[str, str, bytes], ...]
    thread: str


@dataclass(frozen=True)
class Next:
    """What is next: ``send``, ``delivered``, ``retry`` or ``refused``."""

    kind: str
    request: Union[None, HttpRequest, CommandRequest, MailRequest] = None
    #: What goes with a request, or is remembered.
    kept: bytes = b""
    reason: str = ""
    after_ms: Optional[int] = None


def _body(given: Body) -> bytes:
    return given if isinstance(given, bytes) else given.encode("utf-8", "replace")


def _kept(value: Any) -> bytes:
    return b"" if value is None else _to_bytes(value)


def http(
    method: Method,
    url: str,
    *,
    headers: Optional[Mapping[str, str]] = None,
    json: Any = None,
    body: Body = b"",
    state: Any = None,
) -> Next:
    """Asks for an HTTP request. A header whose value is empty is left out; ``json`` is any value and brings its content type
    along; ``state`` is what ``resume`` gets back."""
    if method not in METHODS:
        raise Misuse(f"a method is {_listed(METHODS)}, not {method!r}")
    all_headers = [(name, str(value)) for name, value in (headers or {}).items() if value]
    if json is not None:
        all_headers.append(("content-type", "application/json"))
        body = to_json(json)
    request = HttpRequest(method, _line("a URL", url), tuple(all_headers), _body(body))
    return Next("send", request, _kept(state))


def command(name: str, *, arguments: Iterable[str] = (), input: Body = b"", state: Any = None) -> Next:
    """Asks for a command that the configuration names."""
    request = CommandRequest(_line("a command's name", name), tuple(map(str, arguments)), _body(input))
    return Next("send", request, _kept(state))


def mail(
    to: Iterable[str],
    subject: str,
    text: str,
    *,
    html: Optional[str] = None,
    attachments: Iterable[tuple[str, str, Body]] = (),
    thread: str = "",
    state: Any = None,
) -> Next:
    """Asks for an e-mail. An attachment is its name, its MIME type and its content."""
    attached = tuple((name, content_type, _body(content)) for name, content_type, content in attachments)
    recipients = (to,) if isinstance(to, str) else tuple(to)
    request = MailRequest(recipients, _line("a subject", subject), text, html, attached, thread)
    return Next("send", request, _kept(state))


def delivered(memory: Any = None) -> Next:
    """The receiver has it. What is given, anything that JSON can hold, comes back as ``memory`` with the next notification of
    the group."""
    return Next("delivered", kept=_kept(memory))


def retry(reason: str, *, after: Union[None, int, str] = None) -> Next:
    """Not now. ``after`` is like ``"30s"``, or milliseconds; without it, it is left to the engine when."""
    after_ms = None if after is None else milliseconds(after)
    return Next("retry", reason=_line("the reason", reason), after_ms=after_ms)


def refused(reason: str) -> Next:
    """Never: it would be refused again."""
    return Next("refused", reason=_line("the reason", reason))


# ---- answers ----


@dataclass(frozen=True)
class HttpResponse:
    """What came back of an HTTP request. Headers have their names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    def said(self) -> str:
        """The body as a text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """What the body holds as JSON; None if it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def is_taken(self) -> bool:
        """Whether the other side has taken it: 2xx."""
        return 200 <= self.status < 300

    def retry_after(self) -> Optional[int]:
        """After how many milliseconds it wants to be asked again, if it says so (RFC 9110, 10.2.3)."""
        after = self.headers.get("retry-after", "").strip()
        if re.fullmatch(r"[0-9]{1,9}", after):
            return int(after) * 1000
        then, now = http_date(after), http_date(self.headers.get("date", "").strip())
        return None if then is None or now is None else max((then - now) * 1000, 0)


@dataclass(frozen=True)
class CommandResponse:
    """How a command ended: its exit code, None if a signal ended it, and what it printed."""

    exit: Optional[int]
    output: bytes

    def said(self) -> str:
        """The output as a text."""
        return self.output.decode("utf-8", "replace")

    @property
    def is_taken(self) -> bool:
        """Whether it ended with 0."""
        return self.exit == 0


@dataclass(frozen=True)
class MailResponse:
    """What the mail server said in the end."""

    code: int
    text: str

    def said(self) -> str:
        """Its text."""
        return self.text

    @property
    def is_taken(self) -> bool:
        """Whether it has taken it: 2yz."""
        return 200 <= self.code < 300


Response = Union[HttpResponse, CommandResponse, MailResponse]


def judge(response: Response) -> Next:
    """What an answer means by its status: 2xx is delivered; 408, 425, 429 and 5xx are worth another try, when the receiver
    says so if it does; anything else would be refused again. A command is judged by its exit code, an e-mail by the
    server's reply."""
    if response.is_taken:
        return delivered()
    if isinstance(response, HttpResponse):
        excerpt = flat(response.said()[:_EXCERPT]).strip()
        said = f"HTTP {response.status}" + (f": {excerpt}" if excerpt else "")
        if response.status in (408, 425, 429) or 500 <= response.status < 600:
            return retry(said, after=response.retry_after())
        return refused(said)
    if isinstance(response, CommandResponse):
        ended = "was ended by a signal" if response.exit is None else f"ended with {response.exit}"
        return retry(f"the command {ended}")
    said = f"{response.code} {response.text}"
    return refused(said) if response.code >= 500 else retry(said)


# ---- the notifier ----


class Notifier(Configured):
    """A notifier. Settings are attributes of the class, made by ``flag``, ``text`` and their like."""

    name: str = ""
    version: str = ""
    summary: str = ""

    def start(self, notification: Notification) -> Next:
        """Begins a delivery: what is asked for first."""
        raise NotImplementedError("a notifier has to have a method start(self, notification)")

    def resume(self, response: Response, state: Any) -> Next:
        """Goes on after an answer. ``state`` is what went with the request. By default the answer is judged by its status."""
        return judge(response)


def _next(what: str, given: Any) -> Next:
    if not isinstance(given, Next):
        raise Misuse(
            f"{what} has to return what is next: http(...), command(...), mail(...), delivered(), retry(...) or refused(...)"
        )
    return given


def export(notifier: type[Notifier]) -> Any:
    """Makes the component's exports of a notifier: ``WitWorld = export(Chat)``. Outside of a component, such as in a test,
    there is nothing to export to, and only the definition is checked."""
    _named("a notifier", notifier)
    try:
        from . import _notifier_wire
    except ModuleNotFoundError as error:
        if error.name != "wit_world":
            raise
        return notifier
    return _notifier_wire.world(notifier)
