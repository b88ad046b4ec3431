"""Writes lines to the terminal without ever waiting for it, and to a file once the terminal is lost.

Deals with bytes and descriptors only.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from select import PIPE_BUF, POLLOUT, poll

from jupyterd.linux import files
from jupyterd.supervisor.poller import WRITE, Poller

LOG_NAME = "jupyterd.log"
_WAITING_MOST = 2000
"""Lines kept for a terminal that is stopped (Ctrl-S); older ones are dropped."""
_LOG_MOST_BYTES = 10_000_000
_LAST_WAIT_MS = 200
"""Seconds that close() waits for a slow terminal."""


class Sink:
    """Owns a descriptor of its own for the terminal, later one for the log file."""

    def __init__(self, poller: Poller, state_dir: str, fd: int = 2) -> None:
        """`fd`: standard error; a terminal, a pipe, a file or a socket."""
        self._poller = poller
        self._state_dir = state_dir
        self._waiting: deque[bytes] = deque()
        self._left_out = 0
        self._log: int | None = None
        self.colour = os.isatty(fd) and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
        self._fd, self._write = _open_again(fd)

    @property
    def lost(self) -> bool:
        """Whether the terminal is gone and lines go to the log file."""
        return self._log is not None

    def put(self, line: bytes) -> None:
        """Write a whole line, newline included, now or when the terminal takes it."""
        if self._log is not None:
            self._to_log(line)
            return
        if len(self._waiting) >= _WAITING_MOST:
            self._waiting.popleft()
            self._left_out += 1
        self._waiting.append(line)
        self._flush()

    def close(self) -> None:
        """Give a slow terminal a short time to take the rest, and close."""
        if self._waiting and self._log is None:
            waiter = poll()
            waiter.register(self._fd, POLLOUT)
            waiter.poll(_LAST_WAIT_MS)
            self._flush()
        self._poller.unregister(self._fd)
        os.close(self._fd)
        if self._log is not None:
            os.close(self._log)

    def save(self, name: str, text: str) -> str:
        """Put a text that is too long for a terminal into a file (0600) of the state directory.

        Returns the line to show.
        """
        path = os.path.join(self._state_dir, name)
        try:
            files.replace(path, text.encode())
        except OSError as error:
            return f"{path} cannot be written: {error.strerror}"
        return f"see {path}"

    def _flush(self) -> tuple[()]:
        while self._waiting:
            line = self._waiting[0]
            try:
                written = self._write(self._fd, line)
            except BlockingIOError:
                self._poller.register(self._fd, WRITE, self._flush)
                return ()
            except OSError:  # EIO, EPIPE: the terminal or the reader is gone
                self._lose()
                return ()
            if written < len(line):
                self._waiting[0] = line[written:]
            else:
                self._waiting.popleft()
        self._poller.unregister(self._fd)
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            self.put(b"(%d lines left out: the terminal was stopped)\n" % left_out)
        return ()

    def _lose(self) -> None:
        """Switch to the log file, beginning with what the terminal did not take."""
        self._poller.unregister(self._fd)
        self._log = os.open("/dev/null", os.O_WRONLY)
        with suppress(OSError):
            fd = _open_log(self._state_dir)
            os.close(self._log)
            self._log = fd
        while self._waiting:
            self._to_log(self._waiting.popleft())

    def _to_log(self, line: bytes) -> None:
        """Write to the log file; lines that a full disk does not take are lost."""
        if self._log is None:
            return
        with suppress(OSError):
            os.write(self._log, _without_colour(line))
            if os.fstat(self._log).st_size > _LOG_MOST_BYTES:
                path = os.path.join(self._state_dir, LOG_NAME)
                os.replace(path, path + ".1")
                fd = _open_log(self._state_dir)
                os.close(self._log)
                self._log = fd


def _without_colour(line: bytes) -> bytes:
    """The line without the colour that was meant for the terminal."""
    while b"\x1b[" in line:
        before, _, rest = line.partition(b"\x1b[")
        line = before + rest.partition(b"m")[2]
    return line


def _open_log(state_dir: str) -> int:
    path = os.path.join(state_dir, LOG_NAME)
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _open_again(fd: int) -> tuple[int, Callable[[int, bytes], int]]:
    """(a descriptor, a function that writes to it without waiting). The file is opened once more, because O_NONBLOCK on
    the given descriptor would also apply to the shell's (open(2), "open file description"). What another account opened
    (su, a container's pipe) and sockets cannot be opened again: there poll(2) precedes each piece.
    """
    for path in (f"/proc/self/fd/{fd}", "/dev/tty") if os.isatty(fd) else (f"/proc/self/fd/{fd}",):
        with suppress(OSError):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_APPEND | os.O_CLOEXEC
            return os.open(path, flags), os.write
    return os.dup(fd), _write_a_piece


def _write_a_piece(fd: int, data: bytes) -> int:
    waiter = poll()
    waiter.register(fd, POLLOUT)
    if not waiter.poll(0):
        raise BlockingIOError
    return os.write(fd, data[:PIPE_BUF])  # pipe(7): one that is writable takes so much
