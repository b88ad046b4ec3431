"""How Jupyter's lines look: for the journal a level in front of each line, for a terminal the time and the level.

The journal has its own time stamps and stores each line apart (sd-daemon(3), "<6>" and so on).
"""

from __future__ import annotations

import logging
from typing import Any

from jupyterd.server.http.log_limit import LogLimit

OWN = "JupyterdServerApp"
"""The name of the server's own logger: it goes without saying."""

_CHATTER = ("extension was successfully linked", "extension was successfully loaded", "Extension Manager is 'pypi'")
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
    """Leaves out what Jupyter says at each start about extensions that work; what fails is still said."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        return record.levelno > logging.INFO or not record.getMessage().rstrip(".").endswith(_CHATTER)


class Strangers(logging.Filter):
    """Bounds what anybody can make tornado say: broken handshakes and requests, each a line."""

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()
        self._budget = LogLimit(logging.getLogger("tornado").warning, "connections spoke neither TLS nor HTTP properly")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        return record.name != "tornado.general" or record.levelno > logging.WARNING or self._budget.take()


def traits(mode: str) -> dict[str, Any]:
    """The Jupyter configuration that makes the server and every extension write this way."""
    formatter = JournalFormatter if mode == "journal" else TerminalFormatter
    console = {"class": f"{formatter.__module__}.{formatter.__name__}", "format": "%(message)s"}
    logging_config = {
        "formatters": {"console": console},
        "filters": {each.__name__.lower(): {"()": f"{__name__}.{each.__name__}"} for each in (Chatter, Strangers)},
        "handlers": {"console": {"filters": ["chatter", "strangers"]}},
    }
    return {"Application": {"logging_config": logging_config}}


def _priority(level: int) -> int:
    return next((priority for least, priority in _PRIORITIES if level >= least), 7)


def _named(record: logging.LogRecord, text: str) -> str:
    return text if record.name in (OWN, "root") else f"{record.name}: {text}"
