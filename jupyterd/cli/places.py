"""Where a server may lie, for whoever asks: the machine's service, the user's own unit, the foreground.

Neighbours: settings/paths.py names the files, standing.py reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jupyterd.settings import paths
from jupyterd.settings.paths import Paths
from jupyterd.wire import snapshot

Which = Literal["system", "user"]
SERVICE_STATE = Path("/var/lib/jupyterd")
SERVICE_RUNTIME = Path("/run/jupyterd")


def snapshots(which: Which | None, environ: Mapping[str, str], uid: int) -> tuple[Path, ...]:
    """The files to look at, in order. Root means the service first, everybody else their own server."""
    service = (SERVICE_RUNTIME / snapshot.NAME,)
    runtime = environ.get("XDG_RUNTIME_DIR") or f"/run/user/{uid}"
    own = (paths.discover(environ, uid).status, Path(runtime, "jupyterd", snapshot.NAME))
    match which:
        case "system":
            return service
        case "user":
            return own
        case None:
            return (*service, *own) if uid == 0 else (*own, *service)


def future(which: Which | None, environ: Mapping[str, str], uid: int) -> Paths:
    """Where the next server will lie, when none runs."""
    if which == "system":
        return Paths("service", SERVICE_STATE, SERVICE_RUNTIME)
    return paths.discover(environ, uid)
