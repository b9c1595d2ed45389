"""Opens an incident for what is wrong, adds a note when there is news, and closes it when all is over."""

from watchkeeper.notifier import (
    CannotAnswer, Next, Notification, Notifier, Response, delivered, export, http, judge, retry, text,
)


class Incidents(Notifier):
    name = "{{name}}"
    version = "0.1.0"
    summary = "Opens, notes and closes incidents."

    # What the configuration can set. The texts are what an administrator reads.
    url = text("The API, such as `https://incidents.example.com/v1`. Its host has to be granted.")
    token = text("The token of the API, as a secret.")
    team = text("The team that takes care of it.", "operations")

    def start(self, notification: Notification) -> Next:
        """What is asked for first. Nothing is sent here: the engine does it, if the host is granted."""
        if not self.url:
            raise CannotAnswer('the setting "url" is empty')
        # What `resume` gave as delivered comes back with the next notification: the incident's number.
        incident = (notification.memory or {}).get("incident")
        if incident is None and not notification.is_firing:
            # It was over before anybody was told.
            return delivered()
        body, path = {}, ""
        if incident is None:
            body = {"title": notification.headline(), "team": self.team, "severity": notification.severity()}
        else:
            path = f"/{incident}/" + ("notes" if notification.is_firing else "close")
        headers = {
            "authorization": self.token and f"Bearer {self.token}",
            # The same in each attempt: what arrives twice is one incident all the same.
            "idempotency-key": notification.idempotency_key,
        }
        body["text"] = notification.text()
        return http("POST", f"{self.url}/incidents{path}", headers=headers, json=body, state={"incident": incident})

    def resume(self, response: Response, state: dict) -> Next:
        """What is made of the answer. ``state`` is what went with the request: the incident's number, if it was known."""
        if not response.is_taken:
            # Busy, or refused.
            return judge(response)
        incident = state["incident"] or (response.json() or {}).get("id")
        if incident is None:
            return retry("the answer does not say which incident was opened")
        return delivered({"incident": str(incident)})


WitWorld = export(Incidents)
