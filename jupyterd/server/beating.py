"""The event loop says when it turns: to the supervisor, which otherwise cannot tell a stuck loop from a slow machine.

It costs half a microsecond a turn, and no turn is made for it.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import selectors
import time
from collections.abc import MutableMapping

from jupyterd.protocol.heartbeat import BEAT, STAMP


class _Selector(selectors.EpollSelector):
    """What an event loop waits in: it is back here at each turn, whatever it does. Owns the mapping."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._memory = mmap.mmap(fd, STAMP.size)

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """The loop's wait."""
        ready = super().select(timeout)
        STAMP.pack_into(self._memory, 0, time.monotonic())
        return ready


def take(environ: MutableMapping[str, str]) -> int | None:
    """The inherited descriptor; removes the variable. None: nobody looks."""
    number = environ.pop(BEAT, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def use(fd: int) -> None:
    """From now on this thread's event loop is one that beats."""
    asyncio.set_event_loop(asyncio.SelectorEventLoop(_Selector(fd)))
    os.close(fd)
