"""The helpers for Python, without a component: what is written wrong is said, and what is written right is kept."""

import unittest

from watchkeeper import (
    Answer, CannotAnswer, Policy, Snapshot, choice, duration, export, flag, integer, milliseconds, text,
)
from watchkeeper import Misuse, Service, State, _from_bytes, _to_bytes


class Tries(Policy):
    name = "a-policy"
    version = "1.0.0"
    summary = "Tries."
    needs = ("alert",)

    times = integer("How\n   often.", 3, min=1, max=5)
    wait = duration("How long.", "1m")
    mode = choice("How.", "soft", "hard")

    def evaluate(self, snapshot, state, answer):
        answer.note(f"{self.times} {self.wait} {self.mode}")


class Helpers(unittest.TestCase):
    def test_durations(self):
        self.assertEqual([milliseconds(it) for it in ("250ms", "30s", "1h30m", 7)], [250, 30_000, 5_400_000, 7])
        for wrong in ("", "5", "5 m", "-5m", "m", "5mm", -1, 1.5, None, True):
            with self.assertRaisesRegex(Misuse, "a duration is like", msg=repr(wrong)):
                milliseconds(wrong)

    def test_settings_are_the_policys_and_have_defaults(self):
        self.assertEqual(list(Tries.settings()), ["times", "wait", "mode"])
        self.assertEqual(Tries.settings()["times"].doc, "How often.")
        answer = Answer()
        Tries.configured(times=5).evaluate(None, None, answer)
        self.assertEqual(answer.notes, ["5 60000 soft"])
        with self.assertRaisesRegex(Misuse, "no setting 'tims'"):
            Tries.configured(tims=1)

    def test_a_definition_that_is_wrong_is_refused_by_name(self):
        for changes, words in (
            ({"name": "Two Words"}, "kebab case"),
            ({"summary": ""}, "summary has to be a text"),
            ({"needs": ("alerts",)}, "a grant is .* not 'alerts'"),
            ({"needs": "alert"}, "a list of grants"),
        ):
            with self.assertRaisesRegex(Misuse, words):
                export(type("Wrong", (Tries,), changes))
        with self.assertRaisesRegex(Misuse, "whole numbers"):
            integer("x", 1.5)
        with self.assertRaisesRegex(Misuse, "doc has to be a text"):
            text("")
        self.assertIs(export(Tries), Tries)
        self.assertFalse(flag("x", False).default)

    def test_filters_are_checked_and_completed(self):
        asked = []

        class Facts:
            def services(self, wanted):
                asked.append(wanted)
                return []

        snapshot = Snapshot(Facts())
        snapshot.services()
        snapshot.services(place="standby", status="down", expected=False)
        self.assertEqual([it.statuses for it in asked], [("up", "down", "unknown"), ("down",)])
        for wrong in ({"service": "agents"}, {"status": "dwon"}, {"status": ["up", "dwon"]}, {"place": "here"}):
            with self.assertRaises(Misuse):
                snapshot.services(**wrong)

    def test_states(self):
        state = State("down", "refused", "", 0, 3, 0)
        self.assertTrue(state.down_for(3) and not state.down_for(4) and not state.up_for(1) and not state.is_up)

    def test_what_is_remembered_comes_back_and_other_bytes_stay_bytes(self):
        self.assertEqual(_from_bytes(_to_bytes({"text": "ä€😀"})), {"text": "ä€😀"})
        self.assertIsNone(_from_bytes(b""))
        self.assertEqual(_from_bytes(b"\xff\x01"), b"\xff\x01")
        with self.assertRaises(Misuse):
            _to_bytes(object())

    def test_an_answer_needs_its_grants(self):
        answer = Answer(needs=("alert",))
        with self.assertRaisesRegex(Misuse, "does not ask for the grant 'hold'"):
            answer.hold("x")
        agent = Service("dm1", "agent", "active", True, False, State("down", "", "", 0, 1, 0))
        answer.critical("lost", "it is lost", on=agent, labels={"n": 1})
        self.assertEqual((answer.alerts[0].server, answer.alerts[0].labels), ("dm1", (("n", "1"),)))
        answer.look_again("1m")
        answer.look_again("1h")
        self.assertEqual(answer.look_again_ms, 60_000)
        self.assertTrue(issubclass(CannotAnswer, Exception))


if __name__ == "__main__":
    unittest.main()
