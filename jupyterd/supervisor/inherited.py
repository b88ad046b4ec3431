"""What the supervisor was given by those who started it: arguments, systemd's variables, descriptors.

Looked at once, at the very start, and then removed, so that no child ever sees it.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping, Sequence
from contextlib import suppress

from jupyterd.protocol.value import value

_FIRST = 3
"""SD_LISTEN_FDS_START (sd_listen_fds(3))."""
_OURS = (
    "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID",
    "JOURNAL_STREAM", "INVOCATION_ID", "SYSTEMD_EXEC_PID", "MAINPID", "MANAGERPID", "CREDENTIALS_DIRECTORY",
    "MEMORY_PRESSURE_WATCH", "MEMORY_PRESSURE_WRITE",
)  # fmt: skip


@value
class Arguments:
    """Numbers of inherited descriptors. `plan`: a file with one plan; `banner`: text; `lock`: held while it is open."""

    plan: int
    banner: int | None
    lock: int | None


@value
class Inherited:
    """`watchdog_s`: how often WATCHDOG=1 must be sent, 0 if nobody watches; `journal`: stderr is a journal stream."""

    watchdog_s: float
    sockets: tuple[int, ...]
    journal: bool


def arguments(argv: Sequence[str]) -> Arguments:
    """`--plan-fd N [--banner-fd M] [--lock-fd K]`; ValueError for anything else. It is written by cli/run.py only."""
    pairs = dict(zip(argv[::2], argv[1::2], strict=True))
    plan = int(pairs.pop("--plan-fd"))
    banner, lock = pairs.pop("--banner-fd", None), pairs.pop("--lock-fd", None)
    if pairs:
        raise ValueError(f"unknown arguments: {' '.join(pairs)}")
    return Arguments(plan, None if banner is None else int(banner), None if lock is None else int(lock))


def take(environ: MutableMapping[str, str]) -> Inherited:
    """Read systemd's variables and remove them."""
    given = {name: environ.pop(name) for name in _OURS if name in environ}
    pid = str(os.getpid())
    watchdog_s = 0.0
    if given.get("WATCHDOG_PID", pid) == pid:
        watchdog_s = int(given.get("WATCHDOG_USEC", "0")) / 2_000_000
    sockets: tuple[int, ...] = ()
    if given.get("LISTEN_PID") == pid:
        sockets = tuple(range(_FIRST, _FIRST + int(given.get("LISTEN_FDS", "0"))))
    return Inherited(watchdog_s, sockets, given.get("JOURNAL_STREAM") == _identity(2))


def seal() -> None:
    """No child gets a descriptor by accident: close-on-exec for all but standard input, output and error."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= _FIRST:
            with suppress(OSError):  # the one of the listing itself
                os.set_inheritable(int(name), False)


def _identity(fd: int) -> str:
    """As in JOURNAL_STREAM (systemd.exec(5))."""
    found = os.fstat(fd)
    return f"{found.st_dev}:{found.st_ino}"
