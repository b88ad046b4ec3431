"""A kernelspec for each of the account's environments, made in memory from the last search, and the default one.

A search runs beside the event loop and as a process with a deadline (environments/listing.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec

from jupyterd.environments import choices, listing
from jupyterd.environments.choices import Choices
from jupyterd.environments.facts import Environment
from jupyterd.environments.listing import Listing, Where
from jupyterd.launch.kernelspec import METADATA, PREFIX
from jupyterd.linux import files, kept

MODULE = ("-Xfrozen_modules=off", "-m", "ipykernel_launcher")
_FRESH_S = 5.0
"""How long a search is good: somebody makes an environment and reloads the page."""
_PATIENCE_S = 1.5
"""How long a page waits for its list of kernels; a search takes a fifth of a second unless a disk is slow."""
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9._-]+")
_DEBUGGER_SINCE = 6


class EnvironmentKernels:
    """What the searches found. `named` is [kernels] environment, "" if it is not set."""

    def __init__(self, state: Path, where: Where, named: str, tell: kept.Tell) -> None:
        self._state, self._where, self._named, self._tell = state, where, named, tell
        self._listing = Listing(())
        self._until = 0.0
        self._running: asyncio.Task[None] | None = None
        self._mark, self._chosen = "", Choices()

    @property
    def chosen(self) -> Choices:
        """What `jupyterd env` has written, read again when the file has changed."""
        mark = files.stat_mark(self._state / choices.FILE)
        if mark != self._mark:
            self._until = 0.0
            with contextlib.suppress(OSError):
                self._chosen = choices.read(self._state, self._tell)
                self._mark = mark
        return self._chosen

    @property
    def default(self) -> str:
        """The directory of the environment of new notebooks."""
        return self._named or self.chosen.default or str(self._where.own)

    @property
    def default_is_made(self) -> bool:
        """Whether jupyterd makes that environment, or completes it: its own, or the one that the settings name."""
        return self.default in {self._named, str(self._where.own)}

    async def search(self, environ: Mapping[str, str]) -> None:
        """Search unless the last one is fresh; returns when it is done, or after a moment: the next has it."""
        chosen = self.chosen
        if time.monotonic() < self._until:
            return
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._search(chosen.choosing(self.default), dict(environ)))
        await asyncio.wait({self._running}, timeout=_PATIENCE_S)

    async def _search(self, chosen: Choices, environ: dict[str, str]) -> None:
        try:
            found = await asyncio.to_thread(listing.make, self._where, environ, chosen)
        except OSError as error:
            self._tell(f"The environments cannot be searched for: {error}")
        else:
            if found.complete or len(found.environments) > len(self._listing.environments):
                self._listing = found
        self._until = time.monotonic() + _FRESH_S

    def display_name(self, path: str) -> str:
        """Of the default kernel, when it runs in another environment than jupyterd's own."""
        known = next((each for each in self._listing.environments if each.path == path), None)
        return f"Python {known.python if known else 3} ({known.name if known else Path(path).name}, default)"

    def specs(self, taken: Iterable[str], resources: str) -> dict[str, KernelSpec]:
        """By name. `taken` are the programs of the user's own kernelspecs: an environment that has one already needs
        none. `resources` is the directory with the logos of Python.
        """
        covered = {os.path.dirname(each) for each in taken if os.path.isabs(each)}  # noqa: PTH117, PTH120 - texts
        own, made = str(self._where.own), dict[str, KernelSpec]()
        for name, each in names(self._listing.environments).items():
            if each.path == own and self.default == own:
                continue
            if each.ipykernel and f"{each.path}/bin" not in covered:
                made[f"{name}-py" if each.is_conda else name] = _python(each, resources)
            for other in each.kernelspecs:
                if (spec := _foreign(each, other)) is not None:
                    made[f"{name}-{_slug(other)}"] = spec
        return made


def names(environments: Iterable[Environment]) -> dict[str, Environment]:
    """Names that stay the same, as notebooks keep them: of conda's environments those of nb_conda_kernels without
    their end, of others with a part that stands for the directory. Of two with one name the first path has it, whatever
    the default is.
    """
    made: dict[str, Environment] = {}
    for each in sorted(environments, key=lambda one: one.path):
        part = hashlib.sha256(os.fsencode(each.path)).hexdigest()[:6]
        if each.kind == "conda":
            name = "conda-base" if each.name == "base" else f"conda-env-{_slug(each.name)}"
            name = f"{name}-{part}" if name in made else name
        else:
            name = f"env-{_slug(each.name)}-{part}"
        made[name] = each
    return made


def _slug(name: str) -> str:
    return _NOT_IN_A_NAME.sub("-", name.lower()).strip("-") or "x"


def _python(environment: Environment, resources: str) -> KernelSpec:
    major = environment.ipykernel.partition(".")[0]
    shown = f"Python {environment.python or 3} ({environment.name})"
    return KernelSpec(
        argv=[environment.interpreter, *MODULE, "-f", "{connection_file}"],
        display_name=f"{shown}: cannot start" if environment.trouble else shown,
        language="python", interrupt_mode="signal", resource_dir=resources,
        metadata={
            "debugger": not major.isdigit() or int(major) >= _DEBUGGER_SINCE,
            METADATA: {PREFIX: environment.path},
        },
    )  # fmt: skip


def _foreign(environment: Environment, name: str) -> KernelSpec | None:
    """The kernel of another language in its share/jupyter/kernels; None for a file that is no kernelspec."""
    directory = Path(environment.path, "share/jupyter/kernels", name)
    try:
        document: dict[str, Any] = json.loads(files.read_untrusted(os.path.realpath(directory / "kernel.json")))
        program, *rest = [str(each) for each in document["argv"]]
        inside = Path(environment.path, "bin", program)
        argv = [str(inside) if "/" not in program and inside.exists() else program, *rest]
        metadata = {**document.get("metadata", {}), METADATA: {PREFIX: environment.path}}
        shown = f"{document.get('display_name', name)} ({environment.name})"
        return KernelSpec(
            **{**document, "argv": argv, "metadata": metadata, "display_name": shown, "resource_dir": str(directory)}
        )
    except Exception:  # noqa: BLE001 - whatever is wrong with it: it is somebody else's file
        return None
