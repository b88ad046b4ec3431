"""Where this server's files lie, from the variables that jupyterd.planner.jupyter_command set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from jupyterd.settings.paths import Mode, Paths


def paths(environ: Mapping[str, str]) -> Paths:
    """ValueError if this process was not started by jupyterd."""
    mode = environ.get("JUPYTERD_MODE", "")
    if mode not in get_args(Mode):
        raise ValueError("this program is started by jupyterd, not by hand: type jupyterd run")
    state, runtime = Path(environ["JUPYTERD_STATE_DIR"]), Path(environ["JUPYTERD_RUNTIME_DIR"])
    return Paths(mode=cast("Mode", mode), state=state, runtime=runtime)
