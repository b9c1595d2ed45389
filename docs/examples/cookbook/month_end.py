"""Holds everything on the last days of a month, when the books are closed."""

from datetime import datetime, timedelta, timezone

from watchkeeper import Answer, Policy, Snapshot, export, integer


class Rule(Policy):
    name = "month-end"
    version = "1.0.0"
    summary = "Holds everything on the last days of a month."
    needs = ("hold",)

    days = integer("How many days at the end of a month.", 2, min=1, max=15)

    def evaluate(self, snapshot: Snapshot, state: object, answer: Answer) -> None:
        now = datetime.fromtimestamp(snapshot.time() / 1000, timezone.utc)
        if (now + timedelta(days=self.days)).month != now.month:
            answer.hold("the month ends: an operator decides")
        midnight = now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        answer.look_again(int((midnight - now).total_seconds() * 1000))


WitWorld = export(Rule)
