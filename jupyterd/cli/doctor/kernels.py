"""Kernels: whether those that the page offers can start, by a look; with --deep by starting each once."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyterd.cli.doctor import facts, kernel_child, programs
from jupyterd.cli.doctor.facts import Subject
from jupyterd.cli.doctor.programs import NoAnswer
from jupyterd.cli.doctor.verdict import Verdict
from jupyterd.environments import facts as environments
from jupyterd.launch import kernelspec
from jupyterd.text import plural

SUBJECT = "kernels"
_AT_ONCE = 2
"""Kernels that --deep starts at the same time."""


def examine(what: Subject) -> Iterator[Verdict]:
    """The environment of new notebooks, then every kernelspec on the disk."""
    yield from of_environment(facts.default_environment(what), what.paths.kernel_environment)
    places = kernelspec.places(Path(what.asked.account.home, ".local/share"), what.paths.kernelspecs)
    found = [directory for place in places for directory in sorted(place.glob("*/")) if _is_kernelspec(directory)]
    cannot = {directory: why for directory in found if (why := kernelspec.cannot_start(directory))}
    for directory, why in cannot.items():
        yield Verdict(SUBJECT, "wrong", why, (_removal(directory),))
    rest = [directory for directory in found if directory not in cannot]
    if what.deep:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for directory, problem in zip(rest, pool.map(started, rest), strict=True):
                if problem:
                    text = f"the kernel of {directory} does not start: {problem}"
                    yield Verdict(SUBJECT, "wrong", text, (_removal(directory),))
        yield Verdict(SUBJECT, "good", f"{plural(len(rest), 'kernelspec')}, each was started once")
    else:
        more = ", as far as a look shows (jupyterd doctor --deep starts each)" if rest else ""
        yield Verdict(SUBJECT, "good", f"{plural(len(rest), 'kernelspec')} can start{more}")


def of_environment(path: Path, own: Path) -> Iterator[Verdict]:
    """Of new notebooks. The one that jupyterd makes may not be there yet."""
    found = environments.look_at(path)
    typed = shlex.quote(str(path))
    if found is None and path == own:
        return
    if found is None:
        text = f"the environment of new notebooks, {path}, is not there"
        yield Verdict(SUBJECT, "wrong", text, ("jupyterd env list", "jupyterd env default PATH"))
    elif found.trouble:
        text = f"the environment of new notebooks, {path}, cannot be used: {found.trouble}"
        yield Verdict(SUBJECT, "wrong", text, (f"type: {found.cure}" if found.cure else "jupyterd kernel-env",))
    elif not found.ipykernel:
        text = f"the environment of new notebooks, {path}, has no ipykernel"
        yield Verdict(SUBJECT, "wrong", text, (f"jupyterd env add {typed}" if path != own else "jupyterd kernel-env",))


def started(directory: Path) -> str:
    """Start it for real; why that fails, as a phrase, "" if it answers."""
    module = kernel_child.__name__
    try:
        said = programs.said(
            sys.executable, "-I", "-m", module, str(directory), within_s=kernel_child.READY_S + 30,
        )  # fmt: skip
    except NoAnswer as error:
        return str(error)
    return said.strip()


def _is_kernelspec(directory: Path) -> bool:
    return (directory / "kernel.json").is_file()


def _removal(directory: Path) -> str:
    sudo = "" if os.access(directory.parent, os.W_OK) else "sudo "
    return f"install what it lacks, or take it away: {sudo}rm -r {shlex.quote(str(directory))}"
