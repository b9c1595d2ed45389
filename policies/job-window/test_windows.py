"""The windows, by hand: no component is needed for that."""

import unittest

from rule import Rule
from windows import DAY, MINUTE, MONDAY, WEEK, BadWindow, Window

HOUR = 60 * MINUTE


class Windows(unittest.TestCase):
    def test_days(self):
        for text, days in [
            ("mon 01:00-02:00", {0}),
            ("mon-fri 01:00-02:00", {0, 1, 2, 3, 4}),
            ("sat-mon 01:00-02:00", {5, 6, 0}),
            ("daily 01:00-02:00", set(range(7))),
            (" 01:00-02:00 ", set(range(7))),
            ("SUN 01:00-02:00", {6}),
        ]:
            self.assertEqual(Window.parse(text).days, days, text)

    def test_what_is_no_window_is_said(self):
        for text, word in [
            ("", "is no window"),
            ("mon 1:00-2:00", "is no window"),
            ("mon, tue 01:00-02:00", "is no window"),
            ("foo 01:00-02:00", "not foo"),
            ("mon-foo 01:00-02:00", "not foo"),
            ("daily-mon 01:00-02:00", "every day"),
            ("mon 24:00-02:00", "no day has"),
            ("mon 01:60-02:00", "no day has"),
            ("mon 01:00-24:01", "no day has"),
        ]:
            with self.assertRaises(BadWindow, msg=text) as raised:
                Window.parse(text)
            self.assertIn(word, str(raised.exception))

    def test_open_and_closed_over_midnight_and_the_end_of_the_week(self):
        window = Window.parse("sun 22:00-04:00")
        self.assertEqual(window.lasts, 6 * HOUR)
        monday = MONDAY + 2900 * WEEK
        self.assertEqual(window.passed(monday + 3 * HOUR), 5 * HOUR)
        self.assertEqual(window.ahead(monday + 3 * HOUR), 6 * DAY + 19 * HOUR)
        self.assertEqual(window.passed(monday - 2 * HOUR), 0)
        self.assertEqual(window.ahead(monday - 2 * HOUR), WEEK)

    def test_a_window_of_a_whole_day(self):
        self.assertEqual(Window.parse("daily 00:00-24:00").lasts, DAY)
        self.assertEqual(Window.parse("daily 06:00-06:00").lasts, DAY)


class Definition(unittest.TestCase):
    def test_settings_have_the_names_that_the_page_has(self):
        names = [name.replace("_", "-") for name in Rule.settings()]
        with open("README.md", encoding="utf-8") as page:
            table = page.read().split("## Settings")[1]
        self.assertEqual([row.split("`")[1] for row in table.splitlines() if row.startswith("| `")], names)


if __name__ == "__main__":
    unittest.main()
