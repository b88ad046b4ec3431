"""Lines for people: on a real terminal, one that is stopped, one that is lost, and on a pipe."""

from __future__ import annotations

import os
import re
import select
import socket
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from jupyterd.core.effects import Record
from jupyterd.core.events import Event
from jupyterd.core.journal_kinds import GPU, ITEM_RAISED, SERVER_HUNG, SERVING
from jupyterd.supervisor import console_sink
from jupyterd.supervisor.console import Console
from jupyterd.supervisor.console_sink import LOG_NAME, Sink
from jupyterd.supervisor.poller import Poller


@dataclass
class Screen:
    """A terminal and the other end of its cable."""

    master: int
    slave: int

    def read(self) -> str:
        """Until it has been quiet for a moment: the kernel carries what is written over in its own time."""
        waiter = select.poll()
        waiter.register(self.master, select.POLLIN)
        said = b""
        while waiter.poll(200):
            said += os.read(self.master, 65536)
        return said.decode().replace("\r\n", "\n")


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen(*os.openpty())
    yield made
    for fd in (made.master, made.slave):
        try:
            os.close(fd)
        except OSError:
            continue


@pytest.fixture(autouse=True)
def colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_records_are_plain_lines_with_colour_on_a_terminal(poller: Poller, screen: Screen, tmp_path: Path) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    for kind in (SERVING, ITEM_RAISED, SERVER_HUNG, GPU):
        terminal.write(Record(kind, "first\nsecond \x1b[2J", (("A", "b"),)))
    clock = r"\d\d:\d\d:\d\d "
    more = r"\n         second \?\[2J\n"
    assert re.fullmatch(
        rf"{clock}\x1b\[1mfirst\x1b\[0m{more}{clock}\x1b\[33mfirst\x1b\[0m{more}"
        rf"{clock}\x1b\[31mfirst\x1b\[0m{more}{clock}first{more}",
        screen.read(),
    )
    terminal.close()


def test_no_colour_when_it_is_not_wanted(
    poller: Poller, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    terminal.write(Record(SERVER_HUNG, "silent"))
    assert "\x1b" not in screen.read()
    terminal.close()


def test_the_terminal_of_others_stays_blocking(poller: Poller, screen: Screen, tmp_path: Path) -> None:
    Console(poller, Sink(poller, str(tmp_path), screen.slave)).close()
    assert os.get_blocking(screen.slave)


def test_what_children_say_is_marked_and_bounded(
    poller: Poller, drive: Callable[..., list[Event]], screen: Screen, tmp_path: Path, open_fds: Callable[[], int]
) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    before = open_fds()
    fd = terminal.stream("server")
    os.write(fd, b"<4>careful\n\xff\n" + b"x" * 30_000 + b"\nhalf")
    os.close(fd)
    drive(lambda _: open_fds() == before)
    assert (
        screen.read() == "server | careful\nserver | \ufffd\nserver | (a very long line is left out)\nserver | half\n"
    )
    terminal.close()


def test_close_shows_what_was_said_last(poller: Poller, screen: Screen, tmp_path: Path) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    fd = terminal.stream("planner")
    os.write(fd, b"Traceback\n")
    terminal.close()
    assert screen.read() == "planner | Traceback\n"
    os.close(fd)


def test_a_stopped_terminal_stops_nobody(
    poller: Poller, drive: Callable[..., list[Event]], screen: Screen, tmp_path: Path
) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    termios.tcflow(screen.slave, termios.TCOOFF)  # Ctrl-S
    for number in range(3000):  # nobody reads: one write that waits would wait for ever
        terminal.write(Record(GPU, f"line {number}"))
    termios.tcflow(screen.slave, termios.TCOON)
    said = ""

    def all_there(_: list[Event]) -> bool:
        nonlocal said
        said += screen.read()
        return "left out" in said

    drive(all_there)
    assert "line 2999\n" in said
    assert f"({3000 - said.count(' line ')} lines left out: the terminal was stopped)\n" in said
    terminal.close()


def test_a_lost_terminal_goes_on_in_a_private_file(
    poller: Poller, screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path), screen.slave))
    terminal.write(Record(SERVING, "before"))
    fd = terminal.stream("server")
    os.close(screen.master)
    terminal.write(Record(SERVING, "after"))
    terminal.show("a token")
    os.write(fd, b"still here\n")
    os.close(fd)
    for callback in poller.wait(5):
        callback()
    log = tmp_path / LOG_NAME
    assert log.stat().st_mode & 0o777 == 0o600
    lines = log.read_text().splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"\d\d:\d\d:\d\d after", lines[0])
    assert lines[1] == "server | still here"
    monkeypatch.setattr(console_sink, "_LOG_MOST_BYTES", 100)
    for number in range(10):
        terminal.write(Record(GPU, f"more {number}"))
    assert log.stat().st_size <= 250
    assert (tmp_path / (LOG_NAME + ".1")).stat().st_size <= 250
    assert "more 9" in log.read_text() + (tmp_path / (LOG_NAME + ".1")).read_text()
    terminal.close()


def test_a_lost_terminal_and_no_disk_stops_nobody(poller: Poller, screen: Screen, tmp_path: Path) -> None:
    terminal = Console(poller, Sink(poller, str(tmp_path / "nowhere"), screen.slave))
    os.close(screen.master)
    for _ in range(3):
        terminal.write(Record(SERVING, "after"))
    terminal.close()


def test_a_socket_in_place_of_a_terminal(poller: Poller, tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        terminal = Console(poller, Sink(poller, str(tmp_path), theirs.fileno()))
        terminal.show("addresses\n")
        for number in range(5000):  # nobody reads: one write that waits would wait for ever
            terminal.write(Record(GPU, f"line {number} {'x' * 200}"))
        assert ours.recv(10) == b"addresses\n"
        terminal.close()
