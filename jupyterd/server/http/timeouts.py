"""The phases of a connection, their time-outs, and where a connection comes from. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

import attrs

from jupyterd.linux import net


@attrs.frozen
class Limits:
    """Times in seconds, sizes in bytes."""

    connections_max: int = 1000
    """Connections without a login, from elsewhere; as many again from this machine, and as many with a login. A page of
    JupyterLab has six to twelve.
    """
    address_share: int = 4
    """One address (an IPv6 network of 64 bits) has the fourth part of connections_max: a school behind one address."""
    handshake_s: float = 20.0
    """From the accept to the first byte of a request, TLS handshake included: three round trips on a bad radio link. A
    browser that opens a connection in advance loses it then, and opens another.
    """
    header_s: float = 20.0
    """From the first byte of a request to the end of its header: some kilobytes."""
    keep_alive_s: float = 45.0
    """Between the requests of a connection without a login: any reader of the login page is done by then."""
    keep_alive_known_s: float = 300.0
    """The same with a login: as long as browsers keep theirs."""
    body_window_s: float = 20.0
    """In each period of this length of a request's body..."""
    body_window_bytes: int = 4096
    """...so many bytes must come: 200 bytes a second, less than any line over which one would send a notebook."""
    body_window_known_s: float = 60.0
    """With a login one byte in a period of this length is enough: a laptop that changes its network continues."""
    stranger_body_bytes: int = 65536
    """The largest body of a request without a login: the login form has less than 1 kB."""
    strangers_bytes: int = 32 << 20
    """What all requests without a login may hold in memory, headers and bodies together; beyond it those that hold most
    are closed.
    """
    refused_body_bytes: int = 16 << 20
    """So much of a refused body is read and dropped, so that the client gets to read the answer..."""
    refused_body_s: float = 5.0
    """...for so long at most."""
    unread_s: float = 60.0
    """For a response of which the client reads nothing at all; with a login five times as long."""
    handshakes_at_once: int = 16
    """TLS handshakes begun in one turn of the event loop, 1 ms each."""
    accept_pause_s: float = 0.25
    """Pause after a failed accept, which would otherwise fail again and be logged at once."""
    accept_shed: int = 16
    """Connections that are closed after it, to free descriptors."""
    say_every_s: float = 600.0
    """The same complaint is logged at most this often."""


KNOWN_FACTOR = 5
HERE = "here"
"""Stands for this machine's addresses. Behind a tunnel or a proxy all connections have it."""


class Phase(Enum):
    """What a connection is doing."""

    SILENT = auto()
    """Accepted; no byte has come."""
    HANDSHAKE = auto()
    """In the TLS handshake, or after it and silent."""
    HEADER = auto()
    """In the header of a request."""
    BODY = auto()
    """In the body of a request."""
    WAITING = auto()
    """The request has arrived; the response is prepared or on its way."""
    KEEP_ALIVE = auto()
    """Between two requests."""
    OPEN = auto()
    """A websocket."""


WEIGHT = {
    Phase.SILENT: 4.0,
    Phase.HANDSHAKE: 2.0,
    Phase.HEADER: 2.0,
    Phase.BODY: 2.0,
    Phase.KEEP_ALIVE: 1.0,
    Phase.WAITING: 0.5,
    Phase.OPEN: 0.5,
}
"""Which connection is closed first: time in the phase times this weight. Not strictly by phase, or somebody who fills
the server with connections that have sent one request would have each newcomer closed at once.
"""


class Timer(Protocol):
    """The part of asyncio.TimerHandle that is used here."""

    def cancel(self) -> None:
        """Cancel the call."""

    def when(self) -> float:
        """The time of the call, on the event loop's clock."""


@dataclass(eq=False, slots=True)
class Connection:
    """The state of a connection."""

    address: str
    close: Callable[[], None]
    since: float
    """When its phase began, on the event loop's clock."""
    hang_up: Callable[[], object] = bool
    """Shuts the socket down; the event loop notices that and closes it."""
    unread: Callable[[], bool] = bool
    """Whether the client has not read a part of the response yet."""
    phase: Phase = Phase.SILENT
    known: bool = False
    """Whether it has carried a valid login."""
    served: int = 0
    """Requests whose header was read."""
    buffered: Callable[[], int] = int
    """Bytes that have arrived and are not a part of its request yet."""
    held: int = 0
    """Bytes of its request that are in memory."""
    moved: int = 0
    """Bytes, both ways, since `marked`."""
    marked: float = 0.0
    timer: Timer | None = None
    there: bool = True


def due(connection: Connection, limits: Limits) -> float | None:
    """When its time-out ends, on the event loop's clock; None: it has none."""
    factor = KNOWN_FACTOR if connection.known else 1
    match connection.phase:
        case Phase.SILENT | Phase.HANDSHAKE:
            return connection.since + limits.handshake_s
        case Phase.HEADER:
            return connection.since + limits.header_s
        case Phase.KEEP_ALIVE:
            return connection.since + (limits.keep_alive_known_s if connection.known else limits.keep_alive_s)
        case Phase.BODY:
            return connection.marked + (limits.body_window_known_s if connection.known else limits.body_window_s)
        case Phase.WAITING:
            return connection.marked + limits.unread_s * factor
        case Phase.OPEN:
            return None if connection.known else connection.marked + limits.unread_s


def is_late(connection: Connection, limits: Limits) -> bool:
    """Whether to close it once `due` is reached. A body and a response need progress only, not to be complete."""
    match connection.phase:
        case Phase.BODY:
            return connection.moved < (1 if connection.known else limits.body_window_bytes)
        case Phase.WAITING:
            return connection.unread() and not connection.moved
        case Phase.OPEN:
            return not connection.moved
        case _:
            return True


def place(address: object) -> str:
    """The origin of a connection from its socket's address: HERE, an IPv4 address, or an IPv6 /64."""
    host = str(address[0]) if isinstance(address, tuple) and address else ""
    if not net.is_address(host.partition("%")[0]) or net.is_loopback(host):  # a Unix socket's is no address
        return HERE
    return net.customer(host)
