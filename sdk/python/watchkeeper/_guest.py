"""What every guest needs between Python and the host, whatever its world: settings, mistakes told with their place, lines
in the daemon's log, and no clock. It can be imported only in a component.
"""

import os
import sys
import time

from componentize_py_types import Err

from . import CannotAnswer, Misuse, Setting

_HERE = os.path.dirname(__file__)


def word(case):
    """An enumeration's case in the words of output."""
    return case.name.lower().replace("_", "-")


def case(enum, word):
    """The case of that word."""
    return enum[word.upper().replace("-", "_")]


def settings(types, all):
    """Settings by name, as the contract has them."""
    return [types.Setting(name.replace("_", "-"), it.doc, _kind(types, it)) for name, it in all.items()]


def _kind(types, setting: Setting):
    bounds = types.IntegerSetting(setting.default, setting.min, setting.max)
    return {
        "flag": lambda: types.SettingKind_Flag(setting.default),
        "integer": lambda: types.SettingKind_Integer(bounds),
        "duration": lambda: types.SettingKind_Duration(bounds),
        "text": lambda: types.SettingKind_Text(setting.default),
        "choice": lambda: types.SettingKind_Choice(types.ChoiceSetting(setting.default, list(setting.options))),
        "texts": lambda: types.SettingKind_Texts(setting.default),
    }[setting.kind]()


# ---- mistakes ----


def explain(error: BaseException) -> str:
    """What went wrong, and where in the author's source."""
    if isinstance(error, CannotAnswer):
        return str(error)
    what = str(error) if isinstance(error, Misuse) else f"{type(error).__name__}: {error}"
    # By hand: the module traceback reads the source, and there are no files in a component.
    where, frame = "", error.__traceback__
    while frame is not None:
        path = frame.tb_frame.f_code.co_filename
        if not path.startswith(_HERE):
            where = f"{_source(path)}:{frame.tb_lineno}: "
        frame = frame.tb_next
    return where + what


def _source(path: str) -> str:
    """A path as the author knows it: componentize-py mounts each folder that it searches under a number."""
    parts = path.strip("/").split("/")
    return "/".join(parts[1:]) if parts[0].isdigit() and len(parts) > 1 else path


class _Lines:
    """A stream that writes to the daemon's log, a line at a time."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, log, level):
        self._log = log
        self._level = level
        self._rest = ""

    def write(self, text):
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._log.write(self._level, line)
        return len(text)

    def flush(self):
        pass

    def isatty(self):
        return False


def prepare(log, clock):
    """There is no stream and no clock behind Python's own: they would end the guest without a word. ``clock`` says what to
    read in its place."""

    def no_clock(*_given, **_named):
        raise Misuse(f"there is no clock but {clock}")

    sys.stdout = _Lines(log, log.Level.INFO)
    sys.stderr = _Lines(log, log.Level.WARN)
    for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "localtime", "gmtime"):
        setattr(time, name, no_clock)


class Border:
    """Runs what the host calls: what is raised becomes the contract's error."""

    def __init__(self, log, clock):
        self._log = log
        self._clock = clock
        self._prepared = False

    def answering(self, body):
        if not self._prepared:
            # In the component, not while it is built: there, what is printed should be seen.
            prepare(self._log, self._clock)
            self._prepared = True
        try:
            return body()
        except BaseException as error:
            raise Err(explain(error)) from None
