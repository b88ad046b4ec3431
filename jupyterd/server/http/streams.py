"""Tornado's streams that tell guests.py what moves over them, and when they are closed.

By the methods that tornado has its own kinds of streams override.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tornado.iostream import IOStream, SSLIOStream

from jupyterd.server.http.connections import Connections
from jupyterd.server.http.timeouts import Connection


class _CountedStream:
    """Mixed into a stream of tornado's."""

    guests: Connections
    guest: Connection

    def watch(self, guests: Connections, guest: Connection) -> None:
        """From now on."""
        self.guests, self.guest = guests, guest
        guest.close, guest.unread = self.close, self.writing

    close: Any
    writing: Any

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Tornado's hook."""
        count: int | None = super().read_from_fd(buf)  # type: ignore[misc]  # the stream's
        if count:
            self.guests.transferred(self.guest, count, incoming=True)
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Tornado's hook."""
        count: int = super().write_to_fd(data)  # type: ignore[misc]  # the stream's
        if count:
            self.guests.transferred(self.guest, count, incoming=False)
        return count

    def close_fd(self) -> None:
        """Tornado's hook: once, whoever closes it."""
        super().close_fd()  # type: ignore[misc]  # the stream's
        self.guests.leave(self.guest)


class Plain(_CountedStream, IOStream):
    """Over TCP."""


class Secure(_CountedStream, SSLIOStream):
    """Over TLS."""

    def close_fd(self) -> None:
        """Tornado's hook. Sends the close_notify that tornado leaves out (RFC 8446, 6.1): without it the client cannot
        tell a complete answer from a truncated one, and with OpenSSL 3.5 its session cannot be resumed.
        """
        with suppress(OSError, ValueError):  # the peer has gone, or the handshake never ended
            self.socket.unwrap()  # does not block: the socket does not, and nobody waits for the peer's answer
        super().close_fd()
