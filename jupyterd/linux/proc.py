"""Processes as /proc (proc(5)) and pidfds (pidfd_open(2)) show them.

A pid alone names nobody: a process is known by pid, start time and boot id. A zombie is dead for everybody, it holds
nothing but its number. Without pathlib: the supervisor imports this module and must stay small.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import signal
from contextlib import suppress
from dataclasses import dataclass

BOOT_ID = "JUPYTERD_BOOT_ID"
"""Environment variable: %b of systemd.unit(5), from jupyterd.service."""
PARENT = "JUPYTERD_PARENT_PID"
"""Environment variable: the supervisor's pid."""
OPEN_FILES = 65536
"""More than any settings need; some systems allow 10^9, and some programs then try to close each of them."""
_PR_SET_PDEATHSIG = 1
_DEAD = frozenset("ZXx")
_NO_PROCESS = (errno.ESRCH, errno.EINVAL, errno.ENOENT)
"""pidfd_open(2): no such process, or a thread of one."""
PID_MOST = 1 << 22
"""proc_sys_kernel(5), pid_max."""


@dataclass(frozen=True, slots=True)
class Identity:
    """`started` is field 22 of /proc/PID/stat: clock ticks since boot."""

    pid: int
    started: int
    boot: str


@dataclass(frozen=True, slots=True)
class Stat:
    """Fields of /proc/PID/stat (proc_pid_stat(5)); times in clock ticks."""

    state: str
    """One letter: "R", "S", "D", "T", "Z", ..."""
    parent: int
    session: int
    cpu: int
    """Its own and its reaped children's, user and system."""
    started: int
    """Since boot."""

    @property
    def is_alive(self) -> bool:
        """Whether it still runs: a zombie does not."""
        return self.state not in _DEAD


def text(pid: int, name: str, proc: str = "/proc") -> str:
    """A file of /proc/PID; "" when it cannot be read (the process is gone, or another account's)."""
    return _read(f"{proc}/{pid}/{name}")


def stat(pid: int, proc: str = "/proc") -> Stat | None:
    """Also of a zombie; None when there is no such process. The name in field 2 may hold anything, so it is skipped."""
    fields = text(pid, "stat", proc).rpartition(")")[2].split()
    if len(fields) < 20:  # noqa: PLR2004 - up to field 22
        return None
    return Stat(fields[0], int(fields[1]), int(fields[3]), sum(map(int, fields[11:15])), int(fields[19]))


def pids(proc: str = "/proc") -> list[int]:
    """Every process that this one may see."""
    return [int(name) for name in os.listdir(proc) if name.isdigit()]  # noqa: PTH208 - see above


def started(pid: int, proc: str = "/proc") -> int | None:
    """The start time of a living process in clock ticks since boot; None when there is none, or only its zombie."""
    found = stat(pid, proc)
    return found.started if found is not None and found.is_alive else None


def state(pid: int) -> str:
    """The process state, as Stat.state; "" when there is no such process."""
    found = stat(pid)
    return "" if found is None else found.state


def scheduled_s(pid: int) -> tuple[float, float]:
    """Seconds that the main thread had a processor, and that it was ready to run without one (fields 1 and 2 of
    /proc/PID/schedstat); 0 where the kernel does not say.
    """
    fields = text(pid, "schedstat").split()
    return (int(fields[0]) / 1e9, int(fields[1]) / 1e9) if len(fields) > 1 else (0.0, 0.0)


def boot_id() -> str:
    """The random name of this boot (random(4)).

    As systemd told it to the service: a container may have its own, laid over the file, and the sandbox's fresh /proc
    shows the file below (measured in systemd-nspawn with ProtectKernelTunables=).
    """
    if named := os.environ.get(BOOT_ID, "").replace("-", ""):
        return "-".join((named[:8], named[8:12], named[12:16], named[16:20], named[20:]))
    return _read("/proc/sys/kernel/random/boot_id").strip()


def this_process() -> Identity:
    """The identity of this process."""
    pid = os.getpid()
    return Identity(pid, started(pid) or 0, boot_id())


def open_pidfd(identity: Identity, boot: str | None = None) -> int | None:
    """A pidfd of exactly this process, the caller's to close; None when it is gone. `boot` saves reading the boot id.

    The pidfd comes first and the comparison second: the other way round the pid could change hands in between.
    """
    if identity.boot != (boot or boot_id()):
        return None
    return open_pidfd_since(identity.pid, identity.started)


def open_pidfd_since(pid: int, ticks: int) -> int | None:
    """A pidfd of the process of this boot with this pid and start time; None when it is gone, or no process has such a
    pid (a damaged file).
    """
    if not 0 < pid <= PID_MOST:
        return None
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno not in _NO_PROCESS:
            raise
        return None
    if started(pid) != ticks:
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


def has_exited(pidfd: int, within_s: float = 0.0) -> bool:
    """Whether the process has exited, waiting `within_s` seconds for it: its pidfd becomes readable then, be it a
    child or not.
    """
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(within_s * 1000))


def terminate(pidfd: int, term_s: float, kill_s: float) -> bool:
    """SIGTERM, and SIGKILL after `term_s`. Whether the process has exited `kill_s` after that: one that waits in the
    kernel (state D) has not.
    """
    for signum, patience_s in ((signal.SIGTERM, term_s), (signal.SIGKILL, kill_s)):
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signum)
        if has_exited(pidfd, patience_s):
            return True
    return False


def die_with_parent() -> None:
    """Ask the kernel for SIGKILL when the supervisor ends, however it ends (prctl(2), PR_SET_PDEATHSIG).

    First of all in every program that the supervisor starts. Without the variable PARENT (started by hand) it does
    nothing. The variable is removed: kernels must not see it.
    """
    parent = os.environ.pop(PARENT, None)
    if parent is None:
        return
    import ctypes  # noqa: PLC0415 - the supervisor imports this module and must stay small

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != int(parent):  # it ended before the call
        os.kill(os.getpid(), signal.SIGKILL)


def oom_kills() -> int | None:
    """Processes killed for lack of memory since boot, on the whole machine; None where the kernel does not say."""
    counts = dict(line.split() for line in _read("/proc/vmstat").splitlines())
    return int(counts["oom_kill"]) if "oom_kill" in counts else None


def volunteer_for_oom(score: int) -> None:
    """Raise the badness of this process to `score` (proc(5), oom_score_adj; 1000 is all of the memory), for which one
    needs no right. What it starts inherits that.
    """
    path = "/proc/self/oom_score_adj"
    with suppress(OSError, ValueError):  # without /proc the kernel chooses by size alone
        if int(_read(path)) < score:
            with open(path, "w", encoding="ascii") as file:  # noqa: PTH123 - see above
                file.write(str(score))


def raise_open_files_limit() -> int:
    """Raise this process's soft limit of open files to its hard limit, at most OPEN_FILES; gives the soft limit that
    it had (getrlimit(2)), for what it starts: programs that use select(2) break above 1024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return soft


def _read(path: str) -> str:
    with suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - see above
        return file.read()
    return ""
