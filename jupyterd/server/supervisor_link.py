"""The server's end of the channel to the supervisor (messages: protocol/server_channel.py), and the heartbeat of its
loop.

Before the loop runs it writes straight to the socket; then an asyncio transport takes over.
"""

from __future__ import annotations

import asyncio
import mmap
import os
import selectors
import socket
import time
from collections.abc import Callable, MutableMapping
from functools import partial

from jupyterd.linux.lines import Lines
from jupyterd.protocol import heartbeat, server_channel
from jupyterd.protocol.heartbeat import BEAT, STAMP

SEND_TIMEOUT_S = 2.0


class SupervisorLink(asyncio.Protocol):
    """Owns the inherited socket."""

    def __init__(self, sock: socket.socket, *, hears_problems: bool = False) -> None:
        """`hears_problems`: the supervisor knows the message Problems."""
        self._socket, self.hears_problems = sock, hears_problems
        self._transport: asyncio.Transport | None = None
        self._lines = Lines(server_channel.LINE_MAX)
        self._heard: Callable[[server_channel.ToServer], None] = lambda _: None
        self._lost: Callable[[], None] = lambda: None
        self.note_requests: Callable[[str], None] = lambda _: None
        """Notes the requests under way where the supervisor finds them, whatever this process does (heartbeat.py)."""

    def say(self, message: server_channel.FromServer) -> None:
        """Send one message. Never raises: that the supervisor is gone is reported by `lost`."""
        line = server_channel.encode(message)
        if self._transport is not None:
            if not self._transport.is_closing():
                self._transport.write(line)
            return
        try:
            self._socket.settimeout(SEND_TIMEOUT_S)
            self._socket.sendall(line)
        except OSError:
            pass  # nobody there: the loop, once it runs, ends us

    @property
    def fd(self) -> int:
        """The descriptor of the inherited socket."""
        return self._socket.fileno()

    def hear_one(self) -> server_channel.ToServer | None:
        """Wait for one message, for ever (a spare does); None: the supervisor is gone. Before `attach` only."""
        self._socket.settimeout(None)
        while data := self._socket.recv(1):  # what comes behind the line is the loop's to read
            for line in self._lines.feed(data):
                message = server_channel.decode(line or b"")
                return message if isinstance(message, server_channel.ToServer) else None
        return None

    def close(self) -> None:
        """Before `attach` only: afterwards the loop owns the socket."""
        self._socket.close()

    async def attach(self, heard: Callable[[server_channel.ToServer], None], lost: Callable[[], None]) -> None:
        """Use the event loop from here on: each message goes to `heard`, the supervisor's end to `lost`."""
        self._heard, self._lost = heard, lost
        self._socket.setblocking(False)  # noqa: FBT003 - socket's own
        await asyncio.get_running_loop().create_connection(lambda: self, sock=self._socket)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's hook."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a socket's transport can write")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Asyncio's hook."""
        for line in self._lines.feed(data):
            if line is None:
                if self._transport is not None:
                    self._transport.abort()
                return
            message = server_channel.decode(line)
            if isinstance(message, server_channel.ToServer):
                self._heard(message)

    def connection_lost(self, _exc: Exception | None) -> None:
        """Asyncio's hook."""
        self._lost()


def take(environ: MutableMapping[str, str]) -> tuple[SupervisorLink, list[socket.socket]]:
    """The channel and the listening sockets that were inherited; removes both variables, so that no child sees them.
    ValueError if this process was not started by the supervisor.
    """
    try:
        fd = int(environ.pop(server_channel.CHANNEL))
        listen = [int(each) for each in environ.pop(server_channel.LISTEN).split(",")]
    except (KeyError, ValueError) as error:
        raise ValueError("this program is started by jupyterd, not by hand: type jupyterd run") from error
    hears_problems = environ.pop(server_channel.PROBLEMS, None) is not None
    sockets = [socket.socket(fileno=each) for each in (fd, *listen)]
    for each in sockets:
        each.set_inheritable(False)
    for each in sockets[1:]:
        each.setblocking(False)  # noqa: FBT003 - socket's own
    return SupervisorLink(sockets[0], hears_problems=hears_problems), sockets[1:]


class _Selector(selectors.EpollSelector):
    """The event loop's selector, which writes the heartbeat at each turn."""

    def __init__(self, memory: mmap.mmap) -> None:
        super().__init__()
        self._memory = memory

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Write the heartbeat, then wait."""
        ready = super().select(timeout)
        STAMP.pack_into(self._memory, 0, time.monotonic())
        return ready


def take_heartbeat(environ: MutableMapping[str, str]) -> int | None:
    """The inherited descriptor; removes the variable. None: nobody looks."""
    number = environ.pop(BEAT, None)
    if number is None:
        return None
    os.set_inheritable(int(number), False)
    return int(number)


def use_heartbeat(fd: int) -> Callable[[str], None]:
    """Set an event loop for this thread that stamps the time into this memory at each turn (0.5 us). Returns a function
    that notes the requests under way there.
    """
    memory = mmap.mmap(fd, 0)
    asyncio.set_event_loop(asyncio.SelectorEventLoop(_Selector(memory)))
    os.close(fd)
    return partial(heartbeat.note, memory)
