"""The supervisor's end of the channel to the server: lines in and out, never waiting."""

from __future__ import annotations

import socket
from collections.abc import Callable

from jupyterd.core.events import ServerSaid
from jupyterd.linux.lines import Lines
from jupyterd.protocol import server_channel
from jupyterd.supervisor.poller import READ, WRITE, Poller

_READ_BYTES = 1 << 20
"""More than a socket pair holds, so one turn reads everything. The unused part of the buffer costs no memory."""
_WAITING_MOST_BYTES = 65536

Complain = Callable[[str], None]


class Channel:
    """Owns our end of the socket pair. A protocol error is reported once and closes the channel."""

    def __init__(self, poller: Poller, ours: socket.socket, pid: int, complain: Complain) -> None:
        """`pid`: the process at the other end."""
        self._poller = poller
        self._socket: socket.socket | None = ours
        self._pid = pid
        self._complain = complain
        self._lines = Lines(server_channel.LINE_MAX)
        self._waiting = b""
        ours.settimeout(0)
        poller.register(ours.fileno(), READ, self.turn)

    def send(self, message: server_channel.ToServer) -> None:
        """Send a line, now or when there is room."""
        self._waiting += server_channel.encode(message)
        if len(self._waiting) > _WAITING_MOST_BYTES:
            self._breach("the server does not read its messages")
        self._flush()

    def turn(self) -> list[ServerSaid]:
        """The messages that the server has sent since the last call."""
        self._flush()
        if self._socket is None:
            return []
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return []
        except ConnectionError:
            data = b""
        if not data:  # its pidfd tells the rest
            self.close()
        return self._said(data)

    def close(self) -> None:
        """Close the channel."""
        if self._socket is not None:
            self._poller.unregister(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def _said(self, data: bytes) -> list[ServerSaid]:
        said: list[ServerSaid] = []
        for line in self._lines.feed(data):
            try:
                message = server_channel.decode(line or b"")
            except ValueError as error:
                self._breach(f"the server sent something that is {error}")
                break
            if isinstance(message, server_channel.ToServer):
                self._breach("the server sent a message that only the supervisor may send")
                break
            said.append(ServerSaid(self._pid, message))
        return said

    def _flush(self) -> None:
        if self._socket is None or not self._waiting:
            return
        try:
            sent = self._socket.send(self._waiting)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            self.close()
            return
        self._waiting = self._waiting[sent:]
        self._poller.register(self._socket.fileno(), READ | WRITE if self._waiting else READ, self.turn)

    def _breach(self, what: str) -> None:
        self.close()
        self._complain(what)
