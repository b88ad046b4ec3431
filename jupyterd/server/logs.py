"""How Jupyter's lines look: for the journal a level in front of each line, for a terminal the time and the level.

The journal has its own time stamps and stores each line apart (sd-daemon(3), "<6>" and so on).
"""

from __future__ import annotations

import functools
import logging
import re
from typing import Any

from jupyterd import text
from jupyterd.server.http.caller import CALLER
from jupyterd.server.http.log_limit import BOUNDED, LogLimit

OWN = "JupyterdServerApp"
"""The name of the server's own logger: it goes without saying."""

_ECHOES = ("wrote error", "Uncaught exception in write_error")
"""What Jupyter and tornado say, beside the line about a request, when they make the page for its error."""
LONGEST = 300
"""Characters of a line about a stranger."""
NEW_LINE = "\n"

_CHATTER = re.compile(
    r"""
    .*extension\ was\ successfully\ (linked|loaded)\.?$ | Extension\ Manager\ is\ 'pypi'
    | JupyterLab\ (extension\ loaded\ from|application\ directory\ is) | Build\ is\ up\ to\ date
    | Connecting\ to\ kernel | Adapting\ from\ protocol\ version  # at each reload of a page
    | Saving\ file\ at  # every two minutes, while a cell prints
    | 30\d\ (GET|HEAD|POST)  # a page that moved, a login: who may not get in is said apart
    """,
    re.VERBOSE,
)
"""What Jupyter says, at INFO, about things that work."""
_HARMLESS = re.compile(
    r"""
    # JupyterLab asks each server for language servers.
    404\ GET\ \S*/lsp/status\b
    # Jupyter gives tornado milliseconds for seconds; Jupyter's own pings are right.
    | The\ websocket_ping_timeout\ \(\d+\)\ cannot
    # The browser shows its warning, and goes on refusing some connections after the user has accepted.
    | SSL\ Error\ on\ .*\ alert\ (certificate\ (unknown|expired)|unknown\ ca|bad\ certificate)\b
    # A page was left while its kernel said something (pyzmq).
    | Got\ events\ for\ closed\ stream
    # A link that leads nowhere, or a file that was just renamed: at each look into a directory.
    | .*\ doesn't\ exist$
    """,
    re.VERBOSE,
)
"""What they say at WARNING although nobody has to do anything."""
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7))


class JournalFormatter(logging.Formatter):
    """`<4>name: text`, the prefix on each line of a message or traceback."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One record, one or more lines."""
        prefix = f"<{_priority(record.levelno)}>"
        return "\n".join(prefix + line for line in _named(record, super().format(record)).splitlines() or [""])


class TerminalFormatter(logging.Formatter):
    """`12:34:56 warning name: text`."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__("%(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()} "
        return f"{self.formatTime(record, '%H:%M:%S')} {level}{_named(record, super().format(record))}"


class Chatter(logging.Filter):
    """Leaves out what nobody has to read (with log_level = "DEBUG" it is there); what fails is still said."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        left_out = {logging.INFO: _CHATTER, logging.WARNING: _HARMLESS}.get(record.levelno)
        if left_out is None or not left_out.match(record.getMessage()):
            return True
        # traitlets sets the level of the handler, not of the logger.
        return any(each.level <= logging.DEBUG for each in logging.getLogger(OWN).handlers)


class Strangers(logging.Filter):
    """Bounds what somebody without a login can make the server say, whoever says it: one record for each request, 60 a
    minute in all, each of them one short line without control characters and without a stack.
    """

    def __init__(self) -> None:
        super().__init__()
        tell = functools.partial(logging.getLogger("tornado").warning, extra=BOUNDED)
        self._budget = LogLimit(tell, "lines about requests and connections without a login")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; it may be shortened."""
        caller = CALLER.get()
        if BOUNDED.keys() <= vars(record).keys() or (caller is not None and caller.known):
            return True
        if caller is None:  # the server's own; but tornado tells of broken connections when they are gone
            if record.name != "tornado.general" or record.levelno > logging.WARNING:
                return True
        elif caller.told or str(record.msg).startswith(_ECHOES):
            return False
        else:
            caller.told = True
        if not self._budget.take():
            return False
        _shorten(record)
        return True


def _shorten(record: logging.LogRecord) -> None:
    try:
        said = record.getMessage()
    except (TypeError, ValueError):  # arguments that do not fit: logging itself would print a stack
        said = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        said = f"{said.partition(NEW_LINE)[0]}: {type(error).__name__}: {error}"
    line = text.printable(said[: 2 * LONGEST])
    record.msg, record.args = line if len(line) <= LONGEST else f"{line[:LONGEST]}...", ()
    record.exc_info = record.exc_text = record.stack_info = None


class Sentences(logging.Filter):
    """An error whose text is for people and says all (`is_sentence`) gets one line and no traceback: Jupyter logs it in
    each layer that it passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown; takes its traceback away."""
        error = record.exc_info[1] if isinstance(record.exc_info, tuple) else None
        if error is None or not getattr(error, "is_sentence", False):
            return True
        record.exc_info = None
        first = not getattr(error, "was_logged", False)
        error.was_logged = True  # type: ignore[attr-defined]  # errors take any attribute
        return first


def traits(mode: str) -> dict[str, Any]:
    """The Jupyter configuration that makes the server and every extension write this way."""
    formatter = JournalFormatter if mode == "journal" else TerminalFormatter
    console = {"class": f"{formatter.__module__}.{formatter.__name__}", "format": "%(message)s"}
    strangers = Strangers()  # one budget, whatever applications extensions make
    logging_config = {
        "formatters": {"console": console},
        "filters": {
            **{each.__name__.lower(): {"()": f"{__name__}.{each.__name__}"} for each in (Chatter, Sentences)},
            "strangers": {"()": lambda: strangers},
        },
        "handlers": {"console": {"filters": ["chatter", "strangers", "sentences"]}},
        "root": {"handlers": ["console"], "level": "WARNING"},  # asyncio, and libraries that know no Jupyter
    }
    return {"Application": {"logging_config": logging_config}}


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _named(record: logging.LogRecord, said: str) -> str:
    return said if record.name in (OWN, "root") else f"{record.name}: {said}"
