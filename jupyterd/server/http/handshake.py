"""The first byte of a connection: TLS, or something else on the TLS port. A few at a time, the latest and the longest
waiting in turn.

A handshake costs a millisecond of the one thread: a thousand that begin together must not hold up who is served
already; first come, first served would have everybody wait for all of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Callable

from jupyterd.server.http.connections import Connections
from jupyterd.server.http.timeouts import Connection

_TLS_HANDSHAKE = b"\x16"

Serve = Callable[[socket.socket, Connection, object], None]


class Handshakes:
    """`secure` gets what begins a handshake, `plain` what speaks otherwise."""

    def __init__(self, guests: Connections, at_once: int, secure: Serve, plain: Serve) -> None:
        self._guests = guests
        self._at_once = at_once
        self._secure = secure
        self._plain = plain
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[socket.socket, Connection, object]] = deque()
        self._latest = True

    def await_first_byte(self, connection: socket.socket, guest: Connection, address: object) -> None:
        """It was just accepted. A silent one costs a descriptor, and no TLS state."""
        fd = connection.fileno()

        def close() -> None:
            self._loop.remove_reader(fd)
            connection.close()

        def heard() -> None:
            self._loop.remove_reader(fd)
            guest.close = connection.close
            self._guests.greeted(guest)
            if not self._waiting:
                self._loop.call_soon(self._greet)
            self._waiting.append((connection, guest, address))

        guest.close = close
        self._loop.add_reader(fd, heard)

    def _greet(self) -> None:
        for _ in range(min(self._at_once, len(self._waiting))):
            self._greet_one(*(self._waiting.pop() if self._latest else self._waiting.popleft()))
            self._latest = not self._latest
        if self._waiting:
            self._loop.call_soon(self._greet)

    def _greet_one(self, connection: socket.socket, guest: Connection, address: object) -> None:
        if not guest.there:
            return
        try:
            first = connection.recv(1, socket.MSG_PEEK)
        except OSError:
            first = b""
        if not first:
            self._guests.leave(guest)
            connection.close()
        elif first == _TLS_HANDSHAKE:
            self._secure(connection, guest, address)
        else:
            self._plain(connection, guest, address)
