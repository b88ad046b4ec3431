"""`jupyterd reload`: tell the supervisor to read its settings again, and wait until they are in effect.

Also ExecReload= of the unit: `systemctl reload` returns when the new settings are in effect.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

from jupyterd.cli import _common
from jupyterd.cli._common import DONE, NOT_RUNNING, TROUBLE, fail, say, tell
from jupyterd.cli.status import read
from jupyterd.cli.status.read import Nothing, ServerStatus
from jupyterd.linux import files
from jupyterd.protocol.policy import Policy
from jupyterd.settings import paths
from jupyterd.text import span

HELP = "apply changed settings: live where possible, else by restarting the server; kernels keep running"
REFUSED = frozenset({"settings-refused", "live-refused"})
LOOK_S = 0.05
WAIT_S = Policy().planner_timeout_s + Policy().start_timeout_s + 30.0
"""Longer than the supervisor itself allows a reload to take."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add --system."""
    parser.add_argument("--system", action="store_true", help="the machine's service")


def main(args: argparse.Namespace) -> int:
    """0: the settings are in effect; 1: refused, or not finished in time; 3: no server runs."""
    place = paths.discover(os.environ, os.getuid(), "service" if args.system else None)
    file = place.status

    def look() -> ServerStatus | None:
        found = read.look((file,))
        return None if isinstance(found, Nothing) else found

    found = _common.patiently((place,), lambda: files.is_locked(place.lock))
    before = None if isinstance(found, Nothing) else found
    if before is None:
        return fail(f"no server runs that writes {file}; see: jupyterd status", NOT_RUNNING)
    try:
        if not tell(before):
            return fail("the server has just stopped; see: jupyterd status", NOT_RUNNING)
    except PermissionError:
        return fail(f"the server belongs to {before.snapshot.account}. Type: sudo jupyterd reload")
    after = _later(look, before)
    if after is None:
        return fail(f"the reload did not finish within {span(WAIT_S)}; see: jupyterd status")
    refused = [each for each in after.snapshot.items if each.code in REFUSED]
    for each in refused:
        say(f"the settings were refused, and the old ones stay in effect: {each.text}")
    for problem in after.snapshot.refused[1:]:
        say(problem)
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
