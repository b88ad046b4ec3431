"""The composition root: takes what the process has inherited (arguments, systemd's variables, descriptors), makes the
objects, and runs the loop. Decides nothing.
"""

from __future__ import annotations

import gc
import os
from collections.abc import MutableMapping, Sequence
from contextlib import suppress

from sdnotify import SystemdNotifier

from jupyterd.core import event_log
from jupyterd.core.effects import Record
from jupyterd.core.events import Started
from jupyterd.core.journal_kinds import TROUBLE
from jupyterd.linux import capabilities, proc
from jupyterd.protocol import plan
from jupyterd.protocol.status import ProcessIdentity
from jupyterd.protocol.value import value
from jupyterd.supervisor import clock, loop
from jupyterd.supervisor.children import Children
from jupyterd.supervisor.listeners import Listeners
from jupyterd.supervisor.perform import Performer, RecordSink
from jupyterd.supervisor.pipes import with_watchdog
from jupyterd.supervisor.poller import Poller
from jupyterd.supervisor.probe import Probes
from jupyterd.supervisor.process import reap_strangers
from jupyterd.supervisor.sd_notify import Notifier
from jupyterd.supervisor.signals import Signals
from jupyterd.supervisor.status_file import Status

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
    """`watchdog_s`: how often WATCHDOG=1 must be sent, 0: no watchdog; `journal`: stderr is a journal stream; `cgroup`:
    the text of /proc/self/cgroup if systemd has started this very process, so that the cgroup is its unit's.
    """

    watchdog_s: float
    sockets: tuple[int, ...]
    journal: bool
    cgroup: str | None = None


def main(argv: list[str], core: loop.Core[loop.World]) -> int:
    """Run the supervisor; returns its exit code. `core` decides: jupyterd.core.step, or a script in a test."""
    given = arguments(argv)
    seal()
    capabilities.withhold()
    with os.fdopen(given.plan, "rb") as file:
        file.seek(0)
        made = plan.decode(file.read())
    if isinstance(made, plan.Refused):
        raise TypeError("a refused plan is for people, not for the supervisor")
    poller = Poller()
    connected = SystemdNotifier().socket  # it reads NOTIFY_SOCKET, which is removed next
    surroundings = take(os.environ)
    notifier = Notifier(connected, surroundings.watchdog_s)
    log = _log(poller, made.state_dir, journal=surroundings.journal)
    first = Started(
        with_watchdog(made, surroundings.watchdog_s),
        clock.read(),
        ProcessIdentity(os.getpid(), proc.started(os.getpid()) or 0),
    )
    children = Children(
        poller, log.stream, surroundings.watchdog_s, lambda what: log.write(Record(TROUBLE, what)), surroundings.cgroup
    )
    history = loop.EventHistory(core.start())

    def dump() -> None:
        log.write(event_log.record(history.start, history.entries, history.end))

    Signals(poller, dump, (lambda: reap_strangers(children.pids())) if os.getpid() == 1 else None)
    performer = Performer(
        log=log,
        notifier=notifier,
        listeners=Listeners(notifier, surroundings.sockets),
        children=children,
        probes=Probes(poller),
        status=Status(made.runtime_dir),
        banner_fd=given.banner,
    )
    del made, file
    gc.collect()
    gc.freeze()
    try:
        return loop.run(core, performer, poller, first, history)
    except Exception:
        dump()
        raise
    finally:
        log.close()


def _log(poller: Poller, state_dir: str, *, journal: bool) -> RecordSink:
    """The journal, or the console in a terminal."""
    if journal:
        from jupyterd.supervisor.journal import Journal  # noqa: PLC0415 - each costs memory

        return Journal()
    from jupyterd.supervisor.console import Console  # noqa: PLC0415 - the same
    from jupyterd.supervisor.console_sink import Sink  # noqa: PLC0415 - the same

    return Console(poller, Sink(poller, state_dir))


def arguments(argv: Sequence[str]) -> Arguments:
    """`--plan-fd N [--banner-fd M] [--lock-fd K]`; ValueError for anything else. It is written by cli/run.py only."""
    pairs = dict(zip(argv[::2], argv[1::2], strict=True))
    plan = int(pairs.pop("--plan-fd"))
    banner, lock = pairs.pop("--banner-fd", None), pairs.pop("--lock-fd", None)
    if pairs:
        raise ValueError(f"unknown arguments: {' '.join(pairs)}")
    return Arguments(plan, None if banner is None else int(banner), None if lock is None else int(lock))


def take(environ: MutableMapping[str, str]) -> Inherited:
    """Read systemd's variables (WATCHDOG_*, LISTEN_*, JOURNAL_STREAM and so on) and remove them from `environ`."""
    given = {name: environ.pop(name) for name in _OURS if name in environ}
    pid = str(os.getpid())
    watchdog_s = 0.0
    if given.get("WATCHDOG_PID", pid) == pid:
        watchdog_s = int(given.get("WATCHDOG_USEC", "0")) / 2_000_000
    sockets: tuple[int, ...] = ()
    if given.get("LISTEN_PID") == pid:
        sockets = tuple(range(_FIRST, _FIRST + int(given.get("LISTEN_FDS", "0"))))
    cgroup = proc.text(os.getpid(), "cgroup") if given.get("SYSTEMD_EXEC_PID") == pid else ""
    return Inherited(watchdog_s, sockets, given.get("JOURNAL_STREAM") == _identity(2), cgroup or None)


def seal() -> None:
    """Set close-on-exec on all descriptors but standard input, output and error, so that no child inherits one."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) >= _FIRST:
            with suppress(OSError):  # the one of the listing itself
                os.set_inheritable(int(name), False)


def _identity(fd: int) -> str:
    """Device and inode of `fd` as "DEV:INODE", the form of JOURNAL_STREAM (systemd.exec(5))."""
    found = os.fstat(fd)
    return f"{found.st_dev}:{found.st_ino}"
