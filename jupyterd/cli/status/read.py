"""Finds the status snapshot of a server, reads it without trusting it, and looks at the processes that it names.

The snapshot is the account's file and the reader may be root: nothing in it may hang, fool or crash the reader.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import attrs
import psutil

from jupyterd.launch import deaths
from jupyterd.launch.deaths import RecentDeath
from jupyterd.linux import proc
from jupyterd.linux.files import read_untrusted
from jupyterd.protocol import status
from jupyterd.protocol.status import ProcessIdentity, Snapshot
from jupyterd.text import cleaned

Life = Literal["runs", "halted", "gone"]
"""Of the supervisor; "halted" is SIGSTOP or a debugger: it is there and decides nothing."""


@attrs.frozen
class Seen:
    """A process that the snapshot names, looked up in /proc; `rss_bytes` is None if it has ended."""

    process: ProcessIdentity
    rss_bytes: int | None


@attrs.frozen
class RunningKernel:
    """`detached`: in no unit of its own; `tcp`: other accounts of the machine can reach its sockets."""

    id: str
    name: str
    detached: bool
    tcp: bool


@attrs.frozen
class ServerStatus:
    """A snapshot that could be read, and whether its supervisor still runs. `document` is what the file holds."""

    file: Path
    document: dict[str, Any]
    snapshot: Snapshot
    life: Life
    supervisor: Seen
    server: Seen | None
    spare: Seen | None
    sampler: Seen | None
    ended: tuple[RecentDeath, ...] = ()
    """The kernels that died recently, oldest first."""
    kernels: tuple[RunningKernel, ...] = ()
    """The kernels that run, whether or not a server does."""


@attrs.frozen
class Nothing:
    """No running supervisor was found. `left` is the last snapshot of one that has ended, `denied` the files that may
    not be read, `damaged` one sentence for each file that is not a snapshot.
    """

    left: ServerStatus | None = None
    denied: tuple[Path, ...] = ()
    damaged: tuple[str, ...] = ()


def look(files: Iterable[Path]) -> ServerStatus | Nothing:
    """The first snapshot, in this order, whose supervisor still runs."""
    nothing = Nothing()
    for file in files:
        try:
            found = standing(file)
        except FileNotFoundError:
            continue
        except PermissionError:
            nothing = attrs.evolve(nothing, denied=(*nothing.denied, file))
        except (OSError, ValueError) as error:
            nothing = attrs.evolve(nothing, damaged=(*nothing.damaged, f"{file}: {error}"))
        else:
            if found.life != "gone":
                return found
            nothing = attrs.evolve(nothing, left=nothing.left or found)
    return nothing


def standing(file: Path) -> ServerStatus:
    """Read one snapshot and look at its processes. FileNotFoundError, PermissionError, OSError; ValueError: garbage."""
    document, told = decode(read_untrusted(file))
    return ServerStatus(
        file, document, told, life(told.supervisor),
        _seen(told.supervisor),
        None if told.server is None else _seen(told.server),
        None if told.spare is None else _seen(told.spare),
        None if told.sampler is None else _seen(told.sampler),
        _ended(Path(told.state_dir) / "kernels" / deaths.NAME, file.lstat().st_uid),
        running_kernels(Path(told.state_dir), file.lstat().st_uid),
    )  # fmt: skip


def _ended(file: Path, owner: int) -> tuple[RecentDeath, ...]:
    try:
        return deaths.decode(json.dumps(cleaned(json.loads(read_untrusted(file, owner)))).encode())
    except (OSError, ValueError, RecursionError):
        return ()


def decode(data: bytes) -> tuple[dict[str, Any], Snapshot]:
    """The document with every text cleaned for a terminal, and the same as a checked record; ValueError for garbage."""
    try:
        document: dict[str, Any] = cleaned(status.decode(data))
    except RecursionError as error:
        raise ValueError("not a status snapshot: it is nested too deeply") from error
    return document, status.structured(document)


def life(supervisor: ProcessIdentity) -> Life:
    """Whether exactly this process still exists, and whether it is suspended."""
    if supervisor.pid <= 0 or proc.started(supervisor.pid) != supervisor.started:
        return "gone"
    try:
        state = psutil.Process(supervisor.pid).status()
    except psutil.Error:
        return "gone"
    return "halted" if state in {psutil.STATUS_STOPPED, psutil.STATUS_TRACING_STOP} else "runs"


def _seen(process: ProcessIdentity) -> Seen:
    if process.pid <= 0 or proc.started(process.pid) != process.started:
        return Seen(process, None)
    try:
        return Seen(process, psutil.Process(process.pid).memory_info().rss)
    except psutil.Error:
        return Seen(process, None)


def running_kernels(state: Path, owner: int) -> tuple[RunningKernel, ...]:
    """Every recorded kernel whose process still runs, by id."""
    directory = state / "kernels"
    try:
        found = sorted(directory.glob("*.json"))
    except OSError:
        return ()
    return tuple(kernel for path in found if (kernel := _kernel(path, owner)) is not None)


def _kernel(path: Path, owner: int) -> RunningKernel | None:
    try:
        record, process = _document(path, owner), _document(path.with_suffix(".pid"), owner)
        if proc.started(int(process["pid"])) != process["started"]:
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
    document = cleaned(json.loads(read_untrusted(path, owner)))
    if not isinstance(document, dict):
        raise TypeError("not an object")
    return document
