"""`jupyterd gpu`: who holds the GPUs now, by notebook; with --since what they did, drawn, and by whom.

Exit 0: shown. 1: trouble. 3: there is nothing to show.
"""

from __future__ import annotations

import argparse
import json
import os
import pwd
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import attrs

from jupyterd.cli import _common
from jupyterd.cli._common import TROUBLE, USAGE, fail
from jupyterd.cli.gpu import page, usage
from jupyterd.cli.status import read, verb
from jupyterd.cli.status.read import Nothing, ServerStatus
from jupyterd.gpu import driver, history
from jupyterd.gpu.intervals import Spans
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.settings.paths import Paths
from jupyterd.text import printable

HELP = "show which notebooks use the GPUs; with --since, how much they used"
SHOWN, NOTHING = 0, 3
NARROWEST, WIDEST = 50, 160


def arguments(parser: argparse.ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("--since", metavar="WHEN", help=f"the usage since then: {usage.SINCE}")
    parser.add_argument("--gpu", metavar="NUMBER", help="only this GPU: its number, or the beginning of its UUID")
    parser.add_argument(
        "--notebook", metavar="NAME", help="only this notebook: train.ipynb, models/train, or its whole path"
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON")
    form.add_argument(
        "--csv", action="store_true", help="print CSV, one row a minute (an hour after 30 days); needs --since"
    )
    _common.which_arguments(parser)


@attrs.frozen
class GpuQuery:
    """The options, the account's home directory ("" if unknown), and how to print: columns, and whether in colour."""

    args: argparse.Namespace
    home: str
    columns: int
    colour: bool


def main(args: argparse.Namespace) -> int:
    """Print it."""
    if args.csv and args.since is None:
        return fail("--csv needs --since, such as --since today", USAGE)
    where = _common.places(args.which, os.environ, os.geteuid())
    found = read.look(_common.snapshots(where))
    known = found if isinstance(found, ServerStatus) else found.left
    state = where[0].state if known is None else Path(known.snapshot.state_dir)
    mine = attrs.evolve(where[0], state=state)
    asked = GpuQuery(args, _home(state), _common.columns(NARROWEST, WIDEST), _common.has_colour())
    if args.since is None:
        return _now(asked, found, _common.snapshots(where))
    return _past(asked, mine)


def _now(asked: GpuQuery, found: ServerStatus | Nothing, files: tuple[Path, ...]) -> int:
    if isinstance(found, Nothing):
        print(verb.absent(found, files), file=sys.stderr)
        return NOTHING if found.left is not None or not (found.damaged or found.denied) else TROUBLE
    wanted = asked.args
    gpus = [
        each
        for each in found.snapshot.gpus
        if wanted.gpu is None or usage.matches_gpu(wanted.gpu, each.index, each.uuid)
    ]
    if wanted.notebook is not None:
        gpus = [_only(each, wanted.notebook) for each in gpus]
        gpus = [each for each in gpus if each.processes]
    if wanted.json:
        print(json.dumps({"gpus": [_document(each, asked.home) for each in gpus]}, indent=1))
        return SHOWN if gpus else NOTHING
    if not gpus:
        return fail(_nothing(found, wanted), NOTHING)
    print(page.now(gpus, asked.home, asked.columns))
    if any(each.holder.kernel for one in gpus for each in page.held(one, asked.home)):
        print(
            "To free the memory of a kernel: jupyterd kernels stop KERNEL\n"
            "For the usage so far: jupyterd gpu --since today"
        )
    return SHOWN


def _only(one: Gpu, notebook: str) -> Gpu:
    mine = tuple(each for each in one.processes or () if usage.matches(notebook, each.notebook))
    return replace(one, processes=mine)


def _nothing(found: ServerStatus, wanted: argparse.Namespace) -> str:
    if wanted.notebook is not None and found.snapshot.gpus:
        return f"no notebook {wanted.notebook!r} holds GPU memory now"
    if wanted.gpu is not None and found.snapshot.gpus:
        numbers = ", ".join(f"gpu{each.index}" for each in found.snapshot.gpus)
        return f"there is no GPU {wanted.gpu!r}; this machine has {numbers}"
    trouble = next((item.text for item in found.snapshot.items if item.code.startswith("gpu")), None)
    if trouble is not None:
        return f"{trouble}; see: jupyterd status"
    if found.snapshot.sampler is None:
        return driver.absence("/", os.environ) or "GPU monitoring is off; see [gpu] enabled in: jupyterd config show"
    return "there are no figures of the GPUs yet; try again in a moment"


def _past(asked: GpuQuery, mine: Paths) -> int:
    wanted, until = asked.args, time.time()
    try:
        since = usage.since(wanted.since, until)
    except ValueError as error:
        return fail(f"--since: {error}", USAGE)
    file = mine.gpu_history
    try:
        every = history.read(file, since, until)
    except history.Unreadable as error:
        return fail(f"the GPU history {printable(str(error))}")
    except OSError as error:
        return fail(
            f"only root and the account of the service may read the GPU history ({error}). Type: sudo jupyterd gpu"
        )
    past = usage.chosen(every, wanted.gpu, wanted.notebook)
    if wanted.json:
        print(json.dumps(usage.document(past, since, until, asked.home), indent=1))
    elif wanted.csv:
        sys.stdout.write(usage.table(past, whole=wanted.notebook is None))
    if not past.gpus or (wanted.notebook is not None and not past.holders):
        return fail(_no_past(every, wanted, file), NOTHING)
    if not wanted.json and not wanted.csv:
        _draw(asked, past, since, until)
    return SHOWN


def _no_past(every: Spans, wanted: argparse.Namespace, file: Path) -> str:
    if not every.gpus:
        absent = driver.absence("/", os.environ)
        if not file.exists():
            why = f" ({absent})" if absent else ""
            return f"there is no GPU history yet; it begins one minute after the first start{why}"
        return f"there are no GPU figures since {wanted.since}"
    if wanted.notebook is not None:
        return f"no notebook {wanted.notebook!r} has held GPU memory since {wanted.since}"
    return f"there are no figures of GPU {wanted.gpu!r} since {wanted.since}"


def _draw(asked: GpuQuery, past: Spans, since: float, until: float) -> None:
    from jupyterd.cli.gpu import plot  # noqa: PLC0415 - the plotting library is for this alone

    begun = max(since, min(each.at for each in past.gpus))
    sheet = plot.Sheet(begun, until, asked.columns, asked.colour)
    for each in usage.whole(past.gpus):
        print(page.past([one for one in past.gpus if one.uuid == each.uuid], asked.columns))
        if asked.args.notebook is None:
            print(plot.of_gpu(past, each.uuid, sheet))
        elif mine := [one for one in past.holders if one.uuid == each.uuid]:
            print(f"{printable(asked.args.notebook)} on it:")
            print(plot.of_notebook(mine, sheet))
        print()
    uses = [attrs.evolve(each, name=printable(each.name)) for each in usage.uses(past.holders, asked.home)]
    if uses:
        print(page.uses(uses, asked.columns))


def _document(one: Gpu, home: str) -> dict[str, Any]:
    figures = ("utilisation_mean", "utilisation_max", "memory_used_bytes", "memory_total_bytes", "temperature_c")
    return {
        "index": one.index,
        "uuid": one.uuid,
        "name": one.name,
        **{name: getattr(one, name) for name in (*figures, "power_w", "trouble", "asleep")},
        "held_by": None if one.processes is None else [_held_document(each) for each in page.held(one, home)],
    }


def _held_document(each: page.HeldMemory) -> dict[str, Any]:
    facts = attrs.asdict(each, recurse=False)
    holder = facts.pop("holder")
    return {"notebook": holder.notebook, "kernel": holder.kernel, "user": holder.user, **facts}


def _home(state: Path) -> str:
    """The home directory of the account that owns `state`, which is shown as "~"; "" if unknown."""
    try:
        return pwd.getpwuid(state.stat().st_uid).pw_dir
    except (OSError, KeyError):
        return ""
