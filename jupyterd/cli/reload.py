"""`jupyterd reload`: tell the supervisor to read its settings again, and wait until that is over. For ExecReload= too.

`systemctl reload` comes back when the new settings are in force.
"""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable

from jupyterd.cli._common import DONE, NOT_RUNNING, TROUBLE, fail, say
from jupyterd.cli.status import read
from jupyterd.cli.status.read import Nothing, ServerStatus
from jupyterd.protocol.policy import Policy
from jupyterd.settings import paths

HELP = "read the settings again: what can change live changes live, the rest restarts the server; kernels go on"
REFUSED = frozenset({"settings-refused", "live-refused"})
LOOK_S = 0.05
WAIT_S = Policy().planner_timeout_s + Policy().start_timeout_s + 30.0
"""Longer than the supervisor itself lets a reload stand open."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Whose server, when it is not the one that `jupyterd status` is about."""
    parser.add_argument("--system", action="store_true", help="the service, whoever asks")


def main(args: argparse.Namespace) -> int:
    """0: in force; 1: refused, or not over in time; 3: nothing runs."""
    file = paths.discover(os.environ, os.getuid(), "service" if args.system else None).status

    def look() -> ServerStatus | None:
        found = read.look((file,))
        return None if isinstance(found, Nothing) else found

    before = look()
    if before is None:
        return fail(f"nothing runs that {file} tells of; see: jupyterd status", NOT_RUNNING)
    try:
        pidfd = os.pidfd_open(before.supervisor.process.pid)
        if look() is None:  # asked again now that the descriptor is there: from here on it is nobody else
            raise ProcessLookupError
        signal.pidfd_send_signal(pidfd, signal.SIGHUP)
    except ProcessLookupError:
        return fail("it has just ended; see: jupyterd status", NOT_RUNNING)
    except PermissionError:
        return fail(f"it belongs to {before.snapshot.account}: sudo jupyterd reload")
    after = _later(look, before)
    if after is None:
        return fail(f"not over after {WAIT_S:.0f} s; see: jupyterd status")
    refused = [each for each in after.snapshot.items if each.code in REFUSED]
    for each in refused:
        say(f"refused, the old settings stay in force: {each.text}")
    if not refused:
        print(after.snapshot.status)
    return TROUBLE if refused else DONE


def _later(look: Callable[[], ServerStatus | None], before: ServerStatus) -> ServerStatus | None:
    """The first snapshot of the same supervisor in which the reload is over."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        now = look()
        if now is None or now.snapshot.supervisor != before.snapshot.supervisor:
            return None
        if now.snapshot.reloads > before.snapshot.reloads:
            return now
        time.sleep(LOOK_S)
    return None
