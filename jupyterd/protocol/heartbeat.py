"""The server's heartbeat: when its event loop last turned, in eight bytes of memory shared with the supervisor.

It wakes no process: the server writes when its loop turns anyway, the supervisor reads when a probe is in doubt.
"""

from __future__ import annotations

import os
import struct

BEAT = "JUPYTERD_BEAT_FD"
"""Environment variable: the number of the inherited descriptor."""
RETIRE = "JUPYTERD_RETIRE_FD"
"""Environment variable: the number of the inherited eventfd(2) by which the supervisor says that the server is retired
(core/busy.py), which a thread hears while the event loop stands still.
"""
STAMP = struct.Struct("d")
"""Monotonic seconds, the same in every process (clock_gettime(2)), in the machine's own order: written in one piece."""


def create() -> int:
    """The memory; the caller closes the descriptor."""
    fd = os.memfd_create("jupyterd-beat", os.MFD_CLOEXEC)
    os.ftruncate(fd, STAMP.size)
    return fd


def read(fd: int) -> float | None:
    """When the loop last turned (monotonic seconds); None if it never has, or the server has no heartbeat."""
    (at,) = STAMP.unpack(os.pread(fd, STAMP.size, 0))
    return at or None
