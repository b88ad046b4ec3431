"""Where sampler and relay meet: a lock that says who the sampler is, a socket that gives each reader its frames.

The sampler (jupyterd.gpu) holds the lock and listens; the relay (jupyterd.launch.sampler_relay) connects for the
supervisor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SamplerPaths:
    """The lock lies in the state directory, which outlives everything; the socket's path must be short."""

    lock: Path
    socket: Path


@dataclass(frozen=True, slots=True)
class LockOwner:
    """The sampler that holds the lock. `started` is field 22 of /proc/PID/stat; `words` is how it was asked to work,
    version included: another sampler is wanted when these are others.
    """

    pid: int
    started: int
    words: tuple[str, ...]


def encode(standing: LockOwner) -> bytes:
    """For the lock file."""
    return json.dumps(asdict(standing)).encode()


def decode(data: bytes) -> LockOwner:
    """Back; ValueError when it is none."""
    try:
        document = json.loads(data)
        return LockOwner(int(document["pid"]), int(document["started"]), tuple(map(str, document["words"])))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError("it does not say who the sampler is") from error


def started(pid: int) -> int:
    """Field 22 of proc_pid_stat(5); FileNotFoundError, ProcessLookupError without such a process."""
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])


def arguments(places: SamplerPaths, version: str) -> Sequence[str]:
    """What the sampler's command line has of all this."""
    return ("--lock", str(places.lock), "--socket", str(places.socket), "--version", version)
