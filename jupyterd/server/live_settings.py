"""What jupyterd.planner.jupyter_config writes: the generated configuration, read at start, and the live settings, which
are read again when the supervisor says Reload.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from jupyterd.linux import files
from jupyterd.protocol import documents
from jupyterd.settings.paths import Mode, Paths

FORMAT = 1


@dataclass(frozen=True, slots=True)
class LiveSettings:
    """The content of live.json. `certificate` None means plain HTTP; "" means no password hash or no token."""

    certificate: str | None
    key: str | None
    sha256: str | None
    password_hash: str = field(repr=False)
    token: str = field(repr=False)
    allow_password_change: bool
    authority: str | None
    """PEM of this machine's own authority."""
    watched: dict[str, str]
    """File -> linux.files.stat_mark() when the planner looked at it."""
    renew_at: float | None
    """Unix seconds: when the planner has something to make again."""
    names: frozenset[str]
    """Host names by which browsers may call, lower case; "*.example.org" stands for one label."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose X-Forwarded-For is believed."""


def traits(path: Path) -> dict[str, Any]:
    """The generated configuration, {"ServerApp": {"base_url": "/"}}. ValueError or OSError says what is wrong."""
    return documents.document(_read(path))


def _read(path: Path) -> bytes:
    data = files.read_private(path)
    if data is None:
        raise FileNotFoundError(f"{path} is missing: it is written by jupyterd when it starts the server")
    return data


def read(path: Path) -> LiveSettings:
    """ValueError or OSError says what is wrong; neither shows a secret."""
    data = _read(path)
    try:
        document = documents.document(data)
        if document.get("format") != FORMAT:
            raise ValueError("another format")
        return documents.structured(document, LiveSettings)
    except ValueError as error:
        raise ValueError(f"{path} is damaged, or not of this version of jupyterd ({error})") from error


def paths_of(environ: Mapping[str, str]) -> Paths:
    """ValueError if this process was not started by jupyterd."""
    mode = environ.get("JUPYTERD_MODE", "")
    if mode not in get_args(Mode):
        raise ValueError("this program is started by jupyterd, not by hand: type jupyterd run")
    state, runtime = Path(environ["JUPYTERD_STATE_DIR"]), Path(environ["JUPYTERD_RUNTIME_DIR"])
    return Paths(mode=cast("Mode", mode), state=state, runtime=runtime)
