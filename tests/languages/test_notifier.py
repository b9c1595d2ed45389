"""The helpers for notifiers in Python: what is told, what is asked for, and what is made of answers."""

import json
import unittest

from watchkeeper import Misuse
from watchkeeper.alerts import Alert, Notification, cut, flat, http_date, human, rfc3339
from watchkeeper.notifier import (
    CommandResponse, HttpResponse, MailResponse, Notifier, _next, command, delivered, export, http, judge, mail, refused,
    retry, text, to_json, with_secrets,
)


def alert(**changes):
    given = dict(
        fingerprint="5f1d", status="firing", news=True, name="service-down", severity="critical", cluster="prod", server="dm1",
        service="rest", code="", summary="rest on dm1 is down", details="", source="data-mover-ha", labels={},
        starts_at=1_772_330_400_000, ends_at=None, acknowledged_by="",
    )
    return Alert(**{**given, **changes})


def told(**changes):
    given = dict(
        idempotency_key="k-1", group_key="aa", group_labels={"cluster": "prod"}, cause="first", status="firing", alerts=[alert()],
        monitor="vp1",
    )
    return Notification(**{**given, **changes})


class Shout(Notifier):
    name = "shout"
    version = "1.0.0"
    summary = "Tries."

    url = text("Where to.")

    def start(self, notification):
        return http("POST", self.url, json={"text": notification.headline()})


class Notifiers(unittest.TestCase):
    def test_no_text_of_an_alert_can_ask_for_a_secret_and_a_setting_can(self):
        self.assertEqual(to_json({"a": '{{secret "x"}} {{{'}), r'{"a":"{\u007bsecret \"x\"}} {\u007b\u007b"}')
        self.assertEqual(json.loads(to_json({"a": '{{secret "x"}}'})), {"a": '{{secret "x"}}'})
        self.assertEqual(to_json(with_secrets('"{{secret "x"}}" {{')), r'"\"{{secret "x"}}\" {\u007b"')
        self.assertEqual(to_json([1, None, True, "ä", {"b": []}]), '[1,null,true,"ä",{"b":[]}]')
        for wrong in (object(), float("nan")):
            with self.assertRaisesRegex(Misuse, "nothing that JSON can hold"):
                to_json(wrong)

    def test_requests(self):
        made = http("PATCH", "https://x", headers={"a": "", "b": "1"}, json={"x": "ä"}, state={"n": 1})
        self.assertEqual(made.request.headers, (("b", "1"), ("content-type", "application/json")))
        self.assertEqual((made.request.body.decode(), json.loads(made.kept)), ('{"x":"ä"}', {"n": 1}))
        self.assertEqual(command("page", arguments=[1], input="x").request.arguments, ("1",))
        self.assertEqual(mail("ada@example.com", "s", "t").request.to, ("ada@example.com",))
        self.assertEqual(delivered().kept, b"")
        for wrong, words in (
            (lambda: http("post", "https://x"), "a method is GET, .* not 'post'"),
            (lambda: http("GET", ""), "a URL has to be a text"),
            (lambda: retry("busy", after="soon"), "a duration is like"),
            (lambda: refused(""), "the reason has to be a text"),
            (lambda: _next("start", None), r"start has to return what is next: http\("),
        ):
            with self.assertRaisesRegex(Misuse, words):
                wrong()

    def test_answers_are_judged_by_their_status(self):
        def http_answer(status, headers=None, body=b""):
            return HttpResponse(status, headers or {}, body)

        self.assertEqual(judge(http_answer(204)).kind, "delivered")
        self.assertEqual((judge(http_answer(503)).kind, judge(http_answer(503)).reason), ("retry", "HTTP 503"))
        self.assertEqual(judge(http_answer(429, {"retry-after": " 30 "})).after_ms, 30_000)
        date = {"date": "Sun, 01 Mar 2026 23:59:50 GMT", "retry-after": "Mon, 02 Mar 2026 00:00:10 GMT"}
        self.assertEqual(http_answer(503, date).retry_after(), 20_000)
        self.assertIsNone(http_answer(503, {"retry-after": date["retry-after"]}).retry_after())
        self.assertIsNone(http_answer(503, {"retry-after": "soon"}).retry_after())
        self.assertEqual(judge(http_answer(404, body=b"no\nsuch hook\n")), refused("HTTP 404: no such hook"))
        self.assertIsNone(http_answer(200, body=b"\xff").json())
        ended = [judge(CommandResponse(code, b"")).reason for code in (0, 3, None)]
        self.assertEqual(ended, ["", "the command ended with 3", "the command was ended by a signal"])
        replied = [judge(MailResponse(code, "so")).kind for code in (250, 451, 550)]
        self.assertEqual(replied, ["delivered", "retry", "refused"])

    def test_a_notification_in_the_words_that_plugins_share(self):
        over = alert(
            severity="warning", summary="lag", status="resolved", ends_at=1_772_330_650_000, labels={"on": "x"}
        )
        it = told(alerts=[over, alert()], more=1, cause="news")
        self.assertEqual(it.headline(), "prod: rest on dm1 is down (and 1 other alert)")
        self.assertEqual(it.occasion(), "something in it has changed")
        self.assertIn("\nlabel on: x", it.text())
        self.assertIn("since: 2026-03-01T02:00:00Z until 2026-03-01T02:04:10Z (4 min 10 s)", it.text())
        self.assertTrue(it.text().endswith("\n\nFurther alerts that fire in this group: 1.\n\nWatchkeeper on vp1"))
        ended = told(alerts=[over], cause="over", status="resolved")
        self.assertEqual((ended.headline(), ended.occasion()), ("prod: lag", "it is over"))
        self.assertTrue(told(alerts=[alert(acknowledged_by="ada")]).is_acknowledged())
        self.assertFalse(it.is_acknowledged())
        moments = [rfc3339(ms) for ms in (0, 951_782_400_999, 4_107_542_399_999)]
        self.assertEqual(moments, ["1970-01-01T00:00:00Z", "2000-02-29T00:00:00Z", "2100-02-28T23:59:59Z"])
        spans = [human(ms) for ms in (0, 7, 59_999, 3_600_000, 90_000_000)]
        self.assertEqual(spans, ["0 ms", "7 ms", "59 s", "1 h 0 min", "1 d 1 h"])
        self.assertEqual((cut("äöüßäöüß", 7), cut("äöüß", 4), flat("a\nb\x1b[c\x85")), ("äöü ...", "äöüß", "a b [c "))
        self.assertEqual(http_date("Sun, 06 Nov 1994 08:49:37 GMT"), 784_111_777)
        self.assertIsNone(http_date("Sun, 06 Foo 1994 08:49:37 GMT"))

    def test_a_definition_and_its_settings(self):
        self.assertIs(export(Shout), Shout)
        self.assertEqual(Shout.configured(url="https://x").start(told()).request.url, "https://x")
        with self.assertRaisesRegex(Misuse, "a notifier's name is in kebab case"):
            export(type("Wrong", (Shout,), {"name": "Two Words"}))
        with self.assertRaises(NotImplementedError):
            Notifier().start(told())


if __name__ == "__main__":
    unittest.main()
