"""The kernels that run, from their records: told by `status`, also when no supervisor is there that could say so.

The records are the account's and the reader may be root: nothing in them may hang, fool or crash the reader.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs

from jupyterd.cli import untrusted
from jupyterd.launch import identity


@attrs.frozen
class RunningKernel:
    """`detached`: in no unit of its own; `tcp`: other accounts of the machine can reach its sockets."""

    id: str
    name: str
    detached: bool
    tcp: bool


def kernels(state: Path, owner: int) -> tuple[RunningKernel, ...]:
    """Every one on record whose process is there, by id."""
    directory = state / "kernels"
    try:
        found = sorted(directory.glob("*.json"))
    except OSError:
        return ()
    return tuple(kernel for path in found if (kernel := _kernel(path, owner)) is not None)


def _kernel(path: Path, owner: int) -> RunningKernel | None:
    try:
        record, process = _document(path, owner), _document(path.with_suffix(".pid"), owner)
        if identity.started(int(process["pid"])) != process["started"]:
            return None
        name, detached, file = str(record["name"]), record["unit"] is None, Path(str(record["connection_file"]))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError):
        return None
    try:
        tcp = _document(file, owner)["transport"] == "tcp"
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        tcp = False
    return RunningKernel(path.stem, name, detached, tcp)


def _document(path: Path, owner: int) -> dict[str, Any]:
    document = untrusted.clean(json.loads(untrusted.read(path, owner)))
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document
