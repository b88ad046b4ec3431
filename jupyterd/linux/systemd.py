"""systemd: what its own tools print, and what it does with the unit that we are in. The grammar: unit_file.py."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

UnitJob = Literal["stop", "restart", "unknown"]
_ANSWER_S = 5.0
_USER_MANAGER = re.compile(r"/user@\d+\.service/")


@dataclass(frozen=True, slots=True)
class Unit:
    """A service and the manager that runs it: the system's, or the account's own."""

    name: str
    of_user: bool


def own_unit(cgroup: str) -> Unit | None:
    """From the text of /proc/self/cgroup; None outside of a service (a terminal's scope, a container)."""
    for line in cgroup.splitlines():
        path = line.split(":", 2)[-1]
        last = path.rpartition("/")[2]
        if last.endswith(".service") and not last.startswith("user@"):
            return Unit(last, bool(_USER_MANAGER.search(path)))
    return None


def verdict(jobs: str, unit: str) -> UnitJob:
    """From the lines of `systemctl list-jobs --no-legend --plain`: number, unit, type, state."""
    for line in jobs.splitlines():
        match line.split():
            case [_, name, kind, *_] if name == unit:
                if kind == "stop":
                    return "stop"
                return "restart" if kind in {"restart", "try-restart", "start"} else "unknown"
    return "unknown"


def ask(unit: Unit) -> UnitJob:
    """Ask its manager; "unknown" when there is no answer in time."""
    scope = ("--user",) if unit.of_user else ()
    env = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": f"/run/user/{os.getuid()}", "LC_ALL": "C.UTF-8"}
    try:
        done = subprocess.run(
            ["systemctl", *scope, "list-jobs", "--no-legend", "--no-pager", "--plain"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_ANSWER_S, check=False, env=env,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return verdict(done.stdout, unit.name)


def stops_for_good() -> bool:
    """True when this process is stopped for good: its unit has a stop job, or it is in no unit at all."""
    unit = own_unit(Path("/proc/self/cgroup").read_text(encoding="utf-8"))
    return unit is None or ask(unit) == "stop"


def properties(shown: str) -> dict[str, str]:
    """The properties in the output of `systemctl show`, name -> value."""
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
