"""`jupyterd status`: what the supervisor of this machine, or of this user, last reported, and whether it still runs.

Exit 0: serving. 1: a problem. 3: not running. 78: the settings are refused.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import attrs

from jupyterd.cli import _common
from jupyterd.cli._common import NOT_RUNNING, TROUBLE
from jupyterd.cli.status import beside, page
from jupyterd.cli.status.beside import Beside
from jupyterd.cli.status.read import Nothing, ServerStatus
from jupyterd.text import plural, span

HELP = (
    "show whether the server works, and what is wrong"
    " (exit 0: serving, 1: a problem, 3: not running, 78: invalid settings)"
)
SERVING = 0
NARROWEST, WIDEST = 50, 100


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--json", action="store_true", help="print JSON")
    _common.which_arguments(parser)


def main(args: argparse.Namespace) -> int:
    """Print the status; the exit code says the same to scripts."""
    where = _common.places(args.which, os.environ, os.geteuid())
    files = _common.snapshots(where)
    services = beside.look(where)
    found = _common.patiently(where, lambda: beside.running(where, services))
    running = beside.running(where, services)
    if args.json:
        print(json.dumps(document(found, files, services, running), indent=1))
    elif isinstance(found, ServerStatus):
        columns = _common.columns(NARROWEST, WIDEST)
        sys.stdout.write(page.page(found, page.PageOptions(time.time(), columns, _common.has_colour())))
        if lines := list(beside.troubles(services)):
            print("", *lines, sep="\n")
    else:
        print(absent(found, files, services, running))
    return code(found, running=bool(running))


def code(found: ServerStatus | Nothing, *, running: bool = False) -> int:
    """The exit code. `running`: something runs, snapshot or not."""
    if isinstance(found, Nothing):
        return TROUBLE if running or found.damaged or (found.denied and found.left is None) else NOT_RUNNING
    errors = any(item.severity == "error" for item in found.snapshot.items)
    serves = found.life == "runs" and found.snapshot.state == "serving" and not errors
    return SERVING if serves else TROUBLE


def document(
    found: ServerStatus | Nothing, files: tuple[Path, ...], services: Sequence[Beside] = (), running: str = ""
) -> dict[str, Any]:
    """The document for --json. Without a snapshot it holds no pids: other processes may have them by now. `running`:
    what runs all the same, as beside.running says it.
    """
    told = {"services": [attrs.asdict(each.unit) | {"trouble": each.unit.trouble} for each in services if each.unit]}
    failed = [attrs.asdict(each.failed) for each in services if each.failed is not None]
    if isinstance(found, ServerStatus):
        return {**_document(found), **told, "failed_starts": failed}
    left = {} if found.left is None else _kernels(found.left)
    nobody = {"state": "unknown" if running else "stopped", "supervisor": None, "server": None, "spare": None}
    problem = {"running": bool(running), "problem": absent(found, files, services, running)}
    return {**problem, **nobody, "sampler": None, **left, **told, "failed_starts": failed}


def _document(found: ServerStatus) -> dict[str, Any]:
    halted = found.life == "halted"
    problem = f"the supervisor (pid {found.supervisor.process.pid}) is suspended" if halted else None
    lately = [asdict(each) for each in found.ended]
    return {"running": True, "problem": problem, **found.document, **_kernels(found), "kernels_ended": lately}


def _remain(mode: str, count: int) -> str:
    if not count:
        return ""
    sudo = "sudo " if mode == "service" else ""
    return (
        f"\n{plural(count, 'kernel')} still {'run' if count > 1 else 'runs'}, and will be there after the next start."
        f" To end {'them' if count > 1 else 'it'}:"
        f"\n    {sudo}jupyterd kernels stop --all"
    )


def _kernels(found: ServerStatus) -> dict[str, Any]:
    return {"kernels_running": [attrs.asdict(each) for each in found.kernels]}


def absent(found: Nothing, files: tuple[Path, ...], services: Sequence[Beside] = (), running: str = "") -> str:
    """Why there is nothing to show, and what to type. `running`: what runs all the same, as beside.running says it."""
    if running and not found.denied:
        return (
            f"jupyterd: {running}, but it has written no status that can be read. Type:\n    journalctl -u jupyterd -e"
        )
    return "\n".join([_absent(found, files), *beside.troubles(services)])


def _absent(found: Nothing, files: tuple[Path, ...]) -> str:
    if found.damaged:
        return "\n".join(f"jupyterd: cannot read the status: {each}" for each in found.damaged)
    if found.denied:
        where = found.denied[0].parent
        who = "only root and the account of the service may read its status"
        return f"jupyterd: {who} ({where}). Type:\n    sudo jupyterd status"
    if found.left is not None:
        told = found.left.snapshot
        ago = span(time.time() - told.since)
        remain = _remain(told.mode, len(found.left.kernels))
        start = "sudo systemctl start jupyterd" if told.mode == "service" else "jupyterd run"
        if told.state == "stopped":
            return f"jupyterd is not running; it was stopped {ago} ago. To start it:\n    {start}{remain}"
        how = f"was {told.state} and ended unexpectedly (killed, or the machine lost power)"
        return f"jupyterd is not running; it {how}. To start it:\n    {start}{remain}"
    looked = "".join(f"\n    {file}" for file in files)
    return f"jupyterd is not running: there is no status snapshot at{looked}"
