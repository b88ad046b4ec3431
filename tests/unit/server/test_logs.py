"""Lines for the journal and for a terminal."""

from __future__ import annotations

import logging

from jupyterd.server import logs


def _record(level: int, text: str, name: str = logs.OWN) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, text, (), None)


def test_each_line_of_a_message_carries_its_level():
    shown = logs.JournalFormatter().format(_record(logging.WARNING, "one\ntwo", "LabApp"))
    assert shown == "<4>LabApp: one\n<4>two"
    assert logs.JournalFormatter().format(_record(logging.INFO, "")) == "<6>"


def test_a_terminal_shows_time_and_level():
    shown = logs.TerminalFormatter().format(_record(logging.ERROR, "no disk"))
    assert shown[8:] == " error no disk"
