"""How many files this process may have open: as many as it is allowed, while what it starts gets what it was given.

The limit that shells and kernels see stays the account's own (1024 mostly): programs that use select(2) break above it.
"""

from __future__ import annotations

import resource

ENOUGH = 65536
"""More than any settings need; some systems allow a thousand million, and some programs then try to close them all."""
OTHERS = 256
"""Kept free for files, kernels' sockets and terminals."""
ALLOWANCES = 3
"""Of connections_max each: without a login from here, from elsewhere, and with a login."""


def raise_limit() -> int:
    """To the hard limit or what is enough; gives the soft limit that was (getrlimit(2))."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft


def connections(wanted: int) -> int:
    """`connections_max`, as far as there are descriptors for it."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - OTHERS) // ALLOWANCES))
