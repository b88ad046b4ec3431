"""The status snapshot: one JSON document that the supervisor replaces whenever a visible fact changes.

The status verb, and later the web page and the metrics, are renderers of it. It lies in
<runtime_dir>/status.json, mode 0600, and holds no secret.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.plan import Certificate

FORMAT = 1
NAME = "status.json"


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """`started` is field 22 of /proc/PID/stat (clock ticks since boot), so that a pid is never mistaken."""

    pid: int
    started: int


@dataclass(frozen=True, slots=True)
class Address:
    """A probed address. `since` (Unix seconds) is when it began to be as it is."""

    name: str
    url: str
    ok: bool
    since: float
    detail: str
    """"" while it answers, otherwise one phrase: "no answer for 12 s"."""


@dataclass(frozen=True, slots=True)
class Restart:
    """One past end of the server: when (Unix seconds) and why, in one phrase."""

    at: float
    cause: str


@dataclass(frozen=True, slots=True)
class Item:
    """A visible health item."""

    code: str
    severity: str
    """"error" or "warning"."""
    text: str
    advice: str
    since: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What `jupyterd status --json` prints. Times are Unix seconds."""

    version: str
    mode: str
    account: str
    state: str
    """"starting", "waiting", "serving", "restarting", "stopping" or "stopped"."""
    status: str
    """The sentence of STATUS=."""
    since: float
    """When `state` began."""
    supervisor: ProcessIdentity
    server: ProcessIdentity | None
    spare: ProcessIdentity | None
    sampler: ProcessIdentity | None
    urls: tuple[str, ...]
    addresses: tuple[Address, ...]
    certificate: Certificate | None
    kernels: int | None
    kernels_busy: int | None
    reloads: int
    """Reloads that are over since the supervisor started, refused ones included."""
    restarts: int
    """Restarts of the server since the supervisor started; the last ten are in `recent`."""
    recent: tuple[Restart, ...]
    items: tuple[Item, ...]
    gpus: tuple[Gpu, ...]
    state_dir: str
    culled: tuple[Restart, ...] = ()
    """The last ten kernels that were ended to free a GPU: when, and which and why."""


def encode(snapshot: Snapshot) -> bytes:
    """The document, newline included."""
    return json.dumps({"format": FORMAT, **asdict(snapshot)}, indent=1).encode() + b"\n"


def decode(data: bytes) -> dict[str, Any]:
    """The document as plain data; ValueError if it is none or of another format."""
    document: dict[str, Any] = json.loads(data)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("not a status snapshot of this version")
    return document
