"""Looks ahead to the windows in which jobs have to run: tells while there is time when the cluster is not fit for one, and
can keep what does not matter from disturbing jobs that run well.
"""

from __future__ import annotations

from watchkeeper import (
    Answer, CannotAnswer, Policy, Service, Snapshot, duration, export, flag, integer, text, texts,
)
from windows import MINUTE, BadWindow, Window

# What a job needs on the active side, in the order in which one depends on the other.
NEEDED = ("repository", "activemq", "daemon", "rest")


class Rule(Policy):
    name = "job-window"
    version = "0.1.0"
    summary = "Tells before a window opens in which jobs have to run that the cluster is not fit for it."
    needs = ("hold", "alert")

    windows = texts(
        'When jobs have to run: "mon-fri 01:00-05:30", "sat 22:00-04:00" (over midnight), "daily 01:00-02:00".'
    )
    utc_offset = integer(
        "How many minutes the windows' clock is ahead of UTC. It does not follow daylight saving time.",
        0, min=-12 * 60, max=14 * 60,
    )
    lead = duration("How long before a window opens the cluster has to be fit for it.", "30m", min="0s", max="12h")
    agents = integer("How many agents have to serve.", 1, min=1, max=1000)
    standby = flag("Whether the standby has to be fit, too: its server and repository, for a failover in the window.", True)
    confirmations = integer("How many times in a row something has to be found so before it counts.", 3, min=1, max=100)
    hold = flag(
        "Whether to hold all actions while a window is open and everything that jobs need serves: what is proposed then "
        "can wait.",
        False,
    )
    code = text("The code of the alert job-window-at-risk.")

    def evaluate(self, snapshot: Snapshot, state: object, answer: Answer) -> None:
        local = snapshot.time() + self.utc_offset * MINUTE
        windows = self._windows()
        if not windows:
            return
        window = next((it for it in windows if it.passed(local) < it.lasts), None)
        if window is not None:
            answer.look_again(window.lasts - window.passed(local))
            self._judge(snapshot, answer, window, f"the window {window.text} is open", is_open=True)
            return
        window = min(windows, key=lambda it: it.ahead(local))
        ahead = window.ahead(local)
        if ahead > self.lead:
            answer.look_again(ahead - self.lead)
            return
        answer.look_again(ahead)
        self._judge(snapshot, answer, window, f"the window {window.text} opens soon", is_open=False)

    def _windows(self) -> list[Window]:
        try:
            return [Window.parse(each) for each in self.windows]
        except BadWindow as error:
            raise CannotAnswer(f"windows: {error}") from error

    def _judge(self, snapshot: Snapshot, answer: Answer, window: Window, when: str, *, is_open: bool) -> None:
        missing = self._missing_on_active(snapshot)
        risks = missing + (self._missing_on_standby(snapshot) if self.standby else [])
        if risks:
            severity = "critical" if missing and is_open else "warning"
            summary = f"{when}, and {'; '.join(risks)}"
            answer.alert(severity, "job-window-at-risk", summary, code=self.code, labels={"window": window.text})
        # What jobs need and does not serve is a reason to let others act, even before it is confirmed.
        if is_open and self.hold and not missing and not self._down_or_unknown(snapshot):
            answer.hold(f"jobs run well: {when}")

    def _missing_on_active(self, snapshot: Snapshot) -> list[str]:
        missing = []
        for service in self._down_or_unknown(snapshot):
            if service.state.down_for(self.confirmations):
                missing.append(f"{service} is down")
            elif service.state.unknown_for(self.confirmations):
                missing.append(f"nothing is known of {service}")
        agents = [it for it in snapshot.services(service="agent", expected=True) if not it.maintenance]
        wanted = min(self.agents, len(agents))
        possible = [it for it in agents if not it.state.down_for(self.confirmations)]
        if len(possible) < wanted:
            missing.append(f"{len(possible)} of {len(agents)} agents serve")
        return missing

    def _down_or_unknown(self, snapshot: Snapshot) -> list[Service]:
        """What jobs need on the active side and is not found up. What an operator has in maintenance is not judged."""
        found = snapshot.services(place="active", expected=True, status=("down", "unknown"))
        return [it for it in found if it.service in NEEDED and not it.maintenance]

    def _missing_on_standby(self, snapshot: Snapshot) -> list[str]:
        server = snapshot.server_at("standby")
        if server is None:
            return ["there is no standby"]
        if server.state.status != "up" and server.state.confirmations >= self.confirmations:
            return [f"the standby {server.name} cannot be reached"]
        found = snapshot.services(place="standby", service="repository", status="down")
        return [f"the standby's {it} is down" for it in found if it.state.down_for(self.confirmations) and not it.maintenance]


WitWorld = export(Rule)
