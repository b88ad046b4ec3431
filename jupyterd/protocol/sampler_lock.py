"""How the GPU sampler is asked to work, and where it is found: a lock that names it, a socket that sends its frames.

The planner writes the arguments, the relay (jupyterd.launch.sampler_relay) compares them with those of the sampler
that runs, and the sampler (jupyterd.gpu) holds the lock and listens.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import asdict
from pathlib import Path

from jupyterd.protocol import documents
from jupyterd.protocol.value import value


@value
class SamplerPaths:
    """The lock lies in the state directory, which survives a reboot; a socket's path is short (unix(7): 107 bytes)."""

    lock: Path
    socket: Path


@value
class SamplerArguments:
    """How a sampler works. A running sampler is replaced when its arguments differ from those that are wanted."""

    every_s: float
    """Seconds from one frame to the next."""
    details_every_s: float = 60.0
    """Seconds between two questions about processes, temperature, clocks and errors."""
    records: Path | None = None
    """Directory of the kernels' records; None: no process belongs to a kernel."""
    sessions: Path | None = None
    """jupyter_server's session database; None: no kernel belongs to a notebook."""
    notebooks: Path = Path("/")
    """The server's root directory, which the paths in the session database are relative to."""
    paths: SamplerPaths | None = None
    """None: frames go to standard output, without a lock."""
    version: str = ""
    """jupyterd's version, so that an upgrade replaces the running sampler."""
    history: Path | None = None
    """The history's SQLite file; None: no history is kept."""
    history_every_s: int = 60
    """Seconds that one row of the history covers."""
    cpu_time: bool = False
    """Measure the processor time of kernels that hold GPU memory; only culling needs it."""


@value
class LockOwner:
    """The sampler that holds the lock."""

    pid: int
    started: int
    """Field 22 of /proc/PID/stat: clock ticks since boot."""
    arguments: SamplerArguments | None
    """None: another version of jupyterd wrote the lock file, and its arguments mean nothing here."""


def program(arguments: SamplerArguments) -> tuple[str, ...]:
    """The sampler's argv."""
    return (sys.executable, "-I", "-m", "jupyterd.gpu", encode_arguments(arguments))


def encode_arguments(arguments: SamplerArguments) -> str:
    """As one JSON object, for a command line."""
    return json.dumps(asdict(arguments), default=str)


def decode_arguments(text: str) -> SamplerArguments:
    """The arguments from one JSON object; absent fields have their defaults. ValueError for anything else."""
    try:
        return _arguments(documents.document(text))
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not the arguments of a sampler: {error}") from error


def encode(owner: LockOwner) -> bytes:
    """The content of the lock file."""
    return json.dumps(asdict(owner), default=str).encode()


def decode(data: bytes) -> LockOwner:
    """The lock file's owner. ValueError when the file does not name a process, e.g. because it is empty."""
    try:
        document = documents.document(data)
        pid, its_start = int(document["pid"]), int(document["started"])
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("the lock file does not name a sampler") from error
    try:
        return LockOwner(pid, its_start, _arguments(document["arguments"]))
    except (TypeError, AttributeError, KeyError, ValueError):
        return LockOwner(pid, its_start, None)


def _arguments(document: dict[str, object]) -> SamplerArguments:
    """TypeError, AttributeError or ValueError for a document of another shape."""
    for name in ("records", "sessions", "notebooks", "history"):
        if isinstance(text := document.get(name), str):
            document[name] = Path(text)
    if isinstance(paths := document.get("paths"), dict):
        document["paths"] = SamplerPaths(**{name: Path(text) for name, text in paths.items()})
    made = SamplerArguments(**document)  # type: ignore[arg-type]
    for seconds in (made.every_s, made.details_every_s, made.history_every_s):
        if not 0 < seconds < math.inf:
            raise ValueError(f"not a length of time in seconds: {seconds}")
    return made
