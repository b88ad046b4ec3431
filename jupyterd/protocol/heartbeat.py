"""The server's heartbeat: when its event loop last turned, and the requests under way, in memory that it shares with
the supervisor.

It wakes no process: the server writes when its loop turns anyway, the supervisor reads when a probe is in doubt. It can
be read whatever the server does: while one request holds its event loop, and the interpreter's lock.
"""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import mmap

BEAT = "JUPYTERD_BEAT_FD"
"""Environment variable: the number of the inherited descriptor."""
RETIRE = "JUPYTERD_RETIRE_FD"
"""Environment variable: the number of the inherited eventfd(2) by which the supervisor says that the server is retired
(core/busy.py), which a thread hears while the event loop stands still.
"""
STAMP = struct.Struct("d")
"""Monotonic seconds, the same in every process (clock_gettime(2)), in the machine's own order: written in one piece."""
REQUESTS_BYTES = 504
"""For the requests, as text that ends with NUL. A supervisor of an earlier version has no room for them."""


def create() -> int:
    """The memory; the caller closes the descriptor."""
    fd = os.memfd_create("jupyterd-beat", os.MFD_CLOEXEC)
    os.ftruncate(fd, STAMP.size + REQUESTS_BYTES)
    return fd


def read(fd: int) -> float | None:
    """When the loop last turned (monotonic seconds); None if it never has, or the server has no heartbeat."""
    (at,) = STAMP.unpack(os.pread(fd, STAMP.size, 0))
    return at or None


def requests(fd: int) -> str:
    """The requests under way, "PUT /api/contents/a.ipynb"; "" for none."""
    text = os.pread(fd, REQUESTS_BYTES, STAMP.size).partition(b"\0")[0].decode(errors="replace")
    return "".join(each if each.isprintable() else "?" for each in text)


def note(memory: mmap.mmap, requests: str) -> None:
    """Write the requests under way into the memory."""
    room = min(REQUESTS_BYTES, len(memory) - STAMP.size)
    if room > 0:
        memory[STAMP.size : STAMP.size + room] = requests.encode(errors="replace")[: room - 1].ljust(room, b"\0")
