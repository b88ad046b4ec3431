"""The composition root: makes the objects, hands them to each other, runs the loop.

Decides nothing.
"""

from __future__ import annotations

import gc
import os

from sdnotify import SystemdNotifier

from jupyterd.core import event_log
from jupyterd.core.effects import Record
from jupyterd.core.events import Started
from jupyterd.core.journal_kinds import TROUBLE
from jupyterd.linux import proc
from jupyterd.protocol import plan
from jupyterd.protocol.status import ProcessIdentity
from jupyterd.supervisor import clock, inherited, loop
from jupyterd.supervisor.children import Children
from jupyterd.supervisor.listeners import Listeners
from jupyterd.supervisor.perform import Performer, RecordSink
from jupyterd.supervisor.pipes import with_watchdog
from jupyterd.supervisor.poller import Poller
from jupyterd.supervisor.probes import Probes
from jupyterd.supervisor.process import reap_strangers
from jupyterd.supervisor.sd_notify import Notifier
from jupyterd.supervisor.signals import Signals
from jupyterd.supervisor.status_file import Status


def main(argv: list[str], core: loop.Core[loop.World]) -> int:
    """The supervisor's whole life; gives its exit code. `core` decides: jupyterd.core.step, or a script in a test."""
    given = inherited.arguments(argv)
    inherited.seal()
    with os.fdopen(given.plan, "rb") as file:
        file.seek(0)
        made = plan.decode(file.read())
    if isinstance(made, plan.Refused):
        raise TypeError("a refused plan is for people, not for the supervisor")
    poller = Poller()
    connected = SystemdNotifier().socket  # it reads NOTIFY_SOCKET, which is removed next
    surroundings = inherited.take(os.environ)
    notifier = Notifier(connected, surroundings.watchdog_s)
    log = _log(poller, made.state_dir, journal=surroundings.journal)
    first = Started(
        with_watchdog(made, surroundings.watchdog_s),
        clock.read(),
        ProcessIdentity(os.getpid(), proc.started(os.getpid()) or 0),
    )
    children = Children(poller, log.stream, surroundings.watchdog_s, lambda what: log.write(Record(TROUBLE, what)))
    history = loop.History(core.start())

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
    """The one of the two that is used."""
    if journal:
        from jupyterd.supervisor.journal import Journal  # noqa: PLC0415 - each costs memory

        return Journal()
    from jupyterd.supervisor.console import Console  # noqa: PLC0415 - the same
    from jupyterd.supervisor.console_sink import Sink  # noqa: PLC0415 - the same

    return Console(poller, Sink(poller, state_dir))
