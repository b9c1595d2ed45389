"""Windows of time that come again every week, such as ``mon-fri 01:00-05:30``."""

from __future__ import annotations

import re
from dataclasses import dataclass

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
WEEK = 7 * DAY

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
# 1970-01-01 was a Thursday.
MONDAY = 4 * DAY

_FORM = re.compile(r"(?:(daily|[a-z]{3})(?:-([a-z]{3}))? )?(\d\d):(\d\d)-(\d\d):(\d\d)")


class BadWindow(ValueError):
    """A text that is no window."""


@dataclass(frozen=True)
class Window:
    """A window: the days on which it opens, when it does, counted from midnight, and for how long, in milliseconds."""

    text: str
    days: frozenset[int]
    opens: int
    lasts: int

    @classmethod
    def parse(cls, text: str) -> Window:
        """Reads ``mon-fri 01:00-05:30``, ``sat 22:00-04:00`` or ``daily 01:00-02:00``; no day is every day."""
        found = _FORM.fullmatch(text.strip().lower())
        if not found:
            raise BadWindow(f'{text!r} is no window: write "mon-fri 01:00-05:30", "sat 22:00-04:00" or "daily 01:00-02:00"')
        first, last, *clock = found.groups()
        from_hour, from_minute, to_hour, to_minute = map(int, clock)
        if from_hour > 23 or to_hour > 24 or max(from_minute, to_minute) > 59 or (to_hour == 24 and to_minute):
            raise BadWindow(f"{text!r} has a time that no day has")
        opens = (from_hour * 60 + from_minute) * MINUTE
        closes = (to_hour * 60 + to_minute) * MINUTE
        # One that closes before it opens goes over midnight.
        lasts = (closes - opens) % DAY or DAY
        return cls(text.strip(), cls._days(text, first, last), opens, lasts)

    @staticmethod
    def _days(text: str, first: str | None, last: str | None) -> frozenset[int]:
        if first in (None, "daily"):
            if last:
                raise BadWindow(f"{text!r}: daily is every day")
            return frozenset(range(7))
        for day in (first, last or first):
            if day not in DAYS:
                raise BadWindow(f"{text!r}: a day is one of {', '.join(DAYS)}, not {day}")
        start = DAYS.index(first)
        # Over the end of the week, too: sat-mon.
        count = (DAYS.index(last or first) - start) % 7 + 1
        return frozenset((start + i) % 7 for i in range(count))

    def passed(self, local: int) -> int:
        """How long ago it opened last, in milliseconds, at this local time."""
        into_week = (local - MONDAY) % WEEK
        return min((into_week - (day * DAY + self.opens)) % WEEK for day in self.days)

    def ahead(self, local: int) -> int:
        """How long until it opens next, in milliseconds; more than nothing."""
        into_week = (local - MONDAY) % WEEK
        return min((day * DAY + self.opens - into_week) % WEEK or WEEK for day in self.days)
