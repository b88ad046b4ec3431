"""Child processes: start one, signal it by its pidfd, reap it.

Knows no roles and no events.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Collection, Sequence
from contextlib import suppress

from jupyterd.linux import proc
from jupyterd.linux.proc import PARENT
from jupyterd.protocol.plan import Command
from jupyterd.protocol.value import value

_CHANGED = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTTOU)
"""Signals that we or Python handle or ignore: an ignored one would stay ignored across exec (signal(7))."""


@value
class SpawnedProcess:
    """A child that has not been reaped. `started`: field 22 of /proc/PID/stat, so that its pid is never mistaken."""

    pid: int
    pidfd: int
    started: int


@value
class End:
    """How a process ended: exactly one of `code` and `signal` is set; signal is "SIGKILL" and so on."""

    code: int | None
    signal: str | None


def spawn(command: Command, *, stdout: int, stderr: int, pass_fds: Sequence[int] = ()) -> SpawnedProcess:
    """Start it in a session of its own, with exactly its environment (and our pid, for proc.die_with_parent),
    default signals, /dev/null as input, and `pass_fds` under the same numbers. OSError if it cannot be started.

    posix_spawn(3) starts with vfork, and spares the 0.5 MB of the module subprocess. Its two gaps are closed here:
    the working directory, and the descriptors to pass; both are safe because there is one thread.
    """
    env = {**dict(command.env), PARENT: str(os.getpid())}
    actions = (
        (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, stdout, 1),
        (os.POSIX_SPAWN_DUP2, stderr, 2),
    )
    os.chdir(command.cwd)
    try:
        for fd in pass_fds:
            os.set_inheritable(fd, True)
        pid = os.posix_spawn(
            command.argv[0], command.argv, env, file_actions=actions, setsid=True, setsigmask=(), setsigdef=_CHANGED
        )
    finally:
        os.chdir("/")
        for fd in pass_fds:
            os.set_inheritable(fd, False)
    # The child is ours and not reaped: its pid cannot be anybody else's yet, and it may be a zombie already.
    found = proc.stat(pid)
    return SpawnedProcess(pid, os.pidfd_open(pid), 0 if found is None else found.started)


def send(process: SpawnedProcess, name: str) -> None:
    """Send the signal `name` ("TERM", "KILL", ...). A process that has already ended is not an error."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(process.pidfd, signal.Signals[f"SIG{name}"])


def set_nice(process: SpawnedProcess, value: int) -> None:
    """Set its nice value, where the way back to 0 is open: RLIMIT_NICE of 20 (getrlimit(2)), which it has from us."""
    if resource.getrlimit(resource.RLIMIT_NICE)[0] >= 20 or os.geteuid() == 0:  # noqa: PLR2004 - 20 - nice 0
        with suppress(ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, process.pid, value)


def reap(process: SpawnedProcess) -> End | None:
    """Take its exit status; None while it runs. The pidfd stays the caller's to close."""
    result = os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED | os.WNOHANG)
    if result is None:
        return None
    if result.si_code == os.CLD_EXITED:
        return End(result.si_status, None)
    return End(None, signal_name(result.si_status))


def reap_strangers(ours: Collection[int]) -> None:
    """As PID 1 of a container, reap orphans that the kernel gave us; our own children, `ours`, are left alone."""
    with open("/proc/thread-self/children", encoding="ascii") as file:
        pids = [int(pid) for pid in file.read().split()]
    for pid in pids:
        if pid not in ours:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def signal_name(number: int) -> str:
    """Like "SIGKILL"; real-time signals have a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIG{number}"
