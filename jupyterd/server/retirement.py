"""The server's side of its retirement: a thread that hears of it while the event loop stands still (core/busy.py).

The thread runs Python while the main thread is inside one handler, waiting for a disk or computing, so what it calls
must not assume that the event loop turns, nor that it does not.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, MutableMapping
from logging import Logger

from jupyterd.protocol.heartbeat import RETIRE

_COUNTER_BYTES = 8


def take(environ: MutableMapping[str, str]) -> int | None:
    """The inherited eventfd; removes the variable. None: an earlier version's supervisor, which retires no server."""
    number = environ.pop(RETIRE, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def listen(fd: int, steps: tuple[Callable[[], None], ...], log: Logger) -> None:
    """Start the thread, which calls the steps when the supervisor retires this server; one that fails is logged."""

    def run() -> None:
        os.read(fd, _COUNTER_BYTES)
        for step in steps:
            try:
                step()
            except Exception:  # the next step matters all the same
                log.exception("A step of retiring failed")

    threading.Thread(target=run, name="retirement", daemon=True).start()
