"""What a connection is at, how long it may be, and whose it is. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from jupyterd.server.http.limits import Limits

PATIENCE_WITH_THE_KNOWN = 5
HERE = "here"
"""In place of the address: this machine. Behind a tunnel or a proxy everybody is."""


class Phase(Enum):
    """What a connection is at."""

    SILENT = auto()
    """Accepted; not one byte came."""
    HELLO = auto()
    """In the TLS handshake, or after it and silent."""
    HEADER = auto()
    """In the header of a request."""
    BODY = auto()
    """In the body of a request."""
    WAITING = auto()
    """The request is here; the answer is made or on its way."""
    IDLE = auto()
    """Between two requests."""
    OPEN = auto()
    """A websocket."""


WEIGHT = {
    Phase.SILENT: 4.0,
    Phase.HELLO: 2.0,
    Phase.HEADER: 2.0,
    Phase.BODY: 2.0,
    Phase.IDLE: 1.0,
    Phase.WAITING: 0.5,
    Phase.OPEN: 0.5,
}
"""Who goes: the longest at it, times this. Not strictly by kind, or whoever fills the place with connections that have
asked something once would have each newcomer closed before it can say a word.
"""


class Timer(Protocol):
    """asyncio.TimerHandle."""

    def cancel(self) -> None:
        """It does not come."""

    def when(self) -> float:
        """On the event loop's clock."""


@dataclass(eq=False, slots=True)
class Connection:
    """One connection."""

    address: str
    close: Callable[[], None]
    since: float
    """When it began what it is doing."""
    unread: Callable[[], bool] = bool
    """Whether a part of the answer has not been taken yet."""
    doing: Phase = Phase.SILENT
    known: bool = False
    """It has carried a valid login."""
    served: int = 0
    """Requests whose header was read."""
    moved: int = 0
    """Bytes, both ways, since `marked`."""
    marked: float = 0.0
    timer: Timer | None = None
    there: bool = True


def due(guest: Connection, limits: Limits) -> float | None:
    """When to look at it, on the event loop's clock; None: never, it may stay."""
    patience = PATIENCE_WITH_THE_KNOWN if guest.known else 1
    match guest.doing:
        case Phase.SILENT | Phase.HELLO:
            return guest.since + limits.hello_s
        case Phase.HEADER:
            return guest.since + limits.header_s
        case Phase.IDLE:
            return guest.since + (limits.idle_known_s if guest.known else limits.idle_s)
        case Phase.BODY:
            return guest.marked + (limits.body_window_known_s if guest.known else limits.body_window_s)
        case Phase.WAITING:
            return guest.marked + limits.unread_s * patience
        case Phase.OPEN:
            return None if guest.known else guest.marked + limits.unread_s


def is_late(guest: Connection, limits: Limits) -> bool:
    """When `due` has come: has it kept us waiting? A body and an answer are asked for progress, not for an end."""
    match guest.doing:
        case Phase.BODY:
            return guest.moved < (1 if guest.known else limits.body_window_bytes)
        case Phase.WAITING:
            return guest.unread() and not guest.moved
        case Phase.OPEN:
            return not guest.moved
        case _:
            return True


def place(address: object) -> str:
    """Whose connection it is, of a socket's address: HERE, an IPv4 address, or an IPv6 network of 64 bits."""
    try:
        ip = ipaddress.ip_address(str(address[0]).partition("%")[0])  # type: ignore[index]
    except (TypeError, IndexError, ValueError):
        return HERE  # a Unix socket's
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return HERE if ip.is_loopback else str(ipaddress.ip_network((int(ip), 64), strict=False))
        ip = ip.ipv4_mapped
    return HERE if ip.is_loopback else str(ip)
