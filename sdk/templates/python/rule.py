"""Starts REST again on the active side, and tells so."""

from watchkeeper import Answer, Policy, Snapshot, export, integer, text


class Rule(Policy):
    name = "{{name}}"
    version = "0.1.0"
    summary = "Starts REST again on the active side, and tells so."
    needs = ("rescue", "alert")

    # What the configuration can set. The texts are what an administrator reads.
    confirmations = integer(
        "How many times in a row REST has to be found down before it is started again.", 3, min=1, max=100
    )
    code = text("The code of the alert rest-down.")

    def evaluate(self, snapshot: Snapshot, state: object, answer: Answer) -> None:
        for rest in snapshot.services(place="active", service="rest", status="down", expected=True):
            # What an operator has in maintenance is not judged.
            if rest.maintenance or not rest.state.down_for(self.confirmations):
                continue
            answer.rescue(rest, "REST does not serve")
            answer.critical(
                "rest-down",
                f"REST on {rest.server} does not serve: {rest.state.detail}",
                on=rest,
                code=self.code,
            )


WitWorld = export(Rule)
