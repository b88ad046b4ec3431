"""Every environment of the account, within a bounded time: the search runs as a process that is killed with its group.

Blocks; an event loop calls it in a thread.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from jupyterd.environments.choices import Choices
from jupyterd.environments.facts import Environment
from jupyterd.protocol import documents

DEADLINE_S = 8.0
"""Longer than search.WALK_S: it ends by itself unless a disk does not answer."""
OWN = "jupyterd"
"""Name of the environment that jupyterd makes."""
UNMADE = "it is made when the first notebook needs it"
_VERSIONS = "/opt/jupyterd/"
"""Where ./install puts jupyterd itself."""
_END_S = 1.0


@dataclass(frozen=True, slots=True)
class Listing:
    """`environments`: the default first, then by name. `complete` False: a disk did not answer in time."""

    environments: tuple[Environment, ...]
    complete: bool = True

    def named(self, word: str) -> tuple[Environment, ...]:
        """Those that a person means by a path or a name."""
        if "/" in word:
            meant = os.path.realpath(word)
            return tuple(each for each in self.environments if os.path.realpath(each.path) == meant)
        return tuple(each for each in self.environments if each.name == word)


@dataclass(frozen=True, slots=True)
class Where:
    """What is searched: the account's home, the environment that jupyterd makes, and more places to walk through."""

    home: Path
    own: Path
    places: tuple[Path, ...] = ()


def make(where: Where, environ: Mapping[str, str], chosen: Choices, deadline_s: float = DEADLINE_S) -> Listing:
    """Search and sort. The environment that jupyterd itself is installed in is left out. OSError: no process can be
    started.
    """
    own = str(where.own)
    default = chosen.default or own
    added = [*dict.fromkeys([default, own, *chosen.added])]
    request = {"home": str(where.home), "places": [str(each) for each in where.places], "added": added}
    told, complete = _asked(json.dumps(request), environ, deadline_s)
    hidden = {os.path.realpath(each) for each in chosen.hidden} | {os.path.realpath(sys.prefix)}
    found = []
    for each in told:
        real = os.path.realpath(each.path)
        if each.path == own:
            if each.trouble and each.path != default:
                continue
            named = replace(each, name=OWN)
            unmade = replace(named, trouble=UNMADE, cure="jupyterd kernel-env")
            found.append(unmade if each.trouble else named)
        elif (real not in hidden or each.path in added) and not real.startswith(_VERSIONS):
            found.append(each)
    found.sort(key=lambda each: (each.path != default, each.name.lower(), each.path))
    return Listing(tuple(found), complete)


def _asked(request: str, environ: Mapping[str, str], deadline_s: float) -> tuple[list[Environment], bool]:
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "jupyterd.environments"], env=dict(environ), cwd="/", stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, text=True,
    )  # fmt: skip
    complete = True
    try:
        words, _ = process.communicate(request, deadline_s)
    except subprocess.TimeoutExpired:
        complete = False
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            words, _ = process.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired as error:  # it waits in the kernel for that disk: it is left there
            words = error.stdout if isinstance(error.stdout, str) else (error.stdout or b"").decode(errors="replace")
    found = []
    for line in words.splitlines():
        with contextlib.suppress(ValueError):  # a line that was cut off
            found.append(documents.structured(documents.document(line), Environment))
    return found, complete and process.returncode == 0
