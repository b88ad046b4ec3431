"""`jupyterd kernels`: list, interrupt, restart, stop; also while no server runs.

Reads the records of kernels on disk, and needs no server.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import psutil

from jupyterd.cli import _common
from jupyterd.cli._common import USAGE, fail, say
from jupyterd.launch import launcher, notebooks, recorder_process, registry, sampler_process, stop
from jupyterd.launch.registry import Entry
from jupyterd.launch.user_unit import LaunchFailed
from jupyterd.linux import local_time, proc, systemd
from jupyterd.protocol.policy import Policy
from jupyterd.settings import paths
from jupyterd.text import plural, printable, size

HELP = "list, interrupt, restart or stop kernels, even when no server runs"
_SERVER_RESTARTS_S = 20.0
"""The server looks every 3 s, and the kernel takes a second or two to start."""
_LOOK_S = 0.1
_TERMINALS_GRACE_S = 3.0
"""A shell ends at once at SIGHUP; an editor in it saves first."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-verbs."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|interrupt|restart|stop")
    one = verbs.add_parser("list", help="list every kernel with its process, memory and notebook")
    one.add_argument("--json", action="store_true", help="print JSON")
    for name, text in (
        ("interrupt", "interrupt the running cell"),
        ("restart", "start a new process under the same id"),
    ):
        one = verbs.add_parser(name, help=text)
        one.add_argument("id", help="the kernel's id, or the beginning of it")
    one = verbs.add_parser("stop", help="end kernels cleanly: interrupt, shutdown request, SIGTERM, then SIGKILL")
    one.add_argument("id", nargs="*", help="the kernel's id, or the beginning of it")
    one.add_argument("--all", action="store_true", help="every kernel")
    one.add_argument("--terminals", action="store_true", help="also end the terminals")
    one.add_argument("--sampler", action="store_true", help="also end the GPU sampler")
    one.add_argument("--unless-restarting", action="store_true", help="do nothing while jupyterd is being restarted")
    one.add_argument(
        "--why", default="stopped with `jupyterd kernels stop`", help="the reason shown in the notebook and the journal"
    )
    one.add_argument("--grace", type=float, default=Policy().kernels_grace_s, help="seconds until SIGKILL")
    for each in verbs.choices.values():
        each.add_argument("--state", type=Path, help="the state directory, if it is not the default one")


def main(args: argparse.Namespace) -> int:
    """0: done; 1: something is left or missing; 2: the id fits no kernel, or several."""
    directory = (args.state or paths.discover(os.environ, os.getuid()).state) / "kernels"
    every, problems = registry.read_all(directory)
    for problem in problems:
        say(str(problem))
    running = [each for each in every if each.process is not None and proc.is_alive(each.process)]
    if args.verb == "list":
        return _list(directory, running, as_json=args.json)
    if args.verb == "stop":
        return _stop_said(directory, every, running, args)
    chosen = _choose(running, [args.id])
    if chosen is None:
        return 2
    if args.verb == "interrupt":
        return 0 if stop.interrupt(chosen[0]) else 1
    return _restart(directory, chosen[0])


def _choose(running: list[Entry], wanted: list[str]) -> list[Entry] | None:
    chosen: list[Entry] = []
    for word in wanted:
        match [each for each in running if each.id.startswith(word)]:
            case [only]:
                chosen.append(only)
            case []:
                say(f"no running kernel has the id {word!r}; see: jupyterd kernels list")
                return None
            case several:
                say(f"{len(several)} kernels have an id that begins with {word!r}; type more of it")
                return None
    return chosen


def _list(directory: Path, running: list[Entry], *, as_json: bool) -> int:
    if as_json:
        print(json.dumps([_shown(directory, each) for each in running], indent=1))
        return 0
    if not running:
        print("no kernels")
    for record in running:
        shown = _shown(directory, record)
        memory = "" if shown["memory_bytes"] is None else f"{size(shown['memory_bytes'])}  "
        since, where = local_time.moment(record.created), printable(shown["notebook"] or record.cwd)
        first = f"{record.id}  {printable(record.name)}  pid {shown['pid']}  {memory}".rstrip()
        second = f"since {since}  {where}"
        # Two lines in a terminal that would break the line; one line for programs.
        wide = sys.stdout.isatty() and len(first) + 2 + len(second) > _common.columns(1, 1000)
        print(first, second, sep="\n    " if wide else "  ")
    return 0


