"""Who a process is: pid, start time and boot id together; a pid alone is nobody.

Knows only /proc and pidfds. A zombie (state Z) is not alive: it holds nothing but its number.
"""

from __future__ import annotations

import os
import select
import uuid
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = "JUPYTERD_BOOT_ID"
"""%b of systemd.unit(5), from jupyterd.service."""
_STATE, _STARTED = 0, 19
"""Places after the closing parenthesis of /proc/PID/stat: fields 3 and 22 of proc_pid_stat(5)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`started` is field 22 of /proc/PID/stat: clock ticks since boot."""

    pid: int
    started: int
    boot: str


def boot_id() -> str:
    """The random name of this boot (random(4)).

    As systemd told it to the service: a container may have its own, laid over the file, and the sandbox's fresh /proc
    shows the file below (measured in systemd-nspawn with ProtectKernelTunables=).
    """
    if told := os.environ.get(BOOT_ID):
        return str(uuid.UUID(told))
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def started(pid: int) -> int | None:
    """Start time of a living process; None when there is none or only its zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[_STATE] in {"Z", "X", "x"} else int(fields[_STARTED])


def identify(pid: int) -> Identity | None:
    """The identity of a living process."""
    ticks = started(pid)
    return None if ticks is None else Identity(pid, ticks, boot_id())


def open_pidfd(identity: Identity, boot: str | None = None) -> int | None:
    """A pidfd of exactly this process, None when it is gone. `boot` saves reading the boot id again.

    The pidfd comes first and the comparison second: the other way round the pid could change hands in between.
    """
    if identity.boot != (boot or boot_id()):
        return None
    try:
        pidfd = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        return None
    if started(identity.pid) != identity.started:
        os.close(pidfd)
        return None
    return pidfd


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs."""
    pidfd = open_pidfd(identity)
    if pidfd is None:
        return False
    os.close(pidfd)
    return True


def has_exited(pidfd: int) -> bool:
    """A pidfd becomes readable when its process ends, be it a child or not (pidfd_open(2))."""
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(0))
