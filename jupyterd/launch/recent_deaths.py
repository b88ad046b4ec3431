"""The kernels that died lately, for `jupyterd status`: one small file beside their records, written by the server."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from jupyterd.launch import registry
from jupyterd.launch.registry import Entry
from jupyterd.linux import files

NAME = "ended"
_KEPT = 10


@dataclass(frozen=True, slots=True)
class RecentDeath:
    """`at` in Unix seconds; `notebook` is "" where none is known; `cause` is one phrase."""

    at: float
    kernel: str
    name: str
    notebook: str
    cause: str


def note(directory: Path, record: Entry, cause: str) -> None:
    """Put one to the others; the oldest go. OSError where the disk is full."""
    try:
        notebook = registry.read_env(directory, record.id).get("JPY_SESSION_NAME", "")
    except (OSError, ValueError):
        notebook = ""
    try:
        earlier = decode((directory / NAME).read_bytes())
    except (OSError, ValueError):
        earlier = ()
    every = (*earlier, RecentDeath(time.time(), record.id, record.name, notebook, cause))[-_KEPT:]
    files.replace(directory / NAME, json.dumps([asdict(each) for each in every], indent=1).encode())


def decode(data: bytes) -> tuple[RecentDeath, ...]:
    """Oldest first. ValueError when it is no such file."""
    try:
        return tuple(
            RecentDeath(float(each["at"]), *(str(each[field]) for field in ("kernel", "name", "notebook", "cause")))
            for each in json.loads(data)
        )
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not a list of ended kernels: {type(error).__name__}") from error
