"""Where a server may lie, for whoever asks: the machine's service, and the user's own in a terminal or a unit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jupyterd.settings.paths import Paths, discover

Which = Literal["system", "user"]


def places(which: Which | None, environ: Mapping[str, str], uid: int) -> tuple[Paths, ...]:
    """Where to look, the likelier first; only there if the environment or the command names it. Raises Invalid."""
    service, own = discover(environ, uid, "service"), discover(environ, uid, "user")
    match which:
        case "system":
            return (service,)
        case "user":
            return (own,)
        case None:
            meant = discover(environ, uid)
            if environ.get("JUPYTERD_STATE_DIR") or environ.get("JUPYTERD_MODE"):
                return (meant,)
            return (service, own) if meant.mode == "service" else (own, service)


def snapshots(found: tuple[Paths, ...]) -> tuple[Path, ...]:
    """Their status snapshots."""
    return tuple(each.status for each in found)