def _shown(directory: Path, record: Entry) -> dict[str, Any]:
    shown = asdict(record)
    shown.pop("argv")
    process = shown.pop("process") or {}
    notebook = notebooks.of_kernel(directory, record.id) or None
    pid = process.get("pid")
    facts = {"pid": pid, "memory_bytes": _memory_bytes(pid), "notebook": notebook}
    return {**shown, "limits": dict(record.limits), **facts}


def _memory_bytes(pid: int | None) -> int | None:
    """Resident memory of a kernel and of everything that it started; None when it has just ended. Memory that they
    share counts once for each of them.
    """
    try:
        kernel = psutil.Process(pid)
        return sum(each.memory_info().rss for each in (kernel, *kernel.children(recursive=True)))
    except psutil.Error:
        return None


def _stop_said(directory: Path, every: list[Entry], running: list[Entry], args: argparse.Namespace) -> int:
    if not (args.all or args.id or args.terminals or args.sampler):
        return fail("name the kernels by their ids, or use --all", USAGE)
    if args.unless_restarting and not systemd.stops_for_good():
        print("jupyterd is being restarted: kernels keep running")
        return 0
    chosen = _choose(running, args.id) if args.id else every if args.all else []
    if chosen is None:
        return 2
    with ThreadPoolExecutor() as beside:
        terminals = None
        if args.terminals:
            where, units = directory.parent / "terminals", args.unless_restarting
            terminals = beside.submit(stop.end_terminals, where, _TERMINALS_GRACE_S, units=units)
        asker = beside.submit(_stop_sampler, directory.parent / "gpu.lock") if args.sampler else None
        code = _stop(directory, chosen, args.grace, args.why)
        if args.all and code == 0:
            recorder_process.end(directory.parent / "spool")
        for each in (terminals, asker):
            if each is not None:
                each.result()
    return code


def _stop_sampler(lock: Path) -> None:
    if sampler_process.end(lock) == "stuck":
        say(
            "the GPU sampler does not end even after SIGKILL: it waits in the NVIDIA driver, and is left there. To see "
            f"it: sudo fuser -v {lock}. If the driver does not release it, only a reboot ends it"
        )


def _stop(directory: Path, chosen: list[Entry], grace_s: float, why: str) -> int:
    if not chosen:
        print("no kernels")
        return 0
    left = stop.end_all(directory, chosen, grace_s, why)
    for record in left:
        pid = record.process.pid if record.process else "?"
        say(
            f"kernel {record.id} (pid {pid}) does not end even after SIGKILL: it waits inside the Linux kernel for a "
            f"device or a network disk. To see for what: ps -o pid,stat,wchan:30,args -p {pid}"
        )
    print(f"ended {len(chosen) - len(left)} of {plural(len(chosen), 'kernel')}")
    return 1 if left else 0


def _restart(directory: Path, record: Entry) -> int:
    with registry.without_server(directory) as alone:
        if not alone:
            return _let_server_restart(directory, record)
        try:
            env = registry.read_env(directory, record.id)
        except (OSError, ValueError) as error:
            return fail(
                f"kernel {record.id} keeps running: it cannot be restarted, because its environment is lost ({error})"
            )
        if stop.end([record], Policy().kernels_grace_s, launcher.clear):
            return fail(f"kernel {record.id} does not end, so it was not restarted")
        try:
            launcher.launch(directory, record, env)
        except LaunchFailed as error:
            return fail(f"kernel {record.id} has ended, but does not start again: {error}")
    print(f"restarted kernel {record.id}")
    return 0


def _let_server_restart(directory: Path, record: Entry) -> int:
    """End the kernel and let the server start it again, as it does with any that dies: then its tabs hear of it."""
    now = record
    stop.end([record], Policy().kernels_grace_s, lambda _: None)
    until = time.monotonic() + _SERVER_RESTARTS_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError, ValueError):
            now = registry.read(directory, record.id)
        if now.process is not None and now.process != record.process:
            print(f"the running server has restarted kernel {record.id}")
            return 0
        time.sleep(_LOOK_S)
    return fail(f"kernel {record.id} has ended; the server has not started it again yet")
