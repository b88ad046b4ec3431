"""Lines for the journal and for a terminal."""

from __future__ import annotations

import logging

import pytest

from jupyterd.server import logs
from jupyterd.server.http.caller import CALLER, Caller
from jupyterd.server.http.log_limit import BOUNDED, LINES


def _record(level: int, text: str, name: str = logs.OWN) -> logging.LogRecord:
    return logging.LogRecord(name, level, "x.py", 1, text, (), None)


def test_each_line_of_a_message_carries_its_level():
    shown = logs.JournalFormatter().format(_record(logging.WARNING, "one\ntwo", "LabApp"))
    assert shown == "<4>LabApp: one\n<4>two"
    assert logs.JournalFormatter().format(_record(logging.INFO, "")) == "<6>"


def test_a_terminal_shows_time_and_level():
    shown = logs.TerminalFormatter().format(_record(logging.ERROR, "no disk"))
    assert shown[8:] == " error no disk"


SSL = "SSL Error on 11 ('::1', 51578, 0, 0): [SSL: {}] {} (_ssl.c:992)"


@pytest.mark.parametrize(
    ("level", "text", "shown"),
    [
        (logging.WARNING, SSL.format("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "sslv3 alert certificate unknown"), False),
        (logging.WARNING, SSL.format("SSL/TLS_ALERT_CERTIFICATE_UNKNOWN", "ssl/tls alert certificate unknown"), False),
        (logging.WARNING, SSL.format("TLSV1_ALERT_UNKNOWN_CA", "tlsv1 alert unknown ca"), False),
        (logging.WARNING, SSL.format("SSLV3_ALERT_BAD_CERTIFICATE", "sslv3 alert bad certificate"), False),
        (logging.WARNING, SSL.format("WRONG_VERSION_NUMBER", "wrong version number"), True),
        (logging.WARNING, "404 GET /lab1/lsp/status?1796013378751 (ada@::1) 1.67ms referer=https://x/tree", False),
        (logging.WARNING, "404 GET /nowhere?/lsp/statusx (ada@::1) 1.67ms referer=None", True),
        (logging.WARNING, "403 POST /api/contents (@::1) 1.67ms referer=None", True),
        (
            logging.WARNING,
            "The websocket_ping_timeout (90000) cannot be longer than the websocket_ping_interval (30000).\nSetting it",
            False,
        ),
        (logging.WARNING, "/home/ada/.~Untitled.ipynb doesn't exist", False),
        (logging.ERROR, "/home/ada/Untitled.ipynb doesn't exist", True),
        (logging.WARNING, "jupyterlab_git | extension failed loading with message: no module", True),
        (logging.INFO, "jupyterlab_git | extension was successfully loaded.", False),
        (logging.INFO, "302 GET / (@::1) 38.30ms", False),
        (logging.INFO, "Saving file at /Untitled.ipynb", False),
        (logging.INFO, "Connecting to kernel 58322fb6-1ea8-4d75-88e8-0638e69f4028.", False),
        (logging.INFO, "Kernel started: 58322fb6-1ea8-4d75-88e8-0638e69f4028", True),
    ],
)
def test_what_nobody_has_to_read_is_left_out_but_for_debugging(level: int, text: str, shown: bool):  # noqa: FBT001
    own, handler = logging.getLogger(logs.OWN), logging.StreamHandler()
    own.addHandler(handler)
    try:
        handler.setLevel(logging.INFO)
        assert logs.Chatter().filter(_record(level, text)) is shown
        handler.setLevel(logging.DEBUG)
        assert logs.Chatter().filter(_record(level, text))
    finally:
        own.removeHandler(handler)


class SentenceError(Exception):
    is_sentence = True


def test_an_error_that_is_a_sentence_is_one_line_without_a_traceback():
    lines: list[str] = []
    logger = logging.getLogger("x")
    logger.propagate = False
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(logs.JournalFormatter().format(record))
    handler.addFilter(logs.Sentences())
    logger.addHandler(handler)
    for error in (SentenceError("no kernel"), SentenceError("no kernel again")):
        for _layer in range(2):
            try:
                raise error
            except SentenceError as caught:
                logger.exception(caught)  # noqa: TRY401 - as jupyter_client does
    assert lines == ["<3>x: no kernel", "<3>x: no kernel again"]
    try:
        raise ValueError("a bug")
    except ValueError:
        logger.exception("it failed")
    assert "Traceback" in lines[2]


STRANGER, OWNER = Caller, lambda: Caller(known=True)


@pytest.mark.parametrize(
    ("caller", "name", "level", "text", "shown"),
    [
        (STRANGER, logs.OWN, logging.WARNING, "404 GET /", LINES), (STRANGER, "asyncio", logging.ERROR, "x", LINES),
        (STRANGER, logs.OWN, logging.WARNING, "wrote error: 'Forbidden'", 0),
        (OWNER, logs.OWN, logging.WARNING, "wrote error: 'Forbidden'", 99),
        (lambda: None, logs.OWN, logging.INFO, "the server's own", 99),
        (lambda: None, "tornado.general", logging.WARNING, "SSL Error on 9", LINES),
        (lambda: None, "tornado.general", logging.ERROR, "of an extension's loop", 99),
        (lambda: Caller(told=True), logs.OWN, logging.WARNING, "the second line", 0),
    ],
)  # fmt: skip
def test_whose_lines_are_bounded(caller, name, level, text, shown):
    strangers = logs.Strangers()
    found = 0
    for _ in range(99):
        CALLER.set(caller())
        found += strangers.filter(_record(level, text, name))
        own = _record(level, text, name)
        vars(own).update(BOUNDED)
        assert strangers.filter(own)
    CALLER.set(None)
    assert found == shown


def test_a_line_about_a_stranger_is_short_and_one():
    CALLER.set(Caller())
    try:
        raise ValueError("Illegal characters\n\x1b[31m" + "y" * 5000)
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "x.py", 1, "Uncaught %s\nrest", ("\x9b",), (ValueError, error, None)
        )
    assert logs.Strangers().filter(record)
    CALLER.set(None)
    shown = logs.JournalFormatter().format(record)
    assert shown.startswith("<3>x: Uncaught \\x9b: ValueError: Illegal characters\\n\\x1b[31myyy")
    assert shown.endswith("yyy...") and len(shown) < logs.LONGEST + 20 and shown.isprintable()
