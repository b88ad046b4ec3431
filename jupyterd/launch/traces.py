"""A kernel that runs although its record is damaged: what its process still says about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from jupyterd.linux import kept, proc
from jupyterd.linux.proc import Identity
from jupyterd.protocol import documents
from jupyterd.protocol.kernel_unit import kernel_unit, unit_name

_USUAL = "python3"


@dataclass(frozen=True, slots=True)
class Trace:
    """As the fields of registry.Entry."""

    process: Identity
    argv: tuple[str, ...]
    cwd: str
    connection_file: str
    name: str
    unit: str | None


def find(kernel_id: str) -> Trace | None:
    """The living process of this kernel: of this account, the leader of its session, with its connection file among its
    arguments. None: there is none.
    """
    for pid in proc.pids():
        argv = tuple(proc.text(pid, "cmdline").split("\0")[:-1])
        connection = next((word for word in argv if Path(word).name == f"kernel-{kernel_id}.json"), None)
        found = proc.stat(pid) if connection is not None else None
        if connection is None or found is None or not found.is_alive or found.session != pid:
            continue
        try:
            if Path(f"/proc/{pid}").stat().st_uid != os.getuid():
                continue
            cwd = str(Path(f"/proc/{pid}/cwd").readlink())
        except OSError:
            continue
        unit = kernel_unit(proc.text(pid, "cgroup"), os.getuid())
        in_unit = unit is not None and unit.kernel == kernel_id
        return Trace(
            Identity(pid, found.started, proc.boot_id()), argv, cwd, connection, _name(Path(connection)),
            unit_name(kernel_id) if in_unit else None,
        )  # fmt: skip
    return None


def _name(connection: Path) -> str:
    """jupyter_client writes the kernelspec's name into the connection file."""
    try:
        return str(documents.document(kept.read(connection)).get("kernel_name") or _USUAL)
    except (OSError, ValueError):
        return _USUAL
