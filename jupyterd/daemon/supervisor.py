"""The composition root: makes the objects, hands them to each other, runs the loop.

Decides nothing. Neighbours: __main__.py calls it, inherited.py tells what there is to begin with.
"""

from __future__ import annotations

import gc
import os

from sdnotify import SystemdNotifier

from jupyterd.core.records import TROUBLE
from jupyterd.core.words import Record, Started
from jupyterd.daemon import clock, inherited, loop
from jupyterd.daemon.children import Children
from jupyterd.daemon.notify import Notifier
from jupyterd.daemon.output import with_watchdog
from jupyterd.daemon.perform import Log, Performer
from jupyterd.daemon.probes import Probes
from jupyterd.daemon.process import reap_strangers, start_time
from jupyterd.daemon.signals import Signals
from jupyterd.daemon.sockets import Listeners
from jupyterd.daemon.status import Status
from jupyterd.daemon.watch import Watch
from jupyterd.wire import plan
from jupyterd.wire.snapshot import Process


def main(argv: list[str], core: loop.Core[loop.World]) -> int:
    """The supervisor's whole life; gives its exit code. `core` decides: jupyterd.core.step, or a script in a test."""
    given = inherited.arguments(argv)
    inherited.seal()
    with os.fdopen(given.plan, "rb") as file:
        file.seek(0)
        made = plan.decode(file.read())
    if isinstance(made, plan.Refused):
        raise TypeError("a refused plan is for people, not for the supervisor")
    watch = Watch()
    connected = SystemdNotifier().socket  # it reads NOTIFY_SOCKET, which is removed next
    surroundings = inherited.take(os.environ)
    notifier = Notifier(connected, surroundings.watchdog_s)
    log = _log(watch, made.state_dir, journal=surroundings.journal)
    first = Started(
        with_watchdog(made, surroundings.watchdog_s), clock.read(), Process(os.getpid(), start_time(os.getpid()))
    )
    children = Children(watch, log.stream, surroundings.watchdog_s, lambda what: log.write(Record(TROUBLE, what)))
    Signals(watch, (lambda: reap_strangers(children.pids())) if os.getpid() == 1 else None)
    performer = Performer(
        log=log,
        notifier=notifier,
        listeners=Listeners(notifier, surroundings.sockets),
        children=children,
        probes=Probes(watch),
        status=Status(made.runtime_dir),
        banner_fd=given.banner,
    )
    del made, file
    gc.collect()
    gc.freeze()
    try:
        return loop.run(core, performer, watch, first)
    finally:
        log.close()


def _log(watch: Watch, state_dir: str, *, journal: bool) -> Log:
    """The one of the two that is used."""
    if journal:
        from jupyterd.daemon.journal import Journal  # noqa: PLC0415 - each costs memory

        return Journal()
    from jupyterd.daemon.sink import Sink  # noqa: PLC0415 - the same
    from jupyterd.daemon.terminal import Terminal  # noqa: PLC0415 - the same

    return Terminal(watch, Sink(watch, state_dir))
