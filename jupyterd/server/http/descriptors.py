"""How many connections the limit of open files of this process has room for."""

from __future__ import annotations

import resource

OTHERS = 256
"""Kept free for files, kernels' sockets and terminals."""
ALLOWANCES = 3
"""Of connections_max each: without a login from here, from elsewhere, and with a login."""


def connections(wanted: int) -> int:
    """`wanted` connections, or as many as there are descriptors for."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - OTHERS) // ALLOWANCES))
