"""A terminal as terminado sees it, without a child process: a pseudo-terminal whose other end another process has."""

from __future__ import annotations

import asyncio
import codecs
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections import deque
from pathlib import Path
from typing import Any

from terminado.management import PtyWithClients

from jupyterd.launch import launcher, stop, tmux
from jupyterd.launch.registry import Entry

_CHUNKS = 1000
"""Terminado's own number of chunks of output that a second tab gets."""
_HANG_UP_S = 1.0
_LAUNCH_S = 15.0


class Pty:
    """Stands in for ptyprocess: the end of a pseudo-terminal where output is read and keys are written."""

    def __init__(self, rows: int = 24, columns: int = 80) -> None:
        self.fd, self.far_end = os.openpty()
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.setwinsize(rows, columns)

    @property
    def device(self) -> str:
        """Path of the other end."""
        return os.ttyname(self.far_end)

    def let_go(self) -> None:
        """Close our copy of the other end, so that reading ends when the other process closes its own."""
        if self.far_end >= 0:
            os.close(self.far_end)
            self.far_end = -1

    def read(self, size: int = 65536) -> str:
        """Read output, up to `size` bytes. EOFError when the other end is closed."""
        try:
            data = os.read(self.fd, size)
        except OSError as error:  # EIO means that on Linux
            raise EOFError from error
        if not data:
            raise EOFError
        return self._decoder.decode(data)

    def write(self, text: str) -> None:
        """Write keys. Blocks while the other end does not read; terminado calls it in a thread."""
        data = text.encode()
        while data:
            data = data[os.write(self.fd, data) :]

    def getwinsize(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns, _, _ = struct.unpack("HHHH", fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * 8))
        return rows, columns

    def setwinsize(self, rows: int, columns: int) -> None:
        """Set the size; the kernel signals the foreground processes (SIGWINCH)."""
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """Close, which hangs up the other end."""
        self.let_go()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class PtyTerminal(PtyWithClients):
    """A terminal with its tabs. `ptyproc` is None for an adopted terminal until a tab opens it."""

    ptyproc: Any
    record: Entry | None = None
    """None until it has been launched."""
    last_activity: Any
    _looker: subprocess.Popen[bytes] | None = None

    def __init__(self, name: str, keeper: str | None) -> None:
        """`keeper`: the program tmux, when it outlives this server."""
        self.term_name: str = name
        self.keeper = keeper
        self.clients: list[Any] = []
        self.read_buffer: deque[str] = deque(maxlen=0 if keeper else _CHUNKS)  # tmux redraws for each tab
        self.ptyproc = None
        self.launched, self.gone = asyncio.Event(), asyncio.Event()

    @property
    def is_looked_at(self) -> bool:
        """Whether the keeper's client runs."""
        return self._looker is not None

    def open(self, *size: int) -> None:
        """Open a new pseudo-terminal of the given size."""
        self.ptyproc = Pty(*size)

    def look(self, sockets: Path, env: dict[str, str]) -> None:
        """Start tmux's client, a child of ours, at the other end. It only displays: the shell is another process."""
        assert self.keeper is not None  # noqa: S101 - only a kept terminal is looked at
        assert self.record is not None  # noqa: S101 - and one that runs
        far_end = self.ptyproc.far_end
        self._looker = subprocess.Popen(
            tmux.attachment(self.keeper, sockets / self.record.id),
            stdin=far_end, stdout=far_end, stderr=far_end, env=env, cwd="/",
        )  # fmt: skip
        self.ptyproc.let_go()

    def leave(self) -> None:
        """Close the pseudo-terminal, which ends tmux's client, or the shell if tmux does not keep it."""
        if self.ptyproc is not None:
            self.ptyproc.close()
            self.ptyproc = None
        if self._looker is not None:
            self._looker.kill()
            self._looker.wait()
            self._looker = None

    def resize_to_smallest(self) -> None:
        """Terminado's hook."""
        if self.ptyproc is not None:
            super().resize_to_smallest()

    def kill(self, sig: int = 0) -> None:  # noqa: ARG002 - terminado's signature
        """Terminado's hook: whatever the signal, it means the end of it."""
        if self.record is not None:
            stop.hang_up(self.record)

    killpg = kill

    async def terminate(self, force: bool = False) -> bool:  # noqa: FBT001, FBT002 - terminado's signature
        """Terminado's hook: hang up, and KILL if that is not enough. True when it is gone."""
        await _seen(self.launched, _LAUNCH_S)
        if self.record is None or self.record.process is None:
            if self.ptyproc is not None:
                self.ptyproc.let_go()  # what went wrong has been read
            return True
        self.kill()
        if force and not await _seen(self.gone, _HANG_UP_S):
            launcher.signal_group(self.record.process, signal.SIGKILL)
        return await _seen(self.gone, _HANG_UP_S)


async def _seen(event: asyncio.Event, within_s: float) -> bool:
    try:
        await asyncio.wait_for(event.wait(), within_s)
    except TimeoutError:
        return False
    return True
