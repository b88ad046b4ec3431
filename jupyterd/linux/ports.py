"""TCP ports of this machine: whether one can be listened on. Binds it for a moment, and never listens."""

from __future__ import annotations

import errno
import socket

_EVERY = ("0.0.0.0", "::")  # noqa: S104 - bound for a moment, never listened on
_TRIES = 100


def is_taken(port: int) -> bool:
    """Whether a program listens on this port, on whatever address. False where that cannot be found out."""
    return any(fault(host, port) == errno.EADDRINUSE for host in _EVERY)


def fault(host: str, port: int) -> int:
    """The errno with which the machine refuses to bind a literal address now (bind(2)); 0: it does not."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with _trying(family) as trying:
            trying.bind((host, port))
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def free_from(port: int) -> int:
    """The first port from this one on that is not taken; the port itself where none of a hundred is free."""
    return next((each for each in range(port, min(port + _TRIES, 65536)) if not is_taken(each)), port)


def _trying(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    # socket(7): with it, only a socket that listens is in the way, not a connection that has just ended.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
