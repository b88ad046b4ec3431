"""Takes connections from a listening socket, and stops for a moment when there is no descriptor for another one.

Tornado's own tries again at once, for ever, and writes a traceback each time: a busy loop that serves nobody
(accept(2): the connection stays in the queue and keeps the socket readable).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

BATCH = 64
"""Connections taken between two looks at everything else."""

Arrived = Callable[[socket.socket, object], None]


def accept_from(
    listener: socket.socket, arrived: Arrived, failed: Callable[[OSError], None], pause_s: float
) -> Callable[[], None]:
    """Begin; gives what ends it. `failed` is called with each error, `pause_s` before the next try."""
    loop = asyncio.get_running_loop()
    resume: asyncio.TimerHandle | None = None
    fd = listener.fileno()

    def begin() -> None:
        nonlocal resume
        resume = None
        loop.add_reader(fd, take)

    def take() -> None:
        nonlocal resume
        for _ in range(BATCH):
            if listener.fileno() < 0:  # closed by what arrived
                return
            try:
                connection, address = listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue  # gone while it waited
            except OSError as error:
                loop.remove_reader(fd)
                resume = loop.call_later(pause_s, begin)
                failed(error)
                return
            arrived(connection, address)

    def end() -> None:
        loop.remove_reader(fd)
        if resume is not None:
            resume.cancel()

    begin()
    return end
