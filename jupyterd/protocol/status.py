"""The status snapshot: one JSON document that the supervisor replaces whenever a visible fact changes.

The status verb, and later the web page and the metrics, are renderers of it. It lies in
<runtime_dir>/status.json, mode 0600, and holds no secret.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, asdict, fields, is_dataclass
from typing import Any

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

    @property
    def where(self) -> str:
        """The best URL, for a sentence; other words while no address answers."""
        return self.urls[0] if self.urls else "the server (no address answers now)"


def encode(snapshot: Snapshot) -> bytes:
    """The snapshot as one JSON document, newline included."""
    return json.dumps({"format": FORMAT, **asdict(snapshot)}, indent=1).encode() + b"\n"


def decode(data: bytes) -> dict[str, Any]:
    """The document as plain data; ValueError if it is none, of another format, or holds a number that is no date."""
    document: dict[str, Any] = json.loads(data, parse_int=_finite, parse_float=_finite, parse_constant=_finite)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise ValueError("not a status snapshot of this version")
    return document


def structured(document: dict[str, Any]) -> Snapshot:
    """The document as a checked record; ValueError names the field that does not fit. Unknown fields are ignored."""
    found = _structured(document, Snapshot, "")
    assert isinstance(found, Snapshot)  # noqa: S101 - for mypy
    return found


def _structured(value: Any, kind: Any, path: str) -> Any:  # noqa: ANN401 - JSON and annotations
    """`value` as the type `kind`: a scalar, T | None, tuple[T, ...] or a dataclass of these. `path` is for messages."""
    from typing import get_args, get_origin, get_type_hints  # noqa: PLC0415 - the supervisor only encodes

    if is_dataclass(kind) and isinstance(value, dict):
        make: Any = kind
        hints, found = get_type_hints(kind), {}
        for field in fields(kind):
            at = f"{path}.{field.name}" if path else field.name
            if field.name in value:
                found[field.name] = _structured(value[field.name], hints[field.name], at)
            elif field.default is MISSING:
                raise ValueError(f"not a status snapshot of this version: {at} is missing")
        return make(**found)
    if get_origin(kind) is tuple and isinstance(value, list):
        return tuple(_structured(each, get_args(kind)[0], f"{path}[{at}]") for at, each in enumerate(value))
    if type(None) in get_args(kind):
        return None if value is None else _structured(value, get_args(kind)[0], path)
    if type(value) is kind or (kind is float and type(value) is int):
        return value
    raise ValueError(f"not a status snapshot of this version: {path} is of another type")


def _finite(number: str) -> float:
    """JSON as Python reads it has NaN and 1e999, and integers of any length; dates and sizes have not."""
    found = float(number)
    if not abs(found) <= 1 << 62:
        raise ValueError(f"not a status snapshot: it holds the number {number[:20]}")
    return int(number) if number.lstrip("-").isdecimal() else found
