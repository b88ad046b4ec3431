"""Records as readable lines in a terminal, in place of the journal; colour only where it is wanted.

Children's output comes through pipes and is shown as `server | ...`, so that a lost terminal costs them nothing.
"""

from __future__ import annotations

import os
import time
from functools import partial

from jupyterd.core.effects import Record
from jupyterd.core.event_log import FIELD
from jupyterd.linux.lines import Lines
from jupyterd.supervisor.console_sink import Sink
from jupyterd.supervisor.poller import READ, Poller

_EVENTS_NAME = "jupyterd-events.json"
"""In the state directory: the event log, which is too long for a terminal."""
_LINE_MOST = 16384
_READ_BYTES = 65536
_WARNING = 4
_NOTICE = 5
_RED, _YELLOW, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[1m", "\x1b[0m"
_HARMLESS = dict.fromkeys((*range(9), *range(10, 32), 127, *range(128, 160)), "?")
"""Control characters other than tab: what a child prints must not move the cursor or paint the screen."""
_LEVEL = "<>"


class Console:
    """Owns the reading ends of the children's pipes."""

    def __init__(self, poller: Poller, sink: Sink) -> None:
        self._poller = poller
        self._sink = sink
        self._pipes: dict[int, tuple[str, Lines]] = {}

    def write(self, record: Record) -> None:
        """Write a record as `20:14:03 message`; further lines of the message are indented."""
        clock = time.strftime("%H:%M:%S")
        first, *more = record.message.splitlines() or [""]
        before, after = self._paint(record.kind.priority)
        self._line(f"{clock} ", first, before, after)
        more += [self._sink.save(_EVENTS_NAME, value) for name, value in record.fields if name == FIELD]
        for line in more:
            self._line(" " * (len(clock) + 1), line)

    def stream(self, name: str) -> int:
        """A descriptor for a child's standard output and error; the caller closes it."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        os.set_blocking(reading, False)
        self._pipes[reading] = (name, Lines(_LINE_MOST))
        self._poller.register(reading, READ, partial(self._relay, reading))
        return writing

    def show(self, text: str) -> None:
        """Write a banner. It may hold a one-time token, so the log file of a lost terminal does not get it."""
        if not self._sink.lost:
            self._sink.put(text.encode(errors="replace"))

    def close(self) -> None:
        """Write what the children's pipes still hold, and close them."""
        for reading in tuple(self._pipes):
            self._relay(reading)
        self._sink.close()

    def _relay(self, reading: int) -> tuple[()]:
        name, lines = self._pipes[reading]
        try:
            data = os.read(reading, _READ_BYTES)
        except BlockingIOError:
            return ()
        for line in lines.feed(data):
            self._say(name, line)
        if not data:
            if lines.rest():
                self._say(name, lines.rest())
            del self._pipes[reading]
            self._poller.unregister(reading)
            os.close(reading)
        return ()

    def _say(self, name: str, line: bytes | None) -> None:
        text = "(a very long line is left out)" if line is None else line.decode(errors="replace")
        if text[:1] + text[2:3] == _LEVEL:  # "<4>" is for the journal
            text = text[3:]
        self._line(f"{name} | ", text)

    def _line(self, head: str, text: str, before: str = "", after: str = "") -> None:
        self._sink.put(f"{head}{before}{text.translate(_HARMLESS)}{after}\n".encode(errors="replace"))

    def _paint(self, priority: int) -> tuple[str, str]:
        if not self._sink.colour or priority > _NOTICE:
            return "", ""
        colour = _RED if priority < _WARNING else _YELLOW if priority == _WARNING else _BOLD
        return colour, _PLAIN
