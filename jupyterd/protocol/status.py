"""The status snapshot: one JSON document that the supervisor replaces whenever a visible fact changes.

The status verb, and later the web page and the metrics, are renderers of it. It lies in
<runtime_dir>/status.json, mode 0600, and holds no secret.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from jupyterd.protocol import documents
from jupyterd.protocol.gpu_frames import Gpu
from jupyterd.protocol.plan import Certificate
from jupyterd.protocol.value import value

FORMAT = 1
NAME = "status.json"


@value
class ProcessIdentity:
    """`started` is field 22 of /proc/PID/stat (clock ticks since boot), so that a pid is never mistaken."""

    pid: int
    started: int


@value
class Address:
    """A probed address. `since` (Unix seconds): when `ok` last changed."""

    name: str
    url: str
    ok: bool
    since: float
    detail: str
    """"" while it answers, otherwise one phrase: "no answer for 12 s"."""


@value
class Restart:
    """One past end of the server: when (Unix seconds) and why, in one phrase."""

    at: float
    cause: str


@value
class Item:
    """A health item as people see it; `since` is in Unix seconds."""

    code: str
    severity: str
    """"error" or "warning"."""
    text: str
    advice: str
    since: float


@value
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
    """Where it answers now, best first; () while nothing does."""
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
    refused: tuple[str, ...] = ()
    """Every problem of the last settings that were refused; () when the settings on disk are in force."""

    @property
    def where(self) -> str:
        """The best URL, for a sentence; other words while no address answers."""
        return self.urls[0] if self.urls else "the server (no address answers now)"


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as one JSON document, newline included."""
    return json.dumps({"format": FORMAT, **asdict(snapshot)}, indent=1).encode() + b"\n"


def decode(data: bytes) -> dict[str, Any]:
    """The document as plain data; ValueError if it is none, of another format, or holds a number that is no date."""
    document = documents.document(data)
    if document.get("format") != FORMAT:
        raise ValueError("not a status snapshot of this version")
    return document


def structured(document: dict[str, Any]) -> Snapshot:
    """The document as a checked record; ValueError names the field that does not fit. Unknown fields are ignored."""
    try:
        return documents.structured(document, Snapshot)
    except ValueError as error:
        raise ValueError(f"not a status snapshot of this version: {error}") from error
