"""TCP ports of this machine: whether somebody listens on one."""

from __future__ import annotations

import errno
import socket

_EVERY = ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"))  # noqa: S104 - bound for a moment, never listened on
_TRIES = 100


def is_taken(port: int) -> bool:
    """Whether a program listens on this port, on whatever address. False where that cannot be found out."""
    return any(_is_taken(family, host, port) for family, host in _EVERY)


def free_from(port: int) -> int:
    """The first port from this one on that is not taken; the port itself where none of a hundred is free."""
    return next((each for each in range(port, min(port + _TRIES, 65536)) if not is_taken(each)), port)


def _is_taken(family: socket.AddressFamily, host: str, port: int) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as trying:
            # socket(7): with it, only a socket that listens is in the way, not a connection that has just ended.
            trying.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                trying.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            trying.bind((host, port))
    except OSError as error:
        return error.errno == errno.EADDRINUSE
    return False
