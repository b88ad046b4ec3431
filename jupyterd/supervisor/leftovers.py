"""What a server that has ended leaves behind: programs that its extensions started (jupyter-server-proxy does). They
end with it: SIGTERM, then SIGKILL. Kernels and terminals are not among them, they live elsewhere.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from jupyterd.core.events import Event
from jupyterd.linux import proc
from jupyterd.protocol.value import value
from jupyterd.supervisor.poller import Poller

GRACE_S = 2.0
"""Between SIGTERM and SIGKILL."""
_NAMED_MOST = 5


@value
class ServiceProcess:
    """A process of this machine, as far as it matters here."""

    parent: int
    session: int
    ours: bool
    """It is in the supervisor's own cgroup, and systemd has not started it there (ExecReload=)."""


def left_by(dead: int, seen: Mapping[int, ServiceProcess], supervisor: int, children: Collection[int]) -> list[int]:
    """Pids of what the server with the pid `dead` has left: in the supervisor's cgroup, or at least in the server's
    session, and no descendant of a living child.
    """

    def belongs_to_a_child(pid: int) -> bool:
        for _ in seen:
            found = seen.get(pid)
            if pid in children or found is None or found.parent <= 1:
                return pid in children
            pid = found.parent
        return False

    return [
        pid
        for pid, found in seen.items()
        if pid != supervisor and (found.ours or found.session == dead) and not belongs_to_a_child(pid)
    ]


def look(cgroup: str | None) -> dict[int, ServiceProcess]:
    """Every process that this one may see. `cgroup`: the text of the supervisor's /proc/PID/cgroup if the whole cgroup
    is the supervisor's, as in a systemd unit; None elsewhere, where others may share it.
    """
    found = {}
    for pid in proc.pids():
        stat = proc.stat(pid)
        if stat is not None and stat.is_alive:
            mine = cgroup is not None and proc.text(pid, "cgroup") == cgroup and not _is_systemds(pid)
            found[pid] = ServiceProcess(stat.parent, stat.session, mine)
    return found


def _is_systemds(pid: int) -> bool:
    """Whether systemd has started it as a control process of the unit: it gets MAINPID (systemd.exec(5))."""
    return "\0MAINPID=" in "\0" + proc.text(pid, "environ")


def end(dead: int, cgroup: str | None, children: Collection[int], poller: Poller) -> list[str]:
    """End what the server `dead` has left; returns "NAME (pid N)" of each."""
    pidfds = {}
    for pid in left_by(dead, look(cgroup), os.getpid(), children):
        with suppress(OSError):
            pidfds[pid] = os.pidfd_open(pid)
    named = [f"{proc.text(pid, 'comm').strip() or 'a program'} (pid {pid})" for pid in pidfds]
    _signal(pidfds.values(), signal.SIGTERM)

    def kill() -> Iterable[Event]:
        _signal(pidfds.values(), signal.SIGKILL)
        for pidfd in pidfds.values():
            os.close(pidfd)
        return ()

    if pidfds:
        poller.call_at(time.monotonic() + GRACE_S, kill)
    return named if len(named) <= _NAMED_MOST else [*named[:_NAMED_MOST], f"{len(named) - _NAMED_MOST} more"]


def _signal(pidfds: Iterable[int], number: int) -> None:
    for pidfd in pidfds:
        with suppress(OSError):  # it has ended
            signal.pidfd_send_signal(pidfd, number)
