"""What a notifier is told: a notification and its alerts, with what plugins say of them in the same words."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

Severity = Literal["info", "warning", "critical"]
Status = Literal["firing", "resolved"]
Cause = Literal["first", "news", "repeat", "over", "escalated"]

_SEVERITIES = Severity.__args__


def rfc3339(ms: int) -> str:
    """A moment in milliseconds since 1970-01-01T00:00:00Z as RFC 3339 writes it, to the second."""
    day, second = ms // 86_400_000, ms // 1000 % 86_400
    # By the rule of Howard Hinnant's note on date algorithms: a year that begins in March has its leap day at its end.
    era, of_era = divmod(day + 719_468, 146_097)
    year_of_era = (of_era - of_era // 1460 + of_era // 36_524 - of_era // 146_096) // 365
    of_year = of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    march = (5 * of_year + 2) // 153
    date = of_year - (153 * march + 2) // 5 + 1
    month = march + 3 if march < 10 else march - 9
    year = year_of_era + era * 400 + (month <= 2)
    return f"{year:04}-{month:02}-{date:02}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}Z"


_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def http_date(given: str) -> Optional[int]:
    """The seconds since 1970-01-01T00:00:00Z of a date in an HTTP header, in the form that RFC 9110 (5.6.7) wants senders to
    use: ``Sun, 06 Nov 1994 08:49:37 GMT``."""
    found = re.fullmatch(r"\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT", given)
    if found is None or found[2] not in _MONTHS:
        return None
    month, date = _MONTHS.index(found[2]) + 1, int(found[1])
    year = int(found[3]) - (month <= 2)
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + date - 1
    days = year * 365 + year // 4 - year // 100 + year // 400 + of_year - 719_468
    return days * 86_400 + int(found[4]) * 3600 + int(found[5]) * 60 + int(found[6])


def human(ms: int) -> str:
    """A duration in milliseconds for people, in its two largest units: ``4 min 10 s``."""
    seconds = ms // 1000
    if seconds == 0:
        return f"{ms} ms"
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    if seconds < 86_400:
        return f"{seconds // 3600} h {seconds // 60 % 60} min"
    return f"{seconds // 86_400} d {seconds // 3600 % 24} h"


def cut(text: str, most: int) -> str:
    """The text with at most ``most`` characters, the mark of a cut counted."""
    mark = " ..."
    return text if len(text) <= most else text[: max(most - len(mark), 0)].rstrip() + mark


def flat(text: str) -> str:
    """The text as one line: what would end or disturb a line becomes a space."""
    return re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text)


@dataclass(frozen=True)
class Alert:
    """An alert. Times are milliseconds since 1970-01-01T00:00:00Z; what there is none of is empty."""

    fingerprint: str
    status: Status
    news: bool
    name: str
    severity: Severity
    cluster: str
    server: str
    service: str
    code: str
    summary: str
    details: str
    source: str
    labels: dict[str, str]
    starts_at: int
    ends_at: Optional[int]
    acknowledged_by: str

    @property
    def is_firing(self) -> bool:
        """Whether it is there, and not over."""
        return self.status == "firing"

    def place(self) -> str:
        """What it is about: the cluster, the server and the service, as far as there are any."""
        return " / ".join(part for part in (self.cluster, self.server, self.service) if part)

    def span(self) -> str:
        """How long it has lasted, as people read it."""
        since = rfc3339(self.starts_at)
        if self.ends_at is None:
            return since
        return f"{since} until {rfc3339(self.ends_at)} ({human(max(self.ends_at - self.starts_at, 0))})"

    def facts(self) -> list[tuple[str, str]]:
        """What there is to know beside the summary and the details: names and values."""
        own = [
            ("alert", self.name),
            ("status", self.status),
            ("severity", self.severity),
            ("code", self.code),
            ("on", self.place()),
            ("since", self.span()),
            ("acknowledged by", self.acknowledged_by),
            ("source", self.source),
        ]
        taken = {"summary", "details", *(name for name, _ in own)}
        labels = [(f"label {name}" if name in taken else name, value) for name, value in self.labels.items()]
        return [(name, value) for name, value in own + labels if value]

    def text(self) -> str:
        """Its summary, facts and details as plain text."""
        lines = [self.summary, *(f"{name}: {value}" for name, value in self.facts())]
        return "\n".join(lines + ([self.details] if self.details else []))


_OCCASIONS = {
    "first": "it has begun",
    "news": "something in it has changed",
    "over": "something in it has changed",
    "repeat": "it is still so",
    "escalated": "another receiver could not be told",
}


@dataclass(frozen=True)
class Notification:
    """What is to be told: a group of alerts, or one alert by itself."""

    idempotency_key: str
    group_key: str
    group_labels: dict[str, str]
    cause: Cause
    status: Status
    alerts: list[Alert]
    more: int = 0
    #: What was given as delivered with the notification before of this group; None before.
    memory: Any = None
    queued_at: int = 0
    monitor: str = field(default="")

    @property
    def is_firing(self) -> bool:
        """Whether anything in it is there, and not over."""
        return self.status == "firing"

    def firing(self) -> list[Alert]:
        """The alerts that fire, in their order: what is news first, and of that the worst."""
        return [alert for alert in self.alerts if alert.is_firing]

    def over(self) -> list[Alert]:
        """The alerts that are over."""
        return [alert for alert in self.alerts if not alert.is_firing]

    def count(self) -> int:
        """How many fire, those that are not in here counted too."""
        return len(self.firing()) + self.more

    def foremost(self) -> Alert:
        """The alert that matters most: the worst that fires, and else the worst that is over."""
        # Of equals the first, which is news or has lasted longer.
        return max(self.firing() or self.over(), key=lambda alert: _SEVERITIES.index(alert.severity))

    def severity(self) -> Severity:
        """The worst severity of what fires; of what is over, if nothing does."""
        return self.foremost().severity

    def is_acknowledged(self) -> bool:
        """Whether something fires, and somebody takes care of all that does."""
        firing = self.firing()
        return self.more == 0 and bool(firing) and all(alert.acknowledged_by for alert in firing)

    def headline(self) -> str:
        """One line for people: what it is if it is one alert, else how many and which is the worst."""
        foremost = self.foremost()
        others = (self.count() if self.is_firing else len(self.alerts)) - 1
        beside = "" if others <= 0 else " (and 1 other alert)" if others == 1 else f" (and {others} other alerts)"
        return (f"{foremost.cluster}: " if foremost.cluster else "") + foremost.summary + beside

    def occasion(self) -> str:
        """Why it is told, for people."""
        return _OCCASIONS[self.cause] if self.is_firing else "it is over"

    def text(self) -> str:
        """The whole as plain text: the headline, why it is told, and each alert."""
        parts = [f"{self.headline()}\nTold because {self.occasion()}.", *(alert.text() for alert in self.alerts)]
        if self.more > 0:
            parts.append(f"Further alerts that fire in this group: {self.more}.")
        return "\n\n".join([*parts, f"Watchkeeper on {self.monitor}"])
