"""Accepts connections, with a pause when descriptors run out, and begins their TLS handshakes, a few at a time.

Out of descriptors, tornado's own accept handler is called again at once, endlessly, and logs a traceback each time
(accept(2): the connection stays in the queue and keeps the socket readable).
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from jupyterd.server.http.connections import Connections
from jupyterd.server.http.timeouts import Connection

BATCH = 64
"""Connections accepted in one turn of the event loop."""

Arrived = Callable[[socket.socket, object], None]


def accept_from(
    listener: socket.socket, arrived: Arrived, failed: Callable[[OSError], None], pause_s: float
) -> Callable[[], None]:
    """Accept in the event loop. `failed` gets each error; the next try is `pause_s` later. Returns a stop function."""
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


_TLS_HANDSHAKE = b"\x16"

Serve = Callable[[socket.socket, Connection, object], None]


class Handshakes:
    """Calls `secure` with each connection whose first byte begins a TLS handshake, `plain` with others: `at_once` in a
    turn of the event loop, the latest and the longest waiting in turn.

    A handshake takes 1 ms of the only thread: a thousand at once must not delay connections that are served, and
    first come, first served would make each of them wait for all others.
    """

    def __init__(self, connections: Connections, at_once: int, secure: Serve, plain: Serve) -> None:
        self._connections = connections
        self._at_once = at_once
        self._secure = secure
        self._plain = plain
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[socket.socket, Connection, object]] = deque()
        self._latest = True

    def await_first_byte(self, connection: socket.socket, tracked: Connection, address: object) -> None:
        """Take a connection that was just accepted. Until its first byte it costs a descriptor but no TLS state."""
        fd = connection.fileno()

        def close() -> None:
            self._loop.remove_reader(fd)
            connection.close()

        def heard() -> None:
            self._loop.remove_reader(fd)
            tracked.close = connection.close
            self._connections.handshake_began(tracked)
            if not self._waiting:
                self._loop.call_soon(self._next_handshakes)
            self._waiting.append((connection, tracked, address))

        tracked.close = close
        self._loop.add_reader(fd, heard)

    def _next_handshakes(self) -> None:
        for _ in range(min(self._at_once, len(self._waiting))):
            self._begin_handshake(*(self._waiting.pop() if self._latest else self._waiting.popleft()))
            self._latest = not self._latest
        if self._waiting:
            self._loop.call_soon(self._next_handshakes)

    def _begin_handshake(self, connection: socket.socket, tracked: Connection, address: object) -> None:
        if not tracked.there:
            return
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except OSError:
            first = b""
        if not first:
            self._connections.leave(tracked)
            connection.close()
        elif first == _TLS_HANDSHAKE:
            self._secure(connection, tracked, address)
        else:
            self._plain(connection, tracked, address)
